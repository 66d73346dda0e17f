//! The estimate of a calibration's law for a job, whichever kind of law it holds.

use serde::Serialize;

use super::{Factor, Interval, Warning, WarningKind, factors};
use crate::base::error::{Error, Result};
use crate::base::scope::{Covers, Scope};
use crate::base::units::JOULES_PER_KWH;
use crate::calibration::{Calibration, Laws, ScalingLaws};
use crate::job::Job;
use crate::job::parallelism::StrategyKind;
use crate::law::roofline::clock::{MIN_CLOCK_SHARE, PowerLimit};
use crate::law::roofline::laws::RooflineLaws;
use crate::law::roofline::physics::{EnergyParts, Physics, PhysicsEstimate, TimeParts};

/// Factor either way that covers an accelerator whose runs were never measured, where no other was held out either.
///
/// Assumed; with several accelerators in a table their own differences are measured instead.
const UNSEEN_GPU_FACTOR: f64 = 2.0;

/// Factor either way that covers a family whose runs were never measured on an accelerator that is known.
///
/// Assumed: BERT under a law shared with GPT on one accelerator is off by a sixth in the median
/// (`docs/project/accuracy.md`).
const UNSEEN_FAMILY_FACTOR: f64 = 1.5;

/// The fewest kinds of accelerators whose differences, held out one by one, stand for those of one that was not seen.
const MIN_ACCELERATORS: usize = 3;

/// Factor either way that covers power where only times were measured and power parameters are physical defaults.
///
/// Assumed: from idle accelerators (a third of the limit) to those at their limit.
const UNSEEN_POWER_FACTOR: f64 = 1.4;

/// Share of the logarithm by which a power limit stretches time that widens the intervals of time and energy: no
/// calibration has runs under a limit.
///
/// Assumed: the wider the stretch, the farther were the ratios of BERT on V100 and A40 off
/// (`docs/project/accuracy.md`).
const UNSEEN_LIMIT_SHARE: f64 = 0.5;

/// What an estimate is made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Breakdown {
    /// Of a scaling law: factors whose product is the energy.
    Factors(Vec<Factor>),
    /// Of a roofline law: parts that add up to the physics' time and energy, and the factors by which the discrepancy
    /// changes both.
    Parts {
        /// Seconds by what they are spent on.
        time: TimeParts,
        /// Joules by what they are spent on.
        energy: EnergyParts,
        /// What the learnt discrepancy multiplies time and energy by; 1 without one.
        discrepancy: [f64; 2],
    },
}

/// Energy, time and mean power with intervals, before anything is checked against what is possible.
pub(super) struct LawEstimate {
    pub energy_j: Option<Interval>,
    pub duration_s: Option<Interval>,
    pub mean_power_w: Option<Interval>,
    pub efficiency: Option<f64>,
    pub breakdown: Breakdown,
    pub power_limit: Option<PowerLimit>,
    pub warnings: Vec<Warning>,
    pub scope: Scope,
}

/// Estimates a job by the calibration's laws.
///
/// # Errors
/// [`Error::Invalid`] for a level outside 0 to 1; [`Error::Data`] where the laws cannot place the job.
pub(super) fn estimate(job: &Job, calibration: &Calibration, level: f64) -> Result<LawEstimate> {
    match &calibration.law {
        Laws::Scaling(laws) => scaling(job, calibration, laws, level),
        Laws::Roofline(laws) => roofline(job, calibration, laws, level),
    }
}

fn scaling(
    job: &Job,
    calibration: &Calibration,
    laws: &ScalingLaws,
    level: f64,
) -> Result<LawEstimate> {
    let (features, substitutions) = calibration.features(job, laws.columns);
    let estimate = laws.evaluator(level)?.estimate(&features).map_err(|error| {
        Error::Data(format!("calibration {} cannot answer for this job: {error}", calibration.name))
    })?;
    let [half_energy, half_duration, half_power] = estimate.half_widths;
    let interval = |log: f64, half: f64| log.is_finite().then(|| Interval::from_log(log, half));
    let log_power = estimate.log_energy_kwh + JOULES_PER_KWH.ln() - estimate.log_duration_s;
    let mut warnings: Vec<Warning> = substitutions.into_iter().map(Warning::substituted).collect();
    if half_energy.is_infinite() || half_duration.is_infinite() {
        warnings.push(Warning::too_few_runs(calibration, level));
    }
    Ok(LawEstimate {
        energy_j: interval(estimate.log_energy_kwh, half_energy).map(|i| i.scaled(JOULES_PER_KWH)),
        duration_s: interval(estimate.log_duration_s, half_duration),
        mean_power_w: interval(log_power, half_power),
        efficiency: laws
            .energy
            .as_ref()
            .and_then(|f| f.law.predict_log_eta(&features).ok().flatten())
            .map(f64::exp),
        breakdown: Breakdown::Factors(factors::energy_factors(laws, &features)),
        power_limit: None,
        warnings,
        scope: calibration.scope,
    })
}

