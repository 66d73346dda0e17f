//! File input and output. Errors name the file; writes are atomic.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::failure::{Done, Failure};

/// Largest table and largest other text that are read; a run table of a million rows and a calibration are smaller.
const MAX_BYTES: u64 = 1 << 26;
const MAX_TEXT_BYTES: u64 = 1 << 22;

/// Size in bytes of a log's read buffer. Format detection sees only the first buffer.
const LOG_BUFFER: usize = 1 << 18;

/// Reads the bytes of a table.
///
/// # Errors
/// The file is absent, a directory, unreadable or larger than 64 MiB.
pub fn bytes(path: &Path) -> Done<Vec<u8>> {
    read(path, MAX_BYTES)
}

/// Reads a file of at most so many bytes, which may be a FIFO.
fn read(path: &Path, max_bytes: u64) -> Done<Vec<u8>> {
    let name = path.display();
    let too_large = || Failure::Failed(format!("{name}: larger than {} MiB", max_bytes >> 20));
    let metadata = std::fs::metadata(path)
        .map_err(|e| Failure::Failed(format!("{name}: {}", describe(&e))))?;
    if metadata.is_dir() {
        return Err(Failure::Failed(format!("{name}: is a directory, expected a file")));
    }
    if metadata.len() > max_bytes {
        return Err(too_large());
    }
    let fail = |e: std::io::Error| Failure::Failed(format!("{name}: {}", describe(&e)));
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    let file = File::open(path).map_err(fail)?;
    file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(fail)?;
    match bytes.len() as u64 > max_bytes {
        true => Err(too_large()),
        false => Ok(bytes),
    }
}

/// Opens a log of any size for one sequential read.
///
/// # Errors
/// The file is absent, a directory or unreadable.
pub fn open(path: &Path) -> Done<BufReader<File>> {
    let name = path.display();
    let fail = |e: &std::io::Error| Failure::Failed(format!("{name}: {}", describe(e)));
    let file = File::open(path).map_err(|e| fail(&e))?;
    if file.metadata().map_err(|e| fail(&e))?.is_dir() {
        return Err(Failure::Failed(format!("{name}: is a directory, expected a file")));
    }
    Ok(BufReader::with_capacity(LOG_BUFFER, file))
}

/// Reads a text file.
///
/// # Errors
/// The file is absent, a directory, unreadable, larger than 4 MiB or not UTF-8.
pub fn text(path: &Path) -> Done<String> {
    String::from_utf8(read(path, MAX_TEXT_BYTES)?).map_err(|e| {
        Failure::Failed(format!(
            "{}: not valid UTF-8 (byte {})",
            path.display(),
            e.utf8_error().valid_up_to() + 1
        ))
    })
}

/// Writes a file as `Output` does.
///
/// # Errors
/// As `Output::create` and `Output::finish`.
pub fn write(path: &Path, content: &str) -> Done {
    let mut output = Output::create(path)?;
    output.write_all(content.as_bytes()).map_err(|e| output.failure(&describe(&e)))?;
    output.finish()
}

/// A file that is written atomically: a temporary file in the same directory, which takes its name at the end.
///
/// A symbolic link is followed, and an existing file keeps its permissions. What is no regular file, such as a terminal or a
/// FIFO, and an open file, such as `/dev/stdout`, are appended to in place.
pub struct Output {
    /// The name in messages.
    name: String,
    destination: Destination,
    /// Whether the reader of a pipe has closed it.
    closed: bool,
}

enum Destination {
    /// Standard output, by the stream itself: a second opening would not share its place in a file.
    Printed,
    InPlace(File),
    Temporary {
        file: Box<NamedTempFile>,
        target: PathBuf,
    },
}

impl Output {
    /// Standard output.
    pub fn standard() -> Self {
        let name = "standard output".to_owned();
        Self { name, destination: Destination::Printed, closed: false }
    }

