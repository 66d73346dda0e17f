//! Counts as people write them: `10M`, `1.5B`, `300_000`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::base::error::{Error, Result};

/// A whole number with an optional suffix k, M, B (or G) or T (10³, 10⁶, 10⁹, 10¹²).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Count(u64);

/// Counts stay below 10¹⁸, so that sums of a few of them cannot overflow.
const MAX: f64 = 1e18;

impl Count {
    /// A count of `n`.
    pub const fn new(n: u64) -> Self {
        Self(n)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    fn from_number(number: f64, written: &str) -> Result<Self> {
        let whole = number.round();
        // 1.1e6 and 0.3B are whole in decimal but not in binary
        let near = (number - whole).abs() <= 1e-9 * number.abs();
        if number.is_finite() && (1.0..=MAX).contains(&whole) && near {
            Ok(Self(whole as u64))
        } else {
            Err(Error::invalid(
                "the count",
                format!("`{written}`"),
                "it must be a whole number from 1, like 300000, 10M or 1.5B",
            ))
        }
    }
}

impl FromStr for Count {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        let (digits, factor) = match trimmed.char_indices().last() {
            Some((at, 'k' | 'K')) => (&trimmed[..at], 1e3),
            Some((at, 'm' | 'M')) => (&trimmed[..at], 1e6),
            Some((at, 'b' | 'B' | 'g' | 'G')) => (&trimmed[..at], 1e9),
            Some((at, 't' | 'T')) => (&trimmed[..at], 1e12),
            _ => (trimmed, 1.0),
        };
        let plain = without_separators(digits.trim_end());
        if let (Ok(n), true) = (plain.parse::<u64>(), factor == 1.0)
            && n > 0
            && (n as f64) <= MAX
        {
            return Ok(Self(n));
        }
        let number: f64 = plain.parse().unwrap_or(f64::NAN);
        Self::from_number(number * factor, text)
    }
}

/// The digits without thousands separators: underscores, and commas before exactly three digits. A decimal comma is
/// refused, since it would be read as ten times the number.
fn without_separators(digits: &str) -> String {
    let groups: Vec<&str> = digits.split(',').collect();
    let thousands =
        groups.iter().skip(1).all(|g| g.len() == 3 && g.bytes().all(|b| b.is_ascii_digit()));
    let joined = if thousands { groups.concat() } else { digits.to_owned() };
    joined.replace('_', "")
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Whole(i64),
            Number(f64),
            Text(String),
        }
        let parsed = match Written::deserialize(deserializer)? {
            Written::Whole(n) => Self::from_number(n as f64, &n.to_string())
                .map(|c| u64::try_from(n).map_or(c, Self)),
            Written::Number(x) => Self::from_number(x, &x.to_string()),
            Written::Text(text) => text.parse(),
        };
        parsed.map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_multiply_by_powers_of_a_thousand() {
        for (text, n) in [
            ("10M", 10_000_000),
            ("1.5B", 1_500_000_000),
            ("300_000", 300_000),
            ("1,000", 1000),
            ("2e9", 2_000_000_000),
            ("0.3k", 300),
            ("15T", 15_000_000_000_000),
            ("1.1M", 1_100_000),
        ] {
            assert_eq!(text.parse::<Count>().unwrap().get(), n, "{text}");
        }
    }

    #[test]
    fn what_is_no_count_is_refused() {
        for text in
            ["", "1,5B", "1,5", "M", "-3", "0", "1.5", "NaN", "inf", "ten", "1e30", "é", "3é"]
        {
            let error = text.parse::<Count>().unwrap_err().to_string();
            assert!(error.contains("whole number from 1"), "{text}: {error}");
        }
    }
}
