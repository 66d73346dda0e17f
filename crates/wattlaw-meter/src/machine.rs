//! The meters that this machine offers.

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use wattlaw::record::{Channel, Component, Instrument};

use crate::assumed::{Assumed, Assumption};
use crate::found::{Found, SelectionError};
use crate::meter::Meter;
use crate::select::Selection;
use crate::{hwmon, nvml, powercap};

/// What to look for, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The GPUs to measure; those that `CUDA_VISIBLE_DEVICES` leaves, or all, when absent.
    pub gpus: Option<Selection>,
    /// Powers that the user states.
    pub assumptions: Vec<Assumption>,
    /// Where sysfs is mounted.
    pub sysfs: PathBuf,
    /// NVIDIA's management library; the system's own when absent.
    pub nvml: Option<PathBuf>,
    /// The value of `CUDA_VISIBLE_DEVICES`.
    pub cuda_visible_devices: Option<String>,
}

impl Options {
    /// What the environment says: `WATTLAW_SYSFS`, `WATTLAW_NVML` and `CUDA_VISIBLE_DEVICES`.
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

/// The meters that were found.
pub struct Opened {
    /// Meters, ready to be read.
    pub meters: Vec<Box<dyn Meter>>,
    /// Sentences for the user: what is to be known of what is measured, and, where nothing is, what was looked for and how to
    /// get it.
    pub notes: Vec<String>,
}

impl Opened {
    /// All channels, in the order of readings.
    pub fn channels(&self) -> Vec<Channel> {
        self.meters.iter().flat_map(|meter| meter.channels().to_vec()).collect()
    }

    /// Whether anything is measured, and not only assumed.
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
/// A machine without any is no error: the notes say what was looked for.
///
/// # Errors
/// A GPU was asked for that is not there, or that cannot be measured.
pub fn open(options: &Options) -> Result<Opened, SelectionError> {
    let found = detect(options)?;
    let mut opened = Opened { meters: Vec::new(), notes: Vec::new() };
    let mut absences = Vec::new();
    for family in found {
        opened.notes.extend(family.notes);
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

/// Looks for each family of meters in turn.
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
    let powercap = powercap::open(&options.sysfs);
    // GPUs are selected among NVIDIA's where there are some
    let of_amd = selection.filter(|_| nvidia.meter.is_none());
    let sockets = !powercap.channels().iter().any(|channel| channel.component == Component::Cpu);
    let amd = hwmon::open(&options.sysfs, of_amd, sockets, Instant::now)?;
    if selection.is_some() && ![&nvidia, &amd].iter().any(|found| found.has_gpu()) {
        let why = nvidia.absence.unwrap_or_default();
        return Err(SelectionError(format!("no GPU can be measured: {why}")));
    }
    Ok(vec![nvidia, powercap, amd])
}
