//! One frame of `wattlaw top`: the latest readings of the channels, and the prediction of a job.

use wattlaw::base::scope::Scope;
use wattlaw::base::units::{Joules, Seconds, Watts};
use wattlaw::predict::{ChosenJob, Interval, Prediction, Screen};
use wattlaw::record::event::Entry;
use wattlaw::record::{Channel, Component, Instrument, Sample};
use wattlaw_meter::sampler::Tick;
use wattlaw_meter::tail::Tail;

use crate::live::{Live, between, components, sentence};
use crate::{render, screen};

/// Width in characters of the bar that shows power against its limit.
const BAR_WIDTH: usize = 12;

/// Readings since the start of the program.
pub struct Watch {
    channels: Vec<ChannelState>,
    live: Option<Live>,
    /// Events of the job's record.
    events: Option<Tail>,
    at: Seconds,
}

/// A channel and its latest reading.
#[derive(Debug)]
struct ChannelState {
    channel: Channel,
    read_at: Option<Seconds>,
    energy: Joules,
    power: Option<Watts>,
    /// Latest clocks, limit, temperature and utilisation; not every reading has them.
    state: Sample,
    fault: Option<String>,
}

impl Watch {
    /// Starts without readings.
    pub fn new(
        channels: Vec<Channel>,
        predicted: Option<(ChosenJob, Prediction)>,
        events: Option<Tail>,
    ) -> Self {
        let live = predicted.map(|(job, prediction)| Live::new(job, prediction, channels.clone()));
        let channels = channels.into_iter().map(|channel| ChannelState {
            channel,
            read_at: None,
            energy: Joules::ZERO,
            power: None,
            state: Sample::default(),
            fault: None,
        });
        Self { channels: channels.collect(), live, events, at: Seconds::ZERO }
    }

    /// Adds a round of readings.
    pub fn update(&mut self, tick: &Tick) {
        self.at = tick.at;
        if let Some(live) = &mut self.live {
            let lines = self.events.as_mut().map(Tail::lines).unwrap_or_default();
            for line in &lines {
                let entry = std::str::from_utf8(line).ok().and_then(Entry::parse);
                entry.iter().for_each(|entry| _ = live.add(entry));
            }
            live.read(tick);
        }
        for (seen, reading) in self.channels.iter_mut().zip(&tick.readings) {
            match reading {
                Ok(sample) => seen.update(tick.at, sample),
                Err(fault) => {
                    seen.power = None;
                    seen.fault = Some(fault.reason.clone());
                }
            }
        }
    }

    /// The text of the frame: a row per channel, sums, and the job.
    pub fn frame(&self) -> String {
        let mut rows: Vec<_> = self.channels.iter().map(ChannelState::row).collect();
        let gpus: Vec<&ChannelState> = self.of(&[Component::Gpu, Component::Module]).collect();
        if gpus.len() > 1 {
            rows.push(sum("GPUs", &gpus));
        }
        let header =
            ["", "power", "of limit", "energy", "utilisation", "°C", "SM MHz", "throttled by", ""];
        let title = format!("wattlaw top, running for {}", render::duration(self.at.value()));
        render::heading(&title) + &render::table(&header, rows, 9) + &self.job()
    }

    fn of(&self, components: &[Component]) -> impl Iterator<Item = &ChannelState> {
        self.channels.iter().filter(move |seen| components.contains(&seen.channel.component))
    }

    /// Energy so far within a prediction's scope, and whether part of it is assumed. `None` if no channel is in the scope.
    fn measured(&self, scope: Scope) -> Option<(Joules, bool)> {
        let has_node = self.of(&[Component::Node]).next().is_some();
        let parts = components(scope, has_node);
        self.of(parts).next()?;
        let assumed = self.of(parts).any(|seen| seen.channel.instrument == Instrument::Assumed);
        Some((self.of(parts).map(|seen| seen.energy).sum(), assumed))
    }

