//! The interface that scripts rely on: words, JSON fields, exit codes, and what is printed where.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use crate::running;

use std::fs;
use std::process::{Command, Stdio};

use crate::running::limited::{Limited, start};
use crate::running::{Ran, WATTLAW, json, root, run};
use serde_json::Value;

const JOB: &str = "--model bert-base-uncased --gpu a100-sxm4-40gb --gpus 4 --strategy fsdp --seq-len 128 \
                   --micro-batch 32 --tokens 10M --precision fp16";

#[track_caller]
fn has(value: &Value, fields: &str) {
    for field in fields.split(' ') {
        assert!(value.get(field).is_some(), "no field `{field}` in {value:.300}");
    }
}

/// An estimate between two ends, all positive.
#[track_caller]
fn is_interval(value: &Value) {
    let of = |end: &str| value[end].as_f64().unwrap();
    assert!(0.0 < of("lower") && of("lower") < of("estimate") && of("estimate") < of("upper"));
}

/// A median between two quartiles.
#[track_caller]
fn is_summary(value: &Value) {
    let of = |at: &str| value[at].as_f64().unwrap();
    assert!(of("q25") <= of("median") && of("median") <= of("q75"));
}

#[test]
fn predict_answers_flags_and_a_job_file_alike() {
    let by_flags = json(&format!("predict {JOB} --format json"));
    for quantity in ["energy_j", "duration_s", "mean_power_w", "energy_per_token_j"] {
        is_interval(&by_flags[quantity]);
    }
    has(
        &by_flags,
        "level scope parameters tokens steps flops memory efficiency breakdown outside warnings calibration",
    );
    has(
        &by_flags["memory"],
        "peak_gib_per_gpu peak_gib capacity_gib recipe fits_probability fits fits_word peak_phase stage parts advice",
    );
    has(&by_flags["calibration"], "name kind reason rows sha256");
    assert_eq!(by_flags["parameters"], 109_482_240);
    assert_eq!(by_flags["memory"]["fits"], true);
    // the same answer, from another origin
    let mut by_file = json("predict examples/job.toml --format json");
    assert_eq!(by_flags["origin"]["gpu"], "flag");
    assert_eq!(by_file["origin"]["gpu"], "file");
    by_file["origin"] = by_flags["origin"].clone();
    assert_eq!(by_flags, by_file);

    assert_eq!(by_flags["calibration"]["law"], "roofline");

    // seconds and joules by part, and what the discrepancy multiplies their sums by
    let breakdown = &by_flags["breakdown"];
    for (which, quantity, total) in [(0, "time", "total_s"), (1, "energy", "total_j")] {
        let parts = breakdown[quantity].as_object().unwrap();
        let of = |name: &str| parts[name].as_f64().unwrap();
        let sum: f64 = parts.keys().filter(|name| *name != total).map(|name| of(name)).sum();
        assert!((sum / of(total) - 1.0).abs() < 1e-9, "{quantity}: {sum}");
        let answer = ["duration_s", "energy_j"][which];
        let expected = of(total) * breakdown["discrepancy"][which].as_f64().unwrap();
        let estimate = by_flags[answer]["estimate"].as_f64().unwrap();
        assert!((estimate / expected - 1.0).abs() < 1e-9, "{answer}: {estimate}, {expected}");
    }
}

#[test]
fn the_factors_of_a_scaling_law_multiply_to_the_energy() {
    let answer = json(&format!("predict {JOB} --calibration any-gpu-2026 --format json"));
    assert_eq!(answer["calibration"]["law"], "scaling");
    let factors = answer["breakdown"].as_array().unwrap();
    let product: f64 = factors.iter().map(|f| f["factor"].as_f64().unwrap()).product();
    let energy = answer["energy_j"]["estimate"].as_f64().unwrap();
    assert!(
        (product / energy - 1.0).abs() < 1e-9,
        "the factors come to {product}, the energy is {energy}"
    );
}

#[test]
fn flags_are_laid_over_a_job_file() {
    let two = json("predict examples/job.toml --gpus 2 --format json");
    let four = json("predict examples/job.toml --format json");
    assert_eq!(two["steps"].as_f64().unwrap(), 2.0 * four["steps"].as_f64().unwrap());
}

