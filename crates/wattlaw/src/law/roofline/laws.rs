//! Roofline laws of all GPU models of a table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fit::Prior;
use super::machine::Machine;
use super::transfer::{PRIOR_SD_SCALE, Transfer};

/// Roofline laws of each accelerator, and of all together for one that was not seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RooflineLaws {
    /// Kinds of accelerators that the pooled law was fitted on; with several its spread is that of whole ones held out.
    pub accelerators: usize,
    /// What all accelerators share; its spread is that of whole accelerators held out, where there are several.
    pub pooled: Machine,
    /// What is known of an accelerator that was not seen, to be adjusted to a few runs of it; absent in files of before
    /// there was such a thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
    /// Each accelerator's own, by its name in the catalogue.
    pub machines: BTreeMap<String, Machine>,
}

impl RooflineLaws {
    /// The machine that answers for an accelerator, and whether it is its own.
    pub fn machine(&self, gpu: &str) -> (&Machine, bool) {
        self.machines.get(gpu).map_or((&self.pooled, false), |machine| (machine, true))
    }

    /// What is held likely of an accelerator before its next runs: of one that was adjusted, its posterior; of another that
    /// has its own parameters, those, as doubtful as a machine of another place makes them; of one that was not seen, what
    /// the others tell of it.
    pub fn prior(&self, gpu: &str) -> Prior {
        match (self.machine(gpu), &self.transfer) {
            ((machine, true), _) if machine.adjusted => Prior::from(&machine.fit),
            ((_, false), Some(transfer)) => Prior::from(&transfer.unseen),
            ((machine, _), _) => Prior::centred_at(machine.fit.logs, PRIOR_SD_SCALE),
        }
    }
}
