//! What an energy figure covers.

use crate::base::words::words;

/// What an energy figure covers; figures of different scopes are never mixed silently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// The accelerators only.
    Gpu,
    /// Accelerators, CPU packages and memory by their own counters; fans, disks and conversion are outside.
    Devices,
    /// The node behind its power supplies.
    NodeDc,
    /// The node at its plug.
    NodeAc,
    /// The facility, cooling and distribution included.
    Facility,
    /// CodeCarbon: accelerators' counters plus modelled CPU and memory.
    Codecarbon,
    /// The source does not state it.
    Unstated,
}

words!(Scope, "scope": Gpu = "gpu", Devices = "devices", NodeDc = "node_dc" | "node-dc", NodeAc = "node_ac" | "node-ac",
    Facility = "facility", Codecarbon = "codecarbon", Unstated = "unstated");

/// What the duration and energy of a run cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Covers {
    /// The whole run, its start-up included.
    #[default]
    Run,
    /// The steps of the run, without start-up and end.
    Steps,
    /// One optimizer step, as in tables of step times.
    OneStep,
}

words!(Covers, "what is covered": Run = "run", Steps = "steps", OneStep = "one-step");
