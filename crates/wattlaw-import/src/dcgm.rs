//! Scrapes of the DCGM exporter in Prometheus text format, in one file or in several files.
//!
//! Both generations of metric names are supported, with labels `Hostname` and `hostname`. The energy counter is in mJ since the driver
//! was loaded, so at least two scrapes are needed (`etc/default-counters.csv` of NVIDIA/dcgm-exporter).

use std::collections::HashMap;

use super::data_issue::{DataIssue, Findings};
use super::lines::{Source, text};
use super::measured::{Measured, Part};
use super::number::{MAX_VALUE, number, shortened};
use super::series::{Counter, Series, Step};
use super::timestamp::Timestamp;
use super::{Options, Reader, no_data, stem};
use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::scope::Scope;
use wattlaw::base::units::{Joules, Watts};
use wattlaw::record::{Component, Instrument};

/// Metric names of all generations.
const ENERGY: [&str; 3] = [
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION_MILLIJOULES",
    "dcgm_total_energy_consumption",
];
const POWER: [&str; 3] =
    ["DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_BOARD_POWER_WATTS", "dcgm_power_usage"];
const LIMIT: [&str; 5] = [
    "DCGM_FI_DEV_ENFORCED_POWER_LIMIT",
    "DCGM_FI_DEV_POWER_MGMT_LIMIT",
    "DCGM_FI_DEV_BOARD_POWER_LIMIT_ENFORCED_WATTS",
    "DCGM_FI_DEV_BOARD_POWER_LIMIT_WATTS",
    "dcgm_power_management_limit",
];

/// DCGM's sentinel values: each type's blank value; not found, not supported and not permitted follow it
/// (`dcgm_structs.h`: `DCGM_INT64_BLANK`, `DCGM_INT32_BLANK`, `DCGM_FP64_BLANK`).
const BLANKS: [f64; 3] = [9_223_372_036_854_775_792.0, 2_147_483_632.0, 140_737_488_355_328.0];

/// Reads scrapes.
pub(super) struct Dcgm {
    options: Options,
    devices: Vec<Device>,
    by_key: HashMap<String, usize>,
    /// Index of the scrape, and the series already seen in it.
    scrape: u64,
    seen: HashMap<String, ()>,
    stamped: bool,
    file: String,
    first: Option<i64>,
    last: Option<i64>,
}

struct Device {
    key: String,
    model: Option<String>,
    counter: Counter,
    counted: u64,
    power: Series,
    limit: Option<f64>,
}

impl Dcgm {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            devices: Vec::new(),
            by_key: HashMap::new(),
            scrape: 0,
            seen: HashMap::new(),
            stamped: false,
            file: String::new(),
            first: None,
            last: None,
        }
    }
}

impl Reader for Dcgm {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        if self.file.is_empty() {
            file.clone_into(&mut self.file);
        } else {
            self.next_scrape();
        }
        let mut any = false;
        source.lines(|number, line| {
            let ours = line.starts_with(b"DCGM_") || line.starts_with(b"dcgm_");
            any |= ours;
            if !ours {
                return Ok(());
            }
            let place = |e: Error| e.at(Location::line(file, number));
            let line = text(line).map_err(place)?;
            self.sample(file, number, line, findings).map_err(place)
        })?;
        if any { Ok(()) } else { Err(no_data(file, "metrics of DCGM")) }
    }

    fn finish(self: Box<Self>, findings: &mut Findings) -> Result<Vec<Measured>> {
        self.measured(findings).map(|m| vec![m])
    }
}

impl Dcgm {
    fn next_scrape(&mut self) {
        self.scrape += 1;
        self.seen.clear();
    }

