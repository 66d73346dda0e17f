//! Converts a record to a measurement.

use crate::base::error::{Error, Result};
use crate::base::scope::{Covers, Scope};
use crate::base::units::Seconds;
use crate::data::measurement::Measurement;
use crate::job::catalog::Catalog;
use crate::record::document::Record;
use crate::record::run::Tokens;

impl Record {
    /// The measurement, with the energy of `scope`, or of the narrowest scope.
    ///
    /// If the program reported a window [`TRAIN`](crate::record::run::TRAIN), the measurement has the time, energy and
    /// tokens of that window only.
    ///
    /// # Errors
    /// [`Error::Data`] for a record that is not closed, whose energy another record holds, without an energy of the scope
    /// (except a record of time only), or of which other GPUs were measured than the job has; those of
    /// [`Measurement::described`] for an incomplete job.
    pub fn to_measurement(&self, scope: Option<Scope>, catalog: &Catalog) -> Result<Measurement> {
        let train = self.train();
        let totals = self.totals_of_run();
        let time_only = self.channels.is_empty() && self.held_by.is_none() && scope.is_none();
        let total = match time_only {
            true => self.closed().map(|()| None)?,
            false => Some(self.total_of(&totals, scope)?),
        };
        if let Some(held) = total.and_then(|total| self.held(total.scope).next()) {
            return Err(Error::Data(format!(
                "record {} counts {} in the same time, so the energy of record {} is not that of the run",
                held.held_by.as_deref().unwrap_or_default(),
                held.channel.name,
                self.id
            )));
        }
        if let Some(count) = self.gpu_mismatch(catalog).and_then(|mismatch| mismatch.count) {
            return Err(Error::Data(format!(
                "{} of the {} GPUs of record {} were measured, so its energy is not that of the job",
                count.measured, count.stated, self.id
            )));
        }
        let described = Measurement::described(&self.id, &self.described_job(catalog), catalog)?;
        let time = train.map_or(self.duration, |window| Some(window.to - window.from));
        let tokens = match train.filter(|window| window.tokens > 0.0) {
            Some(window) => Some(window.tokens),
            None => self.tokens_done(catalog).map(Tokens::value),
        };
        Ok(Measurement {
            tokens: tokens.filter(|n| *n > 0.0),
            duration: time.filter(|t| *t > Seconds::ZERO),
            covers: if train.is_some() { Covers::Steps } else { Covers::Run },
            energy: total.map(|t| t.energy),
            energy_kwh: total.map(|t| t.energy.kwh()),
            energy_systematic_sd: total.and_then(|t| t.systematic_sd),
            energy_random_sd: total.map(|t| t.random_sd),
            scope: total.map_or(Scope::Unstated, |t| t.scope),
            meter: total.map(|t| self.meter(t.scope)),
            outcome: (!self.ended_well()).then(|| self.outcome()),
            ..described
        })
    }
}
