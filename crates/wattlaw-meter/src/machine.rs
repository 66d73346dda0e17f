//! The meters that this machine offers.

use std::path::PathBuf;

use crate::assumed::{Assumed, Assumption};
use crate::meter::Meter;
use crate::select::Selection;

/// What to look for, and where.
#[derive(Debug, Clone, PartialEq, Default)]
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
            sysfs: std::env::var_os("WATTLAW_SYSFS").map_or_else(|| "/sys".into(), PathBuf::from),
            nvml: std::env::var_os("WATTLAW_NVML").map(PathBuf::from),
            cuda_visible_devices: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
            ..Self::default()
        }
    }
}

/// The meters that were found.
pub struct Opened {
    /// Meters, ready to be read.
    pub meters: Vec<Box<dyn Meter>>,
    /// Sentences for the user: what is absent or to be known, and what to do about it.
    pub notes: Vec<String>,
}

/// What was asked for is not there: a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Opens all meters of the machine.
///
/// A machine without any is no error: the notes say what was looked for.
///
/// # Errors
/// A GPU was asked for that is not there, or that cannot be measured.
pub fn open(options: &Options) -> Result<Opened, Refused> {
    let meters = options
        .assumptions
        .iter()
        .map(|assumption| Box::new(Assumed::from(assumption)) as Box<dyn Meter>)
        .collect();
    Ok(Opened { meters, notes: Vec::new() })
}
