//! What every target asks of a reader: a value, or an error that prints as one line.

use wattlaw::job::catalog::Catalog;
use wattlaw::cost::{AttentionFlops, Cost};
use wattlaw::job::JobSpec;

/// The value, if there is one; an error must say something, on one line.
pub fn answered<T>(outcome: wattlaw::Result<T>) -> Option<T> {
    outcome
        .map_err(|error| {
            let text = error.to_string();
            assert!(!text.trim().is_empty() && !text.contains(char::is_control), "{text:?}");
        })
        .ok()
}

/// Counts a job that was accepted, where its pipeline is short enough to do so often.
#[allow(dead_code, reason = "not every target comes to a job")]
pub fn count(spec: &JobSpec, catalog: &Catalog) {
    let Some(job) = answered(spec.resolve(catalog)) else { return };
    if job.parallelism.pp <= 64 {
        let cost = Cost::count(&job, AttentionFlops::Full);
        let totals = [cost.hardware_flops().value(), cost.hardware_per_step.bytes.value()];
        assert!(totals.iter().all(|x| x.is_finite() && *x > 0.0), "{totals:?} of {job:?}");
    }
}
