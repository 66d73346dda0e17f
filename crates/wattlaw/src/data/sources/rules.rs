//! Rules that find rows of a source by what was measured, without any law.

use std::collections::{BTreeMap, BTreeSet};

use super::Rule;
use crate::base::error::{Error, Location, Result};
use crate::base::scope::Covers;
use crate::cost::{AttentionFlops, Cost};
use crate::data::measurement::Measurement;
use crate::job::catalog::Catalog;

/// A row is stalled above this many times the best sibling's micro-step. Rows with equal work differ by some per cent,
/// stalls by 50 % and more.
const STALLED: f64 = 1.5;

/// Largest share of a GPU's peak that training reaches. Models of 22 to 1,008 billion parameters on A100 reached 42 to 56 %
/// (Korthikanti et al. 2022, table 5).
const LARGEST_SHARE_OF_PEAK: f64 = 0.7;

/// A run waits for the network where a node receives less than this, in bytes per second, while its GPUs work at less than
/// this share of their peak. In the fine-tuning benchmark other nodes receive up to 88 GB/s, and other runs with as little
/// traffic work at 16 % of the peak or more; those found work at 9 % or less.
const WAITING_NODE_RATE: f64 = 8e9;
const WAITING_SHARE_OF_PEAK: f64 = 0.125;

/// The lines of the rows that a rule finds.
///
/// # Errors
/// Those of [`Measurement::resolve`], with the line of `table`, where the rule needs the cost of a row.
pub(super) fn find(
    rule: Rule,
    runs: &[Measurement],
    table: &str,
    catalog: &Catalog,
) -> Result<BTreeSet<u64>> {
    match rule {
        Rule::Stalled => Ok(stalled(runs)),
        Rule::AbovePeak => above_peak(runs, table, catalog),
        Rule::WaitsForNetwork => waits_for_network(runs, table, catalog),
    }
}

/// Rows that are far slower than their best sibling. A table without siblings has none.
fn stalled(runs: &[Measurement]) -> BTreeSet<u64> {
    let timed = || {
        runs.iter().filter_map(|run| {
            let split = &run.job().parallelism;
            let (tp, pp) = (split.tp.unwrap_or(1), split.pp.unwrap_or(1));
            let micro_batch = run.micro_batch()?;
            let siblings = (run.gpu(), run.architecture(), tp, pp, micro_batch);
            // a pipeline of p stages takes the time of p − 1 more micro-steps to fill and drain
            let accumulated = run.job().workload.grad_accum.unwrap_or(1) as f64;
            let micro_steps = (accumulated + pp as f64 - 1.0).max(1.0);
            Some((run.line, siblings, run.duration?.value() / micro_steps))
        })
    };
    let mut best = BTreeMap::new();
    for (_, siblings, time) in timed() {
        let least: &mut f64 = best.entry(siblings).or_insert(time);
        *least = least.min(time);
    }
    let mut found = BTreeSet::new();
    for (line, siblings, time) in timed() {
        if best.get(&siblings).is_some_and(|best| time > STALLED * best) {
            found.insert(line);
        }
    }
    found
}

/// Rows whose time implies a larger share of the peak than training reaches.
fn above_peak(runs: &[Measurement], table: &str, catalog: &Catalog) -> Result<BTreeSet<u64>> {
    let mut found = BTreeSet::new();
    for run in runs {
        let place = |error: Error| error.at(Location::line(table, run.line));
        let job = run.resolve(catalog).map_err(place)?;
        let Some((peak, time)) =
            job.system.accelerator.peak(job.workload.precision).zip(run.duration)
        else {
            continue;
        };
        let steps = if run.covers == Covers::OneStep { 1.0 } else { job.steps() };
        let flops = Cost::count(&job, AttentionFlops::Full).model_flops_per_step.value() * steps;
        let share = flops / (time.value() * peak.value() * job.system.gpus as f64);
        if share > LARGEST_SHARE_OF_PEAK {
            found.insert(run.line);
        }
    }
    Ok(found)
}

/// Runs on several nodes whose GPUs wait for a network far below its rate.
///
/// Sharded data parallelism sends the 16-bit parameters of the whole model into and out of each node twice a micro-step,
/// and the gradients of what is trained once. Work is 6 FLOPs a token and active parameter.
fn waits_for_network(
    runs: &[Measurement],
    table: &str,
    catalog: &Catalog,
) -> Result<BTreeSet<u64>> {
    let mut found = BTreeSet::new();
    for run in runs {
        let place = |error: Error| error.at(Location::line(table, run.line));
        let accelerator = catalog.accelerator(run.gpu()).map_err(place)?;
        let system = run.job().system.resolve(accelerator, run.gpus()).map_err(place)?;
        if system.nodes() == 1 {
            continue;
        }
        let architecture = catalog.architecture(&run.job().model).map_err(place)?;
        let precision = run.job().workload.precision.unwrap_or(accelerator.half_precision());
        let task = architecture.default_task();
        let (Some(time), Some(micro_steps), Some(tokens), Some(peak)) =
            (run.duration, run.micro_steps(), run.tokens, accelerator.peak(precision))
        else {
            continue;
        };
        let passes = if run.job().workload.lora.is_some() { 2.0 } else { 3.0 };
        let bytes = passes * 2.0 * architecture.parameters_for(task).total as f64 * micro_steps;
        let flops = 6.0 * architecture.active_parameters(task) as f64 * tokens;
        let share = flops / (time.value() * peak.value() * run.gpus() as f64);
        if bytes / time.value() < WAITING_NODE_RATE && share < WAITING_SHARE_OF_PEAK {
            found.insert(run.line);
        }
    }
    Ok(found)
}