#[test]
fn energy_grows_with_tokens_and_prices_are_products() {
    let of = |more: &str| json(&format!("predict examples/job.toml --format json {more}"));
    let (less, more) = (of("--tokens 2M"), of("--tokens 4M"));
    assert!(more["energy_j"]["estimate"].as_f64() > less["energy_j"]["estimate"].as_f64());
    let priced = of("--tokens 2M --pue 1.5 --carbon-intensity 100 --price-per-kwh 0.5");
    // the facility is what is paid: the nodes at the plug times the PUE
    let estimate = |value: &Value| value["estimate"].as_f64().unwrap();
    let nodes = &priced["energy_by_scope_j"]["node_ac"];
    let facility = estimate(&priced["facility_energy_j"]);
    let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 1e-12;
    assert!(near(facility, 1.5 * estimate(nodes)));
    assert!(estimate(nodes) > estimate(&priced["energy_j"]));
    let kwh = facility / 3.6e6;
    assert!(near(estimate(&priced["carbon_g"]), 100.0 * kwh));
    assert!(near(estimate(&priced["cost"]), 0.5 * kwh));
}

/// Energy at a scope is `energy_j`, and the others stand beside it; a law of one scope has no other.
#[test]
fn energy_is_given_at_the_scope_that_is_asked() {
    let by_default = json("predict examples/job.toml --pue 1.2 --format json");
    assert_eq!(by_default["scope"], "gpu");
    let mut before = 0.0;
    for scope in ["gpu", "devices", "node_dc", "node_ac", "facility"] {
        let asked =
            json(&format!("predict examples/job.toml --pue 1.2 --scope {scope} --format json"));
        assert_eq!(asked["scope"], scope);
        is_interval(&asked["energy_j"]);
        assert_eq!(asked["energy_j"], by_default["energy_by_scope_j"][scope]);
        assert_eq!(asked["energy_by_scope_j"], by_default["energy_by_scope_j"]);
        assert_eq!(asked["duration_s"], by_default["duration_s"]);
        let energy = asked["energy_j"]["estimate"].as_f64().unwrap();
        assert!(energy > before, "{scope}");
        before = energy;
    }
    let without = json("predict examples/job.toml --format json");
    assert_eq!(without["energy_by_scope_j"]["facility"], Value::Null);
}

#[test]
fn the_framework_is_part_of_the_answer() {
    let ask = |more: &str| json(&format!("predict examples/job.toml {more} --format json"));
    let (unstated, stated) = (ask(""), ask("--framework accelerate/fms-hf-tuning"));
    assert_eq!(unstated["framework"], "unknown");
    assert_eq!(stated["framework"], "accelerate/fms-hf-tuning");
    assert_ne!(stated["duration_s"], unstated["duration_s"]);
    for answer in [&unstated, &stated] {
        has(&answer["confidence"], "label text");
    }
}

#[test]
fn every_example_is_answered() {
    let mut jobs = 0;
    for file in fs::read_dir(root().join("examples")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if name.ends_with("job.toml") {
            jobs += 1;
            let answer = json(&format!("predict examples/{name} --format json"));
            if answer["energy_j"]["upper"].is_null() {
                // an open end is said
                let warnings = answer["warnings"].as_array().unwrap();
                assert!(warnings.iter().any(|w| w["kind"] == "too-few-runs"), "{name}");
            } else {
                is_interval(&answer["energy_j"]);
            }
            assert!(
                json(&format!("cost examples/{name} --format json"))["model_flops"].as_f64()
                    > Some(0.0)
            );
        }
    }
    assert_eq!(jobs, 7);
}

#[test]
fn what_no_machine_can_do_is_answered_by_assumption() {
    let by_study = "--calibration any-gpu-2026 --format json";
    let large = json(&format!("predict examples/3d-job.toml {by_study}"));
    assert_eq!(large["calibration"]["kind"], "assumed");
    assert_eq!(large["warnings"][0]["kind"], "impossible");
    let warned = |line: &str, kind: &str| {
        let answer = json(line);
        answer["warnings"].as_array().unwrap().iter().any(|w| w["kind"] == kind)
    };
    assert!(warned(&format!("predict examples/lora-job.toml {by_study}"), "not-in-law"));
    let large = "predict examples/3d-job.toml --format json";
    assert!(!warned(large, "impossible") && !warned(large, "not-in-law"));
    assert_eq!(json(large)["calibration"]["kind"], "fitted");
}

