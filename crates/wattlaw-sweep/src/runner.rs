//! Runs the jobs of a plan on this machine one after the other, each under a `wattlaw measure` of its own.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use wattlaw::base::units::Seconds;
use wattlaw::job::Job;
use wattlaw_meter::error::{Error, Result};
use wattlaw_meter::idle::{NotIdle, wait_until_idle};
use wattlaw_meter::meter::Meter;

use crate::nodes::Nodes;
use crate::plan::PlannedJob;
use crate::status::{JobReport, JobStatus, Sweep};
use crate::store::{Attempts, Folder, JobLock};

/// So many failures before the first success end the sweep: the jobs are not what is wrong then.
const MAX_INITIAL_FAILURES: usize = 3;

/// A job may take so many times what was predicted for it, and so long at least, where no limit is given. Assumed: far above
/// what predictions are off by.
const LIMIT_FACTOR: f64 = 10.0;
const MIN_LIMIT: Duration = Duration::from_secs(1800);

/// The longest time that a job may take where none is asked for: what follows from its prediction.
pub fn default_limit(predicted: Option<Seconds>) -> Duration {
    let predicted = predicted.map_or(0.0, |time| time.value() * LIMIT_FACTOR);
    Duration::try_from_secs_f64(predicted).unwrap_or(MIN_LIMIT).max(MIN_LIMIT)
}

/// How each job is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The command that trains, in which `{job}`, `{run_id}`, `{gpus}`, `{nodes}` and `{gpus_per_node}` stand for a job's.
    pub command: Vec<OsString>,
    /// Flags of `wattlaw measure` that say which meters are read.
    pub meters: Vec<String>,
    /// What CUDA knows the GPUs by.
    pub gpus: Vec<String>,
    /// Catalogue file that jobs are resolved with.
    pub catalog: Option<PathBuf>,
    /// Whether what failed is run again.
    pub retry_failed: bool,
    /// Whether jobs are run beside other runners on the same folder.
    pub shared: bool,
    /// How long the machine may take to come to rest before a job.
    pub idle_wait: Duration,
    /// The longest time that a job may take; [`default_limit`] where there is none.
    pub time_limit: Option<Duration>,
    /// Whether what jobs print is let through.
    pub verbose: bool,
}

/// What a runner tells while it works.
#[derive(Debug)]
pub enum Event<'a> {
    /// A sentence about a job of an earlier sweep, or one that others run.
    Note(&'a str),
    /// A job is begun although the machine did not come to rest.
    NotIdle {
        /// The job.
        run_id: &'a str,
        /// What keeps the machine from rest.
        not_idle: NotIdle,
    },
    /// A job runs; told about every second.
    Running {
        /// Its place among those that are wanted.
        index: usize,
        /// The job.
        run_id: &'a str,
        /// How long it has run.
        ran: Duration,
        /// How long it was predicted to run.
        predicted: Option<Seconds>,
    },
    /// The job's command has ended.
    Ended,
    /// What came of a job.
    Finished {
        /// Its place among those that are wanted.
        index: usize,
        /// What became of it.
        job: &'a JobReport,
        /// The sweep as it stands then.
        sweep: &'a Sweep,
    },
}

/// Refuses a job that this machine cannot run; `gpus` of it are to be used.
///
/// # Errors
/// A sentence that says what the job asks for.
pub fn fits(run_id: &str, job: &Job, gpus: usize) -> Result<()> {
    if job.system.nodes() > 1 && Nodes::from_slurm_env(job.system.nodes()).is_none() {
        return Err(Error::Failed(format!(
            "job {run_id} spans {} nodes, and `wattlaw sweep run` runs on one; `wattlaw sweep submit` gives it to a cluster",
            job.system.nodes()
        )));
    }
    // a machine without GPUs runs jobs of processes
    let asked = job.system.gpus.min(job.system.gpus_per_node);
    if gpus > 0 && asked > gpus as u64 {
        return Err(Error::Failed(format!(
            "job {run_id} asks for {asked} GPUs, and {gpus} of this machine are to be used"
        )));
    }
    Ok(())
}

/// A sweep at work.
pub struct Runner<'a> {
    options: Options,
    folder: Folder,
    meters: Vec<Box<dyn Meter>>,
    attempts: Attempts,
    tell: &'a mut dyn FnMut(Event<'_>),
}

