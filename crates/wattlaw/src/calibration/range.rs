//! The fitted range of a calibration, and the distance of a job from it.

use serde::{Deserialize, Serialize};

use crate::base::scope::Covers;
use crate::data::dataset::Dataset;
use crate::data::measurement::Measurement;
use crate::job::Job;
use crate::job::parallelism::StrategyKind;

/// The fitted range of one variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The variable: `layers`, `hidden_size`, `tokens`, …, or a label.
    pub variable: String,
    /// Smallest value; absent for labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest value; absent for labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The values of a label, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

/// A variable of a job outside the fitted range.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outside {
    /// The variable.
    pub variable: String,
    /// The job's value.
    pub value: f64,
    /// Smallest fitted value.
    pub min: f64,
    /// Largest fitted value.
    pub max: f64,
    /// Ratio to the nearer end; above 1.
    pub factor: f64,
}

type OfRun = fn(&Measurement) -> Option<f64>;
type OfJob = fn(&Job) -> f64;

/// Variables that users set, with their value in a run and in a job.
const VARIABLES: [(&str, OfRun, OfJob); 7] = [
    ("gpus", |r| Some(r.gpus() as f64), |j| j.parallelism.gpus() as f64),
    ("layers", |r| Some(r.total_layers() as f64), |j| j.architecture.total_layers() as f64),
    ("hidden_size", |r| Some(r.hidden_size() as f64), |j| j.architecture.hidden_size as f64),
    ("seq_len", Measurement::positions_per_sequence, |j| {
        j.workload.positions_per_sequence() as f64
    }),
    ("micro_batch", |r| Some(r.micro_batch()? as f64), |j| j.workload.micro_batch as f64),
    ("tokens", Measurement::positions, |j| j.positions()),
    ("micro_steps", Measurement::micro_steps, |j| j.steps() * j.workload.grad_accum as f64),
];

/// The ranges of all variables and labels of a dataset; label `gpu` has the values `gpus`.
pub(super) fn from_dataset(data: &Dataset, gpus: &[String]) -> Vec<Range> {
    let mut ranges: Vec<Range> = VARIABLES
        .iter()
        .filter_map(|(variable, of_run, _)| {
            // one step does not state the length of its run
            let of_whole_runs = matches!(*variable, "tokens" | "micro_steps");
            let runs = data.runs.iter().filter(|r| !(of_whole_runs && r.covers == Covers::OneStep));
            let values: Vec<f64> = runs.filter_map(of_run).collect();
            let min = values.iter().copied().reduce(f64::min)?;
            let max = values.iter().copied().reduce(f64::max)?;
            Some(Range {
                variable: (*variable).to_owned(),
                min: Some(min),
                max: Some(max),
                labels: Vec::new(),
            })
        })
        .collect();
    let mut label = |variable: &str, values: Vec<String>| {
        let mut labels = values;
        labels.sort();
        labels.dedup();
        ranges.push(Range { variable: variable.to_owned(), min: None, max: None, labels });
    };
    label("gpu", gpus.to_vec());
    label("family", data.runs.iter().map(|r| r.family().to_owned()).collect());
    label("strategy", data.runs.iter().map(|r| r.strategy_kind().to_string()).collect());
    ranges
}

/// The ranges without those of the length of a run: a law that is linear in it predicts any length.
pub(super) fn without_length(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.retain(|range| !matches!(range.variable.as_str(), "tokens" | "micro_steps"));
    ranges
}

/// The union of two ranges.
pub(super) fn joined(a: &[Range], b: &[Range]) -> Vec<Range> {
    let mut all = a.to_vec();
    for range in b {
        let Some(known) = all.iter_mut().find(|r| r.variable == range.variable) else {
            all.push(range.clone());
            continue;
        };
        let ends = |x: Option<f64>, y: Option<f64>, of: fn(f64, f64) -> f64| match (x, y) {
            (Some(x), Some(y)) => Some(of(x, y)),
            (x, y) => x.or(y),
        };
        known.min = ends(known.min, range.min, f64::min);
        known.max = ends(known.max, range.max, f64::max);
        known.labels.extend(range.labels.iter().cloned());
        known.labels.sort();
        known.labels.dedup();
    }
    all
}

/// The fitted values of a label.
pub(super) fn seen<'a>(ranges: &'a [Range], label: &str) -> &'a [String] {
    ranges.iter().find(|r| r.variable == label).map_or(&[], |r| &r.labels)
}

/// The fitted kinds of strategy.
pub(super) fn strategies(ranges: &[Range]) -> Vec<StrategyKind> {
    // a file of an earlier version may name a kind as its table did
    seen(ranges, "strategy").iter().filter_map(|name| name.parse().ok()).collect()
}

/// The variables of a job that lie outside the ranges, farthest first.
pub(super) fn outside(ranges: &[Range], job: &Job) -> Vec<Outside> {
    let mut found: Vec<Outside> = ranges
        .iter()
        .filter_map(|range| {
            let (_, _, of_job) = VARIABLES.iter().find(|(name, _, _)| *name == range.variable)?;
            let (value, min, max) = (of_job(job), range.min?, range.max?);
            let factor = if value > max { value / max } else { min / value };
            // 1 % beyond counts as inside: token counts are rarely round
            (factor > 1.01).then(|| Outside {
                variable: range.variable.clone(),
                value,
                min,
                max,
                factor,
            })
        })
        .collect();
    found.sort_by(|a, b| b.factor.total_cmp(&a.factor));
    found
}

/// The job with a variable that lies outside its range moved to `beyond` times the nearer end, as far as the job's own
/// counts allow.
///
/// Degrees stay what they are, so the number of GPUs moves by whole data-parallel ranks.
pub(crate) fn near_the_edge(job: &Job, outside: &Outside, beyond: f64) -> Job {
    let mut moved = job.clone();
    let Outside { variable, value, min, max, .. } = outside;
    let edge = if value > max { max * beyond } else { min / beyond }.round().max(1.0) as u64;
    let scaled = |n: u64| ((n as f64 * edge as f64 / value) as u64).max(1);
    let (w, a) = (&mut moved.workload, &mut moved.architecture);
    match variable.as_str() {
        "seq_len" => {
            (w.seq_len, w.decoder_seq_len) = (scaled(w.seq_len), scaled(w.decoder_seq_len));
        }
        "micro_batch" => w.micro_batch = edge,
        "layers" => a.layers = edge.max(moved.parallelism.pp).max(w.frozen_layers + 1),
        "hidden_size" => {
            (a.hidden_size, a.ffn_size) = (edge, scaled(a.ffn_size));
            a.head_dim = scaled(a.head_dim);
        }
        "gpus" => {
            let p = &mut moved.parallelism;
            // whole groups of ranks that hold all experts
            p.dp = (edge / (p.tp * p.cp * p.pp)).max(1).next_multiple_of(p.ep);
            p.shard_group = p.shard_group.min(p.replicas());
            moved.system.gpus = p.gpus();
        }
        // the length of a run is in no range of the law
        _ => {}
    }
    moved
}

impl super::Calibration {
    /// The kinds of strategy of the fitted runs.
    pub fn strategies(&self) -> Vec<StrategyKind> {
        strategies(&self.range)
    }

    /// The variables of a job outside the fitted ranges, farthest first.
    pub fn outside(&self, job: &Job) -> Vec<Outside> {
        outside(&self.range, job)
    }
}