#[test]
fn a_power_limit_stretches_a_busy_job_and_leaves_a_launch_bound_one() {
    let ask = |job: &str, more: &str| json(&format!("predict {job} {more} --format json"));
    let of = |answer: &Value, name: &str| answer[name]["estimate"].as_f64().unwrap();
    let busy =
        "--model gpt2-medium --gpu a100-sxm4-80gb --seq-len 1024 --micro-batch 8 --tokens 50M";
    let (free, held) = (ask(busy, ""), ask(busy, "--power-limit 250W"));
    let (before, limit) = (&free["power_limit"], &held["power_limit"]);
    has(limit, "limit_w binds draw_w clock_share time_factor");
    assert_eq!(before["limit_w"], 400.0);
    assert!(before["clock_share"].as_f64() > Some(0.9));
    assert_eq!((&limit["binds"], &limit["limit_w"]), (&Value::from(true), &Value::from(250.0)));
    assert!(limit["draw_w"].as_f64() <= Some(250.0) && limit["clock_share"].as_f64() < Some(0.9));
    let factor = limit["time_factor"].as_f64().unwrap();
    assert!(factor > 1.05);
    // start-up waits for no clock
    let steps_s = |answer: &Value| {
        let time = &answer["breakdown"]["time"];
        time["total_s"].as_f64().unwrap() - time["start_up_s"].as_f64().unwrap()
    };
    let expected = factor / before["time_factor"].as_f64().unwrap();
    assert!((steps_s(&held) / steps_s(&free) / expected - 1.0).abs() < 1e-9);
    assert!(of(&held, "energy_j") < of(&free, "energy_j"));
    let breakdown = &held["breakdown"];
    let (joules, seconds) = (&breakdown["energy"]["total_j"], &breakdown["time"]["total_s"]);
    assert!(joules.as_f64().unwrap() / seconds.as_f64().unwrap() <= 250.0);
    let shown = run(&format!("predict {busy} --power-limit 250W -v"));
    assert!(shown.stdout.contains("250 W per GPU limits the clock: "), "{}", shown.stdout);

    let small = "--family bert --layers 4 --hidden-size 128 --gpu a100-sxm4-40gb --seq-len 32 --micro-batch 1 \
                 --tokens 1M";
    let (free, held) = (ask(small, ""), ask(small, "--power-limit 200W"));
    assert_eq!(held["power_limit"]["binds"], false);
    for name in ["duration_s", "energy_j", "mean_power_w"] {
        assert!((of(&held, name) / of(&free, name) - 1.0).abs() < 0.01, "{name}");
    }

    let by_study = ask(small, "--power-limit 150W --calibration any-gpu-2026");
    assert!(by_study["power_limit"].is_null());
    let warnings = by_study["warnings"].as_array().unwrap();
    assert!(
        warnings
            .iter()
            .any(|w| w["text"].as_str().unwrap().contains("has no variable for the power limit"))
    );
}

#[test]
fn a_job_that_does_not_fit_says_what_would() {
    let large = json(
        "predict --model llama-2-7b --gpu t4 --seq-len 512 --micro-batch 1 --steps 10 --format json",
    );
    assert_eq!(large["memory"]["fits"], false);
    let warning =
        large["warnings"].as_array().unwrap().iter().find(|w| w["kind"] == "memory").unwrap();
    assert!(warning["text"].as_str().unwrap().contains("GiB per GPU, but"));
}

#[test]
fn cost_lists_the_ledger_and_its_sums() {
    let cost = json("cost examples/job.toml --format json");
    has(
        &cost,
        "attention_flops steps micro_steps_per_step model_flops hardware_flops model_flops_per_step \
                hardware_flops_per_step parameters active_parameters per_micro_step per_step memory stages",
    );
    let ops = cost["stages"][0]["ops"].as_array().unwrap();
    let sum: f64 = ops
        .iter()
        .filter(|op| op["phase"] != "step")
        .map(|op| op["count"].as_f64().unwrap() * op["flops"].as_f64().unwrap())
        .sum();
    let total = cost["per_micro_step"]["flops"].as_f64().unwrap();
    assert!((sum / total - 1.0).abs() < 1e-12);
}

