//! The readings of one channel over time, and the energy of windows.
//!
//! Every window is the difference of two [`Edge`]s, and an edge depends on its time only. Adjacent windows therefore
//! add up to their union.

use crate::base::units::{Joules, Seconds, Watts};
use crate::record::{Channel, Instrument, Sample};

/// The readings of one channel in the order of time.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelTrace {
    channel: Channel,
    points: Vec<Point>,
    /// Time and value of the last power reading.
    powered: Option<(Seconds, Watts)>,
    /// The current interval of failed readings, if any.
    silent: Option<(Seconds, Seconds)>,
    gaps: Vec<(Seconds, Seconds)>,
}

/// A reading, with sums from the first reading to it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    at: Seconds,
    power: Option<Watts>,
    energy: Joules,
    /// Power integrated by trapezoids.
    integral: Joules,
    /// Time outside gaps.
    seen: Seconds,
    /// Variance of the energy between readings, in J².
    variance: f64,
}

/// An edge of a window: everything that the energy of a window needs at its begin or end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    at: Seconds,
    energy: Joules,
    integral: Option<Joules>,
    seen: Seconds,
    variance: f64,
    /// Power around this time.
    power: Watts,
    /// Variance from cutting here, in J².
    cut: f64,
    /// Update interval of the instrument.
    update: Seconds,
    /// Averaging window.
    averaging: Seconds,
}

/// The energy of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowEnergy {
    /// The energy, interpolated at the window's edges.
    pub energy: Joules,
    /// Standard deviation from the instrument's quantisation and the time between readings; see [`Edge::until`].
    pub quantisation: Joules,
    /// Share of the window with readings, 0 to 1.
    pub covered: f64,
}

impl ChannelTrace {
    /// A trace without readings.
    pub const fn new(channel: Channel) -> Self {
        Self { channel, points: Vec::new(), powered: None, silent: None, gaps: Vec::new() }
    }

    /// The channel.
    pub const fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Adds a reading, `None` if it failed; readings that are not after the last one are ignored.
    ///
    /// A channel without energy gets that of its power, by the trapezoidal rule.
    pub fn push(&mut self, at: Seconds, reading: Option<Sample>) {
        let last = self.points.last().copied();
        if !at.value().is_finite() || last.is_some_and(|last| at <= last.at) {
            return;
        }
        let counter = self.channel.instrument == Instrument::Counter;
        let Some(sample) =
            reading.filter(|s| s.energy.is_some() || (!counter && s.power.is_some()))
        else {
            let since = self.silent.map_or(last.map_or(at, |last| last.at), |(since, _)| since);
            self.silent = Some((since, at));
            return;
        };
        let powered = self.powered;
        self.powered = sample.power.map(|power| (at, power)).or(powered);
        let gap = self.silent.take();
        self.gaps.extend(gap.map(|(since, _)| (since, at)));
        let Some(last) = last else {
            self.points.push(Point {
                at,
                power: sample.power,
                energy: sample.energy.unwrap_or(Joules::ZERO),
                integral: Joules::ZERO,
                seen: Seconds::ZERO,
                variance: 0.0,
            });
            return;
        };
        let time = at - last.at;
        let (step, difference) = match (powered, sample.power) {
            (Some((before, a)), Some(b)) => {
                ((a + b) * (at - before) / 2.0, Some((b - a) * (at - before)))
            }
            _ => (Joules::ZERO, None),
        };
        let energy = match sample.energy {
            Some(energy) => energy.max(last.energy),
            None => last.energy + step,
        };
        // a counter also counts between readings; unread power is unknown
        let variance = match (self.channel.instrument, gap) {
            (Instrument::Power, Some(_)) => (energy - last.energy).value().powi(2) / 3.0,
            (Instrument::Power, None) => difference.map_or(0.0, |d| d.value().powi(2) / 2.0),
            (Instrument::Counter | Instrument::Assumed, _) => 0.0,
        };
        self.points.push(Point {
            at,
            power: sample.power,
            energy,
            integral: last.integral + step,
            seen: if gap.is_some() { last.seen } else { last.seen + time },
            variance: last.variance + variance,
        });
    }

