//! Timestamps in logs, most of which have no time zone.

use std::fmt;

use serde::{Serialize, Serializer};

/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;

/// A wall-clock time in nanoseconds since 1970; its time zone may be unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    nanos: i64,
    zoned: bool,
}

impl Timestamp {
    /// From seconds since 1970 (Python's `time.time()`), rounded to microseconds; `None` outside 1970 to 2261.
    pub(crate) fn from_epoch_s(seconds: f64) -> Option<Self> {
        if !(0.0..9.2e9).contains(&seconds) {
            return None;
        }
        let micros = ((seconds - seconds.trunc()) * 1e6).round() as i64;
        Some(Self { nanos: seconds.trunc() as i64 * SECOND + micros * 1000, zoned: true })
    }

    /// From milliseconds since 1970; `None` outside 1970 to 2261.
    pub(crate) fn from_epoch_ms(milliseconds: f64) -> Option<Self> {
        let possible = (0.0..9.2e12).contains(&milliseconds);
        possible.then(|| Self { nanos: (milliseconds * 1e3).round() as i64 * 1000, zoned: true })
    }

    /// Parses `2023/07/08 19:28:27.236`, `2023-07-08T19:28:27` and similar formats, with or without `Z` or `+02:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.trim().as_bytes();
        let minute = minute(bytes.get(..16)?)?;
        let rest = &bytes[16..];
        let (clock, shift, zoned) =
            match rest.iter().position(|b| matches!(b, b'Z' | b'z' | b'+' | b'-')) {
                None => (rest, 0, false),
                Some(at) => (&rest[..at], zone(&rest[at..])?, true),
            };
        let seconds = if clock.is_empty() { 0 } else { second(clock.strip_prefix(b":")?)? };
        let nanos = minute.checked_add(seconds)?.checked_sub(shift)?;
        (nanos >= 0).then_some(Self { nanos, zoned })
    }

    /// This time minus `seconds`; unchanged if the result is before 1970.
    #[must_use]
    pub fn minus(self, seconds: f64) -> Self {
        let earlier = self.nanos.saturating_sub((seconds * SECOND as f64).round() as i64);
        Self { nanos: if earlier < 0 { self.nanos } else { earlier }, ..self }
    }

    /// Seconds from `earlier` to this time.
    pub fn since(self, earlier: Self) -> f64 {
        self.nanos.saturating_sub(earlier.nanos) as f64 / SECOND as f64
    }

    /// Nanoseconds since 1970.
    pub(crate) const fn nanos(self) -> i64 {
        self.nanos
    }

    /// A time without a known zone.
    pub(crate) const fn local(nanos: i64) -> Self {
        Self { nanos, zoned: false }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) =
            (self.nanos.div_euclid(86_400 * SECOND), self.nanos.rem_euclid(86_400 * SECOND));
        let (year, month, day) = civil(days);
        let (seconds, millis) = (rest / SECOND, rest % SECOND / 1_000_000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}")?;
        if self.zoned { f.write_str("Z") } else { Ok(()) }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Nanoseconds since 1970 of `YYYY/MM/DD HH:MM` or `YYYY-MM-DDTHH:MM`.
pub(crate) fn minute(text: &[u8]) -> Option<i64> {
    let part = |from: usize, to: usize| digits(text.get(from..to)?);
    let separators = [(4, 7, *b"-/"), (7, 4, *b"-/"), (10, 13, *b" T"), (13, 10, *b"::")];
    if !separators.iter().all(|(at, _, allowed)| text.get(*at).is_some_and(|b| allowed.contains(b)))
    {
        return None;
    }
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute) = (part(11, 13)?, part(14, 16)?);
    let possible = (1970..2261).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60;
    possible.then(|| ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 * SECOND)
}

/// Nanoseconds of `SS` or `SS.fff`.
pub(crate) fn second(text: &[u8]) -> Option<i64> {
    let whole = digits(text.get(..2)?)?;
    let fraction = match text.get(2..)? {
        [] => 0,
        [b'.', rest @ ..] if (1..=18).contains(&rest.len()) => {
            let shown = rest.get(..9.min(rest.len()))?;
            if !rest.iter().all(u8::is_ascii_digit) {
                return None;
            }
            digits(shown)? * 10_i64.pow(9 - shown.len() as u32)
        }
        _ => return None,
    };
    (whole <= 60).then_some(whole * SECOND + fraction)
}

/// UTC offset of `Z`, `+02:00` or `+0200`, in nanoseconds.
fn zone(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text {
        [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest {
        [a, b] => (digits(&[*a, *b])?, 0),
        [a, b, c, d] | [a, b, b':', c, d] => (digits(&[*a, *b])?, digits(&[*c, *d])?),
        _ => return None,
    };
    Some(sign * (hours * 60 + minutes) * 60 * SECOND)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0_i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

/// Days since 1970 of a date of the Gregorian calendar.
///
/// Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`,
/// <https://howardhinnant.github.io/date_algorithms.html>.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a count of days since 1970: `civil_from_days` of the same source.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_of_all_tools_are_parsed() {
        // `date -u -d 2023-07-08T19:28:27 +%s` says 1688844507
        let at = |text: &str| Timestamp::parse(text).map(|s| s.nanos);
        assert_eq!(at("2023/07/08 19:28:27.236"), Some(1_688_844_507_236_000_000));
        assert_eq!(at("2023-07-08T19:28:27"), Some(1_688_844_507_000_000_000));
        assert_eq!(at("2023-07-08T21:28:27.5+02:00"), Some(1_688_844_507_500_000_000));
        assert_eq!(at("2022-07-13 02:07:36.708783111"), Some(1_657_678_056_708_783_111));
        assert_eq!(at("2025-01-01T12:00:00.000000000Z"), Some(1_735_732_800_000_000_000));
        for text in [
            "",
            "2023-07-08",
            "2023/13/08 00:00:00",
            "1e300",
            "2023/07/08 24:00:00",
            "2023-07-08T19:28:27.x",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn a_timestamp_is_written_as_it_was_read() {
        for text in
            ["1970-01-01T00:00:00.000", "2000-02-29T23:59:59.999", "2100-03-01T00:00:00.001Z"]
        {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Timestamp::from_epoch_s(1_688_844_507.25).unwrap().to_string(),
            "2023-07-08T19:28:27.250Z"
        );
        assert_eq!(Timestamp::from_epoch_s(1e300), None);
    }
}
