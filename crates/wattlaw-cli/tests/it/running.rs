//! Runs the built program as a person or a script would.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses what it needs")]

pub mod limited;
pub mod page;
pub mod place;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use limited::Limited;

/// The program.
pub const WATTLAW: &str = env!("CARGO_BIN_EXE_wattlaw");

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Where a program is: daemons are in folders that not every user's PATH names.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// What came of one run.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs the words of `line` in `directory`; words are apart by single spaces, and none holds one.
pub fn run_in(directory: &Path, line: &str) -> Ran {
    let words = line.split(' ').filter(|word| !word.is_empty());
    Command::new(WATTLAW).args(words).current_dir(directory).finish().into()
}

/// Runs the words of `line` in the repository's root.
pub fn run(line: &str) -> Ran {
    run_in(&root(), line)
}

/// What a command prints as JSON, having succeeded.
pub fn json(line: &str) -> serde_json::Value {
    let ran = run(line);
    assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}
