//! Power that was read again and again, integrated to energy.

/// A time between two readings in which a log says nothing: longer than a minute and than ten usual steps.
const GAP_NS: i64 = 60_000_000_000;

/// Lines of several GPUs of one query are no further apart than this.
const BURST_NS: i64 = 20_000_000;

/// What became of a reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// The first one, or one that was joined to the one before.
    Joined,
    /// It stands at the same moment as the one before.
    Same,
    /// Nobody read for so many seconds before it; that time and its energy are left out.
    Gap(f64),
    /// It stands so many seconds before the one before it.
    Back(f64),
}

/// One channel's readings, joined by straight lines.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    last: Option<(i64, f64)>,
    joules: f64,
    covered_ns: i64,
    steps: i64,
    short_steps: i64,
}

impl Series {
    /// Takes a reading of so many watts at so many nanoseconds.
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

    /// Forgets the last reading, so that the next one begins anew.
    pub(super) fn pause(&mut self) {
        self.last = None;
    }

    /// Energy of the time that was covered, in joules.
    pub(super) const fn joules(&self) -> f64 {
        self.joules
    }

    /// Time that was covered, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.covered_ns as f64 / 1e9
    }

    /// Whether readings come in bursts, as where several channels are read as one.
    pub(super) const fn comes_in_bursts(&self) -> bool {
        self.steps >= 8 && 3 * self.short_steps > self.steps
    }

    /// Usual time between two readings in seconds; zero where there is no second one.
    pub(super) fn interval(&self) -> f64 {
        if self.steps == 0 { 0.0 } else { self.seconds() / self.steps as f64 }
    }
}

/// A counter of energy that is read again and again, and may begin anew.
#[derive(Debug, Clone, Default)]
pub(super) struct Counter {
    last: Option<f64>,
    total: f64,
    resets: u64,
}

impl Counter {
    /// Takes a reading; says whether the counter began anew before it.
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

    /// What it counted between the first and the last reading; what lies around a new beginning is not known.
    pub(super) const fn total(&self) -> f64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    #[test]
    fn a_ramp_is_its_mean_times_its_time() {
        let mut series = Series::default();
        for t in 0..=10 {
            assert_eq!(series.push(t * S, 100.0 + 10.0 * t as f64), Step::Joined);
        }
        assert_eq!((series.joules(), series.seconds(), series.interval()), (1500.0, 10.0, 1.0));
    }

    #[test]
    fn a_gap_is_left_out_and_time_never_runs_backwards() {
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
    fn a_counter_that_begins_anew_loses_only_what_lies_between() {
        let mut counter = Counter::default();
        let resets: Vec<bool> = [100.0, 150.0, 20.0, 50.0].map(|v| counter.push(v)).into();
        assert_eq!(resets, [false, false, true, false]);
        assert_eq!(counter.total(), 80.0);
    }
}
