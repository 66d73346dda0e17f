//! perun's CSV (`perun/io/pandas.py`): one sensor reading per row, a power in W or a counter in J, times a magnitude.

use std::collections::HashMap;

use super::data_issue::{DataIssue, Findings};
use super::lines::Source;
use super::measured::{Measured, Part};
use super::number::shortened;
use super::series::{Counter, Series, Step};
use super::table::{Row, Table};
use super::unit::Scale;
use super::{Reader, no_data, stem};
use wattlaw::base::error::{Error, Result};
use wattlaw::base::scope::Scope;
use wattlaw::base::units::Joules;
use wattlaw::record::{Component, Instrument};

/// Reads perun's tables; each `run id` is a run.
#[derive(Default)]
pub(super) struct Perun {
    measured: Vec<Measured>,
}

struct Channel {
    run: String,
    host: String,
    sensor: String,
    power: Series,
    counter: Counter,
    times: Option<(f64, f64)>,
    counts: bool,
}

struct Columns {
    run: Option<usize>,
    host: Option<usize>,
    sensor: usize,
    unit: usize,
    magnitude: usize,
    time: usize,
    value: usize,
}

impl Reader for Perun {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        let mut table = Table::open(source)?;
        let columns = Columns {
            run: table.column("run id"),
            host: table.column("hostname"),
            sensor: table.required(&["sensor"], "perun names what it reads there")?,
            unit: table.required(&["unit"], "perun writes W or J there")?,
            magnitude: table
                .required(&["magnitude"], "perun writes the factor of the unit there")?,
            time: table.required(&["timestep"], "perun writes seconds there")?,
            value: table.required(&["value"], "perun writes the reading there")?,
        };
        let (mut channels, mut by_key) = (Vec::<Channel>::new(), HashMap::<String, usize>::new());
        while let Some(row) = table.next()? {
            let unit = row.text(Some(columns.unit))?.unwrap_or_default();
            if !matches!(unit, "W" | "J") {
                continue;
            }
            let scale = magnitude(&row, columns.magnitude)?;
            let text = |at: Option<usize>| row.text(at).map(Option::unwrap_or_default);
            let (run, host, sensor) =
                (text(columns.run)?, text(columns.host)?, text(Some(columns.sensor))?);
            let key = format!("{run}\0{host}\0{sensor}");
            let at = *by_key.entry(key).or_insert_with(|| {
                channels.push(Channel {
                    run: run.to_owned(),
                    host: host.to_owned(),
                    sensor: sensor.to_owned(),
                    power: Series::default(),
                    counter: Counter::default(),
                    times: None,
                    counts: unit == "J",
                });
                channels.len() - 1
            });
            let (time, value) =
                (row.required(columns.time)?, scale.si(row.required(columns.value)?));
            let Some(channel) = channels.get_mut(at) else { continue };
            channel.reading(file, &row, time, value, findings)?;
        }
        table.end(findings);
        if channels.is_empty() {
            return Err(no_data(file, "readings in W or J"));
        }
        let mut runs: Vec<&str> = Vec::new();
        for channel in &channels {
            if !runs.contains(&channel.run.as_str()) {
                runs.push(&channel.run);
            }
        }
        for run in runs {
            let of_run: Vec<&Channel> = channels.iter().filter(|c| c.run == run).collect();
            self.measured.push(measured(file, run, &of_run, findings)?);
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut Findings) -> Result<Vec<Measured>> {
        Ok(self.measured)
    }
}

impl Channel {
    fn reading(
        &mut self,
        file: &str,
        row: &Row<'_>,
        time: f64,
        value: f64,
        findings: &mut Findings,
    ) -> Result<()> {
        if time > 1e9 * 8.0 {
            return Err(row.error_here(Error::invalid(
                "column `timestep`",
                time,
                "it must be seconds",
            )));
        }
        if self.counts {
            if let Some((_, last)) = self.times
                && time < last
            {
                return Err(
                    row.error_here(Error::Data(format!("the time goes back by {} s", last - time)))
                );
            }
            self.times = Some((self.times.map_or(time, |(first, _)| first), time));
            if self.counter.push(value) {
                findings.add(
                    DataIssue::Restart,
                    file,
                    Some(row.line),
                    "a counter was reset or overflowed; the step across it is excluded",
                );
            }
            return Ok(());
        }
        match self.power.push((time * 1e9).round() as i64, value) {
            Step::Back(seconds) => {
                Err(row.error_here(Error::Data(format!("the time goes back by {seconds} s"))))
            }
            Step::Gap(seconds) => {
                let text =
                    format!("no reading for {seconds:.0} s before this line; this gap is excluded");
                findings.add(DataIssue::Gap, file, Some(row.line), text);
                Ok(())
            }
            Step::Joined | Step::Same => Ok(()),
        }
    }

