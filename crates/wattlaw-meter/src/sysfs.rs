//! Numbers in files of the Linux kernel.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A file with one whole number; it is kept open and read repeatedly.
#[derive(Debug)]
pub(crate) struct Attribute(File);

impl Attribute {
    /// Opens the file; `None` if it does not exist.
    ///
    /// # Errors
    /// The file exists but cannot be opened.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the number.
    ///
    /// # Errors
    /// A message: the file cannot be read or is not a number.
    pub fn read(&self) -> Result<u64, String> {
        let mut buffer = [0; 32];
        let length = self.0.read_at(&mut buffer, 0).map_err(|e| describe(&e))?;
        let text = std::str::from_utf8(&buffer[..length]).unwrap_or_default().trim();
        text.parse().map_err(|_| format!("the kernel returned `{text}`, which is not a number"))
    }
}

/// Describes an I/O error in a clause.
pub fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotFound => "it is gone".to_owned(),
        _ if error.raw_os_error() == Some(NO_SUCH_DEVICE) => "the device is gone".to_owned(),
        _ => error.to_string(),
    }
}

/// `ENODEV`: the device was removed.
const NO_SUCH_DEVICE: i32 = 19;

/// The trimmed text of a file; `None` if it cannot be read.
pub fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The entries of a folder whose names have a prefix, in natural order; empty if the folder does not exist.
pub fn folders(parent: &Path, start: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(start))
        .map(|entry| entry.path())
        .collect();
    found.sort_by_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // hwmon10 comes after hwmon9
        (name.len(), name)
    });
    found
}
