//! Integration of power readings to energy.

/// A gap: a step longer than this and than ten times the mean step.
const GAP_NS: i64 = 60_000_000_000;

/// Maximum time between the lines of several GPUs of one query.
const BURST_NS: i64 = 20_000_000;

/// Result of adding a reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// The first reading, or one joined to the previous reading.
    Joined,
    /// Same time as the previous reading.
    Same,
    /// A gap of this many seconds before the reading; the gap is excluded.
    Gap(f64),
    /// Earlier than the previous reading by this many seconds.
    Back(f64),
}

/// Readings of one channel, interpolated linearly.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    last: Option<(i64, f64)>,
    joules: f64,
    covered_ns: i64,
    steps: i64,
    short_steps: i64,
}

impl Series {
    /// Adds a reading: time in ns, power in W.
    pub(super) fn push(&mut self, at_ns: i64, watts: f64) -> Step {
        let Some((before_ns, before)) = self.last else {
            self.last = Some((at_ns, watts));
            return Step::Joined;
        };
        let dt = at_ns - before_ns;
        if dt < 0 {
            return Step::Back(dt as f64 / -1e9);
        }
        self.last = Some((at_ns, watts));
        if dt == 0 {
            return Step::Same;
        }
        if dt > GAP_NS && self.steps > 0 && dt / 10 > self.covered_ns / self.steps {
            return Step::Gap(dt as f64 / 1e9);
        }
        self.joules += 0.5 * (before + watts) * (dt as f64 / 1e9);
        self.short_steps += i64::from(dt < BURST_NS && dt * 4 * self.steps < self.covered_ns);
        self.covered_ns += dt;
        self.steps += 1;
        Step::Joined
    }

    /// Ends the current segment; the next reading starts a new one.
    pub(super) fn pause(&mut self) {
        self.last = None;
    }

    /// Energy of the covered time, J.
    pub(super) const fn joules(&self) -> f64 {
        self.joules
    }

    /// Covered time, s.
    pub(super) fn seconds(&self) -> f64 {
        self.covered_ns as f64 / 1e9
    }

    /// Whether readings come in bursts, as when several channels are mixed.
    pub(super) const fn comes_in_bursts(&self) -> bool {
        self.steps >= 8 && 3 * self.short_steps > self.steps
    }

    /// Mean time between readings, s; 0 with fewer than two.
    pub(super) fn interval(&self) -> f64 {
        if self.steps == 0 { 0.0 } else { self.seconds() / self.steps as f64 }
    }
}

/// An energy counter that may be reset.
#[derive(Debug, Clone, Default)]
pub(super) struct Counter {
    last: Option<f64>,
    total: f64,
    resets: u64,
}

impl Counter {
    /// Adds a reading; returns whether the counter was reset before it.
    pub(super) fn push(&mut self, value: f64) -> bool {
        let reset = self.last.is_some_and(|last| value < last);
        if let Some(last) = self.last
            && !reset
        {
            self.total += value - last;
        }
        self.resets += u64::from(reset);
        self.last = Some(value);
        reset
    }

    /// Counted energy between the first and the last reading, without the steps across resets.
    pub(super) const fn total(&self) -> f64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    #[test]
    fn a_linear_ramp_is_integrated_exactly() {
        let mut series = Series::default();
        for t in 0..=10 {
            assert_eq!(series.push(t * S, 100.0 + 10.0 * t as f64), Step::Joined);
        }
        assert_eq!((series.joules(), series.seconds(), series.interval()), (1500.0, 10.0, 1.0));
    }

    #[test]
    fn gaps_are_excluded_and_time_is_monotonic() {
        let mut series = Series::default();
        for t in 0..=5 {
            series.push(t * S, 100.0);
        }
        assert_eq!(series.push(3605 * S, 100.0), Step::Gap(3600.0));
        assert_eq!(series.push(3604 * S, 100.0), Step::Back(1.0));
        assert_eq!(series.push(3605 * S, 100.0), Step::Same);
        series.push(3606 * S, 300.0);
        assert_eq!((series.joules(), series.seconds()), (700.0, 6.0));
        // a log of a reading every five minutes has no gaps
        let mut slow = Series::default();
        for t in 0..=5 {
            assert_eq!(slow.push(t * 300 * S, 100.0), Step::Joined);
        }
    }

    #[test]
    fn a_reset_loses_only_the_step_across_it() {
        let mut counter = Counter::default();
        let resets: Vec<bool> = [100.0, 150.0, 20.0, 50.0].map(|v| counter.push(v)).into();
        assert_eq!(resets, [false, false, true, false]);
        assert_eq!(counter.total(), 80.0);
    }
}
