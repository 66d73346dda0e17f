//! What can go wrong in measuring: one sentence each.

use std::io::{self, ErrorKind};
use std::path::Path;

/// Result of measuring.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a run was not measured, or a record not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such command.
    #[error("{0}")]
    NotFound(String),
    /// The command is there and cannot be executed.
    #[error("{0}")]
    NotExecutable(String),
    /// A signal asked us to end before the command began.
    #[error("signal {0} came before the command began, and it was not run")]
    Interrupted(i32),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// A file or folder that cannot be read or written.
    pub fn io(path: &Path, error: &io::Error) -> Self {
        let why = match error.kind() {
            ErrorKind::NotFound => "there is no such file or directory".to_owned(),
            ErrorKind::PermissionDenied => "permission is denied".to_owned(),
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
                "it is a file, and a directory is needed".to_owned()
            }
            ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
            ErrorKind::StorageFull => "the disk is full".to_owned(),
            ErrorKind::QuotaExceeded => "the disk quota is used up".to_owned(),
            _ => error.to_string(),
        };
        Self::Failed(format!("{}: {why}", path.display()))
    }
}
