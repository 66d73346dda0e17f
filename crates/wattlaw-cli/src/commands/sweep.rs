//! `wattlaw sweep`: controlled runs, from a space of jobs to records that a law is fitted on.

mod design;
mod each;
mod run;
mod status;
mod submit;

use std::path::Path;

use wattlaw_sweep::plan::Plan;

use crate::failure::Done;
use crate::files;

/// What to do with a sweep.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Plan which jobs run, in which order, and what they will take
    Design(Box<design::Args>),
    /// Run the jobs of a plan here, one at a time, each under measurement; goes on where it stopped
    Run(Box<run::Args>),
    /// Hand the jobs of a plan to a cluster, those that are not done and not handed over yet
    Submit(Box<submit::Args>),
    /// How far a sweep is: what is done, what failed and why, what is left
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
/// What is wrong in it, with its place.
fn plan(path: &Path) -> Done<Plan> {
    Ok(Plan::from_csv(&files::bytes(path)?, &path.display().to_string())?)
}
