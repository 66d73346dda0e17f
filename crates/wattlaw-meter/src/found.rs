//! What was looked for, and what came of it.

use std::fmt;

use wattlaw::record::{Channel, Component};

use crate::meter::Meter;

/// What one family of meters offers on this machine.
pub struct Found {
    /// The family: `nvml`, `powercap`, `hwmon`, `assumed`.
    pub family: &'static str,
    /// The library or folder that was looked for.
    pub looked_for: String,
    /// The meter, where there is something to read.
    pub meter: Option<Box<dyn Meter>>,
    /// Why there is nothing to read, and what to do; a sentence without its point.
    pub absence: Option<String>,
    /// Sentences about what is read, or could be.
    pub notes: Vec<String>,
}

/// What was asked for is not there: a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectionError(pub String);

impl Found {
    /// Nothing yet.
    pub fn new(family: &'static str, looked_for: &str) -> Self {
        Self {
            family,
            looked_for: looked_for.to_owned(),
            meter: None,
            absence: None,
            notes: Vec::new(),
        }
    }

    /// What is read.
    pub fn channels(&self) -> &[Channel] {
        self.meter.as_ref().map_or(&[], |meter| meter.channels())
    }

    /// Whether a GPU is among it.
    pub fn has_gpu(&self) -> bool {
        let gpu = [Component::Gpu, Component::Module];
        self.channels().iter().any(|channel| gpu.contains(&channel.component))
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found")
            .field("family", &self.family)
            .field("looked_for", &self.looked_for)
            .field("channels", &self.channels())
            .field("absence", &self.absence)
            .field("notes", &self.notes)
            .finish()
    }
}
