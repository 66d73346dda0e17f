//! Fitted laws, for Python.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;
use wattlaw_ask::{BUILT_IN_REASON, GIVEN_REASON};

use crate::error::{file_error, raised};

/// The laws of a calibration file, or the built-in ones.
#[pyclass(frozen, module = "wattlaw._core")]
pub struct Calibration {
    pub law: Arc<wattlaw::Calibration>,
    pub reason: &'static str,
}

/// The built-in law, read once in a process.
fn built_in() -> wattlaw::Result<Arc<wattlaw::Calibration>> {
    static LAW: OnceLock<Arc<wattlaw::Calibration>> = OnceLock::new();
    if let Some(law) = LAW.get() {
        return Ok(Arc::clone(law));
    }
    let law = Arc::new(wattlaw::built_in()?);
    Ok(Arc::clone(LAW.get_or_init(|| law)))
}

impl Calibration {
    /// A law that was just made.
    pub fn new(law: wattlaw::Calibration) -> Self {
        Self { law: Arc::new(law), reason: GIVEN_REASON }
    }
}

#[pymethods]
impl Calibration {
    /// The law that answers where none is named.
    #[staticmethod]
    fn built_in(py: Python<'_>) -> PyResult<Self> {
        let law = py.detach(built_in).map_err(raised)?;
        Ok(Self { law, reason: BUILT_IN_REASON })
    }

    /// Reads a calibration file, or finds a built-in calibration by name.
    #[staticmethod]
    #[pyo3(signature = (path, /))]
    fn named(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        py.detach(|| wattlaw_cli::named(&path)).map(Self::new).map_err(file_error)
    }

    /// The name.
    #[getter]
    fn name(&self) -> &str {
        &self.law.name
    }

    /// The calibration file, as `wattlaw fit --out` writes it.
    fn json(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.law.to_json()).map_err(raised)
    }

    /// Writes the calibration file, whole or not at all.
    #[pyo3(signature = (path, /))]
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let json = self.json(py)?;
        py.detach(|| wattlaw_cli::write(&path, &json)).map_err(file_error)
    }
}
