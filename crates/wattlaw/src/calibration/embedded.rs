//! The built-in calibrations.
//!
//! They hold fitted numbers, not the measured runs; `calibrations/README.md` states how they were made and from which
//! data.

use super::Calibration;
use crate::base::error::Result;
use crate::data::dataset::ProxyColumns;
use crate::data::features::Features;
use crate::job::Job;
use crate::job::model::Family;

/// The name of the built-in law.
pub const BUILT_IN: &str = "wattlaw-2026";

/// The built-in calibrations by name: the one law, and the study's scaling laws.
const EMBEDDED: [(&str, &str); 4] = [
    (BUILT_IN, include_str!("../../calibrations/wattlaw-2026.json")),
    ("bert-2026", include_str!("../../calibrations/bert-2026.json")),
    ("gpt-2026", include_str!("../../calibrations/gpt-2026.json")),
    ("any-gpu-2026", include_str!("../../calibrations/any-gpu-2026.json")),
];

/// The calibrations that come with wattlaw, the one law first.
///
/// # Errors
/// None in a released build; those of [`Calibration::from_json`] for a damaged file.
pub fn embedded() -> Result<Vec<Calibration>> {
    EMBEDDED.iter().map(|(_, text)| Calibration::from_json(text)).collect()
}

/// The one law, which answers any job.
///
/// # Errors
/// As [`embedded`].
pub fn built_in() -> Result<Calibration> {
    Calibration::from_json(EMBEDDED[0].1)
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
