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

/// A counter after a reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Advance {
    /// Energy since the first reading.
    pub total: Joules,
    /// Whether the counter was reset before the reading, so that some energy was not counted.
    pub reset: bool,
}

impl Counter {
    /// An unread counter that wraps at `range`.
    pub const fn new(range: Option<Joules>) -> Self {
        Self { range, last: None, total: Joules::ZERO }
    }

    /// The energy since the first reading, for the device's counter value `raw`.
    ///
    /// `most` is the most energy that the device can use since the last reading, where that is known. A counter with a
    /// range that decreased has wrapped once, unless the step would be more than that: then it was reset, as after a
    /// suspend or a reload of the driver. Without a range it was reset too. The energy lost in a reset is unknown:
    /// `meanwhile`, the energy since the last reading from integrated power, replaces it, if it is more than the energy
    /// counted since the reset.
    pub fn advance(
        &mut self,
        raw: Joules,
        meanwhile: Option<Joules>,
        most: Option<Joules>,
    ) -> Advance {
        let possible = |step: &Joules| most.is_none_or(|most| *step <= most);
        let counted = match (self.last, self.range) {
            (None, _) => Some(Joules::ZERO),
            (Some(last), _) if raw >= last => Some(raw - last).filter(possible),
            (Some(last), Some(range)) => {
                Some((range - last).max(Joules::ZERO) + raw).filter(possible)
            }
            (Some(_), None) => None,
        };
        let since_reset = Some(raw).filter(possible).unwrap_or(Joules::ZERO);
        let step = counted.unwrap_or(since_reset.max(meanwhile.unwrap_or(Joules::ZERO)));
        self.last = Some(raw);
        self.total += step;
        Advance { total: self.total, reset: counted.is_none() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Totals, and the number of resets.
    fn advanced(
        range: Option<f64>,
        raw: &[f64],
        meanwhile: Option<f64>,
        most: Option<f64>,
    ) -> (Vec<f64>, usize) {
        let mut counter = Counter::new(range.map(Joules::new));
        let [meanwhile, most] = [meanwhile, most].map(|j| j.map(Joules::new));
        let steps: Vec<Advance> =
            raw.iter().map(|&raw| counter.advance(Joules::new(raw), meanwhile, most)).collect();
        let resets = steps.iter().filter(|step| step.reset).count();
        (steps.iter().map(|step| step.total.value()).collect(), resets)
    }

    #[test]
    fn it_counts_from_the_first_reading() {
        assert_eq!(advanced(None, &[500.0, 500.0, 512.5], None, None), (vec![0.0, 0.0, 12.5], 0));
    }

    #[test]
    fn a_wrap_is_corrected() {
        let raw = [990.0, 998.0, 3.0, 4.0];
        assert_eq!(advanced(Some(1000.0), &raw, None, None), (vec![0.0, 8.0, 13.0, 14.0], 0));
        assert_eq!(advanced(Some(1000.0), &raw, None, Some(8.0)), (vec![0.0, 8.0, 13.0, 14.0], 0));
    }

    #[test]
    fn a_step_of_more_than_the_device_can_draw_is_a_reset() {
        // a package of 300 W that is read each second
        let raw = [50_000.0, 50_300.0, 100.0, 400.0];
        let expected = vec![0.0, 300.0, 400.0, 700.0];
        assert_eq!(advanced(Some(262_143.0), &raw, None, Some(2_000.0)), (expected, 1));
        let ahead = [0.0, 300.0, 90_000.0, 90_300.0];
        let expected = vec![0.0, 300.0, 300.0, 600.0];
        assert_eq!(advanced(Some(262_143.0), &ahead, None, Some(2_000.0)), (expected, 1));
    }

    #[test]
    fn a_reset_is_corrected_by_integrated_power() {
        let raw = [990.0, 3.0, 13.0];
        assert_eq!(advanced(None, &raw, None, None), (vec![0.0, 3.0, 13.0], 1));
        assert_eq!(advanced(None, &raw, Some(10.0), None), (vec![0.0, 10.0, 20.0], 1));
    }
}