    /// The edge at time `at`; outside the readings the energy is constant.
    pub fn edge(&self, at: Seconds) -> Edge {
        let measured = self.channel.instrument != Instrument::Assumed;
        let next = self.points.partition_point(|point| point.at <= at);
        let before = self.points.get(next.saturating_sub(1));
        let edge = Edge {
            at,
            energy: before.map_or(Joules::ZERO, |point| point.energy),
            integral: before.and_then(|point| point.power.map(|_| point.integral)),
            seen: before.map_or(Seconds::ZERO, |point| point.seen),
            variance: before.map_or(0.0, |point| point.variance),
            power: self.power_about(at),
            cut: 0.0,
            update: if measured { self.channel.update } else { Seconds::ZERO },
            averaging: match self.channel.instrument {
                Instrument::Power => self.channel.averaging,
                Instrument::Counter | Instrument::Assumed => Seconds::ZERO,
            },
        };
        let (Some(before), Some(after)) = (before, self.points.get(next)) else { return edge };
        if next == 0 {
            return edge;
        }
        let share = (at - before.at) / (after.at - before.at);
        let step = after.energy - before.energy;
        let cut = if measured { 4.0 * share * (1.0 - share) * step.value() } else { 0.0 };
        let integral = match (before.power, after.power) {
            (Some(a), Some(b)) => {
                let here = a + (b - a) * share;
                Some(before.integral + (a + here) * (at - before.at) / 2.0)
            }
            (Some(_), None) if at == before.at => Some(before.integral),
            _ => None,
        };
        Edge {
            energy: before.energy + step * share,
            integral,
            seen: before.seen + (after.seen - before.seen) * share,
            variance: before.variance + (after.variance - before.variance) * share,
            cut: cut * cut / 12.0,
            ..edge
        }
    }

    /// The energy between two times.
    pub fn energy_between(&self, from: Seconds, to: Seconds) -> WindowEnergy {
        self.edge(from).until(&self.edge(to))
    }

    /// The energy between two times from integrated power (trapezoidal rule), to check a counter; `None` without power
    /// at the window's edges.
    pub fn integrated_between(&self, from: Seconds, to: Seconds) -> Option<Joules> {
        self.edge(from).integrated_until(&self.edge(to))
    }

    /// The mean power of the part of a window between readings; `None` if there is no such part.
    pub fn mean_power(&self, from: Seconds, to: Seconds) -> Option<Watts> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        let (from, to) = (from.max(first.at), to.min(last.at));
        (to > from).then(|| self.energy_between(from, to).energy / (to - from))
    }

    /// The intervals without readings, from reading to reading, or to the last failed one.
    pub fn gaps(&self) -> Vec<(Seconds, Seconds)> {
        self.gaps.iter().copied().chain(self.silent).collect()
    }

    /// Times of the first and last reading.
    pub fn span(&self) -> Option<(Seconds, Seconds)> {
        Some((self.points.first()?.at, self.points.last()?.at))
    }

    /// Drops readings before `at` to bound memory in long runs; edges computed earlier stay valid.
    pub fn forget_before(&mut self, at: Seconds) {
        // some earlier readings stay: edges between them and the power around them are still needed
        let needed = at - self.reach();
        let keep = self.points.partition_point(|point| point.at <= needed).saturating_sub(2);
        self.points.drain(..keep);
    }

    /// Half-width of the time interval for a counter's slope.
    fn reach(&self) -> Seconds {
        self.channel.update * 2.0
    }

    /// The power around a time: the last reading before it, or else the counter's slope over four updates.
    fn power_about(&self, at: Seconds) -> Watts {
        let after = self.points.partition_point(|point| point.at <= at);
        if let Some(power) = self.points.get(after.saturating_sub(1)).and_then(|point| point.power)
        {
            return power;
        }
        let reach = self.reach();
        let first = self.points.partition_point(|point| point.at < at - reach).saturating_sub(1);
        let last = self.points.partition_point(|point| point.at <= at + reach);
        match (self.points.get(first), self.points.get(last).or(self.points.last())) {
            (Some(a), Some(b)) if b.at > a.at => (b.energy - a.energy) / (b.at - a.at),
            _ => Watts::ZERO,
        }
    }
}

impl Edge {
    /// The window from this edge to a later one.
    ///
    /// Its quantisation is one standard deviation, from a sum of independent variances:
    /// - at each edge the value has an age uniform between 0 and the update interval τ: P·τ/√12;
    /// - the mean age is τ/2, plus half the averaging window a of polled power; it cancels if the power is the same at
    ///   both edges: (P₁ − P₀)·(τ + a)/2;
    /// - an edge at the share f between two readings divides their energy ΔE linearly: 4·f·(1 − f)·ΔE/√12, largest in
    ///   the middle, where all of it may be on either side;
    /// - polled power stands for the time between polls: ΔP·Δt/√2 between each two, the mean square successive
    ///   difference (J. von Neumann, Annals of Mathematical Statistics 12, 1941), which is the scatter of independent
    ///   readings, and more than that of smooth ones;
    /// - unread power in a gap is uniform between zero and twice the mean of its ends: ΔE/√3.
    pub fn until(&self, to: &Self) -> WindowEnergy {
        let time = to.at - self.at;
        if time.value().is_nan() || time <= Seconds::ZERO {
            return WindowEnergy { energy: Joules::ZERO, quantisation: Joules::ZERO, covered: 0.0 };
        }
        let step = |power: Watts| (power * self.update).value();
        let ages = (step(self.power).powi(2) + step(to.power).powi(2)) / 12.0;
        let drift = ((to.power - self.power) * (self.update + self.averaging)).value() / 2.0;
        let between = to.variance - self.variance;
        let variance = ages + drift * drift + self.cut + to.cut + between;
        WindowEnergy {
            energy: to.energy - self.energy,
            quantisation: Joules::new(variance.max(0.0).sqrt()),
            covered: ((to.seen - self.seen) / time).clamp(0.0, 1.0),
        }
    }

