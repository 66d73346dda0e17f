//! A job under several power limits, as searches try them: what the limits share is computed once. Every cost is at its mean.

use std::cell::{LazyCell, OnceCell};

use super::conditional::Conditional;
use super::discrepancy::Discrepancy;
use super::fitted::Answer;
use super::physics::AtFullClock;
use super::terms::Terms;
use crate::base::scope::Scope;
use crate::stats::gp::Distances;

/// A job under any power limit of its accelerators.
#[derive(Debug)]
pub struct UnderLimits<'a> {
    conditional: &'a Conditional,
    terms: &'a Terms,
    full: AtFullClock<f64>,
    /// The discrepancies of time and power, each with what all limits share.
    discrepancies: [Option<(&'a Discrepancy, Distances)>; 2],
    /// Power at the lowest clock by an estimate, W.
    lowest_w: OnceCell<f64>,
}

/// The most by which power at the lowest clock is assumed to differ between mean and median costs, as a factor. A mean cost is at most
/// e^(1/2) = 1.65 of its median.
const NEAR_LOWEST: f64 = 2.0;

impl<'a> UnderLimits<'a> {
    /// The job with these terms, of which the power limit is left out.
    pub fn new(answer: &'a Answer<'_>, terms: &'a Terms) -> Self {
        let conditional = answer.conditional();
        let inputs = LazyCell::new(|| terms.inputs());
        let shared = |of: &'a Discrepancy| (of, of.distances(&inputs));
        Self {
            conditional,
            terms,
            full: conditional.at_full_clock(terms),
            discrepancies: answer.discrepancies().map(|of| of.map(shared)),
            lowest_w: OnceCell::new(),
        }
    }

    /// Expected time in seconds and mean power of an accelerator in watts under a limit in watts; `None` where the power at the lowest
    /// clock is above it, with costs at their means or as an estimate has them.
    pub fn expected(&self, limit_w: f64) -> Option<[f64; 2]> {
        let found = self.conditional.under_limit(self.terms, &self.full, limit_w, Scope::Gpu);
        let lowest_w = found.clock.lowest;
        if lowest_w > limit_w || (lowest_w * NEAR_LOWEST > limit_w && self.lowest_w() > limit_w) {
            return None;
        }
        let mut expected = [found.time, found.power];
        for (value, of) in expected.iter_mut().zip(&self.discrepancies) {
            if let Some((discrepancy, shared)) = of {
                let log_limit = (limit_w / self.terms.tdp).ln();
                *value *= discrepancy.mean_under(shared, log_limit).exp();
            }
        }
        Some(expected)
    }

    fn lowest_w(&self) -> f64 {
        let estimate = || self.conditional.physics(self.terms, Scope::Gpu).clock.lowest;
        *self.lowest_w.get_or_init(estimate)
    }
}
