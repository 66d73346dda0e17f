//! What the form offers: the values that are valid beside everything else that a question says.

use serde::Serialize;

use wattlaw::base::error::{Error, Result};
use wattlaw::job::catalog::Catalog;
use wattlaw::job::{Job, JobSpec};
use wattlaw::predict::Severity;

use crate::problem::Problem;
use crate::question::{Question, read};
use crate::world::World;

/// Values that the form offers for a question.
#[derive(Debug, Serialize)]
struct Offers {
    /// Degrees of tensor and pipeline parallelism that divide accelerators, heads, widths and layers; data parallelism takes what is left.
    tp: Vec<u64>,
    pp: Vec<u64>,
    /// Degrees of data parallelism, each with the accelerators that it takes beside the other degrees.
    dp: Vec<Replicas>,
    /// Strategies of data-parallel ranks.
    strategy: Vec<&'static str>,
    /// Power of an accelerator without a limit, in watts.
    tdp_w: Option<f64>,
    /// How the files were read.
    remarks: Vec<Remark>,
}

/// A degree of data parallelism.
#[derive(Debug, Serialize)]
struct Replicas {
    dp: u64,
    gpus: u64,
}

/// A sentence about the files.
#[derive(Debug, Serialize)]
struct Remark {
    warning: bool,
    text: String,
}

/// Strategies of data-parallel ranks, in the order of the form.
const STRATEGIES: [&str; 6] = ["single", "ddp", "zero1", "zero2", "fsdp", "hsdp"];

/// The largest degree that is tried, and the most accelerators of a degree of data parallelism.
const MOST: u64 = 4096;

/// The values that the form offers for a question.
///
/// # Errors
/// What is wrong with the question's fields and files by themselves.
pub fn offers(question: &str) -> std::result::Result<String, Problem> {
    let question: Question = read(question)?;
    let world = World::get()?;
    let description = question.description(&world.catalog)?;
    let base = Base::new(description.for_its_gpus(), &world.catalog);
    let remarks = description.remarks().into_iter();
    let offers = Offers {
        tp: base.degrees(|spec, n| {
            spec.parallelism.tp = Some(n);
            spec.parallelism.dp = None;
        }),
        pp: base.degrees(|spec, n| {
            spec.parallelism.pp = Some(n);
            spec.parallelism.dp = None;
        }),
        dp: base.replicas(),
        strategy: base.strategies(),
        tdp_w: base.job(|_| {}).ok().map(|job| job.system.tdp.value()),
        remarks: remarks
            .map(|of| Remark { warning: of.severity != Severity::Info, text: of.text })
            .collect(),
    };
    Ok(serde_json::to_string(&offers).map_err(|e| Error::Data(e.to_string()))?)
}

/// A description whose values are varied.
struct Base<'a> {
    spec: JobSpec,
    catalog: &'a Catalog,
}

impl<'a> Base<'a> {
    const fn new(spec: JobSpec, catalog: &'a Catalog) -> Self {
        Self { spec, catalog }
    }

    /// The job with a change; a micro-batch that is open is one sequence, which divides every batch.
    fn job(&self, change: impl Fn(&mut JobSpec)) -> Result<Job> {
        let mut spec = self.spec.clone();
        change(&mut spec);
        if !spec.workload.states_micro_batch() {
            spec.workload.micro_batch = Some(1);
        }
        spec.resolve(self.catalog)
    }

    fn gpus(&self) -> u64 {
        self.spec.system.gpus.unwrap_or_else(|| self.spec.parallelism.implied_gpus())
    }

    /// The divisors of the accelerators with which the job is valid.
    fn degrees(&self, set: impl Fn(&mut JobSpec, u64)) -> Vec<u64> {
        let gpus = self.gpus();
        (1..=gpus.min(MOST))
            .filter(|n| gpus.is_multiple_of(*n) && self.job(|spec| set(spec, *n)).is_ok())
            .collect()
    }

