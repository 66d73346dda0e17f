//! Conversion to SI units. Sub-units are divided by, so that a value is rounded only once.

/// A conversion factor as multiplier and divisor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    multiplier: f64,
    divisor: f64,
}

impl Scale {
    /// J and W.
    pub(super) const ONE: Self = Self { multiplier: 1.0, divisor: 1.0 };
    /// mJ and mW.
    pub(super) const MILLI: Self = Self { multiplier: 1.0, divisor: 1e3 };
    /// µJ and µW.
    pub(super) const MICRO: Self = Self { multiplier: 1.0, divisor: 1e6 };
    /// Wh to J.
    pub(super) const WATT_HOURS: Self = Self { multiplier: 3600.0, divisor: 1.0 };

    /// From the size of the unit in SI units, such as 0.001; `None` outside 10⁻¹⁵ to 10¹⁵.
    pub(super) fn from_factor(factor: f64) -> Option<Self> {
        match factor {
            f if !(1e-15..=1e15).contains(&f) => None,
            f if f < 1.0 => Some(Self { multiplier: 1.0, divisor: (1.0 / f).round() }),
            f => Some(Self { multiplier: f, divisor: 1.0 }),
        }
    }

    /// From the symbol of a unit of energy or power.
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

    /// Converts a value to SI units.
    pub(super) fn si(self, value: f64) -> f64 {
        value * self.multiplier / self.divisor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_rounded_once() {
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
