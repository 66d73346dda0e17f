//! Zeus: the log of `ZeusMonitor` (`zeus/monitor/energy.py`), power-limit profiles, the traces of the NSDI'23 paper, and
//! the `Time,Power` samples of its first monitor.

use std::collections::HashMap;

use serde::Deserialize;

use super::data_issue::{DataIssue, Findings};
use super::lines::{Source, unreadable};
use super::measured::{Measured, Part};
use super::series::{Series, Step};
use super::table::Table;
use super::timestamp::Timestamp;
use super::{Options, Reader, no_data, stem};
use wattlaw::base::error::{Error, Result};
use wattlaw::base::scope::Scope;
use wattlaw::base::units::{Joules, Watts};
use wattlaw::record::{Component, Instrument};

/// Update period of the counter, s, from Zeus's documentation.
const UPDATE_S: f64 = 0.1;

/// Relative error of a window's energy, from the counter's update period, above which it is reported.
const MAX_COUNTER_ERROR: f64 = 0.05;

/// Reads what Zeus writes.
pub(super) struct Zeus {
    options: Options,
    measured: Vec<Measured>,
}

impl Zeus {
    pub(super) const fn new(options: Options) -> Self {
        Self { options, measured: Vec::new() }
    }
}

impl Reader for Zeus {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let head = source.input.fill_buf().map_err(|e| unreadable(source.name, &e))?;
        if head.trim_ascii_start().starts_with(b"{") {
            return self.profile(source);
        }
        let file = source.name;
        let mut table = Table::open(source)?;
        let before = self.measured.len();
        if table.column("window_name").is_some() {
            self.windows(&mut table, file, findings)?;
        } else if table.column("Power").is_some() && table.column("Time").is_some() {
            self.samples(&mut table, file, findings)?;
        } else if table.column("average_power").is_some() {
            self.traces(&mut table, file)?;
        } else if table.column("target_epoch").is_some() {
            return Err(Error::Data(
                "the table has only epochs; give the table with time_per_epoch and average_power"
                    .to_owned(),
            )
            .at(wattlaw::base::error::Location::file(file)));
        } else {
            table.required(
                &["window_name"],
                "ZeusMonitor's log has start_time, window_name, elapsed_time, gpu0_energy, …",
            )?;
        }
        table.end(findings);
        if self.measured.len() == before {
            return Err(no_data(file, "data rows"));
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut Findings) -> Result<Vec<Measured>> {
        Ok(self.measured)
    }
}

/// The sum of all windows of one name.
struct Window {
    measured: Measured,
    times: u64,
    seconds: f64,
    joules: Vec<f64>,
}

