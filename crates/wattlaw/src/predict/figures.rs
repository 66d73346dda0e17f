//! Figures that follow from the time and energy of a prediction: accelerator hours, throughput, step time and MFU.

use super::{Breakdown, Interval};
use crate::base::units::SECONDS_PER_HOUR;
use crate::cost::Cost;
use crate::job::Job;

/// Figures of one job whose time is predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figures {
    /// Hours of all accelerators together.
    pub gpu_hours: Interval,
    /// Tokens a second of all accelerators together, without padding.
    pub tokens_per_s: Interval,
    /// Seconds of one optimizer step.
    pub step_s: Interval,
    /// Model FLOPs a second as a share of the accelerators' peak.
    pub mfu: Option<Interval>,
}

impl Figures {
    /// The figures of a job with a predicted time in seconds.
    ///
    /// A step is free of the run's start-up where the law separates it. MFU is model FLOPs (full attention) over time,
    /// accelerators and the peak of the precision, as in Chowdhery et al. 2022, appendix B; its upper end is at most 1.
    pub fn new(job: &Job, cost: &Cost, duration_s: Interval, breakdown: &Breakdown) -> Self {
        let gpus = job.parallelism.gpus() as f64;
        let in_steps = match breakdown {
            Breakdown::Parts { time, .. } => 1.0 - time.start_up_s / time.total_s,
            Breakdown::Factors(_) => 1.0,
        };
        let peak = job.system.accelerator.peak(job.workload.precision);
        let mfu = peak.map(|peak| {
            let of_time =
                inverse(duration_s).scaled(cost.model_flops().value() / (peak.value() * gpus));
            Interval { upper: of_time.upper.min(1.0).max(of_time.estimate), ..of_time }
        });
        Self {
            gpu_hours: duration_s.scaled(gpus / SECONDS_PER_HOUR),
            tokens_per_s: inverse(duration_s).scaled(job.tokens()),
            step_s: duration_s.scaled(in_steps / job.steps()),
            mfu,
        }
    }
}

/// The interval of a reciprocal; an infinite end becomes 0.
fn inverse(of: Interval) -> Interval {
    Interval { estimate: 1.0 / of.estimate, lower: 1.0 / of.upper, upper: 1.0 / of.lower }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::AttentionFlops;
    use crate::job::JobSpec;
    use crate::job::catalog::Catalog;

    #[test]
    fn figures_follow_from_the_time() {
        let spec = JobSpec::from_toml(
            "model.name = 'gpt2'
             workload = { steps = 100, seq_len = 1024, micro_batch = 4, grad_accum = 2 }
             system = { gpu = 'a100-sxm4-80gb', gpus = 2 }",
        );
        let job = spec.unwrap().resolve(&Catalog::built_in().unwrap()).unwrap();
        let cost = Cost::count(&job, AttentionFlops::Full);
        let duration = Interval { estimate: 100.0, lower: 50.0, upper: f64::INFINITY };
        let of = Figures::new(&job, &cost, duration, &Breakdown::Factors(Vec::new()));
        approx::assert_relative_eq!(of.gpu_hours.estimate, 200.0 / 3600.0);
        // 100 steps of 16 sequences of 1,024 tokens in 100 s
        approx::assert_relative_eq!(of.tokens_per_s.estimate, 16_384.0);
        assert_eq!((of.tokens_per_s.lower, of.step_s.estimate), (0.0, 1.0));
        approx::assert_relative_eq!(of.tokens_per_s.upper, 32_768.0);
        let mfu = of.mfu.unwrap();
        // dense bf16 of an A100: 312 TFLOP/s
        approx::assert_relative_eq!(
            mfu.estimate,
            cost.model_flops().value() / (100.0 * 2.0 * 312e12),
            max_relative = 1e-12
        );
        // no machine is faster than its peak
        let at_peak = Interval { estimate: 1e-3, lower: 1e-6, upper: 1.0 };
        let of = Figures::new(&job, &cost, at_peak, &Breakdown::Factors(Vec::new()));
        let fast = of.mfu.unwrap();
        assert!(fast.lower < fast.estimate && fast.upper <= fast.estimate.max(1.0));
    }
}
