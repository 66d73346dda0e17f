//! A meter that measures nothing: a constant power given by the user, marked as assumed in all outputs.

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use wattlaw::base::units::{Seconds, Watts};
use wattlaw::record::{Channel, Component, Instrument, Sample};

use crate::meter::{Fault, Meter};

/// A constant power of one component, written as `cpu=95W`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assumption {
    component: Component,
    power: Watts,
}

/// A meter of constant power.
#[derive(Debug)]
pub struct Assumed {
    channels: [Channel; 1],
    power: Watts,
    since: Instant,
}

impl Assumption {
    /// The component.
    pub const fn component(&self) -> Component {
        self.component
    }

    /// The power, W.
    pub const fn power(&self) -> Watts {
        self.power
    }
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}W", self.component, self.power.value())
    }
}

impl FromStr for Assumption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}` is not an assumed power; example: cpu=95W");
        let (component, power) = text.split_once('=').ok_or_else(expected)?;
        let component = component.parse().map_err(|e: wattlaw::Error| e.to_string())?;
        let number = power.trim().trim_end_matches(['W', 'w']).trim_end();
        let power: f64 = number.parse().map_err(|_| expected())?;
        if !(power > 0.0 && power <= 1e6) {
            return Err(format!("`{text}`: the power must be above 0 and at most 1 MW"));
        }
        Ok(Self { component, power: Watts::new(power) })
    }
}

impl Assumed {
    /// A channel `name` of a component with a constant power, W, from now on.
    pub fn new(name: &str, component: Component, power: Watts) -> Self {
        let channel = Channel {
            name: name.to_owned(),
            component,
            device: "assumption".to_owned(),
            model: None,
            instrument: Instrument::Assumed,
            update: Seconds::ZERO,
            averaging: Seconds::ZERO,
            // the error of an assumption is unknown
            systematic: None,
        };
        Self { channels: [channel], power, since: Instant::now() }
    }
}

impl From<&Assumption> for Assumed {
    fn from(assumption: &Assumption) -> Self {
        let name = format!("assumed-{}", assumption.component);
        Self::new(&name, assumption.component, assumption.power)
    }
}

impl Meter for Assumed {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self) -> Vec<Result<Sample, Fault>> {
        let time = Seconds::new(self.since.elapsed().as_secs_f64());
        vec![Ok(Sample {
            energy: Some(self.power * time),
            power: Some(self.power),
            ..Sample::default()
        })]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assumption_is_a_component_and_its_power() {
        let read: Assumption = "cpu=95W".parse().unwrap();
        assert_eq!((read.component(), read.power()), (Component::Cpu, Watts::new(95.0)));
        assert_eq!(read.to_string().parse(), Ok(read));
        assert_eq!("dram = 12.5".parse::<Assumption>().unwrap().power(), Watts::new(12.5));
        for wrong in ["cpu", "cpu=", "cpu=-5W", "cpu=NaN", "cpu=0W", "fan=5W", "cpu=95kW"] {
            assert!(wrong.parse::<Assumption>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_assumed_meter_is_marked_and_its_energy_grows() {
        let mut meter = Assumed::from(&"node=400W".parse().unwrap());
        assert_eq!(meter.channels()[0].instrument, Instrument::Assumed);
        assert_eq!(meter.channels()[0].systematic, None);
        let first = meter.read().remove(0).unwrap();
        let second = meter.read().remove(0).unwrap();
        assert!(second.energy >= first.energy);
        assert_eq!(first.power, Some(Watts::new(400.0)));
    }
}
