//! One line of `trace.csv`: a reading of a channel.

use std::fmt::Write;

use crate::base::units::{Joules, Seconds, Watts};
use crate::record::Sample;

/// The header of `trace.csv`.
pub const HEADER: &str = "t_s,channel,energy_j,power_w,power_limit_w,sm_clock_mhz,memory_clock_mhz,temperature_c,utilization,throttle_reasons";

/// Upper bound of readings, so that sums of many of them stay finite.
const MAX: f64 = 1e18;

/// A reading of a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading<'a> {
    /// Time since sampling began.
    pub at: Seconds,
    /// The channel's name.
    pub channel: &'a str,
    /// The values; `None` if it could not be read.
    pub sample: Option<Sample>,
}

impl<'a> Reading<'a> {
    /// Appends the line, with its end.
    pub fn append_to(&self, lines: &mut String) {
        let sample = self.sample.unwrap_or_default();
        push_decimal(lines, self.at.value(), 6);
        lines.push(',');
        lines.push_str(self.channel);
        for (value, places) in [
            (sample.energy.map(Joules::value), 6),
            (sample.power.map(Watts::value), 3),
            (sample.power_limit.map(Watts::value), 3),
            (sample.sm_clock_mhz, 1),
            (sample.memory_clock_mhz, 1),
            (sample.temperature_c, 1),
            (sample.utilization, 4),
        ] {
            lines.push(',');
            if let Some(value) = value {
                push_decimal(lines, value, places);
            }
        }
        lines.push(',');
        if let Some(bits) = sample.throttle_reasons {
            // writing to a string cannot fail
            let _ = write!(lines, "{bits}");
        }
        lines.push('\n');
    }

    /// Reads a line without its end; `None` if it is not a complete reading.
    pub fn parse(line: &'a str) -> Option<Self> {
        let mut cells = line.split(',');
        let at = amount(cells.next()?)??;
        let channel = cells.next().filter(|name| !name.is_empty())?;
        let sample = Sample {
            energy: amount(cells.next()?)?.map(Joules::new),
            power: amount(cells.next()?)?.map(Watts::new),
            power_limit: amount(cells.next()?)?.map(Watts::new),
            sm_clock_mhz: amount(cells.next()?)?,
            memory_clock_mhz: amount(cells.next()?)?,
            temperature_c: number(cells.next()?)?,
            utilization: amount(cells.next()?)?,
            throttle_reasons: match cells.next()? {
                "" => None,
                bits => Some(bits.parse().ok()?),
            },
        };
        if cells.next().is_some() {
            return None;
        }
        let has_value = sample != Sample::default();
        Some(Self { at: Seconds::new(at), channel, sample: has_value.then_some(sample) })
    }
}

/// A cell's number: `Some(None)` for an empty cell, `None` for an implausible one.
fn number(cell: &str) -> Option<Option<f64>> {
    if cell.is_empty() {
        return Some(None);
    }
    let value: f64 = cell.parse().ok()?;
    (-MAX..=MAX).contains(&value).then_some(Some(value))
}

/// A number that is not negative.
fn amount(cell: &str) -> Option<Option<f64>> {
    number(cell).filter(|value| value.is_none_or(|v| v >= 0.0))
}

/// Appends a number with at most `places` decimals, 1 or more, without trailing zeros.
fn push_decimal(text: &mut String, value: f64, places: u32) {
    /// Whole numbers up to here are exact.
    const EXACT: f64 = 9e15;
    let scale = 10_u64.pow(places);
    let scaled = (value * scale as f64).round();
    // writing to a string cannot fail
    if !(0.0..EXACT).contains(&scaled) {
        let _ = write!(text, "{value:.0$}", places as usize);
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
        return;
    }
    let (whole, mut fraction, mut places) = (scaled as u64 / scale, scaled as u64 % scale, places);
    let _ = write!(text, "{whole}");
    if fraction > 0 {
        while fraction % 10 == 0 {
            (fraction, places) = (fraction / 10, places - 1);
        }
        let _ = write!(text, ".{fraction:00$}", places as usize);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(reading: &Reading<'_>) -> String {
        let mut text = String::new();
        reading.append_to(&mut text);
        text
    }

    #[test]
    fn a_reading_is_a_line() {
        let sample = Sample {
            energy: Some(Joules::new(1234.5)),
            power: Some(Watts::new(300.0)),
            throttle_reasons: Some(4),
            ..Sample::default()
        };
        let reading = Reading { at: Seconds::new(1.25), channel: "gpu0", sample: Some(sample) };
        assert_eq!(line(&reading), "1.25,gpu0,1234.5,300,,,,,,4\n");
        assert_eq!(Reading::parse("1.25,gpu0,1234.5,300,,,,,,4"), Some(reading));
        let failed = Reading { at: Seconds::new(2.0), channel: "gpu0", sample: None };
        assert_eq!(line(&failed), "2,gpu0,,,,,,,,\n");
        assert_eq!(Reading::parse("2,gpu0,,,,,,,,"), Some(failed));
        assert_eq!(HEADER.split(',').count(), 10);
    }

    #[test]
    fn numbers_have_no_trailing_zeros() {
        let decimal = |value, places| {
            let mut text = String::new();
            push_decimal(&mut text, value, places);
            text
        };
        for (value, places, text) in [
            (0.0, 6, "0"),
            (0.000_001, 6, "0.000001"),
            (0.000_000_4, 6, "0"),
            (1.25, 6, "1.25"),
            (10.05, 3, "10.05"),
            (99.999_9, 3, "100"),
            (1e12, 6, "1000000000000"),
            (-3.5, 1, "-3.5"),
            (-30.0, 1, "-30"),
        ] {
            assert_eq!(decimal(value, places), text);
        }
    }

    #[test]
    fn incomplete_lines_are_none() {
        for line in [
            "",
            "1.25,gpu0,1234",
            "1.25,,1,,,,,,,",
            "nan,gpu0,1,,,,,,,",
            "1,gpu0,inf,,,,,,,",
            "1,gpu0,1e30,,,,,,,",
            "1,gpu0,-1,,,,,,,",
            "-1,gpu0,1,,,,,,,",
            "1,gpu0,1,,,,,,,,",
            "1,gpu0,1,,,,,,,x",
            "t_s,channel,energy_j,power_w,power_limit_w,sm_clock_mhz,memory_clock_mhz,temperature_c,utilization,throttle_reasons",
        ] {
            assert_eq!(Reading::parse(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn readings_are_read_back_within_their_decimals(
            at in 0.0..1e7f64, energy in proptest::option::of(0.0..1e12f64), power in proptest::option::of(0.0..1e5f64),
        ) {
            let sample = Sample {
                energy: energy.map(Joules::new), power: power.map(Watts::new), utilization: Some(0.5), ..Sample::default()
            };
            let line = line(&Reading { at: Seconds::new(at), channel: "cpu0", sample: Some(sample) });
            let back = Reading::parse(line.trim_end()).unwrap();
            let read = back.sample.unwrap();
            prop_assert!((back.at.value() - at).abs() <= 1e-6);
            let near = |a: Option<f64>, b: Option<f64>, by: f64| match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() <= by.max(1e-15 * a.abs()),
                (a, b) => a.is_none() && b.is_none(),
            };
            prop_assert!(near(energy, read.energy.map(Joules::value), 1e-6));
            prop_assert!(near(power, read.power.map(Watts::value), 1e-3));
        }
    }
}
