//! A job on several nodes, inside a job of SLURM's: `wattlaw measure` once a node, and one record of theirs in the end.

use std::path::{Path, PathBuf};
use std::process::Command;

use wattlaw::record::document::{End, Record, Stop};
use wattlaw::record::merge::merge;
use wattlaw_meter::folder;

use crate::failure::{Done, Failure};

/// The nodes that a job is run on.
#[derive(Debug)]
pub struct Nodes {
    count: u64,
    /// What tells this attempt from others: SLURM's number of the job, and how often it was requeued.
    attempt: String,
}

impl Nodes {
    /// The nodes that SLURM gave us for a job of so many; none where it gave another number or where we are in no job.
    pub fn given(count: u64) -> Option<Self> {
        let said = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        if said("SLURM_JOB_NUM_NODES")?.parse() != Ok(count) {
            return None;
        }
        // a job that is requeued keeps its number
        let restarts = said("SLURM_RESTART_COUNT").unwrap_or_else(|| "0".to_owned());
        Some(Self { count, attempt: format!("{}-{restarts}", said("SLURM_JOB_ID")?) })
    }

    /// The folder of the nodes' records, which every attempt has of its own.
    pub fn records(&self, runs: &Path, run_id: &str) -> PathBuf {
        runs.join("nodes").join(run_id).join(&self.attempt)
    }

    /// A command that starts `program` once on each node, and ends it everywhere once it has failed on one.
    pub fn command(&self, program: &Path) -> Command {
        let mut srun = Command::new("srun");
        srun.arg(format!("--nodes={}", self.count))
            .arg(format!("--ntasks={}", self.count))
            .args(["--ntasks-per-node=1", "--kill-on-bad-exit=1"])
            .arg(program);
        srun
    }

    /// Makes one record in `runs` of those of the nodes.
    ///
    /// Once the job has failed on one node it is ended on the others; the first stands for all then, and alone where the
    /// others' records lie too far apart in time to be of one run, or never came to be.
    ///
    /// # Errors
    /// A node without a record, and records that are not of one run.
    pub fn merge(&self, runs: &Path, run_id: &str) -> Done {
        let place = self.records(runs, run_id);
        let mut records = Vec::new();
        for path in folder::all(&place).unwrap_or_default() {
            // one whose node was stopped hard is closed now
            folder::recover(&path).map_err(Failure::failed)?;
            records.push(folder::read(&path).map_err(Failure::failed)?);
        }
        let first = records.iter().filter(|r| !r.ended_well()).min_by_key(|r| blame(r)).cloned();
        let whole = match records.len() as u64 == self.count {
            true => merge(&records).map_err(Failure::failed),
            false => Err(Failure::Failed(format!(
                "{}: {} of {} nodes have a record",
                place.display(),
                records.len(),
                self.count
            ))),
        };
        let mut merged = match (whole, &first) {
            (Ok(merged), None) => merged,
            (Ok(merged), Some(first)) => {
                Record { end: first.end, stopped: first.stopped, ..merged }
            }
            (Err(_), Some(first)) => first.clone(),
            (Err(failure), None) => return Err(failure),
        };
        let kept = folder::keep(runs, &mut merged).map_err(Failure::failed)?;
        if let Some(record) = first.as_ref().or(records.first()) {
            // what it printed last says why it failed; a record without it is a record
            let _ = std::fs::copy(place.join(&record.id).join(folder::LOG), kept.join(folder::LOG));
        }
        Ok(())
    }
}

/// Orders records that did not end well: those that ended by themselves before those that were ended.
fn blame(record: &Record) -> u8 {
    match (record.stopped, record.end) {
        (None, Some(End::Unseen) | None) => 3,
        (None, Some(_)) => 0,
        (Some(Stop::TimeLimit { .. }), _) => 1,
        (Some(Stop::Signal { .. }), _) => 2,
    }
}
