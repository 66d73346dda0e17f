//! How an accelerator's time and power move with its clock, and which clock a power limit leaves it.
//!
//! At a share s of the full clock, with device time t, energy of work w and static power P₀:
//!
//! ```text
//! t(s) = t · (1 + bound · (1/s − 1))                        what waits for memory does not stretch
//! w(s) = w · v(s)²        v(s) = (1 + slope · z(s)) / (1 + slope · z(1))
//! z(s) = width · ln(1 + exp((s − floor) / width))           below its floor the voltage no longer falls
//! P₀(s) = P₁ + (P₀ − P₁) · s · v(s)²                        P₁ = the lesser of P₀ and remains · TDP
//! p(s) = P₀(s) + w(s) / (T(s) − start)                      p(s) = draw, by bisection: p grows with s
//! draw = limit · (1 − peaks · (limit / p(1))²)              the peaks are held back before the mean is
//! ```
//!
//! Sources: power of logic as leakage, and capacity × voltage² × clock (Weste and Harris, CMOS VLSI Design, chapter 5). That the
//! voltage has a floor shows in Perseus' table (Chung et al. 2024): below 1,065 MHz a pass takes no less energy. Limits are
//! from Zeus (You et al. 2023).

use serde::Serialize;

/// Numbers of the clock law, alike on the accelerators it was fitted on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockLaw {
    /// Share of the full clock below which the voltage no longer falls.
    pub floor: f64,
    /// Rise of the voltage above the floor: share of the floor's voltage a share of clock.
    pub slope: f64,
    /// Share of device time that follows the clock.
    pub bound: f64,
    /// Most of the static power that remains at a low clock, as a share of TDP; the rest is that of clocks which are up.
    pub remains: f64,
    /// Share of a limit that stays unused where the limit is what an accelerator would draw.
    pub peaks: f64,
}

/// The fitted law.
///
/// Source: `tests/clock.rs`, `the_shipped_numbers_are_those_of_the_tables`, which fits all three tables together: Perseus'
/// stages by clock on A100, Zeus' BERT by power limit on V100 and A40. Standard deviations 0.003, 0.018, 0.008 and 0.002.
/// Alone, A100 gives 0.79, 1.32, 0.88 (it has no limits), V100 0.84, 1.15, 0.88, 0.066, and A40, whose rows tell the three apart
/// badly, 0.88, 2.0, 0.54, 0.084. `remains` is the mean of what the three keep at any clock: 0.08 (A100), 0.15, 0.22.
pub const CLOCK: ClockLaw =
    ClockLaw { floor: 0.805, slope: 1.25, bound: 0.867, remains: 0.15, peaks: 0.0785 };

/// Width of the bend of the voltage at its floor, in shares of clock; assumed, two steps of the clock of an A100.
const WIDTH: f64 = 0.03;

/// Lowest share of the full clock that an accelerator runs at.
///
/// Source: A100, 210 of 1,410 MHz (`nvidia-smi --query-supported-clocks=graphics`).
pub const MIN_CLOCK_SHARE: f64 = 0.15;

/// Halvings of the logarithm of the clock: to twelve digits, so that a fit can take differences through it.
const HALVINGS: usize = 40;

/// What a power limit makes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PowerLimit {
    /// The limit of an accelerator, W.
    pub limit_w: f64,
    /// Whether it holds the accelerator back.
    pub binds: bool,
    /// Mean power of the accelerator between start and end of the run, W.
    pub draw_w: f64,
    /// Share of the full clock that it leaves.
    pub clock_share: f64,
    /// Time over the time without it.
    pub time_factor: f64,
    /// Whether the lowest clock draws no more than it.
    #[serde(skip)]
    pub met: bool,
}

impl ClockLaw {
    /// Device time at a share of the full clock, over that at the full clock.
    pub fn stretch(&self, share: f64) -> f64 {
        1.0 + self.bound * (1.0 / share - 1.0)
    }

    /// Voltage at a share of the full clock, over that at the full clock.
    pub fn voltage(&self, share: f64) -> f64 {
        let above = |s: f64| WIDTH * softplus((s - self.floor) / WIDTH);
        (1.0 + self.slope * above(share)) / (1.0 + self.slope * above(1.0))
    }

