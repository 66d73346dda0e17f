//! The trait of all meters: a reading of a channel is a sample or a fault.

use std::time::{Duration, Instant};

use wattlaw::record::{Channel, Sample};

use crate::link::GpuLink;

/// Why a reading of a channel failed; the run continues, and the gap is recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{channel}: {reason}")]
pub struct Fault {
    /// The channel's name.
    pub channel: String,
    /// The reason in one clause, such as "the device is gone".
    pub reason: String,
}

/// Why a reading failed after which energy was lost.
pub(crate) const RESET: &str =
    "its counter was reset, as after a suspend or a reload of the driver, so energy was lost";

/// A source of energy or power readings: a GPU library, sysfs counters, an assumption.
pub trait Meter: Send {
    /// The channels, in the order of readings.
    fn channels(&self) -> &[Channel];

    /// Reads every channel once; a fault of one channel does not affect the others.
    fn read(&mut self) -> Vec<Result<Sample, Fault>>;

    /// The slowest link between its devices, where it can be read.
    fn link(&self) -> Option<GpuLink> {
        None
    }
}

/// Clock for integrating power: [`Instant::now`], or a fake clock in tests.
pub(crate) type Now = fn() -> Instant;

/// Period of reading clocks, limits, temperature and utilisation: each query costs driver time, and they change slowly.
const STATE_PERIOD: Duration = Duration::from_secs(1);

/// Time of the last reading of a device's state.
#[derive(Debug, Default)]
pub(crate) struct StateTimer(Option<Instant>);

impl StateTimer {
    /// Whether the state is due; if so, the timer restarts.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.0.is_none_or(|last| now.saturating_duration_since(last) >= STATE_PERIOD);
        if due {
            self.0 = Some(now);
        }
        due
    }
}
