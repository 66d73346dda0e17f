//! The unit in which an axis counts.

use wattlaw::plan::Objective;

/// A unit of an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// What is counted, with its unit: `energy in kWh`.
    pub name: String,
    /// The unit in the quantity's own: 3.6e6 for kWh of joules.
    pub divisor: f64,
}

impl Scale {
    /// The unit for values up to `most` of an objective: J, s, h, g CO₂e or the currency.
    pub fn of(objective: Objective, most: f64, currency: Option<&str>) -> Self {
        match objective {
            Objective::Energy => Self::energy(most),
            Objective::Time => Self::time(most),
            Objective::GpuHours => Self::named("GPU-hours".to_owned(), 1.0),
            Objective::Cost => {
                Self::named(format!("price in {}", currency.unwrap_or("the currency")), 1.0)
            }
            Objective::Carbon => {
                Self::fitting("CO₂e in", most, &[("g", 1.0), ("kg", 1e3), ("t", 1e6)])
            }
        }
    }

    /// The unit for joules.
    pub fn energy(most_j: f64) -> Self {
        let units = [("J", 1.0), ("Wh", 3.6e3), ("kWh", 3.6e6), ("MWh", 3.6e9), ("GWh", 3.6e12)];
        Self::fitting("energy in", most_j, &units)
    }

    /// The unit for seconds.
    pub fn time(most_s: f64) -> Self {
        let units = [("s", 1.0), ("min", 60.0), ("hours", 3600.0), ("days", 86_400.0)];
        Self::fitting("time in", most_s, &units)
    }

    /// A unit without prefixes.
    pub const fn named(name: String, divisor: f64) -> Self {
        Self { name, divisor }
    }

    /// The largest unit of which `most` is at least two.
    fn fitting(what: &str, most: f64, units: &[(&str, f64)]) -> Self {
        let fits = units.iter().rev().find(|(_, divisor)| most >= 2.0 * divisor);
        let (unit, divisor) = fits.or(units.first()).copied().unwrap_or(("", 1.0));
        Self { name: format!("{what} {unit}"), divisor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_has_numbers_that_are_read_easily() {
        assert_eq!(Scale::energy(7.2e6).name, "energy in kWh");
        assert_eq!(Scale::energy(7.1e6).name, "energy in Wh");
        assert_eq!(Scale::energy(0.5).name, "energy in J");
        assert_eq!(Scale::time(7200.0).divisor, 3600.0);
        assert_eq!(Scale::of(Objective::Carbon, 2e6, None).name, "CO₂e in t");
        assert_eq!(Scale::of(Objective::Cost, 1.0, Some("EUR")).name, "price in EUR");
    }
}
