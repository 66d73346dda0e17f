//! Reads meters at a steady interval on the monotonic clock, in a thread of its own.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wattlaw::record::Sample;
use wattlaw::units::Seconds;

use crate::meter::{Fault, Meter};

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

impl Sampler {
    /// Starts sampling: a round at once, then one each `interval`, and a last one when it is stopped. Times are since `start`.
    pub fn start(
        mut meters: Vec<Box<dyn Meter>>,
        interval: Duration,
        start: Instant,
    ) -> (Self, Receiver<Tick>) {
        let (stop, stopped) = channel::<()>();
        let (ticks, received) = channel();
        let thread = std::thread::spawn(move || {
            let mut due = Instant::now();
            loop {
                let before = start.elapsed();
                let readings = meters.iter_mut().flat_map(|meter| meter.read()).collect();
                let at = Seconds::new((before + start.elapsed()).as_secs_f64() / 2.0);
                if ticks.send(Tick { at, readings }).is_err() {
                    return;
                }
                due += interval;
                // a round that took longer than the interval is not made up for
                due = due.max(Instant::now());
                match stopped.recv_timeout(due.saturating_duration_since(Instant::now())) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            let before = start.elapsed();
            let readings = meters.iter_mut().flat_map(|meter| meter.read()).collect();
            let at = Seconds::new((before + start.elapsed()).as_secs_f64() / 2.0);
            // nobody may be left to receive it
            let _ = ticks.send(Tick { at, readings });
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
