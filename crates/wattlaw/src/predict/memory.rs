//! Peak memory in a prediction: the estimate with its interval, its parts in GiB, and advice to make the job fit.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Interval, Warning, WarningKind};
use crate::base::error::Result;
use crate::job::Job;
use crate::memory::{Memory, Recipe};
use crate::stats::conformal::Conformal;

/// Absolute logarithmic errors of the estimates of 706 measured peaks; `tests/it/memory_measured.rs` writes the file.
const SPREAD: &str = include_str!("../../calibrations/memory-2026.json");

/// Peak memory of the GPU with the highest peak.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeakMemory {
    /// The estimate in GiB.
    pub peak_gib_per_gpu: f64,
    /// The estimate with its interval in GiB: errors of nanotron's measured peaks on H100, assumed for PyTorch.
    pub peak_gib: Interval,
    /// GPU memory available to a process, in GiB.
    pub capacity_gib: f64,
    /// Whether the required memory is within the capacity.
    pub fits: bool,
    /// The pipeline stage with the highest peak.
    pub stage: u64,
    /// The parts in GiB.
    pub parts_gib: BTreeMap<&'static str, f64>,
    /// Changes that make the job fit, each with its estimated peak; empty if it fits with a margin.
    pub advice: Vec<String>,
}

impl PeakMemory {
    /// Estimates the memory of a job with PyTorch's recipe.
    ///
    /// # Errors
    /// As [`Conformal::half_width`], for the level.
    pub(super) fn for_job(job: &Job, level: f64) -> Result<Self> {
        let memory = Memory::for_job(job);
        let peak = memory.peak().gib();
        let spread = spread()?.half_width(level)?;
        Ok(Self {
            peak_gib_per_gpu: peak,
            peak_gib: Interval::from_log(peak.ln(), spread),
            capacity_gib: memory.capacity.gib(),
            fits: memory.fits,
            stage: memory.stage,
            parts_gib: memory.parts().map(|(name, bytes)| (name, bytes.gib())).collect(),
            advice: Memory::advice(job, &Recipe::PYTORCH).iter().map(ToString::to_string).collect(),
        })
    }

    /// The warning for a job that does not fit.
    pub(super) fn warning(&self) -> Option<Warning> {
        if self.fits {
            return None;
        }
        let largest = self.parts_gib.iter().max_by(|a, b| a.1.total_cmp(b.1));
        let largest = largest
            .map_or_else(String::new, |(name, gib)| format!(", mostly {name} ({gib:.1} GiB)"));
        let advice = match self.advice.as_slice() {
            [] => "no tried change makes it fit".to_owned(),
            changes => format!("changes that make it fit: {}", changes.join("; ")),
        };
        Some(Warning {
            kind: WarningKind::Memory,
            text: format!(
                "the job needs {:.1} GiB per GPU, but {:.1} GiB are available{largest}; {advice}",
                self.peak_gib_per_gpu, self.capacity_gib
            ),
        })
    }
}

fn spread() -> Result<Conformal> {
    serde_json::from_str(SPREAD)
        .map_err(|e| crate::Error::Syntax { format: "memory spread", message: e.to_string() })
}
