//! The record of a measured run: readings, instruments and uncertainties.
//!
//! Pure: the crate `wattlaw-meter` reads devices and writes files; this module has their contents.

mod accumulator;
pub mod counter;
pub(crate) mod defect;
pub mod document;
pub mod event;
pub mod finalizer;
pub mod gpus;
pub mod merge;
pub mod overlap;
pub mod reading;
pub mod report;
pub mod run;
mod total;
pub mod trace;
mod windows;

use serde::{Deserialize, Serialize};

use crate::base::units::{Joules, Seconds, Watts};
use crate::base::words::words;

/// The component of a machine that a channel reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Component {
    /// An accelerator: its board.
    Gpu,
    /// A module of accelerator and CPU together (GH200).
    Module,
    /// A CPU package.
    Cpu,
    /// Memory of a CPU.
    Dram,
    /// The whole platform behind its power supply.
    Node,
}

words!(Component, "component": Gpu = "gpu", Module = "module", Cpu = "cpu", Dram = "dram", Node = "node");

/// How a channel's energy is obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Instrument {
    /// A counter of energy in the device.
    Counter,
    /// Power that is polled and integrated.
    Power,
    /// A constant power stated by the user; not measured.
    Assumed,
}

words!(Instrument, "instrument": Counter = "counter", Power = "power", Assumed = "assumed");

/// A measured quantity of one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Its name in the record: `gpu0`, `cpu0`, `dram0`.
    pub name: String,
    /// The component.
    pub component: Component,
    /// The device: a UUID, or a path in sysfs.
    pub device: String,
    /// The device's model, where known.
    pub model: Option<String>,
    /// How its energy is obtained.
    pub instrument: Instrument,
    /// Update interval of the instrument; zero if it is always current.
    #[serde(rename = "update_s")]
    pub update: Seconds,
    /// Averaging window of its power; zero for instantaneous power.
    #[serde(rename = "averaging_s", default)]
    pub averaging: Seconds,
    /// Standard deviation of the instrument's systematic error, shared by all runs on the device, as a share of the
    /// energy; `None` if unknown.
    pub systematic: Option<f64>,
}

/// A reading of a channel at one time; each value where the instrument has it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// Energy since the meter was opened, corrected for wraps and resets of the device's counter.
    pub energy: Option<Joules>,
    /// Power now.
    pub power: Option<Watts>,
    /// Power limit.
    pub power_limit: Option<Watts>,
    /// Clock of the multiprocessors in MHz.
    pub sm_clock_mhz: Option<f64>,
    /// Clock of the memory in MHz.
    pub memory_clock_mhz: Option<f64>,
    /// Temperature in °C.
    pub temperature_c: Option<f64>,
    /// Share of the time in which a kernel ran, 0 to 1.
    pub utilization: Option<f64>,
    /// NVML's bits for clock throttling reasons.
    pub throttle_reasons: Option<u64>,
}
