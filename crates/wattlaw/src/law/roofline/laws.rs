//! Roofline laws of all GPU models of a table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fit::Prior;
use super::machine::Machine;
use super::transfer::{PRIOR_SD_SCALE, Transfer};

/// Roofline laws of each accelerator, and a pooled law for an unseen one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RooflineLaws {
    /// Number of accelerators in the pooled fit; with several, its residuals are those of whole accelerators held out.
    pub accelerators: usize,
    /// The pooled law; with several accelerators, its residuals are those of whole accelerators held out.
    pub pooled: Machine,
    /// The prior of an unseen accelerator, to be adapted to a few runs of it; absent in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
    /// Each accelerator's own, by its name in the catalogue.
    pub machines: BTreeMap<String, Machine>,
}

impl RooflineLaws {
    /// The machine that predicts an accelerator, and whether it was fitted on it (otherwise the pooled one).
    pub fn machine(&self, gpu: &str) -> (&Machine, bool) {
        self.machines.get(gpu).map_or((&self.pooled, false), |machine| (machine, true))
    }

    /// The prior of an accelerator before its next runs: the posterior of an adapted one; the parameters of a fitted
    /// one, with the uncertainty between machines; the transfer prior of an unseen one.
    pub fn prior(&self, gpu: &str) -> Prior {
        match (self.machine(gpu), &self.transfer) {
            ((machine, true), _) if machine.adjusted => Prior::from(&machine.fit),
            ((_, false), Some(transfer)) => Prior::from(&transfer.unseen),
            ((machine, _), _) => Prior::centred_at(machine.fit.logs, PRIOR_SD_SCALE),
        }
    }
}