    fn joules(&self) -> f64 {
        if self.counts { self.counter.total() } else { self.power.joules() }
    }

    fn seconds(&self) -> f64 {
        match (self.counts, self.times) {
            (true, Some((first, last))) => last - first,
            _ => self.power.seconds(),
        }
    }

    fn component(&self) -> Component {
        let sensor = self.sensor.to_lowercase();
        if sensor.starts_with("cuda:") || sensor.starts_with("rocm:") || sensor.contains("gpu") {
            Component::Gpu
        } else if sensor.contains("dram") {
            Component::Dram
        } else if sensor.contains("psys") || sensor.contains("module") {
            Component::Node
        } else {
            Component::Cpu
        }
    }
}

fn measured(
    file: &str,
    run: &str,
    channels: &[&Channel],
    findings: &mut Findings,
) -> Result<Measured> {
    let name = if run.is_empty() { stem(file).to_owned() } else { format!("{}/{run}", stem(file)) };
    let mut measured = Measured::new(name, file, "perun");
    let seconds = channels.iter().map(|c| c.seconds()).fold(0.0, f64::max);
    if seconds <= 0.0 {
        return Err(no_data(file, "two readings of one sensor"));
    }
    let gpus = channels.iter().filter(|c| c.component() == Component::Gpu).count() as u64;
    measured.gpus = (gpus > 0).then_some(gpus);
    measured.scope = if channels.iter().all(|c| c.component() == Component::Gpu) {
        Scope::Gpu
    } else {
        Scope::Devices
    };
    let kind = |c: &&Channel| if c.counts { Instrument::Counter } else { Instrument::Power };
    let first = channels.first().map(kind);
    measured.instrument = first.filter(|k| channels.iter().all(|c| kind(c) == *k));
    // a platform or module sensor includes other sensors
    let added = channels.iter().filter(|c| c.component() != Component::Node);
    measured.set_energy_and_time(added.map(|c| c.joules()).sum(), seconds);
    measured.parts = channels
        .iter()
        .map(|c| Part {
            name: if c.host.is_empty() {
                c.sensor.clone()
            } else {
                format!("{} {}", c.host, c.sensor)
            },
            component: c.component(),
            energy: Joules::new(c.joules()),
        })
        .collect();
    if channels.iter().any(|c| c.component() == Component::Node) {
        let text = "a sensor of the platform or module covers others too; it is listed separately and not added";
        findings.add(DataIssue::Coverage, file, None, text);
    }
    Ok(measured)
}

/// The magnitude of a unit: a number, or perun's name or symbol for it (`data_model/measurement_type.py`).
fn magnitude(row: &Row<'_>, column: usize) -> Result<Scale> {
    let text = row.text(Some(column))?.unwrap_or("1");
    let factor = match text.trim_start_matches("Magnitude.") {
        "PICO" | "p" => 1e-12,
        "NANO" | "n" => 1e-9,
        "MICRO" | "µ" | "u" => 1e-6,
        "MILLI" | "m" => 1e-3,
        "ONE" => 1.0,
        "KILO" | "k" => 1e3,
        "MEGA" | "M" => 1e6,
        "GIGA" | "G" => 1e9,
        other => other.parse().unwrap_or(f64::NAN),
    };
    Scale::from_factor(factor).ok_or_else(|| {
        let found = format!("`{}`", shortened(text));
        row.error_here(Error::invalid(
            "column `magnitude`",
            found,
            "it must be a factor such as 0.001",
        ))
    })
}
