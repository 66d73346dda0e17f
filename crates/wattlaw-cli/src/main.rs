//! `wattlaw`: what a Transformer training run will cost in energy, time and money.
//!
//! The library computes and this program reads, asks and prints: one file a subcommand.

mod args;
mod catalog;
mod completions;
mod cost;
mod failure;
mod files;
mod fit;
mod job_args;
mod predict;
mod runs_args;
mod screen;
mod validate;

use std::process::ExitCode;

use clap::Parser;

use args::{Command, Wattlaw};

fn main() -> ExitCode {
    let wattlaw = Wattlaw::parse();
    let done = match wattlaw.command {
        Command::Predict(args) => predict::run(&args),
        Command::Cost(args) => cost::run(&args),
        Command::Fit(args) => fit::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Catalog(args) => catalog::run(&args),
        Command::Completions(args) => completions::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
