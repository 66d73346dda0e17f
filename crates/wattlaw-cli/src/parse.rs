//! Parsers for flag values.

use std::str::FromStr;
use std::time::Duration;

/// Parses a whole number.
///
/// # Errors
/// A message if the text is not a whole number.
pub fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a whole number of at least 0"))
}

/// Parses a number.
///
/// # Errors
/// A message if the text is not a number.
pub fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}

/// Parses a confidence level: `0.95`, `95` or `95%`.
///
/// # Errors
/// A message if the text is no level between 0 and 1, or between 0 and 100 percent.
pub fn level(text: &str) -> Result<f64, String> {
    let plain = text.trim_end_matches('%').trim_end();
    let number: f64 = plain.parse().unwrap_or(f64::NAN);
    // a percentage is above 1 or says so
    let share = if number > 1.0 || plain.len() < text.len() { number / 100.0 } else { number };
    if share > 0.0 && share < 1.0 {
        Ok(share)
    } else {
        Err(format!("`{text}` is not a level between 0 and 1; examples: 0.95, 95"))
    }
}

/// Parses a duration of at most one day: `500ms`, `10s`, `2min`, `1h`.
///
/// # Errors
/// A message if the text is not such a duration.
pub fn time(text: &str) -> Result<Duration, String> {
    duration(text).filter(|time| *time <= DAY).ok_or_else(|| {
        format!("`{text}` is not a duration of at most one day; examples: 10s, 2min")
    })
}

/// Parses a positive duration of at most one year.
///
/// # Errors
/// A message if the text is not such a duration.
pub fn long_time(text: &str) -> Result<Duration, String> {
    duration(text).filter(|time| !time.is_zero() && *time <= DAY * 366).ok_or_else(|| {
        format!("`{text}` is not a positive duration of at most one year; examples: 30min, 2h, 3d")
    })
}

/// Parses an energy in joules: `5MJ`, `300Wh`, `40kWh`, `2MWh`.
///
/// # Errors
/// A message if the text is not such an energy.
pub fn energy(text: &str) -> Result<f64, String> {
    let units = [
        ("MWh", 3.6e9),
        ("kWh", 3.6e6),
        ("Wh", 3.6e3),
        ("GJ", 1e9),
        ("MJ", 1e6),
        ("kJ", 1e3),
        ("J", 1.0),
    ];
    with_unit(text, &units)
        .ok_or_else(|| format!("`{text}` is not an energy; examples: 300Wh, 40kWh, 2MWh"))
}

/// Parses a mass of carbon in grams: `500g`, `20kg`, `3t`.
///
/// # Errors
/// A message if the text is not such a mass.
pub fn mass(text: &str) -> Result<f64, String> {
    with_unit(text, &[("kg", 1e3), ("g", 1.0), ("t", 1e6)])
        .ok_or_else(|| format!("`{text}` is not a mass; examples: 500g, 20kg, 3t"))
}

/// A positive number with a unit after it, in the base unit.
fn with_unit(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    units.iter().find_map(|(unit, factor)| {
        let number: f64 = text.trim().strip_suffix(unit)?.trim_end().parse().ok()?;
        Some(number * factor).filter(|value| value.is_finite() && *value > 0.0)
    })
}

const DAY: Duration = Duration::from_secs(86_400);

fn duration(text: &str) -> Option<Duration> {
    let units = [("ms", 1e-3), ("min", 60.0), ("h", 3600.0), ("d", 86_400.0), ("s", 1.0)];
    units.iter().find_map(|(unit, seconds)| {
        let number: f64 = text.trim().strip_suffix(unit)?.trim_end().parse().ok()?;
        Duration::try_from_secs_f64(number * seconds).ok()
    })
}