#[test]
fn fit_reports_coefficients_and_writes_a_calibration_that_answers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.json");
    let fit = json(&format!(
        "fit examples/runs.csv --law scaling --setting pooled --covariance cluster --format json --out {}",
        file.display()
    ));
    has(
        &fit,
        "formula covariance n clusters r2 adjusted_r2 rmse coefficients vif condition_number data_sha256",
    );
    assert_eq!((fit["n"].as_u64(), fit["clusters"].as_u64()), (Some(24), Some(8)));
    for line in fit["coefficients"].as_array().unwrap() {
        has(line, "term estimate se_classical se_hc3 se_cluster se_cr2 p_value low high");
        assert_eq!(line["distribution"]["students_t"]["degrees"], 7.0);
    }
    assert!(
        fit["notes"].to_string().contains("rest on 8 groups of `config_family`"),
        "{}",
        fit["notes"]
    );
    let calibration: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    has(&calibration, "schema name made_by scope data held_out_by range notes law");
    has(&calibration["law"], "kind setting columns energy duration power_residuals after_run");
    assert_eq!((&calibration["name"], &calibration["scope"]), (&"mine".into(), &"gpu".into()));
    let answer = json(&format!(
        "predict --model bert-base-uncased --gpu rtx-4090 --gpus 2 --strategy fsdp --seq-len 128 --micro-batch 16 \
         --tokens 4M --precision fp16 --format json --calibration {}",
        file.display()
    ));
    assert_eq!(answer["scope"], "gpu");
    is_interval(&answer["energy_j"]);
}

#[test]
fn a_roofline_law_is_fitted_judged_and_answers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.json");
    let fit = json(&format!(
        "fit examples/runs.csv --law roofline --no-discrepancy --format json --out {}",
        file.display()
    ));
    has(&fit, "law n discrepancy population groups data_sha256 notes");
    assert_eq!((&fit["law"], &fit["discrepancy"]), (&"roofline".into(), &false.into()));
    let parameters = fit["population"].as_object().unwrap();
    assert!(parameters.len() > 30);
    for (name, parameter) in parameters {
        assert!(parameter["estimate"].as_f64().unwrap() > 0.0, "{name}");
        assert!(parameter["sd"].as_f64().unwrap() > 0.0, "{name}");
    }
    has(&fit["groups"], "chip framework program network source");
    assert_eq!(fit["groups"]["chip"].as_array().unwrap().len(), 1);
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 1);
    let calibration: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(calibration["law"]["kind"], "roofline");
    let answer = json(&format!(
        "predict --model bert-base-uncased --gpu rtx-4090 --gpus 2 --strategy fsdp --seq-len 128 --micro-batch 16 \
         --tokens 4M --precision fp16 --format json --calibration {}",
        file.display()
    ));
    is_interval(&answer["energy_j"]);

    let found = json(
        "validate examples/runs.csv --law roofline --no-discrepancy --splits 2 --level 0.7 --format json",
    );
    for target in [&found, &found["duration"]] {
        is_summary(&target["r2"]);
        assert_eq!(target["splits"].as_array().unwrap().len(), 2);
    }
    assert_eq!(found["before_run"], Value::Null);
}

#[test]
fn what_an_audit_finds_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.csv");
    let audit = json(&format!(
        "audit examples/runs.csv --kind short-window --format json --out {}",
        rows.display()
    ));
    has(&audit, "runs findings data_sha256");
    let findings = audit["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1);
    has(&findings[0], "row run_id kind detail");
    assert_eq!(findings[0]["run_id"], "made-up-03");
    assert_eq!(fs::read_to_string(&rows).unwrap(), "row,run_id,kind\n4,made-up-03,short-window\n");
    let fit = json(&format!("fit examples/runs.csv --format json --exclude {}", rows.display()));
    assert_eq!(fit["n"].as_u64(), Some(23));
    let none = json(&format!("audit examples/runs.csv --format json --exclude {}", rows.display()));
    assert_eq!((none["runs"].as_u64(), &none["findings"]), (Some(23), &Value::Array(vec![])));
}

