//! Reads meters at a steady interval on the monotonic clock, in a thread of its own.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wattlaw::base::units::Seconds;
use wattlaw::record::{Channel, Sample};

use crate::meter::{Fault, Meter};

/// The shortest and the longest interval: no GPU's sensor moves faster than each 10 ms, and a training run changes within more
/// than 10 s.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(10));

/// A round that comes later than so many intervals after the last one leaves a gap.
const MAX_DELAY_INTERVALS: f64 = 2.5;

/// One round of readings.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Time since sampling began, on the monotonic clock: halfway between the start and the end of the round.
    pub at: Seconds,
    /// One reading a channel, meter by meter in their order.
    pub readings: Vec<Result<Sample, Fault>>,
}

/// A thread that samples until it is stopped or dropped.
#[derive(Debug)]
pub struct Sampler {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Reads an interval between rounds: `100ms`, `0.5s`, `2s`.
///
/// # Errors
/// A sentence: it is no time, or none between 10 ms and 10 s.
pub fn interval(text: &str) -> Result<Duration, String> {
    let trimmed = text.trim();
    let (number, unit_s) = match (trimmed.strip_suffix("ms"), trimmed.strip_suffix('s')) {
        (Some(number), _) => (number, 1e-3),
        (None, Some(number)) => (number, 1.0),
        (None, None) => return Err(format!("`{text}` is no interval; write it as 100ms or 1s")),
    };
    let number: f64 = number
        .trim_end()
        .parse()
        .map_err(|_| format!("`{text}` is no interval; write it as 100ms or 1s"))?;
    Duration::try_from_secs_f64(number * unit_s)
        .ok()
        .filter(|interval| (INTERVALS.0..=INTERVALS.1).contains(interval))
        .ok_or_else(|| format!("`{text}` is no interval between 10ms and 10s"))
}

impl Sampler {
    /// Starts sampling: a round at once, then one each `interval`, and a last one when it is stopped. Times are since `start`.
    ///
    /// Before a round that comes much too late, as when the machine had no time for this thread, there is one in which all
    /// channels are at fault, so that the gap shows in what was read.
    pub fn start(
        mut meters: Vec<Box<dyn Meter>>,
        interval: Duration,
        start: Instant,
    ) -> (Self, Receiver<Tick>) {
        let (stop, stopped) = channel::<()>();
        let (ticks, received) = channel();
        let thread = std::thread::spawn(move || {
            let mut due = Instant::now();
            let mut last: Option<Seconds> = None;
            let mut stopping = false;
            loop {
                let tick = round(&mut meters, start);
                let missed = last.and_then(|last| missed(&meters, interval, last, tick.at));
                last = Some(tick.at);
                if missed.into_iter().chain([tick]).any(|tick| ticks.send(tick).is_err())
                    || stopping
                {
                    return;
                }
                // rounds that were missed are not made up for
                due = (due + interval).max(Instant::now());
                let wait = due.saturating_duration_since(Instant::now());
                stopping = stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout);
            }
        });
        (Self { stop: Some(stop), thread: Some(thread) }, received)
    }

    /// Takes a last round and ends; the receiver then ends after what was sent.
    pub fn stop(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.finish();
    }
}

fn round(meters: &mut [Box<dyn Meter>], start: Instant) -> Tick {
    let before = start.elapsed();
    let readings = meters.iter_mut().flat_map(|meter| meter.read()).collect();
    let at = Seconds::new((before + start.elapsed()).as_secs_f64() / 2.0);
    Tick { at, readings }
}

/// The round that was due after the last one and never came, if the next one came too late.
fn missed(
    meters: &[Box<dyn Meter>],
    interval: Duration,
    last: Seconds,
    next: Seconds,
) -> Option<Tick> {
    let interval = Seconds::new(interval.as_secs_f64());
    let silence = next - last;
    if silence <= interval * MAX_DELAY_INTERVALS {
        return None;
    }
    let reason = format!("nothing was read for {:.2} s: the machine was too busy", silence.value());
    let channels = meters.iter().flat_map(|meter| meter.channels());
    let fault =
        |channel: &Channel| Err(Fault { channel: channel.name.clone(), reason: reason.clone() });
    Some(Tick { at: last + interval, readings: channels.map(fault).collect() })
}

#[cfg(test)]
mod tests {
    use wattlaw::base::units::Watts;
    use wattlaw::record::Component;

    use super::*;
    use crate::assumed::Assumed;

    #[test]
    fn an_interval_is_a_time_between_10_ms_and_10_s() {
        assert_eq!(interval("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(interval(" 0.5 s "), Ok(Duration::from_millis(500)));
        assert_eq!(interval("10ms"), Ok(Duration::from_millis(10)));
        assert_eq!(interval("10s"), Ok(Duration::from_secs(10)));
        for wrong in ["", "100", "fast", "9ms", "11s", "-1s", "NaNs", "infs", "1e300s", "1m"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }

    /// A meter whose every third reading takes long.
    struct Slow(Assumed, u32);

    impl Meter for Slow {
        fn channels(&self) -> &[Channel] {
            self.0.channels()
        }

        fn read(&mut self) -> Vec<Result<Sample, Fault>> {
            self.1 += 1;
            if self.1.is_multiple_of(3) {
                std::thread::sleep(Duration::from_millis(100));
            }
            self.0.read()
        }
    }

    #[test]
    fn a_round_that_comes_late_leaves_a_gap() {
        let assumed = Assumed::new("cpu0", Component::Cpu, Watts::new(10.0));
        let meters: Vec<Box<dyn Meter>> = vec![Box::new(Slow(assumed, 0))];
        let (sampler, ticks) = Sampler::start(meters, Duration::from_millis(10), Instant::now());
        let ticks: Vec<Tick> = ticks.iter().take(12).collect();
        sampler.stop();
        let faults = ticks.iter().filter(|tick| tick.readings[0].is_err()).count();
        assert!(faults >= 1 && faults < ticks.len(), "{ticks:?}");
        assert!(ticks.windows(2).all(|pair| pair[0].at < pair[1].at), "{ticks:?}");
    }
}
