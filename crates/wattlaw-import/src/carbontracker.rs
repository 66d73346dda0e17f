//! carbontracker's logs: `…_carbontracker.log` with epochs, and `…_carbontracker_output.log` with totals.
//!
//! Since version 2 the power of several GPUs is averaged instead of summed (`components/component.py` takes the mean over all devices'
//! readings). A list of powers has one value per device; a single number with several devices is their mean. Only the totals include
//! a PUE, which the other log states.

use super::data_issue::{DataIssue, Findings};
use super::lines::{Source, text};
use super::measured::{Measured, Part};
use super::number::{number, shortened};
use super::timestamp::Timestamp;
use super::{Reader, no_data};
use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::scope::Scope;
use wattlaw::base::units::Joules;
use wattlaw::record::{Component, Instrument};

/// Reads carbontracker's logs; the two logs of a run are merged.
#[derive(Default)]
pub(super) struct Carbontracker {
    logs: Vec<Log>,
    /// The first log of errors.
    error_log: Option<String>,
}

/// Contents of one or both logs of a run.
#[derive(Default)]
struct Log {
    run_id: String,
    file: String,
    start: Option<Timestamp>,
    version: Option<String>,
    pue: Option<f64>,
    /// Components with their devices.
    devices: Vec<(String, Vec<String>)>,
    epochs: Vec<Epoch>,
    /// The total: seconds and kWh, with the line.
    total: Option<(f64, f64, u64)>,
}

#[derive(Default)]
struct Epoch {
    seconds: f64,
    /// Component, power in W (`None` without a reading) and line.
    powers: Vec<(String, Option<Vec<f64>>, u64)>,
}

impl Reader for Carbontracker {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        if is_error_log(file) {
            findings.add(
                DataIssue::Skipped,
                file,
                None,
                "carbontracker's log of errors has no measurements and was skipped",
            );
            self.error_log.get_or_insert_with(|| file.to_owned());
            return Ok(());
        }
        let mut log = Log { run_id: run_of(file), file: file.to_owned(), ..Log::default() };
        let mut state = State::default();
        source.lines(|number, line| {
            let place = |e: Error| e.at(Location::line(file, number));
            let line = text(line).map_err(place)?;
            log.line(number, line, &mut state, findings).map_err(place)
        })?;
        if log.epochs.is_empty() && log.total.is_none() {
            return Err(no_data(file, "epochs or actual consumption"));
        }
        match self.logs.iter_mut().find(|known| known.run_id == log.run_id) {
            Some(known) => known.join(log),
            None => self.logs.push(log),
        }
        Ok(())
    }

    fn finish(self: Box<Self>, findings: &mut Findings) -> Result<Vec<Measured>> {
        if let (true, Some(file)) = (self.logs.is_empty(), &self.error_log) {
            return Err(no_data(file, "measurements; give the run's …_carbontracker.log"));
        }
        self.logs.into_iter().map(|log| log.measured(findings)).collect()
    }
}

/// Parser state between lines.
#[derive(Default)]
struct State {
    /// Whether the block of actual consumption is open, and its time.
    actual: bool,
    seconds: Option<f64>,
    /// A list of powers that continues in the next line.
    open: Option<(String, String, u64)>,
}

impl Log {
    fn line(
        &mut self,
        line_number: u64,
        line: &str,
        state: &mut State,
        findings: &mut Findings,
    ) -> Result<()> {
        if let Some((component, mut list, at)) = state.open.take() {
            list.push(' ');
            list.push_str(line.trim());
            return self.power(component, list, at, state);
        }
        if self.start.is_none() {
            self.start = Timestamp::parse(line.get(..19).unwrap_or_default());
        }
        if let Some((_, rest)) = line.split_once("carbontracker version ") {
            self.version = Some(rest.trim().to_owned());
        } else if let Some((_, rest)) = line.split_once("multiplied by a PUE coefficient of ") {
            let word = rest.split_whitespace().next().unwrap_or_default();
            let pue = number(word, "the PUE coefficient")?;
            if !(1.0..=10.0).contains(&pue) {
                return Err(Error::invalid("the PUE coefficient", pue, "it must be from 1 to 10"));
            }
            self.pue = Some(pue);
        } else if let Some((_, rest)) = line.split_once("components were found: ") {
            self.devices = components(rest);
        } else if line.contains("Epoch ") && line.trim_end().ends_with(':') {
            self.epochs.push(Epoch::default());
        } else if let Some((_, rest)) = line.split_once("Average power usage (W) for ") {
            let (component, list) = rest.split_once(':').ok_or_else(|| {
                Error::Data(
                    "the power has no component; carbontracker writes `… for gpu: [..]`".to_owned(),
                )
            })?;
            return self.power(
                component.trim().to_owned(),
                list.trim().to_owned(),
                line_number,
                state,
            );
        } else if let Some((_, rest)) = line.split_once("Duration: ") {
            let seconds = seconds(rest)?;
            if let Some(epoch) = self.epochs.last_mut() {
                epoch.seconds = seconds;
            }
        } else if line.contains("Training was interrupted") {
            findings.add(
                DataIssue::Skipped,
                &self.file,
                Some(line_number),
                "training was interrupted; the unfinished epoch is not included",
            );
        } else if line.contains("Actual consumption") {
            (state.actual, state.seconds) = (true, None);
        } else if line.contains("Predicted consumption") {
            state.actual = false;
        } else if state.actual
            && let Some((_, rest)) = line.split_once("Time:")
        {
            state.seconds = Some(seconds(rest)?);
        } else if state.actual
            && let Some((_, rest)) = line.split_once("Energy:")
        {
            let word = rest.trim().strip_suffix("kWh").unwrap_or(rest).trim();
            let kwh = number(word, "Energy")?;
            if !(0.0..=1e12).contains(&kwh) {
                return Err(Error::invalid("Energy", kwh, "it must be a number of kWh from 0"));
            }
            // a running total, written again after each monitored epoch
            self.total = state.seconds.map(|s| (s, kwh, line_number));
            state.actual = false;
        }
        Ok(())
    }

