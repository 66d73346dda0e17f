//! `wattlaw merge`: one record of those that the nodes of a job wrote.

use std::path::PathBuf;

use wattlaw::record::merge::merge;
use wattlaw_meter::folder;

use crate::commands::report;
use crate::failure::{Done, Failure};
use crate::render;

/// Flags of `wattlaw merge`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders of records, one or more of each node
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Folder that gets the merged record's folder
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// What is no record, is not closed, is of another job or time, or has a device that another one has too.
pub fn run(args: &Args) -> Done {
    let records = report::read(&args.folders)?;
    let mut merged = merge(&records)?;
    let path = folder::keep(&args.out, &mut merged).map_err(Failure::failed)?;
    let time = merged.duration.map_or(0.0, wattlaw::base::units::Seconds::value);
    let energy =
        merged.energy().map_or_else(|| "time only".to_owned(), |t| report::energy(t, time));
    let text = format!(
        "{} records: {energy} in {}; {}",
        records.len(),
        render::duration(time),
        path.display()
    );
    render::note("merged", &text);
    Ok(())
}
