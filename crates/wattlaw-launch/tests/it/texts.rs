//! Files of clusters, the script of a node, and their placeholders.

use wattlaw_launch::{LaunchFile, Launcher, emit};

use crate::grid::job;

fn files(system: &str, launchers: &[Launcher]) -> Vec<LaunchFile> {
    let text = format!(
        "[model]\nname = 'llama-3.1-8b'\n[workload]\ntokens = '1M'\nseq_len = 512\nmicro_batch = 1\nframework = 'accelerate'\n\
         [parallelism]\nstrategy = 'fsdp'\n[system]\ngpu = 'h100'\n{system}"
    );
    emit(&job(&text).unwrap(), launchers).unwrap()
}

fn text<'a>(files: &'a [LaunchFile], name: &str) -> &'a str {
    &files.iter().find(|file| file.name == name).unwrap().text
}

#[test]
fn a_power_limit_below_the_tdp_is_set_on_each_node() {
    let limited = files("gpus = 4\npower_limit_w = 500", &[Launcher::Torchrun]);
    assert!(text(&limited, "train.sh").contains("administrator's rights\nnvidia-smi -pl 500\n"));
    assert!(!text(&files("gpus = 4", &[Launcher::Torchrun]), "train.sh").contains("nvidia-smi"));
}

#[test]
fn the_training_runs_under_measurement() {
    let made = files(
        "gpus = 16",
        &[Launcher::Accelerate, Launcher::Slurm, Launcher::Kubeflow, Launcher::SkyPilot],
    );
    let names: Vec<(&str, bool)> =
        made.iter().map(|file| (file.name.as_str(), file.executable)).collect();
    let expected = [
        ("job.toml", false),
        ("accelerate.yaml", false),
        ("arguments.yaml", false),
        ("train.sh", true),
        ("job.sbatch", false),
        ("trainjob.yaml", false),
        ("sky.yaml", false),
    ];
    assert_eq!(names, expected);
    let script = text(&made, "train.sh");
    assert!(
        script.contains("wattlaw measure --plan job.toml -- \\\n    accelerate launch "),
        "{script}"
    );
    for name in ["job.sbatch", "trainjob.yaml", "sky.yaml"] {
        assert!(text(&made, name).contains("train.sh"), "{name}");
    }
    // 1M tokens are 122.07 steps of 16 sequences of 512
    assert!(text(&made, "arguments.yaml").contains("max_steps: 123\n"));
    let job = wattlaw::job::JobSpec::from_toml(text(&made, "job.toml")).unwrap();
    assert_eq!(job.system.gpus, Some(16));
}

#[test]
fn a_script_of_a_shell_is_one() {
    for system in ["gpus = 16\npower_limit_w = 500", "gpus = 2"] {
        for file in files(system, &[Launcher::Slurm]) {
            if file.text.starts_with("#!") {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join(&file.name);
                std::fs::write(&path, &file.text).unwrap();
                let checked =
                    std::process::Command::new("bash").arg("-n").arg(path).output().unwrap();
                assert!(checked.status.success(), "{checked:?}\n{}", file.text);
            }
        }
    }
}

#[test]
fn what_is_the_users_is_named() {
    let made = files("gpus = 4", &[Launcher::Axolotl, Launcher::Slurm]);
    let of: Vec<&str> =
        made.iter().flat_map(|file| &file.placeholders).map(String::as_str).collect();
    assert_eq!(of.len(), 4, "{of:?}");
    assert!(text(&made, "axolotl.yaml").contains("yours to set"));
}
