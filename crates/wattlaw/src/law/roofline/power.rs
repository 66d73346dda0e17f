//! Power and work of a GPU at the full clock, from which the clock under a limit follows.

use crate::stats::tape::Real;

/// Power of a GPU in watts and the energy of its work in a step in joules, at the full clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Power<R> {
    /// Idle power.
    pub idle: R,
    /// Idle power that no lower clock saves.
    pub idle_kept: R,
    /// The rest of the idle power.
    pub idle_saved: R,
    /// Waiting in collectives.
    pub busy: R,
    pub compute: R,
    pub memory: R,
    pub communication: R,
    pub kernels: R,
}

impl<R: Real> Power<R> {
    pub(super) fn work(&self) -> R {
        self.compute + self.memory + self.communication + self.kernels
    }

    /// The numbers alone.
    pub(super) fn values(&self) -> Power<f64> {
        Power {
            idle: self.idle.value(),
            idle_kept: self.idle_kept.value(),
            idle_saved: self.idle_saved.value(),
            busy: self.busy.value(),
            compute: self.compute.value(),
            memory: self.memory.value(),
            communication: self.communication.value(),
            kernels: self.kernels.value(),
        }
    }
}
