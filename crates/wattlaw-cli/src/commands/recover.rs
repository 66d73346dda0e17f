//! `wattlaw recover`: closes the record of a run whose wattlaw process was killed.

use std::path::PathBuf;

use wattlaw_meter::folder::{Recovery, recover};

use crate::failure::{Done, Failure};
use crate::render;

/// Flags of `wattlaw recover`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Record folders
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// A folder that is not a record, is in use by a running wattlaw, or cannot be written.
pub fn run(args: &Args) -> Done {
    for folder in &args.folders {
        let place = folder.display();
        match recover(folder).map_err(Failure::failed)? {
            Recovery::Closed(record) => {
                let time = record.duration.map_or(0.0, wattlaw::base::units::Seconds::value);
                let text = format!(
                    "closed {place}: {} of the command were recorded",
                    render::duration(time)
                );
                render::note("note", &text);
            }
            Recovery::Locked => {
                return Err(Failure::Failed(format!(
                    "{place}: a running wattlaw is still writing it"
                )));
            }
            Recovery::AlreadyClosed(record) => {
                render::note("note", &format!("{place} is already closed ({})", record.state));
            }
        }
    }
    Ok(())
}
