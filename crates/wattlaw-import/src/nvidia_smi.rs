//! `nvidia-smi --query-gpu=… --format=csv[,noheader][,nounits]`, of any size.
//!
//! Timestamps are local time without a zone: a step back by one hour is the end of daylight saving time and is corrected. `power.draw`
//! is the mean of the last second on Ampere (except the A100) and newer, and the instantaneous power on older GPUs (`nvidia-smi
//! --help-query-gpu`). `nvidia-smi dmon` writes a table of its own.

mod cell;
pub(super) mod dmon;
mod layout;

use memchr::memchr;

use super::data_issue::{DataIssue, Findings};
use super::lines::{Source, text};
use super::measured::{Measured, Part};
use super::number::is_missing_value;
use super::series::{Series, Step};
use super::timestamp::{Timestamp, minute, second};
use super::{Options, Reader, no_data, stem};
use cell::{is_missing_cell, power_cell, quantity, row_of_other_length, trim, unreadable_cell};
use dmon::Dmon;
use layout::Layout;

use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::scope::Scope;
use wattlaw::base::units::{Joules, Watts};
use wattlaw::record::{Component, Instrument};

/// The clock change at the end of daylight saving time.
const HOUR_NS: i64 = 3_600_000_000_000;

/// Reads nvidia-smi's logs.
pub(super) struct NvidiaSmi {
    options: Options,
    measured: Vec<Measured>,
}

impl NvidiaSmi {
    pub(super) const fn new(options: Options) -> Self {
        Self { options, measured: Vec::new() }
    }
}

impl Reader for NvidiaSmi {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        let mut log: Option<Log> = None;
        let mut dmon: Option<Dmon> = None;
        let mut header: Vec<u8> = Vec::new();
        // a killed nvidia-smi leaves an incomplete last line
        let mut short: Option<Error> = None;
        let lines = source.lines(|number, line| {
            if line.trim_ascii().is_empty() {
                return Ok(());
            }
            if let Some(error) = short.take() {
                return Err(error);
            }
            let at = |e: Error| e.at(Location::line(file, number));
            if log.is_none() && dmon.is_none() && dmon::is_title(line) {
                dmon = Some(Dmon::new(self.options.clone()));
            }
            if let Some(dmon) = &mut dmon {
                short = dmon.line(file, number, line, findings)?;
                return Ok(());
            }
            match &mut log {
                None => {
                    let (layout, titled) =
                        Layout::from_first_line(line, &self.options.columns).map_err(at)?;
                    let mut begun = Log::new(layout, self.options.clone());
                    if titled {
                        header = line.to_vec();
                    } else {
                        short = begun.line(file, number, line, findings)?;
                    }
                    log = Some(begun);
                    Ok(())
                }
                // an appended log repeats its header
                Some(log) if !header.is_empty() && line == header.as_slice() => {
                    log.restart(file, number, findings);
                    Ok(())
                }
                Some(log) => {
                    short = log.line(file, number, line, findings)?;
                    Ok(())
                }
            }
        })?;
        if short.is_some() {
            findings.add(
                DataIssue::Skipped,
                file,
                Some(lines),
                "the last line is incomplete and was skipped",
            );
        }
        if let Some(dmon) = dmon {
            self.measured.push(dmon.finish(file, findings)?);
            return Ok(());
        }
        let Some(log) = log else {
            let what =
                if lines == 0 { "the file is empty" } else { "the file has only blank lines" };
            return Err(Error::Data(what.to_owned()).at(Location::file(file)));
        };
        self.measured.push(log.finish(file, findings)?);
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut Findings) -> Result<Vec<Measured>> {
        Ok(self.measured)
    }
}

/// Readings of one device.
struct Device {
    key: Vec<u8>,
    wanted: bool,
    series: Series,
    name: Option<String>,
    limit: Option<f64>,
    missing: u64,
}

