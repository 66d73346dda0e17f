//! The tables of `../shared/data` as they stand.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use wattlaw::data::dataset::{ColumnsOf, Dataset, Efficiency};
use wattlaw::data::proxy::ProxySet;
use wattlaw::job::catalog::Catalog;

/// The measured tables, or `None` with a line that says so where they are absent.
fn table(path: &str) -> Option<Dataset> {
    let file = format!("{}/../../../shared/data/{path}", env!("CARGO_MANIFEST_DIR"));
    match std::fs::read(&file) {
        Ok(bytes) => Some(Dataset::from_csv(&bytes, path, None).unwrap()),
        Err(_) => {
            println!("skipped: the measured table {path} is not beside the project");
            None
        }
    }
}

#[test]
fn the_studys_table_has_693_runs_in_246_or_so_families() {
    let Some(data) = table("multi_gpu_2026/runs.csv") else { return };
    assert_eq!(data.runs.len(), 693);
    assert!(data.notes.is_empty(), "{:?}", data.notes);
    let catalog = Catalog::built_in().unwrap();
    let frame = data.frame(ColumnsOf::default(), &catalog).unwrap();
    for column in ["log_C", "log_M", "log_eta", "log_energy_kwh", "log_duration_s"] {
        assert!(frame.number(column).unwrap().iter().all(|x| x.is_finite()), "{column}");
    }
}

#[test]
fn every_run_of_the_study_can_be_counted() {
    let Some(data) = table("multi_gpu_2026/runs.csv") else { return };
    let catalog = Catalog::built_in().unwrap();
    let columns = ColumnsOf { proxies: ProxySet::Ledger, efficiency: Efficiency::Throughput };
    let frame = data.frame(columns, &catalog).unwrap();
    assert!(frame.number("log_C").unwrap().iter().all(|x| x.is_finite()));
    let without = frame.number("log_eta").unwrap().iter().filter(|x| x.is_nan()).count();
    assert_eq!(without, 0, "runs without a baseline of their family");
}

#[test]
fn step_time_tables_are_read_as_they_stand() {
    for (file, rows) in [
        ("llm_foundry_fsdp.csv", 139),
        ("nanotron_h100.csv", 720),
        ("nanotron_h100_failed.csv", 1058),
        ("vtrain_a100_single_node.csv", 1440),
    ] {
        let Some(data) = table(&format!("step_time/{file}")) else { return };
        assert_eq!(data.runs.len(), rows, "{file}");
        assert!(data.notes.is_empty(), "{file}: {:?}", data.notes);
        let catalog = Catalog::built_in().unwrap();
        data.frame(ColumnsOf::default(), &catalog).unwrap();
        let uncounted: Vec<String> = data
            .runs
            .iter()
            .filter_map(|r| r.job(&catalog).err().map(|e| format!("{}: {e}", r.line)))
            // runs that failed include some that could not have run
            .filter(|e| !e.contains("a layer a stage"))
            .collect();
        println!(
            "{file}: {} of {rows} cannot be counted: {:?}",
            uncounted.len(),
            uncounted.first()
        );
        assert!(
            uncounted.len() * 50 < rows,
            "{file}: {} of {rows}: {:?}",
            uncounted.len(),
            &uncounted[..3]
        );
    }
}
