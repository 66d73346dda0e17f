//! What everything else is written with: units, errors, named values, and text formats with their places.

pub mod amount;
pub mod csv_text;
pub mod error;
pub mod scope;
pub mod toml_text;
pub mod units;
pub mod words;
