//! The error type: what is wrong, where, and what would be accepted.

use std::fmt;

use crate::base::one_line::OneLine;

/// Result of a wattlaw operation.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the library; each variant prints as one sentence on one line, whatever the input.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A name that is in no catalogue, preset or list of words.
    #[error("unknown {what} `{}`; {}", OneLine(.name), OneLine(.accepted))]
    Unknown {
        /// The kind of thing, as a user calls it ("GPU", "model", "column").
        what: &'static str,
        /// The name in the input.
        name: String,
        /// What would be accepted, as a clause ("did you mean …?", "one of …").
        accepted: String,
    },
    /// A value that is not accepted.
    #[error("{} is {}, but {}", OneLine(.field), OneLine(.found), OneLine(.expected))]
    Invalid {
        /// The field, flag or column.
        field: String,
        /// The value in the input.
        found: String,
        /// What would be accepted, as a clause ("it must be positive").
        expected: String,
    },
    /// A required value that is absent.
    #[error("{} is missing; {}", OneLine(.field), OneLine(.expected))]
    Missing {
        /// The field, flag or column.
        field: String,
        /// What to give, as a clause.
        expected: String,
    },
    /// Text with a syntax error (JSON, TOML, CSV, a formula).
    #[error("not valid {format}: {}", OneLine(.message))]
    Syntax {
        /// The format's name.
        format: &'static str,
        /// The parser's message, with line and column where it has them.
        message: String,
    },
    /// Data that do not suffice for the request.
    #[error("{}", OneLine(.0))]
    Data(String),
    /// Any of the above, with its location.
    #[error("{place}: {source}")]
    At {
        /// Where: a file, and a line or row within it.
        place: Location,
        /// The error.
        source: Box<Error>,
    },
}

impl Error {
    /// An [`Error::Unknown`] that suggests the nearest of `known`, or lists them when few.
    pub fn unknown<'a>(
        what: &'static str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let wanted = name.to_lowercase();
        let length = wanted.chars().count();
        let nearest = known
            .iter()
            // the edit distance costs the product of both lengths, so only names of plausible length are compared
            .filter(|_| length <= MAX_NAME_CHARACTERS)
            .filter(|k| k.len() <= MAX_NAME_CHARACTERS)
            .map(|k| (edit_distance(&wanted, &k.to_lowercase()), *k))
            .min()
            .filter(|(d, _)| *d <= 1 + length / 3);
        let accepted = match (nearest, known.len()) {
            (Some((_, k)), n) if n > 12 => format!("did you mean `{k}`?"),
            (_, n) if n > 12 => format!("{n} are known, for example {}", quoted(&known[..6])),
            (_, 0) => "none is known".to_owned(),
            _ => format!("accepted: {}", quoted(&known)),
        };
        Self::Unknown { what, name: name.to_owned(), accepted }
    }

    /// An [`Error::Invalid`].
    pub fn invalid(
        field: impl Into<String>,
        found: impl fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Invalid { field: field.into(), found: found.to_string(), expected: expected.into() }
    }

    /// An [`Error::Missing`].
    pub fn missing(field: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Missing { field: field.into(), expected: expected.into() }
    }

    /// The same error with its location.
    #[must_use]
    pub fn at(self, place: Location) -> Self {
        Self::At { place, source: Box::new(self) }
    }
}

/// A location in the input.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Location {
    /// File name, or a name for the input ("standard input", "built-in catalogue").
    pub file: String,
    /// Line, counted from one.
    pub line: Option<u64>,
}

impl Location {
    /// A whole file.
    pub fn file(file: impl Into<String>) -> Self {
        Self { file: file.into(), line: None }
    }

    /// A line of a file, counted from one.
    pub fn line(file: impl Into<String>, line: u64) -> Self {
        Self { file: file.into(), line: Some(line) }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", OneLine(&self.file)),
            None => write!(f, "{}", OneLine(&self.file)),
        }
    }
}

/// Longest name in characters that is compared with known names; no catalogue has a longer one.
const MAX_NAME_CHARACTERS: usize = 200;

fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    names.join(", ")
}

/// Levenshtein distance in characters: insertions, deletions and substitutions cost one each.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_suggested_and_a_short_list_is_listed() {
        let many: Vec<String> = (0..20).map(|i| format!("model-{i}")).collect();
        let error = Error::unknown("model", "modle-7", many.iter().map(String::as_str));
        assert_eq!(error.to_string(), "unknown model `modle-7`; did you mean `model-7`?");
        let error = Error::unknown("strategy", "xyz", ["fsdp", "ddp"]);
        assert_eq!(error.to_string(), "unknown strategy `xyz`; accepted: `fsdp`, `ddp`");
    }

    #[test]
    fn a_place_stands_before_the_sentence() {
        let error = Error::invalid("heads", 7, "it must divide hidden_size 768")
            .at(Location::line("runs.csv", 3));
        assert_eq!(error.to_string(), "runs.csv:3: heads is 7, but it must divide hidden_size 768");
    }

    #[test]
    fn what_was_read_cannot_break_the_line() {
        let error = Error::unknown("GPU", "a\n\u{1b}[31mb\u{2028}", ["t4"]);
        assert_eq!(error.to_string(), "unknown GPU `a\\n\\u{1b}[31mb\\u{2028}`; accepted: `t4`");
    }

    #[test]
    fn a_name_of_a_million_characters_is_not_measured_against_each_known_one() {
        let error = Error::unknown("GPU", &"x".repeat(1_000_000), ["t4"; 100]);
        assert!(
            error
                .to_string()
                .ends_with("100 are known, for example `t4`, `t4`, `t4`, `t4`, `t4`, `t4`")
        );
    }

    #[test]
    fn edit_distance_of_textbook_pairs() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("abc", "abc"), 0);
    }
}
