//! `wattlaw plan` and `wattlaw compare`: answers as text and JSON, launch files, and refusals.

use crate::running::{json, run};

const LLAMA: &str = "--model llama-2-7b --seq-len 4096 --tokens 1B --global-batch 256";

#[test]
fn a_plan_has_its_job_and_what_it_is_better_than() {
    let answer = json(&format!(
        "plan {LLAMA} --gpu a100-sxm4-80gb,h100-sxm5-80gb --gpus 8..16 --top 3 --threads 2 --format json"
    ));
    assert_eq!(answer["schema"], "wattlaw-plan/1");
    let plans = answer["plans"].as_array().unwrap();
    assert_eq!(plans.len(), 3);
    let energy = |at: usize| plans[at]["energy_j"]["estimate"].as_f64().unwrap();
    assert!(energy(0) <= energy(1) && energy(1) <= energy(2));
    assert_eq!(plans[0]["job"]["schema"], "wattlaw-job/1");
    let count = |of: &serde_json::Value| of.as_u64().unwrap();
    let left_out: u64 =
        answer["left_out"].as_array().unwrap().iter().map(|row| count(&row["count"])).sum();
    assert_eq!(count(&answer["searched"]), count(&answer["evaluated"]) + left_out);
    let undone = answer["best_undone"].as_array().unwrap();
    assert!(undone.iter().any(|one| one["choice"] == "gpu"));
    assert!(undone.iter().all(|one| one["energy_factor"].as_f64().unwrap() >= 1.0));
}

#[test]
fn the_planned_job_is_predicted_as_planned() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("launch");
    let line = format!(
        "plan {LLAMA} --gpu h100-sxm5-80gb --gpus 16 --top 3 --emit accelerate,slurm -o {} --format json",
        out.display()
    );
    let planned = json(&line);
    let job = out.join("job.toml");
    let predicted = json(&format!("predict {} --format json", job.display()));
    assert_eq!(planned["plans"][0]["job"], predicted["job"]);
    assert_eq!(planned["plans"][0]["energy_j"], predicted["energy_j"]);
    assert!(std::fs::read_to_string(out.join("train.sh")).unwrap().contains("nvidia-smi -pl "));
}

#[test]
fn files_that_no_plan_has_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("launch");
    let ran = run(&format!(
        "plan {LLAMA} --gpu h100-sxm5-80gb --gpus 16 --top 1 --emit torchtitan -o {}",
        out.display()
    ));
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("torchtitan has no configuration for it"), "{}", ran.stderr);
    assert!(!out.exists());
}

#[test]
fn no_plan_is_one_sentence_with_what_it_takes() {
    for (flags, sentence) in [
        ("--gpu t4 --gpus 1", "no plan fits in memory: the nearest (1 × t4"),
        ("--gpu h100 --gpus 8 --deadline 1s", "--deadline is 1"),
        ("--gpu h100 --gpus 8 --minimise cost", "price_per_gpu_hour is missing"),
        ("--gpu h100 --gpus 8 --max-gpus 4", "none of the given ones is within --max-gpus"),
        ("--gpu h1000 --gpus 8", "unknown GPU `h1000`"),
        ("--gpu h100,h1000 --gpus 8", "unknown GPU `h1000`"),
    ] {
        let ran = run(&format!("plan {LLAMA} {flags}"));
        assert_eq!(ran.code, 1, "{flags}: {}", ran.stderr);
        assert!(ran.stderr.contains(sentence), "{flags}: {}", ran.stderr);
        assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{flags}: {}", ran.stderr);
    }
}

#[test]
fn alternatives_are_every_combination_of_the_lists() {
    let answer = json(&format!(
        "compare {LLAMA} --gpu a100-sxm4-80gb,h100-sxm5-80gb --gpus 8,16 --strategy fsdp --micro-batch 1,2 --format json"
    ));
    let rows = answer["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 8);
    let best: f64 = rows.iter().map(|row| row["probability_best"].as_f64().unwrap()).sum();
    assert!((best - 1.0).abs() < 1e-9);
    // what is no job is left out with its reason
    let ran = run(&format!("compare {LLAMA} --gpu h100 --gpus 8 --strategy fsdp --tp 1,3"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("an alternative is left out: "), "{}", ran.stderr);
}
