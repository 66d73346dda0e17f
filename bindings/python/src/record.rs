//! Records of measured runs.

use std::path::PathBuf;

use pyo3::prelude::*;
use wattlaw_meter::folder;

use crate::error::{FileError, raised};

/// The record in a folder: its JSON, and the name of the widest scope whose energy was measured, if any.
///
/// Raises FileError where there is none.
#[pyfunction]
#[pyo3(signature = (folder, /))]
pub fn record(folder: PathBuf) -> PyResult<(String, Option<String>)> {
    let found = folder::read(&folder).map_err(|e| FileError::new_err(e.to_string()))?;
    let scope = found.widest().map(|total| total.scope.to_string());
    Ok((found.to_json().map_err(raised)?, scope))
}
