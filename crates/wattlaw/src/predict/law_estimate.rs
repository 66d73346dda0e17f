//! The estimate of a calibration's law for a job, whichever kind of law it holds.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::scope::{EnergyByScope, GpuEnergy, LogNormal, ScopedEnergy};
use super::unmeasured::Unmeasured;
use super::{Factor, Interval, Warning, WarningKind, factors};
use crate::base::error::{Error, Result};
use crate::base::scope::Scope;
use crate::base::units::JOULES_PER_KWH;
use crate::calibration::{Calibration, Laws, Outside, ScalingLaws, near_the_edge};
use crate::cost::Cost;
use crate::job::Job;
use crate::job::parallelism::StrategyKind;
use crate::job::system::NetworkKind;
use crate::job::workload::Stack;
use crate::law::roofline::clock::{MIN_CLOCK_SHARE, PowerLimit};
use crate::law::roofline::terms::Terms;
use crate::law::roofline::{
    Answer, EnergyParts, Groups, Level, LocalEstimate, Parts, RooflineFit, TimeParts, Workspace,
    chip, missed_group,
};
use crate::stats::inference::Reference;

/// The breakdown of an estimate.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Breakdown {
    /// Scaling law: factors whose product is the energy.
    Factors(Vec<Factor>),
    /// Roofline law: parts that add up to time and energy from the physics, and the discrepancy's factors on both.
    Parts {
        /// Time by part, in seconds.
        time: TimeParts,
        /// Energy by part, in joules.
        energy: EnergyParts,
        /// Factors of the learned discrepancy on time and energy; 1 without one.
        discrepancy: [f64; 2],
    },
}

/// A quantity at the scopes that a law knows.
pub(super) enum ByScope {
    /// At every scope, from the accelerators' and the host's.
    Any(ScopedEnergy),
    /// At every scope, by assumptions.
    Assumed(EnergyByScope),
    /// At the scope of the runs alone.
    One(Scope, Option<Interval>),
}

impl ByScope {
    /// The quantity at a scope.
    ///
    /// # Errors
    /// Those of [`EnergyByScope::at`]; [`Error::Invalid`] for another scope than that of the runs.
    pub(super) fn at(&self, scope: Scope) -> Result<Option<Interval>> {
        match self {
            Self::Any(all) => all.at(scope).map(Some),
            Self::Assumed(all) => all.at(scope).map(Some),
            Self::One(own, value) if *own == scope => Ok(*value),
            Self::One(own, _) => Err(Error::invalid(
                "scope",
                scope,
                format!(
                    "this calibration's law predicts `{own}` only; the built-in law predicts every scope"
                ),
            )),
        }
    }

    /// The quantity of the facility, where there is one. Without one no error is made, whose
    /// sentence would take longer than the quantity.
    pub(super) fn of_facility(&self) -> Option<Interval> {
        match self {
            Self::Any(all) if !all.has_facility() => None,
            Self::Any(_) | Self::Assumed(_) | Self::One(..) => {
                self.at(Scope::Facility).ok().flatten()
            }
        }
    }
}

/// What supports an estimate.
pub(super) struct Support {
    /// 1 among runs of the job's chip and program, 0 far from them.
    pub nearness: f64,
    /// Levels whose group of the job has no runs.
    pub unseen: Vec<Level>,
}

/// Energy, time and mean power with intervals, before the check for impossible estimates.
pub(super) struct LawEstimate {
    pub energy: ByScope,
    pub duration_s: Option<Interval>,
    pub mean_power: ByScope,
    pub efficiency: Option<f64>,
    pub breakdown: Breakdown,
    pub power_limit: Option<PowerLimit>,
    pub warnings: Vec<Warning>,
}

/// The laws of the chips, software and networks that a calibration was asked for, each made once.
#[derive(Debug)]
pub(super) struct Answers<'a> {
    calibration: &'a Calibration,
    /// Kinds of strategy of the fitted runs.
    strategies: Vec<StrategyKind>,
    /// By software, chip and network: what [`Groups`] are made of, looked up without making them.
    by_groups: FxHashMap<Stack, FxHashMap<String, BTreeMap<NetworkKind, Answer<'a>>>>,
    workspace: Workspace,
}

impl<'a> Answers<'a> {
    pub(super) fn new(calibration: &'a Calibration) -> Self {
        Self {
            calibration,
            strategies: calibration.strategies(),
            by_groups: FxHashMap::default(),
            workspace: Workspace::default(),
        }
    }

