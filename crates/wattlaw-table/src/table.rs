//! A table of any format, read batch by batch.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use wattlaw::base::error::{Error, Location, Result};

use crate::csv_batches::CsvBatches;
use crate::format::TableFormat;
use crate::ipc::IpcBatches;
use crate::parquet_batches::{Input, ParquetBatches};

/// Size in bytes of the buffer before a file that is read as a stream.
const BUFFER: usize = 1 << 18;

enum Batches {
    Csv(Box<CsvBatches>),
    Parquet(Box<ParquetBatches>),
    Ipc(Box<IpcBatches>),
}

/// A table whose rows are read as they are asked for.
pub struct Table {
    format: TableFormat,
    name: String,
    batches: Batches,
}

impl Table {
    /// Opens a file by its content; a pipe as [`Table::from_stream`] does.
    ///
    /// # Errors
    /// [`Error::At`] with the name: what is cut, damaged or no table, and a column without text, numbers or truths.
    pub fn from_file(mut file: File, name: &str) -> Result<Self> {
        if !file.metadata().is_ok_and(|of| of.is_file()) {
            return Self::from_stream(file, name);
        }
        let placed = |e: Error| e.at(Location::file(name));
        let format = TableFormat::detect(&head(&mut file).map_err(placed)?, name)?;
        match format {
            TableFormat::Parquet => Self::parquet(ParquetBatches::new(Input::File(file)), name),
            TableFormat::ArrowFile => {
                Self::ipc(format, IpcBatches::file(Box::new(BufReader::new(file))), name)
            }
            TableFormat::Csv | TableFormat::ArrowStream => {
                file.rewind().map_err(|e| placed(Error::Data(e.to_string())))?;
                let input = BufReader::with_capacity(BUFFER, file);
                Self::sequential(format, Box::new(input), name)
            }
        }
    }

    /// Opens a table in memory by its content.
    ///
    /// # Errors
    /// As [`Table::from_file`].
    pub fn from_bytes(bytes: Bytes, name: &str) -> Result<Self> {
        let format = TableFormat::detect(&bytes, name)?;
        match format {
            TableFormat::Parquet => Self::parquet(ParquetBatches::new(Input::Bytes(bytes)), name),
            TableFormat::ArrowFile => {
                Self::ipc(format, IpcBatches::file(Box::new(Cursor::new(bytes))), name)
            }
            TableFormat::Csv | TableFormat::ArrowStream => {
                Self::sequential(format, Box::new(Cursor::new(bytes)), name)
            }
        }
    }

    /// Opens a stream by its content, which is CSV or an Arrow IPC stream.
    ///
    /// # Errors
    /// As [`Table::from_file`]; a file whose end must be read first.
    pub fn from_stream(mut input: impl Read + Send + 'static, name: &str) -> Result<Self> {
        let head = head(&mut input).map_err(|e| e.at(Location::file(name)))?;
        let format = TableFormat::detect(&head, name)?;
        let rest = BufReader::with_capacity(BUFFER, input);
        Self::sequential(format, Box::new(Cursor::new(head).chain(rest)), name)
    }

    fn sequential(format: TableFormat, input: Box<dyn Read + Send>, name: &str) -> Result<Self> {
        match format {
            TableFormat::Csv => {
                // its errors have a line
                let batches = Batches::Csv(Box::new(CsvBatches::new(input, name)?));
                Ok(Self { format, name: name.to_owned(), batches })
            }
            TableFormat::ArrowStream => Self::ipc(format, IpcBatches::stream(input), name),
            TableFormat::Parquet | TableFormat::ArrowFile => Err(Error::Data(format!(
                "{} cannot be read from a pipe, since its end says where its rows are; give the file, or pipe an Arrow IPC stream or CSV",
                format.name()
            ))
            .at(Location::file(name))),
        }
    }

    fn parquet(batches: Result<ParquetBatches>, name: &str) -> Result<Self> {
        let batches = batches.map_err(|e| e.at(Location::file(name)))?;
        let batches = Batches::Parquet(Box::new(batches));
        Ok(Self { format: TableFormat::Parquet, name: name.to_owned(), batches })
    }

    fn ipc(format: TableFormat, batches: Result<IpcBatches>, name: &str) -> Result<Self> {
        let batches = batches.map_err(|e| e.at(Location::file(name)))?;
        Ok(Self { format, name: name.to_owned(), batches: Batches::Ipc(Box::new(batches)) })
    }

    /// The name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The table's format.
    pub const fn format(&self) -> TableFormat {
        self.format
    }

    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        match &self.batches {
            Batches::Csv(batches) => batches.schema(),
            Batches::Parquet(batches) => batches.schema(),
            Batches::Ipc(batches) => batches.schema(),
        }
    }
}

impl Iterator for Table {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match &mut self.batches {
            Batches::Csv(batches) => return batches.next(),
            Batches::Parquet(batches) => batches.next()?,
            Batches::Ipc(batches) => batches.next()?,
        };
        Some(batch.map_err(|e| e.at(Location::file(&*self.name))))
    }
}

/// The first bytes of an input.
fn head(input: &mut impl Read) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    let read = input.take(TableFormat::HEAD as u64).read_to_end(&mut head);
    read.map_err(|e| Error::Data(e.to_string()))?;
    Ok(head)
}
