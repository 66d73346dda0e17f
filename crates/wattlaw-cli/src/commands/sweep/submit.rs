//! `wattlaw sweep submit`: submits the open jobs of a plan to a cluster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use wattlaw::base::error::Location;
use wattlaw::base::units::Seconds;
use wattlaw::job::Job;
use wattlaw_sweep::cluster::{self, Submitter};
use wattlaw_sweep::plan::Plan;
use wattlaw_sweep::slurm;
use wattlaw_sweep::slurm::{Options, Queued, Script, Shape, Task};
use wattlaw_sweep::status::{JobReport, JobStatus, Sweep};

use super::each::EachArgs;
use crate::failure::{Done, Failure};
use crate::flags::job;
use crate::{files, render};

/// Time limit of a task beyond its job and the wait for an idle machine: setup commands, a slow exit, writing the record. Assumed:
/// long enough for wattlaw's own time limit, which reports the reason, to end the job before SLURM does.
const TASK_OVERHEAD: Duration = Duration::from_secs(600);

/// Flags of `wattlaw sweep submit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Plan, a table written by `wattlaw sweep design`
    plan: PathBuf,
    /// Scheduler of the cluster
    #[arg(long, value_enum)]
    scheduler: Scheduler,
    /// Folder for the records, shared by all nodes
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// sbatch options and setup commands of a task (TOML)
    #[arg(long, value_name = "FILE")]
    options: Option<PathBuf>,
    /// Print the scripts without writing or submitting anything
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    each: EachArgs,
    /// Training command; placeholders: {job}, {job_json}, {gpus}, {nodes}, {gpus_per_node}, {run_id}
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Supported schedulers.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Scheduler {
    /// SLURM (sbatch)
    Slurm,
}

/// Runs the command.
///
/// # Errors
/// An invalid file, a folder of another plan, a queue that cannot be read, or an error of sbatch.
pub fn run(args: &Args) -> Done {
    let flags = args.flags()?;
    let options = options(args.options.as_deref())?;
    let file = args.plan.display().to_string();
    let plan = super::plan(&args.plan)?;
    let jobs = plan.resolve(&job::catalog(args.each.catalog.as_deref())?, &file)?;
    let runs = std::path::absolute(&args.out).map_err(Failure::failed)?;
    let mut submitting = match args.dry_run {
        true => None,
        false => {
            cluster::check_sbatch().map_err(Failure::failed)?;
            Some(Submitter::open(&runs, &plan).map_err(Failure::failed)?)
        }
    };
    let submitted = cluster::submitted(&runs).map_err(Failure::failed)?;
    // read the queue before the records: a job that has left the queue has a record by then
    let queued = cluster::queued(&submitted).map_err(Failure::failed)?;
    let sweep = match &mut submitting {
        Some(submitting) => submitting.status().map_err(Failure::failed)?,
        None => read_only_sweep(&runs, &plan)?,
    };
    let left = sweep.jobs.iter().zip(&jobs).filter(|(report, _)| {
        let open = match report.status {
            JobStatus::Waiting | JobStatus::Interrupted => true,
            JobStatus::Failed | JobStatus::Incomplete => args.each.retry_failed,
            JobStatus::Running | JobStatus::Done => false,
        };
        open && !queued.contains_key(&report.run_id)
    });
    let tasks: Vec<Task> = left.map(|(report, job)| task(args, report, job)).collect();
    let count = tasks.len();
    if count > 0 && !options.asks_for_gpus() {
        render::note(
            "note",
            "no option requests GPUs (example: gres = \"gpu:{gpus_per_node}\"); jobs get the cluster's default",
        );
    }
    let arrays = slurm::arrays(tasks, options.max_array());
    let (runs_text, program) = (utf8(&runs)?, std::env::current_exe().map_err(Failure::failed)?);
    let program = utf8(&program)?;
    for (number, array) in (submitted.len() + 1..).zip(&arrays) {
        let script = Script {
            name: &slurm::name(runs_text, number),
            array,
            options: &options,
            runs: runs_text,
            wattlaw: program,
            flags: &flags,
            command: &args.command,
        };
        match &submitting {
            None => files::print(&script.text()?)?,
            Some(submitting) => {
                let (path, id) = submitting.submit(&script).map_err(Failure::failed)?;
                files::print(&format!("submitted as {id}: {array}; {}\n", path.display()))?;
            }
        }
    }
    render::note("note", &summary(args, count, &sweep, &queued));
    Ok(())
}