    /// Degrees of data parallelism with which the job is valid, on as many accelerators as they take: the present one, the powers of two, and
    /// three times those.
    fn replicas(&self) -> Vec<Replicas> {
        let Ok(Job { parallelism: now, .. }) = self.job(|_| {}) else { return Vec::new() };
        let beside = now.gpus() / now.dp;
        let powers = (0..u64::BITS).map(|at| 1 << at).take_while(|n| *n <= MOST);
        let mut degrees: Vec<u64> = powers.flat_map(|n| [n, 3 * n]).chain([now.dp]).collect();
        degrees.sort_unstable();
        degrees.dedup();
        degrees.retain(|dp| *dp == now.dp || dp.saturating_mul(beside) <= MOST);
        let offered =
            degrees.into_iter().map(|dp| Replicas { dp, gpus: dp.saturating_mul(beside) });
        let is_valid = |of: &Replicas| {
            let job = self.job(|spec| {
                spec.system.gpus = Some(of.gpus);
                spec.parallelism.dp = None;
            });
            job.is_ok_and(|job| job.parallelism.dp == of.dp)
        };
        offered.filter(is_valid).collect()
    }

    fn strategies(&self) -> Vec<&'static str> {
        let valid = |name: &&str| {
            let Ok(strategy) = name.parse() else { return false };
            self.job(|spec| spec.parallelism.strategy = Some(strategy)).is_ok()
        };
        STRATEGIES.into_iter().filter(valid).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(fields: &str) -> serde_json::Value {
        serde_json::from_str(&offers(&format!(r#"{{"fields": {{{fields}}}}}"#)).unwrap()).unwrap()
    }

    /// 12 heads and 12 layers.
    const SMALL: &str = r#""model": "gpt2", "seq_len": "1024", "tokens": "1B", "gpu": "a100", "#;

    #[test]
    fn degrees_divide_accelerators_heads_and_layers() {
        let of = offered(&format!(r#"{SMALL} "gpus": "24""#));
        assert_eq!(of["tp"], serde_json::json!([1, 2, 3, 4, 6, 12]));
        assert_eq!(of["pp"], serde_json::json!([1, 2, 3, 4, 6, 8, 12]));
        let with = offered(&format!(r#"{SMALL} "gpus": "8", "tp": "4""#));
        assert_eq!(with["pp"], serde_json::json!([1, 2]));
    }

    #[test]
    fn data_parallelism_changes_how_many_accelerators_there_are() {
        let replicas = |fields: &str| -> Vec<(u64, u64)> {
            let of = offered(&format!("{SMALL} {fields}"));
            let of = of["dp"].as_array().unwrap().clone();
            let number = |of: &serde_json::Value, name: &str| of[name].as_u64().unwrap();
            of.iter().map(|of| (number(of, "dp"), number(of, "gpus"))).collect()
        };
        let of = replicas(r#""gpus": "8", "tp": "2""#);
        assert_eq!(of[..5], [(1, 2), (2, 4), (3, 6), (4, 8), (6, 12)]);
        assert_eq!(*of.last().unwrap(), (2048, 4096));
        // the present one is always among them
        assert!(replicas(r#""gpus": "20", "tp": "4""#).contains(&(5, 20)));
        // what divides the global batch
        let of = replicas(r#""gpus": "8", "global_batch": "48", "micro_batch": "2""#);
        assert_eq!(of.iter().map(|of| of.0).collect::<Vec<_>>(), [1, 2, 3, 4, 6, 8, 12, 24]);
        // sharding is of several ranks
        let of = replicas(r#""gpus": "8", "strategy": "fsdp""#);
        assert_eq!(of[0], (2, 2));
        assert!(replicas(r#""gpus": "8", "tp": "5""#).is_empty());
    }

    #[test]
    fn one_accelerator_shards_nothing() {
        let of = offered(&format!(r#"{SMALL} "gpus": "1""#));
        assert_eq!(of["strategy"], serde_json::json!(["single"]));
        assert_eq!(of["tdp_w"], 400.0);
    }
}
