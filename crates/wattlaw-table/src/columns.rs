//! The columns of tables: each holds text, numbers or truths.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use wattlaw::base::error::{Error, Result};

/// Most columns of a table; no table of jobs has a tenth of them.
const MAX_COLUMNS: usize = 4096;

/// Whether the values of a type have a text.
pub(crate) fn has_text(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => has_text(values),
        DataType::Null
        | DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View => true,
        _ => false,
    }
}

/// A column in messages.
pub(crate) fn named(column: &str) -> String {
    format!("column `{column}`")
}

/// The refusal of a column whose type has no text.
pub(crate) fn without_text(column: &str, kind: impl std::fmt::Display) -> Error {
    let expected = "it must hold text, numbers or truths; convert it, or leave it out";
    Error::invalid(named(column), format!("of type {kind}"), expected)
}

/// Checks that each column holds values with a text, and stands once.
///
/// # Errors
/// [`Error::Invalid`] with the column.
pub(crate) fn check(schema: &Schema) -> Result<()> {
    let columns = schema.fields();
    if columns.len() > MAX_COLUMNS {
        let found = format!("of {} columns", columns.len());
        return Err(Error::invalid("the table", found, format!("at most {MAX_COLUMNS} are read")));
    }
    for (at, column) in columns.iter().enumerate() {
        if !has_text(column.data_type()) {
            return Err(without_text(column.name(), column.data_type()));
        }
        if schema.index_of(column.name()).ok() != Some(at) {
            let found = format!("`{}` twice", column.name());
            return Err(Error::invalid("column", found, "each column may occur once"));
        }
    }
    Ok(())
}

/// The schema with the values' types in place of dictionaries.
pub(crate) fn plain_schema(schema: &Schema) -> SchemaRef {
    let plain = |field: &Arc<Field>| match field.data_type() {
        DataType::Dictionary(_, values) => Field::new(field.name(), values.as_ref().clone(), true),
        _ => field.as_ref().clone(),
    };
    let fields: Vec<Field> = schema.fields().iter().map(plain).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// A batch with its dictionaries' values written out.
///
/// # Errors
/// A key that has no value.
pub(crate) fn plain_batch(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> std::result::Result<RecordBatch, ArrowError> {
    let plain = |column: &Arc<dyn Array>| match column.as_any_dictionary_opt() {
        Some(words) => arrow_select::take::take(words.values(), words.keys(), None),
        None => Ok(Arc::clone(column)),
    };
    let columns = batch.columns().iter().map(plain).collect::<std::result::Result<_, _>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns)
}
