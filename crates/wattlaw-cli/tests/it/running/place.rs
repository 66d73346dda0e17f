//! A folder of its own for what a test runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::WATTLAW;

/// A folder in which nothing of this machine is measured, and nobody else's locks are.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// `wattlaw`, with words apart by single spaces.
    pub fn wattlaw(&self, words: &str) -> Command {
        // a shell that started the tests in its background made them, and thus what they start, ignore some signals
        let mut command = Command::new("/usr/bin/env");
        command.args(["--default-signal=HUP,INT,QUIT", WATTLAW]);
        apart(command.args(words.split(' ')), self.path());
        command
    }

    /// `wattlaw` as `nohup` and a script's `&` start it: so that it ignores signals.
    pub fn wattlaw_ignoring(&self, signals: &str, words: &str) -> Command {
        let mut command = Command::new("sh");
        let script = format!("trap '' {signals}; exec \"$@\"");
        command.args(["-c", &script, "sh", WATTLAW]).args(words.split(' '));
        apart(&mut command, self.path());
        command
    }

    /// `wattlaw measure` with 100 W assumed, of a shell's script.
    pub fn measure(&self, words: &str, script: &str) -> Command {
        let mut command = self.wattlaw("measure --assume cpu=100W");
        command
            .args(words.split(' ').filter(|word| !word.is_empty()))
            .args(["--", "sh", "-c", script]);
        command
    }

    pub fn records(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path().join("runs")) else { return Vec::new() };
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut found: Vec<_> = paths.filter(|path| !hidden(path)).collect();
        found.sort();
        found
    }

    pub fn record(&self) -> (PathBuf, Value) {
        let records = self.records();
        assert_eq!(records.len(), 1, "{records:?}");
        (records[0].clone(), read(&records[0]))
    }
}

/// Lets a command work in a folder, where nothing of this machine is measured and nobody else's locks are met.
pub fn apart(command: &mut Command, folder: &Path) {
    command
        .current_dir(folder)
        .env("TMPDIR", folder)
        .env("XDG_RUNTIME_DIR", folder)
        .env("WATTLAW_SYSFS", folder.join("no-sysfs"))
        .env("WATTLAW_NVML", folder.join("no-nvml"))
        .env_remove("WATTLAW_EVENTS")
        .stdin(Stdio::null());
}

/// Whether a file is none of a user's.
pub fn hidden(path: &Path) -> bool {
    path.file_name().unwrap().to_string_lossy().starts_with('.')
}

/// The record of a folder.
pub fn read(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("run.json")).unwrap()).unwrap()
}
