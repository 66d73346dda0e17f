//! `wattlaw`: what a Transformer training run will use in energy, time and memory.
//!
//! The library computes and this program reads, asks and prints: one file a subcommand.

mod args;
mod audit;
mod calibrate;
mod catalog;
mod complete;
mod completions;
mod cost;
mod doctor;
mod doctor_files;
mod efficiency;
mod failure;
mod files;
mod fit;
mod import;
mod job_args;
mod law_args;
mod man;
mod measure;
mod merge;
mod meter_args;
mod predict;
mod recover;
mod report;
mod runs_args;
mod schema;
mod screen;
mod suggest;
mod suite;
mod sweep;
mod top;
mod usage;
mod validate;

use std::process::ExitCode;

use args::Command;

fn main() -> ExitCode {
    let wattlaw = match usage::read(std::env::args_os()) {
        Ok(wattlaw) => wattlaw,
        Err(code) => return code,
    };
    let done = match wattlaw.command {
        Command::Predict(args) => predict::run(&args),
        Command::Cost(args) => cost::run(&args),
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
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
