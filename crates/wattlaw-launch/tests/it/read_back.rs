//! What a launcher writes, wattlaw's readers of configuration files read as an equal job.

use wattlaw::job::catalog::Catalog;
use wattlaw::job::workload::WorkloadSpec;
use wattlaw::job::{Job, JobSpec};
use wattlaw_import::configuration::Configuration;
use wattlaw_launch::{LaunchFile, Launcher};

use crate::grid::jobs;

/// The job that the files of a framework describe, with what they do not hold from the job itself.
fn read(launcher: Launcher, job: &Job, files: &[LaunchFile]) -> Job {
    let read: Vec<(&str, &str)> = files
        .iter()
        .filter(|file| match launcher {
            Launcher::Megatron => file.name == "train.sh",
            _ => !["job.toml", "train.sh"].contains(&file.name.as_str()),
        })
        .map(|file| (file.name.as_str(), file.text.as_str()))
        .collect();
    let found = Configuration::read(&read).unwrap_or_else(|e| panic!("{e}\n{read:#?}"));
    for left_out in &found.unmodelled {
        // torchtitan's selective checkpointing keeps by operation
        assert_eq!(left_out.key, "activation_checkpoint.mode", "{left_out:?}\n{read:#?}");
    }
    let all = job.spec();
    let held = match launcher {
        Launcher::Accelerate => {
            WorkloadSpec { task: all.workload.task.clone(), ..Default::default() }
        }
        Launcher::DeepSpeed => WorkloadSpec {
            seq_len: all.workload.seq_len,
            steps: all.workload.steps,
            checkpointing: all.workload.checkpointing,
            attention: all.workload.attention,
            task: all.workload.task.clone(),
            ..Default::default()
        },
        _ => WorkloadSpec::default(),
    };
    let has_model = !matches!(launcher, Launcher::Accelerate | Launcher::DeepSpeed);
    let base = JobSpec {
        model: if has_model { Default::default() } else { all.model.clone() },
        workload: held,
        system: all.system.clone(),
        ..Default::default()
    };
    let spec = found.job.with_fallback(base);
    let mut again = spec
        .resolve(&Catalog::built_in().unwrap())
        .unwrap_or_else(|e| panic!("{e}\n{spec:#?}\n{read:#?}"));
    let (model, own) = (&mut again.architecture, &job.architecture);
    if launcher == Launcher::Megatron || launcher == Launcher::Nanotron {
        // the files hold the shape, without the names
        model.name.clone_from(&own.name);
        model.model_type = own.model_type;
        model.max_positions = own.max_positions;
    }
    again
}

fn all_come_back(launcher: Launcher, least: usize) {
    let jobs = jobs(launcher);
    assert!(jobs.len() >= least, "{} jobs", jobs.len());
    for (job, files) in jobs {
        let again = read(launcher, &job, &files);
        assert_eq!(again, job, "{files:#?}");
    }
}

#[test]
fn accelerate() {
    all_come_back(Launcher::Accelerate, 500);
}

#[test]
fn deepspeed() {
    all_come_back(Launcher::DeepSpeed, 200);
}

#[test]
fn megatron() {
    all_come_back(Launcher::Megatron, 400);
}

#[test]
fn torchtitan() {
    all_come_back(Launcher::Torchtitan, 60);
}

#[test]
fn nanotron() {
    all_come_back(Launcher::Nanotron, 40);
}

#[test]
fn axolotl() {
    all_come_back(Launcher::Axolotl, 100);
}
