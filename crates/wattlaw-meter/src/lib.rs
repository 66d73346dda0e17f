//! Measures the energy of training runs: the side effects that the pure library `wattlaw` excludes.
//!
//! A [`Meter`](meter::Meter) reads channels. The [sampler] thread reads all meters at a fixed interval of the monotonic clock.
//! [`measure`](measure::measure) runs a command under measurement, and a [folder] stores the readings.

pub mod assumed;
pub mod command;
pub mod election;
pub mod error;
pub mod folder;
pub mod found;
pub mod hwmon;
pub mod idle;
pub mod integral;
pub mod lines;
pub mod link;
pub mod live;
mod locks;
pub mod machine;
pub mod measure;
pub mod meter;
mod node;
pub mod nvml;
pub mod pattern;
pub mod powercap;
pub mod sampler;
mod secrets;
pub mod select;
pub mod sensor;
pub mod sysfs;
pub mod tail;
