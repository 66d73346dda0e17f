//! The machines that a plan is asked for, and the plans as JSON.

use serde::Serialize;

use wattlaw::base::error::Result;
use wattlaw::job::JobSpec;
use wattlaw::job::system::SystemSpec;
use wattlaw::plan::{GpuCounts, Plans, Pool};

use crate::schema::{Schema, json};

/// The machines of a list of accelerators and of their numbers, or those of the job where either is absent.
pub fn pools(spec: &JobSpec, gpus: &[&str], counts: Option<&GpuCounts>) -> Vec<Pool> {
    let own = SystemSpec { gpus: None, nodes: None, ..spec.system.clone() };
    let kinds: Vec<SystemSpec> = match gpus {
        [] | [_] => vec![own],
        several => several
            .iter()
            .map(|gpu| SystemSpec { gpu: Some((*gpu).to_owned()), name: None, ..own.clone() })
            .collect(),
    };
    let counts = match (counts, spec.system.gpus) {
        (Some(counts), _) => counts.clone(),
        (None, Some(gpus)) => GpuCounts::one(gpus),
        (None, None) => GpuCounts::one(spec.parallelism.implied_gpus()),
    };
    kinds.into_iter().map(|system| Pool { system, counts: counts.clone() }).collect()
}

/// The fields of the JSON.
#[derive(Debug, Serialize)]
struct Timed<'a> {
    #[serde(flatten)]
    plans: &'a Plans,
    seconds: f64,
}

/// The JSON of `wattlaw plan --format json`, of a search that took so many seconds.
///
/// # Errors
/// A number that JSON cannot hold.
pub fn plans_json(plans: &Plans, seconds: f64) -> Result<String> {
    json(Schema::Plan, &Timed { plans, seconds })
}
