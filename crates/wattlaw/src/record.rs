//! The record of a measured run: what was read, by which instrument, and how certain it is.
//!
//! Pure: the crate `wattlaw-meter` reads devices and writes files; here is what they hold.

mod accumulator;
pub mod counter;
pub(crate) mod defect;
pub mod document;
pub mod event;
pub mod finalizer;
pub mod merge;
pub mod reading;
pub mod report;
pub mod run;
mod total;
pub mod trace;
mod windows;

use serde::{Deserialize, Serialize};

use crate::base::units::{Joules, Seconds, Watts};
use crate::base::words::words;

/// The part of a machine whose energy a channel reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Component {
    /// An accelerator: its board.
    Gpu,
    /// A module of accelerator and CPU together (GH200).
    Module,
    /// A CPU package.
    Cpu,
    /// Memory beside a CPU.
    Dram,
    /// The whole platform behind its power supply.
    Node,
}

words!(Component, "component": Gpu = "gpu", Module = "module", Cpu = "cpu", Dram = "dram", Node = "node");

/// How a channel's energy comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Instrument {
    /// A counter of energy in the device.
    Counter,
    /// Power that is read again and again, and integrated.
    Power,
    /// A constant power that the user states; nothing is measured.
    Assumed,
}

words!(Instrument, "instrument": Counter = "counter", Power = "power", Assumed = "assumed");

/// One thing that is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Its name in the record: `gpu0`, `cpu0`, `dram0`.
    pub name: String,
    /// What it reads.
    pub component: Component,
    /// The device: a UUID, or a path in sysfs.
    pub device: String,
    /// The device's model, where it tells.
    pub model: Option<String>,
    /// How its energy comes about.
    pub instrument: Instrument,
    /// How often the instrument's value changes; zero where it is always fresh.
    #[serde(rename = "update_s")]
    pub update: Seconds,
    /// How far back its power averages; zero where it is that of the moment.
    #[serde(rename = "averaging_s", default)]
    pub averaging: Seconds,
    /// Standard deviation of the instrument's error that all runs on the device share, as a share of the energy; none
    /// where nobody knows.
    pub systematic: Option<f64>,
}

/// What a channel said at one moment; each value where the instrument has it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// Energy since the meter was opened; wraps and resets of the device's counter are made good.
    pub energy: Option<Joules>,
    /// Power now.
    pub power: Option<Watts>,
    /// Limit that the power is held to.
    pub power_limit: Option<Watts>,
    /// Clock of the multiprocessors in MHz.
    pub sm_clock_mhz: Option<f64>,
    /// Clock of the memory in MHz.
    pub memory_clock_mhz: Option<f64>,
    /// Temperature in °C.
    pub temperature_c: Option<f64>,
    /// Share of the time in which a kernel ran, 0 to 1.
    pub utilization: Option<f64>,
    /// NVML's bits for what holds the clocks down.
    pub throttle_reasons: Option<u64>,
}
