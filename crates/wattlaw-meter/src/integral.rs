//! Integration of power readings to energy.

use std::time::Instant;

use wattlaw::base::units::{Joules, Seconds, Watts};

/// Energy since the first power reading, by the trapezoidal rule.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Integral {
    last: Option<(Instant, Watts)>,
    total: Joules,
}

impl Integral {
    /// Adds a power reading, W; returns the energy since the first one, J.
    pub fn advance(&mut self, at: Instant, power: Watts) -> Joules {
        let step = self.last.map_or(Joules::ZERO, |(before, last)| {
            let time = Seconds::new(at.saturating_duration_since(before).as_secs_f64());
            (last + power) * time / 2.0
        });
        self.last = Some((at, power));
        self.total += step;
        self.total
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_linear_ramp_is_integrated_exactly() {
        let start = Instant::now();
        let mut integral = Integral::default();
        assert_eq!(integral.advance(start, Watts::new(100.0)), Joules::ZERO);
        let later = start + Duration::from_secs(4);
        assert_eq!(integral.advance(later, Watts::new(300.0)), Joules::new(800.0));
        // time never runs backwards
        assert_eq!(integral.advance(start, Watts::new(300.0)), Joules::new(800.0));
    }
}
