//! `wattlaw measure`: runs a command and measures its energy.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use wattlaw::base::error::Location;
use wattlaw::calibration::built_in;
use wattlaw::job::JobSpec;
use wattlaw::job::model::ModelSpec;
use wattlaw::predict::{ChosenJob, Prediction, predict};
use wattlaw::record::document::Record;
use wattlaw::record::gpus::GpuMismatch;
use wattlaw_meter::error::Error;
use wattlaw_meter::measure::{Observed, Observer, Outcome, Setup, measure};
use wattlaw_meter::pattern::Pattern;

use crate::commands::report;
use crate::failure::{Done, Failure};
use crate::flags::job;
use crate::flags::job::{JobFlags, take_this_machine};
use crate::flags::meters::MeterArgs;
use crate::live::{Live, Speaker};
use crate::parse::{long_time, whole};
use crate::render;
use wattlaw_ask::BUILT_IN_REASON;

/// Flags of `wattlaw measure`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code: that of the command; 128 plus the signal number if a signal ended it; 126 if it cannot be executed; 127 if \
    it is not found; 1 if nothing can be measured. Manual: docs/how-to/measure.md."
)]
pub struct Args {
    #[command(flatten)]
    meters: MeterArgs,
    /// Stop the command after this time, at most one year: SIGTERM, then SIGKILL
    #[arg(long, value_name = "TIME", value_parser = long_time)]
    time_limit: Option<Duration>,
    /// Folder in which the record's folder is created
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Name of the record: letters, digits, dots, dashes and underscores
    #[arg(long, value_parser = name)]
    name: Option<String>,
    /// Job file (TOML) of the training job; the job flags override it
    #[arg(long, value_name = "FILE")]
    job: Option<PathBuf>,
    /// Job file (TOML) of a plan, such as the job.toml of `wattlaw plan --emit`: as --job, and the steps that the program reports are compared
    /// with the prediction as they come
    #[arg(long, value_name = "FILE", conflicts_with = "job")]
    plan: Option<PathBuf>,
    /// Start a new window at each matching line of the command's standard output
    #[arg(long, value_name = "REGEX", value_parser = Pattern::from_str)]
    window_pattern: Option<Pattern>,
    /// Start a new window every N steps that the program reports
    #[arg(long, value_name = "N", value_parser = whole::<u64>)]
    window_steps: Option<u64>,
    /// File to which the program appends events. Default: a file in the record, named by WATTLAW_EVENTS
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Do not log the output; the command inherits standard output and error
    #[arg(long)]
    no_log: bool,
    /// Measure the program that started this one until it closes this one's standard input; COMMAND is only recorded. A line of JSON on
    /// standard output names the record's folder and the event file
    #[arg(long, conflicts_with_all = ["time_limit", "window_pattern", "no_log"])]
    attached: bool,
    /// Print errors only
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    flags: JobFlags,
    /// Command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Level of the prediction's intervals.
const LEVEL: f64 = 0.95;

/// Runs the command and returns the exit code of the measured command.
pub fn run(args: &Args) -> u8 {
    let setup = match setup(args) {
        Ok(setup) => setup,
        Err(failure) => return failure.report(),
    };
    let mut report = |text: &str| {
        if !args.quiet {
            render::note("note", text);
        }
    };
    match measure(setup, &mut report) {
        Ok(outcome) => {
            print_outcome(args, &outcome);
            outcome.code
        }
        Err(error) => {
            let code = match error {
                Error::NotFound(_) => 127,
                Error::NotExecutable(_) => 126,
                Error::Interrupted(signal) => u8::try_from(128 + signal).unwrap_or(1),
                Error::Failed(_) => 1,
            };
            Failure::failed(error).report();
            code
        }
    }
}

fn setup(args: &Args) -> Done<Setup> {
    let job = job(args)?;
    let planned = args.plan.as_ref().map(|path| predicted(path, args)).transpose()?;
    if args.window_steps == Some(0) {
        return Err(Failure::usage("--window-steps is 0, but it must be at least 1"));
    }
    let opened = args.meters.open()?;
    if !args.quiet {
        for note in &opened.notes {
            render::note("note", note);
        }
    }
    let observer = planned.map(|(chosen, prediction)| {
        let mut speaker = Speaker::new(Live::new(chosen, prediction, opened.channels()));
        Box::new(move |observed: Observed<'_>| match observed {
            Observed::Event(entry) => speaker.add(entry),
            Observed::Readings(tick) => {
                speaker.read(tick);
                None
            }
        }) as Box<Observer>
    });
    Ok(Setup {
        observer,
        command: args.command.clone(),
        attached: args.attached,
        meters: opened.meters,
        interval: args.meters.interval,
        idle: args.meters.idle,
        limit: args.time_limit,
        out: args.out.clone(),
        name: args.name.clone(),
        log: !args.no_log && !args.attached,
        pattern: args.window_pattern.clone(),
        window_steps: args.window_steps,
        events: args.events.clone(),
        job,
        made_by: format!("wattlaw {}", env!("CARGO_PKG_VERSION")),
        notes: opened.notes,
        left_out: opened.left_out,
        shared: opened.shared,
    })
}

