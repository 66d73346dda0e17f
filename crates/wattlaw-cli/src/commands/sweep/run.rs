//! `wattlaw sweep run`: the jobs of a plan, one at a time, each under `wattlaw measure`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use wattlaw::job::Job;
use wattlaw::record::Component;
use wattlaw_meter::meter::Meter;
use wattlaw_meter::settle::settle;
use wattlaw_sweep::plan::Planned;
use wattlaw_sweep::status::{Fate, Standing, Sweep};
use wattlaw_sweep::store::{Attempts, Claim, Folder, Sharing};

use super::each_args::EachArgs;
use super::nodes::Nodes;
use super::status::{counts, still, used};
use crate::failure::{Done, Failure};
use crate::flags::job;
use crate::render;

/// The program that trains, where no command is given: the one in `trainer/`.
const TRAINER: [&str; 7] = [
    "torchrun",
    "--standalone",
    "--nproc-per-node",
    "{gpus_per_node}",
    "-m",
    "wattlaw_trainer",
    "{job}",
];

/// So many failures before the first success end the sweep: the jobs are not what is wrong then.
const FUTILE: usize = 3;

/// Flags of `wattlaw sweep run`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "In the command {job} stands for the job's file (TOML, with every default written out), {gpus}, {nodes}, \
    {gpus_per_node} and {run_id} for what they say. Without a command the trainer of trainer/ is run by torchrun. docs/sweeps.md \
    is the manual."
)]
pub struct Args {
    /// Plan (CSV), as `wattlaw sweep design` writes it
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// Folder that gets the records; of a sweep that was begun there, what is done is left alone
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Run this job alone, beside other `sweep run --only` on the same folder (repeatable)
    #[arg(long, value_name = "RUN_ID")]
    only: Vec<String>,
    #[command(flatten)]
    each: EachArgs,
    /// Let what the jobs print through
    #[arg(long, short, conflicts_with = "quiet")]
    verbose: bool,
    /// Say nothing but errors
    #[arg(long, short)]
    quiet: bool,
    /// The command that trains, and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the command.
///
/// # Errors
/// What is wrong in the plan or the folder, a machine that the jobs do not fit, a command that is not there; jobs that failed,
/// and a signal that came.
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
    there(&command, args.command.is_empty())?;
    let wanted: Vec<(&Planned, &Job)> = plan
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
        fits(planned, job, gpus.len(), &file)?;
    }
    let sharing = if args.only.is_empty() { Sharing::Alone } else { Sharing::Jobs };
    let folder = Folder::open(&args.out, plan.clone(), sharing).map_err(Failure::failed)?;
    let runner = Runner {
        args,
        command,
        gpus,
        meters: opened.meters,
        attempts: Attempts::prepare().map_err(Failure::failed)?,
        folder,
        total: wanted.len(),
    };
    if !args.quiet {
        for note in &opened.notes {
            render::note("note", note);
        }
    }
    runner.sweep(&wanted)
}

/// Refuses a command that is not there, before anything is begun.
fn there(command: &[OsString], ours: bool) -> Done {
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
    let how = match ours {
        true => {
            "; `pip install -c trainer/constraints.txt ./trainer` in the folder of wattlaw sets it up, and another program \
                 that trains is given after `--`"
        }
        false => "",
    };
    Err(Failure::Failed(format!("{}: there is no such command{how}", path.display())))
}

/// Refuses a job that this machine cannot run.
fn fits(planned: &Planned, job: &Job, gpus: usize, file: &str) -> Done {
    let place = format!("{file}: job {}", planned.run_id);
    if job.system.nodes() > 1 && Nodes::given(job.system.nodes()).is_none() {
        return Err(Failure::Failed(format!(
            "{place} spans {} nodes, and `wattlaw sweep run` runs on one; `wattlaw sweep submit` gives it to a cluster",
            job.system.nodes()
        )));
    }
    // a machine without GPUs runs jobs of processes
    let asked = job.system.gpus.min(job.system.gpus_per_node);
    if gpus > 0 && asked > gpus as u64 {
        return Err(Failure::Failed(format!(
            "{place} asks for {asked} GPUs, and {gpus} of this machine are to be used"
        )));
    }
    Ok(())
}

/// A sweep at work.
struct Runner<'a> {
    args: &'a Args,
    command: Vec<OsString>,
    /// What CUDA knows the GPUs by.
    gpus: Vec<String>,
    meters: Vec<Box<dyn Meter>>,
    attempts: Attempts,
    folder: Folder,
    total: usize,
}

