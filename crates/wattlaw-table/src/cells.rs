//! The text of a table's cells.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_schema::DataType;

/// The cells of a column whose values have a text.
pub(crate) enum Cells<'a> {
    None,
    Truth(&'a arrow_array::BooleanArray),
    Signed(Whole<'a, i64>),
    Unsigned(Whole<'a, u64>),
    Number(Whole<'a, f64>),
    Text(Whole<'a, &'a str>),
    /// Values, and the index of each row's.
    Words(Box<Cells<'a>>, &'a dyn Array, Vec<usize>),
}

/// A column, and its value in a row that has one.
pub(crate) struct Whole<'a, T> {
    array: &'a dyn Array,
    value: Box<dyn Fn(usize) -> T + 'a>,
}

/// The values of a primitive column in a wider type.
macro_rules! wide {
    ($array:expr, $type:ty, $wide:ty) => {{
        let values = $array.as_primitive::<$type>();
        Whole { array: $array, value: Box::new(|row| <$wide>::from(values.value(row))) }
    }};
}

impl<'a> Cells<'a> {
    /// The cells of a column; `None` for a type whose values have no text.
    pub(crate) fn new(array: &'a dyn Array) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Null => Self::None,
            DataType::Boolean => Self::Truth(array.as_boolean()),
            DataType::Int8 => Self::Signed(wide!(array, Int8Type, i64)),
            DataType::Int16 => Self::Signed(wide!(array, Int16Type, i64)),
            DataType::Int32 => Self::Signed(wide!(array, Int32Type, i64)),
            DataType::Int64 => Self::Signed(wide!(array, Int64Type, i64)),
            DataType::UInt8 => Self::Unsigned(wide!(array, UInt8Type, u64)),
            DataType::UInt16 => Self::Unsigned(wide!(array, UInt16Type, u64)),
            DataType::UInt32 => Self::Unsigned(wide!(array, UInt32Type, u64)),
            DataType::UInt64 => Self::Unsigned(wide!(array, UInt64Type, u64)),
            DataType::Float32 => Self::Number(wide!(array, Float32Type, f64)),
            DataType::Float64 => Self::Number(wide!(array, Float64Type, f64)),
            DataType::Utf8 => {
                let values = array.as_string::<i32>();
                Self::Text(Whole { array, value: Box::new(|row| values.value(row)) })
            }
            DataType::LargeUtf8 => {
                let values = array.as_string::<i64>();
                Self::Text(Whole { array, value: Box::new(|row| values.value(row)) })
            }
            DataType::Utf8View => {
                let values = array.as_string_view();
                Self::Text(Whole { array, value: Box::new(|row| values.value(row)) })
            }
            DataType::Dictionary(..) => {
                let words = array.as_any_dictionary_opt()?;
                let keys = words.normalized_keys();
                Self::Words(Box::new(Self::new(words.values().as_ref())?), array, keys)
            }
            _ => return None,
        })
    }

    /// Writes the text of a row's cell; `false` where it is empty.
    pub(crate) fn write(&self, row: usize, text: &mut String) -> bool {
        use std::fmt::Write;
        let written = match self {
            Self::None => return false,
            Self::Words(values, keys, at) => {
                return keys.is_valid(row) && at.get(row).is_some_and(|at| values.write(*at, text));
            }
            Self::Truth(of) if of.is_valid(row) => write!(text, "{}", of.value(row)),
            Self::Signed(of) if of.array.is_valid(row) => write!(text, "{}", (of.value)(row)),
            Self::Unsigned(of) if of.array.is_valid(row) => write!(text, "{}", (of.value)(row)),
            Self::Number(of) if of.array.is_valid(row) => write!(text, "{}", (of.value)(row)),
            Self::Text(of) if of.array.is_valid(row) => {
                text.push_str((of.value)(row));
                Ok(())
            }
            _ => return false,
        };
        written.is_ok() && !text.is_empty()
    }
}
