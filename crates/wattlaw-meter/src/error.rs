//! Errors of measurements: one sentence each.

use std::io::{self, ErrorKind};
use std::path::Path;

/// Result of a measurement.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a run was not measured or a record was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The command does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The command exists but cannot be executed.
    #[error("{0}")]
    NotExecutable(String),
    /// A termination signal arrived before the command started.
    #[error("signal {0} arrived before the command started; the command was not run")]
    Interrupted(i32),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// An error of reading or writing a file or folder.
    pub fn io(path: &Path, error: &io::Error) -> Self {
        let why = match error.kind() {
            ErrorKind::NotFound => "no such file or directory".to_owned(),
            ErrorKind::PermissionDenied => "permission denied".to_owned(),
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
                "is a file, expected a directory".to_owned()
            }
            ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
            ErrorKind::StorageFull => "the disk is full".to_owned(),
            ErrorKind::QuotaExceeded => "the disk quota is exceeded".to_owned(),
            _ => error.to_string(),
        };
        Self::Failed(format!("{}: {why}", path.display()))
    }
}