/// A log that is being read.
struct Log {
    layout: Layout,
    options: Options,
    devices: Vec<Device>,
    /// Device of the last line; devices alternate in a fixed order.
    at: usize,
    start: Option<i64>,
    clock: Clock,
    samples: u64,
    same: u64,
    /// Number of lines read, which gives the device in a log whose devices are in turn.
    lines: u64,
}

/// The log's clock. The last parsed minute is cached, because most lines share it.
#[derive(Default)]
struct Clock {
    shown: [u8; 16],
    minute: i64,
    last: Option<i64>,
    /// Correction for the end of daylight saving time, ns.
    offset: i64,
}

impl Clock {
    fn read(&mut self, cell: &[u8]) -> Option<i64> {
        let head = cell.get(..16)?;
        if head != self.shown {
            self.minute = minute(head)?;
            self.shown.copy_from_slice(head);
        }
        let seconds = match cell.get(16..)? {
            [] => 0,
            [b':', rest @ ..] => second(rest)?,
            _ => return None,
        };
        Some(self.minute + seconds)
    }
}

impl Log {
    fn new(layout: Layout, options: Options) -> Self {
        Self {
            layout,
            options,
            devices: Vec::new(),
            at: 0,
            start: None,
            clock: Clock::default(),
            samples: 0,
            same: 0,
            lines: 0,
        }
    }

    fn restart(&mut self, file: &str, line: u64, findings: &mut Findings) {
        findings.add(
            DataIssue::Restart,
            file,
            Some(line),
            "repeated header: the log was appended to; the time in between is excluded",
        );
        self.devices.iter_mut().for_each(|d| d.series.pause());
        self.clock.last = None;
        self.lines = 0;
    }

    /// Parses a line. Returns the error of a line that is too short, because it is accepted as an incomplete last line.
    fn line(
        &mut self,
        file: &str,
        number: u64,
        line: &[u8],
        findings: &mut Findings,
    ) -> Result<Option<Error>> {
        let place = |e: Error| e.at(Location::line(file, number));
        let layout = &self.layout;
        let mut cells: [&[u8]; 6] = [b""; 6];
        let (mut index, mut rest) = (0, Some(line));
        while let Some(cell_on) = rest {
            let (cell, after) = match memchr(layout.delimiter, cell_on) {
                Some(end) => (&cell_on[..end], Some(&cell_on[end + 1..])),
                None => (cell_on, None),
            };
            if let Some(Some(slot)) = layout.slots.get(index) {
                cells[*slot as usize] = trim(cell);
            }
            index += 1;
            rest = after;
        }
        if index != layout.slots.len() {
            let error = place(row_of_other_length(line, index, layout.slots.len()));
            return if index < layout.slots.len() { Ok(Some(error)) } else { Err(error) };
        }
        let [time, power, device, name, limit, mig] = cells;
        let turn = self.turn(device, number, file)?;
        let device = turn.as_deref().map_or(device, str::as_bytes);
        if is_missing_cell(time) {
            let text = "timestamp is missing here; the sample was skipped";
            findings.add(DataIssue::MissingValue, file, Some(number), text);
            return Ok(None);
        }
        let raw = self.clock.read(time).ok_or_else(|| {
            place(unreadable_cell(
                "timestamp",
                time,
                "it must be a time such as 2023/07/08 19:28:27.236",
            ))
        })?;
        let now = self.now(raw, file, number, findings);
        let at = self.device(device, name, limit, mig, file, number, findings)?;
        let device = &mut self.devices[at];
        if !device.wanted {
            return Ok(None);
        }
        let Some(watts) = quantity(power).map_err(|e| place(power_cell(power, e)))? else {
            device.missing += 1;
            findings.add(
                DataIssue::MissingValue,
                file,
                Some(number),
                format!("{} is missing here; the sample was skipped", self.layout.power_name),
            );
            return Ok(None);
        };
        self.samples += 1;
        self.start = self.start.or(Some(now));
        match device.series.push(now, watts) {
            Step::Joined => {}
            Step::Same => self.same += 1,
            Step::Gap(seconds) => {
                let summer = (seconds - 3600.0).abs() < 60.0;
                let why = if summer { " (daylight saving time may have started)" } else { "" };
                findings.add(
                    DataIssue::Gap,
                    file,
                    Some(number),
                    format!(
                        "no sample for {seconds:.0} s before this line{why}; this gap is excluded"
                    ),
                );
            }
            Step::Back(seconds) if seconds <= 1.0 => findings.add(
                DataIssue::LocalTime,
                file,
                Some(number),
                "the clock was set back by less than a second; the sample was skipped",
            ),
            Step::Back(seconds) => {
                return Err(place(Error::Data(format!(
                    "the time goes back by {seconds:.0} s; give concatenated logs as separate files"
                ))));
            }
        }
        Ok(None)
    }

