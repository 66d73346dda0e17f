//! `wattlaw sweep`: controlled experiments, from a space of jobs to records for fitting.

mod design;
mod each;
mod run;
mod status;
mod submit;

use std::path::Path;

use wattlaw_sweep::plan::Plan;

use crate::failure::Done;
use crate::tables;

/// Subcommands of `wattlaw sweep`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Choose the jobs and their order, and predict their time and energy
    Design(Box<design::Args>),
    /// Run the jobs of a plan on this machine, one at a time and measured; resumes after an interruption
    Run(Box<run::Args>),
    /// Submit the open jobs of a plan to a cluster
    Submit(Box<submit::Args>),
    /// Show the progress of a sweep: finished jobs, failures with their reason, remaining time and energy
    Status(status::Args),
}

/// Runs the subcommand.
///
/// # Errors
/// Those of the subcommand.
pub fn run(command: &Command) -> Done {
    match command {
        Command::Design(args) => design::run(args),
        Command::Run(args) => run::run(args),
        Command::Submit(args) => submit::run(args),
        Command::Status(args) => status::run(args),
    }
}

/// Reads a plan.
///
/// # Errors
/// An invalid plan, with file and line.
fn plan(path: &Path) -> Done<Plan> {
    Ok(Plan::from_csv(&tables::csv(path)?, &path.display().to_string())?)
}
