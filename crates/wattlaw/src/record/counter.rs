//! A device's energy counter, corrected for wraps and resets.

use crate::base::units::Joules;

/// Energy since the first reading of a counter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counter {
    /// The value at which the device's counter wraps to zero; `None` if it never wraps.
    range: Option<Joules>,
    last: Option<Joules>,
    total: Joules,
}

impl Counter {
    /// An unread counter that wraps at `range`.
    pub const fn new(range: Option<Joules>) -> Self {
        Self { range, last: None, total: Joules::ZERO }
    }

    /// The energy since the first reading, for the device's counter value `raw`.
    ///
    /// A counter with a range that decreased has wrapped once; it must be read more often than it wraps. Without a
    /// range it was reset, and the lost energy is unknown: `meanwhile`, the energy since the last reading from
    /// integrated power, replaces it, if it is more than the energy counted since the reset.
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
    fn a_wrap_is_corrected() {
        assert_eq!(totals(Some(1000.0), &[990.0, 998.0, 3.0, 4.0], None), [0.0, 8.0, 13.0, 14.0]);
    }

    #[test]
    fn a_reset_is_corrected_by_integrated_power() {
        assert_eq!(totals(None, &[990.0, 3.0, 13.0], None), [0.0, 3.0, 13.0]);
        assert_eq!(totals(None, &[990.0, 3.0, 13.0], Some(10.0)), [0.0, 10.0, 20.0]);
    }
}
