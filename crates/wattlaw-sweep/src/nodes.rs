//! Multi-node jobs inside a SLURM job: one `wattlaw measure` per node, whose records are merged at the end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use wattlaw::record::document::{End, Record, State, Stop};
use wattlaw::record::merge::merge;
use wattlaw_meter::error::{Error, Result};
use wattlaw_meter::folder;

/// Longest wait for files of other nodes: an NFS client may cache a folder for this long (`acdirmax`).
/// Source: nfs(5).
const NFS_CACHE_TIME: Duration = Duration::from_secs(60);

/// Poll interval.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The nodes of a job.
#[derive(Debug)]
pub struct Nodes {
    count: u64,
    /// Identifies this attempt: SLURM's job id and restart count.
    attempt: String,
}

impl Nodes {
    /// The nodes of the current SLURM job; `None` outside a SLURM job or if it does not have `count` nodes.
    pub(crate) fn from_slurm_env(count: u64) -> Option<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        if variable("SLURM_JOB_NUM_NODES")?.parse() != Ok(count) {
            return None;
        }
        // a requeued job keeps its id
        let restarts = variable("SLURM_RESTART_COUNT").unwrap_or_else(|| "0".to_owned());
        Some(Self { count, attempt: format!("{}-{restarts}", variable("SLURM_JOB_ID")?) })
    }

    /// The folder of the nodes' records; each attempt has its own.
    pub fn records(&self, runs: &Path, run_id: &str) -> PathBuf {
        runs.join("nodes").join(run_id).join(&self.attempt)
    }

    /// A command that starts `program` once per node, and stops it on all nodes if it fails on one.
    pub fn command(&self, program: &Path) -> Command {
        let mut srun = Command::new("srun");
        srun.arg(format!("--nodes={}", self.count))
            .arg(format!("--ntasks={}", self.count))
            .args(["--ntasks-per-node=1", "--kill-on-bad-exit=1"])
            .arg(program);
        srun
    }

    /// Merges the nodes' records into one record in `runs`; `well` is true if all nodes ended with exit code 0.
    ///
    /// A job that fails on one node is stopped on the others. Then the merged record has the end of the node that failed first. If the
    /// records cannot be merged, the record of that node is used alone.
    ///
    /// # Errors
    /// A node has no record, or the records are not of one run.
    pub fn merge(&self, runs: &Path, run_id: &str, well: bool) -> Result<()> {
        let folder_of_nodes = self.records(runs, run_id);
        let begin = Instant::now();
        let mut records = read(&folder_of_nodes)?;
        let closed = |record: &Record| record.state != State::Running;
        while well
            && (records.len() as u64 != self.count || !records.iter().all(closed))
            && begin.elapsed() < NFS_CACHE_TIME
        {
            std::thread::sleep(POLL_INTERVAL);
            records = read(&folder_of_nodes)?;
        }
        for record in records.iter_mut().filter(|record| !closed(record)) {
            // close a record whose node was killed
            let path = folder_of_nodes.join(&record.id);
            folder::recover(&path)?;
            *record = folder::read(&path)?;
        }
        let first = records.iter().filter(|r| !r.ended_well()).min_by_key(|r| blame(r)).cloned();
        let whole = match records.len() as u64 == self.count {
            true => merge(&records).map_err(|e| Error::Failed(e.to_string())),
            false => Err(Error::Failed(format!(
                "{}: {} of {} nodes have a record",
                folder_of_nodes.display(),
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
        let kept = folder::keep(runs, &mut merged)?;
        if let Some(record) = first.as_ref().or(records.first()) {
            // the log explains a failure; the record is valid without it
            let _ = std::fs::copy(
                folder_of_nodes.join(&record.id).join(folder::LOG),
                kept.join(folder::LOG),
            );
        }
        Ok(())
    }
}

/// Reads the records in a folder; the folder is created by the first record.
fn read(place: &Path) -> Result<Vec<Record>> {
    if !place.exists() {
        return Ok(Vec::new());
    }
    let paths = folder::all(place)?;
    paths.iter().map(|path| folder::read(path)).collect()
}

/// Signals of Linux, signal(7).
const KILL: i32 = 9;
const TERM: i32 = 15;

/// Sort key that finds the node that failed first: records that ended by themselves come before those killed for memory or time, and
/// those before records stopped by a signal, as all other nodes are after a failure.
fn blame(record: &Record) -> u8 {
    match (record.stopped, record.end) {
        (Some(Stop::TimeLimit { .. }), _) => 2,
        (Some(Stop::Signal { .. }), _) => 3,
        (None, Some(End::Exit { .. })) => 0,
        (None, Some(End::Signal { signal })) if signal == KILL => 1,
        (None, Some(End::Signal { signal })) if signal == TERM => 4,
        (None, Some(End::Signal { .. })) => 0,
        (None, Some(End::Unseen) | None) => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of a node, whose meters are its own.
    fn of_node(host: &str, end: End) -> Record {
        let text = include_str!("../../../fuzz/corpus/record_json/finished.json");
        let mut record = Record::from_json(text).unwrap();
        for node in &mut record.nodes {
            node.host = host.to_owned();
            node.boot_id = None;
        }
        for channel in &mut record.channels {
            channel.host = host.to_owned();
            channel.channel.device = format!("device of {host}");
        }
        record.id = format!("20260301T120000Z-{host}");
        record.name = Some("job".to_owned());
        record.end = Some(end);
        record
    }

    #[test]
    fn the_records_of_the_nodes_become_one() {
        let runs = tempfile::tempdir().unwrap();
        let nodes = Nodes { count: 2, attempt: "17-0".to_owned() };
        let place = nodes.records(runs.path(), "job");
        let mut first = of_node("a", End::Exit { code: 0 });
        folder::keep(&place, &mut first).unwrap();
        let error = nodes.merge(runs.path(), "job", false).unwrap_err();
        assert!(
            matches!(&error, Error::Failed(why) if why.ends_with("1 of 2 nodes have a record")),
            "{error:?}"
        );
        // the other record appears later
        let late = place.clone();
        let writer = std::thread::spawn(move || {
            std::thread::sleep(POLL_INTERVAL * 2);
            folder::keep(&late, &mut of_node("b", End::Exit { code: 0 })).unwrap();
        });
        nodes.merge(runs.path(), "job", true).unwrap();
        writer.join().unwrap();
        let records = read(runs.path()).unwrap();
        assert_eq!(records.len(), 1);
        let (merged, alone) = (&records[0], first.energy().unwrap().energy.value());
        assert_eq!((merged.state, merged.name.as_deref()), (State::Merged, Some("job")));
        assert_eq!(merged.energy().unwrap().energy.value(), 2.0 * alone);
    }

    #[test]
    fn a_job_that_failed_on_one_node_failed() {
        let runs = tempfile::tempdir().unwrap();
        let nodes = Nodes { count: 2, attempt: "17-0".to_owned() };
        let place = nodes.records(runs.path(), "job");
        let ended = Record {
            stopped: Some(Stop::Signal { signal: TERM }),
            ..of_node("a", End::Signal { signal: TERM })
        };
        folder::keep(&place, &mut ended.clone()).unwrap();
        let path = folder::keep(&place, &mut of_node("b", End::Exit { code: 3 })).unwrap();
        std::fs::write(path.join(folder::LOG), "error: there is no corpus\n").unwrap();
        nodes.merge(runs.path(), "job", false).unwrap();
        let records = read(runs.path()).unwrap();
        assert_eq!(
            (records.len(), records[0].end, records[0].stopped),
            (1, Some(End::Exit { code: 3 }), None)
        );
        let log =
            std::fs::read_to_string(runs.path().join(&records[0].id).join(folder::LOG)).unwrap();
        assert_eq!(log, "error: there is no corpus\n");
    }

    #[test]
    fn the_node_that_failed_first_is_found() {
        let record = of_node("a", End::Exit { code: 0 });
        let ended = |end, stopped| Record { end: Some(end), stopped, ..record.clone() };
        let signal = |signal| End::Signal { signal };
        let stopped_by_signal = Some(Stop::Signal { signal: TERM });
        let order = [
            ended(End::Exit { code: 3 }, None),
            ended(signal(KILL), None),
            ended(signal(TERM), stopped_by_signal),
            ended(signal(TERM), None),
            ended(End::Unseen, None),
        ];
        assert!(order.is_sorted_by_key(blame), "{:?}", order.each_ref().map(blame));
        assert_eq!(blame(&ended(signal(11), None)), 0, "a crash is not caused by other nodes");
        assert!(blame(&ended(End::Exit { code: 143 }, stopped_by_signal)) > blame(&order[0]));
    }
}
