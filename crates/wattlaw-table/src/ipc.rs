//! Arrow IPC in batches, files and streams. A file is its stream between two marks, so that both are read in the same way.
//!
//! The decoder trusts what a message says of itself; so each is held to its own length, and to the columns' types, before it is decoded.
//! The format: <https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc>

use std::collections::VecDeque;
use std::io::Read;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::{
    CompressionType, Endianness, Field, Message, MessageHeader, MetadataVersion, Precision,
    RecordBatch as Described, Schema, Type, root_as_message,
};
use arrow_schema::{ArrowError, SchemaRef};
use wattlaw::base::error::{Error, Result};

use crate::columns;
use crate::format::{ARROW_FILE, CONTINUATION};

/// Most bytes of a message's description and of its body.
const MAX_DESCRIPTION_BYTES: usize = 1 << 24;
const MAX_BODY_BYTES: i64 = 1 << 31;

/// Most rows of a batch.
const MAX_BATCH_ROWS: i64 = 1 << 31;

/// No text shrinks by more: a byte of LZ4 stands for at most 255 (its block format).
const MAX_LZ4_RATIO: i64 = 255;

/// The rows of an Arrow IPC file or stream, batch by batch as they were written.
pub(crate) struct IpcBatches {
    input: Box<dyn Read + Send>,
    decoder: StreamDecoder,
    schema: SchemaRef,
    /// Batches that were decoded and not yet asked for.
    waiting: VecDeque<RecordBatch>,
    /// Whether the end has to be marked, as it has in a file.
    is_file: bool,
    ended: bool,
}

fn damaged(message: impl Into<String>) -> Error {
    Error::Syntax { format: "Arrow IPC", message: message.into() }
}

fn cut() -> Error {
    damaged("the file ends within a message; it was cut off")
}

fn undecoded(error: ArrowError) -> Error {
    damaged(error.to_string())
}

impl IpcBatches {
    /// Reads the schema.
    ///
    /// # Errors
    /// What is cut or damaged; a column without text, numbers or truths.
    pub(crate) fn new(mut input: Box<dyn Read + Send>, is_file: bool) -> Result<Self> {
        if is_file {
            // the mark, and two bytes that align it
            let mark = bytes(&mut input, ARROW_FILE.len() + 2)?;
            if !mark.starts_with(ARROW_FILE) {
                return Err(damaged("the mark of a file is missing"));
            }
        }
        let mut new = Self {
            input,
            decoder: StreamDecoder::new(),
            schema: SchemaRef::new(arrow_schema::Schema::empty()),
            waiting: VecDeque::new(),
            is_file,
            ended: false,
        };
        let Some(description) = new.description()? else {
            return Err(damaged("there is no schema"));
        };
        let message = read(&description)?;
        let Some(schema) = message.header_as_schema() else {
            return Err(damaged("the first message is no schema"));
        };
        check_schema(&schema)?;
        let schema = arrow_ipc::convert::fb_to_schema(schema);
        columns::check(&schema)?;
        new.schema = columns::plain_schema(&schema);
        let body = new.body(&message)?;
        new.decode(&description, body)?;
        Ok(new)
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// The next message's description; `None` at the end.
    fn description(&mut self) -> Result<Option<Vec<u8>>> {
        let head = up_to(&mut self.input, CONTINUATION.len())?;
        match head.len() {
            // a stream may end where its writer closed it
            0 if !self.is_file => return Ok(None),
            4 => {}
            _ => return Err(cut()),
        }
        // before version 0.15 there was no mark before the length
        let length = if head == CONTINUATION { bytes(&mut self.input, 4)? } else { head };
        let length = length.try_into().map_or(0, i32::from_le_bytes);
        match usize::try_from(length) {
            Ok(0) => Ok(None),
            Ok(length) if length <= MAX_DESCRIPTION_BYTES => {
                Ok(Some(bytes(&mut self.input, length)?))
            }
            _ => Err(damaged(format!("a message is described by {length} bytes"))),
        }
    }

    /// The body that belongs to a description.
    fn body(&mut self, message: &Message<'_>) -> Result<Vec<u8>> {
        match message.bodyLength() {
            length @ 0..=MAX_BODY_BYTES => {
                bytes(&mut self.input, usize::try_from(length).unwrap_or_default())
            }
            length => Err(damaged(format!(
                "a batch has {length} bytes, but at most {MAX_BODY_BYTES} are read; write smaller batches"
            ))),
        }
    }

    /// Gives a message to the decoder; an empty one is the end. A batch without a body is decoded when the next message begins.
    fn decode(&mut self, description: &[u8], body: Vec<u8>) -> Result<()> {
        let length = u32::try_from(description.len()).unwrap_or_default();
        let head = [CONTINUATION, length.to_le_bytes()].concat();
        for part in [head, description.to_vec(), body] {
            let mut part = Buffer::from_vec(part);
            while !part.is_empty() {
                if let Some(batch) = self.decoder.decode(&mut part).map_err(undecoded)? {
                    self.waiting.push_back(batch);
                }
            }
        }
        Ok(())
    }

    /// Reads a message, or the end.
    fn advance(&mut self) -> Result<()> {
        let Some(description) = self.description()? else {
            self.ended = true;
            return self.decode(&[], Vec::new());
        };
        let message = read(&description)?;
        let body = self.body(&message)?;
        let batch = match message.header_type() {
            MessageHeader::RecordBatch => message.header_as_record_batch(),
            MessageHeader::DictionaryBatch => {
                message.header_as_dictionary_batch().and_then(|of| of.data())
            }
            MessageHeader::Schema => return Err(damaged("a second schema follows the first")),
            other => return Err(damaged(format!("a message is of kind {other:?}"))),
        };
        let Some(batch) = batch else { return Err(damaged("a message has no batch")) };
        check_batch(&batch, &body)?;
        self.decode(&description, body)
    }
}

impl Iterator for IpcBatches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.waiting.is_empty() {
            if self.ended {
                return None;
            }
            if let Err(error) = self.advance() {
                self.ended = true;
                return Some(Err(error));
            }
        }
        let batch = self.waiting.pop_front()?;
        Some(columns::plain_batch(&batch, &self.schema).map_err(undecoded))
    }
}

/// At most so many bytes: fewer at the end. Memory grows with what is there, not with what was announced.
fn up_to(input: &mut impl Read, length: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = input.take(length as u64).read_to_end(&mut bytes);
    read.map_err(|e| Error::Data(e.to_string()))?;
    Ok(bytes)
}

/// So many bytes.
fn bytes(input: &mut impl Read, length: usize) -> Result<Vec<u8>> {
    let bytes = up_to(input, length)?;
    if bytes.len() < length { Err(cut()) } else { Ok(bytes) }
}

/// The message of a description.
fn read(description: &[u8]) -> Result<Message<'_>> {
    let message = root_as_message(description)
        .map_err(|_| damaged("a message's description cannot be read"))?;
    match message.version() {
        MetadataVersion::V4 | MetadataVersion::V5 => Ok(message),
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
