//! Waits until a machine is idle: low load and a stable temperature.
//!
//! Heat from the previous job raises the power of the next one, and other processes slow it down.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::meter::Meter;

/// Maximum CPU and GPU utilisation of an idle machine: a desktop with its daemons uses less, a job uses more. Assumed.
const MAX_BUSY_CPU: f64 = 0.2;
const MAX_BUSY_GPU: f64 = 0.05;

/// The temperature is stable if it varies by at most this many °C over this time. Sensors report whole degrees. Assumed.
const MAX_DRIFT_C: f64 = 1.0;
const DRIFT_TIME: Duration = Duration::from_secs(10);

/// Poll interval, and the first one.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
const FIRST_POLL: Duration = Duration::from_millis(50);

/// Why a machine is not idle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NotIdle {
    /// CPU utilisation, 0 to 1.
    Cpu(f64),
    /// Utilisation of the busiest GPU, 0 to 1.
    Gpu(f64),
    /// Recent temperature range, °C; also if it has not been observed long enough.
    Temperature(f64),
}

impl std::fmt::Display for NotIdle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu(share) => write!(f, "CPU utilisation is {:.0} %", share * 100.0),
            Self::Gpu(share) => write!(f, "GPU utilisation is {:.0} %", share * 100.0),
            Self::Temperature(degrees) => {
                write!(f, "the temperature varies by {degrees:.0} °C in 10 s")
            }
        }
    }
}

/// Detects idleness from recent samples.
#[derive(Debug, Default)]
struct IdleDetector {
    temperatures: VecDeque<(Duration, f64)>,
}

impl IdleDetector {
    /// Adds a sample; returns why the machine is not idle, or `None` if it is.
    fn update(&mut self, at: Duration, cpu: Option<f64>, gpus: &[Gpu]) -> Option<NotIdle> {
        let hottest = gpus.iter().filter_map(|gpu| gpu.temperature_c).reduce(f64::max);
        if let Some(hottest) = hottest {
            self.temperatures.push_back((at, hottest));
        }
        // keep the newest sample that is at least DRIFT_TIME old, so that the whole period is covered
        while self
            .temperatures
            .get(1)
            .is_some_and(|(then, _)| at.saturating_sub(*then) >= DRIFT_TIME)
        {
            self.temperatures.pop_front();
        }
        let busiest = gpus.iter().filter_map(|gpu| gpu.utilization).fold(0.0, f64::max);
        if busiest > MAX_BUSY_GPU {
            return Some(NotIdle::Gpu(busiest));
        }
        if let Some(share) = cpu.filter(|share| *share > MAX_BUSY_CPU) {
            return Some(NotIdle::Cpu(share));
        }
        let (first, _) = self.temperatures.front()?;
        let values = || self.temperatures.iter().map(|(_, degrees)| *degrees);
        let drift = values().fold(f64::MIN, f64::max) - values().fold(f64::MAX, f64::min);
        let watched = at.saturating_sub(*first) >= DRIFT_TIME;
        (drift > MAX_DRIFT_C || !watched).then_some(NotIdle::Temperature(drift))
    }
}

/// State of a GPU.
#[derive(Debug, Clone, Copy, Default)]
struct Gpu {
    utilization: Option<f64>,
    temperature_c: Option<f64>,
}

/// Waits until the machine is idle, at most `limit`. `wait` waits for a time and returns whether to continue.
///
/// Returns the elapsed time and, if the limit was reached, why the machine is not idle.
pub fn wait_until_idle(
    meters: &mut [Box<dyn Meter>],
    limit: Duration,
    mut wait: impl FnMut(Duration) -> bool,
) -> (Duration, Option<NotIdle>) {
    if limit.is_zero() {
        return (limit, None);
    }
    let begin = Instant::now();
    let mut detector = IdleDetector::default();
    let mut before = ticks();
    let mut next = FIRST_POLL;
    loop {
        if !wait(next) {
            return (begin.elapsed(), None);
        }
        next = POLL_INTERVAL;
        let now = ticks();
        let cpu = before.zip(now).and_then(|(before, now)| busy(before, now));
        before = now.or(before);
        let gpus: Vec<Gpu> = meters
            .iter_mut()
            .flat_map(|meter| meter.read())
            .flatten()
            .map(|sample| Gpu {
                utilization: sample.utilization,
                temperature_c: sample.temperature_c,
            })
            .collect();
        let not_idle = detector.update(begin.elapsed(), cpu, &gpus);
        if not_idle.is_none() || begin.elapsed() >= limit {
            return (begin.elapsed(), not_idle);
        }
    }
}

