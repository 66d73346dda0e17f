//! Units of logs in SI: sub-units are divided by, so that a figure is rounded once.

/// What a figure is multiplied by, and then divided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    multiplier: f64,
    divisor: f64,
}

impl Scale {
    /// Joules and watts themselves.
    pub(super) const ONE: Self = Self { multiplier: 1.0, divisor: 1.0 };
    /// Thousandths: mJ, mW.
    pub(super) const MILLI: Self = Self { multiplier: 1.0, divisor: 1e3 };
    /// Millionths: µJ.
    pub(super) const MICRO: Self = Self { multiplier: 1.0, divisor: 1e6 };
    /// Watt-hours to joules.
    pub(super) const WATT_HOURS: Self = Self { multiplier: 3600.0, divisor: 1.0 };

    /// A unit of so many SI units, such as 0.001, which stands for a thousandth; none outside of 10⁻¹⁵ to 10¹⁵.
    pub(super) fn from_factor(factor: f64) -> Option<Self> {
        match factor {
            f if !(1e-15..=1e15).contains(&f) => None,
            f if f < 1.0 => Some(Self { multiplier: 1.0, divisor: (1.0 / f).round() }),
            f => Some(Self { multiplier: f, divisor: 1.0 }),
        }
    }

    /// The scale of a unit of energy or power.
    pub(super) fn from_unit(unit: &str) -> Option<Self> {
        Some(match unit {
            "J" | "W" | "Watts" => Self::ONE,
            "mJ" | "mW" => Self::MILLI,
            "uJ" | "µJ" | "μJ" | "uW" | "µW" | "μW" => Self::MICRO,
            "nJ" => Self { multiplier: 1.0, divisor: 1e9 },
            "kJ" | "kW" => Self { multiplier: 1e3, divisor: 1.0 },
            "MJ" => Self { multiplier: 1e6, divisor: 1.0 },
            "Wh" | "W.h" => Self::WATT_HOURS,
            "kWh" | "kW.h" => Self { multiplier: 3.6e6, divisor: 1.0 },
            _ => return None,
        })
    }

    /// The figure in SI units.
    pub(super) fn si(self, figure: f64) -> f64 {
        figure * self.multiplier / self.divisor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_rounded_once() {
        // 0.1 and 0.3 are not what a product with 0.001 gives
        assert_eq!(Scale::MILLI.si(300.0), 0.3);
        assert_eq!(Scale::from_factor(0.001).unwrap().si(300.0), 0.3);
        assert_eq!(Scale::from_factor(1e-6), Some(Scale::MICRO));
        assert_eq!(Scale::from_unit("µJ").unwrap().si(123_456_789.0), 123.456_789);
        assert_eq!(Scale::from_unit("kWh").unwrap().si(2.0), 7.2e6);
        assert_eq!(
            (Scale::from_factor(0.0), Scale::from_factor(f64::NAN), Scale::from_unit("W/h")),
            (None, None, None)
        );
    }
}
