//! Runs the jobs of a plan on this machine one after the other, each under its own `wattlaw measure`.

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

/// This many failures before the first success stop the sweep: the cause is probably not the jobs.
const MAX_INITIAL_FAILURES: usize = 3;

/// Default time limit: this multiple of the predicted time, but at least [`MIN_LIMIT`]. Assumed: far above prediction errors.
const LIMIT_FACTOR: f64 = 10.0;
const MIN_LIMIT: Duration = Duration::from_secs(1800);

/// Default time limit of a job, from its predicted time.
pub fn default_limit(predicted: Option<Seconds>) -> Duration {
    let predicted = predicted.map_or(0.0, |time| time.value() * LIMIT_FACTOR);
    Duration::try_from_secs_f64(predicted).unwrap_or(MIN_LIMIT).max(MIN_LIMIT)
}

/// How each job is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Training command; the placeholders `{job}`, `{job_json}`, `{run_id}`, `{gpus}`, `{nodes}` and `{gpus_per_node}` are replaced.
    pub command: Vec<OsString>,
    /// Flags of `wattlaw measure` that select the meters.
    pub meters: Vec<String>,
    /// CUDA names (UUIDs) of the GPUs.
    pub gpus: Vec<String>,
    /// Catalogue file for resolving jobs.
    pub catalog: Option<PathBuf>,
    /// Whether failed jobs are run again.
    pub retry_failed: bool,
    /// Whether other runners use the same folder.
    pub shared: bool,
    /// Longest wait for an idle machine before a job.
    pub idle_wait: Duration,
    /// Time limit of a job; default [`default_limit`].
    pub time_limit: Option<Duration>,
    /// Whether the output of the jobs is shown.
    pub verbose: bool,
}

/// Progress events of a runner.
#[derive(Debug)]
pub enum Event<'a> {
    /// A message about a job of an earlier sweep, or one that another task runs.
    Note(&'a str),
    /// A job starts although the machine is not idle.
    NotIdle {
        /// The job.
        run_id: &'a str,
        /// Why the machine is not idle.
        not_idle: NotIdle,
    },
    /// A job is running; sent about every second.
    Running {
        /// Index of the job among the selected jobs.
        index: usize,
        /// The job.
        run_id: &'a str,
        /// Elapsed time.
        ran: Duration,
        /// Predicted time, s.
        predicted: Option<Seconds>,
    },
    /// The job's command has ended.
    Ended,
    /// A job has a result.
    Finished {
        /// Index of the job among the selected jobs.
        index: usize,
        /// Status and results of the job.
        job: &'a JobReport,
        /// Status of the sweep.
        sweep: &'a Sweep,
    },
}

/// Refuses a job that this machine cannot run with `gpus` GPUs.
///
/// # Errors
/// The job needs more nodes or GPUs.
pub fn fits(run_id: &str, job: &Job, gpus: usize) -> Result<()> {
    if job.system.nodes() > 1 && Nodes::from_slurm_env(job.system.nodes()).is_none() {
        return Err(Error::Failed(format!(
            "job {run_id} needs {} nodes, but `wattlaw sweep run` uses one; use `wattlaw sweep submit` for a cluster",
            job.system.nodes()
        )));
    }
    // on a machine without GPUs each rank is a CPU process, so the number is not checked
    let needed = job.system.gpus.min(job.system.gpus_per_node);
    if gpus > 0 && needed > gpus as u64 {
        return Err(Error::Failed(format!(
            "job {run_id} needs {needed} GPUs, but only {gpus} are selected on this machine"
        )));
    }
    Ok(())
}

/// Runs a sweep.
pub struct Runner<'a> {
    options: Options,
    folder: Folder,
    meters: Vec<Box<dyn Meter>>,
    attempts: Attempts,
    report: &'a mut dyn FnMut(Event<'_>),
}

