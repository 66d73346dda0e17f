//! The breakdown of a scaling law's estimate: factors whose product is the energy estimate.

use serde::Serialize;

use crate::calibration::ScalingLaws;
use crate::data::features::Features;
use crate::stats::design::Unseen;
use crate::stats::frame::Row;

/// One factor of the energy estimate: the effect of a term, relative to the centre of the fitted runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Factor {
    /// The term (`log_C`, `strategy[fsdp]`), or `Intercept` for the energy at the centre, in joules.
    pub term: String,
    /// Its coefficient.
    pub coefficient: f64,
    /// Its factor in the estimate.
    pub factor: f64,
}

struct WithEfficiency<'a> {
    features: &'a Features,
    log_eta: Option<f64>,
}

impl Row for WithEfficiency<'_> {
    fn number(&self, name: &str) -> Option<f64> {
        if name == "log_eta" { self.log_eta } else { self.features.number(name) }
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.features.label(name)
    }
}

/// The factors of the energy estimate; empty without a law of energy.
pub(super) fn energy_factors(laws: &ScalingLaws, features: &Features) -> Vec<Factor> {
    let Some(fitted) = &laws.energy else { return Vec::new() };
    let log_eta = fitted.law.predict_log_eta(features).ok().flatten();
    let row = WithEfficiency { features, log_eta };
    let law = &fitted.law.law;
    let names = law.encoding().names();
    names
        .zip(law.estimates())
        .enumerate()
        .filter_map(|(j, (term, coefficient))| {
            let entry = law.encoding().entry(j, &row, Unseen::Average).ok()?;
            let unit = if term == "Intercept" { crate::base::units::JOULES_PER_KWH } else { 1.0 };
            let factor = (coefficient * entry).exp() * unit;
            (entry != 0.0).then(|| Factor {
                term: term.to_owned(),
                coefficient: *coefficient,
                factor,
            })
        })
        .collect()
}