    fn job(&self) -> String {
        let Some(live) = &self.live else { return String::new() };
        let (chosen, p) = (live.job(), live.prediction());
        let mut rows = vec![vec!["job".to_owned(), "energy".to_owned(), "time".to_owned()]];
        rows.push(vec![
            "predicted".to_owned(),
            p.energy_j.map_or_else(|| "–".to_owned(), |i| between(i, &render::energy)),
            p.duration_s.map_or_else(|| "–".to_owned(), |i| between(i, &render::duration)),
        ]);
        let measured = self.measured(p.scope);
        let name = match measured {
            Some((_, true)) => "measured and assumed",
            Some((_, false)) => "measured",
            None => "not measured",
        };
        let share = |part: f64, whole: Option<Interval>| {
            whole.map_or_else(String::new, |i| {
                format!(", {} %", render::digits(100.0 * part / i.estimate))
            })
        };
        let (energy, time) = (measured.map(|(energy, _)| energy.value()), self.at.value());
        rows.push(vec![
            name.to_owned(),
            energy.map_or_else(
                || format!("no channel covers {}", p.scope),
                |e| render::energy(e) + &share(e, p.energy_j),
            ),
            render::duration(time) + &share(time, p.duration_s),
        ]);
        let remaining =
            |whole: Option<Interval>, part: f64| whole.map(|i| (i.estimate - part).max(0.0));
        let outlook = live.outlook();
        if let Some(outlook) = &outlook {
            rows.push(vec![
                "remaining by its steps".to_owned(),
                outlook.remaining_j.map_or_else(|| "–".to_owned(), |i| between(i, &render::energy)),
                between(outlook.remaining_s, &render::duration),
            ]);
        } else {
            rows.push(vec![
                "remaining".to_owned(),
                energy.and_then(|e| remaining(p.energy_j, e)).map_or_else(
                    || "–".to_owned(),
                    |e| format!("{} kWh", render::digits(Joules::new(e).kwh())),
                ),
                remaining(p.duration_s, time).map_or_else(|| "–".to_owned(), render::duration),
            ]);
        }
        let said = outlook.map_or_else(String::new, |of| sentence(&of, p) + "\n");
        let text = render::table(&["", "", ""], rows, 9);
        format!(
            "\n{text}{said}measured since the start of this program; prediction of scope {}\n{}",
            p.scope,
            screen::basis(&Screen::new(&chosen.job, p, &chosen.defaults))
        )
    }
}

impl ChannelState {
    fn update(&mut self, at: Seconds, sample: &Sample) {
        let energy = sample.energy.unwrap_or(self.energy);
        // a counter without a power reading: use its slope since the last reading
        let slope = self
            .read_at
            .filter(|&before| at > before)
            .map(|before| (energy - self.energy) / (at - before));
        self.power = sample.power.or(slope);
        self.energy = energy;
        self.read_at = Some(at);
        self.fault = None;
        let last = self.state;
        self.state = Sample {
            power_limit: sample.power_limit.or(last.power_limit),
            sm_clock_mhz: sample.sm_clock_mhz.or(last.sm_clock_mhz),
            temperature_c: sample.temperature_c.or(last.temperature_c),
            utilization: sample.utilization.or(last.utilization),
            throttle_reasons: sample.throttle_reasons.or(last.throttle_reasons),
            ..*sample
        };
    }

    fn row(&self) -> Vec<String> {
        let optional = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
        let state = &self.state;
        let load = self.power.zip(state.power_limit).map(|(power, limit)| power / limit);
        vec![
            self.channel.name.clone(),
            optional(self.power.map(|power| render::si(power.value(), "W"))),
            optional(load.map(bar)),
            render::energy(self.energy.value()),
            optional(state.utilization.map(|share| format!("{:.0} %", share * 100.0))),
            optional(state.temperature_c.map(|t| format!("{t:.0}"))),
            optional(state.sm_clock_mhz.map(|mhz| format!("{mhz:.0}"))),
            optional(state.throttle_reasons.map(throttle_reasons)),
            match (&self.fault, self.channel.instrument) {
                (Some(fault), _) => fault.clone(),
                (None, Instrument::Assumed) => "assumed".to_owned(),
                (None, Instrument::Counter | Instrument::Power) => {
                    self.channel.model.clone().unwrap_or_default()
                }
            },
        ]
    }
}

fn sum(name: &str, seen: &[&ChannelState]) -> Vec<String> {
    let power: Watts = seen.iter().filter_map(|seen| seen.power).sum();
    let energy: Joules = seen.iter().map(|seen| seen.energy).sum();
    let mut row = vec![
        name.to_owned(),
        render::si(power.value(), "W"),
        String::new(),
        render::energy(energy.value()),
    ];
    row.resize(9, String::new());
    row
}

/// A share as a bar of full and empty cells.
fn bar(share: f64) -> String {
    let full = ((share.clamp(0.0, 1.0) * BAR_WIDTH as f64).round() as usize).min(BAR_WIDTH);
    "█".repeat(full) + &"░".repeat(BAR_WIDTH - full)
}

