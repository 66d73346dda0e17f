//! Runs that were measured, and what is made of them: laws, calibrations and audits, for Python.

use std::path::PathBuf;
use std::str::FromStr;

use pyo3::prelude::*;
use serde_json::json;
use wattlaw::audit::audit;
use wattlaw::base::error::{Error, Location};
use wattlaw::calibration::FitOptions;
use wattlaw::data::dataset::{ColumnMap, Dataset};
use wattlaw::law::roofline::MAX_POINTS;
use wattlaw_ask::Schema;

use crate::calibration::Calibration;
use crate::description::catalog;
use crate::error::{file_error, raised};

/// Runs of a table (CSV).
#[pyclass(frozen, module = "wattlaw._core")]
pub struct Runs {
    data: Dataset,
    catalog: std::sync::Arc<wattlaw::Catalog>,
}

impl Runs {
    /// The error of the table, which it names.
    fn placed(&self, error: Error) -> PyErr {
        raised(error.at(Location::file(&*self.data.name)))
    }
}

#[pymethods]
impl Runs {
    /// Reads a run table: CSV, and its name for messages; `map` is a column map.
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
        let data = py.detach(|| Dataset::from_csv(&bytes, &name, map.as_ref())).map_err(raised)?;
        Ok(Self { data, catalog })
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
        let law = wattlaw::calibration::LawKind::from_str(law).map_err(raised)?;
        py.detach(|| {
            let (data, _) = self.data.countable(&self.catalog);
            match law {
                wattlaw::calibration::LawKind::Roofline => wattlaw::Calibration::fit_roofline(
                    &data,
                    &options,
                    &self.catalog,
                    Some(MAX_POINTS),
                ),
                wattlaw::calibration::LawKind::Scaling => {
                    wattlaw::Calibration::fit(&self.data, &options, &self.catalog)
                }
            }
        })
        .map(Calibration::new)
        .map_err(|error| self.placed(error))
    }

    /// Adds the runs to a calibration.
    #[pyo3(signature = (parent, name, /))]
    fn calibrate(&self, py: Python<'_>, parent: &Calibration, name: &str) -> PyResult<Calibration> {
        py.detach(|| {
            let (data, _) = self.data.countable(&self.catalog);
            parent.law.adjusted(&data, &self.catalog, name)
        })
        .map(Calibration::new)
        .map_err(|error| self.placed(error))
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
