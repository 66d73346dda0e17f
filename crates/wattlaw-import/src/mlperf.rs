//! MLPerf Training's power logs: `node_N.txt`, `sw_N.txt` and the run's `result_N.txt`.
//!
//! The energy follows the official rules (`mlcommons/logging`, `mlperf_logging/result_summarizer`, `_compute_power_node` and
//! `_compute_power_sw`): each reading covers the time since the previous one; the sum is multiplied by the conversion
//! efficiency and scaled from the measurement time to the run time. The energy of switches (`sw_N.txt`) is the first
//! `interconnect_power_est` times the run time; readings of switches are not counted.
//!
//! Many logs of round 4.0 have a stop with the time of the start: such a stop says nothing, and the last reading is the end.

use serde::Deserialize;
use serde_json::Value;

use super::data_issue::{DataIssue, Findings};
use super::lines::{Source, text};
use super::measured::{Measured, Part};
use super::number::{MAX_VALUE, shortened};
use super::timestamp::Timestamp;
use super::{Reader, no_data, stem};
use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::scope::Scope;
use wattlaw::base::units::Joules;
use wattlaw::record::{Component, Instrument};

/// Reads MLPerf logs; nodes, switches and the result of one folder form one run.
#[derive(Default)]
pub(super) struct Mlperf {
    files: Vec<File>,
}

/// Contents of one file.
struct File {
    name: String,
    readings: Vec<(f64, f64)>,
    efficiency: f64,
    start: Option<f64>,
    stops: Vec<f64>,
    switch_w: Option<f64>,
    run: (Option<f64>, Option<f64>),
    samples: Option<f64>,
}

#[derive(Deserialize)]
struct Event {
    time_ms: f64,
    key: String,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    metadata: Value,
}

impl Event {
    /// The value, or its field `value`: power readings are wrapped in an object.
    fn number(&self) -> Option<f64> {
        self.value.as_f64().or_else(|| self.value.get("value")?.as_f64())
    }
}

impl Reader for Mlperf {
    fn read(&mut self, source: &mut Source<'_>, _: &mut Findings) -> Result<()> {
        let name = source.name;
        let mut file = File::new(name);
        let mut events = 0_u64;
        source.lines(|number, line| {
            let Some(at) = memchr::memmem::find(line, b":::MLL") else { return Ok(()) };
            let place = |e: Error| e.at(Location::line(name, number));
            let line = text(&line[at..]).map_err(place)?;
            let json = line.find('{').map_or("", |at| &line[at..]);
            let event: Event = serde_json::from_str(json)
                .map_err(|e| place(Error::Syntax { format: "MLLOG", message: e.to_string() }))?;
            events += 1;
            file.event(&event).map_err(place)
        })?;
        if events == 0 {
            return Err(no_data(name, ":::MLLOG lines"));
        }
        self.files.push(file);
        Ok(())
    }

    fn finish(self: Box<Self>, findings: &mut Findings) -> Result<Vec<Measured>> {
        let mut runs: Vec<(String, Vec<File>)> = Vec::new();
        for file in self.files {
            let key = run_of(&file);
            match runs.iter_mut().find(|(known, _)| *known == key) {
                Some((_, files)) => files.push(file),
                None => runs.push((key, vec![file])),
            }
        }
        runs.iter().map(|(key, files)| join_files(key, files, findings)).collect()
    }
}

impl File {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            readings: Vec::new(),
            efficiency: 1.0,
            start: None,
            stops: Vec::new(),
            switch_w: None,
            run: (None, None),
            samples: None,
        }
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        let time = event.time_ms;
        if Timestamp::from_epoch_ms(time).is_none() {
            return Err(Error::invalid("time_ms", time, "it must be milliseconds since 1970"));
        }
        let required = |max: f64| match event.number() {
            Some(x) if (0.0..=max).contains(&x) => Ok(x),
            Some(x) => {
                Err(Error::invalid(&event.key, x, format!("it must be a number from 0 to {max}")))
            }
            None => Err(Error::invalid(
                &event.key,
                shortened(&event.value.to_string()),
                "it must be a number, or an object whose `value` is one",
            )),
        };
        match event.key.as_str() {
            "power_measurement_start" => self.start = Some(time),
            "power_measurement_stop" => self.stops.push(time),
            "power_reading" => self.readings.push((time, required(MAX_VALUE)?)),
            "conversion_eff" => self.efficiency = required(1.5)?,
            "interconnect_power_est" => {
                // an efficiency that is stated later does not count
                let watts = self.efficiency * required(MAX_VALUE)?;
                self.switch_w = self.switch_w.or(Some(watts));
            }
            "run_start" => self.run.0 = self.run.0.or(Some(time)),
            "run_stop" => self.run.1 = Some(time),
            _ => {}
        }
        // evaluations and the end state the number of sequences so far
        if matches!(event.key.as_str(), "run_stop" | "eval_accuracy") {
            let trained = event.metadata.get("samples_count").and_then(Value::as_f64);
            self.samples = self
                .samples
                .into_iter()
                .chain(trained.filter(|n| (0.0..=MAX_VALUE).contains(n)))
                .reduce(f64::max);
        }
        Ok(())
    }

    /// Mean DC power, W, and measurement time, s.
    fn mean_power(&self, findings: &mut Findings) -> Result<(f64, f64)> {
        let place = || Location::file(&self.name);
        let Some(start) = self.start else {
            return Err(Error::missing(
                "power_measurement_start",
                "the energy is summed from there",
            )
            .at(place()));
        };
        let mut readings = self.readings.clone();
        readings.sort_by(|a, b| a.0.total_cmp(&b.0));
        let stated = self.stops.iter().copied().filter(|stop| *stop > start).reduce(f64::min);
        readings.retain(|(t, _)| *t >= start && stated.is_none_or(|stop| *t <= stop));
        let last = readings.last().map_or(start, |(t, _)| *t);
        let stop = stated.unwrap_or(last);
        if stated.is_none() {
            let what = if self.stops.is_empty() { "is missing" } else { "is not after the start" };
            findings.add(
                DataIssue::Assumed,
                &self.name,
                None,
                format!(
                    "power_measurement_stop {what}; the measurement is assumed to end at the last reading"
                ),
            );
        }
        if stop <= start || readings.is_empty() {
            return Err(no_data(&self.name, "power readings between start and stop"));
        }
        let mut before = start;
        let mut sum = 0.0;
        for (time, watts) in readings {
            sum += watts * (time - before);
            before = time;
        }
        Ok((self.efficiency * sum / (stop - start), (stop - start) / 1e3))
    }
}

