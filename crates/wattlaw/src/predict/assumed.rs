//! The estimate that replaces an impossible estimate of a law: stated assumptions on peak and power, with a wide
//! interval.

use super::scope::{EnergyByScope, GpuEnergy, LogNormal};
use super::warnings::{Warning, WarningKind, plain};
use super::{Cost, Interval};
use crate::base::error::{Error, Result};
use crate::job::Job;
use crate::job::system::System;
use crate::stats::inference::Reference;

/// Model FLOPs utilisation (MFU) of large training runs, and the factor that covers most of them.
///
/// Source: model-FLOPs utilisation of published runs spreads from 21 % (GPT-3) over 46 % (PaLM 540B) to 52 % (Megatron
/// 530B on A100): Chowdhery et al. 2022, table 3. The factor covers smaller and communication-bound jobs.
const MFU: f64 = 0.4;
const DURATION_FACTOR: f64 = 3.0;

/// Share of TDP that busy accelerators draw.
///
/// Source: eight H100 peak 18 % below the node's rating (Latif et al. 2024, arXiv 2412.08602), nodes run at 76 % of
/// their TDP (Newkirk et al. 2025).
const POWER_SHARE: f64 = 0.8;
const POWER_FACTOR: f64 = 1.4;

/// Upper bound of power: twice the accelerators' power limits plus 500 W per host.
///
/// Source: DGX A100 is rated at 6.5 kW for accelerators of 3.2 kW, DGX H100 at 10.2 for 5.6 (NVIDIA's user guides); a
/// server with two processors draws some 500 W. No run that the embedded calibrations were fitted on is above a third
/// of it.
const MAX_LIMIT_FACTOR: f64 = 2.0;
const HOST_W: f64 = 500.0;

/// The estimate from assumptions.
pub(super) struct AssumedEstimate {
    pub energy: EnergyByScope,
    pub duration: Interval,
    pub power: EnergyByScope,
    pub reason: String,
}

/// A warning if the law's time is below the time at peak FLOP/s, or its power is above what accelerators and hosts can
/// draw.
pub(super) fn impossible(
    job: &Job,
    cost: &Cost,
    duration: Option<Interval>,
    power: Option<Interval>,
) -> Option<Warning> {
    let system = &job.system;
    let machines = || format!("{} × {}", job.parallelism.gpus(), system.accelerator.name);
    let too_fast = duration.zip(at_peak_s(job, cost)).filter(|(law, peak)| law.estimate < *peak);
    let most = most_power_w(system.power_limit.value(), system);
    let too_strong = power.filter(|law| law.estimate > most);
    let found = match (too_fast, too_strong) {
        (Some((law, peak)), _) => format!(
            "the law's {} s is less than the {} s that {} need at peak",
            plain(law.estimate),
            plain(peak),
            machines()
        ),
        (None, Some(law)) => format!(
            "the law's {} W is more than the {} W that {} and their hosts can draw",
            plain(law.estimate),
            plain(most),
            machines()
        ),
        (None, None) => return None,
    };
    Some(Warning {
        kind: WarningKind::Impossible,
        text: format!("{found}, so assumptions replace it; fit a calibration on runs of your own"),
    })
}

/// The most that accelerators and hosts of a system can draw under a power limit, in watts.
pub(crate) fn most_power_w(power_limit_w: f64, system: &System) -> f64 {
    MAX_LIMIT_FACTOR * power_limit_w * system.gpus as f64 + HOST_W * system.nodes() as f64
}

/// The estimate at the assumed MFU and share of the power limit.
///
/// # Errors
/// [`Error::Invalid`] where the accelerator has no peak for the precision; a checked job has one.
pub(super) fn estimate(job: &Job, cost: &Cost, level: f64) -> Result<AssumedEstimate> {
    let at_peak = at_peak_s(job, cost).ok_or_else(|| {
        Error::invalid("precision", job.workload.precision, "the accelerator has no peak for it")
    })?;
    let gpus = job.parallelism.gpus() as f64;
    let duration = Interval::from_log((at_peak / MFU).ln(), DURATION_FACTOR.ln());
    // the time at peak FLOP/s is a lower bound
    let duration = Interval { lower: duration.lower.max(at_peak), ..duration };
    let limit = job.system.power_limit.value() * gpus;
    let power = Interval::from_log((POWER_SHARE * limit).ln(), POWER_FACTOR.ln());
    let power = Interval { upper: power.upper.min(limit), ..power };
    // the same factors as standard deviations, for scopes that add the host
    let half = Reference::Normal.half_width(level)?;
    let (duration_sd, power_sd) = (DURATION_FACTOR.ln() / half, POWER_FACTOR.ln() / half);
    let of = |log: f64, log_sd: f64| LogNormal { log, log_sd };
    let log_energy = (duration.estimate * power.estimate).ln();
    let of_gpus = GpuEnergy {
        energy: of(log_energy, duration_sd + power_sd),
        duration: of(duration.estimate.ln(), duration_sd),
        correlation: None,
    };
    let of_a_second = GpuEnergy {
        energy: of(power.estimate.ln(), power_sd),
        duration: of(0.0, 0.0),
        correlation: None,
    };
    let energy = Interval {
        estimate: duration.estimate * power.estimate,
        lower: duration.lower * power.lower,
        upper: duration.upper * power.upper,
    };
    Ok(AssumedEstimate {
        energy: EnergyByScope { gpu: energy, ..of_gpus.by_scope(&job.system, level)? },
        duration,
        power: EnergyByScope { gpu: power, ..of_a_second.by_scope(&job.system, level)? },
        reason: format!(
            "assumed {MFU} of peak FLOP/s within a factor {DURATION_FACTOR} and {POWER_SHARE} of the power limit \
             within a factor {POWER_FACTOR}; these are no fitted {:.0} % intervals",
            level * 100.0
        ),
    })
}

fn at_peak_s(job: &Job, cost: &Cost) -> Option<f64> {
    let peak = job.system.accelerator.peak(job.workload.precision)?;
    Some(cost.model_flops().value() / (peak.value() * job.parallelism.gpus() as f64))
}
