//! Status of a sweep: the jobs of a plan and their results.
//!
//! The status is computed from the records alone; there is no second journal that could contradict them. Pure: `store` reads the
//! folder.

mod job_status;
mod usage;

pub use job_status::{JobStatus, Reason};
pub use usage::{Remaining, Usage};

use std::collections::BTreeMap;

use serde::Serialize;

use crate::plan::Plan;
use wattlaw::base::error::{Error, Result};
use wattlaw::base::units::{Joules, Seconds};
use wattlaw::record::document::Record;

/// Status and results of a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobReport {
    /// Name of the job in the plan.
    pub run_id: String,
    /// Block of the job.
    pub block: u64,
    /// Whether this is a run of the reference job, which is repeated to detect drift.
    pub reference: bool,
    /// Status.
    pub status: JobStatus,
    /// Reason of a failure.
    pub reason: Option<String>,
    /// Number of attempts.
    pub attempts: usize,
    /// Record of the finished attempt, else of the last attempt.
    pub record: Option<String>,
    /// Time from start to end of the command, s.
    #[serde(rename = "command_s")]
    pub command: Option<Seconds>,
    /// Training time, s: that of the window `train`, else that of the command.
    #[serde(rename = "duration_s")]
    pub duration: Option<Seconds>,
    /// Energy of the training time, J.
    #[serde(rename = "energy_j")]
    pub energy: Option<Joules>,
    /// Whether part of the energy is assumed instead of measured.
    pub energy_assumed: bool,
    /// Throughput in tokens per second.
    pub tokens_per_s: Option<f64>,
    /// Training time predicted by the plan, s.
    #[serde(rename = "predicted_duration_s")]
    pub predicted_duration: Option<Seconds>,
    /// Energy predicted by the plan, J.
    #[serde(rename = "predicted_energy_j")]
    pub predicted_energy: Option<Joules>,
}

/// Status of all jobs of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sweep {
    /// The jobs, in the plan's order.
    pub jobs: Vec<JobReport>,
}

impl Sweep {
    /// Computes the status of each job of a plan from its records, which must be sorted by time.
    ///
    /// `output` returns the last lines of a record's log; it is called for failed attempts. Records of other names are ignored.
    pub fn from_records(
        plan: &Plan,
        records: &[&Record],
        output: impl Fn(&Record) -> String,
    ) -> Self {
        let mut attempts: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
        for record in records {
            if let Some(name) = &record.name {
                attempts.entry(name.as_str()).or_default().push(record);
            }
        }
        let none = Vec::new();
        let jobs = plan.jobs.iter().map(|job| {
            let tried = attempts.get(job.run_id.as_str()).unwrap_or(&none);
            let assessed: Vec<(JobStatus, Option<Reason>)> =
                tried.iter().map(|r| job_status::status_of(r)).collect();
            let at = |wanted: JobStatus| assessed.iter().position(|(status, _)| *status == wanted);
            // a finished attempt decides, whatever the other attempts did
            let counts =
                at(JobStatus::Done).or(at(JobStatus::Running)).or(assessed.len().checked_sub(1));
            let record = counts.map(|i| tried[i]);
            let status = counts.map_or(JobStatus::Waiting, |i| assessed[i].0);
            let reason = counts
                .and_then(|i| assessed[i].1)
                .map(|reason| reason.describe(&record.map(&output).unwrap_or_default()));
            let done = record.filter(|_| status == JobStatus::Done);
            let measured = done.map(Measured::from_record);
            JobReport {
                run_id: job.run_id.clone(),
                block: job.block,
                reference: job.reference,
                status,
                reason,
                attempts: tried.len(),
                record: record.map(|r| r.id.clone()),
                command: record.and_then(|r| r.duration),
                duration: measured.as_ref().and_then(|m| m.duration),
                energy: measured.as_ref().and_then(|m| m.energy),
                energy_assumed: measured.as_ref().is_some_and(|m| m.assumed),
                tokens_per_s: measured.as_ref().and_then(|m| m.tokens_per_s),
                predicted_duration: job.predicted_duration,
                predicted_energy: job.predicted_energy,
            }
        });
        Self { jobs: jobs.collect() }
    }

