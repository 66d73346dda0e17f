//! The first screen of an answer: short for any job, and quiet for most.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use wattlaw::built_in;
use wattlaw::calibration::embedded;
use wattlaw::job::JobSpec;
use wattlaw::job::model::ModelSpec;
use wattlaw::predict::{ChosenJob, Quantity, Screen, Severity, predict};

use crate::jobs::{CATALOG, jobs};

const JOBS: usize = 500;

/// Accelerators with every precision of the jobs, with runs and without.
const GPUS: [&str; 6] = ["a100-sxm4-80gb", "h100-sxm5-80gb", "rtx-4090", "l40s", "a40", "mi300x"];

/// The same jobs on every machine; half of them leave strategy and micro-batch open, and every seventh is a large model.
fn sample() -> Vec<JobSpec> {
    let mut runner = TestRunner::deterministic();
    let jobs = jobs();
    let draw = |i: usize| {
        let mut spec = jobs.new_tree(&mut runner).unwrap().current();
        spec.system.gpu = Some(GPUS[i % GPUS.len()].to_owned());
        if i.is_multiple_of(7) {
            let name = Some("llama-2-13b".to_owned());
            spec.model = ModelSpec { name, ..ModelSpec::default() };
            (spec.workload.decoder_seq_len, spec.workload.task) = (None, None);
            spec.workload.seq_len = Some(4096);
            (spec.parallelism.schedule, spec.parallelism.virtual_stages) = (None, None);
        }
        if i.is_multiple_of(2) {
            (spec.parallelism.strategy, spec.parallelism.shard_group) = (None, None);
            spec.workload.micro_batch = None;
        }
        spec
    };
    (0..JOBS).map(draw).collect()
}

#[test]
fn any_job_is_answered_on_one_screen_with_few_warnings() {
    let law = built_in().unwrap();
    let (mut lines, mut warnings) = (Vec::new(), Vec::new());
    for (i, mut spec) in sample().into_iter().enumerate() {
        // every row is there in one of five
        if i.is_multiple_of(5) {
            spec.system.carbon_g_per_kwh = Some(300.0);
            spec.system.price_per_gpu_hour = Some(2.0);
            spec.system.pue = Some(1.2);
        }
        let chosen = ChosenJob::new(&spec, &CATALOG).unwrap_or_else(|e| panic!("{e}: {spec:?}"));
        let prediction = predict(&chosen.job, &law, "built in", None, 0.95).unwrap();
        let screen = Screen::new(&chosen.job, &prediction, &chosen.defaults);
        lines.push(screen.lines());
        warnings.push(screen.warnings.len());
        assert!(screen.warnings.len() <= 3);
        assert!(screen.warnings.iter().all(|w| w.kind.severity() != Severity::Info));
        let quantities: Vec<Quantity> = screen.rows.iter().map(|row| row.quantity).collect();
        assert_eq!(quantities.contains(&Quantity::Price), i.is_multiple_of(5));
        for row in &screen.rows {
            let of = row.interval;
            assert!(of.lower <= of.estimate && of.estimate <= of.upper, "{row:?}");
        }
    }
    lines.sort_unstable();
    warnings.sort_unstable();
    let middle = JOBS / 2;
    println!(
        "lines: median {}, at most {}; warnings: median {}, at most {}",
        lines[middle],
        lines[JOBS - 1],
        warnings[middle],
        warnings[JOBS - 1]
    );
    assert!(lines[JOBS - 1] <= 16, "{} lines", lines[JOBS - 1]);
    assert!(lines[middle] <= 14, "{} lines in the median", lines[middle]);
    assert!(warnings[middle] <= 1, "{} warnings in the median", warnings[middle]);
}

#[test]
fn the_weightiest_warnings_come_first_and_none_is_said_twice() {
    let text = "model.name = 'llama-2-70b'
         workload = { tokens = '10M', seq_len = 4096, micro_batch = 8 }
         parallelism = { strategy = 'tp', tp = 2 }
         system = { gpu = 'rtx-4090', gpus = 2, power_limit_w = 600 }";
    let chosen = ChosenJob::new(&JobSpec::from_toml(text).unwrap(), &CATALOG).unwrap();
    let job = &chosen.job;
    let prediction = predict(job, &built_in().unwrap(), "built in", None, 0.95);
    let prediction = prediction.unwrap();
    let severities: Vec<Severity> = prediction.warnings.iter().map(|w| w.kind.severity()).collect();
    assert!(severities.is_sorted() && severities[0] == Severity::Critical, "{severities:?}");
    let shown = Screen::new(job, &prediction, &chosen.defaults);
    let kinds: Vec<&str> = shown.warnings.iter().map(|w| w.kind.name()).collect();
    // that the GPU has no runs is the reason of the confidence
    assert_eq!(kinds, ["memory", "power-limit"]);
    assert_eq!(shown.because, "no run on this chip (AD102 GeForce)");
    // the study's intervals do not widen, so its law warns
    let study = embedded().unwrap().into_iter().find(|law| law.name == "any-gpu-2026").unwrap();
    let text = text.replace("llama-2-70b", "bert-base-uncased").replace("4096", "512");
    let text = text.replace("power_limit_w = 600", "power_limit_w = 450");
    let chosen = ChosenJob::new(&JobSpec::from_toml(&text).unwrap(), &CATALOG).unwrap();
    let prediction = predict(&chosen.job, &study, "asked", None, 0.95).unwrap();
    let shown = Screen::new(&chosen.job, &prediction, &chosen.defaults);
    let kinds: Vec<&str> = shown.warnings.iter().map(|w| w.kind.name()).collect();
    assert!(kinds.contains(&"unknown-gpu") && kinds.contains(&"outside-range"), "{kinds:?}");
}
