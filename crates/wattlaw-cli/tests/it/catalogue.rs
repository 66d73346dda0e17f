//! What people ask for by name: models, GPUs, regions, strategies and sizes as other tools write them.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use crate::running::{json, run};

const JOB: &str = "predict --model gpt2 --gpu a100 --seq-len 128 --steps 10 --micro-batch 1";

#[test]
fn a_models_repository_is_an_alias_of_its_name() {
    for name in
        ["meta-llama/Llama-3.1-8B", "Qwen/Qwen3-8B", "openai/gpt-oss-20b", "google/gemma-2-9b"]
    {
        let shown = json(&format!("catalog show {name} --format json"));
        assert_eq!(shown["parameters"], shown["total_parameters"], "{name}");
    }
    let filtered = run("catalog models qwen").stdout;
    assert!(filtered.contains("qwen3-235b-a22b") && !filtered.contains("llama-2-7b"), "{filtered}");
    let models = json("catalog models --format json");
    assert!(models["model"].as_array().unwrap().len() >= 280);
}

#[test]
fn a_region_sets_the_carbon_intensity_and_says_so() {
    let line = format!("{JOB} --region FR --pue 1.1 --format json");
    let ran = run(&line);
    assert!(
        ran.stderr.contains("France: 56.039 g CO₂e a kWh, mean of 2023; Our World in Data"),
        "{}",
        ran.stderr
    );
    let answer = json(&line);
    assert_eq!(answer["job"]["system"]["carbon_g_per_kwh"], 56.039);
    assert_eq!(answer["origin"]["carbon_g_per_kwh"], "flag");
    assert!(run("catalog regions fr").stdout.contains("FR, FRA"));
    let unknown = run(&format!("{JOB} --region Atlantis"));
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("unknown region `Atlantis`"), "{}", unknown.stderr);
    assert_eq!(run(&format!("{JOB} --region FR --carbon-intensity 50")).code, 2);
}

#[test]
fn sizes_levels_and_strategies_are_read_as_other_tools_write_them() {
    let line = "predict --model llama-3.2-1b --gpu h100 --gpus 12 --seq-len 2k --steps 10 --micro-batch 1 --strategy fsdp2 \
                --level 95 --format json";
    let answer = json(line);
    assert_eq!(answer["job"]["workload"]["seq_len"], 2048);
    assert_eq!(answer["job"]["parallelism"]["strategy"], "fsdp");
    assert_eq!(answer["job"]["system"]["gpus_per_node"], 6);
    assert_eq!(answer, json(&line.replace("95", "0.95").replace("fsdp2", "zero3")));
    let fails = |flags: &str| {
        let ran = run(&format!("{JOB} {flags}"));
        assert_eq!(ran.code, 2, "{flags}");
        ran.stderr
    };
    assert!(fails("--batch-size 8").contains("give --micro-batch"));
    assert!(fails("--strategy deepspeed").contains("zero1, zero2 or zero3"));
    assert!(fails("--level 0").contains("is not a level"));
    assert!(fails("--level 100").contains("is not a level"));
}

#[test]
fn completions_know_the_names_of_the_catalogue() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&format!("completions {shell}")).stdout;
        for name in ["qwen3-8b", "h100-sxm5-80gb", "dgx-h100", "auto"] {
            assert!(script.contains(name), "{name} is not completed in {shell}");
        }
    }
}
