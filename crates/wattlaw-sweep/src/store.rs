//! The folder of a sweep: a copy of the plan, the job files, the records, and locks against concurrent sweeps.

mod attempt;
mod orphans;

pub use attempt::{AttemptResult, Attempts};

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::plan::Plan;
use crate::status;
use crate::status::{JobStatus, Sweep};
use wattlaw::job::{Job, JobSpec};
use wattlaw::record::document::{Record, State};

use wattlaw_meter::error::{Error, Result};
use wattlaw_meter::folder::{self, LOG, Recovery};

/// File name of the copy of the plan.
pub const PLAN: &str = "plan.csv";
/// Folder name of the job files.
pub const JOBS: &str = "jobs";
/// Folder name of the job locks.
const LOCKS: &str = "locks";
/// File name of the sweep lock.
const LOCK: &str = "sweep.lock";

/// Number of bytes at the end of a log that are searched for the reason of a failure.
const OUTPUT_BYTES: i64 = 1 << 14;

/// Poll interval while another process writes a record.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Whether other processes may run jobs of the sweep at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// No other process: jobs run one after the other.
    Exclusive,
    /// Other processes run other jobs: tasks of a cluster.
    Shared,
}

/// The locked folder of a sweep.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    plan: Plan,
    records: Records,
    sharing: Sharing,
    _lock: File,
}

/// Exclusive right to run a job. The lock belongs to the open file, so child processes that inherit it hold it too.
#[derive(Debug)]
pub(crate) struct JobLock(File);

impl JobLock {
    /// The (empty) lock file as standard input of an attempt: the job stays locked while any of its processes lives.
    ///
    /// # Errors
    /// The system is out of file descriptors.
    pub fn stdin(&self) -> Result<Stdio> {
        self.0.try_clone().map(Stdio::from).map_err(|e| Error::Failed(e.to_string()))
    }
}

impl Folder {
    /// Opens or creates the folder of a sweep and locks it.
    ///
    /// # Errors
    /// Another sweep holds the lock, the folder has runs of another plan, or it cannot be written.
    pub fn open(path: &Path, plan: Plan, sharing: Sharing) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|e| Error::io(path, &e))?;
        let path = std::path::absolute(path).map_err(|e| Error::io(path, &e))?;
        let lock = lock(&path.join(LOCK), sharing)?.ok_or_else(|| {
            Error::Failed(format!(
                "{}: another `wattlaw sweep run` is using this folder; wait for it, or use another folder for --out",
                path.display()
            ))
        })?;
        let copy = path.join(PLAN);
        match read_plan(&path)? {
            Some(begun) => {
                status::check_continues(&plan, &begun)
                    .map_err(|e| Error::Failed(format!("{}: {e}", path.display())))?;
            }
            None => refuse_foreign_records(&path, &plan)?,
        }
        let text = plan.to_csv().map_err(|e| Error::Failed(e.to_string()))?;
        // an unchanged file is not rewritten: tasks of a cluster may be reading it
        if std::fs::read_to_string(&copy).ok().as_deref() != Some(&text) {
            folder::write_atomic(&copy, &text)?;
        }
        for folder in [JOBS, LOCKS].map(|name| path.join(name)) {
            std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, &e))?;
        }
        Ok(Self { path, plan, records: Records::default(), sharing, _lock: lock })
    }

    /// Absolute path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The plan.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Writes the job file for the training program and returns its path.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn job_file(&self, run_id: &str, job: &JobSpec) -> Result<PathBuf> {
        let path = self.path.join(JOBS).join(format!("{run_id}.toml"));
        let text = job.to_toml().map_err(|e| Error::Failed(e.to_string()))?;
        folder::write_atomic(&path, &text)?;
        Ok(path)
    }

    /// Writes the resolved job as JSON beside the job file and returns its path.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn resolved_job_file(&self, run_id: &str, job: &Job) -> Result<PathBuf> {
        let path = self.path.join(JOBS).join(format!("{run_id}.json"));
        let text = job.to_json().map_err(|e| Error::Failed(e.to_string()))?;
        folder::write_atomic(&path, &text)?;
        Ok(path)
    }

    /// The current status of the sweep.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn status(&mut self) -> Result<Sweep> {
        self.records.refresh(&self.path)?;
        Ok(self.records.sweep(&self.path, &self.plan))
    }

    /// Names of all jobs that were ever started.
    pub(crate) fn started_jobs(&self) -> Vec<String> {
        let has_lock = |run_id: &&str| self.lock_path(run_id).exists();
        self.plan
            .jobs
            .iter()
            .map(|job| job.run_id.as_str())
            .filter(has_lock)
            .map(str::to_owned)
            .collect()
    }

    fn lock_path(&self, run_id: &str) -> PathBuf {
        self.path.join(LOCKS).join(format!("{run_id}.lock"))
    }

    /// Locks a job once no earlier attempt of it runs, and closes the record that an earlier attempt left open.
    ///
    /// Waits for an attempt that is still measured. Kills the remaining processes of an attempt whose wattlaw died. `report` gets
    /// messages for the user; `wait` waits for a time and returns whether to continue. Returns `None` if another task of a
    /// cluster runs the job, or if `wait` returns false.
    ///
    /// # Errors
    /// A lock or a record cannot be written.
    pub(crate) fn claim_job(
        &mut self,
        run_id: &str,
        report: &mut dyn FnMut(&str),
        wait: &mut dyn FnMut(Duration) -> bool,
    ) -> Result<Option<JobLock>> {
        let path = self.lock_path(run_id);
        let mut reported = false;
        loop {
            let lock = lock(&path, Sharing::Exclusive)?;
            if lock.is_none() && self.sharing == Sharing::Shared {
                return Ok(None);
            }
            self.close_abandoned(run_id, report, wait)?;
            if let Some(file) = lock {
                return Ok(Some(JobLock(file)));
            }
            if !std::mem::replace(&mut reported, true) {
                report(&format!("{run_id} is still running from an earlier sweep; waiting for it"));
            }
            if !wait(POLL_INTERVAL) {
                return Ok(None);
            }
        }
    }

    /// Closes the records of a job whose writer died, and kills the remaining processes of their commands.
    fn close_abandoned(
        &mut self,
        run_id: &str,
        report: &mut dyn FnMut(&str),
        wait: &mut dyn FnMut(Duration) -> bool,
    ) -> Result<()> {
        self.records.refresh(&self.path)?;
        let open = |record: &Record| {
            record.state == State::Running && record.name.as_deref() == Some(run_id)
        };
        let seen = self.records.0.iter();
        let left: Vec<PathBuf> =
            seen.filter(|(_, seen)| open(&seen.record)).map(|(path, _)| path.clone()).collect();
        for path in left {
            if let Recovery::Locked = folder::recover(&path)? {
                continue;
            }
            let ended = orphans::end_processes(&path.join(folder::PROGRAM), wait);
            if ended > 0 {
                report(&format!(
                    "{run_id}: its measuring process had died; {ended} remaining processes were killed"
                ));
            }
        }
        Ok(())
    }
}

