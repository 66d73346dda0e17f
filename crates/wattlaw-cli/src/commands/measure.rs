//! `wattlaw measure`: runs a command and measures its energy.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use wattlaw::job::JobSpec;
use wattlaw::job::model::ModelSpec;
use wattlaw::record::document::Record;
use wattlaw_meter::error::Error;
use wattlaw_meter::measure::{Outcome, Setup, measure};
use wattlaw_meter::pattern::Pattern;

use crate::commands::report;
use crate::failure::{Done, Failure};
use crate::flags::job;
use crate::flags::job::JobFlags;
use crate::flags::meters::MeterArgs;
use crate::parse::{long_time, whole};
use crate::render;

/// Flags of `wattlaw measure`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The exit code is the command's own; 128 and the signal's number where a signal ended it; 126 and 127 \
    where it cannot be executed or is not there; 1 where nothing can be measured. docs/how-to/measure.md is the manual."
)]
pub struct Args {
    #[command(flatten)]
    meters: MeterArgs,
    /// End the command when it has run so long, first by asking; up to a year
    #[arg(long, value_name = "TIME", value_parser = long_time)]
    time_limit: Option<Duration>,
    /// Folder that gets the record's folder
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Name of the record: letters, digits, dots, dashes and underscores
    #[arg(long, value_parser = name)]
    name: Option<String>,
    /// Job file (TOML) that says what is trained; flags below are laid over it
    #[arg(long, value_name = "FILE")]
    job: Option<PathBuf>,
    /// A line of the command's standard output that matches begins a window
    #[arg(long, value_name = "REGEX", value_parser = Pattern::from_str)]
    window_pattern: Option<Pattern>,
    /// So many steps, as the program tells them, make a window
    #[arg(long, value_name = "N", value_parser = whole::<u64>)]
    window_steps: Option<u64>,
    /// File that the program appends events to, in place of the one that WATTLAW_EVENTS names
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Keep no log: the command writes to our outputs by itself
    #[arg(long)]
    no_log: bool,
    /// Say nothing but errors
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    flags: JobFlags,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the command; gives the exit code of the command that was measured.
pub fn run(args: &Args) -> ExitCode {
    let setup = match setup(args) {
        Ok(setup) => setup,
        Err(failure) => return failure.report(),
    };
    let mut tell = |text: &str| {
        if !args.quiet {
            render::note("note", text);
        }
    };
    match measure(setup, &mut tell) {
        Ok(outcome) => {
            say(args.quiet, &outcome);
            ExitCode::from(outcome.code)
        }
        Err(error) => {
            let code = match error {
                Error::NotFound(_) => 127,
                Error::NotExecutable(_) => 126,
                Error::Interrupted(signal) => u8::try_from(128 + signal).unwrap_or(1),
                Error::Failed(_) => 1,
            };
            Failure::failed(error).report();
            ExitCode::from(code)
        }
    }
}

fn setup(args: &Args) -> Done<Setup> {
    let job = job(args)?;
    if args.window_steps == Some(0) {
        return Err(Failure::usage("--window-steps is 0, but it must be at least 1"));
    }
    let opened = args.meters.open()?;
    if !args.quiet {
        for note in &opened.notes {
            render::note("note", note);
        }
    }
    Ok(Setup {
        command: args.command.clone(),
        meters: opened.meters,
        interval: args.meters.interval,
        idle: args.meters.idle,
        limit: args.time_limit,
        out: args.out.clone(),
        name: args.name.clone(),
        log: !args.no_log,
        pattern: args.window_pattern.clone(),
        window_steps: args.window_steps,
        events: args.events.clone(),
        job,
        made_by: format!("wattlaw {}", env!("CARGO_PKG_VERSION")),
        notes: opened.notes,
    })
}

/// What is trained, where anything is said of it; a name that nobody knows is refused before the command runs for days.
fn job(args: &Args) -> Done<Option<JobSpec>> {
    let mut spec = args.flags.spec()?;
    if let Some(path) = &args.job {
        spec = spec.with_fallback(job::read(path)?);
    }
    if spec == JobSpec::default() {
        return Ok(None);
    }
    let catalog = args.flags.catalog()?;
    let refuse = |e: wattlaw::Error| match &args.job {
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

fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !text.is_empty() && text.len() <= 100 && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is no name; it has 1 to 100 letters, digits, dots, dashes and underscores"
        ))
    }
}

fn say(quiet: bool, outcome: &Outcome) {
    let folder = outcome.folder.display();
    match &outcome.record {
        Ok(record) if !quiet => render::note("measured", &summary(record, &folder.to_string())),
        Ok(_) => {}
        Err(error) => render::note(
            "warning",
            &format!(
                "the record is not closed: {error}; `wattlaw recover {folder}` closes it once it can be written"
            ),
        ),
    }
}

fn summary(record: &Record, folder: &str) -> String {
    let time = record.duration.map_or(0.0, wattlaw::base::units::Seconds::value);
    let energy = match record.energy() {
        Some(total) => report::energy(total, time),
        None => "time only".to_owned(),
    };
    format!("{energy} in {}; {folder}", render::duration(time))
}
