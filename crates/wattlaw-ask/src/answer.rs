//! The prediction of a described job, as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use wattlaw::base::error::{Error, Result};
use wattlaw::base::scope::Scope;
use wattlaw::calibration::Calibration;
use wattlaw::memory::FITS_THRESHOLD;
use wattlaw::predict::{ChosenJob, Prediction, TakenDefault, predict};
use wattlaw_import::configuration::Unmodelled;

use crate::description::{Description, Origin};
use crate::schema::{Schema, json};

/// Why the built-in law is selected.
pub const BUILT_IN_REASON: &str = "it is built in and answers any job";

/// Why a law that the user named is selected.
pub const GIVEN_REASON: &str = "it was named as the calibration";

/// What is asked of a job.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The law that answers.
    pub calibration: &'a Calibration,
    /// Why it was selected.
    pub reason: &'a str,
    /// What the energy covers; `None` for what the law was fitted on.
    pub scope: Option<Scope>,
    /// Confidence level of the intervals, between 0 and 1.
    pub level: f64,
    /// Probability at which the job is said to fit in memory, between 0 and 1.
    pub fits_threshold: f64,
}

impl<'a> Question<'a> {
    /// The question of `wattlaw predict` without flags, to the built-in law.
    pub const fn of(built_in: &'a Calibration) -> Self {
        Self {
            calibration: built_in,
            reason: BUILT_IN_REASON,
            scope: None,
            level: 0.95,
            fits_threshold: FITS_THRESHOLD,
        }
    }
}

/// A prediction with the job that was predicted, and where each of its fields comes from.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The job, and the defaults that were taken.
    pub chosen: ChosenJob,
    /// The prediction.
    pub prediction: Prediction,
    /// The origin of each field of the job, by column.
    pub origin: BTreeMap<&'static str, Origin>,
    /// Keys of frameworks' files that the prediction leaves out.
    pub unmodelled: &'a [Unmodelled],
}

/// The fields of the JSON.
#[derive(Debug, Serialize)]
struct Fields<'a> {
    #[serde(flatten)]
    prediction: &'a Prediction,
    defaults: &'a [TakenDefault],
    job: serde_json::Value,
    origin: &'a BTreeMap<&'static str, Origin>,
    unmodelled: &'a [Unmodelled],
}

impl<'a> Answer<'a> {
    /// Predicts a job that was chosen from a description.
    ///
    /// # Errors
    /// A threshold that is no probability; those of [`predict()`].
    pub fn new(
        chosen: ChosenJob,
        description: &'a Description,
        question: &Question<'_>,
    ) -> Result<Self> {
        let Question { calibration, reason, scope, level, fits_threshold } = *question;
        if !(0.0..=1.0).contains(&fits_threshold) {
            return Err(Error::invalid(
                "fits_threshold",
                fits_threshold,
                "it must lie between 0 and 1",
            ));
        }
        let mut prediction = predict(&chosen.job, calibration, reason, scope, level)?;
        prediction.memory = prediction.memory.with_threshold(fits_threshold);
        let origin = description.origins(&chosen.job, &chosen.defaults);
        Ok(Self { chosen, prediction, origin, unmodelled: description.unmodelled() })
    }

    /// The JSON of `wattlaw predict --format json`, with a final newline.
    ///
    /// # Errors
    /// A number that JSON cannot hold.
    pub fn to_json(&self) -> Result<String> {
        json(
            Schema::Predict,
            &Fields {
                prediction: &self.prediction,
                defaults: &self.chosen.defaults,
                job: self.chosen.job.to_value()?,
                origin: &self.origin,
                unmodelled: self.unmodelled,
            },
        )
    }
}
