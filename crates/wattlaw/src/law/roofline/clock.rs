//! The clock under a power limit, and power as a function of the clock.
//!
//! Power of a GPU at a share s of the full clock, with P₀ its idle power, v the voltage and work the energy of a step:
//!
//! ```text
//! p(s) = P₁ + (P₀ − P₁ + busy) · s · v² + work · v² / (step · stretch(s))
//! v(s) = (1 + slope · z(s)) / (1 + slope · z(1))        z(s) = width · ln(1 + exp((s − floor) / width))
//! stretch(s) = 1 + device share · bound · (1/s − 1)     memory-bound time does not change
//! draw = (p(1)⁻⁸ + (limit · (1 − peaks))⁻⁸)^(-1/8)      power peaks hit the limit before the mean does
//! ```
//!
//! and the clock is where p(s) = draw. Sources: power of logic as leakage plus capacitance × voltage² × clock (Weste and
//! Harris, CMOS VLSI Design, chapter 5); limits are from Zeus (You et al. 2023).

use serde::Serialize;

use super::parameter::Parameters;
use super::power::Power;
use super::smooth::smooth_minimum;
use crate::stats::tape::Real;

/// Share of the full clock below which the voltage is constant. Source: Perseus' table (Chung et al. 2024): below
/// 1,065 MHz of an A100's 1,410 the energy of a pass no longer falls.
const VOLTAGE_FLOOR: f64 = 0.805;

/// Width of the transition at the voltage floor, in shares of clock. Assumed: two clock steps of an A100.
const VOLTAGE_WIDTH: f64 = 0.03;

/// Share of device time that scales with the clock. Source: fit of Perseus' stages and Zeus' BERT under power limits.
const CLOCK_BOUND: f64 = 0.867;

/// Unused share of a power limit: power peaks hit it before the mean does. Source: as [`CLOCK_BOUND`].
const LIMIT_PEAKS: f64 = 0.0785;

/// Lowest clock of an accelerator, as a share of the full clock. Source: A100, 210 of 1,410 MHz
/// (`nvidia-smi --query-supported-clocks=graphics`).
pub const MIN_CLOCK_SHARE: f64 = 0.15;

/// The effect of a power limit on a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PowerLimit {
    /// The limit of an accelerator, W.
    pub limit_w: f64,
    /// Whether the limit lowers the clock.
    pub binds: bool,
    /// Mean power of the accelerator during the run without start-up and end, W.
    pub draw_w: f64,
    /// Share of the full clock under the limit.
    pub clock_share: f64,
    /// Time of a step relative to the time without the limit.
    pub time_factor: f64,
    /// Whether the power at the lowest clock is within the limit.
    #[serde(skip)]
    pub met: bool,
}

/// The clock under a power limit, at a share of the full clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock<R> {
    /// Power at the full clock, W.
    pub free: f64,
    /// Power at the clock, W.
    pub draw: R,
    /// Share of the full clock.
    pub share: R,
    /// Voltage over that at the full clock.
    pub voltage: R,
    /// Time of a step over that at the full clock.
    pub stretch: R,
    /// Power at the lowest clock, W.
    pub lowest: f64,
}

impl<R: Real> Clock<R> {
    /// The numbers alone.
    pub(super) fn values(&self) -> Clock<f64> {
        Clock {
            free: self.free,
            draw: self.draw.value(),
            share: self.share.value(),
            voltage: self.voltage.value(),
            stretch: self.stretch.value(),
            lowest: self.lowest,
        }
    }
}

impl<R: Real> Parameters<R> {
    /// The clock under a power limit in watts; `on_device` is the share of a step's time that scales with it.
    pub(super) fn clock(&self, limit_w: f64, power: &Power<R>, on_device: R, step: R) -> Clock<R> {
        let work = power.work();
        let remains = power.idle_kept;
        let (moves, bound) = (power.idle_saved + power.busy, on_device * CLOCK_BOUND);
        let per_second = work / step;
        let free = remains + moves + per_second;
        let draw = smooth_minimum(free, limit_w * (1.0 - LIMIT_PEAKS));
        // the share is found on plain numbers; one Newton step on the tape then carries its derivatives
        let plain = Drawn {
            remains: remains.value(),
            moves: moves.value(),
            work: per_second.value(),
            bound: bound.value(),
            slope: self.voltage_slope.value(),
            by_full: 1.0 / (1.0 + self.voltage_slope.value() * AT_FULL_CLOCK.above),
        };
        let lowest = plain.at(&AT_LOWEST_CLOCK).0;
        let found = if lowest >= draw.value() {
            AT_LOWEST_CLOCK
        } else {
            Ramp::at(plain.share_at(draw.value()))
        };
        let (_, rate) = plain.at(&found);
        let (voltage, by_slope) = plain.voltage(&found);
        let voltage = self.voltage_slope.function(voltage, by_slope);
        let stretched = bound * (1.0 / found.share - 1.0) + 1.0;
        let drawn = remains + voltage.squared() * (per_second / stretched).plus(found.share, moves);
        let at_the_end = found.share <= MIN_CLOCK_SHARE;
        let share = if at_the_end {
            self.constant(found.share)
        } else {
            (draw - drawn) / rate + found.share
        };
        let stretch = bound * (self.constant(1.0) / share - 1.0) + 1.0;
        Clock {
            free: free.value(),
            draw: if at_the_end { drawn } else { draw },
            share,
            voltage,
            stretch,
            lowest,
        }
    }
}