/// The described job, if any. Unknown names are refused here, before a long run starts.
fn job(args: &Args) -> Done<Option<JobSpec>> {
    let mut spec = args.flags.spec()?;
    let file = args.job.as_ref().or(args.plan.as_ref());
    if let Some(path) = file {
        spec = spec.with_fallback(job::read(path)?);
    }
    if spec == JobSpec::default() {
        return Ok(None);
    }
    let catalog = args.flags.catalog()?;
    take_this_machine(&mut spec.system, &catalog)?;
    let refuse = |e: wattlaw::Error| match file {
        Some(path) => Failure::Failed(format!("{}: {e}", path.display())),
        None => Failure::usage(e),
    };
    if spec.model != ModelSpec::default() {
        catalog.architecture(&spec.model).map_err(refuse)?;
    }
    if let Some(gpu) = &spec.system.gpu {
        catalog.accelerator(gpu).map_err(refuse)?;
    }
    if let Some(system) = &spec.system.name {
        catalog.system(system).map_err(refuse)?;
    }
    Ok(Some(spec))
}

/// The job of a plan with its prediction by the built-in law.
fn predicted(path: &Path, args: &Args) -> Done<(ChosenJob, Prediction)> {
    let catalog = args.flags.catalog()?;
    let mut spec = args.flags.spec()?.with_fallback(job::read(path)?);
    take_this_machine(&mut spec.system, &catalog)?;
    let place = || Location::file(path.display().to_string());
    let chosen = ChosenJob::new(&spec, &catalog).map_err(|error| error.at(place()))?;
    let prediction = predict(&chosen.job, &built_in()?, BUILT_IN_REASON, None, LEVEL)?;
    Ok((chosen, prediction))
}

fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !text.is_empty() && text.len() <= 100 && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is not a valid name: use 1 to 100 letters, digits, dots, dashes and underscores"
        ))
    }
}

fn print_outcome(args: &Args, outcome: &Outcome) {
    let folder = outcome.folder.display();
    match &outcome.record {
        Ok(record) if !args.quiet => {
            let mismatch = args.flags.catalog().ok().and_then(|c| record.gpu_mismatch(&c));
            for clause in mismatch.iter().flat_map(GpuMismatch::clauses) {
                render::note("note", &clause);
            }
            render::note("measured", &summary(record, &folder.to_string()));
        }
        Ok(_) => {}
        Err(error) => render::note(
            "warning",
            &format!(
                "the record is not closed: {error}; close it later with `wattlaw recover {folder}`"
            ),
        ),
    }
}

fn summary(record: &Record, folder: &str) -> String {
    let time = record.duration.map_or(0.0, wattlaw::base::units::Seconds::value);
    let energy = match record.widest() {
        Some(total) => report::energy(total, time),
        None => "time only".to_owned(),
    };
    format!("{energy} in {}; {folder}", render::duration(time))
}
