//! The meters of this machine.

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use wattlaw::record::document::{LeftOut, Sharing};
use wattlaw::record::{Channel, Component, Instrument};

use crate::assumed::{Assumed, Assumption};
use crate::found::{Found, SelectionError};
use crate::meter::Meter;
use crate::select::Selection;
use crate::{hwmon, nvml, powercap};

/// Which meters to detect, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// GPUs to measure; default: those in `CUDA_VISIBLE_DEVICES`, else all.
    pub gpus: Option<Selection>,
    /// Assumed powers.
    pub assumptions: Vec<Assumption>,
    /// Mount point of sysfs.
    pub sysfs: PathBuf,
    /// Path of NVML; default: the system library.
    pub nvml: Option<PathBuf>,
    /// The value of `CUDA_VISIBLE_DEVICES`.
    pub cuda_visible_devices: Option<String>,
}

impl Options {
    /// Options from the environment: `WATTLAW_SYSFS`, `WATTLAW_NVML` and `CUDA_VISIBLE_DEVICES`.
    pub fn from_env() -> Self {
        Self {
            gpus: None,
            assumptions: Vec::new(),
            sysfs: std::env::var_os("WATTLAW_SYSFS").map_or_else(|| "/sys".into(), PathBuf::from),
            nvml: std::env::var_os("WATTLAW_NVML").map(PathBuf::from),
            cuda_visible_devices: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
        }
    }
}

/// The opened meters.
pub struct Opened {
    /// Meters, ready to read.
    pub meters: Vec<Box<dyn Meter>>,
    /// Messages for the user: notes on the meters and, if nothing is measured, what was searched and how to enable it.
    pub notes: Vec<String>,
    /// Devices that were found but cannot be measured.
    pub left_out: Vec<LeftOut>,
    /// Channels whose energy includes what others run on the device.
    pub shared: Vec<(String, Sharing)>,
}

impl Opened {
    /// All channels, in the order of readings.
    pub fn channels(&self) -> Vec<Channel> {
        self.meters.iter().flat_map(|meter| meter.channels().to_vec()).collect()
    }

    /// Whether any channel is measured instead of assumed.
    pub fn measures(&self) -> bool {
        self.channels().iter().any(|channel| channel.instrument != Instrument::Assumed)
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("channels", &self.channels())
            .field("notes", &self.notes)
            .finish()
    }
}

/// Opens all meters of the machine.
///
/// A machine without meters is not an error: the notes say what was searched.
///
/// # Errors
/// A selected GPU does not exist or cannot be measured.
pub fn open(options: &Options) -> Result<Opened, SelectionError> {
    let found = detect(options)?;
    let mut opened =
        Opened { meters: Vec::new(), notes: Vec::new(), left_out: Vec::new(), shared: Vec::new() };
    let mut absences = Vec::new();
    for family in found {
        opened.notes.extend(family.notes);
        opened.left_out.extend(family.left_out);
        opened.shared.extend(family.shared);
        absences.extend(family.absence);
        opened.meters.extend(family.meter);
    }
    if !opened.measures() {
        opened.notes.extend(absences);
    }
    for assumption in &options.assumptions {
        opened.meters.push(Box::new(Assumed::from(assumption)));
    }
    Ok(opened)
}

/// Detects each family of meters.
///
/// # Errors
/// As [`open`].
pub fn detect(options: &Options) -> Result<Vec<Found>, SelectionError> {
    let selection = options.gpus.as_ref();
    let nvidia = nvml::open(
        options.nvml.as_deref(),
        selection,
        options.cuda_visible_devices.as_deref(),
        Instant::now,
    )?;
    let powercap = powercap::open(&options.sysfs, Instant::now);
    // the selection applies to NVIDIA GPUs if there are any
    let of_amd = selection.filter(|_| nvidia.meter.is_none());
    let sockets = !powercap.channels().iter().any(|channel| channel.component == Component::Cpu);
    let amd = hwmon::open(&options.sysfs, of_amd, sockets, Instant::now)?;
    if selection.is_some() && ![&nvidia, &amd].iter().any(|found| found.has_gpu()) {
        let why = nvidia.absence.unwrap_or_default();
        return Err(SelectionError(format!("no GPU can be measured: {why}")));
    }
    Ok(vec![nvidia, powercap, amd])
}