    /// Watts of static (idle) power that an accelerator of so much TDP draws, at a share of the full clock, where it draws
    /// `full_w` at the full one.
    pub fn static_w(&self, full_w: f64, tdp_w: f64, share: f64) -> f64 {
        let remains = full_w.min(self.remains * tdp_w);
        remains + (full_w - remains) * share * self.voltage(share).powi(2)
    }

    /// Mean power in watts that a limit lets an accelerator draw which would draw `free_w`, and does so under its default
    /// limit `default_w`. Never above the limit.
    pub fn draw_w(&self, free_w: f64, limit_w: f64, default_w: f64) -> f64 {
        if limit_w >= default_w {
            return free_w.min(limit_w);
        }
        // what it draws under its default limit shows how little of a limit can stay unused
        let used = (free_w / default_w).min(1.0);
        let peaks = self.peaks.min((1.0 - used) * used.powi(2).max(4.0 / 9.0));
        // at 1.5 times what it would draw nothing binds for any share of peaks up to 4/27
        let room = (limit_w / free_w).min(1.5);
        free_w.min(limit_w * (1.0 - peaks * room.powi(2)))
    }

    /// Share of the full clock at which an accelerator draws `draw_w`, where `drawn_w` gives its power at a share and
    /// grows with it: the lowest where even that draws more, and the full clock where that draws no more.
    pub fn share_at(draw_w: f64, drawn_w: impl Fn(f64) -> f64) -> f64 {
        let (mut low, mut high) = (MIN_CLOCK_SHARE.ln(), 0.0);
        if drawn_w(1.0) <= draw_w {
            return 1.0;
        }
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            if drawn_w(middle.exp()) > draw_w {
                high = middle;
            } else {
                low = middle;
            }
        }
        low.exp()
    }
}

/// ln(1 + eˣ) without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_changes_at_the_full_clock() {
        assert_eq!((CLOCK.stretch(1.0), CLOCK.voltage(1.0)), (1.0, 1.0));
    }

    #[test]
    fn half_the_clock_takes_the_time_and_the_voltage_of_a_hand_computed_case() {
        let law = ClockLaw { floor: 0.8, slope: 1.25, bound: 0.9, remains: 0.2, peaks: 0.07 };
        approx::assert_relative_eq!(law.stretch(0.5), 1.9, max_relative = 1e-12);
        // far below the floor 1, at the full clock 1 + 1.25 · 0.2 but for the width of the bend
        approx::assert_relative_eq!(law.voltage(0.5), 1.0 / 1.25, max_relative = 1e-3);
        // 50 W of 60 W remain of 250 W; the other 10 W fall with half the clock and the voltage squared
        assert_eq!(law.static_w(60.0, 250.0, 1.0), 60.0);
        let other = 10.0 * 0.5 * 0.64;
        approx::assert_relative_eq!(
            law.static_w(60.0, 250.0, 0.5),
            50.0 + other,
            max_relative = 1e-3
        );
        assert_eq!(law.static_w(30.0, 250.0, 0.5), 30.0);
        assert!(law.voltage(0.9) > law.voltage(0.85) && law.voltage(0.85) > law.voltage(0.8));
    }

    #[test]
    fn the_draw_is_under_the_limit_and_meets_the_free_draw_without_a_step() {
        let step = 0.1;
        for free in [20.0, 120.0, 230.0, 249.0, 250.0, 300.0] {
            let mut last = 0.0;
            for i in 1..=4000 {
                let limit = step * f64::from(i);
                let draw = CLOCK.draw_w(free, limit, 250.0);
                assert!(draw <= limit && draw <= free, "{draw} W of {free} under {limit}");
                assert!(draw >= last && draw - last < 2.0 * step, "{last} to {draw} at {limit}");
                last = draw;
            }
            assert_eq!(last, free);
        }
        // V100 drew 210 W under 225 W, and 226 W without
        assert!((CLOCK.draw_w(226.0, 225.0, 250.0) / 210.0 - 1.0).abs() < 0.02);
    }

    #[test]
    fn the_clock_is_where_power_meets_the_draw() {
        let power = |s: f64| 50.0 + 200.0 * s.powi(2);
        approx::assert_relative_eq!(ClockLaw::share_at(100.0, power), 0.5, max_relative = 1e-11);
        assert_eq!(ClockLaw::share_at(300.0, power), 1.0);
        approx::assert_relative_eq!(ClockLaw::share_at(10.0, power), MIN_CLOCK_SHARE);
    }
}