    fn power(&mut self, component: String, list: String, at: u64, state: &mut State) -> Result<()> {
        if list.starts_with('[') && !list.contains(']') {
            if list.len() > 1 << 16 {
                return Err(Error::Data("the list of powers is not closed".to_owned()));
            }
            state.open = Some((component, list, at));
            return Ok(());
        }
        let words: Vec<&str> =
            list.trim_matches(['[', ']']).split([' ', ',']).filter(|w| !w.is_empty()).collect();
        let watts = if words.is_empty() || words.iter().any(|w| matches!(*w, "None" | "nan")) {
            None
        } else {
            let read = |w: &&str| {
                let watts = number(w, "the average power")?;
                if (0.0..=1e6).contains(&watts) {
                    Ok(watts)
                } else {
                    Err(Error::invalid(
                        "the average power",
                        watts,
                        "it must be a number of watts from 0",
                    ))
                }
            };
            Some((words.iter().map(read).collect::<Result<Vec<_>>>()?, list.starts_with('[')))
        };
        if self.epochs.is_empty() {
            self.epochs.push(Epoch::default());
        }
        let devices =
            self.devices.iter().find(|(name, _)| *name == component).map_or(1, |(_, d)| d.len());
        if let Some(epoch) = self.epochs.last_mut() {
            // a single number is the mean over devices
            let watts = watts.map(|(watts, list)| {
                if list || devices < 2 { watts } else { vec![watts.iter().sum(); devices] }
            });
            epoch.powers.push((component, watts, at));
        }
        Ok(())
    }

    /// Merges the run's other log.
    fn join(&mut self, other: Self) {
        if self.epochs.is_empty() {
            self.file = other.file;
            self.epochs = other.epochs;
        }
        if self.devices.is_empty() {
            self.devices = other.devices;
        }
        self.start = self.start.or(other.start);
        self.version = self.version.take().or(other.version);
        self.pue = self.pue.or(other.pue);
        self.total = self.total.or(other.total);
    }

    fn measured(self, findings: &mut Findings) -> Result<Measured> {
        let file = self.file.as_str();
        let meter = self
            .version
            .as_ref()
            .map_or_else(|| "carbontracker".into(), |v| format!("carbontracker {v}"));
        let mut measured = Measured::new(&self.run_id, file, meter);
        measured.start = self.start;
        measured.instrument = Some(Instrument::Power);
        let gpus = self.devices.iter().find(|(name, _)| name == "gpu").map(|(_, d)| d.as_slice());
        measured.gpus = gpus.map(|d| d.len() as u64);
        measured.gpu =
            gpus.and_then(|d| d.first().filter(|first| d.iter().all(|g| g == *first)).cloned());
        let powered = self.epochs.iter().any(|e| e.powers.iter().any(|(_, w, _)| w.is_some()));
        if powered {
            self.by_epochs(&mut measured, findings);
        } else if let Some((seconds, kwh, line)) = self.total {
            self.by_total(&mut measured, (seconds, kwh, line), findings);
        } else {
            return Err(no_data(
                file,
                "average power of an epoch; the epochs were too short or no component was found",
            ));
        }
        let only_gpus =
            self.devices.iter().all(|(name, _)| name == "gpu") && !self.devices.is_empty();
        measured.scope = match (only_gpus, self.devices.is_empty()) {
            (true, _) => Scope::Gpu,
            (false, false) => Scope::Devices,
            (false, true) => Scope::Unstated,
        };
        Ok(measured)
    }

