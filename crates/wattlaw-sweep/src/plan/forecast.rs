//! Predicted time and energy of jobs, and the plan built from them.

use super::{Budget, Plan, PlannedJob, Turn, gpu_hours, run_id};
use crate::space::Candidate;
use wattlaw::base::error::Result;
use wattlaw::base::units::{Joules, Seconds};
use wattlaw::predict::{Estimate, Estimator};

/// A job with its prediction.
#[derive(Debug, Clone)]
pub struct Forecast {
    /// The job.
    pub candidate: Candidate,
    /// Name of the calibration.
    pub calibration: String,
    /// The prediction, or the reason why there is none.
    pub estimate: Result<Estimate>,
}

impl Forecast {
    /// Predicts time and energy of a job.
    pub fn new(candidate: Candidate, estimator: &mut Estimator<'_>) -> Self {
        let estimate = estimator.estimate(&candidate.job);
        Self { calibration: estimator.calibration().name.clone(), estimate, candidate }
    }

    /// Predicted time, s; `None` without a valid prediction.
    pub fn duration(&self) -> Option<Seconds> {
        self.estimate.as_ref().ok()?.duration_s.filter(is_positive_finite).map(Seconds::new)
    }

    /// Predicted energy, J; `None` without a valid prediction.
    pub fn energy(&self) -> Option<Joules> {
        self.estimate.as_ref().ok()?.energy_j.filter(is_positive_finite).map(Joules::new)
    }

    /// Cost of the job in the budget's unit, or in seconds without a budget.
    pub fn price(&self, budget: Option<Budget>) -> Option<f64> {
        match budget {
            None => self.duration().map(Seconds::value),
            Some(Budget::GpuHours(_)) => self.duration().map(|time| gpu_hours(self.gpus(), time)),
            Some(Budget::Energy(_)) => self.energy().map(Joules::value),
        }
    }

    /// Number of GPUs.
    pub fn gpus(&self) -> u64 {
        self.candidate.job.parallelism.gpus()
    }
}

/// A law far outside its fitted range may predict infinity or NaN.
fn is_positive_finite(value: &f64) -> bool {
    value.is_finite() && *value > 0.0
}

/// Index of the job with the median predicted time (the shorter of two); 0 if no time is predicted.
pub fn median_job(jobs: &[Forecast]) -> usize {
    let mut timed: Vec<(f64, usize)> = jobs
        .iter()
        .enumerate()
        .filter_map(|(at, job)| Some((job.duration()?.value(), at)))
        .collect();
    timed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    timed.get(timed.len().saturating_sub(1) / 2).map_or(0, |(_, at)| *at)
}

impl Plan {
    /// Builds the plan of jobs in an order; `reference` is the job of the turns without a job.
    pub fn from_order(jobs: &[Forecast], reference: &Forecast, turns: &[Turn]) -> Self {
        let planned = turns.iter().enumerate().map(|(at, turn)| {
            let job = turn.job.map_or(reference, |job| &jobs[job]);
            PlannedJob {
                run_id: run_id(at + 1, turns.len(), &job.candidate.job, turn.job.is_none()),
                block: turn.block,
                reference: turn.job.is_none(),
                spec: job.candidate.spec.clone(),
                predicted_duration: job.duration(),
                predicted_energy: job.energy(),
            }
        });
        Self { jobs: planned.collect() }
    }
}
