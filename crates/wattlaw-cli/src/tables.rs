//! Tables that are read and written: CSV, Parquet and Arrow IPC, by content and by suffix.

use std::fs::File;
use std::io::{BufRead, Cursor};
use std::path::Path;

use wattlaw::base::error::Location;
use wattlaw::data::dataset::{ColumnMap, Dataset};
use wattlaw_table::{RecordBatch, Schema, Table, TableFormat, Writer, run_table, typed};

use crate::failure::{Done, Failure};
use crate::files::{self, Output};

/// What stands for standard input and output.
const STREAM: &str = "-";

/// Opens a table of any size; `-` is standard input.
///
/// # Errors
/// The file is absent, a directory or unreadable; it is damaged, or a column has no text.
pub fn open(path: &Path) -> Done<Table> {
    if path.as_os_str() == STREAM {
        return Ok(Table::from_stream(std::io::stdin(), "standard input")?);
    }
    let file: File = files::open(path)?.into_inner();
    Ok(Table::from_file(file, &path.display().to_string())?)
}

/// A table that is written as its rows come.
pub struct TableOutput {
    output: Output,
    format: TableFormat,
}

impl TableOutput {
    /// Begins a table: its format is that of the suffix; `-` is an Arrow IPC stream on standard output, no path CSV.
    ///
    /// # Errors
    /// As [`TableFormat::of_path`] and [`Output::create`].
    pub fn create(path: Option<&Path>) -> Done<Self> {
        Ok(match path {
            None => Self { output: Output::standard(), format: TableFormat::Csv },
            Some(path) if path.as_os_str() == STREAM => {
                Self { output: Output::standard(), format: TableFormat::ArrowStream }
            }
            Some(path) => {
                let format = TableFormat::of_path(path)?;
                Self { output: Output::create(path)?, format }
            }
        })
    }

    /// Writes the rows of batches as they come.
    ///
    /// # Errors
    /// Those of the batches, of the file, and a closed pipe.
    pub fn write(
        mut self,
        schema: &Schema,
        batches: impl Iterator<Item = wattlaw::Result<RecordBatch>>,
    ) -> Done {
        let mut unread = None;
        let written = Writer::new(self.format, schema, &mut self.output).and_then(|mut writer| {
            for batch in batches {
                match batch {
                    Ok(batch) => writer.write(&batch)?,
                    Err(error) => {
                        unread = Some(error);
                        return Ok(());
                    }
                }
            }
            writer.finish()
        });
        match (written, unread) {
            (_, Some(error)) => Err(error.into()),
            (Err(error), None) => Err(self.output.failure(&error.to_string())),
            (Ok(()), None) => self.output.finish(),
        }
    }
}

/// Writes a CSV text as a table in the format of the suffix.
///
/// # Errors
/// As [`TableFormat::of_path`] and [`files::write`].
pub fn write(path: &Path, csv: &str) -> Done {
    if TableFormat::of_path(path)? == TableFormat::Csv {
        return files::write(path, csv);
    }
    let batch = typed(csv)?;
    TableOutput::create(Some(path))?.write(&batch.schema(), std::iter::once(Ok(batch)))
}

/// Reads a table of at most 64 MiB as CSV.
///
/// # Errors
/// As [`open`]; a larger table.
pub fn csv(path: &Path) -> Done<Vec<u8>> {
    Ok(wattlaw_table::csv(files::bytes(path)?, &path.display().to_string())?)
}

/// Opens a log for one sequential read. A table that is no text is read as CSV.
///
/// # Errors
/// As [`files::open`] and [`csv`].
pub fn log(path: &Path) -> Done<Box<dyn BufRead>> {
    let mut input = files::open(path)?;
    let name = path.display();
    let head = input.fill_buf().map_err(|e| Failure::Failed(format!("{name}: {e}")))?;
    match TableFormat::detect(head, &name.to_string())? {
        TableFormat::Csv => Ok(Box::new(input)),
        TableFormat::Parquet | TableFormat::ArrowFile | TableFormat::ArrowStream => {
            Ok(Box::new(Cursor::new(csv(path)?)))
        }
    }
}

/// Reads a run table of at most 64 MiB with a column map. A row's line is the one that it has as CSV.
///
/// # Errors
/// As [`csv`] and [`Dataset::from_csv`]; an invalid map.
pub fn runs(path: &Path, map: Option<&Path>) -> Done<Dataset> {
    let map = match map {
        None => None,
        Some(file) => Some(
            ColumnMap::from_toml(&files::text(file)?)
                .map_err(|e| e.at(Location::file(file.display().to_string())))?,
        ),
    };
    Ok(run_table(files::bytes(path)?, &path.display().to_string(), map.as_ref())?)
}
