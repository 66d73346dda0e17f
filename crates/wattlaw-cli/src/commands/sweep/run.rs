//! `wattlaw sweep run`: runs the jobs of a plan one at a time, each under `wattlaw measure`.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use wattlaw::job::Job;
use wattlaw::record::Component;
use wattlaw_sweep::plan::PlannedJob;
use wattlaw_sweep::runner::{Event, Options, Runner, fits};
use wattlaw_sweep::status::{JobReport, JobStatus, Sweep};
use wattlaw_sweep::store::{Folder, Sharing};

use super::each::EachArgs;
use super::status::{counts, remaining, used};
use crate::failure::{Done, Failure};
use crate::flags::job;
use crate::render;

/// Default training command: the program in `trainer/`.
const TRAINER: [&str; 7] = [
    "torchrun",
    "--standalone",
    "--nproc-per-node",
    "{gpus_per_node}",
    "-m",
    "wattlaw_trainer",
    "{job_json}",
];

/// Flags of `wattlaw sweep run`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Placeholders in the command: {job} is the path of the job file (TOML with all defaults), \
    {job_json} that of the resolved job (JSON, as `wattlaw job` writes it), {gpus}, {nodes}, \
    {gpus_per_node} and {run_id} are the job's values. Default command: the trainer in trainer/, started by torchrun. \
    Manual: docs/how-to/sweep.md."
)]
pub struct Args {
    /// Plan, a table written by `wattlaw sweep design`
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// Folder for the records. If it holds an earlier run of this sweep, finished jobs are not run again
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Run only this job (repeatable); other `sweep run --only` processes may use the same folder
    #[arg(long, value_name = "RUN_ID")]
    only: Vec<String>,
    #[command(flatten)]
    each: EachArgs,
    /// Show the output of the jobs
    #[arg(long, short, conflicts_with = "quiet")]
    verbose: bool,
    /// Print errors only
    #[arg(long, short)]
    quiet: bool,
    /// Training command and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the command.
///
/// # Errors
/// An invalid plan or folder, a machine that cannot run the jobs, a missing command, failed jobs, or a signal.
pub fn run(args: &Args) -> Done {
    let catalog = job::catalog(args.each.catalog.as_deref())?;
    let file = args.plan.display().to_string();
    let plan = super::plan(&args.plan)?;
    let jobs = plan.resolve(&catalog, &file)?;
    if let Some(unknown) = args.only.iter().find(|id| plan.jobs.iter().all(|j| j.run_id != **id)) {
        return Err(Failure::Usage(format!("--only: {file} has no job {unknown}")));
    }
    let command = match args.command.as_slice() {
        [] => TRAINER.map(OsString::from).to_vec(),
        given => given.to_vec(),
    };
    check_command(&command, args.command.is_empty())?;
    let wanted: Vec<(&PlannedJob, &Job)> = plan
        .jobs
        .iter()
        .zip(&jobs)
        .filter(|(job, _)| args.only.is_empty() || args.only.contains(&job.run_id))
        .collect();
    let opened = args.each.meters.open()?;
    let gpus: Vec<String> = opened
        .channels()
        .into_iter()
        .filter(|channel| channel.component == Component::Gpu)
        .map(|channel| channel.device)
        .collect();
    for (planned, job) in &wanted {
        fits(&planned.run_id, job, gpus.len())
            .map_err(|e| Failure::Failed(format!("{file}: {e}")))?;
    }
    let sharing = if args.only.is_empty() { Sharing::Exclusive } else { Sharing::Shared };
    let folder = Folder::open(&args.out, plan.clone(), sharing).map_err(Failure::failed)?;
    let options = Options {
        command,
        meters: args.each.meters.arguments(),
        gpus,
        catalog: args.each.catalog.clone(),
        retry_failed: args.each.retry_failed,
        shared: !args.only.is_empty(),
        idle_wait: args.each.settle,
        time_limit: args.each.time_limit,
        verbose: args.verbose,
    };
    let progress = Progress { args, total: wanted.len() };
    let mut report = |event: Event<'_>| progress.report(event);
    let runner =
        Runner::new(options, folder, opened.meters, &mut report).map_err(Failure::failed)?;
    if !args.quiet {
        for note in &opened.notes {
            render::note("note", note);
        }
    }
    let (sweep, failed) = runner.run(&wanted).map_err(Failure::failed)?;
    progress.finish(&sweep, failed)
}

/// Refuses a missing command before the sweep starts.
fn check_command(command: &[OsString], is_default: bool) -> Done {
    let Some(program) = command.first() else { return Ok(()) };
    let path = Path::new(program);
    let found = match path.components().count() {
        1 => std::env::var_os("PATH")
            .is_some_and(|paths| std::env::split_paths(&paths).any(|dir| dir.join(path).is_file())),
        _ => path.is_file(),
    };
    if found {
        return Ok(());
    }
    let how = match is_default {
        true => {
            "; install the trainer with `pip install -c trainer/constraints.txt ./trainer` in wattlaw's source folder, or \
                 give another training command after `--`"
        }
        false => "",
    };
    Err(Failure::Failed(format!("{}: command not found{how}", path.display())))
}

/// Progress messages of a running sweep.
struct Progress<'a> {
    args: &'a Args,
    total: usize,
}

