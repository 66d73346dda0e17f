//! What a user should know before trusting a prediction.

use serde::Serialize;

use crate::base::scope::Scope;
use crate::base::words::words;
use crate::calibration::{Calibration, Laws, Outside};
use crate::job::Job;
use crate::job::workload::Checkpointing;

/// What a warning is about; scripts match on its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WarningKind {
    /// A variable lies outside the range of the fitted runs.
    OutsideRange,
    /// A strategy or family without runs of its own is answered as another.
    Substituted,
    /// No run of the calibration is on this accelerator.
    UnknownGpu,
    /// The law's answer is impossible; assumptions replace it.
    Impossible,
    /// The law has no variable for something in the job.
    NotInLaw,
    /// The job does not fit into the memory of a GPU.
    Memory,
    /// The calibration does not state what its energies cover.
    Scope,
    /// Too few held-out runs for an interval of this level.
    TooFewRuns,
    /// Too few runs on this accelerator; the interval is that of all accelerators together.
    FewRuns,
    /// No run of the calibration has this strategy.
    UnseenStrategy,
    /// The calibration knows times only; power is by assumption.
    AssumedPower,
    /// Energies of some of the calibration's runs were assumed.
    AssumedEnergy,
    /// The answer is without start-up and end of the run.
    StepsOnly,
    /// The interval is widened by an assumed factor.
    WiderByAssumption,
    /// The power limit lies outside what was measured.
    PowerLimit,
}

words!(WarningKind, "kind of warning":
    OutsideRange = "outside-range", Substituted = "substituted", UnknownGpu = "unknown-gpu", Impossible = "impossible", NotInLaw = "not-in-law", Memory = "memory", Scope = "scope", TooFewRuns = "too-few-runs", FewRuns = "few-runs", UnseenStrategy = "unseen-strategy", AssumedPower = "assumed-power", AssumedEnergy = "assumed-energy", StepsOnly = "steps-only", WiderByAssumption = "wider-by-assumption", PowerLimit = "power-limit");

/// A reason for care, as data: a kind that scripts can match, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What it is about.
    pub kind: WarningKind,
    /// The sentence.
    pub text: String,
}

impl Warning {
    pub(super) const fn substituted(text: String) -> Self {
        Self { kind: WarningKind::Substituted, text }
    }

    pub(super) fn too_few_runs(calibration: &Calibration, level: f64) -> Self {
        Self {
            kind: WarningKind::TooFewRuns,
            text: format!(
                "{} has too few held-out runs for a {:.0} % interval; its ends are open",
                calibration.name,
                level * 100.0
            ),
        }
    }
}

/// Warnings for variables outside the fitted range: one sentence each, with value, range and distance.
pub(super) fn for_range(outside: &[Outside], calibration: &Calibration) -> Vec<Warning> {
    outside
        .iter()
        .map(|o| Warning {
            kind: WarningKind::OutsideRange,
            text: format!(
                "{} {} lies {} times outside the {} to {} that {} was fitted on",
                o.variable,
                plain(o.value),
                plain(o.factor),
                plain(o.min),
                plain(o.max),
                calibration.name
            ),
        })
        .collect()
}

/// Lowest power limit, as a share of TDP, that the clock law was fitted on: 100 of 300 W on A40.
const MIN_LIMIT_SHARE: f64 = 1.0 / 3.0;

/// Warnings for what the law does not know of a job.
pub(super) fn for_job(job: &Job, calibration: &Calibration) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |kind, text| warnings.push(Warning { kind, text });
    let data = &calibration.data;
    if data.energies_assumed > 0 {
        warn(
            WarningKind::AssumedEnergy,
            format!(
                "in {} of the {} runs that {} was fitted on energy was assumed, all or in part, and not measured; so is what it \
                 says of energy and power",
                data.energies_assumed, data.rows, calibration.name
            ),
        );
    }
    let gpu = &job.system.accelerator.name;
    let seen = calibration.seen("gpu");
    if !seen.iter().any(|s| s == gpu) {
        warn(
            WarningKind::UnknownGpu,
            format!(
                "{} was fitted on {} and not on {gpu}; accelerators differ in ways that it cannot know, and runs of \
                 your own would tell",
                calibration.name,
                seen.join(", ")
            ),
        );
    }
    let mut left_out = Vec::new();
    let (limit, tdp) = (job.system.power_limit.value(), job.system.accelerator.tdp_w);
    // the roofline law counts them
    if matches!(calibration.law, Laws::Scaling(_)) {
        if job.workload.lora.is_some() {
            left_out.push("LoRA");
        }
        if job.workload.checkpointing != Checkpointing::None {
            left_out.push("activation checkpointing");
        }
        if limit < tdp {
            left_out.push("the power limit");
        }
    }
    if !left_out.is_empty() {
        warn(
            WarningKind::NotInLaw,
            format!(
                "{} does not know {}; the answer is as without",
                calibration.name,
                left_out.join(" or ")
            ),
        );
    }
    if matches!(calibration.law, Laws::Roofline(_)) {
        if limit < MIN_LIMIT_SHARE * tdp {
            warn(
                WarningKind::PowerLimit,
                format!(
                    "a power limit of {} W is {:.2} of the TDP; none below a third was measured, and many accelerators refuse \
                     them",
                    plain(limit),
                    limit / tdp
                ),
            );
        } else if limit > tdp {
            warn(
                WarningKind::PowerLimit,
                format!(
                    "a power limit of {} W is above the TDP of {} W; the answer is as without",
                    plain(limit),
                    plain(tdp)
                ),
            );
        }
    }
    let knows_energy = match &calibration.law {
        Laws::Scaling(laws) => laws.energy.is_some(),
        Laws::Roofline(laws) => laws.machine(gpu).0.knows_energy() || laws.pooled.knows_energy(),
    };
    if calibration.scope == Scope::Unstated && knows_energy {
        warn(
            WarningKind::Scope,
            format!(
                "{} does not say what its energies cover (GPUs, node, facility)",
                calibration.name
            ),
        );
    }
    warnings
}

/// A number as people read it: whole where it is, in three digits else, large ones as flags take them (`8.24M`).
pub(super) fn plain(value: f64) -> String {
    let suffixes = [(1e12, "T"), (1e9, "B"), (1e6, "M")];
    match suffixes.iter().find(|(size, _)| value >= *size) {
        _ if !(0.01..1e15).contains(&value) => format!("{value:.2e}"),
        Some((size, suffix)) => format!("{}{suffix}", plain(value / size)),
        None if value.fract() == 0.0 || value >= 100.0 => format!("{value:.0}"),
        None => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn numbers_are_readable() {
        let shown = [0.001, 1.213, 87.66, 2048.0, 631_766.0, 8_243_312.0, 1e7, 1.5e9].map(plain);
        assert_eq!(shown, ["1.00e-3", "1.21", "87.66", "2048", "631766", "8.24M", "10M", "1.50B"]);
    }
}
