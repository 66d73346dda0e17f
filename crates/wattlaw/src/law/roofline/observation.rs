//! A measured run, as the fit of the law sees it.

use super::groups::Groups;
use super::terms::Terms;
use crate::base::error::{Error, Result};
use crate::base::scope::Scope;
use crate::data::measurement::Measurement;
use crate::job::catalog::Catalog;

/// A measured run.
#[derive(Debug, Clone)]
pub struct Observation {
    /// The inputs of the law.
    pub terms: Terms,
    /// Its groups.
    pub groups: Groups,
    /// What the power covers.
    pub scope: Scope,
    /// Name of its table: a source's experiment, whose runs err alike.
    pub table: String,
    /// ln(time / s) of what the terms cover, where it was measured.
    pub log_time: Option<f64>,
    /// ln(mean power of a GPU / W) in the scope, where it was measured.
    pub log_power: Option<f64>,
}

impl Observation {
    /// The observation of a measurement.
    ///
    /// # Errors
    /// Those of [`Measurement::resolve`], where the cost of the run cannot be counted; [`Error::Data`] for a run with
    /// neither time nor power, and for energy without time.
    pub fn new(run: &Measurement, table: &str, catalog: &Catalog) -> Result<Self> {
        let job = run.resolve(catalog)?;
        let Some(duration) = run.duration else {
            return Err(Error::missing("duration_s", "a run of the law has a time"));
        };
        let seconds = duration.value();
        let power = run.energy.map(|energy| energy.value() / seconds / job.system.gpus as f64);
        Ok(Self {
            terms: Terms { covers: run.covers, ..Terms::for_job(&job) },
            groups: Groups::for_job(&job),
            scope: run.scope,
            table: table.to_owned(),
            log_time: Some(seconds.ln()),
            log_power: power.filter(|_| known(run.scope)).map(f64::ln),
        })
    }
}

/// Whether the law knows what a power of this scope covers. A power that is not stated counts as the accelerators'.
const fn known(scope: Scope) -> bool {
    match scope {
        Scope::Gpu | Scope::Codecarbon | Scope::NodeDc | Scope::NodeAc | Scope::Unstated => true,
        Scope::Devices | Scope::Facility => false,
    }
}