#[test]
fn validate_reports_medians_and_quartiles() {
    let found = json(
        "validate examples/runs.csv --law scaling --hold-out family --splits 20 --test-size 0.3 --seed 2026 --level 0.5 \
         --format json",
    );
    for score in ["r2", "rmse", "median_ape", "mape", "coverage", "half_width_factor"] {
        is_summary(&found[score]);
        is_summary(&found["before_run"][score]);
    }
    assert_eq!(found["splits"].as_array().unwrap().len(), 20);
    has(
        &found["splits"][0],
        "held_out n_train n_test r2 rmse median_ape mape coverage half_width_factor",
    );
}

#[test]
fn efficiency_gives_rows_of_medians_between_ends() {
    let found = json("efficiency examples/runs.csv --resamples 2000 --format json");
    let rows = found["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for (row, gpus) in rows.iter().zip([2, 4]) {
        let names: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            names.join(" "),
            "gpu family strategy gpus n_pairs throughput_gain efficiency energy_per_token_change_pct"
        );
        assert_eq!((&row["gpu"], &row["strategy"]), (&"rtx-4090".into(), &"fsdp".into()));
        assert_eq!((row["gpus"].as_u64(), row["n_pairs"].as_u64()), (Some(gpus), Some(8)));
        let of = |quantity: &str, end: &str| row[quantity][end].as_f64().unwrap();
        for quantity in ["throughput_gain", "efficiency", "energy_per_token_change_pct"] {
            assert!(of(quantity, "lower") < of(quantity, "median"));
            assert!(of(quantity, "median") < of(quantity, "upper"));
        }
        let share = of("throughput_gain", "median") / gpus as f64;
        assert_eq!(of("efficiency", "median"), share);
    }
    // a wider level has a wider interval
    let wider = json("efficiency examples/runs.csv --resamples 2000 --level 0.99 --format json");
    let width = |found: &Value| {
        let gain = &found["rows"][0]["throughput_gain"];
        gain["upper"].as_f64().unwrap() - gain["lower"].as_f64().unwrap()
    };
    assert!(width(&wider) > width(&found));
}

#[test]
fn what_efficiency_leaves_out_is_told_beside_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let table = fs::read_to_string(root().join("examples/runs.csv")).unwrap();
    let without_one_baseline: String =
        table.lines().filter(|l| !l.starts_with("made-up-01")).map(|l| format!("{l}\n")).collect();
    fs::write(folder.path().join("runs.csv"), without_one_baseline).unwrap();
    let ran = running::run_in(folder.path(), "efficiency runs.csv --resamples 200 --format json");
    let rows = &serde_json::from_str::<Value>(&ran.stdout).unwrap()["rows"];
    assert_eq!((ran.code, rows[0]["n_pairs"].as_u64()), (0, Some(7)));
    assert_eq!(
        ran.stderr,
        "note: left out: 2 of 16 finished runs on several GPUs, the first, run made-up-02 in line 2, because no single-GPU run has its configuration\n"
    );
    // energy that the table does not have
    fs::write(folder.path().join("runs.csv"), table.replacen("energy_j", "e", 1)).unwrap();
    let ran = running::run_in(folder.path(), "efficiency runs.csv --resamples 200 --format json");
    let rows = &serde_json::from_str::<Value>(&ran.stdout).unwrap()["rows"];
    assert_eq!(rows[1]["energy_per_token_change_pct"], Value::Null);
    assert_eq!(rows[1]["n_pairs"], 8);
    assert!(ran.stderr.contains("columns not used: e"), "{}", ran.stderr);
}

