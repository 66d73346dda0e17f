//! The calibrations that come with wattlaw, and which of them answers for a job.
//!
//! They hold fitted numbers, not the measured runs: `calibrations/README.md` says how they were made and from what.

use super::Calibration;
use crate::architecture::Family;
use crate::dataset::ColumnsOf;
use crate::error::Result;
use crate::features::Features;
use crate::job::Job;

/// The calibrations that come with wattlaw, by name.
const EMBEDDED: [(&str, &str); 3] = [
    ("bert-2026", include_str!("../../calibrations/bert-2026.json")),
    ("gpt-2026", include_str!("../../calibrations/gpt-2026.json")),
    ("any-gpu-2026", include_str!("../../calibrations/any-gpu-2026.json")),
];

/// The calibrations that come with wattlaw.
///
/// # Errors
/// None in a released build; a damaged file would be named as in [`Calibration::from_json`].
pub fn embedded() -> Result<Vec<Calibration>> {
    EMBEDDED.iter().map(|(_, text)| Calibration::from_json(text)).collect()
}

/// A calibration chosen for a job, the columns it is asked with, and what was bent to make them fit.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The calibration.
    pub calibration: Calibration,
    /// Why this one.
    pub reason: String,
}

/// The embedded calibration that knows most about a job: its family's where that has runs of the accelerator, else the
/// one that holds for any accelerator.
///
/// # Errors
/// As [`embedded`].
pub fn choose(job: &Job) -> Result<Choice> {
    let gpu = &job.system.accelerator.name;
    let family = job.architecture.family();
    let own = match family {
        Family::Bert => Some("bert-2026"),
        Family::Gpt => Some("gpt-2026"),
        _ => None,
    };
    if let Some(name) = own {
        let calibration = by_name(name)?;
        if calibration.seen("gpu").contains(gpu) {
            return Ok(Choice {
                calibration,
                reason: format!("it has runs of {family} models on {gpu}"),
            });
        }
    }
    let reason = format!(
        "no embedded calibration has runs of {family} models on {gpu}; this one holds for any accelerator, and widely"
    );
    Ok(Choice { calibration: by_name("any-gpu-2026")?, reason })
}

fn by_name(name: &str) -> Result<Calibration> {
    let (_, text) = EMBEDDED.iter().find(|(n, _)| *n == name).ok_or_else(|| {
        crate::error::Error::unknown("calibration", name, EMBEDDED.map(|(n, _)| n))
    })?;
    Calibration::from_json(text)
}

impl Calibration {
    /// The columns of a job with its strategy and family replaced by the nearest that were seen, and a sentence for
    /// each that was.
    pub fn features(&self, job: &Job, columns: ColumnsOf) -> (Features, Vec<String>) {
        let mut features = Features::of(job, columns);
        let mut bent = Vec::new();
        let strategies = self.seen("strategy");
        if !strategies.is_empty() && !strategies.contains(&features.strategy) {
            // more than one GPU without a regime of its own is answered as sharded, the costlier in traffic
            let order: &[&str] = if job.parallelism.gpus() == 1 {
                &["baseline", "single", "fsdp"]
            } else {
                &["fsdp", "ddp", "tp", "baseline"]
            };
            if let Some(nearest) = order.iter().find(|s| strategies.iter().any(|k| k == *s)) {
                bent.push(format!(
                    "{} has no runs of strategy `{}`; answered as `{nearest}`",
                    self.name, features.strategy
                ));
                features.strategy = (*nearest).to_owned();
            }
        }
        let families = self.seen("family");
        if !families.is_empty() && !families.contains(&features.family) {
            let order: &[&str] = match job.architecture.family() {
                Family::Bert | Family::Vit => &["bert", "gpt"],
                _ => &["gpt", "llama", "bert"],
            };
            if let Some(nearest) = order.iter().find(|f| families.iter().any(|k| k == *f)) {
                bent.push(format!(
                    "{} has no runs of {} models; answered as `{nearest}`",
                    self.name, features.family
                ));
                features.family = (*nearest).to_owned();
            }
        }
        (features, bent)
    }
}
