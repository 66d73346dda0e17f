//! A meter that measures nothing: a constant power that the user states, marked as assumed wherever it appears.

use std::time::Instant;

use wattlaw::record::{Channel, Component, Instrument, Sample};
use wattlaw::units::{Seconds, Watts};

use crate::meter::{Fault, Meter};

/// A constant power.
#[derive(Debug)]
pub struct Assumed {
    channels: [Channel; 1],
    power: Watts,
    since: Instant,
}

impl Assumed {
    /// A channel `name` of a component that draws `power` from now on.
    pub fn new(name: &str, component: Component, power: Watts) -> Self {
        let channel = Channel {
            name: name.to_owned(),
            component,
            device: "assumption".to_owned(),
            model: None,
            instrument: Instrument::Assumed,
            update: Seconds::ZERO,
            // nobody knows how far an assumption is off
            systematic: None,
        };
        Self { channels: [channel], power, since: Instant::now() }
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
