//! Arrow IPC in batches, files and streams.
//!
//! The decoder trusts what a message says of itself; so each is held to its own length, and to the columns' types, before it is decoded.
//! The format: <https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc>

use std::collections::{HashMap, VecDeque};
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::reader::{read_dictionary, read_record_batch};
use arrow_ipc::{
    CompressionType, Endianness, Field, Message, MessageHeader, MetadataVersion, Precision,
    RecordBatch as Described, Schema, Type, root_as_footer, root_as_message,
};
use arrow_schema::{ArrowError, SchemaRef};
use wattlaw::base::error::{Error, Result};

use crate::columns;
use crate::format::{ARROW_FILE, CONTINUATION};
use crate::guard::guarded;

/// Most bytes of a message's description and of its body.
const MAX_DESCRIPTION_BYTES: usize = 1 << 24;
const MAX_BODY_BYTES: i64 = 1 << 31;

/// Most rows of a batch.
const MAX_BATCH_ROWS: i64 = 1 << 31;

/// No text shrinks by more: a byte of LZ4 stands for at most 255 (its block format).
const MAX_LZ4_RATIO: i64 = 255;

/// Where messages come from.
enum Source {
    /// One after the other.
    Stream(Box<dyn Read + Send>),
    /// Where the end of a file says that they lie; not all writers put them in the order of a stream.
    File { file: Box<dyn ReadSeek>, places: VecDeque<u64> },
}

/// A file, or bytes in memory.
pub(crate) trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

/// The rows of an Arrow IPC file or stream, batch by batch as they were written.
pub(crate) struct IpcBatches {
    source: Source,
    /// The schema as it was written, with dictionaries.
    written: Arc<arrow_schema::Schema>,
    /// The schema with the dictionaries' values.
    schema: SchemaRef,
    dictionaries: HashMap<i64, ArrayRef>,
    ended: bool,
}

fn damaged(message: impl Into<String>) -> Error {
    Error::Syntax { format: "Arrow IPC", message: message.into() }
}

fn cut() -> Error {
    damaged("it ends within a message; it was cut off")
}

fn undecoded(error: ArrowError) -> Error {
    damaged(error.to_string())
}

impl IpcBatches {
    /// Reads the schema of a stream.
    ///
    /// # Errors
    /// What is cut or damaged; a column without text, numbers or truths.
    pub(crate) fn stream(input: Box<dyn Read + Send>) -> Result<Self> {
        let mut source = Source::Stream(input);
        let Some(description) = source.description()? else {
            return Err(damaged("there is no schema"));
        };
        let message = read(&description)?;
        let Some(schema) = message.header_as_schema() else {
            return Err(damaged("the first message is no schema"));
        };
        source.body(&message)?;
        Self::new(source, schema)
    }

