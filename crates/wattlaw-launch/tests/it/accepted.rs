//! The tools' own parsers accept what is written. Runs where `WATTLAW_LAUNCH_TOOLS` names a Python with the tools (`./test --launchers`).

use std::process::Command;

use wattlaw_launch::{Launcher, emit};

use crate::grid::{FRAMEWORKS, jobs};

#[test]
fn each_file_is_accepted_by_its_own_tool() {
    let Some(python) = std::env::var_os("WATTLAW_LAUNCH_TOOLS") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    for framework in FRAMEWORKS {
        let clusters = [framework, Launcher::Slurm, Launcher::SkyPilot, Launcher::Kubeflow];
        for (job, _) in jobs(framework) {
            let place = folder.path().join(format!("{number:05}"));
            number += 1;
            std::fs::create_dir(&place).unwrap();
            for file in emit(&job, &clusters).unwrap() {
                std::fs::write(place.join(&file.name), &file.text).unwrap();
            }
        }
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/accept.py");
    let checked = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    println!("{said}");
    assert!(checked.status.success(), "{said}\n{}", String::from_utf8_lossy(&checked.stderr));
}
