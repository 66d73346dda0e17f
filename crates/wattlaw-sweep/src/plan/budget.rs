//! The budget of a sweep: GPU-hours or energy.

use std::fmt;
use std::str::FromStr;

use wattlaw::base::error::{Error, Result};
use wattlaw::base::units::{JOULES_PER_KWH, Joules, Seconds};

/// A budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// GPU-hours.
    GpuHours(f64),
    /// Energy, J.
    Energy(Joules),
}

impl Budget {
    /// Size of the budget, in GPU-hours or joules.
    pub const fn total(self) -> f64 {
        match self {
            Self::GpuHours(hours) => hours,
            Self::Energy(energy) => energy.value(),
        }
    }
}

/// GPU-hours of a run.
pub fn gpu_hours(gpus: u64, duration: Seconds) -> f64 {
    gpus as f64 * duration.value() / 3600.0
}

impl FromStr for Budget {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        let split = trimmed
            .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '_')))
            .unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(split);
        let number =
            number.replace('_', "").parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0);
        let unit = unit.trim().to_lowercase().replace(['-', ' '], "");
        let budget = number.and_then(|x| match unit.as_str() {
            "gpuh" | "gpuhours" | "gpuhour" => Some(Self::GpuHours(x)),
            "wh" => Some(Self::Energy(Joules::from_kwh(x / 1e3))),
            "kwh" => Some(Self::Energy(Joules::from_kwh(x))),
            "mwh" => Some(Self::Energy(Joules::from_kwh(x * 1e3))),
            _ => None,
        });
        budget.ok_or_else(|| {
            Error::invalid(
                "the budget",
                format!("`{text}`"),
                "it must be GPU-hours or energy, such as `20 GPU-h`, `3 kWh` or `500 Wh`",
            )
        })
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GpuHours(hours) => write!(f, "{hours} GPU-h"),
            Self::Energy(energy) => write!(f, "{} kWh", energy.value() / JOULES_PER_KWH),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_read_with_their_unit() {
        for (text, budget) in [
            ("20 GPU-h", Budget::GpuHours(20.0)),
            ("1_000 gpu hours", Budget::GpuHours(1000.0)),
            ("0.5GPUh", Budget::GpuHours(0.5)),
            ("3 kWh", Budget::Energy(Joules::new(1.08e7))),
            ("500Wh", Budget::Energy(Joules::new(1.8e6))),
            ("2 MWh", Budget::Energy(Joules::new(7.2e9))),
        ] {
            assert_eq!(text.parse::<Budget>().unwrap(), budget, "{text}");
        }
        for text in ["3 apples", "20", "kWh", "-3 kWh", "0 kWh", "1e400 kWh", "1.2.3 kWh", ""] {
            let error = text.parse::<Budget>().unwrap_err().to_string();
            assert!(error.contains("such as `20 GPU-h`"), "{text}: {error}");
        }
    }
}
