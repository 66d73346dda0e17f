//! `wattlaw sweep submit`: hands the jobs of a plan to a cluster, those that are not done and not handed over already.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use wattlaw::base::error::Place;
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

/// Time that a task may take beside its job, waiting for a machine at rest apart: what the user has it do before, a job that ends
/// slowly, and a record to write. Assumed: with it wattlaw's own limit, which tells why, comes before SLURM's.
const BESIDE: Duration = Duration::from_secs(600);

/// Flags of `wattlaw sweep submit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Plan (CSV), as `wattlaw sweep design` writes it
    plan: PathBuf,
    /// What the cluster's jobs are handed to
    #[arg(long, value_enum)]
    scheduler: Scheduler,
    /// Folder of the sweep's runs, which all nodes share
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Options of sbatch and what a task does before its job (TOML)
    #[arg(long, value_name = "FILE")]
    options: Option<PathBuf>,
    /// Print the scripts, and submit and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    each: EachArgs,
    /// The command that runs a job, with {job}, {gpus}, {nodes}, {gpus_per_node} and {run_id}
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Schedulers that jobs can be handed to.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Scheduler {
    /// SLURM, by sbatch
    Slurm,
}

/// Runs the command.
///
/// # Errors
/// What is wrong in a file, a folder of another plan, a queue that cannot be asked, and what sbatch said.
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
    // the queue before the records: a job that has left the queue by then has its record
    let queued = cluster::queued(&submitted).map_err(Failure::failed)?;
    let sweep = match &mut submitting {
        Some(submitting) => submitting.status().map_err(Failure::failed)?,
        None => glimpse(&runs, &plan)?,
    };
    let left = sweep.jobs.iter().zip(&jobs).filter(|(report, _)| {
        let open = match report.status {
            JobStatus::Waiting | JobStatus::Interrupted => true,
            JobStatus::Failed => args.each.retry_failed,
            JobStatus::Running | JobStatus::Done => false,
        };
        open && !queued.contains_key(&report.run_id)
    });
    let tasks: Vec<Task> = left.map(|(report, job)| task(args, report, job)).collect();
    let count = tasks.len();
    if count > 0 && !options.asks_for_gpus() {
        render::note(
            "note",
            "no option asks for GPUs, such as gres = \"gpu:{gpus_per_node}\"; jobs get those that the cluster gives anyhow",
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
    /// What a task's `wattlaw sweep run` is told of all this.
    fn flags(&self) -> Done<Vec<String>> {
        if self.each.meters.gpus.is_some() {
            return Err(Failure::usage(
                "--gpus chooses GPUs of this machine, and SLURM gives each task its own",
            ));
        }
        let mut flags = self.each.meters.words();
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
    let place = Place::file(path.display().to_string());
    Ok(Options::from_toml(&files::text(path)?).map_err(|e| e.at(place))?)
}

fn task(args: &Args, report: &JobReport, job: &Job) -> Task {
    let command = args.each.limit(report.predicted_duration);
    let longest = command + args.each.settle + args.each.meters.idle * 2 + BESIDE;
    Task {
        run_id: report.run_id.clone(),
        shape: Shape { nodes: job.system.nodes(), gpus_per_node: job.system.gpus_per_node },
        longest: Seconds::new(longest.as_secs_f64()),
    }
}

fn seconds(time: Duration) -> String {
    format!("{}s", time.as_secs_f64())
}

/// The sweep as it would be found, of a folder that is left as it is.
fn glimpse(runs: &Path, plan: &Plan) -> Done<Sweep> {
    let mut sweep = Sweep::from_records(plan, &[], |_| String::new());
    let copy = runs.join(wattlaw_sweep::store::PLAN);
    if copy.exists() {
        let place = Place::file(runs.display().to_string());
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

/// A path as scripts name it.
fn utf8(path: &Path) -> Done<&str> {
    path.to_str().ok_or_else(|| {
        Failure::Failed(format!(
            "{}: a script cannot name it, since it is not UTF-8",
            path.display()
        ))
    })
}

/// How many jobs go, and why the others do not.
fn summary(args: &Args, count: usize, sweep: &Sweep, queued: &BTreeMap<String, Queued>) -> String {
    let verb = if args.dry_run { "would be submitted" } else { "submitted" };
    let mut text = format!("{count} of {} jobs {verb}", sweep.jobs.len());
    let waits = |job: &&JobReport| {
        queued.contains_key(&job.run_id)
            && !matches!(job.status, JobStatus::Done | JobStatus::Failed)
    };
    let failed = if args.each.retry_failed { 0 } else { sweep.count(JobStatus::Failed) };
    for (n, what) in [
        (sweep.count(JobStatus::Done), "done"),
        (sweep.jobs.iter().filter(waits).count(), "in the queue already"),
        (failed, "failed (--retry-failed submits them again)"),
    ] {
        if n > 0 {
            text += &format!("; {n} {what}");
        }
    }
    text
}
