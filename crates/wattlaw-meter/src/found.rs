//! Results of detecting meters.

use std::fmt;

use wattlaw::record::document::{LeftOut, Sharing};
use wattlaw::record::{Channel, Component};

use crate::meter::Meter;

/// The detected meters of one family.
pub struct Found {
    /// The family: `nvml`, `powercap`, `hwmon`, `assumed`.
    pub family: &'static str,
    /// The library or folder that was searched.
    pub looked_for: String,
    /// The meter, if any device can be read.
    pub meter: Option<Box<dyn Meter>>,
    /// Why no device can be read, and what to do: a sentence without a full stop.
    pub absence: Option<String>,
    /// Notes on the devices.
    pub notes: Vec<String>,
    /// Devices that were found but cannot be measured.
    pub left_out: Vec<LeftOut>,
    /// Channels whose energy includes what others run on the device.
    pub shared: Vec<(String, Sharing)>,
}

/// A selected device is not available.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectionError(pub String);

impl Found {
    /// A family without devices.
    pub fn new(family: &'static str, looked_for: &str) -> Self {
        Self {
            family,
            looked_for: looked_for.to_owned(),
            meter: None,
            absence: None,
            notes: Vec::new(),
            left_out: Vec::new(),
            shared: Vec::new(),
        }
    }

    /// Records a device that was found but cannot be measured, with the reason.
    pub(crate) fn leave_out(&mut self, name: &str, component: Component, reason: String) {
        self.notes.push(format!("{name} is not measured: {reason}"));
        self.left_out.push(LeftOut { name: name.to_owned(), component, reason });
    }

    /// The channels.
    pub fn channels(&self) -> &[Channel] {
        self.meter.as_ref().map_or(&[], |meter| meter.channels())
    }

    /// Whether a channel is a GPU.
    pub(crate) fn has_gpu(&self) -> bool {
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