impl Args {
    /// Flags of the `wattlaw sweep run` in each task.
    fn flags(&self) -> Done<Vec<String>> {
        if self.each.meters.gpus.is_some() {
            return Err(Failure::usage(
                "--gpus selects GPUs of this machine, but SLURM assigns the GPUs of each task",
            ));
        }
        let mut flags = self.each.meters.arguments();
        flags.extend(["--settle".to_owned(), seconds(self.each.settle)]);
        if let Some(limit) = self.each.time_limit {
            flags.extend(["--time-limit".to_owned(), seconds(limit)]);
        }
        if let Some(catalog) = &self.each.catalog {
            let path = std::path::absolute(catalog).map_err(Failure::failed)?;
            flags.extend(["--catalog".to_owned(), utf8(&path)?.to_owned()]);
        }
        if self.each.retry_failed {
            flags.push("--retry-failed".to_owned());
        }
        Ok(flags)
    }
}

fn options(path: Option<&Path>) -> Done<Options> {
    let Some(path) = path else { return Ok(Options::default()) };
    let place = Location::file(path.display().to_string());
    Ok(Options::from_toml(&files::text(path)?).map_err(|e| e.at(place))?)
}

fn task(args: &Args, report: &JobReport, job: &Job) -> Task {
    let command = args.each.limit(report.predicted_duration);
    let longest = command + args.each.settle + args.each.meters.idle * 2 + TASK_OVERHEAD;
    Task {
        run_id: report.run_id.clone(),
        shape: Shape { nodes: job.system.nodes(), gpus_per_node: job.system.gpus_per_node },
        longest: Seconds::new(longest.as_secs_f64()),
    }
}

fn seconds(time: Duration) -> String {
    format!("{}s", time.as_secs_f64())
}

/// The sweep of a folder, read without changing the folder.
fn read_only_sweep(runs: &Path, plan: &Plan) -> Done<Sweep> {
    let mut sweep = Sweep::from_records(plan, &[], |_| String::new());
    let copy = runs.join(wattlaw_sweep::store::PLAN);
    if copy.exists() {
        let place = Location::file(runs.display().to_string());
        wattlaw_sweep::status::check_continues(plan, &super::plan(&copy)?)
            .map_err(|e| e.at(place))?;
        let begun = wattlaw_sweep::store::read_sweep(runs).map_err(Failure::failed)?;
        let mut begun: BTreeMap<String, JobReport> =
            begun.jobs.into_iter().map(|job| (job.run_id.clone(), job)).collect();
        for job in &mut sweep.jobs {
            if let Some(same) = begun.remove(&job.run_id) {
                *job = same;
            }
        }
    }
    Ok(sweep)
}

/// A path as UTF-8 text, as scripts need it.
fn utf8(path: &Path) -> Done<&str> {
    path.to_str().ok_or_else(|| {
        Failure::Failed(format!(
            "{}: the path is not UTF-8, so a script cannot contain it",
            path.display()
        ))
    })
}

/// Number of submitted jobs, and why the others were not submitted.
fn summary(args: &Args, count: usize, sweep: &Sweep, queued: &BTreeMap<String, Queued>) -> String {
    let verb = if args.dry_run { "would be submitted" } else { "submitted" };
    let mut text = format!("{count} of {} jobs {verb}", sweep.jobs.len());
    let waits = |job: &&JobReport| {
        queued.contains_key(&job.run_id)
            && !matches!(job.status, JobStatus::Done | JobStatus::Failed | JobStatus::Incomplete)
    };
    let failed = match args.each.retry_failed {
        true => 0,
        false => sweep.count(JobStatus::Failed) + sweep.count(JobStatus::Incomplete),
    };
    for (n, what) in [
        (sweep.count(JobStatus::Done), "done"),
        (sweep.jobs.iter().filter(waits).count(), "already in the queue"),
        (failed, "failed (--retry-failed submits them again)"),
    ] {
        if n > 0 {
            text += &format!("; {n} {what}");
        }
    }
    text
}