/// A smooth ramp of the voltage above its floor.
struct Ramp {
    /// Share of the full clock.
    share: f64,
    /// Relative voltage above the floor per slope.
    above: f64,
    /// Its derivative in the share.
    rise: f64,
}

/// The ramp at the two ends of the clock, where every limit looks.
const AT_FULL_CLOCK: Ramp =
    Ramp { share: 1.0, above: 0.19504506930479257, rise: 0.998498817743263 };
const AT_LOWEST_CLOCK: Ramp =
    Ramp { share: MIN_CLOCK_SHARE, above: 9.886101531972596e-12, rise: 3.2953671767812274e-10 };

impl Ramp {
    fn at(share: f64) -> Self {
        let z = (share - VOLTAGE_FLOOR) / VOLTAGE_WIDTH;
        let decay = (-z.abs()).exp();
        Self {
            share,
            above: VOLTAGE_WIDTH * (z.max(0.0) + decay.ln_1p()),
            rise: if z > 0.0 { 1.0 } else { decay } / (1.0 + decay),
        }
    }
}

/// Power as a function of the clock's share, on plain numbers.
struct Drawn {
    remains: f64,
    moves: f64,
    work: f64,
    bound: f64,
    slope: f64,
    /// 1 over the relative voltage at the full clock.
    by_full: f64,
}

impl Drawn {
    /// Power and its derivative at a share of the full clock.
    fn at(&self, ramp: &Ramp) -> (f64, f64) {
        let Ramp { share, above, rise } = *ramp;
        let v = (1.0 + self.slope * above) * self.by_full;
        let dv = self.slope * rise * self.by_full;
        // two divisions, since a search is here several times for each limit
        let by_share = 1.0 / share;
        let by_stretch = 1.0 / (1.0 + self.bound * (by_share - 1.0));
        let work = self.work * by_stretch;
        let drawn = self.moves * share + work;
        let steeper = work * by_stretch * self.bound * by_share * by_share;
        (self.remains + v * v * drawn, 2.0 * v * dv * drawn + v * v * (self.moves + steeper))
    }

    /// Voltage over that at the full clock, and its derivative in the slope of the voltage.
    fn voltage(&self, ramp: &Ramp) -> (f64, f64) {
        let difference = ramp.above - AT_FULL_CLOCK.above;
        ((1.0 + self.slope * ramp.above) * self.by_full, difference * self.by_full.powi(2))
    }

    /// The share at which `draw` is drawn, which is more than at the lowest clock: Newton's method within a bracket. Power
    /// increases with the share.
    fn share_at(&self, draw: f64) -> f64 {
        let (mut low, mut high) = (MIN_CLOCK_SHARE, 1.0);
        let mut ramp = AT_FULL_CLOCK;
        for _ in 0..60 {
            let (power, slope) = self.at(&ramp);
            if power > draw {
                high = ramp.share;
            } else {
                low = ramp.share;
            }
            let newton = ramp.share - (power - draw) / slope;
            let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
            // the error after a step of Newton's is of the order of the step's square
            if (next - ramp.share).abs() < 1e-8 {
                return next;
            }
            ramp = Ramp::at(next);
        }
        ramp.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_clock_are_on_the_ramp() {
        for end in [AT_FULL_CLOCK, AT_LOWEST_CLOCK] {
            let found = Ramp::at(end.share);
            approx::assert_relative_eq!(found.above, end.above, max_relative = 1e-15);
            approx::assert_relative_eq!(found.rise, end.rise, max_relative = 1e-15);
        }
    }
}
