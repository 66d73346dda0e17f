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
    pub voltage: f64,
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
            voltage: self.voltage,
            stretch: self.stretch.value(),
            lowest: self.lowest,
        }
    }
}

impl<R: Real> Parameters<R> {
    /// The clock under a power limit in watts; `on_device` is the share of a step's time that scales with it.
    pub(super) fn clock(&self, limit_w: f64, power: &Power<R>, on_device: R, step: R) -> Clock<R> {
        let remains = power.idle_kept;
        let (moves, per_second) = (power.idle_saved + power.busy, power.work() / step);
        let free = remains + moves + per_second;
        let draw = smooth_minimum(free, limit_w * (1.0 - LIMIT_PEAKS));
        // the share is found on plain numbers; one Newton step on the tape then carries its derivatives
        let plain = Drawn {
            remains: remains.value(),
            moves: moves.value(),
            work: per_second.value(),
            bound: on_device.value() * CLOCK_BOUND,
            slope: self.voltage_slope.value(),
            by_full: 1.0 / (1.0 + self.voltage_slope.value() * AT_FULL_CLOCK.above),
        };
        let lowest = plain.at(&AT_LOWEST_CLOCK)[0];
        let at_the_end = lowest >= draw.value();
        let found = if at_the_end { AT_LOWEST_CLOCK } else { plain.drawing(draw.value()) };
        let [drawn, rate, _] = plain.at(&found);
        let slopes = plain.slopes(&found);
        let of_power = remains.function_with(moves, 0.0, [1.0, slopes.moves]).function_with(
            per_second,
            0.0,
            [1.0, slopes.work],
        );
        let drawn = of_power
            .function_with(on_device, 0.0, [1.0, slopes.bound * CLOCK_BOUND])
            .function_with(self.voltage_slope, drawn, [1.0, slopes.slope]);
        let share = if at_the_end {
            self.constant(found.share)
        } else {
            let share = (draw.value() - drawn.value()) / rate + found.share;
            draw.function_with(drawn, share, [1.0 / rate, -1.0 / rate])
        };
        let by_share = 1.0 / share.value();
        let slower = CLOCK_BOUND * (by_share - 1.0);
        let in_share = -plain.bound * by_share * by_share;
        let stretch =
            on_device.function_with(share, on_device.value() * slower + 1.0, [slower, in_share]);
        Clock {
            free: free.value(),
            draw: if at_the_end { drawn } else { draw },
            share,
            voltage: plain.voltage(&found),
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
    /// Second derivative of the voltage above the floor per slope.
    fn bend(&self) -> f64 {
        self.rise * (1.0 - self.rise) * (1.0 / VOLTAGE_WIDTH)
    }

    /// The ramp at a share that is less than [`NEAR`] away, by its Taylor series.
    fn near(&self, share: f64) -> Self {
        let by = share - self.share;
        let bend = self.bend();
        let further = bend * (1.0 - 2.0 * self.rise) * (1.0 / VOLTAGE_WIDTH);
        Self {
            share,
            above: self.above + by * (self.rise + 0.5 * by * bend),
            rise: self.rise + by * (bend + 0.5 * by * further),
        }
    }

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

/// Derivatives of the power at a share of the full clock.
struct Slopes {
    moves: f64,
    work: f64,
    bound: f64,
    slope: f64,
}

/// Shares of the clock that are so near have the same [`Ramp`] by its Taylor series: what is left out of it, the cube of their
/// distance over that of [`VOLTAGE_WIDTH`], is below 1e-13.
const NEAR: f64 = 1e-6;

impl Drawn {
    /// Power, its derivative and its second derivative at a share of the full clock.
    fn at(&self, ramp: &Ramp) -> [f64; 3] {
        let v = self.voltage(ramp);
        let (dv, ddv) = (self.slope * ramp.rise, self.slope * ramp.bend());
        let (dv, ddv) = (dv * self.by_full, ddv * self.by_full);
        // the share over the stretch is the share by this
        let by = 1.0 / (ramp.share + self.bound * (1.0 - ramp.share));
        let drawn = (self.moves + self.work * by) * ramp.share;
        let steeper = self.work * self.bound * by * by;
        let in_share = self.moves + steeper;
        let bend = -2.0 * steeper * (1.0 - self.bound) * by;
        [
            self.remains + v * v * drawn,
            2.0 * v * dv * drawn + v * v * in_share,
            2.0 * (dv * dv + v * ddv) * drawn + 4.0 * v * dv * in_share + v * v * bend,
        ]
    }

    /// Voltage over that at the full clock.
    const fn voltage(&self, ramp: &Ramp) -> f64 {
        (1.0 + self.slope * ramp.above) * self.by_full
    }

    /// Derivatives of the power in what it is a function of, besides the share and what remains at any.
    fn slopes(&self, ramp: &Ramp) -> Slopes {
        let v = self.voltage(ramp);
        let by_share = 1.0 / ramp.share;
        let by_stretch = 1.0 / (1.0 + self.bound * (by_share - 1.0));
        let drawn = self.moves * ramp.share + self.work * by_stretch;
        let in_slope = (ramp.above - AT_FULL_CLOCK.above) * self.by_full * self.by_full;
        Slopes {
            moves: v * v * ramp.share,
            work: v * v * by_stretch,
            bound: -v * v * self.work * by_stretch * by_stretch * (by_share - 1.0),
            slope: 2.0 * v * drawn * in_slope,
        }
    }

    /// Where `draw` is drawn, which is more than at the lowest clock: Halley's method within a bracket. Power increases with
    /// the share.
    fn drawing(&self, draw: f64) -> Ramp {
        let (mut low, mut high) = (MIN_CLOCK_SHARE, 1.0);
        let mut ramp = AT_FULL_CLOCK;
        for _ in 0..60 {
            let [power, slope, bend] = self.at(&ramp);
            if power > draw {
                high = ramp.share;
            } else {
                low = ramp.share;
            }
            let over = power - draw;
            let halley = ramp.share - 2.0 * over * slope / (2.0 * slope * slope - over * bend);
            let within = halley >= low && halley <= high;
            let next = if within { halley } else { 0.5 * (low + high) };
            // the error after a step is of the order of its cube
            if within && (next - ramp.share).abs() < NEAR {
                return ramp.near(next);
            }
            ramp = Ramp::at(next);
        }
        ramp
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

    #[test]
    fn the_ramp_nearby_is_the_ramp_there() {
        for share in [0.3, 0.78, 0.805, 0.83, 0.99] {
            for by in [-NEAR, NEAR] {
                let (near, there) = (Ramp::at(share).near(share + by), Ramp::at(share + by));
                approx::assert_relative_eq!(near.above, there.above, max_relative = 1e-12);
                approx::assert_relative_eq!(near.rise, there.rise, max_relative = 1e-12);
            }
        }
    }

    #[test]
    fn what_is_asked_for_is_drawn_at_the_share_that_is_found() {
        for slope in [0.8, 1.25, 2.0] {
            let drawn = Drawn {
                remains: 80.0,
                moves: 60.0,
                work: 500.0,
                bound: 0.7,
                slope,
                by_full: 1.0 / (1.0 + slope * AT_FULL_CLOCK.above),
            };
            let at = |share| drawn.at(&Ramp::at(share));
            for draw in [drawn.at(&AT_LOWEST_CLOCK)[0] * 1.0001, 250.0, 400.0, 550.0, 639.0, 640.0]
            {
                let found = drawn.drawing(draw);
                approx::assert_relative_eq!(at(found.share)[0], draw, max_relative = 1e-13);
            }
            for share in [0.2, 0.5, 0.8, 0.83, 0.95] {
                let by = 1e-6;
                let ([_, slope, bend], [low, ..], [high, ..]) =
                    (at(share), at(share - by), at(share + by));
                approx::assert_relative_eq!(slope, (high - low) / (2.0 * by), max_relative = 1e-7);
                let rise = at(share + by)[1] - at(share - by)[1];
                approx::assert_relative_eq!(bend, rise / (2.0 * by), max_relative = 1e-7);
            }
        }
    }
}
