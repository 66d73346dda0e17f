//! The suite's cases of the one law, on made-up runs of three sources: what each holds out, and what it counts.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use wattlaw::data::sources::Sources;
use wattlaw::job::catalog::Catalog;
use wattlaw::validate::suite::{HeldOut, HeldOutEvaluation, OneLaw, Over, SourceRow, Target};

const RUNS: &str = include_str!("../../../wattlaw-cli/data/runs.csv");

/// `one` shares its chip with `three` and its program with `two`.
const SOURCES: &str = r#"
    [[source]]
    name = "one"
    table = "runs.csv"
    purpose = "fit"
    framework = "accelerate/a"
    rows.layers = ["4", "6"]
    citation = "made up"
    licence = "none"

    [[source]]
    name = "two"
    table = "runs.csv"
    purpose = "fit"
    framework = "accelerate/a"
    rows.layers = ["8"]
    citation = "made up"
    licence = "none"

    [[source]]
    name = "three"
    table = "runs.csv"
    purpose = "fit"
    framework = "accelerate/b"
    rows.layers = ["12"]
    citation = "made up"
    licence = "none"
"#;

fn rows() -> Vec<SourceRow> {
    // jobs of eight layers ran on another chip
    let on_another = |line: &str| {
        if line.contains(",8,512,") || line.contains(",8,768,") {
            line.replace("rtx-4090", "a100-sxm4-80gb")
        } else {
            line.to_owned()
        }
    };
    let table: Vec<String> = RUNS.lines().map(on_another).collect();
    let table = table.join("\n");
    let catalog = Catalog::built_in().unwrap();
    let sources = Sources::from_toml(SOURCES).unwrap().sources;
    sources.iter().flat_map(|s| SourceRow::read(s, table.as_bytes(), &catalog).unwrap()).collect()
}

static ROWS: LazyLock<Vec<SourceRow>> = LazyLock::new(rows);

/// The law of all rows, which every fit without some of them starts at.
static LAW: LazyLock<OneLaw<'static>> = LazyLock::new(|| OneLaw::fit(&ROWS).unwrap());

fn evaluate(case: HeldOut) -> HeldOutEvaluation {
    LAW.evaluate(case, &mut |_| ()).unwrap()
}

/// Number of predicted runs of each group.
fn counts(evaluation: &HeldOutEvaluation) -> Vec<(&str, usize)> {
    let count = |g: &wattlaw::validate::suite::GroupScore| g.scores.duration.unwrap().n;
    evaluation.groups.iter().map(|g| (g.held_out.as_str(), count(g))).collect()
}

#[test]
fn a_source_is_seen_where_others_have_its_chip_and_its_program() {
    let found = evaluate(HeldOut::Sources);
    assert_eq!(counts(&found), [("one", 9), ("three", 9), ("two", 6)]);
    assert_eq!(found.groups.iter().map(|g| g.seen).collect::<Vec<_>>(), [true, false, false]);
    let n = |over, target| {
        let is = |s: &&wattlaw::validate::suite::Summary| s.over == over && s.target == target;
        found.summaries.iter().find(is).map(|s| (s.n_groups, s.n_rows)).unwrap()
    };
    assert_eq!(n(Over::Seen, Target::Duration), (1, 9));
    assert_eq!(n(Over::Unseen, Target::Energy), (2, 15));
    assert_eq!(n(Over::All, Target::Power), (3, 24));
    let time = found.groups[0].scores.duration.unwrap();
    let summary = found.summaries.iter().find(|s| s.over == Over::Seen).unwrap();
    assert_eq!(summary.mean_of_medians.to_bits(), time.median_error.to_bits());
    // the figures of seen sources, and those of all
    assert!(found.figures.iter().any(|f| f.held_out.ends_with("are seen")));
    assert!(found.figures.iter().any(|f| f.target == Target::Power));
}

#[test]
fn configurations_are_held_out_once_and_whole() {
    let found = evaluate(HeldOut::Configurations);
    assert_eq!(counts(&found), [("one", 9), ("three", 9), ("two", 6)]);
    let folds: Vec<Vec<u64>> = found
        .splits
        .iter()
        .map(|split| split.lines.values().flatten().copied().collect())
        .collect();
    let all: Vec<u64> = folds.iter().flatten().copied().collect();
    assert_eq!(all.len(), 24);
    assert_eq!(all.iter().copied().collect::<BTreeSet<_>>(), (2..=25).collect());
    // a configuration is three lines in a row: on one, two and four GPUs
    for fold in folds {
        let in_fold: BTreeSet<u64> = fold.iter().map(|line| (line - 2) / 3).collect();
        assert_eq!(in_fold.len() * 3, fold.len());
    }
}

#[test]
fn five_runs_of_each_source_of_a_chip_are_given_and_not_predicted() {
    let found = evaluate(HeldOut::ChipsGivenFive);
    assert_eq!(counts(&found), [("AD102 GeForce", 8), ("GA100", 1)]);
    assert!(found.splits.is_empty());
}

#[test]
fn a_program_is_held_out_alone_and_a_framework_with_all_its_programs() {
    let found = evaluate(HeldOut::Programs);
    assert_eq!(counts(&found), [("accelerate/a", 15), ("accelerate/b", 9)]);
    // nothing is left to fit without the only framework
    let error = LAW.evaluate(HeldOut::Frameworks, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("at least one run"), "{error}");
}

#[test]
fn a_row_is_written_with_its_job_and_what_was_measured() {
    let written = serde_json::to_value(&ROWS[0]).unwrap();
    assert_eq!(written["source"], "one");
    assert_eq!(written["line"], 2);
    assert_eq!(written["job"]["model"]["layers"], 4);
    assert_eq!(written["accelerator"]["name"], "rtx-4090");
    let seconds = written["time_s"].as_f64().unwrap();
    approx::assert_relative_eq!(seconds, 19.1, max_relative = 1e-9);
    approx::assert_relative_eq!(
        written["power_w"].as_f64().unwrap() * seconds,
        2896.0,
        max_relative = 1e-9
    );
}
