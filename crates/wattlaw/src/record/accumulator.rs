//! Accumulates the readings of one channel: energies at the edges of windows, and statistics.

use std::collections::{BTreeMap, VecDeque};

use crate::base::units::{Joules, Seconds, Watts};
use crate::record::document::{Gap, Measured, Part, Spread};
use crate::record::trace::{ChannelTrace, Edge};
use crate::record::{Channel, Instrument, Sample};

/// Names of NVML's bits for clock throttling reasons; idle clocks and configured clocks are not throttling.
///
/// Source: `nvml.h`, `nvmlClocksEventReason*`.
const THROTTLE: [(u64, &str); 9] = [
    (0x1, "idle"),
    (0x2, "applications_clocks"),
    (0x4, "sw_power_cap"),
    (0x8, "hw_slowdown"),
    (0x10, "sync_boost"),
    (0x20, "sw_thermal"),
    (0x40, "hw_thermal"),
    (0x80, "hw_power_brake"),
    (0x100, "display_clock"),
];

/// A reading this many intervals after the last one leaves a gap, as in the sampler.
const GAP_INTERVALS: f64 = 2.5;

/// The readings of a channel; readings that are no longer needed are dropped.
#[derive(Debug)]
pub(super) struct ChannelAccumulator {
    trace: ChannelTrace,
    /// Times of the remaining edges, sorted.
    marks: VecDeque<Seconds>,
    /// Edges by the bits of their times, which sort like the times.
    edges: BTreeMap<u64, Edge>,
    first: Option<Seconds>,
    last: Option<Seconds>,
    /// Time between readings, and the last reading, failed or not.
    interval: Seconds,
    tried: Option<Seconds>,
    command: (Seconds, Seconds),
    held: Option<Held>,
    statistics: Statistics,
}

/// A channel whose energy another record counted when this one began.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held {
    /// The other record.
    pub by: String,
    /// When this record took over, if it did.
    pub until: Option<Seconds>,
}

#[derive(Debug, Default)]
struct Statistics {
    readings: u64,
    failed: u64,
    power: RunningStats,
    power_limit: RunningStats,
    sm_clock: RunningStats,
    memory_clock: RunningStats,
    temperature: RunningStats,
    utilization: RunningStats,
    throttle: BTreeMap<&'static str, u64>,
    throttle_readings: u64,
}

/// Running statistics of a value.
#[derive(Debug, Default, Clone, Copy)]
struct RunningStats {
    n: u64,
    sum: f64,
    min: f64,
    max: f64,
}

impl RunningStats {
    fn add(&mut self, value: Option<f64>) {
        let Some(value) = value else { return };
        (self.min, self.max) = match self.n {
            0 => (value, value),
            _ => (self.min.min(value), self.max.max(value)),
        };
        self.n += 1;
        self.sum += value;
    }

    fn spread(self) -> Option<Spread> {
        (self.n > 0).then(|| Spread {
            mean: self.sum / self.n as f64,
            min: self.min,
            max: self.max,
        })
    }
}

impl ChannelAccumulator {
    /// A channel with edges at `marks` (sorted); statistics cover `command`, from begin to end.
    pub fn new(
        channel: Channel,
        interval: Seconds,
        marks: Vec<Seconds>,
        command: (Seconds, Seconds),
        held: Option<Held>,
    ) -> Self {
        Self {
            trace: ChannelTrace::new(channel),
            marks: marks.into(),
            edges: BTreeMap::new(),
            first: None,
            last: None,
            interval,
            tried: None,
            command,
            held,
            statistics: Statistics::default(),
        }
    }

    pub fn channel(&self) -> &Channel {
        self.trace.channel()
    }

    /// Adds a reading.
    pub fn push(&mut self, at: Seconds, sample: Option<Sample>) {
        // readings that could not be written are a gap too
        if let Some(tried) = self.tried.filter(|tried| at - *tried > self.interval * GAP_INTERVALS)
        {
            self.trace.push(tried + self.interval, None);
        }
        self.tried = Some(at);
        self.trace.push(at, sample);
        if (self.command.0..=self.command.1).contains(&at) {
            self.statistics.add(sample);
        }
        if sample.is_none() {
            return;
        }
        self.first.get_or_insert(at);
        self.last = Some(at);
        // an edge needs readings up to two updates after it
        let reach = self.trace.channel().update * 2.0;
        while let Some(mark) = self.marks.front().copied().filter(|mark| *mark + reach < at) {
            self.marks.pop_front();
            self.take_edge(mark);
        }
        let needed = self.marks.front().map_or(at, |mark| mark.min(at));
        self.trace.forget_before(needed - reach);
    }

    fn take_edge(&mut self, at: Seconds) {
        self.edges.insert(at.value().to_bits(), self.trace.edge(at));
    }

    fn edge(&self, at: Seconds) -> Option<&Edge> {
        self.edges.get(&at.value().to_bits())
    }

    /// Computes the remaining edges after the last reading, and those at and after the command's end.
    pub fn finish(&mut self, end: Seconds, last: Seconds) {
        self.command.1 = end;
        for mark in std::mem::take(&mut self.marks).into_iter().chain([end, last]) {
            if self.edge(mark).is_none() {
                self.take_edge(mark);
            }
        }
    }

