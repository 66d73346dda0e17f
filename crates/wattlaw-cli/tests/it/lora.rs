//! From measurement to prediction with a job that only a whole job description tells: adapters on frozen weights.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;

use serde_json::Value;

use crate::running::limited::Limited as _;
use crate::running::place::Place;
use crate::running::run_in;

/// Sequences that a rank takes at once, and how long the stand-in for a training program takes, in seconds.
const RUNS: [(u64, &str); 5] = [(1, "0.2"), (2, "0.25"), (4, "0.35"), (8, "0.5"), (16, "0.9")];

fn job(micro_batch: u64) -> String {
    format!(
        "model = {{ name = 'gpt2' }}\n\
         system = {{ gpu = 't4', power_limit_w = 65 }}\n\
         [workload]\n\
         steps = 20\n\
         seq_len = 256\n\
         micro_batch = {micro_batch}\n\
         padding_share = 0.25\n\
         optimizer = 'sgd'\n\
         lora = {{ rank = 8, targets = ['q', 'v', 'up'] }}\n"
    )
}

#[test]
fn a_job_with_adapters_is_measured_fitted_and_predicted_as_itself() {
    let place = Place::new();
    for (micro_batch, seconds) in RUNS {
        let file = place.path().join(format!("lora-{micro_batch}.toml"));
        fs::write(&file, job(micro_batch)).unwrap();
        let words = format!(
            "measure --quiet --assume cpu=45W --job lora-{micro_batch}.toml -- sleep {seconds}"
        );
        assert!(place.wattlaw(&words).finish().status.success());
    }
    let records: Vec<String> = fs::read_dir(place.path().join("runs"))
        .unwrap()
        .map(|entry| format!("runs/{}", entry.unwrap().file_name().to_string_lossy()))
        .collect();
    assert_eq!(records.len(), RUNS.len());

    // the table of the records has the adapters, and is fitted as they are
    let written = run_in(place.path(), &format!("report --table runs.csv {}", records.join(" ")));
    assert_eq!(written.code, 0, "{}", written.stderr);
    let table = fs::read_to_string(place.path().join("runs.csv")).unwrap();
    for column in ["lora_rank", "lora_targets", "optimizer", "padding_share", "power_limit_w"] {
        assert!(table.lines().next().unwrap().split(',').any(|name| name == column), "{table}");
    }
    assert!(table.contains(",q v up,") && table.contains(",sgd,"), "{table}");
    let fit = |runs: &str, out: &str| {
        let words = format!("fit {runs} --law roofline --no-discrepancy --out {out}");
        let fitted = run_in(place.path(), &words);
        assert_eq!(fitted.code, 0, "{}", fitted.stderr);
        let text = fs::read_to_string(place.path().join(out)).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let (of_records, of_table) = (fit("runs", "records.json"), fit("runs.csv", "table.json"));
    let posterior = |calibration: &Value| calibration["law"]["posterior"].clone();
    assert!(posterior(&of_table)["mean"].as_array().unwrap().len() > 30);
    assert_eq!(posterior(&of_records), posterior(&of_table));

    for (micro_batch, seconds) in RUNS {
        let words = format!("lora-{micro_batch}.toml --format json");
        let predict = format!("predict {words} --calibration records.json");
        let predicted = run_in(place.path(), &predict);
        assert_eq!(predicted.code, 0, "{}", predicted.stderr);
        let predicted: Value = serde_json::from_str(&predicted.stdout).unwrap();
        let measured: f64 = seconds.parse().unwrap();
        let factor = predicted["duration_s"]["estimate"].as_f64().unwrap() / measured;
        // five runs of half a second beside other tests: the order of magnitude is what they can tell
        assert!((0.4..2.5).contains(&factor), "micro_batch {micro_batch}: ×{factor}");
        let cost = |job: &str| {
            let ran = run_in(place.path(), &format!("cost {job} --format json"));
            assert_eq!(ran.code, 0, "{}", ran.stderr);
            serde_json::from_str::<Value>(&ran.stdout).unwrap()
        };
        let flops = predicted["flops"]["hardware"].as_f64().unwrap();
        let of_ledger = cost(&format!("lora-{micro_batch}.toml"));
        let counted = of_ledger["hardware_flops"].as_f64().unwrap();
        assert!((flops / counted - 1.0).abs() < 1e-12, "{flops} is not {counted}");
    }
}
