//! Parquet in batches: pages are read as their rows are, so that memory does not grow with the file or its row groups.

use std::fs::File;
use std::io::Read;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Compression;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};
use wattlaw::base::error::{Error, Result};

use crate::columns;
use crate::guard::guarded;
use crate::jobs::MAX_ROWS;

/// Most bytes of a column in a row group.
const MAX_CHUNK_BYTES: i64 = 1 << 32;

/// A file, or its bytes: one type, since the reader is compiled once for each.
pub(crate) enum Input {
    File(File),
    Bytes(Bytes),
}

impl Length for Input {
    fn len(&self) -> u64 {
        match self {
            Self::File(file) => Length::len(file),
            Self::Bytes(bytes) => Length::len(bytes),
        }
    }
}

impl ChunkReader for Input {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(match self {
            Self::File(file) => Box::new(file.get_read(start)?),
            Self::Bytes(bytes) => Box::new(bytes.get_read(start)?),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        match self {
            Self::File(file) => file.get_bytes(start, length),
            Self::Bytes(bytes) => bytes.get_bytes(start, length),
        }
    }
}

/// The rows of a Parquet file, in batches.
pub(crate) struct ParquetBatches {
    /// None after an error.
    reader: Option<ParquetRecordBatchReader>,
    schema: SchemaRef,
}

/// An error of the reader. Its sentences are its own.
fn syntax(error: impl std::fmt::Display) -> Error {
    let message = error.to_string();
    let message = message.trim_start_matches("Parquet error: ").to_owned();
    Error::Syntax { format: "Parquet", message }
}

fn damaged() -> Error {
    syntax("the file is damaged")
}

impl ParquetBatches {
    /// Reads the file's schema.
    ///
    /// # Errors
    /// A file that is cut or damaged, or compressed in a way that is not read; a column without text, numbers or truths.
    pub(crate) fn new(file: Input) -> Result<Self> {
        guarded(|| Self::opened(file)).unwrap_or_else(|| Err(damaged()))
    }

    fn opened(file: Input) -> Result<Self> {
        // the types are those of Parquet itself: a table has the same columns whoever wrote it
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder =
            ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).map_err(syntax)?;
        columns::check(builder.schema())?;
        check(builder.metadata())?;
        let schema = columns::plain_schema(builder.schema());
        let reader = builder.with_batch_size(MAX_ROWS).build().map_err(syntax)?;
        Ok(Self { reader: Some(reader), schema })
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }
}

/// Checks how row groups are compressed, and how large they say they are.
fn check(metadata: &ParquetMetaData) -> Result<()> {
    for (at, group) in metadata.row_groups().iter().enumerate() {
        for column in group.columns() {
            let path = column.column_path().string();
            match column.compression() {
                Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::LZ4_RAW => {}
                other => {
                    let codec = other.to_string();
                    let codec = codec.split('(').next().unwrap_or_default();
                    let expected = "the compressions that are read are snappy, lz4_raw and none; write the file with one of them";
                    return Err(Error::invalid(
                        columns::named(&path),
                        format!("compressed by {}", codec.to_lowercase()),
                        expected,
                    ));
                }
            }
            let places = [Some(column.data_page_offset()), column.dictionary_page_offset()];
            let start_and_size = places.into_iter().flatten().chain([column.compressed_size()]);
            if start_and_size.into_iter().any(|number| number < 0) {
                return Err(syntax(format!("column `{path}` lies outside the file")));
            }
            let bytes = column.uncompressed_size();
            if !(0..=MAX_CHUNK_BYTES).contains(&bytes) {
                return Err(Error::invalid(
                    columns::named(&path),
                    format!("of {bytes} bytes in row group {}", at + 1),
                    format!("at most {MAX_CHUNK_BYTES} are read; write smaller row groups"),
                ));
            }
        }
    }
    Ok(())
}

impl Iterator for ParquetBatches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut reader = self.reader.take()?;
        let batch = guarded(|| reader.next())
            .map_or_else(|| Some(Err(damaged())), |next| Some(next?.map_err(syntax)));
        if let Some(Ok(_)) = batch {
            self.reader = Some(reader);
        }
        batch
    }
}