impl<'a> Runner<'a> {
    /// Gets ready; signals that ask the process to end are passed on to the job from now on.
    ///
    /// # Errors
    /// One sentence where the system lets us catch no signals.
    pub fn new(
        options: Options,
        folder: Folder,
        meters: Vec<Box<dyn Meter>>,
        tell: &'a mut dyn FnMut(Event<'_>),
    ) -> Result<Self> {
        Ok(Self { options, folder, meters, attempts: Attempts::new()?, tell })
    }

    /// Runs the jobs that are open, and gives the sweep as it stands then with the number of jobs that failed now.
    ///
    /// # Errors
    /// One sentence: a folder that cannot be written to, a job that cannot be begun, a signal, or that the first jobs all
    /// failed.
    pub fn run(mut self, wanted: &[(&PlannedJob, &Job)]) -> Result<(Sweep, usize)> {
        let mut failed = 0;
        let found = self.folder.status()?;
        let open: BTreeSet<&str> = found
            .jobs
            .iter()
            .filter(|job| self.is_open(job))
            .map(|job| job.run_id.as_str())
            .collect();
        if !self.options.shared {
            // what goes on from an earlier sweep would disturb whichever job came first
            for run_id in self.folder.started_jobs().iter().filter(|id| open.contains(id.as_str()))
            {
                self.claim_job(run_id)?;
            }
        }
        for (index, (planned, job)) in wanted.iter().enumerate() {
            if !open.contains(planned.run_id.as_str()) {
                continue;
            }
            let Some(lock) = self.claim_job(&planned.run_id)? else {
                (self.tell)(Event::Note(&format!(
                    "{} is being run by another task",
                    planned.run_id
                )));
                continue;
            };
            // who had it may have done it
            let before = job_of(&self.folder.status()?, planned)?;
            if !self.is_open(&before) {
                continue;
            }
            self.wait_until_idle(&planned.run_id)?;
            let sweep = self.attempt(index, planned, job, &lock, &before)?;
            drop(lock);
            self.check_interrupted()?;
            let after = job_of(&sweep, planned)?;
            (self.tell)(Event::Finished { index, job: &after, sweep: &sweep });
            failed += usize::from(after.status == JobStatus::Failed);
            if failed == MAX_INITIAL_FAILURES
                && index + 1 < wanted.len()
                && sweep.count(JobStatus::Done) == 0
            {
                let why = after.reason.unwrap_or_default();
                return Err(Error::Failed(format!(
                    "the first {MAX_INITIAL_FAILURES} jobs failed, so the rest was not begun: {why} ({})",
                    self.log_path(after.record.as_deref())
                )));
            }
        }
        self.check_interrupted()?;
        Ok((self.folder.status()?, failed))
    }

    /// Whether a job is to be run.
    const fn is_open(&self, job: &JobReport) -> bool {
        match job.status {
            JobStatus::Done => false,
            JobStatus::Failed => self.options.retry_failed,
            JobStatus::Waiting | JobStatus::Running | JobStatus::Interrupted => true,
        }
    }

    fn claim_job(&mut self, run_id: &str) -> Result<Option<JobLock>> {
        let (attempts, tell) = (&mut self.attempts, &mut self.tell);
        let lock =
            self.folder.claim_job(run_id, &mut |text| tell(Event::Note(text)), &mut |time| {
                attempts.wait(time)
            })?;
        self.check_interrupted()?;
        Ok(lock)
    }

    fn wait_until_idle(&mut self, run_id: &str) -> Result<()> {
        let attempts = &mut self.attempts;
        let (_, not_idle) =
            wait_until_idle(&mut self.meters, self.options.idle_wait, |time| attempts.wait(time));
        self.check_interrupted()?;
        if let Some(not_idle) = not_idle {
            (self.tell)(Event::NotIdle { run_id, not_idle });
        }
        Ok(())
    }

    /// Runs a job once, which had come so far `before`; gives the sweep as it stands after.
    fn attempt(
        &mut self,
        index: usize,
        planned: &PlannedJob,
        job: &Job,
        lock: &JobLock,
        before: &JobReport,
    ) -> Result<Sweep> {
        let nodes = Nodes::from_slurm_env(job.system.nodes()).filter(|_| job.system.nodes() > 1);
        let command = self.command(planned, job, lock, nodes.as_ref())?;
        let (run_id, tell) = (planned.run_id.as_str(), &mut self.tell);
        let predicted = before.predicted_duration;
        let mut tick = |ran: Duration| tell(Event::Running { index, run_id, ran, predicted });
        tick(Duration::ZERO);
        let ended = self.attempts.run(command, self.options.verbose, &mut tick)?;
        (self.tell)(Event::Ended);
        let merged =
            nodes.map_or(Ok(()), |n| n.merge(self.folder.path(), run_id, ended.end.well()));
        let sweep = self.folder.status()?;
        let after = job_of(&sweep, planned)?;
        if after.attempts == before.attempts && self.attempts.signal().is_none() {
            merged?;
            let said = ended.stderr_lines.iter().rev().find(|line| !line.trim().is_empty());
            let said = said.map_or("without a word", |line| line.trim_start_matches("error: "));
            return Err(Error::Failed(format!(
                "{run_id} could not be begun, and no job after it: {said}"
            )));
        }
        Ok(sweep)
    }

    /// The `wattlaw measure` of a job, once on each node where there are several.
    fn command(
        &self,
        planned: &PlannedJob,
        job: &Job,
        lock: &JobLock,
        nodes: Option<&Nodes>,
    ) -> Result<Command> {
        let spec = planned.spec.with_defaults(job);
        let file = self.folder.job_file(&planned.run_id, &spec)?;
        let program = std::env::current_exe().map_err(|e| Error::Failed(e.to_string()))?;
        let (mut command, records) = match nodes {
            None => (Command::new(program), self.folder.path().to_owned()),
            Some(nodes) => {
                (nodes.command(&program), nodes.records(self.folder.path(), &planned.run_id))
            }
        };
        let limit =
            self.options.time_limit.unwrap_or_else(|| default_limit(planned.predicted_duration));
        command
            .stdin(lock.stdin()?)
            .args(["measure", "--quiet", "--out"])
            .arg(records)
            .args(["--name", &planned.run_id, "--job"])
            .arg(&file)
            .args(["--time-limit", &format!("{}s", limit.as_secs_f64())])
            .args(&self.options.meters);
        if let Some(catalog) = &self.options.catalog {
            command.arg("--catalog").arg(catalog);
        }
        command
            .arg("--")
            .args(
                self.options
                    .command
                    .iter()
                    .map(|word| with_placeholders(word, planned, job, &file)),
            )
            .env("WATTLAW_JOB", &file)
            .env("WATTLAW_RUN_ID", &planned.run_id);
        // each of several nodes has GPUs of its own
        if nodes.is_none() && self.options.gpus.iter().any(|gpu| gpu.starts_with("GPU-")) {
            let count = usize::try_from(job.system.gpus).unwrap_or(usize::MAX);
            let used = self.options.gpus.iter().take(count);
            command.env("CUDA_VISIBLE_DEVICES", used.cloned().collect::<Vec<_>>().join(","));
        }
        Ok(command)
    }

    fn log_path(&self, record: Option<&str>) -> String {
        self.folder.path().join(record.unwrap_or_default()).join("log").display().to_string()
    }

    fn check_interrupted(&mut self) -> Result<()> {
        match self.attempts.signal() {
            None => Ok(()),
            Some(signal) => Err(Error::Failed(format!(
                "stopped by signal {signal}; what is done is kept, and the same command goes on from there"
            ))),
        }
    }
}

/// What became of a job of the plan.
fn job_of(sweep: &Sweep, planned: &PlannedJob) -> Result<JobReport> {
    let found = sweep.jobs.iter().find(|job| job.run_id == planned.run_id).cloned();
    found.ok_or_else(|| Error::Failed(format!("the plan lost its job {}", planned.run_id)))
}

/// A word of the command with what its placeholders stand for.
fn with_placeholders(word: &OsString, planned: &PlannedJob, job: &Job, file: &Path) -> OsString {
    let Some(text) = word.to_str() else { return word.clone() };
    let system = &job.system;
    let values = [
        ("{job}", file.display().to_string()),
        ("{run_id}", planned.run_id.clone()),
        ("{gpus}", system.gpus.to_string()),
        ("{nodes}", system.nodes().to_string()),
        ("{gpus_per_node}", system.gpus.min(system.gpus_per_node).to_string()),
    ];
    let text = values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    text.into()
}
