//! File input and output. Errors name the file; writes are atomic.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Write};
use std::path::Path;

use crate::failure::{Done, Failure};

/// Largest file that is read; a run table or a configuration is far smaller.
const MAX_BYTES: u64 = 1 << 30;

/// Size in bytes of a log's read buffer. Format detection sees only the first buffer.
const LOG_BUFFER: usize = 1 << 18;

/// Reads a file's bytes.
///
/// # Errors
/// The file is absent, a directory, unreadable or larger than 1 GiB.
pub fn bytes(path: &Path) -> Done<Vec<u8>> {
    let name = path.display();
    let metadata = std::fs::metadata(path)
        .map_err(|e| Failure::Failed(format!("{name}: {}", describe(&e))))?;
    if metadata.is_dir() {
        return Err(Failure::Failed(format!("{name}: is a directory, expected a file")));
    }
    if metadata.len() > MAX_BYTES {
        return Err(Failure::Failed(format!("{name}: larger than 1 GiB")));
    }
    std::fs::read(path).map_err(|e| Failure::Failed(format!("{name}: {}", describe(&e))))
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
/// As [`bytes`], and for text that is not UTF-8.
pub fn text(path: &Path) -> Done<String> {
    String::from_utf8(bytes(path)?).map_err(|e| {
        Failure::Failed(format!(
            "{}: not valid UTF-8 (byte {})",
            path.display(),
            e.utf8_error().valid_up_to() + 1
        ))
    })
}

/// Writes a file atomically: writes a temporary file in the same directory and renames it.
///
/// # Errors
/// The directory is absent or not writable. An existing file stays unchanged.
pub fn write(path: &Path, content: &str) -> Done {
    let fail = |e: &std::io::Error| Failure::Failed(format!("{}: {}", path.display(), describe(e)));
    if path.is_dir() {
        return Err(Failure::Failed(format!(
            "{}: is a directory, expected a file",
            path.display()
        )));
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !directory.exists() {
        return Err(Failure::Failed(format!(
            "{}: directory {} does not exist",
            path.display(),
            directory.display()
        )));
    }
    let mut builder = tempfile::Builder::new();
    // temporary files are private by default; the result must have the usual permissions
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(directory).map_err(|e| fail(&e))?;
    file.write_all(content.as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .map_err(|e| fail(&e))?;
    file.persist(path).map_err(|e| fail(&e.error))?;
    Ok(())
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
