//! A prediction, for Python.

use std::sync::Arc;

use pyo3::prelude::*;
use wattlaw::base::error::Error;
use wattlaw::predict::{
    ChosenJob, Interval, METER_LOG_SD, MeasuredPower, Outlook, Prediction, Screen, predict,
};

use crate::error::raised;

/// A prediction, with what is needed to predict it again at another level.
#[pyclass(frozen, module = "wattlaw._core")]
pub struct Answer {
    json: String,
    chosen: ChosenJob,
    prediction: Prediction,
    law: Arc<wattlaw::Calibration>,
    remarks: Vec<String>,
}

/// An estimate with the lower and the upper end of its interval.
type Ends = (f64, f64, f64);

/// Time and energy that are left, and on which side the steps leave the predicted interval.
type Left = (Ends, Option<Ends>, Option<String>);

/// Quantities with an interval, by the name of their field without its unit.
type Quantity = (&'static str, fn(&Prediction) -> Option<Interval>);

const QUANTITIES: [Quantity; 12] = [
    ("energy", |of| of.energy_j),
    ("duration", |of| of.duration_s),
    ("mean_power", |of| of.mean_power_w),
    ("gpu_hours", |of| of.gpu_hours),
    ("tokens_per_s", |of| of.tokens_per_s),
    ("step", |of| of.step_s),
    ("mfu", |of| of.mfu),
    ("energy_per_token", |of| of.energy_per_token_j),
    ("facility_energy", |of| of.facility_energy_j),
    ("carbon", |of| of.carbon_g),
    ("cost", |of| of.cost),
    ("memory", |of| Some(of.memory.peak_gib)),
];

impl Answer {
    /// Keeps an answer.
    ///
    /// # Errors
    /// A number that JSON cannot hold.
    pub fn new(
        answer: wattlaw_ask::Answer<'_>,
        law: Arc<wattlaw::Calibration>,
        remarks: Vec<String>,
    ) -> wattlaw::Result<Self> {
        let json = answer.to_json()?;
        let wattlaw_ask::Answer { chosen, prediction, .. } = answer;
        Ok(Self { json, chosen, prediction, law, remarks })
    }
}

#[pymethods]
impl Answer {
    /// The JSON of `wattlaw predict --format json`, byte for byte.
    fn json(&self) -> &str {
        &self.json
    }

    /// The first screen of `wattlaw predict`, without its warnings.
    fn screen(&self) -> String {
        wattlaw_cli::plain(&Screen::new(&self.chosen.job, &self.prediction, &self.chosen.defaults))
    }

    /// What a user should know of how files and objects were read, a sentence each.
    #[getter]
    fn remarks(&self) -> Vec<String> {
        self.remarks.clone()
    }

    /// Estimate, lower and upper end of a quantity at a level; `None` where there is no such estimate.
    #[pyo3(signature = (quantity, level, /))]
    fn interval(&self, py: Python<'_>, quantity: &str, level: f64) -> PyResult<Option<Ends>> {
        let Some((_, of)) = QUANTITIES.iter().find(|(name, _)| *name == quantity) else {
            let names = QUANTITIES.map(|(name, _)| name);
            return Err(raised(Error::unknown("quantity", quantity, names)));
        };
        let prediction = py
            .detach(|| {
                let Prediction { scope, .. } = self.prediction;
                predict(&self.chosen.job, &self.law, "", Some(scope), level)
            })
            .map_err(raised)?;
        Ok(of(&prediction).map(|i| (i.estimate, i.lower, i.upper)))
    }

    /// What is left of the run: the time and the energy, each as estimate, lower and upper end, the energy `None` without power, and on
    /// which side the measured steps leave the prediction's interval, if they do. `None` where nothing can be said.
    ///
    /// `step_ends_s` are the times in seconds at which the steps ended, `mean_power_w` the power of all accelerators meanwhile.
    #[pyo3(signature = (step_ends_s, mean_power_w, /))]
    fn outlook(
        &self,
        py: Python<'_>,
        step_ends_s: Vec<f64>,
        mean_power_w: Option<f64>,
    ) -> PyResult<Option<Left>> {
        let power = mean_power_w.map(|mean_w| MeasuredPower { mean_w, log_sd: METER_LOG_SD });
        let found = py.detach(|| Outlook::new(&self.prediction, &step_ends_s, power));
        let ends = |of: Interval| (of.estimate, of.lower, of.upper);
        Ok(found.map_err(raised)?.map(|of| {
            (ends(of.remaining_s), of.remaining_j.map(ends), of.leaves.map(|side| side.to_string()))
        }))
    }
}
