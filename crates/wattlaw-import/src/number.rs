//! Numbers of logs, and what stands in their place.

use wattlaw::base::error::{Error, Result};

/// No quantity of a log is larger, in whatever unit: a slip of a counter, or no number of energy at all.
pub(super) const MAX_VALUE: f64 = 1e18;

/// Whether a cell says that there is no value.
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
    )
}

/// A finite number.
///
/// # Errors
/// [`Error::Invalid`], which says of a decimal comma that it is one.
pub(super) fn number(text: &str, what: &str) -> Result<f64> {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() => Ok(x),
        _ => {
            let comma = text.replacen(',', ".", 1).parse::<f64>().is_ok();
            let expected = if comma {
                "it must be a number with a decimal point, and this one has a comma"
            } else {
                "it must be a number"
            };
            Err(Error::invalid(what, format!("`{}`", shortened(text)), expected))
        }
    }
}

/// A text short enough for a sentence.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The number that stands behind a label; none where the label is absent.
///
/// # Errors
/// [`Error::Invalid`] where what stands there is no finite number.
pub(super) fn number_after(line: &str, label: &str) -> Result<Option<f64>> {
    let Some((_, rest)) = line.split_once(label) else { return Ok(None) };
    let word = rest.trim_start().split([' ', '|', '/', ',', ';']).next().unwrap_or_default();
    number(word, label.trim().trim_end_matches(':')).map(Some)
}