    /// Reads the end of a file, which has the schema and says where the batches lie.
    ///
    /// # Errors
    /// As [`IpcBatches::stream`].
    pub(crate) fn file(mut file: Box<dyn ReadSeek>) -> Result<Self> {
        let cut = || damaged("the end of the file is missing; it was cut off");
        let failed = |e: std::io::Error| Error::Data(e.to_string());
        let size = file.seek(SeekFrom::End(0)).map_err(failed)?;
        let tail = (4 + ARROW_FILE.len()) as u64;
        let start = size.checked_sub(tail).ok_or_else(cut)?;
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
        let end = bytes(&mut file, 4 + ARROW_FILE.len())?;
        let Some((length, ARROW_FILE)) = end.split_first_chunk::<4>() else { return Err(cut()) };
        let length = usize::try_from(i32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_DESCRIPTION_BYTES {
            return Err(damaged("the end of the file cannot be read"));
        }
        file.seek(SeekFrom::Start(start.checked_sub(length as u64).ok_or_else(cut)?))
            .map_err(failed)?;
        let footer = bytes(&mut file, length)?;
        let footer =
            root_as_footer(&footer).map_err(|_| damaged("the end of the file cannot be read"))?;
        known(footer.version())?;
        let Some(schema) = footer.schema() else { return Err(damaged("there is no schema")) };
        let blocks = footer.dictionaries().into_iter().flatten();
        let blocks = blocks.chain(footer.recordBatches().into_iter().flatten());
        let places = blocks.map(|block| {
            let place = u64::try_from(block.offset()).ok().filter(|place| *place < size);
            place.ok_or_else(|| damaged("a batch lies outside the file"))
        });
        let places = places.collect::<Result<_>>()?;
        Self::new(Source::File { file, places }, schema)
    }

    fn new(source: Source, schema: Schema<'_>) -> Result<Self> {
        check_schema(&schema)?;
        let written = arrow_ipc::convert::fb_to_schema(schema);
        columns::check(&written)?;
        let schema = columns::plain_schema(&written);
        let written = Arc::new(written);
        Ok(Self { source, written, schema, dictionaries: HashMap::new(), ended: false })
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// Reads a message, and its batch if it has one; `None` at the end.
    fn message(&mut self) -> Result<Option<Option<RecordBatch>>> {
        let Some(description) = self.source.description()? else { return Ok(None) };
        let message = read(&description)?;
        let body = Buffer::from_vec(self.source.body(&message)?);
        let none = || damaged("a message has no batch");
        let version = message.version();
        match message.header_type() {
            MessageHeader::RecordBatch => {
                let batch = message.header_as_record_batch().ok_or_else(none)?;
                check_batch(&batch, &body)?;
                let written = SchemaRef::clone(&self.written);
                read_record_batch(&body, batch, written, &self.dictionaries, None, &version)
                    .and_then(|batch| columns::plain_batch(&batch, &self.schema))
                    .map(|batch| Some(Some(batch)))
                    .map_err(undecoded)
            }
            MessageHeader::DictionaryBatch => {
                let words = message.header_as_dictionary_batch().ok_or_else(none)?;
                check_batch(&words.data().ok_or_else(none)?, &body)?;
                read_dictionary(&body, words, &self.written, &mut self.dictionaries, &version)
                    .map(|()| Some(None))
                    .map_err(undecoded)
            }
            MessageHeader::Schema => Err(damaged("a second schema follows the first")),
            other => Err(damaged(format!("a message is of kind {other:?}"))),
        }
    }
}

impl Iterator for IpcBatches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let message = guarded(|| self.message());
            match message.unwrap_or_else(|| Err(damaged("the batch is damaged"))) {
                Ok(Some(None)) => {}
                Ok(Some(Some(batch))) => return Some(Ok(batch)),
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl Source {
    fn input(&mut self) -> &mut dyn Read {
        match self {
            Self::Stream(input) => input,
            Self::File { file, .. } => file,
        }
    }

    /// The next message's description; `None` at the end.
    fn description(&mut self) -> Result<Option<Vec<u8>>> {
        if let Self::File { file, places } = self {
            let Some(place) = places.pop_front() else { return Ok(None) };
            file.seek(SeekFrom::Start(place)).map_err(|e| Error::Data(e.to_string()))?;
        }
        let is_file = matches!(self, Self::File { .. });
        let input = self.input();
        let head = up_to(input, CONTINUATION.len())?;
        match head.len() {
            // a stream may end where its writer closed it
            0 if !is_file => return Ok(None),
            4 => {}
            _ => return Err(cut()),
        }
        // before version 0.15 there was no mark before the length
        let length = if head == CONTINUATION { bytes(input, 4)? } else { head };
        let length = length.try_into().map_or(0, i32::from_le_bytes);
        match usize::try_from(length) {
            Ok(0) if !is_file => Ok(None),
            Ok(length @ 1..=MAX_DESCRIPTION_BYTES) => Ok(Some(bytes(input, length)?)),
            _ => Err(damaged(format!("a message is described by {length} bytes"))),
        }
    }

    /// The body that belongs to a description.
    fn body(&mut self, message: &Message<'_>) -> Result<Vec<u8>> {
        match message.bodyLength() {
            length @ 0..=MAX_BODY_BYTES => {
                bytes(self.input(), usize::try_from(length).unwrap_or_default())
            }
            length => Err(damaged(format!(
                "a batch has {length} bytes, but at most {MAX_BODY_BYTES} are read; write smaller batches"
            ))),
        }
    }
}

/// At most so many bytes: fewer at the end. Memory grows with what is there, not with what was announced.
fn up_to(input: &mut (impl Read + ?Sized), length: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = input.take(length as u64).read_to_end(&mut bytes);
    read.map_err(|e| Error::Data(e.to_string()))?;
    Ok(bytes)
}

/// So many bytes.
fn bytes(input: &mut (impl Read + ?Sized), length: usize) -> Result<Vec<u8>> {
    let bytes = up_to(input, length)?;
    if bytes.len() < length { Err(cut()) } else { Ok(bytes) }
}

/// The message of a description.
fn read(description: &[u8]) -> Result<Message<'_>> {
    let message = root_as_message(description)
        .map_err(|_| damaged("a message's description cannot be read"))?;
    known(message.version())?;
    Ok(message)
}

/// Checks that a version is one that is read.
fn known(version: MetadataVersion) -> Result<()> {
    match version {
        MetadataVersion::V4 | MetadataVersion::V5 => Ok(()),
        other => Err(damaged(format!("the version is {other:?}, but V4 and V5 are read"))),
    }
}

/// Checks what the decoder takes for granted in a schema.
fn check_schema(schema: &Schema<'_>) -> Result<()> {
    if schema.endianness() != Endianness::Little {
        return Err(damaged(
            "the numbers are big-endian; write the table on a little-endian machine",
        ));
    }
    let Some(fields) = schema.fields() else { return Err(damaged("the schema has no columns")) };
    fields.iter().try_for_each(|field| check_field(&field))
}

/// Checks that a column is of a type that [`columns::has_text`].
fn check_field(field: &Field<'_>) -> Result<()> {
    let Some(name) = field.name() else { return Err(damaged("a column has no name")) };
    let is_whole = |of: Option<arrow_ipc::Int<'_>>| {
        of.is_some_and(|of| matches!(of.bitWidth(), 8 | 16 | 32 | 64))
    };
    let kind = field.type_type();
    let has_text = match kind {
        Type::Null | Type::Bool | Type::Utf8 | Type::LargeUtf8 | Type::Utf8View => true,
        Type::Int => is_whole(field.type_as_int()),
        Type::FloatingPoint => field
            .type_as_floating_point()
            .is_some_and(|of| matches!(of.precision(), Precision::SINGLE | Precision::DOUBLE)),
        _ => false,
    };
    if !has_text {
        return Err(columns::without_text(name, kind.variant_name().unwrap_or("unknown")));
    }
    match field.dictionary() {
        Some(words) if !is_whole(words.indexType()) => {
            Err(damaged(format!("the dictionary of column `{name}` has no keys")))
        }
        _ => Ok(()),
    }
}

/// Checks that a batch lies within its body, and is compressed in a way that is read.
fn check_batch(batch: &Described<'_>, body: &[u8]) -> Result<()> {
    let rows = batch.length();
    if !(0..=MAX_BATCH_ROWS).contains(&rows) {
        return Err(damaged(format!("a batch has {rows} rows")));
    }
    let nodes = batch.nodes().into_iter().flatten();
    for node in nodes {
        // no column is nested, so that each has the batch's rows
        if node.length() != rows || !(0..=rows).contains(&node.null_count()) {
            return Err(damaged("the columns of a batch differ in their number of rows"));
        }
    }
    let compressed = match batch.compression() {
        None => false,
        Some(of) if of.codec() == CompressionType::LZ4_FRAME => true,
        Some(of) => {
            let codec = of.codec().variant_name().unwrap_or("an unknown codec").to_lowercase();
            return Err(Error::invalid(
                "the table",
                format!("compressed by {codec}"),
                "the compressions that are read are lz4 and none; write the file with one of them",
            ));
        }
    };
    let buffers = batch.buffers().into_iter().flatten();
    let count = i64::try_from(batch.buffers().map_or(0, |of| of.len())).unwrap_or(i64::MAX);
    for buffer in buffers {
        let range =
            usize::try_from(buffer.offset()).ok().zip(usize::try_from(buffer.length()).ok());
        let part = range
            .and_then(|(start, length)| body.get(start..start.checked_add(length)?))
            .ok_or_else(|| damaged("a column lies outside its batch"))?;
        if let (true, Some((size, packed))) = (compressed, part.split_first_chunk::<8>()) {
            let size = i64::from_le_bytes(*size);
            let packed = i64::try_from(packed.len()).unwrap_or(i64::MAX);
            // -1 marks what did not shrink
            if size != -1 && !(0..=packed.saturating_mul(MAX_LZ4_RATIO)).contains(&size) {
                return Err(damaged("a column says of itself that it is larger than it can be"));
            }
        } else if compressed && !part.is_empty() {
            return Err(damaged("a compressed column has no length"));
        }
    }
    let variadic = batch.variadicBufferCounts().into_iter().flatten();
    for buffers in variadic {
        if !(0..=count).contains(&buffers) {
            return Err(damaged("a column of texts has more parts than its batch"));
        }
    }
    Ok(())
}
