//! `wattlaw merge`: merges the records of a job's nodes.

use std::path::PathBuf;

use wattlaw::record::document::Record;
use wattlaw::record::merge::merge;
use wattlaw_meter::folder;

use crate::commands::report;
use crate::failure::{Done, Failure};
use crate::render;

/// Flags of `wattlaw merge`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Record folders, one or more per node
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Folder in which the merged record's folder is created
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// A folder that is not a closed record, records of different jobs or times, or two records of the same device.
pub fn run(args: &Args) -> Done {
    let records = args.folders.iter().map(|path| folder::read(path).map_err(Failure::failed));
    let records: Vec<Record> = records.collect::<Done<_>>()?;
    let mut merged = merge(&records)?;
    let path = folder::keep(&args.out, &mut merged).map_err(Failure::failed)?;
    let time = merged.duration.map_or(0.0, wattlaw::base::units::Seconds::value);
    let energy =
        merged.widest().map_or_else(|| "time only".to_owned(), |t| report::energy(t, time));
    let text = format!(
        "{} records: {energy} in {}; {}",
        records.len(),
        render::duration(time),
        path.display()
    );
    render::note("merged", &text);
    Ok(())
}
