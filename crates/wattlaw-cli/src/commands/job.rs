//! `wattlaw job`: a job with names looked up and every default written out, for programs that know none.

use clap::ValueEnum;

use crate::failure::Done;
use crate::files;
use crate::flags::job::JobArgs;

/// Flags of `wattlaw job`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "`wattlaw job job.toml > job.json` writes what the trainer of trainer/ reads, and what every command takes in place of \
    the job file."
)]
pub struct Args {
    #[command(flatten)]
    job: JobArgs,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How to print a job.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    /// For programs, with schema wattlaw-job/1
    #[default]
    Json,
    /// A job file
    Toml,
}

/// Runs the command.
///
/// # Errors
/// What is wrong with the job.
pub fn run(args: &Args) -> Done {
    let job = args.job.job()?;
    let text = match args.format {
        Format::Json => job.to_json()?,
        Format::Toml => job.spec().to_toml()?,
    };
    files::print(&text)
}
