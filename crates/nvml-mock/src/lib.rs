//! A mock of NVIDIA's management library (NVML) for tests: a shared library with NVML's C interface that replays a scripted trace.
//!
//! The script is a TOML file that is read at each `nvmlInit`: the file named by `NVML_DOUBLE_SCRIPT`, else `script.toml` next to the
//! library. Tests of one process can therefore load several copies with different scripts. [`script::Script`] documents the format.

mod interface;
pub mod script;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// File name of the shared library.
const LIBRARY: &str = "libnvml_mock.so";

/// Path of the built shared library, next to the running test.
///
/// # Errors
/// The library does not exist.
pub fn library() -> io::Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let folders = executable.ancestors().skip(1).take(2);
    folders
        .flat_map(|folder| [folder.join(LIBRARY), folder.join("deps").join(LIBRARY)])
        .find(|path| path.is_file())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{LIBRARY} was not built")))
}

/// Copies the library with a script to a folder; each copy is loaded separately.
///
/// # Errors
/// The folder cannot be written.
pub fn stage(folder: &Path, script: &str) -> io::Result<PathBuf> {
    let copy = folder.join("libnvidia-ml.so.1");
    fs::copy(library()?, &copy)?;
    fs::write(folder.join(script::SCRIPT), script)?;
    Ok(copy)
}

/// Sets the time of a staged library whose script has `clock = "file"`.
///
/// # Errors
/// The folder cannot be written.
pub fn set_clock(folder: &Path, time_s: f64) -> io::Result<()> {
    fs::write(folder.join(script::CLOCK), time_s.to_string())
}
