//! Tables of jobs, from any Arrow stream to an Arrow stream.

use std::collections::VecDeque;
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

use crate::calibration::Calibration;
use crate::description::catalog;
use crate::error::{DataError, raised};
use crate::fields::job_spec;
use crate::rows::{MAX_ROWS, Question, Rows};

/// Predicted rows that are not yet read.
struct Predicted {
    rows: Rows,
    source: Box<dyn RecordBatchReader + Send>,
    /// Slices of the last batch that was read.
    waiting: VecDeque<RecordBatch>,
}

impl Iterator for Predicted {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.waiting.is_empty() {
            let batch = match self.source.next()? {
                Ok(batch) => batch,
                Err(error) => return Some(Err(error)),
            };
            let starts = (0..batch.num_rows()).step_by(MAX_ROWS);
            self.waiting
                .extend(starts.map(|at| batch.slice(at, MAX_ROWS.min(batch.num_rows() - at))));
        }
        Some(self.rows.predict(&self.waiting.pop_front()?))
    }
}

impl RecordBatchReader for Predicted {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
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
        let rows = Rows::new(question, &source.schema(), &keep).map_err(raised)?;
        let predicted = Predicted { rows, source, waiting: VecDeque::new() };
        Ok(Self { predicted: Mutex::new(Some(predicted)) })
    }

    /// The stream, predicted as its consumer reads it.
    fn stream(&self) -> PyResult<PyRecordBatchReader> {
        Ok(PyRecordBatchReader::new(Box::new(self.take()?)))
    }

    /// All rows. Ctrl-C is looked at after each slice of 32,768 rows.
    fn whole(&self, py: Python<'_>) -> PyResult<PyTable> {
        let mut predicted = self.take()?;
        let schema = predicted.schema();
        let mut batches = Vec::new();
        while let Some(batch) = py.detach(|| predicted.next()) {
            batches.push(batch.map_err(|error| DataError::new_err(error.to_string()))?);
            py.check_signals()?;
        }
        PyTable::try_new(batches, schema)
    }
}