/// Idle and total time of all CPUs, in kernel ticks.
fn ticks() -> Option<(u64, u64)> {
    parse(&std::fs::read_to_string("/proc/stat").ok()?)
}

/// Source: proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal; guest times are included in the first two.
fn parse(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let times: Vec<u64> =
        line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
    let idle = times.get(3)? + times.get(4).unwrap_or(&0);
    Some((idle, times.iter().sum()))
}

fn busy(before: (u64, u64), now: (u64, u64)) -> Option<f64> {
    let all = now.1.checked_sub(before.1).filter(|ticks| *ticks > 0)?;
    let idle = now.0.saturating_sub(before.0).min(all);
    Some(1.0 - idle as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn gpu(utilization: f64, degrees: f64) -> [Gpu; 1] {
        [Gpu { utilization: Some(utilization), temperature_c: Some(degrees) }]
    }

    #[test]
    fn a_machine_without_sensors_is_idle_at_low_load() {
        let mut detector = IdleDetector::default();
        assert_eq!(detector.update(s(0), Some(0.9), &[]), Some(NotIdle::Cpu(0.9)));
        assert_eq!(detector.update(s(1), Some(0.1), &[]), None);
        assert_eq!(detector.update(s(2), None, &[]), None, "unknown CPU load");
    }

    #[test]
    fn a_gpu_is_idle_once_its_temperature_is_stable() {
        let mut detector = IdleDetector::default();
        assert_eq!(detector.update(s(0), Some(0.0), &gpu(0.5, 70.0)), Some(NotIdle::Gpu(0.5)));
        assert_eq!(
            detector.update(s(1), Some(0.0), &gpu(0.0, 68.0)),
            Some(NotIdle::Temperature(2.0))
        );
        for second in 2..30 {
            let degrees = 68.0 - second as f64 / 2.0;
            assert!(
                detector.update(s(second), Some(0.0), &gpu(0.0, degrees)).is_some(),
                "{second}"
            );
        }
        for second in 30..38 {
            assert!(detector.update(s(second), Some(0.0), &gpu(0.0, 53.0)).is_some(), "{second}");
        }
        assert_eq!(detector.update(s(39), Some(0.0), &gpu(0.0, 53.0)), None);
        // sensors flicker by one whole degree
        assert_eq!(detector.update(s(40), Some(0.0), &gpu(0.0, 54.0)), None);
    }

    #[test]
    fn cpu_times_are_parsed() {
        let before = parse("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3 4\n").unwrap();
        assert_eq!(before, (850, 1000));
        let now = parse("cpu  150 0 50 840 60 0 0 0 0 0\n").unwrap();
        assert_eq!(busy(before, now), Some(0.5));
        assert_eq!((busy(now, now), parse("intr 5\n"), parse("cpu x\n")), (None, None, None));
    }

    #[test]
    fn the_wait_ends_at_its_limit_or_on_request() {
        let (waited, _) = wait_until_idle(&mut [], Duration::from_millis(1), |time| {
            std::thread::sleep(time);
            true
        });
        assert!(waited >= FIRST_POLL);
        assert_eq!(
            wait_until_idle(&mut [], Duration::ZERO, |_| panic!("must not wait")).0,
            Duration::ZERO
        );
        let (_, not_idle) = wait_until_idle(&mut [], s(100), |_| false);
        assert_eq!(not_idle, None, "stopped on request");
    }
}
