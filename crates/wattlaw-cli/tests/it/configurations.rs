//! Frameworks' own files on the command line: the job that they describe, where each field comes from, and `convert`.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use crate::running::{json, run, run_in};

const FILES: &str = "examples/configurations/axolotl.yml examples/configurations/zero2.json";
const FLAGS: &str = "--gpu h100 --gpus 8 --examples 50k";

#[test]
fn every_field_of_the_answer_has_its_origin() {
    let answer = json(&format!("predict {FILES} {FLAGS} --format json"));
    let origin = answer["origin"].as_object().unwrap();
    let of = |field: &str| origin[field].as_str().unwrap();
    assert_eq!(of("gpu"), "flag");
    assert_eq!(of("examples"), "flag");
    assert_eq!(of("seq_len"), "file");
    assert_eq!(of("strategy"), "file");
    assert_eq!(of("layers"), "file");
    assert_eq!(of("tp"), "wattlaw-default");
    let job = &answer["job"];
    assert_eq!(job["workload"]["micro_batch"], 2);
    assert_eq!(job["workload"]["lora"]["rank"], 16);
    assert_eq!(job["parallelism"]["strategy"], "zero2");
    assert_eq!(job["workload"]["offload"], "optimizer");
    assert_eq!(job["model"]["name"], "llama-3.1-8b");
    // every field of the job has an origin
    let held: usize = ["model", "workload", "parallelism", "system"]
        .iter()
        .map(|table| job[table].as_object().unwrap().len())
        .sum();
    // a rank and targets stand in one field of the job
    assert_eq!(origin.len(), held + 1);
    let left_out: Vec<&str> = answer["unmodelled"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| of["key"].as_str().unwrap())
        .collect();
    assert_eq!(left_out, ["sample_packing"]);
}

#[test]
fn flags_go_before_files_and_files_before_the_frameworks_defaults() {
    let line = format!("predict {FILES} {FLAGS} --micro-batch 8 --model llama-2-7b --format json");
    let answer = json(&line);
    assert_eq!(answer["origin"]["micro_batch"], "flag");
    assert_eq!(answer["job"]["workload"]["micro_batch"], 8);
    assert_eq!(answer["job"]["workload"]["grad_accum"], 4);
    assert_eq!(answer["job"]["model"]["name"], "llama-2-7b");
    let defaults = json(
        "predict crates/wattlaw-import/tests/configurations/axolotl-defaults.yml --gpu h100 --gpus 2 --examples 1k --format json",
    );
    assert_eq!(defaults["origin"]["seq_len"], "framework-default");
    assert_eq!(defaults["origin"]["strategy"], "framework-default");
    assert_eq!(defaults["job"]["workload"]["seq_len"], 512);
}

#[test]
fn a_converted_job_is_the_same_job() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("job.toml");
    let ran = run(&format!("convert {FILES} -o {}", out.display()));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let of_files = json(&format!("predict {FILES} {FLAGS} --format json"));
    let of_job = json(&format!("predict {} {FLAGS} --format json", out.display()));
    assert_eq!(of_job["job"], of_files["job"]);
    assert_eq!(of_job["energy_j"], of_files["energy_j"]);
    // GPUs are in the script
    let script = run("convert examples/configurations/pretrain.sh --gpu h100");
    assert!(script.stdout.contains("gpus = 16"), "{}", script.stdout);
}

#[test]
fn one_gpu_has_no_strategy() {
    let answer = json(&format!("predict {FILES} --gpu h100 --gpus 1 --examples 1k --format json"));
    assert_eq!(answer["job"]["parallelism"]["strategy"], "single");
}

#[test]
fn what_is_wrong_is_said_with_file_line_and_key() {
    let fails = |line: &str| {
        let ran = run(line);
        assert_eq!(ran.code, 1, "{line}");
        ran.stderr.lines().last().unwrap().to_owned()
    };
    assert_eq!(
        fails("predict examples/configurations/axolotl.yml --gpu h100"),
        "error: examples/configurations/axolotl.yml:26: `zero2.json` is missing; deepspeed names it: give it beside this file"
    );
    assert_eq!(
        fails("predict examples/job.toml examples/configurations/zero2.json"),
        "error: examples/job.toml: a job file is given alone; `wattlaw convert` makes one of a framework's files"
    );
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.yml", "base_model: someone/Strange-7B\nsequence_len: 128\n");
    let ran = run_in(folder.path(), "predict a.yml --gpu h100 --examples 10");
    assert_eq!(
        ran.stderr,
        "error: a.yml:1: base_model is `someone/Strange-7B`, which is no model of the catalogue; give --model NAME (see \
         `wattlaw catalog models`), or --config with its config.json\n"
    );
    let ran = run_in(folder.path(), "predict a.yml --gpu h100 --examples 10 --model gpt2");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    write(
        "ds.json",
        "{\n\"train_batch_size\": 63,\n\"train_micro_batch_size_per_gpu\": 2,\n\"gradient_accumulation_steps\": 4\n}",
    );
    let ran = run_in(
        folder.path(),
        "predict ds.json --gpu h100 --gpus 8 --model gpt2 --seq-len 128 --steps 10",
    );
    assert_eq!(
        ran.stderr,
        "error: ds.json:2: train_batch_size (global_batch) is 63, but micro_batch 2 × grad_accum 4 × dp 8 is 64; leave one of \
         the three sizes out\n"
    );
}
