//! The folder of a sweep: a copy of its plan, the job files, the records, and locks that keep two sweeps apart.

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
use wattlaw::job::JobSpec;
use wattlaw::record::document::{Record, State};

use wattlaw_meter::error::{Error, Result};
use wattlaw_meter::folder::{self, LOG, Recovery};

/// The copy of the plan.
pub const PLAN: &str = "plan.csv";
/// The folder of job files.
pub const JOBS: &str = "jobs";
/// The folder of locks of jobs that are run one by one.
const LOCKS: &str = "locks";
/// The lock of the sweep.
const LOCK: &str = "sweep.lock";

/// How much of what a command printed last is looked at for why it ended.
const OUTPUT_BYTES: i64 = 1 << 14;

/// Time between two looks at a record that is being written.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Who else may run jobs of a sweep at the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody: the jobs are run one after the other.
    Exclusive,
    /// Others that run jobs of their own: a cluster's tasks.
    Shared,
}

/// A sweep's folder, locked.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    plan: Plan,
    records: Records,
    sharing: Sharing,
    _lock: File,
}

/// A job that nobody else runs as long as this is held, by us or by what we started: the lock is that of the open file.
#[derive(Debug)]
pub struct JobLock(File);

impl JobLock {
    /// The file as the standard input of an attempt, empty, so that the job is taken as long as any process of it lives.
    ///
    /// # Errors
    /// One sentence where the system has no more files.
    pub fn stdin(&self) -> Result<Stdio> {
        self.0.try_clone().map(Stdio::from).map_err(|e| Error::Failed(e.to_string()))
    }
}

impl Folder {
    /// Opens the folder of a sweep, or begins one, and locks it.
    ///
    /// # Errors
    /// One sentence where another sweep holds it, it holds runs of another plan, or it cannot be written to.
    pub fn open(path: &Path, plan: Plan, sharing: Sharing) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|e| Error::io(path, &e))?;
        let path = std::path::absolute(path).map_err(|e| Error::io(path, &e))?;
        let lock = lock(&path.join(LOCK), sharing)?.ok_or_else(|| {
            Error::Failed(format!(
                "{}: another `wattlaw sweep run` is at work on it; wait for it, or give --out another folder",
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
        // tasks of a cluster find it as it is
        if std::fs::read_to_string(&copy).ok().as_deref() != Some(&text) {
            folder::write_atomic(&copy, &text)?;
        }
        for folder in [JOBS, LOCKS].map(|name| path.join(name)) {
            std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, &e))?;
        }
        Ok(Self { path, plan, records: Records::default(), sharing, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The plan.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Writes the file that the program that trains is given, and tells where.
    ///
    /// # Errors
    /// One sentence where it cannot be written.
    pub fn job_file(&self, run_id: &str, job: &JobSpec) -> Result<PathBuf> {
        let path = self.path.join(JOBS).join(format!("{run_id}.toml"));
        let text = toml::to_string(job).map_err(|e| Error::Failed(e.to_string()))?;
        folder::write_atomic(&path, &text)?;
        Ok(path)
    }

    /// The sweep as its records tell.
    ///
    /// # Errors
    /// One sentence where a record cannot be read.
    pub fn status(&mut self) -> Result<Sweep> {
        self.records.refresh(&self.path)?;
        Ok(self.records.sweep(&self.path, &self.plan))
    }

    /// The jobs that were begun before, whatever became of them.
    pub fn started_jobs(&self) -> Vec<String> {
        let there = |run_id: &&str| self.lock_path(run_id).exists();
        self.plan
            .jobs
            .iter()
            .map(|job| job.run_id.as_str())
            .filter(there)
            .map(str::to_owned)
            .collect()
    }

    fn lock_path(&self, run_id: &str) -> PathBuf {
        self.path.join(LOCKS).join(format!("{run_id}.lock"))
    }

    /// Takes a job for us, once nothing of an earlier attempt runs any more, and closes the record that one left open.
    ///
    /// An attempt that is still measured is waited for; what is left of one whose wattlaw was killed is ended. None where
    /// another task of a cluster runs the job, or `wait`, which waits for a time, tells not to go on.
    ///
    /// # Errors
    /// One sentence where a lock or a record cannot be written.
    pub fn claim_job(
        &mut self,
        run_id: &str,
        tell: &mut dyn FnMut(&str),
        wait: &mut dyn FnMut(Duration) -> bool,
    ) -> Result<Option<JobLock>> {
        let path = self.lock_path(run_id);
        let mut told = false;
        loop {
            let lock = lock(&path, Sharing::Exclusive)?;
            if lock.is_none() && self.sharing == Sharing::Shared {
                return Ok(None);
            }
            self.close_abandoned(run_id, tell, wait)?;
            if let Some(file) = lock {
                return Ok(Some(JobLock(file)));
            }
            if !std::mem::replace(&mut told, true) {
                tell(&format!(
                    "{run_id} was begun by an earlier sweep and goes on; it is waited for"
                ));
            }
            if !wait(POLL_INTERVAL) {
                return Ok(None);
            }
        }
    }

    /// Closes the records of a job that nobody writes any more, and ends what is left of their commands.
    fn close_abandoned(
        &mut self,
        run_id: &str,
        tell: &mut dyn FnMut(&str),
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
                tell(&format!(
                    "{run_id}: what measured it died, and {ended} processes of it that went on were ended"
                ));
            }
        }
        Ok(())
    }
}

/// The sweep of a folder as its records tell, whoever is at work on it.
///
/// # Errors
/// One sentence where the folder is none of a sweep, or a record cannot be read.
pub fn read_sweep(path: &Path) -> Result<Sweep> {
    let plan = read_plan(path)?.ok_or_else(|| {
        Error::Failed(format!(
            "{}: it has no {PLAN}, so no `wattlaw sweep run` was begun there",
            path.display()
        ))
    })?;
    let mut seen = Records::default();
    seen.refresh(path)?;
    Ok(seen.sweep(path, &plan))
}

/// The records of a folder as they were last read, by their folders, whose names sort by time.
#[derive(Debug, Default)]
struct Records(BTreeMap<PathBuf, ReadRecord>);

#[derive(Debug)]
struct ReadRecord {
    record: Record,
    /// Whether it is closed, or a running wattlaw will close it.
    live: bool,
}

impl Records {
    /// Reads records that are new, and those that were not closed when they were last read.
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

/// Refuses a folder whose records bear names of the plan's jobs and were not made by a sweep.
fn refuse_foreign_records(path: &Path, plan: &Plan) -> Result<()> {
    for record in folder::all(path)? {
        let record = folder::read(&record)?;
        if let Some(name) = &record.name
            && plan.jobs.iter().any(|job| job.run_id == *name)
        {
            return Err(Error::Failed(format!(
                "{}: record {} bears the name of the plan's job {name} and is of no sweep; give --out another folder",
                path.display(),
                record.id
            )));
        }
    }
    Ok(())
}

/// The last that a command printed.
fn output(record: &Path) -> io::Result<String> {
    let mut file = File::open(record.join(LOG))?;
    let length = i64::try_from(file.metadata()?.len()).unwrap_or(i64::MAX);
    file.seek(SeekFrom::End(-length.min(OUTPUT_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Takes a lock that the system lets go of when we die; none where somebody has it.
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
            "{}: the file system has no locks, which keep two sweeps apart: {e}",
            path.display()
        ))),
    }
}