/// The run of a file: `result_0` for `power/result_0/node_1.txt` and for `result_0.txt`.
fn run_of(file: &File) -> String {
    let parts: Vec<&str> = file.name.split(['/', '\\']).collect();
    match parts.as_slice() {
        // a result file is two folders above the power logs of its nodes
        [above @ .., _] if file.is_result() => [above, &[stem(&file.name)]].concat().join("/"),
        [above @ .., "power", run, _] => [above, &[*run]].concat().join("/"),
        [above @ .., _] => above.join("/"),
        [] => String::new(),
    }
}

impl File {
    const fn is_result(&self) -> bool {
        self.start.is_none() && self.switch_w.is_none() && self.run.0.is_some()
    }

    /// By its name, as the rules tell `node_*.txt` and `sw_*.txt` apart.
    fn is_switch(&self) -> bool {
        stem(&self.name).starts_with("sw_")
    }

    fn is_node(&self) -> bool {
        !self.is_switch() && (self.start.is_some() || !self.readings.is_empty())
    }
}

fn join_files(key: &str, files: &[File], findings: &mut Findings) -> Result<Measured> {
    let results: Vec<&File> = files.iter().filter(|f| f.is_result()).collect();
    let seconds_of = |f: &&File| match f.run {
        (Some(start), Some(stop)) if stop > start => Some((stop - start) / 1e3),
        _ => None,
    };
    let run_s = results.iter().find_map(seconds_of);
    let nodes: Vec<&File> = files.iter().filter(|f| f.is_node()).collect();
    let first = nodes.first().or(results.first()).map_or("", |f| f.name.as_str());
    if nodes.is_empty() {
        return Err(no_data(
            files.first().map_or(key, |f| &f.name),
            "power readings; give power/result_N/node_N.txt",
        ));
    }
    let powers = nodes.iter().map(|n| n.mean_power(findings)).collect::<Result<Vec<_>>>()?;
    let measured_s = powers.iter().map(|(_, s)| *s).fold(0.0, f64::max);
    let seconds = run_s.unwrap_or(measured_s);
    if run_s.is_none() {
        findings.add(
            DataIssue::Assumed,
            first,
            None,
            "the result file with run_start and run_stop was not given; the measurement time is used",
        );
    }
    let name = key.rsplit('/').next().filter(|k| !k.is_empty()).unwrap_or(stem(first));
    let mut measured = Measured::new(name, first, "mlperf power");
    measured.instrument = Some(Instrument::Power);
    measured.start =
        nodes.iter().filter_map(|n| n.start).reduce(f64::min).and_then(Timestamp::from_epoch_ms);
    let mut total = 0.0;
    for (node, (watts, _)) in nodes.iter().zip(&powers) {
        total += watts * seconds;
        measured.parts.push(Part {
            name: stem(&node.name).to_owned(),
            component: Component::Node,
            energy: Joules::new(watts * seconds),
        });
        if node.efficiency < 1.0 {
            findings.add(
                DataIssue::Coverage,
                &node.name,
                None,
                format!(
                    "the readings were multiplied by a conversion efficiency of {}, as the rules require: the energy is on the \
                     DC side of the power supplies",
                    node.efficiency
                ),
            );
        }
    }
    let direct = nodes.iter().any(|n| n.efficiency < 1.0);
    measured.scope = if direct { Scope::NodeDc } else { Scope::NodeAc };
    if !direct {
        findings.add(
            DataIssue::Assumed,
            first,
            None,
            "no conversion efficiency below 1 is stated; the readings are assumed to be on the AC side (node_ac)",
        );
    }
    for switch in files {
        if switch.is_switch() && !switch.readings.is_empty() {
            findings.add(
                DataIssue::Coverage,
                &switch.name,
                None,
                "the rules count no readings of a switch, only interconnect_power_est; the readings are not in the energy",
            );
        }
        if let Some(watts) = switch.switch_w {
            total += watts * seconds;
            findings.add(
                DataIssue::Modelled,
                &switch.name,
                None,
                format!("the energy includes {watts} W of network, which the submitter estimated"),
            );
        }
    }
    measured.samples = results.iter().find_map(|r| r.samples);
    measured.set_energy_and_time(total, seconds);
    Ok(measured)
}
