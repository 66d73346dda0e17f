//! Measures the energy of training runs while they run: the effects that the library `wattlaw` leaves out.
//!
//! A [`Meter`](meter::Meter) reads channels; the [sampler](sampler) reads meters on the monotonic clock in a thread of its
//! own and hands each round of readings on.

pub mod assumed;
pub mod machine;
pub mod meter;
pub mod sampler;
pub mod select;
