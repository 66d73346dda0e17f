//! Proxies for the compute and memory traffic of a run: the variables of the scaling law.

use crate::base::words::words;
use crate::cost::{AttentionFlops, Cost, Totals};
use crate::data::measurement::Measurement;
use crate::job::Job;

/// A definition of the proxies for compute and memory traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ProxySet {
    /// The study's: C = 20 · layers · hidden² · tokens, M = batch · sequence · hidden · layers.
    #[default]
    Study,
    /// From the exact ledger: C = hardware FLOPs of the run, M = bytes of memory traffic in a micro-step of the busiest
    /// GPU.
    Ledger,
}

words!(ProxySet, "proxies": Study = "study", Ledger = "ledger");

/// C and M of a run or a job, in the units of their set; both positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proxies {
    /// Compute.
    pub compute: f64,
    /// Memory traffic.
    pub memory: f64,
}

/// The study's compute proxy, C = 20 · L · h² · T, about the FLOPs of L layers of width h on T tokens.
///
/// Source: Zoubeirou a Mayaki 2026 (arXiv 2606.23546), definition of C.
pub fn study_compute(layers: u64, hidden_size: u64, tokens: f64) -> f64 {
    20.0 * layers as f64 * (hidden_size as f64).powi(2) * tokens
}

/// The study's memory proxy, M = b · s · h · L: activations of one micro-batch.
///
/// Source: as [`study_compute`].
pub(crate) fn study_memory(micro_batch: f64, seq_len: f64, hidden_size: u64, layers: u64) -> f64 {
    micro_batch * seq_len * hidden_size as f64 * layers as f64
}

impl Proxies {
    /// The proxies of a job before its run.
    pub fn for_job(job: &Job, set: ProxySet) -> Self {
        let a = &job.architecture;
        match set {
            ProxySet::Study => Self {
                compute: study_compute(a.total_layers(), a.hidden_size, job.positions()),
                memory: study_memory(
                    job.workload.micro_sequences() as f64,
                    job.workload.positions_per_sequence() as f64,
                    a.hidden_size,
                    a.total_layers(),
                ),
            },
            ProxySet::Ledger => Self::from_cost(&Cost::count(job, AttentionFlops::Full)),
        }
    }

    /// The ledger's proxies of a counted job.
    pub fn from_cost(cost: &Cost) -> Self {
        let Totals { bytes, .. } = cost.busiest_stage().per_micro_step();
        Self { compute: cost.hardware_flops().value(), memory: bytes.value() }
    }

    /// The study's proxies of a measured run, with the table's own M where it has one; `None` where columns are absent.
    pub(crate) fn for_measurement(run: &Measurement) -> Option<Self> {
        let memory = run.memory_proxy.or_else(|| {
            Some(study_memory(
                run.micro_sequences()? as f64,
                run.positions_per_sequence()?,
                run.hidden_size(),
                run.total_layers(),
            ))
        })?;
        Some(Self {
            compute: study_compute(run.total_layers(), run.hidden_size(), run.positions()?),
            memory,
        })
    }
}

/// Hardware efficiency by duration, the study's η: single-GPU time over GPU-time, 1 for a baseline.
///
/// In the study's data, runs on several GPUs have other token counts than their baseline, so this is not a speedup on
/// equal work; [`efficiency_by_throughput`] is.
pub(crate) fn efficiency_by_duration(baseline_s: f64, duration_s: f64, gpus: u64) -> f64 {
    baseline_s / (duration_s * gpus as f64)
}

/// Hardware efficiency by throughput: tokens per GPU-second over those of the baseline, 1 for a baseline.
pub fn efficiency_by_throughput(baseline: (f64, f64), run: (f64, f64), gpus: u64) -> f64 {
    let ((baseline_tokens, baseline_s), (tokens, duration_s)) = (baseline, run);
    (tokens / duration_s) / (gpus as f64 * baseline_tokens / baseline_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_of_the_studys_first_row() {
        // run 17: 10 layers of 640, batch 8 of 32 tokens, 1,356,096 tokens; the table's M is 1,638,400
        assert_eq!(study_memory(8.0, 32.0, 640, 10), 1_638_400.0);
        assert_eq!(study_compute(10, 640, 1_356_096.0), 20.0 * 10.0 * 640.0 * 640.0 * 1_356_096.0);
    }

    #[test]
    fn the_two_efficiencies_agree_on_equal_work_only() {
        let by_duration = efficiency_by_duration(100.0, 60.0, 2);
        assert!(
            (by_duration - efficiency_by_throughput((5e6, 100.0), (5e6, 60.0), 2)).abs() < 1e-15
        );
        let twice_the_work = efficiency_by_throughput((5e6, 100.0), (1e7, 60.0), 2);
        assert!((twice_the_work - 2.0 * by_duration).abs() < 1e-15);
    }
}
