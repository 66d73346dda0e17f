//! What an answer must be, and what an accepted job must come to.

use proptest::prelude::*;
use wattlaw::Error;
use wattlaw::cost::{AttentionFlops, Cost, Totals};
use wattlaw::data::proxy::{Proxies, ProxySet};
use wattlaw::job::{Job, JobSpec};

use super::jobs::CATALOG;

/// Whether the outcome is a value, or an error that prints as one line.
pub fn answered<T>(outcome: Result<T, Error>) -> Result<Option<T>, TestCaseError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            let text = error.to_string();
            let broken = |c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}';
            prop_assert!(!text.trim().is_empty() && !text.contains(broken), "{text:?}");
            Ok(None)
        }
    }
}

fn finite(totals: &Totals) -> bool {
    let Totals { flops, bytes, kernels, node_link_bytes, network_bytes } = totals;
    [flops.value(), bytes.value(), *kernels, node_link_bytes.value(), network_bytes.value()]
        .iter()
        .all(|x| x.is_finite() && *x >= 0.0)
}

/// Counts a job that was accepted: everything is finite and not negative, and a run of it takes some work.
pub fn countable(job: &Job) -> Result<(), TestCaseError> {
    for convention in [AttentionFlops::Full, AttentionFlops::Causal] {
        let cost = Cost::count(job, convention);
        prop_assert!(finite(&cost.hardware_per_step), "{job:?}");
        prop_assert!(cost.stages.iter().all(|s| finite(&s.per_micro_step())), "{job:?}");
        let run = [cost.model_flops().value(), cost.hardware_flops().value(), cost.steps];
        prop_assert!(run.iter().all(|x| x.is_finite() && *x > 0.0), "{run:?} of {job:?}");
    }
    let counts = [job.positions(), job.tokens(), job.parallelism.bubble(job.workload.grad_accum)];
    prop_assert!(counts.iter().all(|x| x.is_finite() && *x >= 0.0), "{counts:?}");
    for set in [ProxySet::Study, ProxySet::Ledger] {
        let Proxies { compute, memory } = Proxies::for_job(job, set);
        prop_assert!(compute.ln().is_finite() && memory.ln().is_finite(), "{job:?}");
    }
    let active = job.architecture.active_parameters(job.workload.task);
    prop_assert!(active <= job.architecture.parameters_for(job.workload.task).total);
    Ok(())
}

/// Counts where the pipeline is short enough to be counted often.
pub fn resolves_and_counts(spec: &JobSpec) -> Result<(), TestCaseError> {
    match answered(spec.resolve(&CATALOG))? {
        Some(job) if job.parallelism.pp <= 64 => countable(&job),
        _ => Ok(()),
    }
}