impl Zeus {
    /// `start_time,window_name,elapsed_time,gpu0_energy,…`; windows of one name are added.
    fn windows(
        &mut self,
        table: &mut Table<'_>,
        file: &str,
        findings: &mut Findings,
    ) -> Result<()> {
        let (name, elapsed) = (
            table.required(&["window_name"], "Zeus names each window")?,
            table.required(&["elapsed_time"], "Zeus writes it in seconds")?,
        );
        let start = table.column("start_time");
        let devices: Vec<(usize, String)> = table
            .header()
            .iter()
            .enumerate()
            .filter_map(|(at, title)| {
                let index = title.strip_prefix("gpu")?.strip_suffix("_energy")?;
                self.options.includes(&[index]).then(|| (at, index.to_owned()))
            })
            .collect();
        if devices.is_empty() {
            table.required(&["gpu0_energy"], "no selected GPU has a column")?;
        }
        devices.iter().for_each(|(at, _)| table.need(*at));
        let (mut windows, mut by_name) = (Vec::<Window>::new(), HashMap::<String, usize>::new());
        let mut spans: Vec<(f64, f64, usize)> = Vec::new();
        while let Some(row) = table.next()? {
            let title = row.text(Some(name))?.unwrap_or("window").to_owned();
            let seconds = row.required(elapsed)?;
            let began = row.amount(start)?;
            let energies =
                devices.iter().map(|(at, _)| row.required(*at)).collect::<Result<Vec<_>>>()?;
            let total: f64 = energies.iter().sum();
            if energies.contains(&0.0) {
                findings.add(
                    DataIssue::ZeroCounter,
                    file,
                    Some(row.line),
                    "the energy of a GPU is 0: the window is shorter than the counter's update period, or the GPU has no counter",
                );
            } else if UPDATE_S > MAX_COUNTER_ERROR * seconds {
                findings.add(
                    DataIssue::ShortWindow,
                    file,
                    Some(row.line),
                    format!(
                        "the window is shorter than {} s; the counter updates about every 0.1 s, so the energy error may exceed 5 %",
                        UPDATE_S / MAX_COUNTER_ERROR
                    ),
                );
            }
            let at = *by_name.entry(title.clone()).or_insert_with(|| {
                // the power-limit optimizer names its windows after the limit in W
                let limit = title
                    .strip_prefix("__GlobalPowerLimitOptimizer_")
                    .and_then(|w| w.parse::<f64>().ok());
                let mut measured = Measured::new(title, file, "zeus");
                measured.power_limit = limit.filter(|w| *w > 0.0 && *w < 1e5).map(Watts::new);
                measured.line = Some(row.line);
                measured.scope = Scope::Gpu;
                measured.gpus = Some(devices.len() as u64);
                // newer versions use seconds since 1970, older ones an unknown epoch
                measured.start = began.filter(|t| *t > 1e9).and_then(Timestamp::from_epoch_s);
                windows.push(Window {
                    measured,
                    times: 0,
                    seconds: 0.0,
                    joules: vec![0.0; devices.len()],
                });
                windows.len() - 1
            });
            let window = &mut windows[at];
            window.times += 1;
            window.seconds += seconds;
            window.joules.iter_mut().zip(&energies).for_each(|(sum, joules)| *sum += joules);
            if !total.is_finite() {
                return Err(row
                    .error_here(Error::Data("the energies do not sum to a finite number".into())));
            }
            if let Some(began) = began {
                spans.push((began, began + seconds, at));
            }
        }
        nested(&mut spans, &mut windows, file, findings);
        for mut window in windows {
            window.measured.set_energy_and_time(window.joules.iter().sum(), window.seconds);
            window.measured.parts = devices
                .iter()
                .zip(&window.joules)
                .map(|((_, index), joules)| Part {
                    name: format!("gpu{index}"),
                    component: Component::Gpu,
                    energy: Joules::new(*joules),
                })
                .collect();
            if window.times > 1 {
                findings.add(
                    DataIssue::CumulativeRows,
                    file,
                    window.measured.line,
                    format!("{} windows named {} were added", window.times, window.measured.run_id),
                );
            }
            self.measured.push(window.measured);
        }
        Ok(())
    }

    /// `{"measurements": [{"power_limit": W, "energy": J, "time": s}]}` (`zeus/optimizer/power_limit.py`).
    fn profile(&mut self, source: &mut Source<'_>) -> Result<()> {
        #[derive(Deserialize)]
        struct Profile {
            measurements: Vec<Row>,
        }
        #[derive(Deserialize)]
        struct Row {
            power_limit: f64,
            energy: f64,
            time: f64,
        }
        let file = source.name;
        let at = wattlaw::base::error::Location::file(file);
        let text = source.whole()?;
        let profile: Profile = serde_json::from_slice(&text)
            .map_err(|e| Error::Syntax { format: "JSON", message: e.to_string() }.at(at.clone()))?;
        if profile.measurements.is_empty() {
            return Err(no_data(file, "measurements"));
        }
        for row in profile.measurements {
            for (field, value) in
                [("power_limit", row.power_limit), ("energy", row.energy), ("time", row.time)]
            {
                if !(value > 0.0 && value <= super::number::MAX_VALUE) {
                    return Err(
                        Error::invalid(field, value, "it must be a positive number").at(at.clone())
                    );
                }
            }
            let mut measured = Measured::new(format!("{}W", row.power_limit), file, "zeus");
            measured.scope = Scope::Gpu;
            measured.power_limit = Some(Watts::new(row.power_limit));
            measured.set_energy_and_time(row.energy, row.time);
            self.measured.push(measured);
        }
        Ok(())
    }

