//! Plans as scripts get them from `wattlaw sweep design`.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::path::Path;

use crate::running::{json, root, run, run_in};
use serde_json::Value;
use wattlaw::job::catalog::Catalog;
use wattlaw_sweep::plan::Plan;

fn plan(path: &Path) -> Plan {
    Plan::from_csv(&fs::read(path).unwrap(), "plan.csv").unwrap()
}

/// Designs a plan of the example's space and gives it with its summary.
fn designed(flags: &str) -> (Plan, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.csv");
    let line =
        format!("sweep design examples/space.toml {flags} --format json -o {}", path.display());
    let summary = json(&line);
    (plan(&path), summary)
}

#[test]
fn a_grid_is_every_job_of_the_space_once_and_its_totals_add_up() {
    let (plan, summary) = designed("");
    assert_eq!(plan.jobs.len(), 720);
    assert_eq!(plan.resolve(&Catalog::built_in().unwrap(), "plan.csv").unwrap().len(), 720);
    let sum = |of: &dyn Fn(usize) -> f64| (0..720).map(of).sum::<f64>();
    let seconds = sum(&|i| plan.jobs[i].predicted_duration.unwrap().value());
    let joules = sum(&|i| plan.jobs[i].predicted_energy.unwrap().value());
    let total = &summary["total"];
    assert!((total["duration_s"].as_f64().unwrap() / seconds - 1.0).abs() < 1e-9);
    assert!((total["energy_kwh"].as_f64().unwrap() * 3.6e6 / joules - 1.0).abs() < 1e-9);
    assert!(total["gpu_hours"].as_f64().unwrap() * 3600.0 > seconds);
    let points = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!(points("points"), points("invalid") + points("different_jobs"));
    // one law predicts all of them
    let by = summary["predicted_by"].as_array().unwrap();
    assert_eq!(
        (by.len(), &by[0]["calibration"], &by[0]["jobs"]),
        (1, &"wattlaw-2026".into(), &720.into())
    );
    // what is predicted of a job is what `predict` says of it
    let job = plan.jobs.iter().find(|job| job.run_id.ends_with("-bert-12x256-fsdp2")).unwrap();
    let w = &job.spec.workload;
    let alone = json(&format!(
        "predict --family bert --layers 12 --hidden-size 256 --strategy fsdp --gpus 2 --gpu rtx-4090 --precision fp16 \
         --steps 200 --seq-len {} --micro-batch {} --format json",
        w.seq_len.unwrap(),
        w.micro_batch.unwrap()
    ));
    assert_eq!(
        alone["energy_j"]["estimate"].as_f64(),
        job.predicted_energy.map(|energy| energy.value())
    );
}

#[test]
fn repeats_are_blocks_and_the_reference_runs_first_in_between_and_last() {
    let (plan, summary) =
        designed("--design latin-hypercube --runs 12 --repeats 3 --reference-every 10 --seed 4");
    let references: Vec<usize> =
        (0..plan.jobs.len()).filter(|at| plan.jobs[*at].reference).collect();
    assert_eq!(references, [0, 11, 22, 33, 40]);
    assert!(references.iter().all(|at| plan.jobs[*at].spec == plan.jobs[0].spec));
    assert!(plan.jobs[0].run_id.starts_with("001-reference-bert-"), "{}", plan.jobs[0].run_id);
    for block in 1..=3 {
        let mut layers: Vec<u64> = plan
            .jobs
            .iter()
            .filter(|job| job.block == block && !job.reference)
            .filter_map(|job| job.spec.model.layers)
            .collect();
        layers.sort_unstable();
        assert_eq!(layers, [2, 2, 4, 4, 6, 6, 8, 8, 10, 10, 12, 12]);
    }
    let blocks = summary["blocks"].as_array().unwrap();
    assert_eq!(blocks.len(), 3);
    assert!(blocks.iter().all(|block| block["jobs"] == 12));
    // the reference is the job in the middle
    let mut times: Vec<f64> = plan.jobs[1..11]
        .iter()
        .chain(&plan.jobs[12..14])
        .map(|job| job.predicted_duration.unwrap().value())
        .collect();
    times.sort_by(f64::total_cmp);
    assert_eq!(plan.jobs[0].predicted_duration.unwrap().value(), times[5]);
}

