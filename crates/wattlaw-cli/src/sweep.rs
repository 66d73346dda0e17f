//! `wattlaw sweep`: controlled sweeps, from a space of jobs to records.

pub mod design;

use crate::failure::Done;

/// Flags of `wattlaw sweep`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// The steps of a sweep.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Plan which jobs run, in which order, and what they will take
    Design(Box<design::Args>),
}

/// Runs the command.
///
/// # Errors
/// Those of the step.
pub fn run(args: &Args) -> Done {
    match &args.command {
        Command::Design(args) => design::run(args),
    }
}
