//! What a meter is: channels that are read, each reading a value or the reason why there is none.

use std::time::Instant;

use wattlaw::record::{Channel, Sample};

/// Why a channel could not be read this time; the run goes on, and the gap is recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{channel}: {reason}")]
pub struct Fault {
    /// The channel's name.
    pub channel: String,
    /// One clause, as a person would say it: "the device is gone".
    pub reason: String,
}

/// Something that reads energy or power: a GPU library, a tree of counters, an assumption.
pub trait Meter: Send {
    /// The channels it reads, in the order of readings.
    fn channels(&self) -> &[Channel];

    /// Reads every channel once; a channel that fails does not keep the others from being read.
    fn read(&mut self) -> Vec<Result<Sample, Fault>>;
}

/// Tells the time by which a meter integrates power: [`Instant::now`], and in tests a time that they set.
pub type Now = fn() -> Instant;
