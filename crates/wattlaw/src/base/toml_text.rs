//! Reads TOML into a type; errors are one sentence with line and column.

use serde::de::DeserializeOwned;

use crate::base::error::{Error, Result};

/// Longest line in bytes: a parser takes many times the memory of a key of a million parts.
const MAX_LINE_BYTES: usize = 1 << 20;

/// Parses TOML.
///
/// # Errors
/// [`Error::Syntax`] with line and column, in one line; also for a line of more than 1 MiB.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    if let Some(at) = text.lines().position(|line| line.len() > MAX_LINE_BYTES) {
        let message = format!("line {} is longer than 1 MiB", at + 1);
        return Err(Error::Syntax { format: "TOML", message });
    }
    toml::from_str(text).map_err(|e| {
        let place = e.span().map(|span| position(text, span.start));
        let message = e.message().lines().collect::<Vec<_>>().join("; ");
        Error::Syntax {
            format: "TOML",
            message: match place {
                Some((line, column)) => format!("line {line}, column {column}: {message}"),
                None => message,
            },
        }
    })
}

/// Line and column of a byte offset, both counted from one, columns in characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Shape {
        layers: u64,
    }

    #[test]
    fn a_mistake_is_placed() {
        let fails = |text: &str| parse::<Shape>(text).unwrap_err().to_string();
        assert!(
            fails("a = 1\nlayer = 2\n")
                .starts_with("not valid TOML: line 1, column 1: unknown field `a`")
        );
        assert!(fails("\n\n  layers = \"x\"").contains("line 3, column 12"));
        assert!(!fails("layers = ").contains('\n'));
    }
}
