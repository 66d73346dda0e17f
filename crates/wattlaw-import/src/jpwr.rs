//! jpwr's tables: `power.csv` in W, `energy.csv` and `energy_from_counter.csv` in Wh (`jpwr/ctxmgr.py`, `clitool.py`).
//!
//! The tables of one folder and suffix are three views of one run. The counter's energy is preferred, then the integrated power, then
//! jpwr's own sum.

use super::data_issue::{DataIssue, Findings};
use super::lines::Source;
use super::measured::{Measured, Part};
use super::series::{Series, Step};
use super::table::Table;
use super::timestamp::Timestamp;
use super::unit::Scale;
use super::{Reader, no_data};
use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::scope::Scope;
use wattlaw::base::units::Joules;
use wattlaw::record::{Component, Instrument};

/// Reads jpwr's tables.
#[derive(Default)]
pub(super) struct Jpwr {
    runs: Vec<Run>,
}

/// The views of one run: lists of channels and energies in J.
#[derive(Default)]
struct Run {
    key: String,
    file: String,
    start: Option<Timestamp>,
    seconds: f64,
    power: Vec<(String, f64)>,
    sum: Vec<(String, f64)>,
    counter: Vec<(String, f64)>,
}

impl Reader for Jpwr {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        let mut run = Run { key: run_of(file), file: file.to_owned(), ..Run::default() };
        let mut table = Table::open(source)?;
        if table.column("timestamps").is_some() {
            powers(&mut table, file, &mut run, findings)?;
        } else if table.header().len() == 2 && table.column("0").is_some() {
            table.need(1);
            while let Some(row) = table.next()? {
                if let (Some(name), joules) =
                    (row.text(Some(0))?, Scale::WATT_HOURS.si(row.required(1)?))
                {
                    run.sum.push((name.to_owned(), joules));
                }
            }
        } else {
            let titles = table.header().to_vec();
            titles
                .iter()
                .enumerate()
                .filter(|(_, t)| t.contains(':'))
                .for_each(|(at, _)| table.need(at));
            while let Some(row) = table.next()? {
                for (at, title) in titles.iter().enumerate().filter(|(_, t)| t.contains(':')) {
                    let joules = Scale::WATT_HOURS.si(row.required(at)?);
                    run.counter.push((title.clone(), joules));
                }
            }
        }
        table.end(findings);
        if run.power.is_empty() && run.sum.is_empty() && run.counter.is_empty() {
            return Err(no_data(file, "columns such as pynvml:0"));
        }
        match self.runs.iter_mut().find(|known| known.key == run.key) {
            Some(known) => known.join(run),
            None => self.runs.push(run),
        }
        Ok(())
    }

    fn finish(self: Box<Self>, findings: &mut Findings) -> Result<Vec<Measured>> {
        self.runs.into_iter().map(|run| run.measured(findings)).collect()
    }
}

fn powers(table: &mut Table<'_>, file: &str, run: &mut Run, findings: &mut Findings) -> Result<()> {
    let time = table.required(&["timestamps"], "jpwr writes seconds since 1970 there")?;
    let mut channels: Vec<(usize, String, Series)> = table
        .header()
        .iter()
        .enumerate()
        .filter(|(_, title)| title.contains(':'))
        .map(|(at, title)| (at, title.clone(), Series::default()))
        .collect();
    while let Some(row) = table.next()? {
        let seconds = row.required(time)?;
        let at = Timestamp::from_epoch_s(seconds).ok_or_else(|| {
            row.error_here(Error::invalid(
                "column `timestamps`",
                seconds,
                "it must be seconds since 1970",
            ))
        })?;
        run.start = run.start.or(Some(at));
        for (column, _, series) in &mut channels {
            let Some(watts) = row.amount(Some(*column))? else { continue };
            match series.push(at.nanos(), watts) {
                Step::Back(back) => {
                    return Err(
                        row.error_here(Error::Data(format!("the time goes back by {back} s")))
                    );
                }
                Step::Gap(gap) => {
                    let text =
                        format!("no reading for {gap:.0} s before this line; this gap is excluded");
                    findings.add(DataIssue::Gap, file, Some(row.line), text);
                }
                Step::Joined | Step::Same => {}
            }
        }
    }
    run.seconds = channels.iter().map(|(.., s)| s.seconds()).fold(0.0, f64::max);
    if run.seconds <= 0.0 {
        return Err(no_data(file, "two readings"));
    }
    run.power = channels.into_iter().map(|(_, name, series)| (name, series.joules())).collect();
    Ok(())
}