    pub(super) const fn calibration(&self) -> &'a Calibration {
        self.calibration
    }

    /// Estimates a job, whose cost is counted and whose variables outside the fitted ranges are known, by the calibration's
    /// laws.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a level outside 0 to 1; [`Error::Data`] where the laws cannot predict the job.
    pub(super) fn estimate(
        &mut self,
        job: &Job,
        cost: &Cost,
        outside: &[Outside],
        level: f64,
    ) -> Result<LawEstimate> {
        match &self.calibration.law {
            Laws::Scaling(laws) => scaling(job, self.calibration, laws, level),
            Laws::Roofline(law) => {
                let answer = of_groups(&mut self.by_groups, law, job);
                let mut estimate = roofline(
                    job,
                    cost,
                    self.calibration,
                    answer,
                    &mut self.workspace,
                    outside,
                    level,
                )?;
                estimate.warnings.extend(unseen_strategy(job, self.calibration, &self.strategies));
                Ok(estimate)
            }
        }
    }

    /// Expected time in seconds and energy of the accelerators in joules; `None` for a law that does not know its uncertainty.
    pub(super) fn expected(&mut self, job: &Job) -> Option<[f64; 2]> {
        match &self.calibration.law {
            Laws::Scaling(_) => None,
            Laws::Roofline(law) => {
                let answer = of_groups(&mut self.by_groups, law, job);
                let [time, power] = answer.logs_at_mean_costs(&Terms::for_job(job), Scope::Gpu);
                let time_s = time.exp();
                Some([time_s, time_s * power.exp() * job.system.gpus as f64])
            }
        }
    }

    /// What supports the estimate of a job.
    pub(super) fn support(&mut self, job: &Job, cost: &Cost) -> Support {
        match &self.calibration.law {
            Laws::Scaling(_) => Support { nearness: 0.0, unseen: Vec::new() },
            Laws::Roofline(law) => {
                let answer = of_groups(&mut self.by_groups, law, job);
                let nearness = answer.nearness(&Terms::from_cost(job, cost));
                Support { nearness, unseen: answer.unseen.clone() }
            }
        }
    }
}

/// The law of a job's groups, made where the map has none.
fn of_groups<'a, 'm>(
    by_groups: &'m mut FxHashMap<Stack, FxHashMap<String, BTreeMap<NetworkKind, Answer<'a>>>>,
    law: &'a RooflineFit,
    job: &Job,
) -> &'m Answer<'a> {
    let stack = &job.workload.framework;
    let by_chip = by_groups.entry(stack.clone()).or_default();
    by_chip
        .entry(chip::name(&job.system.accelerator).to_owned())
        .or_default()
        .entry(job.system.network_kind)
        .or_insert_with(|| law.answer(&Groups::for_job(job)))
}

fn scaling(
    job: &Job,
    calibration: &Calibration,
    laws: &ScalingLaws,
    level: f64,
) -> Result<LawEstimate> {
    let (features, substitutions) = calibration.features(job, laws.columns);
    let estimate = laws.evaluator(level)?.estimate(&features).map_err(|error| {
        Error::Data(format!("calibration {} cannot predict this job: {error}", calibration.name))
    })?;
    let [half_energy, half_duration, half_power] = estimate.half_widths;
    let interval = |log: f64, half: f64| log.is_finite().then(|| Interval::from_log(log, half));
    let log_power = estimate.log_energy_kwh + JOULES_PER_KWH.ln() - estimate.log_duration_s;
    let mut warnings: Vec<Warning> = substitutions.into_iter().map(Warning::substituted).collect();
    if half_energy.is_infinite() || half_duration.is_infinite() {
        warnings.push(Warning::too_few_runs(calibration, level));
    }
    Ok(LawEstimate {
        energy: ByScope::One(
            calibration.scope,
            interval(estimate.log_energy_kwh, half_energy).map(|i| i.scaled(JOULES_PER_KWH)),
        ),
        duration_s: interval(estimate.log_duration_s, half_duration),
        mean_power: ByScope::One(calibration.scope, interval(log_power, half_power)),
        efficiency: laws
            .energy
            .as_ref()
            .and_then(|f| f.law.predict_log_eta(&features).ok().flatten())
            .map(f64::exp),
        breakdown: Breakdown::Factors(factors::energy_factors(laws, &features)),
        power_limit: None,
        warnings,
    })
}