/// Reads the status of a sweep without locking its folder.
///
/// # Errors
/// The folder has no sweep, or a record cannot be read.
pub fn read_sweep(path: &Path) -> Result<Sweep> {
    let plan = read_plan(path)?.ok_or_else(|| {
        Error::Failed(format!("{}: no {PLAN}; no sweep was started in this folder", path.display()))
    })?;
    let mut seen = Records::default();
    seen.refresh(path)?;
    Ok(seen.sweep(path, &plan))
}

/// The records of a folder as last read, by path; the paths sort by time.
#[derive(Debug, Default)]
struct Records(BTreeMap<PathBuf, ReadRecord>);

#[derive(Debug)]
struct ReadRecord {
    record: Record,
    /// Whether the record is closed, or a running wattlaw will close it.
    live: bool,
}

impl Records {
    /// Reads new records, and those that were open at the last read.
    fn refresh(&mut self, folder: &Path) -> Result<()> {
        for path in folder::all(folder)? {
            if self.0.get(&path).is_none_or(|seen| seen.record.state == State::Running) {
                let (record, live) = folder::read_live(&path)?;
                self.0.insert(path, ReadRecord { record, live });
            }
        }
        Ok(())
    }

    fn sweep(&self, folder: &Path, plan: &Plan) -> Sweep {
        let records: Vec<&Record> = self.0.values().map(|seen| &seen.record).collect();
        let mut sweep = Sweep::from_records(plan, &records, |record| {
            output(&folder.join(&record.id)).unwrap_or_default()
        });
        let dead: Vec<&str> =
            self.0.values().filter(|seen| !seen.live).map(|seen| seen.record.id.as_str()).collect();
        for job in sweep.jobs.iter_mut().filter(|job| job.status == JobStatus::Running) {
            if job.record.as_deref().is_some_and(|id| dead.contains(&id)) {
                job.status = JobStatus::Interrupted;
            }
        }
        sweep
    }
}

fn read_plan(path: &Path) -> Result<Option<Plan>> {
    let copy = path.join(PLAN);
    match std::fs::read(&copy) {
        Ok(bytes) => Plan::from_csv(&bytes, &copy.display().to_string())
            .map(Some)
            .map_err(|e| Error::Failed(e.to_string())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(&copy, &e)),
    }
}

/// Refuses a folder with records that have names of the plan's jobs but are not from a sweep.
fn refuse_foreign_records(path: &Path, plan: &Plan) -> Result<()> {
    for record in folder::all(path)? {
        let record = folder::read(&record)?;
        if let Some(name) = &record.name
            && plan.jobs.iter().any(|job| job.run_id == *name)
        {
            return Err(Error::Failed(format!(
                "{}: record {} has the name of the plan's job {name} but is not from a sweep; use another folder for --out",
                path.display(),
                record.id
            )));
        }
    }
    Ok(())
}

/// The end of a record's log.
fn output(record: &Path) -> io::Result<String> {
    let mut file = File::open(record.join(LOG))?;
    let length = i64::try_from(file.metadata()?.len()).unwrap_or(i64::MAX);
    file.seek(SeekFrom::End(-length.min(OUTPUT_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Takes an advisory lock, which the system releases when the process dies. `None` if another process holds it.
fn lock(path: &Path, sharing: Sharing) -> Result<Option<File>> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = file.map_err(|e| Error::io(path, &e))?;
    let taken = match sharing {
        Sharing::Exclusive => file.try_lock(),
        Sharing::Shared => file.try_lock_shared(),
    };
    match taken {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(Error::Failed(format!(
            "{}: the file system does not support the locks that a sweep needs: {e}",
            path.display()
        ))),
    }
}
