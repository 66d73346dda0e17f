//! Journal of submissions: a JSON line before each sbatch call, and one after it.

use serde::{Deserialize, Serialize};

use wattlaw::base::error::{Error, Location, Result};

/// A line of `submitted.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Entry {
    /// Before sbatch is called.
    Submitting {
        /// Time, RFC 3339 in UTC.
        at: String,
        /// Job name of the array.
        name: String,
        /// Nodes per task.
        nodes: u64,
        /// GPUs per node.
        gpus_per_node: u64,
        /// Planned jobs of the tasks, by index.
        run_ids: Vec<String>,
    },
    /// After sbatch succeeded.
    Submitted {
        /// Job name of the array.
        name: String,
        /// SLURM's job id of the array.
        array_job_id: u64,
    },
}

/// A submitted job array, identified by its unique name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Job name of the array.
    pub name: String,
    /// Planned jobs of the tasks, by index.
    pub run_ids: Vec<String>,
}

impl Entry {
    /// The JSON line with a newline.
    ///
    /// # Errors
    /// None in practice: every entry can be serialized.
    pub fn line(&self) -> Result<String> {
        serde_json::to_string(self)
            .map(|line| line + "\n")
            .map_err(|e| Error::Syntax { format: "JSON", message: e.to_string() })
    }
}

/// The arrays that may have been submitted, in order.
///
/// A last line without a newline is incomplete: its writer died before calling sbatch. It is ignored.
///
/// # Errors
/// [`Error::At`] with the invalid line.
pub fn journal(text: &str, file: &str) -> Result<Vec<Submission>> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut found = Vec::new();
    for (number, line) in (1..).zip(whole.lines()) {
        let entry = serde_json::from_str(line).map_err(|e| {
            Error::Syntax { format: "JSON", message: e.to_string() }
                .at(Location::line(file, number))
        })?;
        if let Entry::Submitting { name, run_ids, .. } = entry {
            found.push(Submission { name, run_ids });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submission() -> Submission {
        Submission { name: "wattlaw-1".into(), run_ids: vec!["a".into(), "b".into()] }
    }

    #[test]
    fn an_incomplete_last_line_is_ignored() {
        let Submission { name, run_ids } = submission();
        let at = "2026-03-01T12:00:00.000Z".into();
        let before = Entry::Submitting { at, name, nodes: 2, gpus_per_node: 4, run_ids };
        let after = Entry::Submitted { name: "wattlaw-1".into(), array_job_id: 17 };
        let text = before.line().unwrap() + &after.line().unwrap();
        assert_eq!(
            text,
            "{\"event\":\"submitting\",\"at\":\"2026-03-01T12:00:00.000Z\",\"name\":\"wattlaw-1\",\"nodes\":2,\
             \"gpus_per_node\":4,\"run_ids\":[\"a\",\"b\"]}\n\
             {\"event\":\"submitted\",\"name\":\"wattlaw-1\",\"array_job_id\":17}\n"
        );
        assert_eq!(journal(&text, "f").unwrap(), [submission()]);
        let torn = text.clone() + &text[..40];
        assert_eq!(journal(&torn, "f").unwrap(), [submission()]);
        assert_eq!(journal(&text[..text.find('\n').unwrap()], "f").unwrap(), []);
        assert_eq!(journal("", "f").unwrap(), []);
    }

    #[test]
    fn an_invalid_line_is_refused() {
        let line = Entry::Submitted { name: "w".into(), array_job_id: 1 }.line().unwrap();
        for wrong in ["nonsense\n", "{\"event\":\"submitted\"}\n", "{\"event\":\"gone\"}\n"] {
            let error =
                journal(&(line.clone() + wrong), "submitted.jsonl").unwrap_err().to_string();
            assert!(error.starts_with("submitted.jsonl:2: not valid JSON: "), "{error}");
        }
    }
}