    /// The energy from this edge to a later one, from integrated power.
    pub(crate) fn integrated_until(&self, to: &Self) -> Option<Joules> {
        Some(to.integral? - self.integral?)
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;
    use crate::record::Component;

    fn channel(instrument: Instrument, update_s: f64) -> Channel {
        Channel {
            name: "gpu0".to_owned(),
            component: Component::Gpu,
            device: "GPU-1".to_owned(),
            model: None,
            instrument,
            update: Seconds::new(update_s),
            averaging: Seconds::ZERO,
            systematic: Some(0.05),
        }
    }

    fn s(value: f64) -> Seconds {
        Seconds::new(value)
    }

    fn counted(energy_j: f64) -> Option<Sample> {
        Some(Sample { energy: Some(Joules::new(energy_j)), ..Sample::default() })
    }

    fn polled(power_w: f64) -> Option<Sample> {
        Some(Sample { power: Some(Watts::new(power_w)), ..Sample::default() })
    }

    fn trace(
        instrument: Instrument,
        update_s: f64,
        readings: &[(f64, Option<Sample>)],
    ) -> ChannelTrace {
        let mut trace = ChannelTrace::new(channel(instrument, update_s));
        readings.iter().for_each(|&(at, reading)| trace.push(s(at), reading));
        trace
    }

    #[test]
    fn a_counter_is_interpolated_between_readings() {
        let t = trace(
            Instrument::Counter,
            0.0,
            &[(0.0, counted(5.0)), (1.0, counted(105.0)), (3.0, counted(505.0))],
        );
        assert_relative_eq!(t.energy_between(s(0.5), s(2.0)).energy.value(), 250.0);
        assert_eq!(t.mean_power(s(1.0), s(3.0)), Some(Watts::new(200.0)));
        // the energy outside the readings is zero, and the coverage shows it
        let around = t.energy_between(s(-1.0), s(4.0));
        assert_relative_eq!(around.energy.value(), 500.0);
        assert_relative_eq!(around.covered, 0.6);
        assert_eq!(t.mean_power(s(-1.0), s(4.0)).map(|p| p.value().round()), Some(167.0));
    }

    #[test]
    fn power_is_integrated_by_trapezoids_inside_a_window_too() {
        let t = trace(Instrument::Power, 0.1, &[(0.0, polled(100.0)), (2.0, polled(300.0))]);
        assert_relative_eq!(t.energy_between(s(0.0), s(2.0)).energy.value(), 400.0);
        // from 100 W to 200 W in one second
        assert_relative_eq!(t.integrated_between(s(0.0), s(1.0)).unwrap().value(), 150.0);
    }

    #[test]
    fn the_age_of_a_counter_is_its_quantisation() {
        let readings: Vec<_> =
            (0..=100).map(|i| (0.1 * f64::from(i), counted(30.0 * f64::from(i)))).collect();
        let t = trace(Instrument::Counter, 0.1, &readings);
        // 300 W for 0.1 s at each edge: 30 J · √(2/12)
        let whole = t.energy_between(s(0.0), s(10.0));
        assert_relative_eq!(
            whole.quantisation.value(),
            30.0 * (2.0f64 / 12.0).sqrt(),
            max_relative = 1e-9
        );
        // an edge between two readings may have all of their 30 J on either side
        let cut = t.energy_between(s(0.05), s(10.0)).quantisation.value();
        assert_relative_eq!(cut, 30.0 * (3.0f64 / 12.0).sqrt(), max_relative = 1e-9);
    }

    #[test]
    fn polling_uncertainty_follows_the_scatter_of_power() {
        let steady = trace(
            Instrument::Power,
            0.0,
            &[(0.0, polled(100.0)), (1.0, polled(100.0)), (2.0, polled(100.0))],
        );
        assert_eq!(steady.energy_between(s(0.0), s(2.0)).quantisation, Joules::ZERO);
        let wild = trace(
            Instrument::Power,
            0.0,
            &[(0.0, polled(100.0)), (1.0, polled(300.0)), (2.0, polled(100.0))],
        );
        assert_relative_eq!(wild.energy_between(s(0.0), s(2.0)).quantisation.value(), 200.0);
    }

    #[test]
    fn averaged_power_lags_a_change() {
        let mut channel = channel(Instrument::Power, 0.0);
        channel.averaging = Seconds::new(1.0);
        let mut t = ChannelTrace::new(channel);
        for (at, power) in [(0.0, 100.0), (1.0, 100.0), (2.0, 300.0)] {
            t.push(s(at), polled(power));
        }
        assert_eq!(t.energy_between(s(0.0), s(1.0)).quantisation, Joules::ZERO);
        // 200 W for half a second at the edge, and 200 W · 1 s/√2 between the polls
        let rising = t.energy_between(s(1.0), s(2.0)).quantisation.value();
        assert_relative_eq!(rising, (100.0f64.powi(2) + 200.0f64.powi(2) / 2.0).sqrt());
    }

    #[test]
    fn a_single_missing_power_is_interpolated() {
        let with = |energy_j: f64, power_w: Option<f64>| {
            Some(Sample {
                energy: Some(Joules::new(energy_j)),
                power: power_w.map(Watts::new),
                ..Sample::default()
            })
        };
        let readings = [
            (0.0, with(0.0, Some(100.0))),
            (1.0, with(100.0, None)),
            (2.0, with(200.0, Some(100.0))),
        ];
        let t = trace(Instrument::Counter, 0.0, &readings);
        assert_eq!(t.integrated_between(s(0.0), s(2.0)), Some(Joules::new(200.0)));
        assert_eq!(t.integrated_between(s(0.0), s(1.0)), None);
    }

    #[test]
    fn a_gap_is_reported_and_its_energy_kept() {
        let readings = [
            (0.0, polled(100.0)),
            (1.0, polled(100.0)),
            (2.0, None),
            (3.0, polled(100.0)),
            (4.0, None),
        ];
        let t = trace(Instrument::Power, 0.0, &readings);
        assert_eq!(t.gaps(), [(s(1.0), s(3.0)), (s(3.0), s(4.0))]);
        let window = t.energy_between(s(0.0), s(3.0));
        assert_relative_eq!(window.energy.value(), 300.0);
        assert_relative_eq!(window.covered, 1.0 / 3.0);
        assert_relative_eq!(window.quantisation.value(), 200.0 / 3.0f64.sqrt());
        // a counter counted on in the gap
        let t = trace(
            Instrument::Counter,
            0.0,
            &[(0.0, counted(0.0)), (1.0, None), (2.0, counted(200.0))],
        );
        assert_eq!(t.energy_between(s(0.0), s(2.0)).quantisation, Joules::ZERO);
        assert_eq!(t.energy_between(s(0.0), s(2.0)).covered, 0.0);
    }

    #[test]
    fn a_counter_without_energy_is_not_read() {
        let t = trace(
            Instrument::Counter,
            0.1,
            &[(0.0, counted(0.0)), (1.0, polled(100.0)), (2.0, counted(150.0))],
        );
        assert_eq!(t.gaps(), [(s(0.0), s(2.0))]);
        assert_relative_eq!(t.energy_between(s(0.0), s(2.0)).energy.value(), 150.0);
    }

    #[test]
    fn dropping_old_readings_loses_nothing() {
        let readings: Vec<_> =
            (0..100).map(|i| (f64::from(i), counted(f64::from(i * i)))).collect();
        let mut t = trace(Instrument::Counter, 0.1, &readings);
        let start = t.edge(s(10.5));
        let before = start.until(&t.edge(s(80.5)));
        t.forget_before(s(80.0));
        assert!(t.points.len() < 25);
        assert_eq!(start.until(&t.edge(s(80.5))), before);
    }

    #[test]
    fn empty_traces_and_windows_have_no_energy() {
        let t = trace(Instrument::Counter, 0.1, &[]);
        let nothing = t.energy_between(s(0.0), s(1.0));
        assert_eq!((nothing.energy, nothing.covered), (Joules::ZERO, 0.0));
        assert_eq!((t.mean_power(s(0.0), s(1.0)), t.span()), (None, None));
        let t = trace(Instrument::Counter, 0.1, &[(0.0, counted(0.0)), (1.0, counted(9.0))]);
        for (from, to) in [(0.5, 0.5), (1.0, 0.0), (f64::NAN, 1.0), (0.0, f64::NAN)] {
            assert_eq!(t.energy_between(s(from), s(to)).energy, Joules::ZERO, "{from} to {to}");
        }
    }
}
