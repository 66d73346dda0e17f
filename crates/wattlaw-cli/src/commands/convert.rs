//! `wattlaw convert`: writes the job of a framework's files as a job file.

use std::path::PathBuf;

use crate::failure::{Done, Failure};
use crate::flags::job::{JobArgs, warn};
use crate::{files, render};

/// Flags of `wattlaw convert`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The job file holds what the files and flags state, and the framework's defaults; what they leave open, such as the \
    GPU, stays open."
)]
pub struct Args {
    #[command(flatten)]
    job: JobArgs,
    /// Write the job file here instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// An invalid file.
pub fn run(args: &Args) -> Done {
    if args.job.files.is_empty() {
        return Err(Failure::Usage("no file; give a framework's files or a job file".to_owned()));
    }
    let catalog = args.job.flags.catalog()?;
    let description = args.job.description(&catalog)?;
    warn(&description);
    // without a number of GPUs a strategy is for those that are given later
    let spec = match description.spec.system.gpus {
        Some(_) => description.for_its_gpus(),
        None => description.spec,
    };
    let text = spec.to_toml()?;
    match &args.output {
        None => files::print(&text),
        Some(path) => {
            files::write(path, &text)?;
            render::note("note", &format!("wrote {}", path.display()));
            Ok(())
        }
    }
}
