//! The tables of `../shared/data` as they stand.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use wattlaw::data::dataset::{ColumnMap, Dataset, Efficiency, ProxyColumns};
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
    let frame = data.frame(ProxyColumns::default(), &catalog).unwrap();
    for column in ["log_C", "log_M", "log_eta", "log_energy_kwh", "log_duration_s"] {
        assert!(frame.number(column).unwrap().iter().all(|x| x.is_finite()), "{column}");
    }
}

#[test]
fn every_run_of_the_study_can_be_counted() {
    let Some(data) = table("multi_gpu_2026/runs.csv") else { return };
    let catalog = Catalog::built_in().unwrap();
    let columns = ProxyColumns { proxies: ProxySet::Ledger, efficiency: Efficiency::Throughput };
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
        data.frame(ProxyColumns::default(), &catalog).unwrap();
        let uncounted: Vec<String> = data
            .runs
            .iter()
            .filter_map(|r| r.resolve(&catalog).err().map(|e| format!("{}: {e}", r.line)))
            // runs that failed include some that could not have run
            .filter(|e| !e.contains("each stage needs a layer"))
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

/// Every other measured table: the map that reads it, its rows, how many of them have a job that is counted, and a column
/// that the reader says it drops.
///
/// Not counted are rows without a sequence length (13 of dgx_cloud), pipelines over T5 (73 of perseus), a row whose degrees do not
/// multiply to its GPUs (bigscience), and passes of a pipeline stage that
/// are no runs. 13 rows of bigscience name a model without its shape.
#[test]
fn every_measured_table_is_read() {
    for (file, map, rows, counted, dropped) in [
        ("step_time/bert_pretraining_v100_a100.csv", None, 495, 495, "params_b"),
        ("step_time/bigscience_a100.csv", None, 123, 122, "interconnect"),
        ("step_time/dgx_cloud_h100.csv", None, 181, 168, "tflops_per_gpu"),
        ("step_time/llm_foundry_h100.csv", None, 77, 77, "mfu_pct"),
        ("energy/perseus_iterations_a100_pcie.csv", None, 278, 205, "notes"),
        ("energy/bert_power_limit_v100.csv", Some("zeus-power-limit"), 84, 84, ""),
        ("energy/bert_power_limit_a40.csv", Some("zeus-power-limit"), 102, 102, ""),
        (
            "energy/mlperf_node_power_h100.csv",
            Some("mlperf-node-power"),
            20,
            20,
            "node_power_p95_w",
        ),
        (
            "energy/pipeline_stage_clock_a100.csv",
            Some("pipeline-stage-clock"),
            1216,
            0,
            "frequency_mhz",
        ),
        ("energy/published_training_runs.csv", Some("published-runs"), 3, 3, "model_params"),
        (
            "fine_tuning/llm_fine_tuning_bench.csv",
            Some("fine-tuning-bench"),
            650,
            650,
            "enable_roce",
        ),
    ] {
        let shared = format!("{}/../../../shared/data/{file}", env!("CARGO_MANIFEST_DIR"));
        let Ok(bytes) = std::fs::read(&shared) else {
            println!("skipped: the measured table {file} is not beside the project");
            continue;
        };
        let map = map.map(|name| {
            let examples = format!("{}/../../examples/maps", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(format!("{examples}/{name}.toml")).unwrap();
            ColumnMap::from_toml(&text).unwrap()
        });
        let data = Dataset::from_csv(&bytes, file, map.as_ref()).unwrap();
        assert_eq!(data.runs.len(), rows, "{file}");
        let catalog = Catalog::built_in().unwrap();
        let (countable, note) = data.countable(&catalog);
        println!(
            "{file}: {} of {rows} are counted; {note:?}; {:?}",
            countable.runs.len(),
            data.notes
        );
        let said = data.notes.join(" ");
        assert!(said.contains(dropped), "{file}: {said}");
        assert_eq!(countable.runs.len(), counted, "{file}: {note:?}");
        data.frame(ProxyColumns::default(), &catalog).unwrap();
    }
}