    fn by_epochs(&self, measured: &mut Measured, findings: &mut Findings) {
        let file = self.file.as_str();
        let mut seconds = 0.0;
        for epoch in &self.epochs {
            if epoch.powers.iter().all(|(_, watts, _)| watts.is_none()) {
                findings.add(
                    DataIssue::Skipped,
                    file,
                    epoch.powers.first().map(|(.., line)| *line),
                    "an epoch was too short for a power reading; its time and energy are excluded",
                );
                continue;
            }
            seconds += epoch.seconds;
            for (component, watts, line) in &epoch.powers {
                let Some(watts) = watts else { continue };
                let devices = self
                    .devices
                    .iter()
                    .find(|(name, _)| name == component)
                    .map_or(1, |(_, d)| d.len());
                let mean = devices > 1
                    && watts.len() == devices
                    && watts.iter().all(|w| Some(w) == watts.first());
                if mean && self.averages() {
                    findings.add(
                        DataIssue::AveragedOverGpus,
                        file,
                        Some(*line),
                        format!(
                            "carbontracker averages over the {devices} devices of {component}; the power was multiplied by the \
                             number of devices"
                        ),
                    );
                }
                let energy = Joules::new(watts.iter().sum::<f64>() * epoch.seconds);
                match measured.parts.iter_mut().find(|p| p.name == *component) {
                    Some(part) => part.energy += energy,
                    None => measured.parts.push(Part {
                        name: component.clone(),
                        component: if component == "gpu" { Component::Gpu } else { Component::Cpu },
                        energy,
                    }),
                }
            }
        }
        let total: f64 = measured.parts.iter().map(|p| p.energy.value()).sum();
        measured.set_energy_and_time(total, seconds);
    }

    /// Whether this version averages over devices.
    fn averages(&self) -> bool {
        self.version
            .as_deref()
            .and_then(|v| v.split('.').next()?.parse::<u64>().ok())
            .is_none_or(|major| major >= 2)
    }

    fn by_total(
        &self,
        measured: &mut Measured,
        (seconds, kwh, line): (f64, f64, u64),
        findings: &mut Findings,
    ) {
        measured.line = Some(line);
        let joules = Joules::from_kwh(kwh);
        match self.pue {
            Some(pue) => {
                findings.add(
                    DataIssue::PueIncluded,
                    &self.file,
                    Some(line),
                    format!("the energy includes a PUE of {pue}; it was divided by the PUE"),
                );
                measured.pue = Some(pue);
                measured.set_energy_and_time((joules / pue).value(), seconds);
            }
            None => {
                findings.add(
                    DataIssue::PueIncluded,
                    &self.file,
                    Some(line),
                    "the energy includes a PUE that this log does not state (1.5 to 1.7 by version); also give the run's \
                     …_carbontracker.log",
                );
                measured.set_energy_and_time(joules.value(), seconds);
            }
        }
        let several = measured.gpus.is_some_and(|n| n > 1);
        if several && self.averages() {
            findings.add(
                DataIssue::AveragedOverGpus,
                &self.file,
                Some(line),
                "since version 2 the energy of several GPUs is divided by their number; also give the run's …_carbontracker.log",
            );
        }
    }
}

/// Whether a file is the log of errors that carbontracker writes beside the others (`loggerutil.py`).
fn is_error_log(file: &str) -> bool {
    file.ends_with("_err.log")
}

/// The run of a log: the file name without the suffixes of the two logs.
fn run_of(file: &str) -> String {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let cut = ["_carbontracker_output.log", "_carbontracker.log", ".log"];
    cut.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
}

/// `GPU with device(s) A, B. CPU with device(s) cpu:0.`
fn components(text: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once(" with device(s) ") {
        let end = after.find(". ").or_else(|| after.rfind('.')).unwrap_or(after.len());
        let devices = after[..end].split(", ").map(|d| d.trim().to_owned()).collect();
        found.push((name.trim().to_lowercase(), devices));
        rest = after.get(end + 1..).unwrap_or_default();
    }
    found
}

/// `H:MM:SS` or `H:MM:SS.ss`.
fn seconds(text: &str) -> Result<f64> {
    let word = text.split_whitespace().next().unwrap_or_default();
    let invalid = || {
        Error::invalid(
            "the time",
            format!("`{}`", shortened(word)),
            "it must be a time such as 0:02:21.90",
        )
    };
    let mut parts = word.split(':').map(str::parse::<f64>);
    let (Some(Ok(h)), Some(Ok(m)), Some(Ok(s)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(invalid());
    };
    let total = h * 3600.0 + m * 60.0 + s;
    if (0.0..=1e12).contains(&total) && h >= 0.0 && m >= 0.0 && s >= 0.0 {
        Ok(total)
    } else {
        Err(invalid())
    }
}
