//! The SLURM queue entries of a sweep's jobs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Submission;
use wattlaw::base::error::{Error, Result};

/// Output format of `squeue`: name, array id, index, state, reason; one line per array task.
/// Source: <https://slurm.schedmd.com/squeue.html#OPT_format>.
pub const FORMAT: &str = "%j|%F|%K|%T|%r";

/// A job in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Queued {
    /// SLURM's job id: `17_3` is task 3 of array 17.
    pub slurm_job: String,
    /// SLURM's state, such as `PENDING` or `RUNNING`.
    pub state: String,
    /// SLURM's reason for a pending job.
    pub reason: Option<String>,
}

impl Queued {
    /// Whether the job has been assigned its nodes.
    pub fn runs(&self) -> bool {
        self.state != "PENDING"
    }
}

/// Parses the output of `squeue --array --noheader` in [`FORMAT`]: the planned jobs in the queue, by run_id.
///
/// # Errors
/// [`Error::Data`] for a line in another format.
pub fn queue(text: &str, submitted: &[Submission]) -> Result<BTreeMap<String, Queued>> {
    let mut found = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let unexpected = || {
            Error::Data(format!("squeue printed `{line}`, which is not in the requested format"))
        };
        let [name, array, index, state, reason] =
            line.splitn(5, '|').collect::<Vec<_>>().try_into().map_err(|_| unexpected())?;
        let Some(submission) = submitted.iter().find(|s| s.name == name) else { continue };
        let task: usize = index.parse().map_err(|_| unexpected())?;
        let run_id = submission.run_ids.get(task).ok_or_else(unexpected)?;
        let reason = Some(reason).filter(|text| !text.is_empty() && *text != "None");
        let queued = Queued {
            slurm_job: format!("{array}_{index}"),
            state: state.to_owned(),
            reason: reason.map(str::to_owned),
        };
        found.insert(run_id.clone(), queued);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_known_by_name_and_index() {
        let submitted = [("w-1", ["a", "b"]), ("w-2", ["c", "d"])].map(|(name, ids)| Submission {
            name: name.into(),
            run_ids: ids.map(str::to_owned).to_vec(),
        });
        let text = "w-1|17|1|RUNNING|None\nw-2|18|0|PENDING|Resources\nother|19|0|RUNNING|None\n";
        let found = queue(text, &submitted).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!((found["b"].slurm_job.as_str(), found["b"].runs()), ("17_1", true));
        assert_eq!(found["b"].reason, None);
        assert_eq!((found["c"].reason.as_deref(), found["c"].runs()), (Some("Resources"), false));
        for strange in ["w-1|17|2|RUNNING|None", "w-1|17|N/A|RUNNING|None", "slurm is down"] {
            assert!(queue(strange, &submitted).is_err(), "{strange}");
        }
    }
}
