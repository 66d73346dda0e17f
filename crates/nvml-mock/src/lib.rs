//! Stands in for NVIDIA's management library (NVML) in tests: a shared library that speaks its C interface and replays a
//! scripted trace.
//!
//! The script is a TOML file, read at each `nvmlInit`: the one that `NVML_DOUBLE_SCRIPT` names, or `script.toml` beside the
//! library, so that tests of one process can each load a copy with a script of its own. [`script::Script`] says what it holds.

mod interface;
pub mod script;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The shared library's file name.
const LIBRARY: &str = "libnvml_mock.so";

/// Where the shared library was built: beside the test that runs, which depends on it.
///
/// # Errors
/// It is not there.
pub fn library() -> io::Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let folders = executable.ancestors().skip(1).take(2);
    folders
        .flat_map(|folder| [folder.join(LIBRARY), folder.join("deps").join(LIBRARY)])
        .find(|path| path.is_file())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{LIBRARY} was not built")))
}

/// Puts a copy of the library and its script into a folder; the copy is loaded apart from all others.
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