impl Runner<'_> {
    fn sweep(mut self, wanted: &[(&Planned, &Job)]) -> Done {
        let mut failed = 0;
        let found = self.folder.standing().map_err(Failure::failed)?;
        let open: BTreeSet<&str> = found
            .jobs
            .iter()
            .filter(|job| self.is_open(job))
            .map(|job| job.run_id.as_str())
            .collect();
        if self.args.only.is_empty() {
            // what goes on from an earlier sweep would disturb whichever job came first
            for run_id in self.folder.begun().iter().filter(|id| open.contains(id.as_str())) {
                self.take(run_id)?;
            }
        }
        for (index, (planned, job)) in wanted.iter().enumerate() {
            if !open.contains(planned.run_id.as_str()) {
                continue;
            }
            let Some(claim) = self.take(&planned.run_id)? else {
                self.note(&format!("{} is being run by another task", planned.run_id));
                continue;
            };
            // who had it may have done it
            let before = job_of(&self.folder.standing().map_err(Failure::failed)?, planned)?;
            if !self.is_open(&before) {
                continue;
            }
            self.settle(&planned.run_id)?;
            let sweep = self.attempt(index, planned, job, &claim, &before)?;
            drop(claim);
            self.interrupted()?;
            let after = job_of(&sweep, planned)?;
            self.tell(index, &after, &sweep);
            failed += usize::from(after.fate == Fate::Failed);
            if failed == FUTILE && index + 1 < wanted.len() && sweep.count(Fate::Done) == 0 {
                let why = after.reason.unwrap_or_default();
                return Err(Failure::Failed(format!(
                    "the first {FUTILE} jobs failed, so the rest was not begun: {why} ({})",
                    self.log(after.record.as_deref())
                )));
            }
        }
        self.interrupted()?;
        self.finish(failed)
    }

    /// Whether a job is to be run.
    const fn is_open(&self, job: &Standing) -> bool {
        match job.fate {
            Fate::Done => false,
            Fate::Failed => self.args.each.retry_failed,
            Fate::Waiting | Fate::Running | Fate::Interrupted => true,
        }
    }

    fn take(&mut self, run_id: &str) -> Done<Option<Claim>> {
        let (attempts, quiet) = (&mut self.attempts, self.args.quiet);
        let mut tell = |text: &str| {
            if !quiet {
                render::note("note", text);
            }
        };
        let claim = self
            .folder
            .take(run_id, &mut tell, &mut |time| attempts.wait(time))
            .map_err(Failure::failed)?;
        self.interrupted()?;
        Ok(claim)
    }

    fn settle(&mut self, run_id: &str) -> Done {
        let attempts = &mut self.attempts;
        let (_, unrest) =
            settle(&mut self.meters, self.args.each.settle, |time| attempts.wait(time));
        self.interrupted()?;
        if let Some(unrest) = unrest {
            self.note(&format!(
                "{run_id} is begun although the machine did not come to rest in {}: {unrest}",
                render::duration(self.args.each.settle.as_secs_f64())
            ));
        }
        Ok(())
    }

    /// Runs a job once, which had come so far `before`; gives the sweep as it stands after.
    fn attempt(
        &mut self,
        index: usize,
        planned: &Planned,
        job: &Job,
        claim: &Claim,
        before: &Standing,
    ) -> Done<Sweep> {
        let spec = planned.spec.with_defaults(job);
        let file = self.folder.job_file(&planned.run_id, &spec).map_err(Failure::failed)?;
        let program = std::env::current_exe().map_err(Failure::failed)?;
        let nodes = Nodes::given(job.system.nodes()).filter(|_| job.system.nodes() > 1);
        let (mut command, records) = match &nodes {
            None => (Command::new(program), self.folder.path().to_owned()),
            Some(nodes) => {
                (nodes.command(&program), nodes.records(self.folder.path(), &planned.run_id))
            }
        };
        command
            .stdin(claim.input().map_err(Failure::failed)?)
            .args(["measure", "--quiet", "--out"])
            .arg(records)
            .args(["--name", &planned.run_id, "--job"])
            .arg(&file)
            .args([
                "--time-limit",
                &format!("{}s", self.args.each.limit(planned.predicted_duration).as_secs_f64()),
            ])
            .args(self.args.each.meters.words());
        if let Some(catalog) = &self.args.each.catalog {
            command.arg("--catalog").arg(catalog);
        }
        command.arg("--").args(self.command.iter().map(|word| filled(word, planned, job, &file)));
        command.env("WATTLAW_JOB", &file).env("WATTLAW_RUN_ID", &planned.run_id);
        // each of several nodes has GPUs of its own
        if nodes.is_none() && self.gpus.iter().any(|gpu| gpu.starts_with("GPU-")) {
            let used =
                self.gpus.iter().take(usize::try_from(job.system.gpus).unwrap_or(usize::MAX));
            command.env("CUDA_VISIBLE_DEVICES", used.cloned().collect::<Vec<_>>().join(","));
        }
        let live = std::io::stderr().is_terminal() && !self.args.quiet && !self.args.verbose;
        let place = self.place(index);
        let expected = before
            .predicted_duration
            .map(|t| format!(" of about {}", render::duration(t.value())))
            .unwrap_or_default();
        let mut tick = |ran: Duration| {
            if live {
                let ran = render::duration(ran.as_secs_f64().round());
                anstream::eprint!("\r\x1b[2K{place} {} runs for {ran}{expected}", planned.run_id);
            }
        };
        tick(Duration::ZERO);
        let ended =
            self.attempts.run(command, self.args.verbose, &mut tick).map_err(Failure::failed)?;
        if live {
            anstream::eprint!("\r\x1b[2K");
        }
        let merged = nodes
            .map_or(Ok(()), |n| n.merge(self.folder.path(), &planned.run_id, ended.end.well()));
        let sweep = self.folder.standing().map_err(Failure::failed)?;
        let after = job_of(&sweep, planned)?;
        if after.attempts == before.attempts && self.attempts.signal().is_none() {
            merged?;
            let said = ended.complaints.iter().rev().find(|line| !line.trim().is_empty());
            let said = said.map_or("without a word", |line| line.trim_start_matches("error: "));
            return Err(Failure::Failed(format!(
                "{} could not be begun, and no job after it: {said}",
                planned.run_id
            )));
        }
        Ok(sweep)
    }

    fn place(&self, index: usize) -> String {
        let width = self.total.to_string().len();
        format!("[{:>width$}/{}]", index + 1, self.total)
    }

    /// A line on what came of a job, and what is left.
    fn tell(&self, index: usize, job: &Standing, sweep: &Sweep) {
        if self.args.quiet {
            return;
        }
        let mut line = format!("{} {} {}", self.place(index), job.run_id, job.fate);
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
        let left = sweep.left();
        if left.jobs > 0 {
            line += &format!("; left: {}", still(&left));
        }
        anstream::eprintln!("{line}");
    }

    fn note(&self, text: &str) {
        if !self.args.quiet {
            render::note("note", text);
        }
    }

    fn log(&self, record: Option<&str>) -> String {
        self.folder.path().join(record.unwrap_or_default()).join("log").display().to_string()
    }

    fn interrupted(&mut self) -> Done {
        match self.attempts.signal() {
            None => Ok(()),
            Some(signal) => Err(Failure::Failed(format!(
                "stopped by signal {signal}; what is done is kept, and the same command goes on from there"
            ))),
        }
    }

    fn finish(&mut self, failed: usize) -> Done {
        let sweep = self.folder.standing().map_err(Failure::failed)?;
        let out = self.args.out.display();
        if !self.args.quiet {
            render::note("sweep", &format!("{}; {}", counts(&sweep), used(&sweep.spent())));
        }
        if failed > 0 {
            return Err(Failure::Failed(format!(
                "{failed} jobs failed; `wattlaw sweep status {out}` says why, and --retry-failed runs them again"
            )));
        }
        if sweep.count(Fate::Done) == sweep.jobs.len() {
            self.note(&format!("all is done: `wattlaw fit {out}` fits a law on it"));
        }
        Ok(())
    }
}

/// What became of a job of the plan.
fn job_of(sweep: &Sweep, planned: &Planned) -> Done<Standing> {
    let found = sweep.jobs.iter().find(|job| job.run_id == planned.run_id).cloned();
    found.ok_or_else(|| Failure::Failed(format!("the plan lost its job {}", planned.run_id)))
}

/// A word of the command with what its placeholders stand for.
fn filled(word: &OsString, planned: &Planned, job: &Job, file: &Path) -> OsString {
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
