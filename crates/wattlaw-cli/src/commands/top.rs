//! `wattlaw top`: live power, energy and utilisation, and the remaining energy and time of a job.

mod frame;
mod terminal;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use wattlaw::calibration::built_in;
use wattlaw::predict::{ChosenJob, Prediction, Screen, predict};
use wattlaw_ask::BUILT_IN_REASON;
use wattlaw_meter::assumed::Assumption;
use wattlaw_meter::folder::EVENTS;
use wattlaw_meter::machine::{self, Options};
use wattlaw_meter::sampler::{Sampler, Tick, interval};
use wattlaw_meter::select::Selection;
use wattlaw_meter::tail::Tail;

use crate::failure::{Done, Failure};
use crate::flags::job::JobArgs;
use crate::{files, render, screen};
use frame::Watch;
use terminal::Terminal;

/// Longest delay between a key press and its effect.
const KEY_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Level of the prediction's intervals.
const LEVEL: f64 = 0.95;

/// Flags of `wattlaw top`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Time between readings, 10ms to 10s
    #[arg(long, default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// GPUs to watch: indices or UUIDs, such as 0,1
    #[arg(long, value_name = "GPUS")]
    gpus: Option<Selection>,
    /// Assume a constant power for a component without a meter, such as cpu=95W (repeatable)
    #[arg(long, value_name = "COMPONENT=POWER")]
    assume: Vec<Assumption>,
    /// Job file (TOML) of the running job: also show its prediction and the remaining energy and time
    #[arg(long, value_name = "FILE")]
    job: Option<PathBuf>,
    /// Folder of the record that `wattlaw measure` is writing: its steps estimate anew what is left of the job
    #[arg(long, value_name = "DIR", requires = "job")]
    record: Option<PathBuf>,
    /// Print one frame and exit
    #[arg(long)]
    once: bool,
}

/// Runs the command.
///
/// # Errors
/// No meter, an invalid job, or standard input or output that is not a terminal.
pub fn run(args: &Args) -> Done {
    if !args.once && !terminal::is_available() {
        return Err(Failure::Usage(
            "standard input and output must be a terminal; --once prints one frame".to_owned(),
        ));
    }
    let steps = args.record.as_deref().map(steps).transpose()?;
    let predicted = args.job.clone().map(predicted).transpose()?;
    let options = Options {
        gpus: args.gpus.clone(),
        assumptions: args.assume.clone(),
        ..Options::from_env()
    };
    let opened = machine::open(&options).map_err(Failure::failed)?;
    if opened.meters.is_empty() {
        return Err(Failure::Failed(format!("no meter to show: {}", opened.notes.join("; "))));
    }
    if let Some((chosen, prediction)) = &predicted {
        screen::warn(&Screen::new(&chosen.job, prediction, &chosen.defaults));
    }
    for note in &opened.notes {
        render::note("note", note);
    }
    let mut watch = Watch::new(opened.channels(), predicted, steps);
    let (sampler, ticks) = Sampler::start(opened.meters, args.interval, Instant::now());
    let done = if args.once { once(&mut watch, &ticks) } else { live(&mut watch, &ticks) };
    sampler.stop();
    done
}

/// The events of a record, from its start.
fn steps(record: &Path) -> Done<Tail> {
    let events = record.join(EVENTS);
    if !events.is_file() {
        return Err(Failure::Failed(format!(
            "{}: no {EVENTS}; --record takes the folder of a record, as `wattlaw measure` creates it",
            record.display()
        )));
    }
    Ok(Tail::from_start(events))
}

fn predicted(file: PathBuf) -> Done<(ChosenJob, Prediction)> {
    let chosen = JobArgs { files: vec![file], ..JobArgs::default() }.chosen()?;
    let prediction = predict(&chosen.job, &built_in()?, BUILT_IN_REASON, None, LEVEL)?;
    Ok((chosen, prediction))
}

/// Prints one frame after two readings: the power of an energy counter needs two.
fn once(watch: &mut Watch, ticks: &Receiver<Tick>) -> Done {
    ticks.iter().take(2).for_each(|tick| watch.update(&tick));
    files::print(&watch.frame())
}

fn live(watch: &mut Watch, ticks: &Receiver<Tick>) -> Done {
    let failed = |e: std::io::Error| Failure::Failed(format!("the terminal: {e}"));
    let mut terminal = Terminal::new().map_err(failed)?;
    loop {
        match ticks.recv_timeout(KEY_POLL_INTERVAL) {
            Ok(tick) => {
                watch.update(&tick);
                terminal.show(&watch.frame()).map_err(failed)?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        if terminal.quit_requested().map_err(failed)? {
            return Ok(());
        }
    }
}
