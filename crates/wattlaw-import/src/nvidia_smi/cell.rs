//! Parses cells as numbers, and reports invalid cells.

use super::super::lines::text;
use super::super::unit::Scale;
use crate::number::{is_missing_value, shortened};
use wattlaw::base::error::Error;

/// The error for a line with another number of cells than the header.
pub(super) fn row_of_other_length(line: &[u8], found: usize, expected: usize) -> Error {
    let shown = String::from_utf8_lossy(line);
    if line.contains(&0) || std::str::from_utf8(line).is_err() {
        return match text(line) {
            Err(e) => e,
            Ok(_) => Error::Data("the line is not text".to_owned()),
        };
    }
    let header = shown.contains("timestamp") || shown.contains("power.draw");
    let hint = if header {
        "; another header starts here; give logs with different columns as separate files"
    } else if found > expected {
        "; a decimal comma may be the cause, but nvidia-smi writes a decimal point"
    } else {
        "; the log may be incomplete here"
    };
    Error::Syntax {
        format: "CSV",
        message: format!("the row has {found} cells and the header {expected}{hint}"),
    }
}

/// The error for an invalid cell.
pub(super) fn unreadable_cell(column: &str, cell: &[u8], expected: &str) -> Error {
    match text(cell) {
        Ok(shown) => Error::invalid(
            format!("column `{column}`"),
            format!("`{}`", shortened(shown)),
            expected,
        ),
        Err(e) => e,
    }
}

/// The error for an invalid power.
pub(super) fn power_cell(cell: &[u8], comma: bool) -> Error {
    let expected = if comma {
        "it must use a decimal point instead of a comma"
    } else {
        "it must be a number of watts from 0 to 100000"
    };
    unreadable_cell("power.draw", cell, expected)
}

/// Whether a cell marks a missing value; none of the marks begins with a digit, as times and indices do.
pub(super) fn is_missing_cell(cell: &[u8]) -> bool {
    !cell.first().is_some_and(u8::is_ascii_digit)
        && std::str::from_utf8(cell).is_ok_and(is_missing_value)
}

/// Power of a cell with or without unit, W; `None` for a missing value.
///
/// # Errors
/// For an invalid number, whether it has a decimal comma.
pub(super) fn quantity(cell: &[u8]) -> std::result::Result<Option<f64>, bool> {
    if let Some(x) = decimal(cell) {
        return Ok(Some(x));
    }
    let shown = std::str::from_utf8(cell).map_err(|_| false)?.trim().trim_matches('"');
    if is_missing_value(shown) {
        return Ok(None);
    }
    let (number, scale) = match shown.rsplit_once(' ') {
        Some((number, unit)) => (number, Scale::from_unit(unit).ok_or(false)?),
        None => (shown.strip_suffix('W').unwrap_or(shown), Scale::ONE),
    };
    match number.trim().parse::<f64>() {
        Ok(x) if (0.0..=1e5).contains(&scale.si(x)) => Ok(Some(scale.si(x))),
        _ => Err(number.replacen(',', ".", 1).parse::<f64>().is_ok() && number.contains(',')),
    }
}

/// A plain decimal number such as `123.45` or `123.45 W`, with the same result as the standard library: up to fifteen digits and a
/// power of ten are exact, so their quotient is rounded once.
fn decimal(cell: &[u8]) -> Option<f64> {
    const TENS: [f64; 9] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];
    let digits = cell.strip_suffix(b" W").unwrap_or(cell);
    let (mut value, mut point, mut seen) = (0_u64, None, 0);
    if digits.len() > 15 {
        return None;
    }
    for (i, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                value = value * 10 + u64::from(byte - b'0');
                seen += 1;
            }
            b'.' if point.is_none() => point = Some(i),
            _ => return None,
        }
    }
    let decimals = point.map_or(0, |at| digits.len() - at - 1);
    let x = value as f64 / TENS.get(decimals)?;
    (seen > 0 && x <= 1e5).then_some(x)
}

/// A cell without surrounding spaces and quotes.
pub(super) fn trim(cell: &[u8]) -> &[u8] {
    let cell = cell.strip_prefix(b" ").unwrap_or(cell);
    // most cells have nothing else to take away
    if let ([first, ..], [.., last]) = (cell, cell)
        && [first, last].iter().all(|byte| byte.is_ascii_alphanumeric())
    {
        return cell;
    }
    if cell.first() == Some(&b'"') || cell.last() == Some(&b'"') {
        let cell = cell.strip_prefix(b"\"").unwrap_or(cell);
        return cell.strip_suffix(b"\"").unwrap_or(cell).trim_ascii();
    }
    cell.trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_decimals_are_read_as_the_standard_library_reads_them() {
        for text in ["0", "126.96", "56.3", "0.1", "99999.99", "1.00000007", "350."] {
            assert_eq!(decimal(text.as_bytes()), Some(text.parse().unwrap()), "{text}");
        }
        assert_eq!(decimal(b"123.45 W"), Some(123.45));
        for text in ["", ".", "1e3", "-5", "1.2.3", "[N/A]", "1234567", "W"] {
            assert_eq!(decimal(text.as_bytes()), None, "{text}");
        }
        assert_eq!(quantity(b"250000 mW"), Ok(Some(250.0)));
        assert_eq!(quantity(b"[N/A]"), Ok(None));
        assert_eq!(quantity(b"123,45 W"), Err(true));
        assert_eq!(quantity(b"-5 W"), Err(false));
        assert_eq!(quantity(b"1e300"), Err(false));
    }
}
