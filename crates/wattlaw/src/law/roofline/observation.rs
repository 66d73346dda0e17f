//! A run for the fit of a machine.

use super::fit::Sample;
use super::terms::Terms;

/// Fewest runs for a discrepancy.
pub(super) const MIN_DISCREPANCY_RUNS: usize = 20;

/// Time, energy and mean power, in that order.
pub(super) const SPREADS: usize = 3;

/// A run of a machine: its measured values and the group it is held out with.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation<'a> {
    /// The roofline inputs of the job.
    pub terms: &'a Terms,
    /// ln(duration / s).
    pub log_duration: f64,
    /// ln(energy / J), where it was measured.
    pub log_energy: Option<f64>,
    /// Group that is held out whole.
    pub group: usize,
}

impl Observation<'_> {
    pub(super) fn sample(&self) -> Sample<'_> {
        Sample { terms: self.terms, log_duration: self.log_duration, log_energy: self.log_energy }
    }

    pub(super) fn response(&self, which: usize) -> Option<f64> {
        if which == 0 { Some(self.log_duration) } else { self.log_energy }
    }
}
