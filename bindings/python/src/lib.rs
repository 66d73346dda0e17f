//! The Python package's compiled half, `wattlaw._core`: it converts values and computes nothing.

mod error;

use pyo3::prelude::*;

/// Prediction, plans, fits and audits of training runs, compiled.
#[pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::error::{DataError, Error, InvalidError, MissingError, SyntaxError, UnknownError};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