    /// The energy of a window.
    pub fn part(&self, host: &str, from: Seconds, to: Seconds) -> Option<Part> {
        let window = self.edge(from)?.until(self.edge(to)?);
        Some(Part {
            host: host.to_owned(),
            channel: self.channel().name.clone(),
            energy: window.energy,
            quantisation_sd: window.quantisation,
            covered: window.covered,
        })
    }

    /// Mean power between two marks, as far as there are readings.
    fn mean_power(&self, from: Seconds, to: Seconds) -> Option<Watts> {
        let time = to.min(self.last?) - from.max(self.first?);
        let energy = self.edge(from)?.until(self.edge(to)?).energy;
        (time > Seconds::ZERO).then(|| energy / time).filter(|power| power.value().is_finite())
    }

    /// From when on the command's energy counts in this record; `None` if it never does.
    fn counted_from(&self) -> Option<Seconds> {
        let (begin, end) = self.command;
        match &self.held {
            None => Some(begin),
            Some(held) => held.until.map(|until| until.max(begin)).filter(|from| *from < end),
        }
    }

    /// The energy between two marks, outside the readings, at the mean power between them; `None` if there is none.
    fn missing(&self, from: Seconds, to: Seconds) -> Option<Joules> {
        let before = (self.first? - from).max(Seconds::ZERO);
        let after = (to - self.last?).max(Seconds::ZERO);
        Some(self.mean_power(from, to)? * (before + after)).filter(|energy| *energy > Joules::ZERO)
    }

    /// The readings while the command ran; `idle` are the idle times before and after it.
    pub fn measured(&self, host: &str, idle: [Option<(Seconds, Seconds)>; 2]) -> Measured {
        let (begin, end) = self.command;
        let counted_from = self.counted_from();
        let (from, to) = (counted_from.and_then(|from| self.edge(from)), self.edge(end));
        let window = from.zip(to).map(|(from, to)| from.until(to)).filter(|_| self.first.is_some());
        let energy = window.map(|w| w.energy);
        let counter = self.channel().instrument == Instrument::Counter;
        let integrated =
            from.zip(to).and_then(|(from, to)| from.integrated_until(to)).filter(|_| counter);
        let disagreement = integrated
            .zip(energy.filter(|e| *e > Joules::ZERO))
            .map(|(integrated, energy)| integrated / energy - 1.0)
            .filter(|share| share.is_finite());
        let s = &self.statistics;
        let idle_power = |span: Option<(Seconds, Seconds)>| {
            span.and_then(|(from, to)| self.mean_power(from, to))
        };
        Measured {
            host: host.to_owned(),
            channel: self.channel().clone(),
            energy,
            mean_power: energy.and_then(|_| self.mean_power(counted_from?, end)),
            systematic_sd: energy.zip(self.channel().systematic).map(|(e, share)| e * share),
            random_sd: window.map_or(Joules::ZERO, |w| w.quantisation),
            covered: window
                .zip(counted_from)
                .map_or(0.0, |(w, from)| w.covered * share(end - from, end - begin)),
            held_by: self.held.as_ref().map(|held| held.by.clone()),
            counted_from: self.held.as_ref().and(counted_from),
            shared: None,
            missing: counted_from.and_then(|from| self.missing(from, end)),
            integrated,
            disagreement,
            idle_before: idle_power(idle[0]),
            idle_after: idle_power(idle[1]),
            readings: s.readings,
            failed_readings: s.failed,
            power_w: s.power.spread(),
            power_limit_w: s.power_limit.spread(),
            sm_clock_mhz: s.sm_clock.spread(),
            memory_clock_mhz: s.memory_clock.spread(),
            temperature_c: s.temperature.spread(),
            utilization: s.utilization.spread(),
            throttle: s.throttle_shares(),
            gaps: self.trace.gaps().into_iter().map(|(from, to)| Gap { from, to }).collect(),
        }
    }
}

/// The share of a time; all of it if there is none.
fn share(part: Seconds, whole: Seconds) -> f64 {
    if whole > Seconds::ZERO { part / whole } else { 1.0 }
}

impl Statistics {
    fn add(&mut self, sample: Option<Sample>) {
        self.readings += 1;
        let Some(sample) = sample else {
            self.failed += 1;
            return;
        };
        self.power.add(sample.power.map(Watts::value));
        self.power_limit.add(sample.power_limit.map(Watts::value));
        self.sm_clock.add(sample.sm_clock_mhz);
        self.memory_clock.add(sample.memory_clock_mhz);
        self.temperature.add(sample.temperature_c);
        self.utilization.add(sample.utilization);
        if let Some(bits) = sample.throttle_reasons {
            self.throttle_readings += 1;
            for (_, name) in THROTTLE.iter().filter(|(bit, _)| bits & bit != 0) {
                *self.throttle.entry(name).or_default() += 1;
            }
        }
    }

    fn throttle_shares(&self) -> BTreeMap<String, f64> {
        let share = |n: u64| n as f64 / self.throttle_readings.max(1) as f64;
        self.throttle.iter().map(|(name, n)| ((*name).to_owned(), share(*n))).collect()
    }
}
