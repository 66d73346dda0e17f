//! Peak memory in a prediction: the estimate with its interval, whether it fits, its parts in GiB, and advice to make the
//! job fit.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Interval, Warning, WarningKind};
use crate::base::error::Result;
use crate::base::words::words;
use crate::job::Job;
use crate::job::workload::Framework;
use crate::memory::{FITS_THRESHOLD, Memory, MemoryPart, PeakPhase, Recipe};
use crate::stats::inference::Reference;

/// Whether a job fits, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The probability is at or above the threshold.
    Fits,
    /// Between.
    Tight,
    /// The probability is at or below the complement of the threshold.
    DoesNotFit,
}

words!(Verdict, "verdict": Fits = "fits", Tight = "tight", DoesNotFit = "does not fit");

/// Peak memory of the GPU with the highest peak.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeakMemory {
    /// The estimate in GiB.
    pub peak_gib_per_gpu: f64,
    /// The estimate with its interval in GiB.
    pub peak_gib: Interval,
    /// GPU memory available to a process, in GiB.
    pub capacity_gib: f64,
    /// The framework whose recipe was counted.
    pub recipe: Framework,
    /// The probability that the job fits, from the errors of the recipe on measured runs.
    pub fits_probability: f64,
    /// Whether the memory that cannot be given back is within the capacity: a probability of at least one half.
    pub fits: bool,
    /// The probability in a word, by a threshold.
    pub fits_word: Verdict,
    /// Memory of a node's host that offloaded states take, GiB.
    pub host_gib_per_node: f64,
    /// The phase of a step in which memory peaks.
    pub peak_phase: PeakPhase,
    /// The pipeline stage with the highest peak.
    pub stage: u64,
    /// The parts in GiB, by name.
    #[serde(serialize_with = "with_unit")]
    pub parts: BTreeMap<MemoryPart, f64>,
    /// The least that the job takes with every change that was tried, in GiB.
    #[serde(skip)]
    least_gib: f64,
    /// Changes that make the job fit, each with its estimated peak; empty if it fits.
    pub advice: Vec<String>,
}

impl PeakMemory {
    /// Estimates the memory of a job with the recipe of its framework.
    ///
    /// # Errors
    /// As [`Reference::half_width`], for the level; as [`Recipe::for_job`].
    pub(super) fn for_job(job: &Job, level: f64) -> Result<Self> {
        let recipe = Recipe::for_job(job)?;
        let memory = Memory::with_recipe(job, &recipe);
        let peak = memory.peak().gib();
        let half_width = recipe.log_sd * Reference::Normal.half_width(level)?;
        let fits_probability = memory.fits_probability();
        let advice = Memory::advice(job, &recipe);
        let least = if memory.fits { memory } else { Memory::least(job, &recipe) };
        Ok(Self {
            peak_gib_per_gpu: peak,
            peak_gib: Interval::from_log(peak.ln(), half_width),
            capacity_gib: memory.capacity.gib(),
            recipe: job.workload.framework.framework,
            fits_probability,
            fits: memory.fits,
            fits_word: word(fits_probability, FITS_THRESHOLD),
            peak_phase: memory.peak_phase,
            stage: memory.stage,
            parts: memory.parts().map(|(part, bytes)| (part, bytes.gib())).collect(),
            host_gib_per_node: memory.host.gib() * job.system.gpus_per_node as f64,
            least_gib: least.needed.gib(),
            advice: advice.iter().map(ToString::to_string).collect(),
        })
    }

    /// The same with the word for another threshold, a probability.
    #[must_use]
    pub fn with_threshold(self, threshold: f64) -> Self {
        Self { fits_word: word(self.fits_probability, threshold), ..self }
    }

    /// The warning for a job that does not fit.
    pub(super) fn warning(&self) -> Option<Warning> {
        if self.fits {
            return None;
        }
        let largest = self.parts.iter().max_by(|a, b| a.1.total_cmp(b.1));
        let largest = largest
            .map_or_else(String::new, |(name, gib)| format!(", mostly {name} ({gib:.1} GiB)"));
        let advice = match self.advice.as_slice() {
            [] => format!(
                "no tried change makes it fit: with all of them it takes a GPU of {:.0} GiB",
                self.least_gib
            ),
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

/// Writes the parts with their unit: `weights_gib`.
fn with_unit<S: serde::Serializer>(
    parts: &BTreeMap<MemoryPart, f64>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_map(
        parts.iter().map(|(part, gib)| (format!("{}_gib", part.name().replace('-', "_")), gib)),
    )
}

fn word(probability: f64, threshold: f64) -> Verdict {
    if probability >= threshold {
        Verdict::Fits
    } else if probability <= 1.0 - threshold {
        Verdict::DoesNotFit
    } else {
        Verdict::Tight
    }
}
