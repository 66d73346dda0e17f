//! `wattlaw`: predicts and measures energy, time and memory of Transformer training runs.
//!
//! The libraries compute. This program reads files, calls the libraries and prints; each subcommand has its own file. It is a library so
//! that the Python package runs the same program.

mod args;
mod chart;
mod commands;
mod failure;
mod files;
mod flags;
mod format;
mod html;
mod live;
mod parse;
mod planned;
mod records;
mod render;
mod screen;
mod tables;
mod usage;

pub use commands::launch::write_files;
pub use commands::predict::named;
pub use failure::Failure;
pub use files::{bytes, text, write};
pub use flags::job::{catalog, take_this_machine};
pub use parse::{energy, long_time, mass};
pub use screen::plain;

use std::ffi::OsString;

use clap::CommandFactory;

use args::{Command, Wattlaw};
use commands::{
    audit, calibrate, catalog, compare, completions, convert, cost, doctor, efficiency, fit,
    import, job, launch, man, measure, merge, plan, predict, recover, report, sweep, top, validate,
};

/// Exit code of success.
const SUCCESS: u8 = 0;

/// Runs the program with its words, of which the first is its name, and returns the exit code: 0 for success, 1 for a failure, 2 for an
/// error of usage; `wattlaw measure` that of its command.
pub fn run(words: impl IntoIterator<Item = OsString>) -> u8 {
    let wattlaw = match usage::read(words) {
        Ok(wattlaw) => wattlaw,
        Err(code) => return code,
    };
    let done = match wattlaw.command {
        Command::Predict(args) => predict::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Cost(args) => cost::run(&args),
        Command::Job(args) => job::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Page(args) => commands::page::run(&args),
        Command::Launch(args) => launch::run(&args),
        Command::Fit(args) => fit::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Efficiency(args) => efficiency::run(&args),
        Command::Measure(args) => return measure::run(&args),
        Command::Recover(args) => recover::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Sweep(command) => sweep::run(&command),
        Command::Top(args) => top::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Catalog(args) => catalog::run(&args),
        Command::Completions(args) => completions::run(&args, &mut Wattlaw::command()),
        Command::Man(args) => man::run(&args, Wattlaw::command()),
    };
    match done {
        Ok(()) => SUCCESS,
        Err(failure) => failure.report(),
    }
}
