//! A job under several power limits, as searches try them: what the limits share is computed once. Every cost is at its mean.

use std::cell::LazyCell;

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
}

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
        }
    }

    /// Expected time in seconds and mean power of an accelerator in watts under a limit in watts; `None` where the power at the lowest clock is
    /// above it.
    pub fn estimate(&self, limit_w: f64) -> Option<[f64; 2]> {
        let found = self.conditional.under_limit(self.terms, &self.full, limit_w, Scope::Gpu);
        if found.clock.lowest > limit_w {
            return None;
        }
        let mut estimate = [found.time, found.power];
        for (value, of) in estimate.iter_mut().zip(&self.discrepancies) {
            if let Some((discrepancy, shared)) = of {
                let log_limit = (limit_w / self.terms.tdp).ln();
                *value *= discrepancy.mean_under(shared, log_limit).exp();
            }
        }
        Some(estimate)
    }
}
