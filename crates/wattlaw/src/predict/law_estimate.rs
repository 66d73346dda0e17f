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

/// Half-width factor for an accelerator without measured runs, where no held-out accelerators give one.
///
/// Assumed; with several accelerators in a table, their differences are measured instead.
const UNSEEN_GPU_FACTOR: f64 = 2.0;

/// Half-width factor for a family without measured runs on a fitted accelerator.
///
/// Assumed: BERT under a law shared with GPT on one accelerator has a median error of a sixth
/// (`docs/project/accuracy.md`).
const UNSEEN_FAMILY_FACTOR: f64 = 1.5;

/// Fewest accelerators whose leave-one-out errors represent those of an unseen one.
const MIN_ACCELERATORS: usize = 3;

/// Half-width factor for power where only times were measured and power parameters are physical defaults.
///
/// Assumed: from idle accelerators (a third of the limit) to accelerators at their limit.
const UNSEEN_POWER_FACTOR: f64 = 1.4;

/// Share of the logarithmic time factor of a power limit that widens the intervals of time and energy, since no
/// calibration has runs under a limit.
///
/// Assumed: the errors of the ratios of BERT on V100 and A40 grow with the time factor
/// (`docs/project/accuracy.md`).
const UNSEEN_LIMIT_SHARE: f64 = 0.5;

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

/// Energy, time and mean power with intervals, before the check for impossible estimates.
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
/// [`Error::Invalid`] for a level outside 0 to 1; [`Error::Data`] where the laws cannot predict the job.
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
                "{} was fitted on the steps of runs; the prediction does not include start-up and end",
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
                "{} has too few runs on this accelerator for an interval of its own; the interval is that of the law shared by \
                 all its accelerators",
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
                "{} has no runs under a power limit; the intervals of time and energy are widened by an assumed factor {:.2}, \
                 the square root of the time factor",
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
                "{} has too few runs for this {what}; the interval is widened by an assumed factor {factor}",
                calibration.name
            ),
        });
    }
    // a machine adapted to a few runs has no residuals of its own; its power parameters come from the parent
    let knows_energy = machine.knows_energy() || laws.pooled.knows_energy();
    if !knows_energy {
        half_power = UNSEEN_POWER_FACTOR.ln();
        half_energy = half_time.hypot(half_power);
        warnings.push(Warning {
            kind: WarningKind::AssumedPower,
            text: format!(
                "{} has times but no energies; power is assumed (physical defaults within a factor {UNSEEN_POWER_FACTOR}), and so \
                 is its part of the energy",
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
        // the physical defaults cover accelerators and hosts behind their power supplies
        scope: if knows_energy { calibration.scope } else { Scope::NodeDc },
    })
}

/// A warning for a law without fitted runs of the job's strategy.
fn unseen_strategy(job: &Job, calibration: &Calibration) -> Option<Warning> {
    let strategy = job.parallelism.strategy().kind();
    let seen = calibration.strategies();
    // one GPU communicates with none
    if seen.contains(&strategy) || strategy == StrategyKind::Baseline {
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
