//! Power and work of a GPU at the full clock, from which the clock under a limit follows.

use crate::stats::tape::Real;

/// Sharpness of smooth minima: of the ceiling and of the power limit. Assumed.
const SHARP: f64 = 8.0;

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
}

/// (x⁻⁸ + limit⁻⁸)^(-1/8): a minimum with a bend.
pub(super) fn smooth_minimum<R: Real>(x: R, limit: f64) -> R {
    // the larger one is drawn out, so that no power overflows
    if x.value() > limit {
        ((x / limit).powf(-SHARP) + 1.0).powf(-1.0 / SHARP) * limit
    } else {
        x * ((x / limit).powf(SHARP) + 1.0).powf(-1.0 / SHARP)
    }
}
