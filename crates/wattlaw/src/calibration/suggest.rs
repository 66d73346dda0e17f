//! Which runs of a machine would sharpen a calibration most for the jobs that are asked of it.

use serde::Serialize;

use super::Calibration;
use crate::base::error::Result;
use crate::job::Job;
use crate::stats::optimal::Criterion;

/// A run that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Suggested {
    /// Which of the candidates, from 0.
    #[serde(skip)]
    pub candidate: usize,
    /// Time that the parent predicts, in seconds.
    pub duration_s: f64,
    /// Energy that the parent predicts, in joules.
    #[serde(skip)]
    pub energy_j: f64,
    /// What it tells of the machine's parameters beside the runs before it, in bits.
    pub information_bits: f64,
    /// Standard deviation of ln T and ln E of the jobs, root mean square, by the parameters' doubt after it.
    pub target_log_sd: f64,
}

/// Runs in the order in which they should be taken, and the doubt before the first.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestions {
    /// The runs.
    pub runs: Vec<Suggested>,
    /// As [`Suggested::target_log_sd`], before any run.
    pub log_sd_before: f64,
}

impl Calibration {
    /// Chooses up to `count` of the candidates, all on one accelerator, for the sake of `targets`.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) for a calibration that holds no roofline law, and for several accelerators.
    pub fn suggest(
        &self,
        candidates: &[&Job],
        targets: &[&Job],
        count: usize,
        criterion: Criterion,
    ) -> Result<Suggestions> {
        let laws = self.roofline("say which runs it lacks")?;
        let mut design = laws.design(candidates, targets)?;
        let log_sd_before = design.target_sd();
        let runs = design
            .choose(criterion, count)
            .into_iter()
            .map(|chosen| {
                let job = candidates[chosen.candidate];
                let machine = laws.machine(&job.system.accelerator.name).0;
                let [(log_time, _), (log_energy, _)] = machine.predict(&machine.terms_for(job));
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
