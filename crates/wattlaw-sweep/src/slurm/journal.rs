//! What was submitted: a line of JSON before sbatch is asked, and one after it answered.

use serde::{Deserialize, Serialize};

use wattlaw::base::error::{Error, Location, Result};

/// A line of `submitted.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Entry {
    /// An array is about to be submitted.
    Submitting {
        /// When, RFC 3339 in UTC.
        at: String,
        /// The name of its jobs.
        name: String,
        /// Nodes that each of its tasks takes.
        nodes: u64,
        /// GPUs of each node.
        gpus_per_node: u64,
        /// The jobs of the plan that its tasks run, by index.
        run_ids: Vec<String>,
    },
    /// It was.
    Submitted {
        /// Its name.
        name: String,
        /// The number that SLURM gave it.
        array_job_id: u64,
    },
}

/// A job array by the name that no other has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The name of its jobs.
    pub name: String,
    /// The jobs of the plan that its tasks run, by index.
    pub run_ids: Vec<String>,
}

impl Entry {
    /// The line, with its end.
    ///
    /// # Errors
    /// None for an entry that was made or read.
    pub fn line(&self) -> Result<String> {
        serde_json::to_string(self)
            .map(|line| line + "\n")
            .map_err(|e| Error::Syntax { format: "JSON", message: e.to_string() })
    }
}

/// The arrays that may have been submitted, in order.
///
/// A last line without an end was torn when its writer died. sbatch is asked only once the line is whole, so nothing was
/// submitted by it.
///
/// # Errors
/// [`Error::At`] with the line that is none.
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
    fn what_is_written_is_read_and_a_torn_line_is_none() {
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
    fn a_whole_line_that_is_none_is_refused() {
        let line = Entry::Submitted { name: "w".into(), array_job_id: 1 }.line().unwrap();
        for wrong in ["nonsense\n", "{\"event\":\"submitted\"}\n", "{\"event\":\"gone\"}\n"] {
            let error =
                journal(&(line.clone() + wrong), "submitted.jsonl").unwrap_err().to_string();
            assert!(error.starts_with("submitted.jsonl:2: not valid JSON: "), "{error}");
        }
    }
}
