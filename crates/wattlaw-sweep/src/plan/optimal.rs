//! Optimal design: the jobs with the most information for their cost.

use super::{Budget, Forecast};
use wattlaw::law::roofline::OVERHEAD_S;
use wattlaw::stats::optimal::{Criterion, Design};

/// Objective and limits of an optimal design.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// Maximum number of jobs.
    pub runs: usize,
    /// Limit of their total predicted time or energy.
    pub budget: Option<Budget>,
    /// Design criterion.
    pub criterion: Criterion,
}

/// The chosen jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// Indices of the candidates, in the order of choice.
    pub jobs: Vec<usize>,
    /// Root-mean-square standard deviation of the targets' logarithms before any measurement.
    pub log_sd_before: f64,
    /// The same after measuring all chosen jobs.
    pub log_sd_after: f64,
}

impl Objective {
    /// Chooses jobs; `design` holds the sensitivities of the same jobs. Jobs without a prediction are skipped.
    ///
    /// The cost of a job is its share of the budget (its time without a budget), scaled by 1 + overhead / time. The overhead
    /// ([`OVERHEAD_S`]) is the time to queue, load and compile.
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
        let mut design = design.with_costs(costs);
        if let Some(budget) = self.budget {
            design = design.with_budget(prices, budget.total());
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
