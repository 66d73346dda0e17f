//! Writes tables of any format, batch by batch.

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::Schema;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use wattlaw::base::csv_text::harmless;
use wattlaw::base::error::{Error, Result};

use crate::cells::Cells;
use crate::columns;
use crate::format::TableFormat;

/// Rows of a row group of Parquet: a group is held in memory until it is written.
const ROW_GROUP: usize = 1 << 17;

type Output<'a> = &'a mut (dyn Write + Send);

/// A table that is being written.
pub struct Writer<'a>(Kind<'a>);

enum Kind<'a> {
    Csv(Box<csv::Writer<Output<'a>>>),
    Parquet(Box<ArrowWriter<Output<'a>>>),
    File(Box<FileWriter<Output<'a>>>),
    Stream(Box<StreamWriter<Output<'a>>>),
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Data(error.to_string())
}

impl<'a> Writer<'a> {
    /// Begins a table of a schema.
    ///
    /// # Errors
    /// A column without text, numbers or truths; an output that cannot be written.
    pub fn new(format: TableFormat, schema: &Schema, output: Output<'a>) -> Result<Self> {
        columns::check(schema)?;
        Ok(Self(match format {
            TableFormat::Csv => {
                let mut writer = csv::Writer::from_writer(output);
                let header = schema.fields().iter().map(|field| field.name());
                writer.write_record(header).map_err(failed)?;
                Kind::Csv(Box::new(writer))
            }
            TableFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::SNAPPY)
                    .set_max_row_group_row_count(Some(ROW_GROUP))
                    .build();
                let schema = schema.clone().into();
                let writer = ArrowWriter::try_new(output, schema, Some(properties));
                Kind::Parquet(Box::new(writer.map_err(failed)?))
            }
            TableFormat::ArrowFile => {
                Kind::File(Box::new(FileWriter::try_new(output, schema).map_err(failed)?))
            }
            TableFormat::ArrowStream => {
                Kind::Stream(Box::new(StreamWriter::try_new(output, schema).map_err(failed)?))
            }
        }))
    }

    /// Writes the rows of a batch.
    ///
    /// # Errors
    /// A batch of another schema; an output that cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match &mut self.0 {
            Kind::Csv(writer) => rows(writer, batch),
            Kind::Parquet(writer) => writer.write(batch).map_err(failed),
            Kind::File(writer) => writer.write(batch).map_err(failed),
            Kind::Stream(writer) => writer.write(batch).map_err(failed),
        }
    }

    /// Writes what a table ends with.
    ///
    /// # Errors
    /// An output that cannot be written.
    pub fn finish(self) -> Result<()> {
        match self.0 {
            Kind::Csv(mut writer) => writer.flush().map_err(failed),
            Kind::Parquet(writer) => writer.close().map(drop).map_err(failed),
            Kind::File(mut writer) => writer.finish().map_err(failed),
            Kind::Stream(mut writer) => writer.finish().map_err(failed),
        }
    }
}

fn rows(writer: &mut csv::Writer<Output<'_>>, batch: &RecordBatch) -> Result<()> {
    let columns: Vec<Cells<'_>> =
        batch.columns().iter().filter_map(|column| Cells::new(column.as_ref())).collect();
    let mut text = String::new();
    for row in 0..batch.num_rows() {
        for cells in &columns {
            text.clear();
            cells.write(row, &mut text);
            writer.write_field(harmless(&text).as_bytes()).map_err(failed)?;
        }
        writer.write_record(None::<&[u8]>).map_err(failed)?;
    }
    Ok(())
}
