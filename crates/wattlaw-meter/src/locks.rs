//! Lock files of a user's processes on this machine, in a folder of the user's own: no other user can place files there.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

/// Longest wait for a lock that is held for milliseconds, and the time between attempts.
const PATIENCE: Duration = Duration::from_secs(2);
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// The folder of this user's locks: in `$XDG_RUNTIME_DIR` or `/run/user`, else in the folder for temporary files. It is made if
/// it does not exist.
///
/// # Errors
/// The last of these folders cannot be made, or others may write it.
pub(crate) fn folder() -> io::Result<PathBuf> {
    let user = rustix::process::getuid().as_raw();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.into_iter().chain([PathBuf::from(format!("/run/user/{user}"))]);
    let mut own = runtime.filter(|base| base.is_absolute()).map(|base| base.join("wattlaw"));
    match own.find_map(|folder| private(&folder).ok()) {
        Some(folder) => Ok(folder),
        None => private(&std::env::temp_dir().join(format!("wattlaw-{user}"))),
    }
}

/// Makes a folder with mode 0700, or checks that an existing one is this user's and nobody else's.
fn private(folder: &Path) -> io::Result<PathBuf> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = folder.symlink_metadata()?;
    let is_ours = found.is_dir() && found.uid() == rustix::process::getuid().as_raw();
    if is_ours && found.mode() & 0o077 == 0 {
        return Ok(folder.to_owned());
    }
    Err(io::Error::other(format!("{} is not a folder of this user alone", folder.display())))
}

/// Opens a lock file without waiting; follows no symbolic link.
///
/// # Errors
/// It cannot be opened, or is no regular file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags);
    let all = options.clone().write(true).create(true).truncate(false).open(path);
    let file = all.or_else(|_| options.open(path))?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file")),
    }
}

/// Locks a file that others hold for milliseconds only.
///
/// # Errors
/// The file system has no locks, or another process keeps the lock.
pub(crate) fn lock_briefly(file: &File) -> io::Result<()> {
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if begin.elapsed() < PATIENCE => {
                std::thread::sleep(RETRY_INTERVAL);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another wattlaw keeps the lock"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_folder_is_of_its_user_alone() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("locks");
        assert_eq!(private(&folder).unwrap(), folder);
        assert_eq!(folder.metadata().unwrap().mode() & 0o777, 0o700);
        assert!(private(&folder).is_ok(), "again");
        std::fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
        assert!(private(&folder).is_err());
        let link = base.path().join("link");
        std::os::unix::fs::symlink("/", &link).unwrap();
        assert!(private(&link).is_err());
        std::fs::write(base.path().join("file"), "").unwrap();
        assert!(private(&base.path().join("file")).is_err());
    }

    #[test]
    fn what_is_no_regular_file_is_not_waited_for() {
        let base = tempfile::tempdir().unwrap();
        let fifo = base.path().join("fifo");
        #[allow(clippy::disallowed_methods, reason = "it ends by itself")]
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        assert!(open(&fifo).is_err());
        assert!(open(base.path()).is_err());
        let file = open(&base.path().join("lock")).unwrap();
        assert!(lock_briefly(&file).is_ok());
        let other = open(&base.path().join("lock")).unwrap();
        let begin = Instant::now();
        assert!(lock_briefly(&other).is_err() && begin.elapsed() >= PATIENCE);
    }
}