    /// Number of jobs with a status.
    pub fn count(&self, status: JobStatus) -> usize {
        self.jobs.iter().filter(|job| job.status == status).count()
    }

    /// Drift: the coefficient of variation of the reference job's throughput. `None` with fewer than two finished repeats.
    pub fn drift(&self) -> Option<f64> {
        let rates: Vec<f64> =
            self.jobs.iter().filter(|j| j.reference).filter_map(|j| j.tokens_per_s).collect();
        let n = rates.len() as f64;
        let mean = rates.iter().sum::<f64>() / n;
        let squares: f64 = rates.iter().map(|rate| (rate - mean).powi(2)).sum();
        (rates.len() > 1).then(|| (squares / (n - 1.0)).sqrt() / mean).filter(|cv| cv.is_finite())
    }
}

/// Measured values of a finished record.
struct Measured {
    duration: Option<Seconds>,
    energy: Option<Joules>,
    assumed: bool,
    tokens_per_s: Option<f64>,
}

impl Measured {
    fn from_record(record: &Record) -> Self {
        let train = record.train();
        let duration = train.map_or(record.duration, |w| Some(w.to - w.from));
        let tokens = train.map(|w| w.tokens).or(record.tokens).filter(|n| *n > 0.0);
        let total = record.energy_of_run();
        Self {
            duration,
            assumed: total.as_ref().is_some_and(|t| t.assumed > Joules::ZERO),
            energy: total.map(|t| t.energy),
            tokens_per_s: tokens
                .zip(duration.filter(|t| *t > Seconds::ZERO))
                .map(|(n, t)| n / t.value()),
        }
    }
}

/// Checks that a plan equals the plan that a folder of runs was started with, or extends it.
///
/// # Errors
/// [`Error::Data`] with the first job of the folder's plan that differs in `plan` or is missing.
pub fn check_continues(plan: &Plan, begun: &Plan) -> Result<()> {
    let jobs: BTreeMap<&str, _> = plan.jobs.iter().map(|job| (job.run_id.as_str(), job)).collect();
    for old in &begun.jobs {
        let why = match jobs.get(old.run_id.as_str()) {
            None => "is not in this plan",
            Some(new) if new.spec != old.spec => "is a different job in this plan",
            Some(_) => continue,
        };
        return Err(Error::Data(format!(
            "the folder holds runs of another plan: its job {} {why}; use another folder for --out, or the plan that the \
             folder was started with",
            old.run_id
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rows: &str) -> Plan {
        let header = "run_id,block,model,seq_len,micro_batch,steps,gpu\n";
        Plan::from_csv(format!("{header}{rows}").as_bytes(), "plan.csv").unwrap()
    }

    #[test]
    fn a_plan_may_be_extended_but_not_changed() {
        let begun = plan("a,1,gpt2,128,4,10,t4\nb,1,gpt2,128,8,10,t4\n");
        assert!(check_continues(&begun, &begun).is_ok());
        let more = plan("c,1,gpt2,64,8,10,t4\nb,2,gpt2,128,8,10,t4\na,1,gpt2,128,4,10,t4\n");
        assert!(check_continues(&more, &begun).is_ok(), "another order and one more job");
        let refused = |rows: &str| check_continues(&plan(rows), &begun).unwrap_err().to_string();
        assert!(refused("a,1,gpt2,128,4,10,t4\n").contains("its job b is not in this plan"));
        assert!(
            refused("a,1,gpt2,128,4,10,t4\nb,1,gpt2,128,8,20,t4\n")
                .contains("its job b is a different job in this plan")
        );
    }
}
