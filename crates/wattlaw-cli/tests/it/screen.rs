//! The first screen of `predict`, as it is printed.

use crate::running::page::same_line;
use crate::running::{json, run};

/// What a command prints to standard output and standard error, having succeeded.
#[track_caller]
fn shown(line: &str) -> (String, String) {
    let ran = run(line);
    assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
    (ran.stdout, ran.stderr)
}

/// Compares lines; numbers may differ by one in their last digit.
#[track_caller]
fn is(printed: &str, expected: &str) {
    let (printed_lines, expected): (Vec<&str>, Vec<&str>) =
        (printed.lines().collect(), expected.trim_matches('\n').lines().collect());
    let same = printed_lines.len() == expected.len()
        && printed_lines.iter().zip(&expected).all(|(found, line)| same_line(line, found));
    assert!(same, "{printed}");
}

#[test]
fn a_stated_job_is_answered_without_a_warning() {
    let (printed, warnings) = shown(
        "predict --model bert-base-uncased --gpu a100-sxm4-40gb --gpus 4 --strategy fsdp --seq-len 128 --micro-batch 32 \
         --tokens 10M --precision fp16",
    );
    is(
        &printed,
        "
bert-base-uncased on 4 × a100-sxm4-40gb, fsdp, fp16: 10.0M tokens in 610 steps of 128 sequences
                  estimate         95 % interval
energy             10.8 Wh    5.77 Wh to 20.4 Wh  GPUs
time                55.5 s  22.0 s to 2 min 20 s  80.4 ms a step
GPU-hours           0.0616       0.0245 to 0.155
tokens/s              180k         71.6k to 454k
energy per token   3.90 mJ    2.08 mJ to 7.33 mJ
mean power           703 W      448 W to 1.10 kW
MFU                 9.65 %      3.83 % to 24.3 %
memory per GPU    3.66 GiB  2.24 GiB to 5.97 GiB  fits in 39.5 GiB
fitted, ×/÷1.88: 2432 runs on this chip (GA100); --framework narrows the intervals
by default: grad_accum 1, adamw, no checkpointing, flash attention, framework unknown, 4 GPUs a node
",
    );
    assert_eq!(warnings, "");
}

/// Two pairs of sequences of 256 on each of four GPUs: 4,096 tokens a step.
#[test]
fn preferences_are_counted_in_pairs() {
    let (printed, warnings) = shown(
        "predict --model gpt2 --gpu a100-sxm4-40gb --gpus 4 --strategy ddp --seq-len 256 --micro-batch 2 --steps 1000 \
         --objective dpo",
    );
    assert!(printed.contains(": 4.10M tokens in 1,000 steps of 8 pairs"), "{printed}");
    assert!(warnings.contains("no run with preference tuning"), "{warnings}");
    assert!(printed.contains("extrapolated"), "{printed}");
}

#[test]
fn strategy_and_micro_batch_are_chosen_and_said() {
    let (printed, warnings) = shown(
        "predict --model llama-2-13b --gpu h100 --gpus 16 --seq-len 4096 --tokens 1B --global-batch 64 --pue 1.2 \
         --carbon-intensity 300 --price-per-gpu-hour 3 --currency EUR",
    );
    assert_eq!(warnings, "");
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 14);
    assert_eq!(
        lines[0],
        "llama-2-13b on 16 × h100-sxm5-80gb, fsdp, bf16: 1.00B tokens in 3815 steps of 64 sequences"
    );
    assert!(lines[10].ends_with("of the facility") && lines[10].starts_with("carbon "));
    assert!(lines[11].ends_with(" EUR") && lines[11].starts_with("price "));
    assert_eq!(
        lines[13],
        "by default: fsdp, micro_batch 1, bf16, adamw, no checkpointing, flash attention, framework unknown, 8 GPUs a node, \
         network unknown"
    );
}

#[test]
fn what_would_not_fit_is_said_first() {
    let (printed, warnings) =
        shown("predict --model llama-2-7b --gpu t4 --seq-len 512 --micro-batch 1 --steps 10");
    assert!(printed.contains("does not fit in 14.8 GiB"), "{printed}");
    assert_eq!(warnings.lines().count(), 1, "{warnings}");
    assert!(warnings.starts_with("warning: the job needs "), "{warnings}");
}

#[test]
fn verbose_adds_notes_and_details_below_the_same_screen() {
    let line = "predict --model gpt2 --gpu rtx-4090 --seq-len 1024 --tokens 10M";
    let ((short, few), (long, all)) = (shown(line), shown(&format!("{line} -v")));
    assert!(long.starts_with(&short));
    assert_eq!(few, "");
    assert!(all.contains("note: a vocabulary of 50257 is no multiple of 8"), "{all}");
    for detail in ["parameters  ", "at other scopes", "\ntime = ", "\nmicro_batch      8 "] {
        assert!(long.contains(detail) && !short.contains(detail), "{detail}: {long}");
    }
}

#[test]
fn json_has_the_figures_the_defaults_and_the_severity_of_warnings() {
    let answer = json(
        "predict --model gpt2 --gpu rtx-4090 --gpus 2 --seq-len 1024 --steps 100 --global-batch 32 --format json",
    );
    let of = |name: &str| answer[name]["estimate"].as_f64().unwrap();
    let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-12, "{a} {b}");
    near(of("gpu_hours"), 2.0 * of("duration_s") / 3600.0);
    near(of("tokens_per_s"), 100.0 * 32.0 * 1024.0 / of("duration_s"));
    assert!(of("step_s") < of("duration_s") / 100.0);
    assert!(of("mfu") > 0.0 && of("mfu") < 1.0);
    assert_eq!((&answer["global_batch"], &answer["precision"]), (&32.into(), &"bf16".into()));
    let default = |field: &str| {
        let all = answer["defaults"].as_array().unwrap();
        let found = all.iter().find(|taken| taken["field"] == field)?;
        Some((found["value"].as_str()?.to_owned(), found["source"].as_str()?.to_owned()))
    };
    let taken = |value: &str, source: &str| Some((value.to_owned(), source.to_owned()));
    assert_eq!(default("strategy"), taken("ddp", "memory"));
    assert_eq!(default("micro_batch"), taken("8", "memory"));
    assert_eq!(default("precision"), taken("bf16", "accelerator"));
    assert_eq!(default("optimizer"), taken("adamw", "convention"));
    // it follows from the other sizes
    assert_eq!(default("grad_accum"), None);
    let severities: Vec<&str> = answer["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| warning["severity"].as_str().unwrap())
        .collect();
    assert_eq!(severities, ["warning", "info"]);
}

#[test]
fn a_global_batch_that_cannot_be_is_refused_in_one_sentence() {
    let ran = run(
        "predict --model gpt2 --gpu a100 --gpus 8 --seq-len 1024 --tokens 10M --global-batch 100 --micro-batch 8",
    );
    assert_eq!(ran.code, 2);
    assert_eq!(
        ran.stderr.lines().next(),
        Some(
            "error: global_batch is 100, but it must be a multiple of micro_batch 8 × dp 8 = 64, such as 64 or 128"
        )
    );
}

#[test]
fn cost_counts_the_job_that_predict_answers() {
    let job =
        "--model gpt2-xl --gpu a100-sxm4-40gb --gpus 4 --seq-len 1024 --tokens 10M --format json";
    let (cost, answer) = (json(&format!("cost {job}")), json(&format!("predict {job}")));
    assert_eq!(cost["steps"], answer["steps"]);
    // a description for a trainer states its batch
    assert_eq!(run(&format!("job {job}")).code, 2);
}
