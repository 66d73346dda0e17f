//! What is wrong with a question: a sentence, and the field that it is about.

use serde::Serialize;

use wattlaw::Error;
use wattlaw::job::fields::fields;

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What is wrong, where, and what would be accepted.
    pub sentence: String,
    /// The column of the field that it is about, where it is about one.
    pub field: Option<&'static str>,
}

impl Problem {
    /// Its JSON; a text of strings alone always has one.
    pub fn to_json(&self) -> String {
        serde_json::json!({ "sentence": self.sentence, "field": self.field }).to_string()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self { field: field(&error), sentence: error.to_string() }
    }
}

/// The column of the field that an error names.
fn field(error: &Error) -> Option<&'static str> {
    let name = match error {
        Error::Unknown { what, .. } => what.to_lowercase().replace(' ', "_"),
        Error::Invalid { field, .. } | Error::Missing { field, .. } => {
            field.rsplit('.').next().unwrap_or(field).to_owned()
        }
        Error::At { source, .. } => return self::field(source),
        Error::Syntax { .. } | Error::Data(_) => return None,
    };
    fields().map(|field| field.column).find(|column| *column == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_the_field_that_its_error_is_about() {
        let of = |error: Error| Problem::from(error).field;
        assert_eq!(of(Error::invalid("tp", 3, "it must divide the 32 heads")), Some("tp"));
        assert_eq!(of(Error::unknown("GPU", "h1000", ["h100"])), Some("gpu"));
        assert_eq!(of(Error::missing("workload.seq_len", "give it")), Some("seq_len"));
        assert_eq!(of(Error::Data("no model".to_owned())), None);
    }
}
