//! Shared basics: units, errors, named enums, and text formats with line and column.

pub mod amount;
pub mod csv_text;
pub mod error;
pub mod one_line;
pub mod scope;
pub mod toml_text;
pub mod units;
pub mod words;