impl Run {
    fn join(&mut self, other: Self) {
        self.start = self.start.or(other.start);
        self.seconds = self.seconds.max(other.seconds);
        self.power.extend(other.power);
        self.sum.extend(other.sum);
        self.counter.extend(other.counter);
    }

    fn measured(self, findings: &mut Findings) -> Result<Measured> {
        let file = self.file.as_str();
        let joules = |view: &[(String, f64)]| {
            view.iter().filter(|(n, _)| is_gpu(n)).map(|(_, j)| j).sum::<f64>()
        };
        let (counted, integrated) = (joules(&self.counter), joules(&self.power));
        if !self.counter.is_empty() && counted <= 0.0 {
            findings.add(
                DataIssue::ZeroCounter,
                file,
                None,
                "the energy counter is 0, so the GPU has none or does not update it; the integrated power is used",
            );
        } else if counted > 0.0 && integrated > 0.0 && (counted - integrated).abs() > 0.1 * counted
        {
            findings.add(
                DataIssue::Mismatch,
                file,
                None,
                format!("counter: {counted:.0} J, integrated power: {integrated:.0} J; the counter is used"),
            );
        }
        let (view, instrument, meter) = if counted > 0.0 {
            (&self.counter, Instrument::Counter, "jpwr counter")
        } else if !self.power.is_empty() {
            (&self.power, Instrument::Power, "jpwr power")
        } else if !self.sum.is_empty() {
            (&self.sum, Instrument::Power, "jpwr energy")
        } else {
            return Err(Error::Data("the counter is 0, and no other table was given".to_owned())
                .at(Location::file(file)));
        };
        let mut measured =
            Measured::new(self.key.rsplit('/').next().unwrap_or_default(), file, meter);
        measured.instrument = Some(instrument);
        measured.start = self.start;
        let gpus = view.iter().filter(|(name, _)| is_gpu(name)).count() as u64;
        let others: Vec<&str> =
            self.power.iter().chain(view).map(|(n, _)| n.as_str()).filter(|n| !is_gpu(n)).collect();
        if !others.is_empty() && gpus > 0 {
            findings.add(
                DataIssue::Coverage,
                file,
                None,
                "channels of modules and CPUs (gh:) overlap with those of GPUs or each other; they are listed separately and not added",
            );
        }
        measured.gpus = (gpus > 0).then_some(gpus);
        measured.scope = if gpus > 0 { Scope::Gpu } else { Scope::Devices };
        // a module's power includes its GPUs and CPUs, so without GPU channels only modules are added
        let added = |name: &str| {
            is_gpu(name) || (gpus == 0 && (name.contains("Module") || !has_module(view)))
        };
        measured.set_energy_and_time(
            view.iter().filter(|(n, _)| added(n)).map(|(_, j)| j).sum(),
            self.seconds,
        );
        measured.parts = view
            .iter()
            .map(|(name, joules)| Part {
                name: name.clone(),
                component: if is_gpu(name) {
                    Component::Gpu
                } else if name.contains("Module") {
                    Component::Module
                } else {
                    Component::Cpu
                },
                energy: Joules::new(*joules),
            })
            .collect();
        if self.seconds <= 0.0 {
            let text = "the table has no times; also give the run's power.csv";
            findings.add(DataIssue::Assumed, file, None, text);
        }
        Ok(measured)
    }
}

fn is_gpu(name: &str) -> bool {
    ["pynvml:", "rocm:", "gc:"].iter().any(|prefix| name.starts_with(prefix))
}

fn has_module(view: &[(String, f64)]) -> bool {
    view.iter().any(|(name, _)| name.contains("Module"))
}

/// The run of a table: folder and suffix, without the name of the view.
fn run_of(file: &str) -> String {
    let (folder, name) = file.rsplit_once(['/', '\\']).unwrap_or(("", file));
    let name = name.strip_suffix(".csv").unwrap_or(name);
    let views = ["energy_from_counter", "energy-from-counter", "energy", "power"];
    let rest =
        views.iter().find_map(|view| name.strip_prefix(view)).unwrap_or(name).trim_matches('.');
    let of_folder = folder.rsplit(['/', '\\']).next().unwrap_or_default();
    match (rest, of_folder) {
        ("", "") => "jpwr".to_owned(),
        ("", _) => folder.to_owned(),
        _ if folder.is_empty() => rest.to_owned(),
        _ => format!("{folder}/{rest}"),
    }
}
