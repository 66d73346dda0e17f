//! Configurations a second of the planner's search: memory, time and energy of each decided, with the best plans, the front and what each
//! choice is worth kept.
//!
//! GPT 22B on eight A100 is the model and machine on which Calculon (Isaev et al. 2023) enumerates 290,624 configurations. Its own choices
//! (offload, overlap, sharded activations) are not those of this planner; 64 power limits make a space of equal size.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use wattlaw::calibration::built_in;
use wattlaw::job::JobSpec;
use wattlaw::job::catalog::Catalog;
use wattlaw::plan::{Request, plan};

fn main() -> wattlaw::Result<()> {
    let catalog = Catalog::built_in()?;
    let calibration = built_in()?;
    let mut criterion = Criterion::default().configure_from_args();
    let spaces = [
        ("gpt-22b-8-gpus", gpt_22b()?, limits(64)),
        // small enough that more than half of the configurations fit and are estimated
        ("gpt-1.5b-8-gpus", gpt_1_5b()?, limits(64)),
    ];
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
    criterion.final_summary();
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
