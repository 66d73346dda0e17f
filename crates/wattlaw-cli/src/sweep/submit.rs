//! `wattlaw sweep submit`: hands the jobs of a plan to a cluster, those that are not done and not handed over already.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use wattlaw::error::Place;
use wattlaw::job::Job;
use wattlaw::plan::Plan;
use wattlaw::slurm::{self, Options, Script, Shape, Task};
use wattlaw::sweep::{Fate, Standing, Sweep};

use super::slurm::{self as cluster, Submitting};
use crate::failure::{Done, Failure};
use crate::{files, job_args, screen};

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
    /// Submit jobs again that failed
    #[arg(long)]
    retry_failed: bool,
    /// Catalogue file (TOML) whose GPUs, models and systems stand before the built-in ones
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
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
    let options = options(args.options.as_deref())?;
    let file = args.plan.display().to_string();
    let plan = Plan::from_csv(&files::bytes(&args.plan)?, &file)?;
    let jobs = plan.resolve(&job_args::catalog(args.catalog.as_deref())?, &file)?;
    let runs = std::path::absolute(&args.out).map_err(Failure::failed)?;
    let submitting = match args.dry_run {
        true => None,
        false => {
            cluster::there()?;
            Some(Submitting::begin(&runs, &plan)?)
        }
    };
    let submitted = cluster::submitted(&runs)?;
    // the queue before the records: a job that has left the queue by then has its record
    let queued = cluster::queued(&submitted)?;
    let sweep = sweep(&runs, &plan)?;
    let left = sweep.jobs.iter().zip(&jobs).filter(|(standing, _)| {
        let open = match standing.fate {
            Fate::Waiting | Fate::Interrupted => true,
            Fate::Failed => args.retry_failed,
            Fate::Running | Fate::Done => false,
        };
        open && !queued.contains_key(&standing.run_id)
    });
    let tasks: Vec<Task> = left.map(|(standing, job)| task(standing, job)).collect();
    let count = tasks.len();
    if count > 0 && !options.asks_for_gpus() {
        screen::note(
            "note",
            "no option asks for GPUs, such as gres = \"gpu:{gpus_per_node}\"; jobs get those that the cluster gives anyhow",
        );
    }
    let arrays = slurm::arrays(tasks, options.max_array());
    let (runs_text, program) = (utf8(&runs)?, std::env::current_exe().map_err(Failure::failed)?);
    let (program, flags) = (utf8(&program)?, Vec::<String>::new());
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
                let (path, id) = submitting.submit(&script)?;
                files::print(&format!("{id}: {}; {}\n", script.array, path.display()))?;
            }
        }
    }
    screen::note("note", &summary(args, count, &sweep, queued.len()));
    Ok(())
}

fn options(path: Option<&Path>) -> Done<Options> {
    let Some(path) = path else { return Ok(Options::default()) };
    let place = Place::file(path.display().to_string());
    Ok(Options::from_toml(&files::text(path)?).map_err(|e| e.at(place))?)
}

fn task(standing: &Standing, job: &Job) -> Task {
    Task {
        run_id: standing.run_id.clone(),
        shape: Shape { nodes: job.system.nodes(), gpus_per_node: job.system.gpus_per_node },
        predicted: standing.predicted_duration,
    }
}

/// The sweep as its records tell; where nothing ran yet, all of it waits.
fn sweep(runs: &Path, plan: &Plan) -> Done<Sweep> {
    let copy = runs.join(wattlaw_meter::sweep::PLAN);
    if !copy.exists() {
        return Ok(Sweep::of(plan, &[], |_| String::new()));
    }
    let begun = Plan::from_csv(&files::bytes(&copy)?, &copy.display().to_string())?;
    let place = Place::file(runs.display().to_string());
    wattlaw::sweep::continues(plan, &begun).map_err(|e| e.at(place))?;
    wattlaw_meter::sweep::standing(runs, plan).map_err(Failure::failed)
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
fn summary(args: &Args, count: usize, sweep: &Sweep, queued: usize) -> String {
    let verb = if args.dry_run { "would be submitted" } else { "submitted" };
    let mut text = format!("{count} of {} jobs {verb}", sweep.jobs.len());
    let others = [
        (sweep.count(Fate::Done), "done"),
        (queued, "in the queue already"),
        (
            if args.retry_failed { 0 } else { sweep.count(Fate::Failed) },
            "failed (--retry-failed takes them up)",
        ),
    ];
    for (n, what) in others.into_iter().filter(|(n, _)| *n > 0) {
        text += &format!("; {n} {what}");
    }
    text
}
