//! What a plan by the law loses: of configurations that were measured side by side, the one that the law would choose against the
//! best one.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figure::Target;
use super::outcome::Predicted;
use super::rows::SourceRow;
use crate::stats::score::{self, finite};

/// Fewest configurations of a grid.
const LEAST_CONFIGURATIONS: usize = 5;

/// First plans among which the best measured one is looked for.
const FIRST: usize = 5;

/// What the plans of one source lose.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Regret {
    /// The source; "all" for all of them.
    pub source: String,
    /// What is minimised.
    pub target: Target,
    /// Number of grids: runs of one model, accelerator, number of them, batch, sequence and precision.
    pub grids: usize,
    /// Median over grids of the chosen configuration's measured value over the best one's, less one.
    #[serde(serialize_with = "finite")]
    pub median: f64,
    /// The ninth decile of the same.
    #[serde(serialize_with = "finite")]
    pub ninth_decile: f64,
    /// Share of grids whose best configuration is among the first five by the law.
    #[serde(serialize_with = "finite")]
    pub best_in_first_five: f64,
    /// Median of the rule of thumb: the least model parallelism, then the largest micro-batch.
    #[serde(serialize_with = "finite")]
    pub rule_of_thumb_median: f64,
    /// The ninth decile of the same.
    #[serde(serialize_with = "finite")]
    pub rule_of_thumb_ninth_decile: f64,
}

/// A configuration of a grid: logarithms of what was measured and is expected, and what the rule of thumb sorts by.
struct Tried {
    measured: f64,
    expected: f64,
    by_rule: (u64, std::cmp::Reverse<u64>, u64),
}

/// What the choice of one grid loses.
struct Lost {
    law: f64,
    rule: f64,
    in_first: bool,
}

/// The losses of predicted runs, by source and of all, for time and energy.
pub(super) fn regrets(predicted: &[(&SourceRow, &Predicted)]) -> Vec<Regret> {
    let mut found = Vec::new();
    for (target, response) in [(Target::Duration, 0), (Target::Energy, 2)] {
        let mut grids: BTreeMap<(&str, String), Vec<Tried>> = BTreeMap::new();
        for (row, of) in predicted {
            let (Some(expected), Some(measured)) = (of.log_expected, measured(row, target)) else {
                continue;
            };
            let tried = tried(row, measured, expected[response]);
            grids.entry((&row.source, grid(row))).or_default().push(tried);
        }
        let mut by_source: BTreeMap<&str, Vec<Lost>> = BTreeMap::new();
        for ((source, _), grid) in &grids {
            if grid.len() >= LEAST_CONFIGURATIONS {
                by_source.entry(source).or_default().push(Lost::new(grid));
            }
        }
        let all: Vec<&Lost> = by_source.values().flatten().collect();
        if all.is_empty() {
            continue;
        }
        found.push(Regret::new("all", target, &all));
        for (source, lost) in &by_source {
            found.push(Regret::new(source, target, &lost.iter().collect::<Vec<_>>()));
        }
    }
    found
}

/// ln of the measured value.
fn measured(row: &SourceRow, target: Target) -> Option<f64> {
    let (time, power) = (row.observation.log_time, row.observation.log_power);
    match target {
        Target::Duration => time,
        Target::Power => power,
        Target::Energy => time.zip(power).map(|(time, power)| time + power),
    }
}

/// What the configurations of a grid have in common.
fn grid(row: &SourceRow) -> String {
    let (job, w) = (&row.job, &row.job.workload);
    format!(
        "{} on {} × {}, batch {} of {}, {}, {}, {:?}",
        row.model,
        job.system.gpus,
        job.system.accelerator.name,
        job.global_batch(),
        w.positions_per_sequence(),
        w.precision,
        w.framework,
        w.lora,
    )
}

fn tried(row: &SourceRow, measured: f64, expected: f64) -> Tried {
    let (w, p) = (&row.job.workload, &row.job.parallelism);
    Tried { measured, expected, by_rule: (p.tp * p.pp, std::cmp::Reverse(w.micro_batch), row.line) }
}

impl Lost {
    fn new(grid: &[Tried]) -> Self {
        let best = grid.iter().map(|of| of.measured).fold(f64::INFINITY, f64::min);
        let mut order: Vec<&Tried> = grid.iter().collect();
        order.sort_by(|a, b| a.expected.total_cmp(&b.expected));
        let lost = |of: &Tried| (of.measured - best).exp_m1();
        let by_rule = grid.iter().min_by_key(|of| of.by_rule);
        Self {
            law: order.first().map_or(f64::NAN, |of| lost(of)),
            rule: by_rule.map_or(f64::NAN, lost),
            in_first: order.iter().take(FIRST).any(|of| of.measured <= best),
        }
    }
}

impl Regret {
    fn new(source: &str, target: Target, lost: &[&Lost]) -> Self {
        let sorted = |of: fn(&Lost) -> f64| {
            let mut values: Vec<f64> = lost.iter().map(|lost| of(lost)).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let (law, rule) = (sorted(|of| of.law), sorted(|of| of.rule));
        // nine in ten lose at most this
        let ninth = |values: &[f64]| values[(9 * values.len()).div_ceil(10) - 1];
        let first = lost.iter().filter(|of| of.in_first).count();
        Self {
            source: source.to_owned(),
            target,
            grids: lost.len(),
            median: score::median(&law),
            ninth_decile: ninth(&law),
            best_in_first_five: first as f64 / lost.len() as f64,
            rule_of_thumb_median: score::median(&rule),
            rule_of_thumb_ninth_decile: ninth(&rule),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Measured 10, 11, 12, 20, 40 s; the law takes the second for the best, the rule of thumb the third.
    #[test]
    fn a_loss_is_that_of_the_chosen_configuration() {
        let of = |measured: f64, expected: f64, model_parallel: u64| Tried {
            measured: measured.ln(),
            expected: expected.ln(),
            by_rule: (model_parallel, std::cmp::Reverse(1), 0),
        };
        let grid = [
            of(10.0, 9.0, 4),
            of(11.0, 8.0, 4),
            of(12.0, 13.0, 1),
            of(20.0, 20.0, 2),
            of(40.0, 30.0, 8),
        ];
        let lost = Lost::new(&grid);
        approx::assert_relative_eq!(lost.law, 0.1, max_relative = 1e-12);
        approx::assert_relative_eq!(lost.rule, 0.2, max_relative = 1e-12);
        assert!(lost.in_first);
        let regret = Regret::new("one", Target::Duration, &[&lost]);
        approx::assert_relative_eq!(regret.ninth_decile, 0.1, max_relative = 1e-12);
        assert_eq!((regret.grids, regret.best_in_first_five), (1, 1.0));
    }
}
