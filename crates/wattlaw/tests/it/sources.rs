//! The sources of the one law: the list, its maps, and the rows that it takes from the measured tables.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::Path;

use wattlaw::base::scope::{Covers, Scope};
use wattlaw::data::dataset::{ColumnMap, Dataset};
use wattlaw::data::sources::{Purpose, Source, Sources};
use wattlaw::job::catalog::Catalog;
use wattlaw::job::system::NetworkKind;

fn beside(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn map(source: &Source) -> Option<String> {
    let file = source.map.as_ref()?;
    Some(std::fs::read_to_string(beside("examples/maps").join(file)).unwrap())
}

/// The table of a source, or `None` with a line that says so where it is absent.
pub fn measured(source: &Source) -> Option<Vec<u8>> {
    let found = std::fs::read(beside("../shared/data").join(&source.table)).ok();
    if found.is_none() {
        println!("skipped: the measured table {} is not beside the project", source.table);
    }
    found
}

/// The rows of a source in its table.
pub fn read(source: &Source, table: &[u8]) -> Dataset {
    source.read(table, map(source).as_deref(), &Catalog::built_in().unwrap()).unwrap()
}

fn rows(source: &Source) -> Option<Dataset> {
    measured(source).map(|table| read(source, &table))
}

#[test]
fn every_source_has_a_map_that_is_read_and_says_where_it_is_from() {
    let sources = Sources::built_in().unwrap().sources;
    for source in &sources {
        if let Some(text) = map(source) {
            ColumnMap::from_toml(&text).unwrap();
        }
        assert!(source.table.ends_with(".csv"), "{}", source.name);
        assert!(!source.citation.is_empty() && !source.licence.is_empty(), "{}", source.name);
        if let Some(network) = &source.network {
            assert_ne!(NetworkKind::of_name(network), NetworkKind::Unknown, "{}", source.name);
        }
    }
}

/// A row more or less changes the law, so each source's rows are counted.
#[test]
fn the_rows_of_every_source_are_counted() {
    let sources = Sources::built_in().unwrap().sources;
    let counted: Vec<(&str, Option<usize>)> = sources
        .iter()
        .map(|source| (source.name.as_str(), rows(source).map(|data| data.runs.len())))
        .collect();
    let expected = [
        ("study-gpt", 562),
        ("study-bert", 115),
        ("vtrain-single-node", 1440),
        ("bigscience", 107),
        ("nanotron", 614),
        ("llm-foundry-a100", 139),
        ("llm-foundry-h100", 77),
        ("dgx-cloud-tp", 49),
        ("dgx-cloud-3d", 36),
        ("dgx-cloud-fsdp", 45),
        ("bert-pretraining-a100", 31),
        ("bert-pretraining-v100", 111),
        ("perseus", 24),
        ("zeus-v100", 49),
        ("zeus-a40", 72),
        ("tuning-1-node", 314),
        ("tuning-2-nodes", 48),
        ("tuning-4-nodes", 25),
        ("tuning-mixtral", 104),
        ("mlperf-node-power", 20),
    ];
    assert_eq!(counted.len(), expected.len());
    for ((name, rows), (expected_name, expected)) in counted.iter().zip(expected) {
        assert_eq!(*name, expected_name);
        assert!(rows.is_none_or(|rows| rows == expected), "{name} has other rows: {counted:?}");
    }
}

/// What a law needs of each row: a job that can be counted, its stack and its network, a time, and power of a known scope.
#[test]
fn every_row_has_a_job_its_stack_and_a_time() {
    let catalog = Catalog::built_in().unwrap();
    for source in &Sources::built_in().unwrap().sources {
        let Some(data) = rows(source) else { continue };
        for run in &data.runs {
            assert!(run.duration.is_some(), "{} {}", source.name, run.line);
            if let Some(power) = run.mean_power_per_gpu() {
                assert_ne!(run.scope, Scope::Unstated, "{} {}", source.name, run.line);
                // other scopes hold a host beside the GPUs
                let gpu_w = 1.1 * catalog.accelerator(run.gpu()).unwrap().tdp_w.unwrap();
                let most = if run.scope == Scope::Gpu { gpu_w } else { 1500.0 };
                let at = format!("{} {}: {power:?}", source.name, run.line);
                assert!((15.0..most).contains(&power.value()), "{at}");
            }
            let stack = run.job().workload.framework.as_ref().unwrap();
            // the evaluated nodes ran benchmarks of two frameworks
            let stated = source.purpose == Purpose::Evaluate;
            assert!(stated || stack.framework == source.framework.framework, "{}", source.name);
            match run.resolve(&catalog) {
                Ok(job) => {
                    let kind = source
                        .network
                        .as_deref()
                        .map_or(NetworkKind::Unknown, NetworkKind::of_name);
                    assert_eq!(job.system.network_kind, kind, "{}", source.name);
                    // a table of step times has a step a row
                    if run.covers == Covers::OneStep {
                        assert!(
                            (job.steps() - 1.0).abs() < 0.02,
                            "{} {}: {}",
                            source.name,
                            run.line,
                            job.steps()
                        );
                    }
                }
                // states in bfloat16 are kept, whether or not the ledger counts them
                Err(why) => {
                    assert!(
                        why.to_string().starts_with("state_precision"),
                        "{} {}: {why}",
                        source.name,
                        run.line
                    );
                }
            }
        }
    }
}

#[test]
fn a_law_is_judged_on_the_nodes_power_and_not_fitted_on_it() {
    let sources = Sources::built_in().unwrap().sources;
    for source in &sources {
        let judged = source.table.contains("mlperf") || source.name == "tuning-mixtral";
        assert_eq!(source.purpose == Purpose::Evaluate, judged, "{}", source.name);
    }
}

/// A source of a table of three columns, with more keys.
fn source(keys: &str) -> Source {
    let text = format!(
        "[[source]]\nname = 's'\ntable = 't.csv'\npurpose = 'fit'\nframework = 'jax/maxtext'\n\
         network = 'HDR InfiniBand'\nnetwork_gb_per_s = 25\ncitation = 'c'\nlicence = 'l'\n{keys}"
    );
    Sources::from_toml(&text).unwrap().sources.remove(0)
}

/// Rows of a small model on two nodes: seconds of a step, micro-batches, and a note.
fn table(rows: &[(&str, u64, &str)]) -> String {
    let head = "family,layers,hidden_size,seq_len,gpu,gpus,micro_batch,grad_accum,precision,global_batch,step_time_s,notes\n";
    let row = |(time, accum, note): &(&str, u64, &str)| {
        format!("gpt,2,256,128,a100-sxm4-80gb,16,4,{accum},bf16,{},{time},{note}\n", 64 * accum)
    };
    head.to_owned() + &rows.iter().map(row).collect::<String>()
}

fn lines(source: &Source, table: &str) -> Vec<u64> {
    let data = source.read(table.as_bytes(), None, &Catalog::built_in().unwrap()).unwrap();
    data.runs.iter().map(|run| run.line).collect()
}

#[test]
fn rows_are_selected_by_their_cells_and_keep_their_lines() {
    let text = table(&[
        ("1.0", 1, "old; A"),
        ("1.0", 1, "new; A"),
        ("1.0", 1, "new; B"),
        ("", 1, "new; A"),
    ]);
    let of_a = source(
        "rows.notes = ['*; A']\n[[source.leave_out]]\nbecause = 'they are old'\nrows.notes = ['old*']\n",
    );
    let data = of_a.read(text.as_bytes(), None, &Catalog::built_in().unwrap()).unwrap();
    assert_eq!(data.runs.iter().map(|run| run.line).collect::<Vec<_>>(), [3]);
    assert_eq!(data.name, "s");
    let said: Vec<&String> = data.notes.iter().filter(|note| note.contains("left out")).collect();
    assert_eq!(
        said,
        ["1 rows were left out: they are old", "1 rows were left out: they have no time"]
    );
    let job = data.runs[0].resolve(&Catalog::built_in().unwrap()).unwrap();
    assert_eq!(job.workload.framework.to_string(), "jax/maxtext");
    assert_eq!(job.system.network_kind, NetworkKind::Infiniband);
    assert!((job.system.network.bandwidth.gb_per_s() - 25.0).abs() < 1e-9);
}

#[test]
fn a_stalled_step_is_far_slower_than_its_sibling_a_micro_step() {
    let stalled = source("[[source.leave_out]]\nbecause = 'they stalled'\nrule = 'stalled'\n");
    // 0.25, 0.3, 0.4 and 0.25 s a micro-step: only the third is 1.5 times the best
    let text = table(&[("1.0", 4, ""), ("0.6", 2, ""), ("0.8", 2, ""), ("2.0", 8, "")]);
    assert_eq!(lines(&stalled, &text), [2, 3, 5]);
}

#[test]
fn a_step_above_the_peak_of_its_precision_is_found() {
    let above = source("[[source.leave_out]]\nbecause = 'mislabelled'\nrule = 'above-peak'\n");
    // 2 layers of 256 and 50,257 words, 8,192 tokens: 0.73 PFLOP a step of 6·N·D, 16 × 312 TFLOP/s
    let text = table(&[("1e-4", 1, ""), ("1e-3", 1, "")]);
    assert_eq!(lines(&above, &text), [3]);
}

#[test]
fn a_run_that_waits_for_its_network_is_found() {
    let waits = source("[[source.leave_out]]\nbecause = 'it waited'\nrule = 'waits-for-network'\n");
    // 14.5 M parameters, 87 MB a micro-step into each node: 0.09 GB/s over 1 s, 17 GB/s over 5 ms
    let text = table(&[("1.0", 1, ""), ("0.005", 1, "")]);
    assert_eq!(lines(&waits, &text), [3]);
    let one_node = text.replace(",16,4,1,", ",8,4,1,");
    assert_eq!(lines(&waits, &one_node), [2, 3]);
}

#[test]
fn a_damaged_list_is_refused() {
    let fails = |text: &str| Sources::from_toml(text).unwrap_err().to_string();
    let good = "[[source]]\nname = 's'\ntable = 't.csv'\npurpose = 'fit'\nframework = 'jax'\ncitation = 'c'\nlicence = 'l'\n";
    Sources::from_toml(good).unwrap();
    assert_eq!(fails(&format!("{good}{good}")), "name is `s` twice, but each source has its own");
    assert!(fails(&format!("{good}colour = 1\n")).contains("unknown field `colour`"));
    assert!(fails(&good.replace("'jax'", "'jaxx'")).contains("unknown framework `jaxx`"));
    assert!(fails(&good.replace("'fit'", "'fun'")).contains("unknown purpose of a source `fun`"));
    for rows in ["", "rows.gpu = ['t4']\nrule = 'stalled'\n"] {
        let error = fails(&format!("{good}[[source.leave_out]]\nbecause = 'x'\n{rows}"));
        let expected = "leave_out is `x`, but it must have either `rows` or a `rule`";
        assert!(error.contains(expected), "{error}");
    }
    let catalog = Catalog::built_in().unwrap();
    let text = table(&[("1.0", 1, "")]);
    let fails =
        |source: &Source| source.read(text.as_bytes(), None, &catalog).unwrap_err().to_string();
    let unknown = fails(&source("rows.colour = ['red']\n"));
    assert!(unknown.starts_with("t.csv: unknown column `colour`"), "{unknown}");
    let none = fails(&source("rows.notes = ['x']\n"));
    assert!(none.starts_with("t.csv: the table has a header and no rows"), "{none}");
}
