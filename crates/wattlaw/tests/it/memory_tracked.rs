//! Peak memory of PyTorch's recipe against PyTorch's own memory tracker, on training steps of fake tensors
//! (`tests/golden/peak_memory.py`).
//!
//! The tracker counts tensors, so the CUDA context, NCCL and the allocator's reserve are left out of the estimate. The
//! cases called held out were tracked after the recipe was mended on the others.
//!
//! `cargo test -p wattlaw --test it memory_tracked:: -- --nocapture` prints each case.

#![allow(clippy::unwrap_used)]

use crate::memory_measured::quantile;
use serde_json::Value;
use wattlaw::base::amount::Count;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::model::ModelSpec;
use wattlaw::job::parallelism::ParallelismSpec;
use wattlaw::job::workload::WorkloadSpec;
use wattlaw::job::{Job, JobSpec};
use wattlaw::memory::{Memory, MemoryPart, Recipe};

/// A word of a case, read as the job's field reads it.
fn word<T: std::str::FromStr<Err = wattlaw::Error>>(case: &Value, key: &str) -> Option<T> {
    case[key].as_str().map(|text| text.parse().unwrap())
}

fn job(case: &Value, catalog: &Catalog) -> Job {
    let number = |key: &str| case[key].as_u64();
    let family = case["family"].as_str().unwrap();
    let image = family == "vit";
    let t5 = family == "t5";
    let model = ModelSpec {
        family: Some(if family == "titan" { "llama" } else { family }.into()),
        layers: number("layers"),
        encoder_layers: number("layers").filter(|_| t5),
        hidden_size: number("hidden_size"),
        heads: number("heads"),
        kv_heads: number("kv_heads"),
        ffn_size: number("ffn_size"),
        vocab_size: number("vocab_size").filter(|_| !image),
        max_positions: number("seq_len").filter(|_| !image && !t5),
        image_size: number("image_size"),
        patch_size: number("patch_size"),
        ..Default::default()
    };
    let workload = WorkloadSpec {
        steps: Some(Count::new(1)),
        seq_len: number("seq_len").filter(|_| !image),
        decoder_seq_len: number("decoder_seq_len"),
        micro_batch: number("micro_batch"),
        grad_accum: number("grad_accum"),
        precision: word(case, "precision"),
        state_precision: word(case, "state_precision"),
        attention: word(case, "attention"),
        checkpointing: match case["checkpointing"].as_str().unwrap() {
            "per_operation" => Some(wattlaw::job::workload::Checkpointing::Selective),
            _ => word(case, "checkpointing"),
        },
        lora: (!case["lora"].is_null())
            .then(|| serde_json::from_value(case["lora"].clone()).unwrap()),
        ..Default::default()
    };
    let parallelism = ParallelismSpec {
        strategy: word(case, "strategy").filter(|_| number("dp") > Some(1)),
        dp: number("dp"),
        tp: number("tp"),
        sequence_parallel: case["sequence_parallel"].as_bool(),
        ..Default::default()
    };
    let mut spec = JobSpec { model, workload, parallelism, ..JobSpec::default() };
    spec.system.gpu = Some("h100-sxm5-80gb".into());
    spec.resolve(catalog).unwrap()
}

/// PyTorch's recipe for a case's optimizer and model.
fn recipe(case: &Value) -> Recipe {
    let update_copies = if case["adamw"] == "fused" { 0.0 } else { 1.0 };
    let base = if case["family"] == "titan" { Recipe::FSDP2 } else { Recipe::PYTORCH };
    Recipe { update_copies, ..base }
}

#[test]
fn peaks_are_those_of_pytorchs_tracker() {
    let golden: Value = serde_json::from_str(include_str!("../golden/peak_memory.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    let catalog = Catalog::built_in().unwrap();
    let (mut known, mut held_out) = (Vec::new(), Vec::new());
    let mut phases = 0;
    for case in cases {
        let memory = Memory::with_recipe(&job(case, &catalog), &recipe(case));
        // the tracker counts tensors: neither what the allocator caches nor what lies outside it
        let counted = memory.needed - memory.part(MemoryPart::Reserve);
        let tracked = case["peak_bytes"].as_f64().unwrap();
        let error = counted.value() / tracked - 1.0;
        let phase = case["phase"].as_str().unwrap();
        phases += usize::from(phase == memory.peak_phase.name());
        println!(
            "{:+6.1} % of {:6.2} GiB, peak in {phase}, estimated in {}: {}",
            100.0 * error,
            tracked / 1024.0_f64.powi(3),
            memory.peak_phase,
            describe(case)
        );
        let errors = if case["held_out"] == true { &mut held_out } else { &mut known };
        errors.push(error.abs());
    }
    println!("{} cases, the phase of {phases} is the tracked one", cases.len());
    assert!(known.len() >= 130 && held_out.len() >= 25);
    assert!(phases as f64 >= 0.9 * cases.len() as f64);
    // the tracked peaks are exact, so the estimate has to be much nearer than any measurement could tell
    for (name, errors, median, ninth) in
        [("known", known, 0.005, 0.02), ("held out", held_out, 0.01, 0.05)]
    {
        let (half, most) = (quantile(&errors, 0.5), quantile(&errors, 0.9));
        println!(
            "{name}: {} cases, median error {:.2} %, nine in ten within {:.1} %, largest {:.1} %",
            errors.len(),
            100.0 * half,
            100.0 * most,
            100.0 * quantile(&errors, 1.0)
        );
        assert!(half <= median, "{name}: median error {half}");
        assert!(most <= ninth, "{name}: ninth decile {most}");
    }
}

/// A case in words.
fn describe(case: &Value) -> String {
    let keys = [
        "family",
        "layers",
        "hidden_size",
        "seq_len",
        "micro_batch",
        "grad_accum",
        "precision",
        "state_precision",
        "attention",
        "checkpointing",
        "adamw",
        "strategy",
        "dp",
        "tp",
        "sequence_parallel",
        "lora",
    ];
    let words = keys.map(|key| case[key].to_string().replace('"', ""));
    words.join(" ")
}
