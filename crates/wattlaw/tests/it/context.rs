//! Context parallelism against NVIDIA's DGX Cloud benchmarks: Llama 3.1 70B on two context-parallel ranks, which no
//! law was fitted on.
//!
//! The law is the built-in one; the exchange of keys and values is physics alone.
//!
//! `cargo test -p wattlaw --test it context:: -- --nocapture` prints the figures reached.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use wattlaw::calibration::built_in;
use wattlaw::data::sources::Sources;
use wattlaw::job::Job;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::workload::Amount;
use wattlaw::predict::Estimator;

use crate::sources::{measured, read};

const TWO_RANKS: &str = r#"
    [[source]]
    name = "dgx-cloud-context"
    table = "step_time/dgx_cloud_h100.csv"
    map = "dgx-cloud.toml"
    purpose = "evaluate"
    framework = "megatron/nemo-2024"
    network = "infiniband"
    network_gb_per_s = 50.0
    rows.cp = ["2"]
    citation = "NVIDIA, github.com/NVIDIA/dgxc-benchmarking"
    licence = "MIT"

    [[source.leave_out]]
    because = "their micro-batch is not printed"
    rows.micro_batch = [""]
"#;

const STEPS: u64 = 10_000;

/// Median of |ln(predicted / measured)| as a factor, and of predicted / measured.
fn medians(rows: &[(Job, f64)]) -> [f64; 2] {
    let calibration = built_in().unwrap();
    let mut estimator = Estimator::new(&calibration);
    let mut ratios: Vec<f64> = rows
        .iter()
        .map(|(job, seconds)| estimator.estimate(job).unwrap().duration_s.unwrap() / seconds)
        .collect();
    ratios.sort_by(f64::total_cmp);
    let mut errors: Vec<f64> = ratios.iter().map(|ratio| ratio.ln().abs().exp()).collect();
    errors.sort_by(f64::total_cmp);
    [errors[errors.len() / 2], ratios[ratios.len() / 2]]
}

#[test]
fn measured_steps_of_two_ranks_are_predicted() {
    let source = &Sources::from_toml(TWO_RANKS).unwrap().sources[0];
    let Some(table) = measured(source) else { return };
    let catalog = Catalog::built_in().unwrap();
    let data = read(source, &table);
    let rows: Vec<(Job, f64)> = data
        .runs
        .iter()
        .map(|run| {
            let mut job = run.resolve(&catalog).unwrap();
            // a table of steps has no start-up
            job.workload.amount = Amount::Steps(STEPS);
            (job, STEPS as f64 * run.duration.unwrap().value())
        })
        .collect();
    assert!(rows.iter().all(|(job, _)| job.parallelism.cp == 2));
    let [error, ratio] = medians(&rows);
    println!("{} rows: step time \u{d7}/\u{f7}{error:.3} (median ratio {ratio:.3})", rows.len());
    assert!(rows.len() == 30 && error < 1.05, "{error} {ratio}");
}
