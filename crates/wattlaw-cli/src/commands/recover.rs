//! `wattlaw recover`: closes the record of a run whose wattlaw was killed.

use std::path::PathBuf;

use wattlaw_meter::folder::{Recovery, recover};

use crate::failure::{Done, Failure};
use crate::render;

/// Flags of `wattlaw recover`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders of records
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// What is no record, is being written, or cannot be written to.
pub fn run(args: &Args) -> Done {
    for folder in &args.folders {
        let place = folder.display();
        match recover(folder).map_err(Failure::failed)? {
            Recovery::Closed(record) => {
                let time = record.duration.map_or(0.0, wattlaw::base::units::Seconds::value);
                let text = format!(
                    "closed {place}: {} of the command are recorded",
                    render::duration(time)
                );
                render::note("note", &text);
            }
            Recovery::Locked => {
                return Err(Failure::Failed(format!(
                    "{place}: it is being written by a running wattlaw"
                )));
            }
            Recovery::AlreadyClosed(record) => {
                render::note("note", &format!("{place} is closed already ({})", record.state));
            }
        }
    }
    Ok(())
}
