//! What measuring itself costs: samples all meters of this machine for a while, and says how much of a core and how much memory
//! that took.
//!
//! `overhead SECONDS INTERVAL`, 30 and 100ms when absent; `benches/peers/meter.sh` runs it beside other tools.

use std::error::Error;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use wattlaw::record::trace::ChannelTrace;
use wattlaw_meter::machine::{self, Options};
use wattlaw_meter::sampler::{Sampler, interval};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let time = Duration::from_secs_f64(words.next().unwrap_or_else(|| "30".to_owned()).parse()?);
    let interval = interval(&words.next().unwrap_or_else(|| "100ms".to_owned()))?;
    let opened = machine::open(&Options::from_env())?;
    let mut traces: Vec<_> = opened.channels().into_iter().map(ChannelTrace::new).collect();
    let start = Instant::now();
    let before = processor_time();
    let (sampler, ticks) = Sampler::start(opened.meters, interval, start);
    let (mut rounds, mut faults) = (0, 0);
    while start.elapsed() < time {
        let tick = ticks.recv()?;
        rounds += 1;
        for (trace, reading) in traces.iter_mut().zip(tick.readings) {
            faults += usize::from(reading.is_err());
            trace.push(tick.at, reading.ok());
            trace.forget_before(tick.at);
        }
    }
    let share = (processor_time() - before) / start.elapsed().as_secs_f64();
    sampler.stop();
    println!(
        "channels {}, rounds {rounds}, faults {faults}: {:.3} % of a core, peak memory {}",
        traces.len(),
        share * 100.0,
        peak_memory()?
    );
    Ok(())
}

/// Time that this process has had on a processor, in seconds.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The kernel's high-water mark of this process's memory.
fn peak_memory() -> Result<String, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = line.unwrap_or("0 kB").trim().trim_end_matches(" kB").parse()?;
    Ok(format!("{:.1} MiB", kib / 1024.0))
}
