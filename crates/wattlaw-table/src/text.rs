//! Whole tables as CSV and from CSV.

use std::io::Write;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
};
use arrow_schema::{DataType, Field, Schema};
use wattlaw::base::csv_text;
use wattlaw::base::error::{Error, Location, Result};
use wattlaw::data::dataset::{ColumnMap, Dataset, digest};

use crate::format::TableFormat;
use crate::table::Table;
use crate::write::Writer;

/// Most bytes of a table that is held as CSV.
const MAX_CSV_BYTES: usize = 1 << 26;

/// A text that does not grow without bound.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_CSV_BYTES {
            let sentence = format!("larger than {} MiB as CSV", MAX_CSV_BYTES >> 20);
            return Err(std::io::Error::other(sentence));
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Table {
    /// The whole table as CSV.
    ///
    /// # Errors
    /// [`Error::At`] for rows that cannot be read, and for a text of more than 64 MiB.
    pub fn csv(self) -> Result<String> {
        let place = Location::file(self.name());
        let mut text = Bounded(Vec::new());
        let mut writer = Writer::new(TableFormat::Csv, &self.schema(), &mut text)?;
        for batch in self {
            writer.write(&batch?).map_err(|e| e.at(place.clone()))?;
        }
        writer.finish().map_err(|e| e.at(place.clone()))?;
        String::from_utf8(text.0).map_err(|e| Error::Data(e.to_string()).at(place))
    }
}

/// The CSV text of a table in memory.
///
/// # Errors
/// As [`Table::from_bytes`] and [`Table::csv`].
pub fn csv(bytes: Vec<u8>, name: &str) -> Result<Vec<u8>> {
    match TableFormat::detect(&bytes, name)? {
        TableFormat::Csv => Ok(bytes),
        TableFormat::Parquet | TableFormat::ArrowFile | TableFormat::ArrowStream => {
            Ok(Table::from_bytes(bytes.into(), name)?.csv()?.into_bytes())
        }
    }
}

/// Reads a run table in memory. A row's line is the one that it has as CSV.
///
/// # Errors
/// As [`csv()`] and [`Dataset::from_csv`].
pub fn run_table(bytes: Vec<u8>, name: &str, map: Option<&ColumnMap>) -> Result<Dataset> {
    let digest = digest(&bytes);
    let data = Dataset::from_csv(&csv(bytes, name)?, name, map)?;
    Ok(Dataset { digest, ..data })
}

/// A CSV text with typed columns: whole numbers, numbers or truths where each cell is the text of one, else text. An empty cell is none.
///
/// # Errors
/// [`Error::At`] for what is not CSV.
pub fn typed(csv: &str) -> Result<RecordBatch> {
    let name = "the table";
    let mut reader = csv_text::reader(csv.as_bytes(), name)?;
    let headers = reader.headers().map_err(|e| csv_text::syntax(&e, name))?.clone();
    let mut columns: Vec<Vec<Option<String>>> = headers.iter().map(|_| Vec::new()).collect();
    let mut rows = 0;
    for record in reader.records() {
        let record = csv_text::plain(record.map_err(|e| csv_text::syntax(&e, name))?);
        for (column, cell) in columns.iter_mut().zip(&record) {
            column.push(Some(cell.to_owned()).filter(|cell| !cell.is_empty()));
        }
        rows += 1;
    }
    let columns: Vec<ArrayRef> = columns.into_iter().map(column).collect();
    let fields: Vec<Field> = headers
        .iter()
        .zip(&columns)
        .map(|(title, column)| Field::new(title, column.data_type().clone(), true))
        .collect();
    let rows = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &rows)
        .map_err(|e| Error::Data(e.to_string()))
}

/// The values of cells of which each is the text of one; so that the text of the values is the cell again.
fn values<T: std::str::FromStr + ToString>(cells: &[Option<String>]) -> Option<Vec<Option<T>>> {
    let value = |cell: &Option<String>| match cell {
        None => Some(None),
        Some(text) => {
            let value: T = text.parse().ok()?;
            (value.to_string() == *text).then_some(Some(value))
        }
    };
    cells.iter().map(value).collect()
}

fn column(cells: Vec<Option<String>>) -> ArrayRef {
    if cells.iter().all(Option::is_none) {
        return arrow_array::new_null_array(&DataType::Utf8, cells.len());
    }
    if let Some(whole) = values::<i64>(&cells) {
        return Arc::new(Int64Array::from(whole));
    }
    if let Some(numbers) = values::<f64>(&cells) {
        return Arc::new(Float64Array::from(numbers));
    }
    if let Some(truths) = values::<bool>(&cells) {
        return Arc::new(BooleanArray::from(truths));
    }
    Arc::new(StringArray::from(cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_take_the_type_that_gives_their_text_back() {
        let csv =
            "whole,number,truth,text,code,none\n1,0.25,true,a,007,\n,1,,\"b, \"\"c\"\"\",8,\n";
        let batch = typed(csv).unwrap();
        let schema = batch.schema();
        let types: Vec<&DataType> = schema.fields().iter().map(|of| of.data_type()).collect();
        use DataType::{Boolean, Float64, Int64, Utf8};
        assert_eq!(types, [&Int64, &Float64, &Boolean, &Utf8, &Utf8, &Utf8]);
        for format in [TableFormat::Parquet, TableFormat::ArrowFile, TableFormat::ArrowStream] {
            let mut file = Vec::new();
            let mut writer = Writer::new(format, &batch.schema(), &mut file).unwrap();
            writer.write(&batch).unwrap();
            writer.finish().unwrap();
            let table = Table::from_bytes(file.into(), "t").unwrap();
            assert_eq!(table.format(), format);
            assert_eq!(table.csv().unwrap(), csv, "{format:?}");
        }
    }
}
