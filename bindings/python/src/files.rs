//! Files that Python names.

use std::path::Path;

use wattlaw_cli::text;

/// Reads a file that a job file names.
///
/// # Errors
/// The file is absent or unreadable.
pub fn open(path: &Path) -> wattlaw::Result<String> {
    text(path).map_err(|failure| wattlaw::Error::Data(failure.to_string()))
}
