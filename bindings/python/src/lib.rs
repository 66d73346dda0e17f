//! The Python package's compiled half, `wattlaw._core`: it converts values, releases the interpreter's lock and computes nothing itself.

mod answer;
mod calibration;
mod description;
mod error;
mod fields;
mod files;
mod interrupt;
mod plan;
mod program;
mod record;
mod runs;
mod table;

use pyo3::prelude::*;

/// Prediction, plans, fits and audits of training runs, compiled.
#[pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::answer::Answer;
    #[pymodule_export]
    use crate::calibration::Calibration;
    #[pymodule_export]
    use crate::description::Description;
    #[pymodule_export]
    use crate::error::{
        DataError, Error, FileError, InvalidError, MissingError, SyntaxError, UnknownError,
    };
    #[pymodule_export]
    use crate::plan::{Plans, plan};
    #[pymodule_export]
    use crate::program::run;
    #[pymodule_export]
    use crate::record::record;
    #[pymodule_export]
    use crate::runs::Runs;
    #[pymodule_export]
    use crate::table::{PredictedTable, Rows};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
