//! A device's energy counter, made to count on where the device's own wraps or starts anew.

use crate::base::units::Joules;

/// What a counter has counted since it was first read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counter {
    /// The value from which the device's counter starts at zero again; none where it does so only by a reset.
    range: Option<Joules>,
    last: Option<Joules>,
    total: Joules,
}

impl Counter {
    /// A counter that has not been read yet, and that wraps at `range`.
    pub const fn new(range: Option<Joules>) -> Self {
        Self { range, last: None, total: Joules::ZERO }
    }

    /// The energy since the first reading, the device's counter now showing `raw`.
    ///
    /// A counter that fell has wrapped where it has a range, once: it must be read more often than it wraps. Without a range
    /// it was reset, and what it lost is unknown: `meanwhile`, the energy since the last reading by other means (integrated
    /// power), stands for it, if that is more than what was counted since the reset.
    pub fn advance(&mut self, raw: Joules, meanwhile: Option<Joules>) -> Joules {
        let step = match (self.last, self.range) {
            (None, _) => Joules::ZERO,
            (Some(last), _) if raw >= last => raw - last,
            (Some(last), Some(range)) => (range - last).max(Joules::ZERO) + raw,
            (Some(_), None) => raw.max(meanwhile.unwrap_or(Joules::ZERO)),
        };
        self.last = Some(raw);
        self.total += step;
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(range: Option<f64>, raw: &[f64], meanwhile: Option<f64>) -> Vec<f64> {
        let mut counter = Counter::new(range.map(Joules::new));
        raw.iter()
            .map(|&raw| counter.advance(Joules::new(raw), meanwhile.map(Joules::new)).value())
            .collect()
    }

    #[test]
    fn it_counts_from_the_first_reading() {
        assert_eq!(totals(None, &[500.0, 500.0, 512.5], None), [0.0, 0.0, 12.5]);
    }

    #[test]
    fn a_wrap_is_made_good() {
        assert_eq!(totals(Some(1000.0), &[990.0, 998.0, 3.0, 4.0], None), [0.0, 8.0, 13.0, 14.0]);
    }

    #[test]
    fn a_reset_is_made_good_by_what_is_known_of_the_meantime() {
        assert_eq!(totals(None, &[990.0, 3.0, 13.0], None), [0.0, 3.0, 13.0]);
        assert_eq!(totals(None, &[990.0, 3.0, 13.0], Some(10.0)), [0.0, 10.0, 20.0]);
    }
}
