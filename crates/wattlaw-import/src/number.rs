//! Numbers in logs, and markers of missing values.

use wattlaw::base::error::{Error, Result};

/// Upper bound of any quantity of a log in any unit; larger values are errors.
pub(super) const MAX_VALUE: f64 = 1e18;

/// Whether a cell marks a missing value.
pub(super) fn is_missing_value(text: &str) -> bool {
    matches!(
        text,
        "" | "NA"
            | "N/A"
            | "[N/A]"
            | "n/a"
            | "null"
            | "None"
            | "nan"
            | "NaN"
            | "[Not Supported]"
            | "Not Supported"
            | "[Unknown Error]"
            | "[GPU requires reset]"
            | "[Insufficient Permissions]"
            | "[GPU is lost]"
            | "ERR!"
            | "[ERR!]"
    )
}

/// A finite number.
///
/// # Errors
/// [`Error::Invalid`]; the message points out a decimal comma.
pub(super) fn number(text: &str, what: &str) -> Result<f64> {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() => Ok(x),
        _ => {
            let comma = text.replacen(',', ".", 1).parse::<f64>().is_ok();
            let expected = if comma {
                "it must use a decimal point instead of a comma"
            } else {
                "it must be a number"
            };
            Err(Error::invalid(what, format!("`{}`", shortened(text)), expected))
        }
    }
}

/// A text shortened for a message.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The number after a label; `None` without the label.
///
/// # Errors
/// [`Error::Invalid`] if it is not a finite number.
pub(super) fn number_after(line: &str, label: &str) -> Result<Option<f64>> {
    let Some((_, rest)) = line.split_once(label) else { return Ok(None) };
    let word = rest.trim_start().split([' ', '|', '/', ',', ';']).next().unwrap_or_default();
    number(word, label.trim().trim_end_matches(':')).map(Some)
}
