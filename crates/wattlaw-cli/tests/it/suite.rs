//! `wattlaw validate --suite`: what runs anywhere, and where measured tables lie beside the project a case of each kind.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use crate::running::{json, root, run};
use serde_json::Value;

/// Lines of `examples/runs.csv` that hold its two largest and two smallest families, by layers · hidden² · tokens.
const LARGEST: [u64; 6] = [20, 21, 22, 23, 24, 25];
const SMALLEST: [u64; 6] = [2, 3, 4, 5, 6, 7];

/// Whether the measured tables are there; says so where they are not.
fn measured() -> bool {
    let there = root().join("../shared/data").exists();
    if !there {
        println!("skipped: the measured tables are not beside the project");
    }
    there
}

#[test]
fn without_measured_tables_it_says_what_it_skipped_and_judges_made_up_runs() {
    let ran = run("validate --suite --data no-such-folder --format json");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let skipped: Vec<&str> = ran.stderr.lines().filter(|l| l.starts_with("skipped: ")).collect();
    assert_eq!(skipped.len(), 1, "{}", ran.stderr);
    assert!(skipped[0].contains("no-such-folder") && skipped[0].contains("vtrain-tp"));
    assert!(skipped[0].contains("configurations") && skipped[0].contains("node-energy"));
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["published"], Value::Array(Vec::new()));
    let cases = report["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 1);
    assert_eq!(cases[0]["case"], "made-up");
    let laws: Vec<String> = cases[0]["laws"]
        .as_array()
        .unwrap()
        .iter()
        .map(|law| {
            format!("{} of {}", law["name"].as_str().unwrap(), law["target"].as_str().unwrap())
        })
        .collect();
    for law in [
        "roofline of energy",
        "roofline of duration",
        "TDP × predicted time of energy",
        "roofline, no discrepancy of energy",
        "scaling, after the run of energy",
        "scaling, before the run of duration",
        "6·N·D at 40 % of peak of energy",
    ] {
        assert!(laws.iter().any(|l| l == law), "no {law} in {laws:?}");
    }
    // eight families of three runs each: the largest two are held out, then the smallest two
    let splits = cases[0]["splits"].as_array().unwrap();
    let lines = |split: &Value| -> Vec<u64> {
        split["lines"].as_array().unwrap().iter().map(|l| l.as_u64().unwrap()).collect()
    };
    assert_eq!(splits.len(), 2);
    assert_eq!(
        (splits[0]["held_out"].as_str(), lines(&splits[0])),
        (Some("small_to_large"), LARGEST.to_vec())
    );
    assert_eq!(
        (splits[1]["held_out"].as_str(), lines(&splits[1])),
        (Some("large_to_small"), SMALLEST.to_vec())
    );
}

#[test]
fn runs_that_no_law_is_fitted_on_are_timed_roughly_and_say_what_is_assumed() {
    if !measured() {
        return;
    }
    let report =
        json("validate --suite --only-case published --only-case node-energy --format json");
    let runs = report["published"].as_array().unwrap();
    assert_eq!(runs.len(), 3);
    // the time of the first covers its evaluations, which the prediction does not
    for (run, largest) in runs.iter().zip([0.25, 0.2, 0.1]) {
        let error = run["duration_h"]["error"].as_f64().unwrap();
        assert!(error.abs() < largest, "{}: {error}", run["run"]);
        assert!(!run["assumptions"].as_array().unwrap().is_empty());
        let [lower, upper] = [0, 1].map(|i| run["duration_h"]["interval"][i].as_f64().unwrap());
        let hours = run["duration_h"]["predicted"].as_f64().unwrap();
        assert!(lower < hours && hours < upper, "{run}");
    }
    let nodes = &report["held_out"][0]["groups"];
    let n = |i: usize| nodes[i]["energy"]["n"].as_u64().unwrap();
    // ten runs of each benchmark, and the published run of one of them
    assert_eq!((nodes[0]["counts"].as_bool(), n(0)), (Some(false), 10));
    assert_eq!((nodes[1]["counts"].as_bool(), n(1)), (Some(true), 11));
    let figures: Vec<&str> = report["figures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|figure| figure["case"].as_str().unwrap())
        .collect();
    assert_eq!(figures, ["node-energy", "tucano-160m", "tucano-1b1"]);
}

#[test]
fn flags_of_the_suite_and_of_one_table_do_not_mix() {
    for (line, says) in [
        ("validate --suite --setting gpt", "--suite"),
        ("validate --suite --seed 3", "--suite"),
        ("validate --suite examples/runs.csv", "--suite"),
        ("validate examples/runs.csv --only-case made-up", "--only-case requires --suite"),
        ("validate examples/runs.csv --data .", "--data requires --suite"),
        ("validate examples/runs.csv --with-rows", "--with-rows requires --suite"),
        ("validate --suite --only-case gpt-a100", "unknown case `gpt-a100`"),
    ] {
        let ran = run(line);
        assert_eq!(ran.code, 2, "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{line}: {}", ran.stderr);
    }
}
