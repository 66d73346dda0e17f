//! A statement of a file about a field of a job, and keys that have no field.

use serde::Serialize;
use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::words::words;
use wattlaw::job::JobSpec;
use wattlaw::job::fields::fields;

use super::Tool;

/// Where the value of a field comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A file states it.
    File,
    /// The framework's own default.
    FrameworkDefault,
}

words!(Origin, "origin": File = "file", FrameworkDefault = "framework-default");

/// A field of a job with its value, and the key that states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The field's column, as in [`fields`].
    pub column: &'static str,
    /// The value as the field's text.
    pub value: String,
    /// The key in the file; of a default, the key that it stands for.
    pub key: String,
    /// The key's place; of a default, the file that leaves it open.
    pub place: Location,
    /// The tool that the file is for.
    pub tool: Tool,
}

impl Statement {
    /// The key and the field, for messages.
    pub fn named(&self) -> String {
        if self.key == self.column {
            self.key.clone()
        } else {
            format!("{} ({})", self.key, self.column)
        }
    }

    /// File, line and key, for messages.
    pub(super) fn at(&self) -> String {
        format!("{} of {}", self.key, self.place)
    }

    /// Sets the field of a job.
    pub(super) fn set(&self, job: &mut JobSpec) -> Result<()> {
        let Some(field) = fields().find(|field| field.column == self.column) else {
            return Ok(());
        };
        (field.set)(job, &self.value).map_err(|error| {
            let error = match error {
                Error::Invalid { found, expected, .. } => {
                    Error::Invalid { field: self.named(), found, expected }
                }
                Error::Unknown { name, accepted, .. } => {
                    Error::invalid(self.named(), format!("`{name}`"), accepted)
                }
                other => other,
            };
            error.at(self.place.clone())
        })
    }
}

/// A key that changes time, energy or memory, and that no field of a job holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unmodelled {
    /// The file.
    pub file: String,
    /// The key's line, counted from one.
    pub line: Option<u64>,
    /// The key.
    pub key: String,
    /// Its value as text; empty where it has none.
    pub value: String,
    /// What the prediction leaves out, as a clause.
    pub reason: String,
}
