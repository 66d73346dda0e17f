//! The built-in calibrations, and the selection of one for a job.
//!
//! They hold fitted numbers, not the measured runs; `calibrations/README.md` states how they were made and from which
//! data.

use serde::Deserialize;

use super::{Calibration, Outside, Range, range};
use crate::base::error::{Error, Result};
use crate::data::dataset::ProxyColumns;
use crate::data::features::Features;
use crate::job::Job;
use crate::job::model::Family;

/// The built-in calibrations by name.
const EMBEDDED: [(&str, &str); 7] = [
    ("roofline-gpt-2026", include_str!("../../calibrations/roofline-gpt-2026.json")),
    ("roofline-bert-2026", include_str!("../../calibrations/roofline-bert-2026.json")),
    ("roofline-a100-large", include_str!("../../calibrations/roofline-a100-large.json")),
    ("roofline-h100-large", include_str!("../../calibrations/roofline-h100-large.json")),
    ("bert-2026", include_str!("../../calibrations/bert-2026.json")),
    ("gpt-2026", include_str!("../../calibrations/gpt-2026.json")),
    ("any-gpu-2026", include_str!("../../calibrations/any-gpu-2026.json")),
];

/// How many of [`EMBEDDED`], from the first, are candidates when the user names none: the roofline laws. They are more
/// accurate on held-out runs of known accelerators than the study's law (`docs/project/accuracy.md`); on accelerators
/// without runs neither is accurate.
const CANDIDATES: usize = 4;

/// Distance, as a factor, of a calibration without runs of the job's accelerator or family.
const OTHER_GPU_FACTOR: f64 = 8.0;
const OTHER_FAMILY_FACTOR: f64 = 3.0;

/// The calibrations that come with wattlaw.
///
/// # Errors
/// None in a released build; those of [`Calibration::from_json`] for a damaged file.
pub fn embedded() -> Result<Vec<Calibration>> {
    EMBEDDED.iter().map(|(_, text)| Calibration::from_json(text)).collect()
}

/// The calibration selected for a job, and the reason.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The calibration.
    pub calibration: Calibration,
    /// Why it was selected.
    pub reason: String,
}

/// Selects the embedded calibration whose runs are nearest to a job. The distance is the product of the factors by
/// which the job's variables lie outside the fitted ranges, with one factor for an unseen accelerator and one for an
/// unseen family.
///
/// # Errors
/// As [`embedded`].
pub fn choose(job: &Job) -> Result<Choice> {
    let read = |(name, text): &(&str, &str)| {
        serde_json::from_str(text).map_err(|e| Error::Data(format!("calibration {name}: {e}")))
    };
    let all = EMBEDDED[..CANDIDATES].iter().map(read).collect::<Result<Vec<Fitted>>>()?;
    let at = nearest(all.iter().map(|fitted| fitted.range.as_slice()), job);
    let calibration = Calibration::from_json(EMBEDDED[at].1)?;
    let reason = reason(&calibration, job);
    Ok(Choice { calibration, reason })
}

/// The candidate calibrations, read once for many jobs.
#[derive(Debug, Clone)]
pub struct CandidateCalibrations(Vec<Calibration>);

impl CandidateCalibrations {
    /// Reads the candidates.
    ///
    /// # Errors
    /// As [`embedded`].
    pub fn read() -> Result<Self> {
        let texts = EMBEDDED[..CANDIDATES].iter();
        texts.map(|(_, text)| Calibration::from_json(text)).collect::<Result<_>>().map(Self)
    }

    /// The calibration that [`choose`] selects for a job, and the reason.
    pub fn choose(&self, job: &Job) -> (&Calibration, String) {
        let calibration = &self.0[nearest(self.0.iter().map(|c| c.range.as_slice()), job)];
        (calibration, reason(calibration, job))
    }
}

/// Position of the range nearest to a job; the first of equals.
fn nearest<'a>(ranges: impl Iterator<Item = &'a [Range]>, job: &Job) -> usize {
    let mut nearest = (f64::INFINITY, 0);
    for (at, range) in ranges.enumerate() {
        let distance = distance(range, job);
        if distance < nearest.0 {
            nearest = (distance, at);
        }
    }
    nearest.1
}

fn reason(calibration: &Calibration, job: &Job) -> String {
    let (gpu, family) = (&job.system.accelerator.name, job.architecture.family().name());
    let lacks: Vec<String> = [("gpu", gpu.as_str()), ("family", family)]
        .into_iter()
        .filter(|(label, value)| !calibration.seen(label).iter().any(|s| s == value))
        .map(|(_, value)| format!("no runs of {value}"))
        .collect();
    if lacks.is_empty() {
        format!("nearest runs: {family} models on {gpu}")
    } else {
        format!("nearest runs, but {}", lacks.join(" and "))
    }
}

/// The fitted ranges of a calibration file; the laws, which are most of the file, are not parsed.
#[derive(Deserialize)]
struct Fitted {
    range: Vec<Range>,
}

/// Distance of a job from the fitted runs: the sum of the logarithms of its factors outside their ranges.
fn distance(ranges: &[Range], job: &Job) -> f64 {
    // the length of a run does not count: time and energy are linear in it
    let length = |o: &&Outside| matches!(o.variable.as_str(), "tokens" | "micro_steps");
    let outside = range::outside(ranges, job);
    let outside: f64 = outside.iter().filter(|o| !length(o)).map(|o| o.factor.ln()).sum();
    let other = |label: &str, value: &str, factor: f64| {
        if range::seen(ranges, label).iter().any(|s| s == value) { 0.0 } else { factor.ln() }
    };
    outside
        + other("gpu", &job.system.accelerator.name, OTHER_GPU_FACTOR)
        + other("family", job.architecture.family().name(), OTHER_FAMILY_FACTOR)
}

impl Calibration {
    /// The columns of a job, with an unseen strategy or family replaced by the nearest fitted one, and a sentence for
    /// each substitution.
    pub fn features(&self, job: &Job, columns: ProxyColumns) -> (Features, Vec<String>) {
        let mut features = Features::for_job(job, columns);
        let mut substitutions = Vec::new();
        let strategies = self.strategies();
        if !strategies.is_empty() && !strategies.contains(&features.strategy) {
            let mut substitutes = features.strategy.substitutes().iter();
            if let Some(nearest) = substitutes.find(|kind| strategies.contains(kind)) {
                substitutions.push(format!(
                    "{} has no runs of strategy `{}`; `{nearest}` is used instead",
                    self.name, features.strategy
                ));
                features.strategy = *nearest;
            }
        }
        let families = self.seen("family");
        if !families.is_empty() && !families.contains(&features.family) {
            let order: &[&str] = match job.architecture.family() {
                Family::Bert | Family::Vit => &["bert", "gpt"],
                _ => &["gpt", "llama", "bert"],
            };
            if let Some(nearest) = order.iter().find(|f| families.iter().any(|k| k == *f)) {
                substitutions.push(format!(
                    "{} has no runs of {} models; `{nearest}` is used instead",
                    self.name, features.family
                ));
                features.family = (*nearest).to_owned();
            }
        }
        (features, substitutions)
    }
}