    fn sample(&mut self, file: &str, line: u64, text: &str, findings: &mut Findings) -> Result<()> {
        let (name, labels, rest) = parts(text)?;
        let kind =
            [&ENERGY[..], &POWER[..], &LIMIT[..]].iter().position(|names| names.contains(&name));
        let mut words = rest.split_whitespace();
        let value = words.next().ok_or_else(|| {
            Error::missing("the value", "a metric is a name, labels in braces and a value")
        })?;
        let stamp = words.next();
        let series = format!("{name}{{{labels}}}");
        // a repeated series starts the next scrape
        if self.seen.insert(series, ()).is_some() {
            self.next_scrape();
            self.seen.insert(format!("{name}{{{labels}}}"), ());
        }
        let Some(kind) = kind else { return Ok(()) };
        let label = |names: &[&str]| names.iter().find_map(|n| label(labels, n));
        if label(&["GPU_I_ID"]).is_some_and(|id| !id.is_empty()) {
            findings.add(
                DataIssue::Coverage,
                file,
                Some(line),
                "a MIG instance has no power of its own; the whole GPU is counted once",
            );
        }
        let (uuid, index) =
            (label(&["UUID", "uuid"]).unwrap_or_default(), label(&["gpu"]).unwrap_or_default());
        let device = label(&["device"]).unwrap_or_default();
        if !self.options.includes(&[&uuid, &index, &device]) {
            return Ok(());
        }
        // Prometheus writes a missing value as NaN; treat it as DCGM's sentinel
        let x = if value == "NaN" { BLANKS[0] } else { number(value, name)? };
        if BLANKS.iter().any(|blank| (0.0..64.0).contains(&(x - blank))) || x < 0.0 {
            findings.add(
                DataIssue::MissingValue,
                file,
                Some(line),
                format!("{name} is {value}, DCGM's sentinel for a missing value; it was skipped"),
            );
            return Ok(());
        }
        if x > MAX_VALUE {
            return Err(Error::invalid(name, x, "it must be a number from 0 to 1e18"));
        }
        let host = label(&["hostname", "Hostname"]).unwrap_or_default();
        let key = if uuid.is_empty() { format!("{host}/{index}") } else { uuid };
        let at = self.at(stamp)?;
        let number_of = *self.by_key.entry(key.clone()).or_insert_with(|| {
            self.devices.push(Device {
                key,
                model: label(&["modelName", "model_name"]),
                counter: Counter::default(),
                counted: 0,
                power: Series::default(),
                limit: None,
            });
            self.devices.len() - 1
        });
        let Some(device) = self.devices.get_mut(number_of) else { return Ok(()) };
        match kind {
            0 => {
                device.counted += 1;
                if device.counter.push(x / 1e3) {
                    findings.add(
                        DataIssue::Restart,
                        file,
                        Some(line),
                        "an energy counter was reset (the driver was reloaded); the step across the reset is excluded",
                    );
                }
            }
            1 if x > 1e5 => {
                return Err(Error::invalid(
                    name,
                    x,
                    "it must be a number of watts from 0 to 100000",
                ));
            }
            1 => {
                if let Some(at) = at {
                    match device.power.push(at, x) {
                        Step::Back(seconds) => {
                            return Err(Error::Data(format!("the time goes back by {seconds} s")));
                        }
                        Step::Gap(seconds) => findings.add(
                            DataIssue::Gap,
                            file,
                            Some(line),
                            format!("no scrape for {seconds:.0} s before this one"),
                        ),
                        Step::Joined | Step::Same => {}
                    }
                }
            }
            _ => device.limit = Some(x),
        }
        Ok(())
    }

    /// Time of a sample, ns: its timestamp, else the scrape's index times the given interval.
    fn at(&mut self, stamp: Option<&str>) -> Result<Option<i64>> {
        let nanos = match stamp {
            Some(word) => {
                let ms = number(word, "the time stamp")?;
                let at = Timestamp::from_epoch_ms(ms).ok_or_else(|| {
                    Error::invalid(
                        "the time stamp",
                        shortened(word),
                        "it must be milliseconds since 1970",
                    )
                })?;
                self.stamped = true;
                Some(at.nanos())
            }
            None => self.options.interval_s.map(|s| (self.scrape as f64 * s * 1e9) as i64),
        };
        if nanos.is_some() {
            self.first = self.first.or(nanos);
            self.last = self.last.max(nanos);
        }
        Ok(nanos)
    }

