//! Dependence of an accelerator's time and power on its clock, and the clock under a power limit.
//!
//! At a share s of the full clock, with device time t, energy of work w and static power P₀:
//!
//! ```text
//! t(s) = t · (1 + bound · (1/s − 1))                        memory-bound time does not change
//! w(s) = w · v(s)²        v(s) = (1 + slope · z(s)) / (1 + slope · z(1))
//! z(s) = width · ln(1 + exp((s − floor) / width))           the voltage is constant below the floor
//! P₀(s) = P₁ + (P₀ − P₁) · s · v(s)²                        P₁ = min(P₀, remains · TDP)
//! p(s) = P₀(s) + w(s) / (T(s) − start)                      p(s) = draw, by bisection: p increases with s
//! draw = limit · (1 − peaks · (limit / p(1))²)              power peaks hit the limit before the mean does
//! ```
//!
//! Sources: power of logic as leakage plus capacitance × voltage² × clock (Weste and Harris, CMOS VLSI Design, chapter
//! 5). Perseus' table (Chung et al. 2024) shows the floor of the voltage: below 1,065 MHz the energy of a pass no
//! longer falls. Limits are from Zeus (You et al. 2023).

use serde::Serialize;

/// Parameters of the clock law, common to all accelerators.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockLaw {
    /// Share of the full clock below which the voltage is constant.
    pub floor: f64,
    /// Slope of the voltage above the floor: relative voltage per share of clock.
    pub slope: f64,
    /// Share of device time that scales with the clock.
    pub bound: f64,
    /// Largest static power at a low clock, as a share of TDP; the rest of the static power scales with the clock.
    pub remains: f64,
    /// Unused share of a limit that equals the accelerator's unlimited power.
    pub peaks: f64,
}

/// The fitted law.
///
/// Source: `tests/it/clock.rs`, `clock_parameters_equal_the_fit_of_the_tables`, which fits all three tables together:
/// Perseus' stages by clock on A100, Zeus' BERT by power limit on V100 and A40. Standard deviations 0.003, 0.018, 0.008
/// and 0.002. Fitted alone, A100 gives 0.79, 1.32, 0.88 (it has no limits), V100 0.84, 1.15, 0.88, 0.066, and A40,
/// whose rows hardly separate the parameters, 0.88, 2.0, 0.54, 0.084. `remains` is the mean of the three: 0.08 (A100),
/// 0.15, 0.22.
pub const CLOCK: ClockLaw =
    ClockLaw { floor: 0.805, slope: 1.25, bound: 0.867, remains: 0.15, peaks: 0.0785 };

/// Width of the transition at the voltage floor, in shares of clock. Assumed: two clock steps of an A100.
const WIDTH: f64 = 0.03;

/// Lowest clock of an accelerator, as a share of the full clock.
///
/// Source: A100, 210 of 1,410 MHz (`nvidia-smi --query-supported-clocks=graphics`).
pub const MIN_CLOCK_SHARE: f64 = 0.15;

/// Bisection steps on the logarithm of the clock: twelve digits, so that a fit can take finite differences.
const HALVINGS: usize = 40;

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
    /// Time relative to the time without the limit.
    pub time_factor: f64,
    /// Whether the power at the lowest clock is within the limit.
    #[serde(skip)]
    pub met: bool,
}

impl ClockLaw {
    /// Device time at a share of the full clock, relative to the full clock.
    pub fn stretch(&self, share: f64) -> f64 {
        1.0 + self.bound * (1.0 / share - 1.0)
    }

    /// Voltage at a share of the full clock, relative to the full clock.
    pub fn voltage(&self, share: f64) -> f64 {
        let above = |s: f64| WIDTH * softplus((s - self.floor) / WIDTH);
        (1.0 + self.slope * above(share)) / (1.0 + self.slope * above(1.0))
    }

    /// Static (idle) power in watts of an accelerator with TDP `tdp_w` at a share of the full clock; `full_w` at the
    /// full clock.
    pub fn static_w(&self, full_w: f64, tdp_w: f64, share: f64) -> f64 {
        let remains = full_w.min(self.remains * tdp_w);
        remains + (full_w - remains) * share * self.voltage(share).powi(2)
    }

    /// Mean power in watts under a limit, of an accelerator that draws `free_w` under its default limit `default_w`.
    /// Never above the limit.
    pub fn draw_w(&self, free_w: f64, limit_w: f64, default_w: f64) -> f64 {
        if limit_w >= default_w {
            return free_w.min(limit_w);
        }
        // the power under the default limit bounds the unused share of a limit
        let used = (free_w / default_w).min(1.0);
        let peaks = self.peaks.min((1.0 - used) * used.powi(2).max(4.0 / 9.0));
        // a limit of 1.5 times the free power never binds for `peaks` up to 4/27
        let room = (limit_w / free_w).min(1.5);
        free_w.min(limit_w * (1.0 - peaks * room.powi(2)))
    }

    /// Share of the full clock at which an accelerator draws `draw_w`; `drawn_w` gives the power at a share and
    /// increases with it. Clamped to the lowest and the full clock.
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