fn roofline(
    job: &Job,
    cost: &Cost,
    calibration: &Calibration,
    answer: &Answer<'_>,
    workspace: &mut Workspace,
    outside: &[Outside],
    level: f64,
) -> Result<LawEstimate> {
    let terms = Terms::from_cost(job, cost);
    let found = answer.estimate(&terms, Scope::Gpu, workspace);
    let LocalEstimate { mut estimate, discrepancy, .. } = found;
    for variable in outside {
        for beyond in DISTANCES.into_iter().filter(|beyond| variable.factor > *beyond) {
            let nearer = Terms::for_job(&near_the_edge(job, variable, beyond));
            let there = answer.estimate(&nearer, Scope::Gpu, workspace).estimate;
            estimate.variance_time = estimate.variance_time.max(there.variance_time);
            estimate.variance_power = estimate.variance_power.max(there.variance_power);
        }
    }
    let [time, power] = variances_beyond_runs(job, outside);
    estimate.variance_time += time;
    estimate.variance_power += power;
    let Parts { time, energy, limit } = found.parts(&terms);
    if !limit.met {
        return Err(unmet(job, calibration, &limit));
    }
    let log_gpus = (job.system.gpus as f64).ln();
    let (time_sd, power_sd) = (estimate.variance_time.sqrt(), estimate.variance_power.sqrt());
    let duration = LogNormal { log: estimate.log_time, log_sd: time_sd };
    let energy_sd = estimate.energy_sd();
    let of_gpus = GpuEnergy {
        energy: LogNormal {
            log: estimate.log_time + estimate.log_power + log_gpus,
            log_sd: energy_sd,
        },
        duration,
        correlation: Some(
            ((estimate.variance_time + estimate.covariance) / (time_sd * energy_sd))
                .clamp(-1.0, 1.0),
        ),
    };
    // power is the energy of one second
    let of_a_second = GpuEnergy {
        energy: LogNormal { log: estimate.log_power + log_gpus, log_sd: power_sd },
        duration: LogNormal { log: 0.0, log_sd: 0.0 },
        correlation: None,
    };
    let half = Reference::Normal.half_width(level)?;
    Ok(LawEstimate {
        energy: ByScope::Any(ScopedEnergy::new(of_gpus, &job.system, half)?),
        duration_s: Some(Interval::from_log(estimate.log_time, half * time_sd)),
        mean_power: ByScope::Any(ScopedEnergy::new(of_a_second, &job.system, half)?),
        efficiency: None,
        breakdown: Breakdown::Parts {
            time,
            energy,
            discrepancy: [discrepancy[0], discrepancy[0] * discrepancy[1]],
        },
        power_limit: Some(limit),
        warnings: Vec::new(),
    })
}

/// Standard deviations that ln time and ln power gain for each factor of e outside a fitted range.
///
/// Assumed: a factor of ten outside one range widens time by ×1.9 and power by ×1.3 at 95 %.
const DISTANCE_SD: [f64; 2] = [0.15, 0.05];

/// Variances that ln time and ln power gain outside the fitted ranges, and for each method that no run has: as much as the law
/// was seen to miss of a program without runs.
pub(crate) fn variances_beyond_runs(job: &Job, outside: &[Outside]) -> [f64; 2] {
    let distance: f64 = outside.iter().map(|o| o.factor.ln().powi(2)).sum();
    let methods = Unmeasured::of(job).len() as f64;
    let missed = missed_group(Level::Program);
    [0, 1].map(|k| DISTANCE_SD[k].powi(2) * distance + methods * missed[k].powi(2))
}

/// Factors outside a range at which a job beyond is looked at: it is never surer than a job between it and the range.
const DISTANCES: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0];

/// A warning for a law without fitted runs of the job's strategy.
fn unseen_strategy(job: &Job, calibration: &Calibration, seen: &[StrategyKind]) -> Option<Warning> {
    let strategy = job.parallelism.strategy().kind();
    // one GPU communicates with none; sharding of states alone costs what the ledger counts
    if seen.contains(&strategy) || strategy == StrategyKind::Baseline || strategy.is_sharded() {
        return None;
    }
    Some(Warning {
        kind: WarningKind::UnseenStrategy,
        text: format!(
            "{} has no runs of strategy `{strategy}`: communication is from physics only, and the interval does not cover its \
             error",
            calibration.name
        ),
    })
}

/// The error for a limit below the power at the lowest clock.
fn unmet(job: &Job, calibration: &Calibration, limit: &PowerLimit) -> Error {
    Error::invalid(
        "power_limit_w",
        limit.limit_w,
        format!(
            "{} draws {:.0} W in this job at its lowest clock ({MIN_CLOCK_SHARE} of the full clock), according to {}; set a \
             higher limit",
            job.system.accelerator.name, limit.draw_w, calibration.name
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobSpec;
    use crate::job::catalog::Catalog;

    /// Each of two methods without runs adds what the law missed of programs that were held out.
    #[test]
    fn methods_without_runs_widen_time_and_power() {
        let of = |workload: &str| {
            let text = format!(
                "model.name = 'gpt2'
                 workload = {{ steps = 1, seq_len = 1024, micro_batch = 1, {workload} }}
                 system = {{ gpu = 'a100-sxm4-80gb' }}"
            );
            let catalog = Catalog::built_in().unwrap();
            variances_beyond_runs(
                &JobSpec::from_toml(&text).unwrap().resolve(&catalog).unwrap(),
                &[],
            )
        };
        let [time, power] = missed_group(Level::Program).map(|sd| sd.powi(2));
        assert!(time > 0.0 && power > 0.0);
        assert_eq!(of("precision = 'bf16'"), [0.0, 0.0]);
        assert_eq!(of("frozen_layers = 1"), [time, power]);
        let both = "lora = { rank = 4 }, dora = true, quantization = 'nf4'";
        assert_eq!(of(both), [2.0 * time, 2.0 * power]);
    }
}