/// Names of NVML's throttle reasons; idle is not throttling.
fn throttle_reasons(bits: u64) -> String {
    // nvml.h: nvmlClocksThrottleReason…
    const REASONS: [(u64, &str); 7] = [
        (0x02, "set clocks"),
        (0x04, "power cap"),
        (0x08, "hardware"),
        (0x10, "sync boost"),
        (0x20, "temperature"),
        (0x40, "temperature"),
        (0x80, "power brake"),
    ];
    let mut found: Vec<&str> =
        REASONS.iter().filter(|(bit, _)| bits & bit != 0).map(|&(_, name)| name).collect();
    found.dedup();
    if found.is_empty() { "–".to_owned() } else { found.join(", ") }
}

#[cfg(test)]
mod tests {
    use wattlaw_meter::meter::Fault;

    use super::*;

    fn channel(name: &str, component: Component, instrument: Instrument) -> Channel {
        Channel {
            name: name.to_owned(),
            component,
            device: String::new(),
            model: None,
            instrument,
            update: Seconds::ZERO,
            averaging: Seconds::ZERO,
            systematic: None,
        }
    }

    fn energy(joules: f64) -> Sample {
        Sample { energy: Some(Joules::new(joules)), ..Sample::default() }
    }

    fn line(frame: &str, start: &str) -> String {
        let plain = anstream::adapter::strip_str(frame).to_string();
        let found = plain.lines().find(|line| line.starts_with(start));
        found.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_row_shows_power_from_the_counter_and_the_state() {
        let channels = vec![
            channel("gpu0", Component::Gpu, Instrument::Counter),
            channel("gpu1", Component::Gpu, Instrument::Counter),
            channel("cpu0", Component::Cpu, Instrument::Counter),
        ];
        let mut watch = Watch::new(channels, None, None);
        let gpu = Sample {
            power: Some(Watts::new(100.0)),
            power_limit: Some(Watts::new(400.0)),
            utilization: Some(0.5),
            temperature_c: Some(61.0),
            throttle_reasons: Some(0x24),
            ..energy(10.0)
        };
        let lost =
            || Err(Fault { channel: "gpu1".to_owned(), reason: "the GPU is lost".to_owned() });
        watch.update(&Tick {
            at: Seconds::new(0.0),
            readings: vec![Ok(gpu), Ok(energy(5.0)), Ok(energy(2.0))],
        });
        let later = Sample { power: Some(Watts::new(300.0)), ..energy(210.0) };
        watch.update(&Tick {
            at: Seconds::new(2.0),
            readings: vec![Ok(later), lost(), Ok(energy(102.0))],
        });
        let frame = watch.frame();
        assert_eq!(
            line(&frame, "gpu0"),
            "gpu0 300 W █████████░░░ 210 J 50 % 61 – power cap, temperature"
        );
        assert_eq!(line(&frame, "gpu1"), "gpu1 – – 5.00 J – – – – the GPU is lost");
        assert_eq!(line(&frame, "cpu0"), "cpu0 50.0 W – 102 J – – – –");
        assert_eq!(line(&frame, "GPUs"), "GPUs 300 W 215 J");
    }

    #[test]
    fn the_platform_counter_is_not_added_to_its_parts() {
        let measured = |channels: Vec<Channel>, scope| {
            let mut watch = Watch::new(channels, None, None);
            let readings = watch.channels.iter().map(|_| Ok(energy(100.0))).collect();
            watch.update(&Tick { at: Seconds::new(1.0), readings });
            watch.measured(scope).map(|(energy, assumed)| (energy.value(), assumed))
        };
        let gpu = || channel("gpu0", Component::Gpu, Instrument::Counter);
        let cpu = || channel("cpu0", Component::Cpu, Instrument::Assumed);
        let psys = || channel("psys", Component::Node, Instrument::Counter);
        assert_eq!(measured(vec![gpu(), cpu()], Scope::Gpu), Some((100.0, false)));
        assert_eq!(measured(vec![gpu(), cpu()], Scope::NodeDc), Some((200.0, true)));
        assert_eq!(measured(vec![gpu(), cpu(), psys()], Scope::NodeDc), Some((100.0, false)));
        assert_eq!(measured(vec![cpu()], Scope::Gpu), None);
    }

    #[test]
    fn bars_are_as_long_as_their_share() {
        assert_eq!(bar(0.0), "░".repeat(12));
        assert_eq!(bar(0.5), "█".repeat(6) + &"░".repeat(6));
        assert_eq!(bar(7.0), "█".repeat(12));
    }
}
