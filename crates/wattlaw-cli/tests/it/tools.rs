//! CodeCarbon, Zeus, carbontracker and eco2AI: `wattlaw import` reads from their files what their own interfaces say.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use crate::running::WATTLAW;
use crate::running::limited::Limited;

/// Relative difference between what is imported and what the tool says.
const TOLERANCE: f64 = 1e-6;

/// What a tool says of its files: an element of `says.json`.
#[derive(Deserialize)]
struct Says {
    tool: String,
    version: String,
    files: Vec<String>,
    energy_j: f64,
    duration_s: f64,
    parts_j: std::collections::BTreeMap<String, f64>,
}

#[track_caller]
fn assert_said(found: &Value, says: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - says).abs() <= TOLERANCE * says, "{found} is not {says}");
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools")
}

/// Imports the files of a folder that `run.py` wrote, and compares them with its `says.json`.
fn compare(folder: &Path) {
    let says = std::fs::read_to_string(folder.join("says.json")).unwrap();
    let says: Vec<Says> = serde_json::from_str(&says).unwrap();
    assert_eq!(says.len(), 6);
    for Says { tool, version, files, energy_j, duration_s, parts_j } in says {
        let mut command = Command::new(WATTLAW);
        command.arg("import").args(&files).args(["--format", "json"]).current_dir(folder);
        let output = command.finish();
        assert!(output.status.success(), "{files:?}: {}", String::from_utf8_lossy(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        println!(
            "{tool} {version}: {} J of {energy_j} J, {} s",
            found["energy_j"], found["duration_s"]
        );
        assert_eq!(found["log_format"], tool.as_str());
        assert_said(&found["energy_j"], energy_j);
        assert_said(&found["duration_s"], duration_s);
        let parts = found["measured"][0]["parts"].as_array().unwrap();
        for (name, joules) in parts_j {
            let part = parts.iter().find(|part| part["name"] == name.as_str()).unwrap();
            assert_said(&part["energy_j"], joules);
        }
    }
}

/// Files that the versions of `tests/tools/requirements.txt` wrote.
#[test]
fn files_of_other_tools_have_the_energies_that_the_tools_say() {
    compare(&scripts().join("files"));
}

/// Runs the tools on the stand-in for NVIDIA's library. Needs a Python with `tests/tools/requirements.txt`, which `WATTLAW_TOOLS` names
/// (`./test --tools`).
#[test]
fn tools_that_run_here_say_what_is_imported() {
    let Some(python) = std::env::var_os("WATTLAW_TOOLS") else { return };
    let folder = tempfile::tempdir().unwrap();
    let gpu = |index: u32| {
        format!(
            "[[gpus]]\nuuid = \"GPU-{index}\"\nname = \"NVIDIA A100-SXM4-40GB\"\nrepeat_s = 4.0\n\
             power_w = [[0, 250], [1.5, 400], [3, 90]]\n"
        )
    };
    nvml_mock::stage(folder.path(), &(gpu(0) + &gpu(1))).unwrap();
    // CodeCarbon takes a machine on which this fails for one without GPUs
    let smi = folder.path().join("nvidia-smi");
    std::os::unix::fs::symlink("/bin/true", &smi).unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = [folder.path().to_owned()].into_iter().chain(std::env::split_paths(&path));
    let files = folder.path().join("files");
    let output = Command::new(python)
        .arg(scripts().join("run.py"))
        .arg(&files)
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("LD_LIBRARY_PATH", folder.path())
        .env_remove("CUDA_VISIBLE_DEVICES")
        .finish();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    compare(&files);
}