impl Progress<'_> {
    fn report(&self, event: Event<'_>) {
        if self.args.quiet {
            return;
        }
        // on a terminal the progress line is overwritten in place
        let live = std::io::stderr().is_terminal() && !self.args.verbose;
        match event {
            Event::Note(text) => render::note("note", text),
            Event::NotIdle { run_id, not_idle } => render::note(
                "note",
                &format!(
                    "{run_id} starts although the machine was not idle after {}: {not_idle}",
                    render::duration(self.args.each.settle.as_secs_f64())
                ),
            ),
            Event::Running { index, run_id, ran, predicted } if live => {
                let ran = render::duration(ran.as_secs_f64().round());
                let expected = predicted
                    .map(|t| format!(" of about {}", render::duration(t.value())))
                    .unwrap_or_default();
                anstream::eprint!(
                    "\r\x1b[2K{} {run_id} running for {ran}{expected}",
                    self.position(index)
                );
            }
            Event::Ended if live => anstream::eprint!("\r\x1b[2K"),
            Event::Running { .. } | Event::Ended => {}
            Event::Finished { index, job, sweep } => self.finished(index, job, sweep),
        }
    }

    fn position(&self, index: usize) -> String {
        let width = self.total.to_string().len();
        format!("[{:>width$}/{}]", index + 1, self.total)
    }

    /// Prints the result of a job and the remaining work.
    fn finished(&self, index: usize, job: &JobReport, sweep: &Sweep) {
        let mut line = format!("{} {} {}", self.position(index), job.run_id, job.status);
        if let Some(time) = job.duration {
            line += &format!(" in {}", render::duration(time.value()));
        }
        if let Some(energy) = job.energy {
            let assumed = if job.energy_assumed { " assumed" } else { "" };
            line += &format!(", {}{assumed}", render::energy(energy.value()));
        }
        if let Some(reason) = &job.reason {
            line += &format!(": {reason}");
        }
        let left = sweep.remaining();
        if left.jobs > 0 {
            line += &format!("; remaining: {}", remaining(&left));
        }
        anstream::eprintln!("{}", render::lines(&line));
    }

    /// Prints the result of the sweep.
    fn finish(&self, sweep: &Sweep, failed: usize) -> Done {
        let out = self.args.out.display();
        if !self.args.quiet {
            render::note("sweep", &format!("{}; {}", counts(sweep), used(&sweep.usage())));
        }
        if failed > 0 {
            return Err(Failure::Failed(format!(
                "{failed} jobs failed; `wattlaw sweep status {out}` shows the reasons, --retry-failed runs them again"
            )));
        }
        if !self.args.quiet && sweep.count(JobStatus::Done) == sweep.jobs.len() {
            render::note("note", &format!("all jobs are done; fit a law with `wattlaw fit {out}`"));
        }
        Ok(())
    }
}
