//! Tables of jobs, from any Arrow stream to an Arrow stream.

use std::ffi::CStr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arrow_array::ffi_stream::{ArrowArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_pyarrow::FromPyArrow;
use arrow_schema::{ArrowError, SchemaRef};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict};
use wattlaw::base::error::Error;
use wattlaw::base::scope::Scope;
use wattlaw_table::{Jobs, Predicted, Question};

use crate::calibration::Calibration;
use crate::description::catalog;
use crate::error::{DataError, raised};
use crate::fields::job_spec;

/// The name of a capsule that holds a stream: <https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html>
const STREAM: &CStr = c"arrow_array_stream";

/// Batches of any library's table, which has `__arrow_c_stream__` or `__arrow_c_array__`. pyarrow need not be installed.
fn batches(table: &Bound<'_, PyAny>) -> PyResult<Box<dyn RecordBatchReader + Send>> {
    if table.hasattr(intern!(table.py(), "__arrow_c_stream__"))? {
        return Ok(Box::new(ArrowArrayStreamReader::from_pyarrow_bound(table)?));
    }
    // its own error would be pyarrow's
    let batch = RecordBatch::from_pyarrow_bound(table).map_err(|_| {
        let expected = "its __arrow_c_array__ must give a struct whose fields are the columns";
        raised(Error::invalid("the table", format!("of type {}", table.get_type()), expected))
    })?;
    let schema = batch.schema();
    Ok(Box::new(RecordBatchIterator::new([Ok(batch)], schema)))
}

/// A capsule that holds a stream.
fn capsule(
    py: Python<'_>,
    batches: impl RecordBatchReader + Send + 'static,
) -> PyResult<Bound<'_, PyCapsule>> {
    PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(Box::new(batches)), STREAM)
}

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
        table: &Bound<'_, PyAny>,
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
        let source = batches(table)?;
        let jobs = Jobs::new(question, &source.schema(), &keep).map_err(raised)?;
        let source = source.map(|batch| batch.map_err(|error| Error::Data(error.to_string())));
        let predicted = Predicted::new(jobs, source);
        Ok(Self { predicted: Mutex::new(Some(predicted)) })
    }

    /// A capsule with the stream, predicted as its consumer reads it. The types are those of the answer, whatever is requested.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        capsule(py, Stream(self.take()?))
    }

    /// All rows. Ctrl-C is looked at after each slice of 32,768 rows.
    fn whole(&self, py: Python<'_>) -> PyResult<Rows> {
        let mut predicted = self.take()?;
        let schema = predicted.schema();
        let mut batches = Vec::new();
        while let Some(batch) = py.detach(|| predicted.next()) {
            batches.push(batch.map_err(raised)?);
            py.check_signals()?;
        }
        Ok(Rows { batches, schema })
    }
}

/// Predicted rows in memory, which any library may read as a stream of Arrow.
#[pyclass(frozen, module = "wattlaw._core")]
pub struct Rows {
    batches: Vec<RecordBatch>,
    schema: SchemaRef,
}

#[pymethods]
impl Rows {
    /// A capsule with a stream of the rows. The types are those of the answer, whatever is requested.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        let batches = self.batches.clone().into_iter().map(Ok);
        capsule(py, RecordBatchIterator::new(batches, SchemaRef::clone(&self.schema)))
    }
}
