//! Measures the energy of training runs while they run: the effects that the library `wattlaw` leaves out.
//!
//! A [`Meter`](meter::Meter) reads channels; the [sampler] reads meters on the monotonic clock in a thread of its own and
//! hands each round of readings on. [`measure`](measure::measure) runs a command meanwhile, and a [folder] keeps what was read.

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
pub mod machine;
pub mod measure;
pub mod meter;
mod node;
pub mod nvml;
pub mod pattern;
pub mod powercap;
pub mod sampler;
pub mod select;
pub mod sensor;
pub mod sysfs;
mod tail;
