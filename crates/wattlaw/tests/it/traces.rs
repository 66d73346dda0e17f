//! What must hold of any trace: windows neither lose energy nor count it twice.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use proptest::prelude::*;

use wattlaw::base::units::{Joules, Seconds, Watts};
use wattlaw::record::trace::ChannelTrace;
use wattlaw::record::{Channel, Component, Instrument, Sample};

/// Steps from one round to the next: the time, the power meanwhile, whether the round fails.
type Step = (f64, f64, bool);

fn channel(instrument: Instrument) -> Channel {
    Channel {
        name: "gpu0".to_owned(),
        component: Component::Gpu,
        device: "GPU-0".to_owned(),
        model: None,
        instrument,
        update: Seconds::new(0.1),
        averaging: Seconds::ZERO,
        systematic: None,
    }
}

/// A trace, and the energy and time from its first to its last reading.
fn trace(instrument: Instrument, steps: &[Step]) -> (ChannelTrace, f64, f64) {
    let mut trace = ChannelTrace::new(channel(instrument));
    let (mut time_s, mut energy_j) = (0.0, 0.0);
    let (mut first, mut last) = (None, (0.0, 0.0));
    for &(step_s, power_w, fails) in steps {
        time_s += step_s;
        energy_j += step_s * power_w;
        let sample = Sample {
            energy: Some(Joules::new(energy_j)),
            power: Some(Watts::new(power_w)),
            ..Sample::default()
        };
        trace.push(Seconds::new(time_s), (!fails).then_some(sample));
        if !fails {
            first.get_or_insert((time_s, energy_j));
            last = (time_s, energy_j);
        }
    }
    let first = first.unwrap_or_default();
    (trace, last.1 - first.1, time_s)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn windows_add_up(
        polled in any::<bool>(),
        steps in prop::collection::vec((0.001..3.0f64, 0.0..700.0f64, prop::bool::weighted(0.1)), 1..120),
        cuts in prop::collection::vec(-0.1..1.1f64, 0..40),
    ) {
        let instrument = if polled { Instrument::Power } else { Instrument::Counter };
        let (trace, energy_j, end_s) = trace(instrument, &steps);
        let mut edges: Vec<f64> = cuts.iter().map(|cut| cut * end_s).chain([-1.0, end_s + 1.0]).collect();
        edges.sort_by(f64::total_cmp);
        let windows: Vec<_> = edges
            .windows(2)
            .map(|edge| trace.energy_between(Seconds::new(edge[0]), Seconds::new(edge[1])))
            .collect();
        let whole = trace.energy_between(Seconds::new(-1.0), Seconds::new(end_s + 1.0));
        let rounding = 1e-9 * energy_j.max(1.0);
        let sum: f64 = windows.iter().map(|window| window.energy.value()).sum();
        prop_assert!((sum - whole.energy.value()).abs() <= rounding, "{sum} is not {whole:?}");
        prop_assert!((whole.energy.value() - energy_j).abs() <= rounding, "{energy_j} is not {whole:?}");
        for window in windows {
            prop_assert!(window.energy.value() >= -rounding, "{window:?}");
            prop_assert!(window.quantisation.value() >= 0.0 && (0.0..=1.0).contains(&window.covered), "{window:?}");
        }
    }

    #[test]
    fn gaps_and_what_was_seen_are_the_whole(
        steps in prop::collection::vec((0.001..3.0f64, 0.0..700.0f64, prop::bool::weighted(0.2)), 1..60),
    ) {
        let (trace, _, end_s) = trace(Instrument::Counter, &steps);
        let start_s = steps[0].0;
        prop_assume!(end_s > start_s);
        let covered = trace.energy_between(Seconds::new(start_s), Seconds::new(end_s)).covered;
        let gaps: f64 = trace.gaps().iter().map(|(from, to)| (*to - *from).value()).sum();
        let seen = covered * (end_s - start_s) + gaps;
        prop_assert!((seen - (end_s - start_s)).abs() < 1e-9 * end_s, "{seen} s of {} s", end_s - start_s);
    }
}