#[test]
fn without_a_file_the_plan_is_printed_and_the_summary_said() {
    let ran = run("sweep design --preset study-gpt --gpu t4 --design one-factor");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let plan = Plan::from_csv(ran.stdout.as_bytes(), "plan.csv").unwrap();
    // a base, 18 more shapes, 3 more lengths and 3 more numbers of GPUs
    assert_eq!(plan.jobs.len(), 25);
    assert!(plan.jobs.iter().all(|job| job.spec.system.gpu.as_deref() == Some("t4")));
    assert!(ran.stderr.contains("25 jobs, "), "{}", ran.stderr);
    let again = run("sweep design --preset study-gpt --gpu t4 --design one-factor");
    assert_eq!(again.stdout, ran.stdout);
}

#[test]
fn an_optimal_design_keeps_its_budget_and_serves_either_law() {
    for law in ["roofline", "scaling"] {
        let (plan, summary) = designed(&format!("--design optimal --budget 30Wh --law {law}"));
        let joules: f64 = plan.jobs.iter().map(|job| job.predicted_energy.unwrap().value()).sum();
        assert!(plan.jobs.len() > 2 && joules <= 30.0 * 3600.0, "{law}: {joules}");
        let sd = |name: &str| summary[name].as_f64().unwrap();
        assert!(sd("log_sd_after") < sd("log_sd_before"));
        assert_eq!(summary["candidates"], 720);
    }
    let (plan, _) = designed("--design optimal --runs 4 --budget 1GPU-h --criterion d-optimal");
    assert_eq!(plan.jobs.len(), 4);
    // by a scaling calibration of the same machine, for other jobs than the space's
    let ran = run(
        "sweep design --preset study-bert --design optimal --runs 5 --law scaling --calibration bert-2026 \
         --jobs examples/job.toml --format json",
    );
    assert_eq!((ran.code, ran.stdout.is_empty()), (1, true), "job.toml is of another GPU");
    assert!(ran.stderr.contains("cannot predict a job: gpu"), "{}", ran.stderr);
    let found = json(
        "sweep design --preset study-bert --design optimal --runs 5 --law scaling --calibration bert-2026 --format json",
    );
    assert!(found["log_sd_before"].as_f64().unwrap() < 1.0);
}

/// What does not fit is listed, and the rest is planned.
#[test]
fn jobs_that_do_not_fit_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(root().join("examples/space.toml")).unwrap();
    let wide = text.replace("[256, 512, 768, 1024]", "[256, 65536]").replace("[64, 128]", "64");
    fs::write(folder.path().join("wide.toml"), wide).unwrap();
    let ran = run_in(folder.path(), "sweep design wide.toml --format json -o plan.csv");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let summary: Value = serde_json::from_str(&ran.stdout).unwrap();
    let too_large = summary["too_large"].as_array().unwrap();
    assert_eq!(too_large.len(), 90);
    for job in too_large {
        assert!(job["needed_gib"].as_f64().unwrap() > job["capacity_gib"].as_f64().unwrap());
        assert!(job["job"].as_str().unwrap().contains("x65536-"), "{job}");
    }
    assert!(ran.stderr.contains("90 jobs are predicted not to fit in memory"), "{}", ran.stderr);
    assert_eq!(plan(&folder.path().join("plan.csv")).jobs.len(), 90);
}

#[test]
fn suggested_runs_are_a_plan() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("suggested.csv");
    let ran =
        run(&format!("calibrate --suggest 6 --space examples/space.toml --out {}", path.display()));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let jobs = plan(&path).resolve(&Catalog::built_in().unwrap(), "suggested.csv").unwrap();
    assert_eq!(jobs.len(), 6);
    assert!(jobs.iter().all(|job| job.steps() == 200.0));
}
