//! Reading files with their names in every complaint, and writing them whole or not at all.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Write};
use std::path::Path;

use crate::failure::{Done, Failure};

/// Largest file that is read; a run table or a configuration is far smaller.
const MOST_BYTES: u64 = 1 << 30;

/// Bytes of a log that are read at once; its format is judged by the first of them.
const LOG_BUFFER: usize = 1 << 18;

/// Reads a file's bytes.
///
/// # Errors
/// One sentence where the file is absent, a directory, unreadable or larger than a gibibyte.
pub fn bytes(path: &Path) -> Done<Vec<u8>> {
    let name = path.display();
    let metadata =
        std::fs::metadata(path).map_err(|e| Failure::Failed(format!("{name}: {}", said(&e))))?;
    if metadata.is_dir() {
        return Err(Failure::Failed(format!("{name}: it is a directory, and a file is needed")));
    }
    if metadata.len() > MOST_BYTES {
        return Err(Failure::Failed(format!("{name}: it is larger than 1 GiB")));
    }
    std::fs::read(path).map_err(|e| Failure::Failed(format!("{name}: {}", said(&e))))
}

/// Opens a log of any size, to be read once from its beginning.
///
/// # Errors
/// One sentence where the file is absent, a directory or unreadable.
pub fn open(path: &Path) -> Done<BufReader<File>> {
    let name = path.display();
    let fail = |e: &std::io::Error| Failure::Failed(format!("{name}: {}", said(e)));
    let file = File::open(path).map_err(|e| fail(&e))?;
    if file.metadata().map_err(|e| fail(&e))?.is_dir() {
        return Err(Failure::Failed(format!("{name}: it is a directory, and a file is needed")));
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
            "{}: the text is not UTF-8 (byte {})",
            path.display(),
            e.utf8_error().valid_up_to() + 1
        ))
    })
}

/// Writes a file whole: to a temporary file beside it that then takes its name.
///
/// # Errors
/// One sentence where the directory is absent or cannot be written to; a file that was there stays as it was.
pub fn write(path: &Path, content: &str) -> Done {
    let fail = |e: &std::io::Error| Failure::Failed(format!("{}: {}", path.display(), said(e)));
    if path.is_dir() {
        return Err(Failure::Failed(format!(
            "{}: it is a directory, and a file is to be written",
            path.display()
        )));
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !directory.exists() {
        return Err(Failure::Failed(format!(
            "{}: there is no directory {} to write it in",
            path.display(),
            directory.display()
        )));
    }
    let mut builder = tempfile::Builder::new();
    // a temporary file is private by default; this one becomes a file like any other
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(directory).map_err(|e| fail(&e))?;
    file.write_all(content.as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .map_err(|e| fail(&e))?;
    file.persist(path).map_err(|e| fail(&e.error))?;
    Ok(())
}

/// Prints to standard output; a reader that went away is no error.
///
/// # Errors
/// [`Failure::Unread`] for a closed pipe, [`Failure::Failed`] for a full disk.
pub fn print(text: &str) -> Done {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Err(Failure::Unread),
        Err(e) => Err(Failure::Failed(format!("standard output: {}", said(&e)))),
    }
}

fn said(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file or directory".to_owned(),
        ErrorKind::PermissionDenied => "permission is denied".to_owned(),
        _ => error.to_string(),
    }
}