fn roofline(
    job: &Job,
    calibration: &Calibration,
    laws: &RooflineLaws,
    level: f64,
) -> Result<LawEstimate> {
    let (machine, own) = laws.machine(&job.system.accelerator.name);
    let terms = machine.terms_for(job);
    let predicted = machine.predict(&terms);
    let [(log_time, _), (log_energy, _)] = predicted;
    let mut halves = machine.half_widths_of(&terms, predicted, level)?;
    let mut warnings = Vec::new();
    if machine.covers != Covers::Run {
        warnings.push(Warning {
            kind: WarningKind::StepsOnly,
            text: format!(
                "{} was fitted on the steps of runs: what comes before the first and after the last is not in the answer",
                calibration.name
            ),
        });
    }
    let borrowed = own && halves[0].is_infinite();
    if borrowed {
        halves = laws.pooled.half_widths(&terms, level)?;
        warnings.push(Warning {
            kind: WarningKind::FewRuns,
            text: format!(
                "{} has too few runs on this accelerator for a spread of its own; the interval is that of the law that all \
                 its accelerators share",
                calibration.name
            ),
        });
    }
    let PhysicsEstimate { time, energy, limit } =
        Physics(machine.fit.parameters()).estimate(&terms);
    if !limit.met {
        return Err(unmet(job, calibration, &limit));
    }
    let [mut half_time, mut half_energy, mut half_power] = halves;
    if limit.binds {
        let wider = UNSEEN_LIMIT_SHARE * limit.time_factor.ln();
        half_time = half_time.hypot(wider);
        half_energy = half_energy.hypot(wider);
        warnings.push(Warning {
            kind: WarningKind::WiderByAssumption,
            text: format!(
                "{} has no runs under a power limit; its intervals of time and energy are widened by a factor {:.2}, half of what \
                 the limit stretches, which is an assumption",
                calibration.name,
                wider.exp()
            ),
        });
    }
    let family = job.architecture.family().name();
    let known_family = calibration.seen("family").iter().any(|f| f == family);
    warnings.extend(unseen_strategy(job, calibration));
    let mut wider = Vec::new();
    if (!own || borrowed) && laws.accelerators < MIN_ACCELERATORS {
        wider.push(("accelerator", UNSEEN_GPU_FACTOR));
    }
    if !known_family {
        wider.push(("family", UNSEEN_FAMILY_FACTOR));
    }
    for (what, factor) in wider {
        for half in [&mut half_time, &mut half_energy, &mut half_power] {
            *half = half.hypot(factor.ln());
        }
        warnings.push(Warning {
            kind: WarningKind::WiderByAssumption,
            text: format!(
                "{} has too few runs to tell of this {what}; its interval is widened by a factor {factor}, which is an \
                 assumption",
                calibration.name
            ),
        });
    }
    // a machine adjusted to a few runs has no spread of its own and knows what its parent knew
    let knows_energy = machine.knows_energy() || laws.pooled.knows_energy();
    if !knows_energy {
        half_power = UNSEEN_POWER_FACTOR.ln();
        half_energy = half_time.hypot(half_power);
        warnings.push(Warning {
            kind: WarningKind::AssumedPower,
            text: format!(
                "{} knows times and no energies: power is by assumption (physical defaults within a factor {UNSEEN_POWER_FACTOR}), \
                 and so is that part of the energy",
                calibration.name
            ),
        });
    }
    if half_time.is_infinite() {
        warnings.push(Warning::too_few_runs(calibration, level));
    }
    let discrepancy =
        [(log_time - time.total_s.ln()).exp(), (log_energy - energy.total_j.ln()).exp()];
    Ok(LawEstimate {
        energy_j: Some(Interval::from_log(log_energy, half_energy)),
        duration_s: Some(Interval::from_log(log_time, half_time)),
        mean_power_w: Some(Interval::from_log(log_energy - log_time, half_power)),
        efficiency: None,
        breakdown: Breakdown::Parts { time, energy, discrepancy },
        power_limit: Some(limit),
        warnings,
        // the physical defaults are of accelerators and hosts behind their power supplies
        scope: if knows_energy { calibration.scope } else { Scope::NodeDc },
    })
}

/// A warning where the law was fitted on no run of the job's strategy.
fn unseen_strategy(job: &Job, calibration: &Calibration) -> Option<Warning> {
    let strategy = job.parallelism.strategy().kind();
    let seen = calibration.strategies();
    if seen.contains(&strategy) {
        return None;
    }
    if strategy.is_sharded() && seen.contains(&StrategyKind::Fsdp) {
        return Some(Warning::substituted(format!(
            "{} has no runs of strategy `{strategy}`; `{}` is used instead",
            calibration.name,
            StrategyKind::Fsdp
        )));
    }
    Some(Warning {
        kind: WarningKind::UnseenStrategy,
        text: format!(
            "{} has no runs of strategy `{strategy}`: communication is estimated from physics only; the interval does not \
             cover this error",
            calibration.name
        ),
    })
}

/// A limit that even the lowest clock does not meet.
fn unmet(job: &Job, calibration: &Calibration, limit: &PowerLimit) -> Error {
    Error::invalid(
        "power_limit_w",
        limit.limit_w,
        format!(
            "{} draws {:.0} W in this job even at {MIN_CLOCK_SHARE} of its clock, the lowest, by {}; give a higher limit",
            job.system.accelerator.name, limit.draw_w, calibration.name
        ),
    )
}
