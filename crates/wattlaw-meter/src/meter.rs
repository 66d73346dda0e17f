//! What a meter is: channels that are read, each reading a value or the reason why there is none.

use std::time::{Duration, Instant};

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

/// How long clocks, limits, temperature and utilisation are not asked for again: each question costs the driver time, and none of
/// them says more when it is asked more often.
const STATE_PERIOD: Duration = Duration::from_secs(1);

/// When a device was last asked for its state.
#[derive(Debug, Default)]
pub struct StateTimer(Option<Instant>);

impl StateTimer {
    /// Whether it is to be asked now; it is then taken to have been.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = self.0.is_none_or(|asked| now.saturating_duration_since(asked) >= STATE_PERIOD);
        if due {
            self.0 = Some(now);
        }
        due
    }
}
