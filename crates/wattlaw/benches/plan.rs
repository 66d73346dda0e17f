//! Configurations a second of the planner's search: memory, time and energy of each decided, with the best plans, the front and what each
//! choice is worth kept. Then predictions a second of its inner loop alone, in which every configuration fits.
//!
//! GPT 22B on eight A100 is the model and machine on which Calculon (Isaev et al. 2023) enumerates 290,624 configurations. Its own choices
//! (offload, overlap, sharded activations) are not those of this planner; 64 power limits make a space of equal size.

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, Throughput};
use wattlaw::Job;
use wattlaw::base::scope::Scope;
use wattlaw::calibration::{Calibration, Laws, built_in};
use wattlaw::job::JobSpec;
use wattlaw::job::catalog::Catalog;
use wattlaw::law::roofline::terms::Terms;
use wattlaw::law::roofline::{Groups, UnderLimits, Workspace};
use wattlaw::memory::{FITS_THRESHOLD, Memory, Recipe};
use wattlaw::plan::{Inventory, Request, plan};

fn main() -> wattlaw::Result<()> {
    let catalog = Catalog::built_in()?;
    let calibration = built_in()?;
    let mut criterion = Criterion::default().configure_from_args();
    let spaces = [
        ("gpt-22b-8-gpus", gpt_22b()?, limits(64)),
        // small enough that more than half of the configurations fit and are estimated
        ("gpt-1.5b-8-gpus", gpt_1_5b()?, limits(64)),
    ];
    if std::env::args().any(|argument| argument == "llama-2-70b") {
        return seventy_billion(&catalog, &calibration);
    }
    let mut group = criterion.benchmark_group("plan");
    group.sample_size(10);
    for (name, spec, power_limits) in spaces {
        for threads in [1, 2] {
            let request = Request {
                power_limits: power_limits.clone(),
                threads,
                ..Request::new(spec.clone())
            };
            let found = plan(&request, &catalog, &calibration, &|_| true)?;
            println!("{name}: {} valid of {} configurations", found.evaluated, found.searched);
            group.throughput(Throughput::Elements(found.searched));
            group.bench_function(format!("{name}/{threads}"), |b| {
                b.iter(|| plan(black_box(&request), &catalog, &calibration, &|_| true));
            });
        }
    }
    group.finish();
    for (name, shape) in INNER_LOOPS {
        let jobs = shape.jobs(&catalog)?;
        inner_loop(&mut criterion, name, &jobs, &calibration)?;
    }
    criterion.final_summary();
    Ok(())
}

/// The model and machine of an inner loop.
struct Shape {
    model: &'static str,
    framework: &'static str,
    nodes: u64,
}

/// A job on one node whose software has no runs of its own, the same with software whose runs a discrepancy is learned from, and pipelines
/// over nodes.
const INNER_LOOPS: [(&str, Shape); 3] = [
    ("8b-8-gpus", Shape { model: "llama-3.1-8b", framework: "unknown", nodes: 1 }),
    ("8b-8-gpus-discrepancy", Shape { model: "llama-3.1-8b", framework: "nanotron", nodes: 1 }),
    ("70b-64-gpus", Shape { model: "llama-2-70b", framework: "unknown", nodes: 8 }),
];

/// Power limits of the planner, in watts of the TDP of 700 W.
const LIMITS_W: [f64; 7] = [700.0, 630.0, 560.0, 490.0, 420.0, 350.0, 280.0];

impl Shape {
    /// Jobs on H100 that fit in memory, of all degrees, strategies, micro-batches and checkpointing.
    fn jobs(&self, catalog: &Catalog) -> wattlaw::Result<Vec<Job>> {
        let gpus = 8 * self.nodes;
        let mut jobs = Vec::new();
        for (tp, pp) in [(1, 1), (2, 1), (4, 1), (8, 1), (1, 2), (2, 4), (4, 2), (8, 4), (8, 8)] {
            let strategies: &[&str] = if gpus > tp * pp { &["zero1", "fsdp"] } else { &["single"] };
            for strategy in strategies.iter().filter(|_| gpus >= tp * pp) {
                for micro_batch in [1, 2, 4] {
                    for checkpointing in ["none", "selective", "full"] {
                        let spec = JobSpec::from_toml(&format!(
                            "model.name = '{}'
                             workload = {{ tokens = '10B', seq_len = 4096, global_batch = 512, micro_batch = {micro_batch},
                                           checkpointing = '{checkpointing}', framework = '{}' }}
                             parallelism = {{ strategy = '{strategy}', tp = {tp}, pp = {pp} }}
                             system = {{ gpu = 'h100-sxm5-80gb', gpus = {gpus} }}",
                            self.model, self.framework
                        ))?;
                        jobs.extend(spec.resolve(catalog).ok().filter(fits));
                    }
                }
            }
        }
        Ok(jobs)
    }
}

