//! CSV in batches: every column is text, an empty cell is none.

use std::io::Read;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use wattlaw::base::csv_text::{self, Bounded};
use wattlaw::base::error::{Error, Location, Result};

use crate::jobs::MAX_ROWS;

/// The rows of a CSV text, in batches.
pub(crate) struct CsvBatches {
    reader: csv::Reader<Bounded<Box<dyn Read + Send>>>,
    record: csv::StringRecord,
    name: String,
    schema: SchemaRef,
}

impl CsvBatches {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::At`] for an empty text, a column without a name or twice, and what is not CSV.
    pub(crate) fn new(input: Box<dyn Read + Send>, name: &str) -> Result<Self> {
        let mut reader = csv_text::stream(input);
        let headers = reader.headers().map_err(|e| csv_text::syntax(&e, name))?.clone();
        let placed = |e: Error| e.at(Location::line(name, 1));
        if headers.iter().all(str::is_empty) {
            return Err(Error::Data("the file is empty; a table begins with a header".into())
                .at(Location::file(name)));
        }
        if headers.iter().any(str::is_empty) {
            return Err(placed(Error::missing("the name of a column", "each column needs one")));
        }
        csv_text::once(&headers).map_err(placed)?;
        let fields: Vec<Field> =
            headers.iter().map(|title| Field::new(title, DataType::Utf8, true)).collect();
        let schema = Arc::new(Schema::new(fields));
        Ok(Self { reader, record: csv::StringRecord::new(), name: name.to_owned(), schema })
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut columns: Vec<StringBuilder> =
            self.schema.fields().iter().map(|_| StringBuilder::new()).collect();
        let mut rows = 0;
        while rows < MAX_ROWS {
            self.reader.get_mut().begin_row();
            let more = self.reader.read_record(&mut self.record);
            if !more.map_err(|e| csv_text::syntax(&e, &self.name))? {
                break;
            }
            for (column, cell) in columns.iter_mut().zip(&self.record) {
                column.append_option(Some(csv_text::plain_cell(cell)).filter(|c| !c.is_empty()));
            }
            rows += 1;
        }
        if rows == 0 {
            return Ok(None);
        }
        let columns = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef);
        let rows = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema(), columns.collect(), &rows)
            .map(Some)
            .map_err(|e| Error::Data(e.to_string()))
    }
}

impl Iterator for CsvBatches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}