    /// `dataset,network,batch_size,optimizer,power_limit,time_per_epoch,average_power`: one row per configuration.
    fn traces(&mut self, table: &mut Table<'_>, file: &str) -> Result<()> {
        let (time, power) = (
            table.required(&["time_per_epoch"], "the traces have it in seconds")?,
            table.required(&["average_power"], "the traces have it in watts")?,
        );
        let limit = table.column("power_limit");
        let labels: Vec<Option<usize>> =
            ["dataset", "network", "batch_size", "optimizer", "power_limit"]
                .map(|n| table.column(n))
                .into();
        while let Some(row) = table.next()? {
            let words = labels.iter().map(|at| row.text(*at)).collect::<Result<Vec<_>>>()?;
            let name: Vec<&str> = words.into_iter().flatten().collect();
            let (seconds, watts) = (row.required(time)?, row.required(power)?);
            let mut measured = Measured::new(name.join("/"), file, "zeus power");
            measured.line = Some(row.line);
            measured.scope = Scope::Gpu;
            measured.gpus = Some(1);
            measured.instrument = Some(Instrument::Power);
            measured.power_limit = row.amount(limit)?.map(Watts::new);
            measured.set_energy_and_time(watts * seconds, seconds);
            self.measured.push(measured);
        }
        Ok(())
    }

    /// `Time,Power`: milliwatts of one GPU.
    fn samples(
        &mut self,
        table: &mut Table<'_>,
        file: &str,
        findings: &mut Findings,
    ) -> Result<()> {
        let (time, power) = (table.required(&["Time"], "")?, table.required(&["Power"], "")?);
        let mut series = Series::default();
        let mut start = None;
        while let Some(row) = table.next()? {
            let text = row.text(Some(time))?.unwrap_or_default();
            let at = Timestamp::parse(text).ok_or_else(|| {
                row.error_here(Error::invalid(
                    "column `Time`",
                    format!("`{text}`"),
                    "it must be a time",
                ))
            })?;
            start = start.or(Some(at));
            let milliwatts = row.required(power)?;
            match series.push(at.nanos(), milliwatts / 1e3) {
                Step::Back(seconds) => {
                    return Err(
                        row.error_here(Error::Data(format!("the time goes back by {seconds} s")))
                    );
                }
                Step::Gap(seconds) => findings.add(
                    DataIssue::Gap,
                    file,
                    Some(row.line),
                    format!("no reading for {seconds:.0} s before this line; this gap is excluded"),
                ),
                Step::Joined | Step::Same => {}
            }
        }
        if series.seconds() <= 0.0 {
            return Err(no_data(file, "two samples"));
        }
        let mut measured = Measured::new(stem(file), file, "zeus power");
        measured.scope = Scope::Gpu;
        measured.instrument = Some(Instrument::Power);
        measured.gpus = Some(1);
        measured.start = start;
        measured.set_energy_and_time(series.joules(), series.seconds());
        self.measured.push(measured);
        Ok(())
    }
}

/// Marks windows that are contained in other windows, whose energy includes theirs.
fn nested(
    spans: &mut [(f64, f64, usize)],
    windows: &mut [Window],
    file: &str,
    findings: &mut Findings,
) {
    spans.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut outer: Option<(f64, usize)> = None;
    for (_, end, at) in spans.iter() {
        let Some((_, of)) = outer.filter(|(until, _)| end <= until) else {
            outer = Some((*end, *at));
            continue;
        };
        let name = windows.get(of).map(|w| w.measured.run_id.clone());
        let (Some(window), Some(name)) = (windows.get_mut(*at), name) else { continue };
        // overlapping windows of the same name are from several processes
        if *at != of {
            findings.add(
                DataIssue::DoubleCounted,
                file,
                None,
                format!(
                    "windows {} are inside windows {name}, whose energy includes theirs",
                    window.measured.run_id
                ),
            );
            window.measured.inside = Some(name);
        }
    }
}
