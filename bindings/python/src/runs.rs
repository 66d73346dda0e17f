//! Runs that were measured, and what is made of them: laws, calibrations and audits, for Python.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use pyo3::prelude::*;
use serde_json::json;
use wattlaw::audit::audit;
use wattlaw::base::error::{Error, Location};
use wattlaw::calibration::{FitOptions, LawKind};
use wattlaw::data::dataset::{ColumnMap, Dataset};
use wattlaw::law::roofline::MAX_POINTS;
use wattlaw_ask::Schema;
use wattlaw_table::run_table;

use crate::calibration::Calibration;
use crate::description::catalog;
use crate::error::{file_error, raised};
use crate::interrupt::interruptible;

/// Runs of a table.
#[pyclass(frozen, module = "wattlaw._core")]
pub struct Runs {
    data: Arc<Dataset>,
    catalog: Arc<wattlaw::Catalog>,
}

/// The error of a table, which it names.
fn placed(error: Error, data: &Dataset) -> Error {
    error.at(Location::file(&*data.name))
}

#[pymethods]
impl Runs {
    /// Reads a run table: the bytes of a file of any format, and its name for messages; `map` is a column map.
    #[new]
    #[pyo3(signature = (csv, name, /, *, map, catalog))]
    fn new(
        py: Python<'_>,
        csv: Option<Vec<u8>>,
        name: String,
        map: Option<PathBuf>,
        catalog: Option<PathBuf>,
    ) -> PyResult<Self> {
        let catalog = self::catalog(catalog)?;
        let bytes = match csv {
            Some(bytes) => bytes,
            None => wattlaw_cli::bytes(name.as_ref()).map_err(file_error)?,
        };
        let map = match map {
            None => None,
            Some(path) => {
                let text = wattlaw_cli::text(&path).map_err(file_error)?;
                let place = || Location::file(path.display().to_string());
                Some(ColumnMap::from_toml(&text).map_err(|e| raised(e.at(place())))?)
            }
        };
        let data = py.detach(|| run_table(bytes, &name, map.as_ref())).map_err(raised)?;
        Ok(Self { data: Arc::new(data), catalog })
    }

    /// The number of runs.
    fn __len__(&self) -> usize {
        self.data.runs.len()
    }

    /// What was assumed or left out in reading the table, a sentence each.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.data.notes.clone()
    }

    /// Fits a law: roofline or scaling.
    #[pyo3(signature = (law, name, source, hold_out, /))]
    fn fit(
        &self,
        py: Python<'_>,
        law: &str,
        name: String,
        source: Option<String>,
        hold_out: String,
    ) -> PyResult<Calibration> {
        let options = FitOptions { name, source, hold_out, ..FitOptions::default() };
        let law = LawKind::from_str(law).map_err(raised)?;
        let (data, catalog) = (Arc::clone(&self.data), Arc::clone(&self.catalog));
        let fitted = interruptible(py, move || {
            let fitted = match law {
                LawKind::Roofline => {
                    let (counted, _) = data.countable(&catalog);
                    let points = Some(MAX_POINTS);
                    wattlaw::Calibration::fit_roofline(&counted, &options, &catalog, points)
                }
                LawKind::Scaling => wattlaw::Calibration::fit(&data, &options, &catalog),
            };
            fitted.map_err(|error| placed(error, &data))
        })?;
        Ok(Calibration::new(fitted))
    }

    /// Adds the runs to a calibration.
    #[pyo3(signature = (parent, name, /))]
    fn calibrate(
        &self,
        py: Python<'_>,
        parent: &Calibration,
        name: String,
    ) -> PyResult<Calibration> {
        let (data, catalog) = (Arc::clone(&self.data), Arc::clone(&self.catalog));
        let law = Arc::clone(&parent.law);
        let adjusted = interruptible(py, move || {
            let (counted, _) = data.countable(&catalog);
            law.adjusted(&counted, &catalog, &name).map_err(|error| placed(error, &data))
        })?;
        Ok(Calibration::new(adjusted))
    }

    /// The JSON of `wattlaw audit --format json`.
    fn audit_json(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| {
            let findings = audit(&self.data, &self.catalog);
            let fields = json!({
                "runs": self.data.runs.len(),
                "findings": findings,
                "data_sha256": self.data.digest,
            });
            wattlaw_ask::json(Schema::Audit, &fields)
        })
        .map_err(raised)
    }
}