#[test]
fn the_studys_own_commands_answer() {
    let runs = "../shared/data/multi_gpu_2026/runs.csv";
    if !root().join(runs).exists() {
        println!("skipped: {runs} is not beside the repository");
        return;
    }
    let fit = json(&format!(
        "fit {runs} --law scaling --setting pooled --covariance cluster-normal --format json"
    ));
    assert_eq!(fit["coefficients"][0]["distribution"], "normal");
    assert_eq!((fit["n"].as_u64(), fit["clusters"].as_u64()), (Some(655), Some(246)));
    let found = json(&format!(
        "validate {runs} --law scaling --setting pooled --hold-out family --splits 20 --test-size 0.3 --seed 2026 \
         --format json"
    ));
    assert!(found["r2"]["median"].as_f64().unwrap() > 0.9);
    let found = json(&format!("efficiency {runs} --resamples 2000 --format json"));
    let rows = found["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 11);
    let row = &rows[2];
    assert_eq!((&row["gpu"], row["gpus"].as_u64()), (&"NVIDIA A100-SXM4-40GB".into(), Some(6)));
    // as published: 2.7595 and +25.84 %
    let median = |name: &str| row[name]["median"].as_f64().unwrap();
    assert_eq!(format!("{:.4}", median("throughput_gain")), "2.7595");
    assert_eq!(format!("{:+.2}", median("energy_per_token_change_pct")), "+25.84");
}

#[test]
fn the_catalogue_is_listed_and_shown() {
    assert!(json("catalog gpus --format json")["accelerator"].as_array().unwrap().len() >= 26);
    assert!(json("catalog models --format json")["model"].as_array().unwrap().len() >= 70);
    let bert = json("catalog show bert-base-uncased --format json");
    assert_eq!(bert["schema"], "wattlaw-catalog-show/1");
    assert_eq!(bert["total_parameters"], 109_482_240);
    assert!(run("catalog show A100-SXM4-40GB").stdout.contains("a100-sxm4-40gb"));
    assert!(run("catalog").stdout.contains("systems"));
    let own = run("catalog show lab-gpu --catalog examples/catalog.toml");
    assert!(own.stdout.contains("made up for this example"), "{}", own.stderr);
}

#[test]
fn a_resolved_job_is_taken_in_place_of_its_job_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let mut examples = 0;
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with("job.toml") {
            continue;
        }
        examples += 1;
        let job = format!("examples/{name}");
        let resolved = run(&format!("job {job}")).stdout;
        let value: Value = serde_json::from_str(&resolved).unwrap();
        has(&value, "schema model workload parallelism system");
        assert_eq!(value["schema"], "wattlaw-job/1");
        fs::write(file("job.json"), &resolved).unwrap();
        fs::write(file("job.toml"), run(&format!("job {job} --format toml")).stdout).unwrap();
        let described = json(&format!("cost {job} --format json"));
        let predicted = json(&format!("predict {job} --format json"));
        assert!(!predicted["defaults"].as_array().unwrap().is_empty());
        for format in ["json", "toml"] {
            let written = file(&format!("job.{format}")).display().to_string();
            assert_eq!(json(&format!("cost {written} --format json")), described, "{written}");
            // the resolved job states what was taken by default
            let mut again = json(&format!("predict {written} --format json"));
            assert_eq!(again["origin"]["layers"], "file", "{name}");
            for field in ["defaults", "origin"] {
                again[field] = predicted[field].clone();
            }
            assert_eq!(again, predicted, "{name}");
            assert_eq!(run(&format!("job {written}")).stdout, resolved, "{name} by {format}");
        }
    }
    assert!(examples >= 7, "only {examples} job files");
    let two = json("job examples/job.toml --gpus 2");
    assert_eq!((&two["parallelism"]["dp"], &two["system"]["gpus"]), (&2.into(), &2.into()));
    let by_flags = json(&format!("job {JOB}"));
    assert_eq!(by_flags, json("job examples/job.toml"));
}

/// A pipe gives its text once.
#[test]
#[cfg(unix)]
fn a_job_is_read_from_a_pipe() {
    for (file, flags) in [
        ("examples/job.toml", ""),
        (
            "crates/wattlaw-import/tests/configurations/axolotl-defaults.yml",
            "--gpu h100 --gpus 2 --examples 1k",
        ),
    ] {
        let script = format!("cat {file} | {WATTLAW} predict /dev/stdin {flags} --format json");
        let piped: Ran =
            Command::new("sh").args(["-c", &script]).current_dir(root()).finish().into();
        assert_eq!(piped.code, 0, "{file}: {}", piped.stderr);
        let piped: Value = serde_json::from_str(&piped.stdout).unwrap();
        let named = json(&format!("predict {file} {flags} --format json"));
        assert_eq!(piped["energy_j"], named["energy_j"], "{file}");
        assert_eq!(piped["job"], named["job"], "{file}");
    }
}