    /// The device of a line by its turn, where no column names it.
    ///
    /// # Errors
    /// [`Error::Missing`] if the column has no value, or there is none and the number of devices is not known.
    fn turn(&mut self, device: &[u8], line: u64, file: &str) -> Result<Option<String>> {
        if self.layout.device_column.is_some() && !is_missing_cell(device) {
            return Ok(None);
        }
        let Some(gpus) = self.options.gpus_in_turn else {
            let (what, place) = match &self.layout.device_column {
                Some(column) => {
                    (format!("the value of column `{column}`"), Location::line(file, line))
                }
                None => ("column `index` or `uuid`".to_owned(), Location::file(file)),
            };
            return Err(Error::missing(
                what,
                "nothing says which GPU a line is of; state how many take turns, such as --gpus-in-turn 8, or 1",
            )
            .at(place));
        };
        let turn = self.lines % gpus.max(1);
        self.lines += 1;
        Ok(Some(turn.to_string()))
    }

    /// Time of a sample, corrected for the end of daylight saving time.
    fn now(&mut self, raw: i64, file: &str, number: u64, findings: &mut Findings) -> i64 {
        if let Some(last) = self.clock.last
            && raw < last
        {
            let back = last - raw;
            // the step back is one hour minus the sampling interval, which rarely exceeds five minutes
            let usual = self.devices.iter().map(|d| d.series.interval()).fold(0.0, f64::max);
            let step = (HOUR_NS / 12).max((1.5e9 * usual) as i64);
            if back > HOUR_NS - step && back <= HOUR_NS && step < HOUR_NS {
                self.clock.offset = self.clock.offset.saturating_add(HOUR_NS);
                findings.add(
                    DataIssue::LocalTime,
                    file,
                    Some(number),
                    "the clock goes back by one hour: daylight saving time ended; the timestamps were corrected",
                );
            }
        }
        self.clock.last = Some(raw);
        raw.saturating_add(self.clock.offset)
    }

    /// Index of a line's device; adds a new device.
    #[expect(clippy::too_many_arguments, reason = "the cells of one line")]
    fn device(
        &mut self,
        key: &[u8],
        name: &[u8],
        limit: &[u8],
        mig: &[u8],
        file: &str,
        number: u64,
        findings: &mut Findings,
    ) -> Result<usize> {
        let next = if self.at + 1 < self.devices.len() { self.at + 1 } else { 0 };
        let known = match self.devices.get(next) {
            Some(device) if device.key == key => Some(next),
            _ => self.devices.iter().position(|d| d.key == key),
        };
        if let Some(at) = known {
            self.at = at;
            return Ok(at);
        }
        let place = |e: Error| e.at(Location::line(file, number));
        if self.devices.len() >= 4096 {
            return Err(place(Error::Data(
                "the log has more than 4096 devices; check its columns".into(),
            )));
        }
        let key_text = text(key).map_err(place)?;
        let name = text(name).map_err(place)?;
        if mig == b"Enabled" {
            findings.add(
                DataIssue::Coverage,
                file,
                Some(number),
                "MIG is enabled: the power is that of the whole GPU",
            );
        }
        self.devices.push(Device {
            key: key.to_vec(),
            wanted: self.options.includes(&[key_text]),
            series: Series::default(),
            name: (!is_missing_value(name)).then(|| name.to_owned()),
            limit: quantity(limit).ok().flatten(),
            missing: 0,
        });
        self.at = self.devices.len() - 1;
        Ok(self.at)
    }

