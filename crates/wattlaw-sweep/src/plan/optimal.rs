//! The jobs from which a law learns most for what they cost.

use super::{Budget, Forecast};
use wattlaw::law::roofline::transfer::OVERHEAD_S;
use wattlaw::stats::optimal::{Criterion, Design};

/// What is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// At most so many.
    pub runs: usize,
    /// What their predicted time or energy may come to.
    pub budget: Option<Budget>,
    /// What the choice should make small.
    pub criterion: Criterion,
}

/// Jobs that were chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// Which of the candidates, in the order of choice.
    pub jobs: Vec<usize>,
    /// Standard deviation of the targets' logarithms, root mean square, before any was measured.
    pub log_sd_before: f64,
    /// The same after all that were chosen.
    pub log_sd_after: f64,
}

impl Objective {
    /// Chooses among jobs that a law was asked about in a design; jobs that nothing is predicted for are passed over.
    ///
    /// A job costs its part of the budget, or its time without one, and as much more as ten minutes beside it are of its
    /// time: to queue, load and compile.
    pub fn choose(&self, jobs: &[Forecast], design: Design) -> Chosen {
        let prices: Vec<f64> =
            jobs.iter().map(|job| job.price(self.budget).unwrap_or(f64::NAN)).collect();
        let costs = jobs
            .iter()
            .zip(&prices)
            .map(|(job, price)| {
                let time = job.duration().map_or(f64::NAN, |time| time.value());
                price * (1.0 + OVERHEAD_S / time)
            })
            .collect();
        let mut design = design.costing(costs);
        if let Some(budget) = self.budget {
            design = design.within(prices, budget.total());
        }
        let log_sd_before = design.target_sd();
        let chosen = design.choose(self.criterion, self.runs);
        Chosen {
            jobs: chosen.iter().map(|c| c.candidate).collect(),
            log_sd_before,
            log_sd_after: chosen.last().map_or(log_sd_before, |last| last.target_sd),
        }
    }
}
