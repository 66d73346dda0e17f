//! Used and remaining time and energy of a sweep.

use serde::Serialize;

use super::{JobReport, JobStatus, Sweep};
use wattlaw::base::units::{Joules, Seconds};

/// Time and energy of the finished jobs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Usage {
    /// Total time of the commands, s.
    #[serde(rename = "time_s")]
    pub time: Seconds,
    /// Total energy of the training times, J.
    #[serde(rename = "energy_j")]
    pub energy: Joules,
    /// Whether part of the energy is assumed.
    pub energy_assumed: bool,
}

/// Estimated time and energy of the open jobs; `None` if the plan has no prediction for one of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Remaining {
    /// Number of open jobs.
    pub jobs: usize,
    /// Total time of the commands, s, without the waits between them.
    #[serde(rename = "time_s")]
    pub time: Option<Seconds>,
    /// Total energy of the training times, J.
    #[serde(rename = "energy_j")]
    pub energy: Option<Joules>,
}

impl Sweep {
    /// Time and energy of the finished jobs.
    pub fn usage(&self) -> Usage {
        let done = || self.jobs.iter().filter(|job| job.status == JobStatus::Done);
        Usage {
            time: done().filter_map(|j| j.command).fold(Seconds::ZERO, |a, b| a + b),
            energy: done().filter_map(|j| j.energy).fold(Joules::ZERO, |a, b| a + b),
            energy_assumed: done().any(|job| job.energy_assumed),
        }
    }

    /// Estimates the time and energy of the waiting, running and interrupted jobs: the plan's prediction times the median ratio of
    /// measured to predicted values of the finished jobs, plus their median start and end overhead.
    pub fn remaining(&self) -> Remaining {
        let open = || {
            let will_run = [JobStatus::Waiting, JobStatus::Running, JobStatus::Interrupted];
            self.jobs.iter().filter(move |job| will_run.contains(&job.status))
        };
        let ratio = |of: fn(&JobReport) -> Option<f64>| {
            median(self.jobs.iter().filter_map(of).filter(|r| r.is_finite() && *r > 0.0))
                .unwrap_or(1.0)
        };
        let time_ratio = ratio(|job| Some(job.duration? / job.predicted_duration?));
        let energy_ratio = ratio(|job| Some(job.energy? / job.predicted_energy?));
        let overhead =
            median(self.jobs.iter().filter_map(|job| Some((job.command? - job.duration?).value())));
        let time = |job: &JobReport| {
            Some(job.predicted_duration? * time_ratio + Seconds::new(overhead.unwrap_or(0.0)))
        };
        let energy = |job: &JobReport| Some(job.predicted_energy? * energy_ratio);
        Remaining {
            jobs: open().count(),
            time: open().map(time).try_fold(Seconds::ZERO, |sum, t| Some(sum + t?)),
            energy: open().map(energy).try_fold(Joules::ZERO, |sum, e| Some(sum + e?)),
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let median_job = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => Some(sorted[median_job]),
        _ => Some((sorted.get(median_job.checked_sub(1)?)? + sorted.get(median_job)?) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(status: JobStatus, took: Option<f64>, predicted: f64) -> JobReport {
        JobReport {
            run_id: "a".into(),
            block: 1,
            reference: false,
            status,
            reason: None,
            attempts: 1,
            record: None,
            command: took.map(|t| Seconds::new(t + 3.0)),
            duration: took.map(Seconds::new),
            energy: took.map(|t| Joules::new(100.0 * t)),
            energy_assumed: false,
            tokens_per_s: None,
            predicted_duration: Some(Seconds::new(predicted)),
            predicted_energy: Some(Joules::new(50.0 * predicted)),
        }
    }

    #[test]
    fn the_remaining_work_is_the_prediction_scaled_by_past_ratios() {
        let jobs = vec![
            job(JobStatus::Done, Some(20.0), 10.0),
            job(JobStatus::Done, Some(40.0), 20.0),
            job(JobStatus::Failed, None, 500.0),
            job(JobStatus::Waiting, None, 10.0),
            job(JobStatus::Interrupted, None, 5.0),
        ];
        let sweep = Sweep { jobs };
        assert_eq!(sweep.usage().time, Seconds::new(66.0));
        assert_eq!(sweep.usage().energy, Joules::new(6000.0));
        let left = sweep.remaining();
        // time ratio 2, and 3 s overhead per job
        assert_eq!((left.jobs, left.time), (2, Some(Seconds::new(36.0))));
        assert_eq!(left.energy, Some(Joules::new(15.0 * 50.0 * 4.0)));
        let mut unknown = sweep;
        unknown.jobs[3].predicted_duration = None;
        assert_eq!(unknown.remaining().time, None);
    }
}
