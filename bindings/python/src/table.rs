//! Tables of jobs, from any Arrow stream to an Arrow stream.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3_arrow::input::AnyRecordBatch;
use pyo3_arrow::{PyRecordBatchReader, PyTable};
use wattlaw::base::error::Error;
use wattlaw::base::scope::Scope;
use wattlaw_table::{Jobs, Predicted, Question};

use crate::calibration::Calibration;
use crate::description::catalog;
use crate::error::{DataError, raised};
use crate::fields::job_spec;

/// Predicted rows as a stream of Arrow.
struct Stream(Predicted);

impl Iterator for Stream {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.map_err(|error| ArrowError::ExternalError(Box::new(error))))
    }
}

impl RecordBatchReader for Stream {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }
}

/// A table whose rows are predicted as they are read, once.
#[pyclass(frozen, module = "wattlaw._core")]
pub struct PredictedTable {
    predicted: Mutex<Option<Predicted>>,
}

impl PredictedTable {
    fn take(&self) -> PyResult<Predicted> {
        let taken = self.predicted.lock().ok().and_then(|mut held| held.take());
        taken.ok_or_else(|| {
            DataError::new_err("the stream was read already; predict the table again")
        })
    }
}

#[pymethods]
impl PredictedTable {
    /// Prepares the prediction of a table: an object with `__arrow_c_stream__` or `__arrow_c_array__`.
    #[new]
    #[pyo3(signature = (table, /, *, calibration, scope, level, keep, prefix, threads, catalog, fields))]
    #[expect(clippy::too_many_arguments, reason = "one for each keyword of Python")]
    fn new(
        table: AnyRecordBatch,
        calibration: &Calibration,
        scope: Option<String>,
        level: f64,
        keep: Vec<String>,
        prefix: String,
        threads: Option<usize>,
        catalog: Option<PathBuf>,
        fields: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let scope = scope.map(|name| name.parse::<Scope>()).transpose().map_err(raised)?;
        if !(level > 0.0 && level < 1.0) {
            return Err(raised(Error::invalid("level", level, "it must lie between 0 and 1")));
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let question = Question {
            law: Arc::clone(&calibration.law),
            catalog: self::catalog(catalog)?,
            shared: job_spec(fields)?,
            scope,
            level,
            threads: threads.unwrap_or(cores).max(1),
            prefix,
        };
        let source = table.into_reader()?;
        let jobs = Jobs::new(question, &source.schema(), &keep).map_err(raised)?;
        let source = source.map(|batch| batch.map_err(|error| Error::Data(error.to_string())));
        let predicted = Predicted::new(jobs, source);
        Ok(Self { predicted: Mutex::new(Some(predicted)) })
    }

    /// The stream, predicted as its consumer reads it.
    fn stream(&self) -> PyResult<PyRecordBatchReader> {
        Ok(PyRecordBatchReader::new(Box::new(Stream(self.take()?))))
    }

    /// All rows. Ctrl-C is looked at after each slice of 32,768 rows.
    fn whole(&self, py: Python<'_>) -> PyResult<PyTable> {
        let mut predicted = self.take()?;
        let schema = predicted.schema();
        let mut batches = Vec::new();
        while let Some(batch) = py.detach(|| predicted.next()) {
            batches.push(batch.map_err(raised)?);
            py.check_signals()?;
        }
        PyTable::try_new(batches, schema)
    }
}
