//! Numbers that the Linux kernel tells in files.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A file with one whole number, kept open and read again and again.
#[derive(Debug)]
pub struct Attribute(File);

impl Attribute {
    /// Opens the file; none where it is absent.
    ///
    /// # Errors
    /// It is there but may not be read.
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
    /// A clause: it cannot be read, or is no number.
    pub fn read(&self) -> Result<u64, String> {
        let mut buffer = [0; 32];
        let length = self.0.read_at(&mut buffer, 0).map_err(|e| describe(&e))?;
        let text = std::str::from_utf8(&buffer[..length]).unwrap_or_default().trim();
        text.parse().map_err(|_| format!("the kernel says `{text}`, which is no number"))
    }
}

/// What an error of the system is, as a clause.
pub fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotFound => "it is gone".to_owned(),
        _ if error.raw_os_error() == Some(NO_SUCH_DEVICE) => "the device is gone".to_owned(),
        _ => error.to_string(),
    }
}

/// `ENODEV`: what a file of a device says that was unplugged.
const NO_SUCH_DEVICE: i32 = 19;

/// A file's text without blanks around it; none where there is none.
pub fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The folders in a folder whose names begin so, in order of their names; none where there is no folder.
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