    fn finish(self, file: &str, findings: &mut Findings) -> Result<Measured> {
        let layout = &self.layout;
        if !layout.unused.is_empty() {
            findings.add(
                DataIssue::Coverage,
                file,
                None,
                format!(
                    "the energy is integrated from {}; {} was not used",
                    layout.power_name,
                    layout.unused.join(", ")
                ),
            );
        }
        let mixed = self.samples >= 8 && self.same * 3 > self.samples
            || self.devices.iter().any(|d| d.series.comes_in_bursts());
        if let Some(gpus) = self.options.gpus_in_turn.filter(|_| self.lines > 0) {
            if mixed {
                return Err(Error::invalid(
                    "--gpus-in-turn",
                    gpus,
                    "the lines of one GPU come in bursts, so more GPUs take turns",
                )
                .at(Location::file(file)));
            }
            if !self.lines.is_multiple_of(gpus) {
                findings.add(
                    DataIssue::Assumed,
                    file,
                    None,
                    format!("the last turn of {gpus} GPUs is incomplete; check their number"),
                );
            }
        }
        let devices: Vec<&Device> = self.devices.iter().filter(|d| d.wanted).collect();
        if devices.is_empty() && !self.devices.is_empty() {
            let known = self.devices.iter().filter_map(|d| std::str::from_utf8(&d.key).ok());
            let selected = self.options.devices.join(",");
            return Err(Error::unknown("device", &selected, known).at(Location::file(file)));
        }
        let seconds = devices.iter().map(|d| d.series.seconds()).fold(0.0, f64::max);
        if seconds <= 0.0 && devices.iter().any(|d| d.missing > 0) {
            let what = format!(
                "valid {}: the driver does not provide it, as for a vGPU",
                layout.power_name
            );
            return Err(no_data(file, &what));
        }
        if seconds <= 0.0 {
            return Err(no_data(file, "two samples of one GPU"));
        }
        findings.add(
            DataIssue::LocalTime,
            file,
            None,
            "the timestamps are local time of an unknown time zone",
        );
        let module = layout.power_name.starts_with("module");
        let mut measured =
            Measured::new(stem(file), file, format!("nvidia-smi {}", layout.power_name));
        measured.scope = if module { Scope::Devices } else { Scope::Gpu };
        measured.instrument = Some(Instrument::Power);
        measured.start = self.start.map(Timestamp::local);
        measured.gpus = Some(devices.len() as u64);
        measured.gpu = one_of(devices.iter().map(|d| d.name.as_deref()));
        measured.power_limit =
            devices.iter().filter_map(|d| d.limit).reduce(f64::max).map(Watts::new);
        measured.set_energy_and_time(devices.iter().map(|d| d.series.joules()).sum(), seconds);
        measured.parts = devices
            .iter()
            .map(|d| Part {
                name: match std::str::from_utf8(&d.key) {
                    Ok(key) if !key.is_empty() => key.to_owned(),
                    _ => "gpu".to_owned(),
                },
                component: if module { Component::Module } else { Component::Gpu },
                energy: Joules::new(d.series.joules()),
            })
            .collect();
        let interval = devices.iter().map(|d| d.series.interval()).fold(0.0, f64::max);
        if interval > 5.0 {
            findings.add(
                DataIssue::Assumed,
                file,
                None,
                format!("one sample every {interval:.0} s; the power between samples is interpolated linearly"),
            );
        }
        Ok(measured)
    }
}

/// The common value of all, if any.
fn one_of<'a>(mut values: impl Iterator<Item = Option<&'a str>>) -> Option<String> {
    let first = values.next().flatten()?;
    values.all(|v| v == Some(first)).then(|| first.to_owned())
}
