//! Peak memory against nanotron's benchmark on H100 (Ultra-Scale Playbook, Apache-2.0): 706 measured peaks, and 1,058
//! configurations that failed.
//!
//! The models are Llamas with multi-head attention and a vocabulary of 131,072; `scripts/scaling_benchmarks.py` ties
//! embeddings where the feed-forward width is below 10,000. Tensor parallelism is sequence-parallel and the pipeline is
//! divided by cost, which are the framework's defaults; the peak is torch's reserved memory of rank 0, which is the first stage. Nodes have 3,200 Gb/s
//! EFA adapters for 8 GPUs (AWS p5).
//!
//! `cargo test -p wattlaw --test it memory_measured:: -- --nocapture` prints the figures reached.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::File;

use wattlaw::base::amount::Count;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::model::ModelSpec;
use wattlaw::job::parallelism::ParallelismSpec;
use wattlaw::job::system::SystemSpec;
use wattlaw::job::workload::{Framework, Precision, Stack, WorkloadSpec};
use wattlaw::job::{Job, JobSpec};
use wattlaw::memory::{Memory, Recipe};

const TABLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/step_time");

type Row = BTreeMap<String, String>;

/// The rows of a table, or `None` (said in one line) where it is absent.
fn rows(table: &str) -> Option<Vec<Row>> {
    let path = format!("{TABLES}/{table}");
    let Ok(file) = File::open(&path) else {
        println!("skipped: the measured table {table} is not beside the repository");
        return None;
    };
    Some(csv::Reader::from_reader(file).deserialize().map(Result::unwrap).collect())
}

fn job(row: &Row, catalog: &Catalog) -> wattlaw::Result<Job> {
    let number = |key: &str| row[key].parse::<f64>().ok().map(|n| n as u64);
    let ffn_size = number("ffn_size").unwrap();
    let spec = JobSpec {
        model: ModelSpec {
            family: Some("llama".into()),
            layers: number("layers"),
            hidden_size: number("hidden_size"),
            heads: number("heads"),
            ffn_size: Some(ffn_size),
            vocab_size: number("vocab_size"),
            tied_embeddings: Some(ffn_size < 10_000),
            ..Default::default()
        },
        workload: WorkloadSpec {
            steps: Some(Count::new(1)),
            seq_len: number("seq_len"),
            micro_batch: number("micro_batch"),
            grad_accum: number("grad_accum"),
            precision: Some(Precision::Bf16),
            framework: Some(Stack::of(Framework::Nanotron)),
            ..Default::default()
        },
        parallelism: ParallelismSpec {
            strategy: Some(row["dp_kind"].parse().unwrap()),
            dp: number("data_parallel"),
            tp: number("tensor_parallel"),
            pp: number("pipeline_parallel"),
            ..Default::default()
        },
        system: SystemSpec {
            gpu: Some("h100-sxm5-80gb".into()),
            gpus: number("gpus"),
            gpus_per_node: Some(8),
            network_gb_per_s: Some(50.0),
            ..Default::default()
        },
    };
    spec.resolve(catalog)
}

/// What no memory estimate can know: a pipeline rank without a block (the loss takes at most one stage after the output
/// map's), or fewer micro-batches than nanotron's schedule asserts (p − 1).
fn cannot_run(job: &Job) -> bool {
    let p = &job.parallelism;
    p.head_stage(&job.architecture) + 2 < p.pp || job.workload.grad_accum + 1 < p.pp
}

fn share(flags: &[bool]) -> f64 {
    flags.iter().filter(|f| **f).count() as f64 / flags.len() as f64
}

/// The nearest of the values at a share of their order.
pub fn quantile(errors: &[f64], at: f64) -> f64 {
    let mut sorted = errors.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * at).round() as usize]
}

#[test]
fn measured_peaks_are_predicted() {
    let Some(rows) = rows("nanotron_h100.csv") else { return };
    let catalog = Catalog::built_in().unwrap();
    let mut errors: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut fits = Vec::new();
    let mut spread = Vec::new();
    for row in &rows {
        let Ok(measured) = row["peak_memory_gb"].parse::<f64>() else { continue };
        let job = job(row, &catalog).unwrap();
        // the column divides bytes by 1024³
        let predicted = Memory::for_stage(&job, 0, &Recipe::NANOTRON).peak_gib_per_gpu();
        let error = (predicted / measured - 1.0).abs();
        spread.push((measured / predicted).ln().abs());
        for group in ["all", &row["model"], &row["dp_kind"]] {
            errors.entry(group.to_owned()).or_default().push(error);
        }
        fits.push(Memory::for_job(&job).fits);
    }
    for (group, errors) in &errors {
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        println!(
            "{group}: {} runs, error median {:.2} %, mean {:.1} %, nine in ten within {:.1} %",
            errors.len(),
            100.0 * quantile(errors, 0.5),
            100.0 * mean,
            100.0 * quantile(errors, 0.9)
        );
    }
    println!("of the runs that ran, {:.1} % are said to fit", 100.0 * share(&fits));
    // the interval of a prediction at 95 %
    let half_width = 1.96 * Recipe::NANOTRON.log_sd;
    let covered: Vec<bool> = spread.iter().map(|error| *error <= half_width).collect();
    println!("within ×{:.2}: {:.1} %", half_width.exp(), 100.0 * share(&covered));
    assert!((0.9..=0.99).contains(&share(&covered)), "{}", share(&covered));
    let all = &errors["all"];
    assert_eq!(all.len(), 706);
    assert!(quantile(all, 0.5) < 0.037, "median error {}", quantile(all, 0.5));
    assert!(quantile(all, 0.9) < 0.15, "ninth decile {}", quantile(all, 0.9));
    assert!(share(&fits) > 0.978, "said to fit: {}", share(&fits));
}

#[test]
fn failed_runs_are_predicted_not_to_fit() {
    let Some(rows) = rows("nanotron_h100_failed.csv") else { return };
    let catalog = Catalog::built_in().unwrap();
    let (mut full, mut refused, mut explained) = (Vec::new(), 0, 0);
    for row in &rows {
        // more stages than layers are refused before any memory is counted
        let Ok(job) = job(row, &catalog) else {
            refused += 1;
            continue;
        };
        full.push(!Memory::for_job(&job).fits);
        explained += usize::from(full.last() == Some(&true) || cannot_run(&job));
    }
    let explained = (explained + refused) as f64 / rows.len() as f64;
    println!(
        "of {} failed runs, {refused} have more stages than layers; of the others {:.1} % are said not to fit; with \
         pipelines that cannot run {:.1} % are explained",
        rows.len(),
        100.0 * share(&full),
        100.0 * explained
    );
    assert_eq!((rows.len(), refused), (1058, 45));
    assert!(share(&full) > 0.885, "said not to fit: {}", share(&full));
    assert!(explained > 0.915, "explained: {explained}");
}
