//! Suggests the runs of a machine that reduce the uncertainty of target predictions most.

use serde::Serialize;

use super::Calibration;
use crate::base::error::{Error, Result};
use crate::base::scope::Scope;
use crate::job::Job;
use crate::law::roofline::Groups;
use crate::law::roofline::terms::Terms;
use crate::stats::optimal::Criterion;

/// A suggested run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Suggested {
    /// Position among the candidates, from 0.
    #[serde(skip)]
    pub candidate: usize,
    /// Time predicted by the parent calibration, in seconds.
    pub duration_s: f64,
    /// Energy predicted by the parent calibration, in joules.
    #[serde(skip)]
    pub energy_j: f64,
    /// Information about the machine's parameters beyond the runs before it, in bits.
    pub information_bits: f64,
    /// Root mean square of the standard deviations of ln T and ln E of the targets after it, from the parameters'
    /// uncertainty.
    pub target_log_sd: f64,
}

/// Suggested runs in order, and the uncertainty before the first.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestions {
    /// The runs.
    pub runs: Vec<Suggested>,
    /// [`Suggested::target_log_sd`] before any run.
    pub log_sd_before: f64,
}

impl Calibration {
    /// Chooses up to `count` of the candidates, all on one accelerator, to predict `targets`.
    ///
    /// # Errors
    /// [`Error::Data`] for a calibration without a roofline law, and for several accelerators.
    pub fn suggest(
        &self,
        candidates: &[&Job],
        targets: &[&Job],
        count: usize,
        criterion: Criterion,
    ) -> Result<Suggestions> {
        let law = self.roofline("suggest runs")?;
        let mut gpus: Vec<&str> = candidates
            .iter()
            .chain(targets)
            .map(|job| job.system.accelerator.name.as_str())
            .collect();
        gpus.sort_unstable();
        gpus.dedup();
        if gpus.len() > 1 {
            return Err(Error::Data(format!(
                "runs are suggested for one GPU model at a time, but the space and jobs have {}",
                gpus.join(", ")
            )));
        }
        let mut design = self.design(candidates, targets)?;
        let log_sd_before = design.target_sd();
        let runs = design
            .choose(criterion, count)
            .into_iter()
            .map(|chosen| {
                let job = candidates[chosen.candidate];
                let answer = law.answer(&Groups::for_job(job));
                let [log_time, log_power] = answer.logs(&Terms::for_job(job), Scope::Gpu);
                let log_energy = log_time + log_power + (job.system.gpus as f64).ln();
                Suggested {
                    candidate: chosen.candidate,
                    duration_s: log_time.exp(),
                    energy_j: log_energy.exp(),
                    information_bits: chosen.information_bits,
                    target_log_sd: chosen.target_sd,
                }
            })
            .collect();
        Ok(Suggestions { runs, log_sd_before })
    }
}
