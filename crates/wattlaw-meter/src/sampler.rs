//! A thread that reads all meters at a fixed interval of the monotonic clock.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wattlaw::base::units::Seconds;
use wattlaw::record::{Channel, Sample};

use crate::meter::{Fault, Meter};

/// Minimum and maximum interval: no GPU sensor updates faster than every 10 ms, and longer intervals than 10 s would miss changes of a
/// training run.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(10));

/// A round that is later than this many intervals after the previous one leaves a gap.
const MAX_DELAY_INTERVALS: f64 = 2.5;

/// One round of readings.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Time since the start on the monotonic clock, s: the middle of the round.
    pub at: Seconds,
    /// One reading per channel, in the order of meters and channels.
    pub readings: Vec<Result<Sample, Fault>>,
}

/// A thread that samples until it is stopped or dropped.
#[derive(Debug)]
pub struct Sampler {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Parses a sampling interval: `100ms`, `0.5s`, `2s`.
///
/// # Errors
/// A message if the text is not a time from 10 ms to 10 s.
pub fn interval(text: &str) -> Result<Duration, String> {
    let trimmed = text.trim();
    let (number, unit_s) = match (trimmed.strip_suffix("ms"), trimmed.strip_suffix('s')) {
        (Some(number), _) => (number, 1e-3),
        (None, Some(number)) => (number, 1.0),
        (None, None) => return Err(format!("`{text}` is not an interval; examples: 100ms, 1s")),
    };
    let number: f64 = number
        .trim_end()
        .parse()
        .map_err(|_| format!("`{text}` is not an interval; examples: 100ms, 1s"))?;
    Duration::try_from_secs_f64(number * unit_s)
        .ok()
        .filter(|interval| (INTERVALS.0..=INTERVALS.1).contains(interval))
        .ok_or_else(|| format!("`{text}` is not an interval between 10ms and 10s"))
}

impl Sampler {
    /// Starts sampling: one round immediately, then one every `interval`, and a last one when stopped. Times are relative to `start`.
    ///
    /// If a round is much too late, as on an overloaded machine, a round of faults is inserted before it, so that the gap is recorded.
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
                // missed rounds are not repeated
                due = (due + interval).max(Instant::now());
                let wait = due.saturating_duration_since(Instant::now());
                stopping = stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout);
            }
        });
        (Self { stop: Some(stop), thread: Some(thread) }, received)
    }

    /// Reads a last round and ends the thread; the receiver then ends after the sent rounds.
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

/// The round of faults for a gap, if the next round is too late.
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
    let reason = format!("no readings for {:.2} s: the machine was overloaded", silence.value());
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

    /// A meter with a slow third reading.
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
    fn a_late_round_leaves_a_gap() {
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