impl<'a> Runner<'a> {
    /// Creates a runner. From now on termination signals are forwarded to the running job. `report` gets progress events.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn new(
        options: Options,
        folder: Folder,
        meters: Vec<Box<dyn Meter>>,
        report: &'a mut dyn FnMut(Event<'_>),
    ) -> Result<Self> {
        Ok(Self { options, folder, meters, attempts: Attempts::new()?, report })
    }

    /// Runs the open jobs. Returns the status of the sweep and the number of jobs that failed in this call.
    ///
    /// # Errors
    /// The folder cannot be written, a job cannot be started, a signal arrived, or the first jobs all failed.
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
            // a job that still runs from an earlier sweep would disturb the measurement of the next job
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
                (self.report)(Event::Note(&format!(
                    "{} is running in another task",
                    planned.run_id
                )));
                continue;
            };
            // the previous holder of the lock may have finished the job
            let before = job_of(&self.folder.status()?, planned)?;
            if !self.is_open(&before) {
                continue;
            }
            self.wait_until_idle(&planned.run_id)?;
            let sweep = self.attempt(index, planned, job, &lock, &before)?;
            drop(lock);
            self.check_interrupted()?;
            let after = job_of(&sweep, planned)?;
            (self.report)(Event::Finished { index, job: &after, sweep: &sweep });
            failed +=
                usize::from(matches!(after.status, JobStatus::Failed | JobStatus::Incomplete));
            if failed == MAX_INITIAL_FAILURES
                && index + 1 < wanted.len()
                && sweep.count(JobStatus::Done) == 0
            {
                let why = after.reason.unwrap_or_default();
                return Err(Error::Failed(format!(
                    "the first {MAX_INITIAL_FAILURES} jobs failed, so the sweep stopped: {why} (log: {})",
                    self.log_path(after.record.as_deref())
                )));
            }
        }
        self.check_interrupted()?;
        Ok((self.folder.status()?, failed))
    }

    /// Whether a job must be run.
    const fn is_open(&self, job: &JobReport) -> bool {
        match job.status {
            JobStatus::Done => false,
            JobStatus::Failed | JobStatus::Incomplete => self.options.retry_failed,
            JobStatus::Waiting | JobStatus::Running | JobStatus::Interrupted => true,
        }
    }

    fn claim_job(&mut self, run_id: &str) -> Result<Option<JobLock>> {
        let (attempts, report) = (&mut self.attempts, &mut self.report);
        let lock =
            self.folder.claim_job(run_id, &mut |text| report(Event::Note(text)), &mut |time| {
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
            (self.report)(Event::NotIdle { run_id, not_idle });
        }
        Ok(())
    }

    /// Runs a job once and returns the new status of the sweep; `before` is the job's previous report.
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
        let (run_id, report) = (planned.run_id.as_str(), &mut self.report);
        let predicted = before.predicted_duration;
        let mut tick = |ran: Duration| report(Event::Running { index, run_id, ran, predicted });
        tick(Duration::ZERO);
        let ended = self.attempts.run(command, self.options.verbose, &mut tick)?;
        (self.report)(Event::Ended);
        let merged =
            nodes.map_or(Ok(()), |n| n.merge(self.folder.path(), run_id, ended.end.well()));
        let sweep = self.folder.status()?;
        let after = job_of(&sweep, planned)?;
        if after.attempts == before.attempts && self.attempts.signal().is_none() {
            merged?;
            let line = ended.stderr_lines.iter().rev().find(|line| !line.trim().is_empty());
            let line = line.map_or("no output", |line| line.trim_start_matches("error: "));
            return Err(Error::Failed(format!(
                "{run_id} could not be started, so the sweep stopped: {line}"
            )));
        }
        Ok(sweep)
    }

    /// The `wattlaw measure` command of a job; on several nodes it runs once per node.
    fn command(
        &self,
        planned: &PlannedJob,
        job: &Job,
        lock: &JobLock,
        nodes: Option<&Nodes>,
    ) -> Result<Command> {
        let spec = planned.spec.with_defaults(job);
        let file = self.folder.job_file(&planned.run_id, &spec)?;
        let resolved = self.folder.resolved_job_file(&planned.run_id, job)?;
        let files = JobFiles { toml: &file, json: &resolved };
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
                    .map(|word| with_placeholders(word, planned, job, files)),
            )
            .env("WATTLAW_JOB", &file)
            .env("WATTLAW_JOB_JSON", &resolved)
            .env("WATTLAW_RUN_ID", &planned.run_id);
        // on several nodes each node selects its own GPUs
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
                "stopped by signal {signal}; finished jobs are kept, and the same command resumes the sweep"
            ))),
        }
    }
}

/// The report of a planned job.
fn job_of(sweep: &Sweep, planned: &PlannedJob) -> Result<JobReport> {
    let found = sweep.jobs.iter().find(|job| job.run_id == planned.run_id).cloned();
    found.ok_or_else(|| {
        Error::Failed(format!("internal error: the sweep has no job {}", planned.run_id))
    })
}

/// The two files that describe a job to the command.
#[derive(Clone, Copy)]
struct JobFiles<'a> {
    /// A job file.
    toml: &'a Path,
    /// The resolved job.
    json: &'a Path,
}

/// Replaces the placeholders in an argument of the command.
fn with_placeholders(
    word: &OsString,
    planned: &PlannedJob,
    job: &Job,
    files: JobFiles,
) -> OsString {
    let Some(text) = word.to_str() else { return word.clone() };
    let system = &job.system;
    let values = [
        ("{job}", files.toml.display().to_string()),
        ("{job_json}", files.json.display().to_string()),
        ("{run_id}", planned.run_id.clone()),
        ("{gpus}", system.gpus.to_string()),
        ("{nodes}", system.nodes().to_string()),
        ("{gpus_per_node}", system.gpus.min(system.gpus_per_node).to_string()),
    ];
    let text = values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    text.into()
}