/// Whether a job fits in memory as the search decides it.
fn fits(job: &Job) -> bool {
    Recipe::for_job(job)
        .is_ok_and(|recipe| Memory::with_recipe(job, &recipe).fits_probability() >= FITS_THRESHOLD)
}

/// Memory, ledger, time and energy of jobs under each power limit on one thread, with and without intervals. The power limits of a job share its
/// memory and its ledger, as in the search.
fn inner_loop(
    criterion: &mut Criterion,
    name: &str,
    jobs: &[Job],
    calibration: &Calibration,
) -> wattlaw::Result<()> {
    let Laws::Roofline(law) = &calibration.law else { return Ok(()) };
    let answer = law.answer(&Groups::for_job(&jobs[0]));
    let mut workspace = Workspace::default();
    println!("{name}: {} jobs fit", jobs.len());
    let mut group = criterion.benchmark_group(format!("inner loop/{name}"));
    for limits in [&LIMITS_W[..1], &LIMITS_W] {
        group.throughput(Throughput::Elements((jobs.len() * limits.len()) as u64));
        group.bench_function(format!("{} limits", limits.len()), |b| {
            b.iter(|| {
                for job in jobs {
                    assert!(fits(black_box(job)));
                    let terms = Terms::for_job(job);
                    let under = UnderLimits::new(&answer, &terms);
                    for limit_w in limits {
                        black_box(under.expected(*limit_w));
                    }
                }
            });
        });
        group.bench_function(format!("{} limits with intervals", limits.len()), |b| {
            b.iter(|| {
                for job in jobs {
                    assert!(fits(black_box(job)));
                    let mut terms = Terms::for_job(job);
                    for limit_w in limits {
                        terms.power_limit = *limit_w;
                        black_box(answer.estimate(&terms, Scope::Gpu, &mut workspace));
                    }
                }
            });
        });
    }
    group.finish();
    Ok(())
}

/// Plans 70B on up to 4,096 GPUs of three kinds once, on two threads: some ten million configurations. It runs where it is asked for:
/// `cargo bench -p wattlaw --bench plan -- llama-2-70b`.
fn seventy_billion(catalog: &Catalog, calibration: &Calibration) -> wattlaw::Result<()> {
    let spec = JobSpec::from_toml(
        "model.name = 'llama-2-70b'
         workload = { tokens = '100B', seq_len = 4096, global_batch = 1024 }",
    )?;
    let inventory = ["a100-sxm4-80gb", "h100-sxm5-80gb", "b200-sxm-180gb"]
        .map(|gpu| format!("[[system]]\ngpu = '{gpu}'\nnodes = 1\n"))
        .concat();
    let mut pools = Inventory::from_toml(&inventory)?.pools();
    for pool in &mut pools {
        pool.counts = "8..1152,2048,4096".parse()?;
    }
    let request = Request { pools, threads: 2, ..Request::new(spec) };
    let start = Instant::now();
    let found = plan(&request, catalog, calibration, &|_| true)?;
    println!(
        "llama-2-70b: {} valid of {} configurations in {:.1} s",
        found.evaluated,
        found.searched,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// So many power limits from four tenths of the TDP to all of it.
fn limits(count: u32) -> Vec<f64> {
    (0..count).map(|at| 0.4 + 0.6 * f64::from(at) / f64::from(count - 1)).collect()
}

/// The 22B model of Korthikanti et al. 2022, table 3.
fn gpt_22b() -> wattlaw::Result<JobSpec> {
    JobSpec::from_toml(
        "model = { family = 'gpt2', layers = 48, hidden_size = 6144, heads = 64, vocab_size = 51200, max_positions = 2048 }
         workload = { tokens = '10B', seq_len = 2048, global_batch = 512, precision = 'fp16' }
         system = { gpu = 'a100-sxm4-80gb', gpus = 8 }",
    )
}

fn gpt_1_5b() -> wattlaw::Result<JobSpec> {
    JobSpec::from_toml(
        "model.name = 'gpt2-xl'
         workload = { tokens = '10B', seq_len = 1024, global_batch = 512, precision = 'bf16' }
         system = { gpu = 'h200-sxm-141gb', gpus = 8 }",
    )
}