    /// Begins to write a file.
    ///
    /// # Errors
    /// The directory is absent or not writable, or the file is read-only.
    pub fn create(path: &Path) -> Done<Self> {
        let name = path.display().to_string();
        let fail = |e: &std::io::Error| Failure::Failed(format!("{name}: {}", describe(e)));
        let target = followed(path).map_err(|e| fail(&e))?;
        if target.ends_with("fd/1") && target.is_symlink() {
            return Ok(Self::standard());
        }
        let existing = match std::fs::metadata(&target) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(Failure::Failed(format!("{name}: is a directory, expected a file")));
            }
            Ok(metadata) => Some(metadata),
            Err(_) => None,
        };
        if let Some(metadata) = &existing {
            // as a shell's `>`: a file that this user may not write is refused
            let file = OpenOptions::new().append(true).open(&target).map_err(|e| fail(&e))?;
            if !metadata.is_file() || target.is_symlink() {
                return Ok(Self { name, destination: Destination::InPlace(file), closed: false });
            }
        }
        let directory = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if !directory.exists() {
            return Err(Failure::Failed(format!(
                "{name}: directory {} does not exist",
                directory.display()
            )));
        }
        let mut builder = tempfile::Builder::new();
        // temporary files are private by default; the result must have the usual permissions
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(directory).map_err(|e| fail(&e))?;
        if let Some(metadata) = &existing {
            file.as_file().set_permissions(metadata.permissions()).map_err(|e| fail(&e))?;
        }
        let destination = Destination::Temporary { file: Box::new(file), target };
        Ok(Self { name, destination, closed: false })
    }

    /// The failure of a write that ended with this message; none if the reader of a pipe closed it.
    pub fn failure(&self, message: &str) -> Failure {
        match self.closed {
            true => Failure::PipeClosed,
            false => Failure::Failed(format!("{}: {message}", self.name)),
        }
    }

    /// Ends the file, which takes its name.
    ///
    /// # Errors
    /// The disk is full. An existing file stays unchanged.
    pub fn finish(mut self) -> Done {
        self.flush().map_err(|e| self.failure(&describe(&e)))?;
        let Destination::Temporary { file, target } = self.destination else { return Ok(()) };
        let fail = |e: &std::io::Error| Failure::Failed(format!("{}: {}", self.name, describe(e)));
        file.as_file().sync_all().map_err(|e| fail(&e))?;
        file.persist(&target).map_err(|e| fail(&e.error))?;
        Ok(())
    }

    fn noted<T>(&mut self, done: std::io::Result<T>) -> std::io::Result<T> {
        self.closed |= done.as_ref().is_err_and(|e| e.kind() == ErrorKind::BrokenPipe);
        done
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = match &mut self.destination {
            Destination::Printed => std::io::stdout().write(bytes),
            Destination::InPlace(file) => file.write(bytes),
            Destination::Temporary { file, .. } => file.write(bytes),
        };
        self.noted(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let flushed = match &mut self.destination {
            Destination::Printed => std::io::stdout().flush(),
            Destination::InPlace(file) => file.flush(),
            Destination::Temporary { file, .. } => file.flush(),
        };
        self.noted(flushed)
    }
}

/// Folders of the links to open files (proc(5)).
const OPEN_FILES: [&str; 2] = ["/proc", "/dev/fd"];

/// Most symbolic links that are followed, as Linux does (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The path that symbolic links lead to; what they lead to need not exist. Links to open files are not followed.
fn followed(path: &Path) -> std::io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        // a link of /proc is an open file, such as that of /dev/stdout: it is written where it is
        if !target.is_symlink() || OPEN_FILES.iter().any(|folder| target.starts_with(folder)) {
            return Ok(target);
        }
        let link = std::fs::read_link(&target)?;
        target = target.parent().unwrap_or(Path::new("")).join(link);
    }
    Err(std::io::Error::other("too many symbolic links"))
}

/// Prints to standard output.
///
/// # Errors
/// [`Failure::PipeClosed`] for a closed pipe, [`Failure::Failed`] for a full disk.
pub fn print(text: &str) -> Done {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Err(Failure::PipeClosed),
        Err(e) => Err(Failure::Failed(format!("standard output: {}", describe(&e)))),
    }
}

fn describe(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "no such file or directory".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_keeps_its_permissions_and_a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link, dangling] = ["file", "link", "dangling"].map(|n| folder.path().join(n));
        write(&file, "one").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("file", &link).unwrap();
        write(&link, "two").unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!((fs::read_to_string(&file).unwrap().as_str(), mode(&file)), ("two", 0o640));
        symlink("absent", &dangling).unwrap();
        write(&dangling, "three").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("absent")).unwrap(), "three");
        symlink("circle", folder.path().join("circle")).unwrap();
        assert!(write(&folder.path().join("circle"), "four").is_err());
    }

    #[test]
    fn a_read_only_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        write(&file, "one").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
        if OpenOptions::new().write(true).open(&file).is_ok() {
            // root may write it, here as by a shell's `>`
            write(&file, "two").unwrap();
            assert_eq!((fs::read_to_string(&file).unwrap().as_str(), mode(&file)), ("two", 0o444));
        } else {
            assert!(write(&file, "two").is_err());
            assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        }
    }
}