#[test]
fn the_same_words_give_the_same_bytes() {
    for line in [
        "job examples/moe-job.toml",
        "predict examples/job.toml --format json",
        "cost examples/moe-job.toml",
        "fit examples/runs.csv --format json",
        "validate examples/runs.csv --law scaling --format json",
        "efficiency examples/runs.csv --resamples 2000",
        "catalog --format json",
    ] {
        let (first, second) = (run(line), run(line));
        assert_eq!(first.code, 0, "{}", first.stderr);
        assert_eq!(first.stdout, second.stdout);
        assert!(!first.stdout.contains('\u{1b}'), "colour in a pipe: {line}");
    }
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str| {
        let file = folder.path().join(name);
        assert_eq!(
            run(&format!("fit examples/runs.csv --name n --out {}", file.display())).code,
            0
        );
        fs::read(file).unwrap()
    };
    assert_eq!(written("a.json"), written("b.json"));
}

#[test]
fn colours_follow_no_color() {
    let with = |variables: &[(&str, &str)]| -> Ran {
        let mut command = Command::new(WATTLAW);
        command.arg("catalog").env_remove("NO_COLOR").envs(variables.iter().copied());
        command.finish().into()
    };
    assert!(with(&[("CLICOLOR_FORCE", "1")]).stdout.contains('\u{1b}'));
    assert!(!with(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]).stdout.contains('\u{1b}'));
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    for line in [
        "catalog",
        "catalog --format json",
        "predict examples/job.toml",
        "completions bash",
        "--help",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(WATTLAW);
        command.args(line.split(' ')).current_dir(root()).stdout(writer).stderr(Stdio::piped());
        let ran: Ran = start(&mut command).finish().into();
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
        assert!(!ran.stderr.contains("error"), "{line}: {}", ran.stderr);
    }
}

#[test]
fn shells_get_completions() {
    for (shell, said) in
        [("bash", "complete -F"), ("zsh", "#compdef wattlaw"), ("fish", "complete -c wattlaw")]
    {
        let ran = run(&format!("completions {shell}"));
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.contains(said) && ran.stdout.contains("micro-batch"), "{shell}");
    }
}

#[test]
fn every_subcommand_has_help() {
    for command in [
        "",
        "predict",
        "cost",
        "fit",
        "validate",
        "audit",
        "efficiency",
        "catalog",
        "catalog show",
        "completions",
    ] {
        let ran = run(&format!("{command} --help"));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert!(ran.stdout.contains("Usage: wattlaw"), "{command}");
        assert!(ran.stdout.lines().count() > 5, "{command}");
    }
    assert!(run("--version").stdout.starts_with("wattlaw "));
    assert_eq!(run("").code, 2);
}

#[test]
fn suggested_runs_are_a_table_that_runs_are_read_from() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.csv");
    let line = "calibrate --suggest 5 --space examples/space.toml --format json";
    let found = json(&format!("{line} --out {}", plan.display()));
    has(
        &found,
        "parent criterion seed points examined invalid too_large candidates log_sd_before runs total_duration_s \
         total_energy_kwh",
    );
    let runs = found["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 5);
    has(&runs[0], "rank job duration_s energy_kwh information_bits target_log_sd");
    let points = found["points"].as_u64().unwrap();
    assert_eq!(
        points,
        found["candidates"].as_u64().unwrap()
            + found["invalid"].as_u64().unwrap()
            + found["too_large"].as_u64().unwrap()
    );
    let total: f64 = runs.iter().map(|r| r["duration_s"].as_f64().unwrap()).sum();
    assert!((total / found["total_duration_s"].as_f64().unwrap() - 1.0).abs() < 1e-12);
    assert_eq!(json(line), found);

    // the plan is a run table: each row is the job that was chosen
    let bytes = fs::read(&plan).unwrap();
    let table = wattlaw::data::dataset::Dataset::from_csv(&bytes, "plan.csv", None).unwrap();
    assert!(table.notes.is_empty(), "{:?}", table.notes);
    let catalog = wattlaw::job::catalog::Catalog::built_in().unwrap();
    for (run, row) in table.runs.iter().zip(runs) {
        let job = run.resolve(&catalog).unwrap();
        assert_eq!(row["job"]["layers"], job.architecture.layers);
        assert_eq!(row["job"]["gpus"], job.parallelism.gpus());
        assert_eq!(row["job"]["strategy"] == "fsdp", job.parallelism.data.shards_parameters());
        assert_eq!(job.steps(), 200.0);
    }
}
