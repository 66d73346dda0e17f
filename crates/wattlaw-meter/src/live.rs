//! Energy and power of a run while it is measured.

use std::collections::BTreeMap;

use serde::Serialize;
use wattlaw::base::units::{Joules, Seconds, Watts};
use wattlaw::record::trace::{ChannelTrace, Edge};
use wattlaw::record::{Channel, Component};

use crate::sampler::Tick;

/// Time over which the present power is averaged.
const POWER_SPAN: Seconds = Seconds::new(1.0);

/// What the channels have counted since the run began.
#[derive(Debug)]
pub struct Live {
    channels: Vec<Counted>,
    begin: Seconds,
    last: Seconds,
}

#[derive(Debug)]
struct Counted {
    trace: ChannelTrace,
    begin: Option<Edge>,
}

/// Energy and power so far, of the GPUs; of all channels on a machine without one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SoFar {
    /// Time since the run began.
    #[serde(rename = "duration_s")]
    pub duration: Seconds,
    /// Energy since then; `None` without a reading.
    #[serde(rename = "energy_j")]
    pub energy: Option<Joules>,
    /// Mean power of the last second.
    #[serde(rename = "power_w")]
    pub power: Option<Watts>,
    /// Energy of each channel, by name.
    #[serde(rename = "channels_j")]
    pub channels: BTreeMap<String, Option<Joules>>,
}

impl Live {
    /// Starts without readings.
    pub fn new(channels: impl IntoIterator<Item = Channel>) -> Self {
        let counted = |channel| Counted { trace: ChannelTrace::new(channel), begin: None };
        Self {
            channels: channels.into_iter().map(counted).collect(),
            begin: Seconds::ZERO,
            last: Seconds::ZERO,
        }
    }

    /// Counts from `at` on.
    pub fn begin(&mut self, at: Seconds) {
        self.begin = at;
        for counted in &mut self.channels {
            counted.begin = counted.trace.span().map(|_| counted.trace.edge(at));
        }
    }

    /// Adds a round of readings.
    pub fn push(&mut self, tick: &Tick) {
        self.last = tick.at;
        for (counted, reading) in self.channels.iter_mut().zip(&tick.readings) {
            counted.trace.push(tick.at, reading.as_ref().ok().copied());
            counted.trace.forget_before(tick.at - POWER_SPAN);
        }
    }

    /// The energy up to `at`, and the power about it.
    pub fn so_far(&self, at: Seconds) -> SoFar {
        let is_gpu = |of: &&Counted| {
            matches!(of.trace.channel().component, Component::Gpu | Component::Module)
        };
        let gpus: Vec<&Counted> = self.channels.iter().filter(is_gpu).collect();
        let summed = if gpus.is_empty() { self.channels.iter().collect() } else { gpus };
        let energies = summed.iter().filter_map(|of| of.energy(at));
        let powers =
            summed.iter().filter_map(|of| of.trace.mean_power(self.last - POWER_SPAN, self.last));
        let total = |of: Vec<f64>| (!of.is_empty()).then(|| of.iter().sum::<f64>());
        SoFar {
            duration: at - self.begin,
            energy: total(energies.map(Joules::value).collect()).map(Joules::new),
            power: total(powers.map(Watts::value).collect()).map(Watts::new),
            channels: self
                .channels
                .iter()
                .map(|of| (of.trace.channel().name.clone(), of.energy(at)))
                .collect(),
        }
    }
}

impl Counted {
    fn energy(&self, at: Seconds) -> Option<Joules> {
        Some(self.begin?.until(&self.trace.edge(at)).energy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattlaw::record::{Instrument, Sample};

    fn channel(name: &str, component: Component) -> Channel {
        Channel {
            name: name.to_owned(),
            component,
            device: name.to_owned(),
            model: None,
            instrument: Instrument::Power,
            update: Seconds::ZERO,
            averaging: Seconds::ZERO,
            systematic: None,
        }
    }

    #[test]
    fn gpus_are_counted_from_the_begin_of_the_run_and_without_one_every_channel() {
        for (second, energy_j, power_w) in
            [(Component::Cpu, 1000.0, 100.0), (Component::Gpu, 1500.0, 150.0)]
        {
            let mut live = Live::new([channel("a", Component::Gpu), channel("b", second)]);
            for second in 0..=12 {
                let power =
                    |watts| Ok(Sample { power: Some(Watts::new(watts)), ..Sample::default() });
                let at = Seconds::new(f64::from(second));
                live.push(&Tick { at, readings: vec![power(100.0), power(50.0)] });
                if second == 2 {
                    live.begin(at);
                }
            }
            let so_far = live.so_far(Seconds::new(12.0));
            assert_eq!(so_far.duration, Seconds::new(10.0));
            assert_eq!(so_far.energy, Some(Joules::new(energy_j)));
            assert_eq!(so_far.power, Some(Watts::new(power_w)));
            assert_eq!(so_far.channels["b"], Some(Joules::new(500.0)));
        }
    }
}