    fn measured(self, findings: &mut Findings) -> Result<Measured> {
        let file = &self.file;
        let counted = self.devices.iter().any(|d| d.counted > 1);
        if !counted && self.devices.iter().any(|d| d.counted > 0) && self.scrape == 0 {
            return Err(Error::Data(
                "the file has one scrape, but a counter needs two; also give a later scrape"
                    .to_owned(),
            )
            .at(Location::file(file)));
        }
        let seconds = match (self.first, self.last) {
            (Some(first), Some(last)) if last > first => Some((last - first) as f64 / 1e9),
            _ => None,
        };
        let mut measured =
            Measured::new(stem(file), file, if counted { "dcgm counter" } else { "dcgm power" });
        measured.scope = Scope::Gpu;
        measured.instrument = Some(if counted { Instrument::Counter } else { Instrument::Power });
        for device in &self.devices {
            let joules = if counted { device.counter.total() } else { device.power.joules() };
            if counted && device.counted > 1 && joules <= 0.0 {
                findings.add(
                    DataIssue::ZeroCounter,
                    file,
                    None,
                    format!(
                        "the energy counter of {} does not change; the GPU may have none",
                        device.key
                    ),
                );
            }
            measured.parts.push(Part {
                name: device.key.clone(),
                component: Component::Gpu,
                energy: Joules::new(joules),
            });
        }
        let total: f64 = measured.parts.iter().map(|p| p.energy.value()).sum();
        if measured.parts.is_empty() || (!counted && total <= 0.0) {
            let what =
                "energy counters, nor power with times; give the scrape interval with --interval";
            return Err(no_data(file, what));
        }
        match seconds {
            Some(seconds) => measured.set_energy_and_time(total, seconds),
            None => {
                measured.energy = Some(Joules::new(total));
                findings.add(
                    DataIssue::Assumed,
                    file,
                    None,
                    "the scrapes have no timestamps; give the scrape interval, such as --interval 15s",
                );
            }
        }
        if counted {
            cross_check(&self.devices, file, findings);
        }
        measured.start = self
            .first
            .filter(|_| self.stamped)
            .and_then(|t| Timestamp::from_epoch_s(t as f64 / 1e9));
        measured.gpus = Some(self.devices.len() as u64);
        measured.gpu = self
            .devices
            .iter()
            .map(|d| d.model.clone())
            .reduce(|a, b| if a == b { a } else { None })
            .flatten();
        measured.power_limit =
            self.devices.iter().filter_map(|d| d.limit).reduce(f64::max).map(Watts::new);
        Ok(measured)
    }
}

/// Counter and integrated power should agree; maintainers of Zeus see differences of 1 %, users more (ml-energy/zeus#12, #181).
fn cross_check(devices: &[Device], file: &str, findings: &mut Findings) {
    for device in devices {
        let (counted, integrated) = (device.counter.total(), device.power.joules());
        if counted > 0.0 && integrated > 0.0 && (counted - integrated).abs() > 0.1 * counted {
            findings.add(
                DataIssue::Mismatch,
                file,
                None,
                format!(
                    "{}: counter: {counted:.0} J, integrated power: {integrated:.0} J; the counter is used",
                    device.key
                ),
            );
        }
    }
}

/// Splits a line into name, labels without braces, and the rest.
fn parts(line: &str) -> Result<(&str, &str, &str)> {
    let wrong = || {
        Error::invalid(
            "the line",
            format!("`{}`", shortened(line)),
            "it must be a metric of the form NAME{labels} VALUE",
        )
    };
    match line.find('{') {
        Some(open) => {
            let close = line.rfind('}').filter(|close| *close > open).ok_or_else(wrong)?;
            Ok((&line[..open], &line[open + 1..close], &line[close + 1..]))
        }
        None => line.split_once(' ').map(|(name, rest)| (name, "", rest)).ok_or_else(wrong),
    }
}

/// The value of a label.
fn label(labels: &str, name: &str) -> Option<String> {
    let mut rest = labels;
    loop {
        let (key, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut escaped = false;
        let mut end = after.len();
        for (at, c) in after.char_indices() {
            match c {
                '\\' if !escaped => escaped = true,
                '"' if !escaped => {
                    end = at;
                    break;
                }
                _ => {
                    value.push(c);
                    escaped = false;
                }
            }
        }
        if key.trim_start_matches([',', ' ']) == name {
            return Some(value);
        }
        rest = after.get(end + 1..)?;
    }
}
