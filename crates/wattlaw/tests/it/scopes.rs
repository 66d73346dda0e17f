//! Energy of nodes at the plug from that of their GPUs, against metered nodes of MLPerf Training v4.0.
//!
//! The measured rows are not part of the project; where they are absent the test says so and passes.

#![allow(clippy::unwrap_used, reason = "helper functions of a test")]

use std::path::Path;

use serde::Deserialize;

use wattlaw::base::scope::Scope;
use wattlaw::base::units::JOULES_PER_KWH;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::system::SystemSpec;
use wattlaw::predict::scope::{GpuEnergy, LogNormal};

const MEASURED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/energy/mlperf_node_power_h100.csv");

/// Mean power of a training H100 as a share of its TDP (Latif et al., arXiv 2412.08602).
const POWER_SHARE: f64 = 0.9;

#[derive(Deserialize)]
struct Row {
    benchmark: String,
    time_to_train_s: f64,
    energy_nodes_kwh_window: f64,
}

/// Relative error of the energy at the plug, and whether the measured energy is inside the interval of 95 %.
fn error(row: &Row) -> (f64, bool) {
    let catalog = Catalog::built_in().unwrap();
    let h100 = catalog.accelerator("h100-sxm5-80gb").unwrap();
    let node = SystemSpec::default().resolve(h100, 8).unwrap();
    let watts = POWER_SHARE * h100.tdp_w.unwrap() * 8.0;
    let gpu = GpuEnergy {
        energy: LogNormal { log: (watts * row.time_to_train_s).ln(), log_sd: 0.05 },
        duration: LogNormal { log: row.time_to_train_s.ln(), log_sd: 0.0 },
        correlation: None,
    };
    let found = gpu.by_scope(&node, 0.95).unwrap().at(Scope::NodeAc).unwrap();
    let measured = row.energy_nodes_kwh_window * JOULES_PER_KWH;
    (found.estimate / measured - 1.0, found.lower <= measured && measured <= found.upper)
}

#[test]
fn a_metered_node_of_eight_h100_is_met_at_the_plug() {
    if !Path::new(MEASURED).exists() {
        println!("skipped: the metered nodes are not at {MEASURED}");
        return;
    }
    let mut reader = csv::Reader::from_path(MEASURED).unwrap();
    let rows: Vec<Row> = reader.deserialize().map(Result::unwrap).collect();
    let (lora, bert): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| row.benchmark == "llama2_70b_lora");
    assert_eq!((lora.len(), bert.len()), (10, 10));
    for row in lora {
        let (error, inside) = error(row);
        assert!(error.abs() < 0.12 && inside, "LoRA: {:+.1} %", 100.0 * error);
    }
    // the power of BERT's GPUs is not known so well, so its errors are reported only
    for row in bert {
        println!("BERT of {:.0} s: {:+.1} %", row.time_to_train_s, 100.0 * error(row).0);
    }
}
