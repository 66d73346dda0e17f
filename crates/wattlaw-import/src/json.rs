//! JSON as Python writes it: `NaN` and `Infinity` are numbers there, and missing values here.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use wattlaw::base::error::{Error, Result};

/// Parses a document.
///
/// # Errors
/// [`Error::Syntax`].
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(&without_nan(bytes))
        .map_err(|e| Error::Syntax { format: "JSON", message: e.to_string() })
}

/// The document with `null` for `NaN`, `Infinity` and `-Infinity` outside strings.
fn without_nan(bytes: &[u8]) -> Cow<'_, [u8]> {
    let has = |word: &str| memchr::memmem::find(bytes, word.as_bytes()).is_some();
    if !has("NaN") && !has("Infinity") {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let (mut rest, mut quoted) = (bytes, false);
    while let [byte, after @ ..] = rest {
        let word = ["NaN", "Infinity", "-Infinity"].iter().find(|w| rest.starts_with(w.as_bytes()));
        match (byte, word) {
            (_, Some(word)) if !quoted => {
                out.extend_from_slice(b"null");
                rest = &rest[word.len()..];
                continue;
            }
            (b'\\', _) if quoted => {
                out.push(*byte);
                out.extend(after.first());
                rest = after.get(1..).unwrap_or_default();
                continue;
            }
            (b'"', _) => quoted = !quoted,
            _ => {}
        }
        out.push(*byte);
        rest = after;
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_calls_a_number_is_a_missing_value() {
        let text = br#"{"NaN": [1, NaN, -Infinity, Infinity, -2], "a\"NaN": "Infinity"}"#;
        let value: serde_json::Value = parse(text).unwrap();
        let expected = serde_json::json!({"NaN": [1, null, null, null, -2], "a\"NaN": "Infinity"});
        assert_eq!(value, expected);
        assert!(parse::<serde_json::Value>(b"[Na").is_err());
        assert!(parse::<serde_json::Value>(b"\"a\\").is_err());
    }
}
