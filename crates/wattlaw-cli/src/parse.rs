//! Reads the values of flags.

use std::str::FromStr;
use std::time::Duration;

/// Reads a whole number.
///
/// # Errors
/// A clause that says that it is none.
pub fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no whole number from 0"))
}

/// Reads a number.
///
/// # Errors
/// A clause that says that it is none.
pub fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

/// Reads a time up to a day: `500ms`, `10s`, `2min`, `1h`.
///
/// # Errors
/// A clause that says that it is none.
pub fn time(text: &str) -> Result<Duration, String> {
    duration(text)
        .filter(|time| *time <= DAY)
        .ok_or_else(|| format!("`{text}` is no time up to a day; write it as 10s or 2min"))
}

/// Reads a time above zero and up to a year.
///
/// # Errors
/// A clause that says that it is none.
pub fn long_time(text: &str) -> Result<Duration, String> {
    duration(text)
        .filter(|time| !time.is_zero() && *time <= DAY * 366)
        .ok_or_else(|| format!("`{text}` is no time up to a year; write it as 30min, 2h or 3d"))
}

const DAY: Duration = Duration::from_secs(86_400);

fn duration(text: &str) -> Option<Duration> {
    let units = [("ms", 1e-3), ("min", 60.0), ("h", 3600.0), ("d", 86_400.0), ("s", 1.0)];
    units.iter().find_map(|(unit, seconds)| {
        let number: f64 = text.trim().strip_suffix(unit)?.trim_end().parse().ok()?;
        Duration::try_from_secs_f64(number * seconds).ok()
    })
}
