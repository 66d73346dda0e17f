//! CodeCarbon's `emissions.csv`, every schema since 1.2.
//!
//! Rows of a run are running totals, so its last row is used. Energies include the PUE (`emissions_tracker.py`,
//! `_do_measurements`) and are divided by it. `gpu_power` covers only the last interval and is not used.
//!
//! `start_task` of version 3 sets the tracker's clock to zero and keeps its energy: `duration` is then the time since the last task
//! began. The time of such a run is that of its timestamps or of its tasks. Rows of tasks are parts of the run's row.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::data_issue::{DataIssue, Findings};
use super::lines::Source;
use super::measured::{Measured, Part};
use super::table::{Row, Table};
use super::timestamp::Timestamp;
use super::{Reader, no_data};
use wattlaw::base::error::Result;
use wattlaw::base::scope::Scope;
use wattlaw::base::units::Joules;
use wattlaw::record::Component;

/// Share of memory energy above which the result depends mainly on CodeCarbon's memory model.
const LARGE_RAM_SHARE: f64 = 0.25;

/// Reads `emissions.csv`.
#[derive(Default)]
pub(super) struct Codecarbon {
    runs: Vec<Run>,
    by_key: HashMap<String, usize>,
}

/// The last row of a run, and the totals before a restart.
struct Run {
    measured: Measured,
    /// `run_id`, and whether the row is that of a task.
    id: String,
    task: bool,
    /// Time of the last row.
    end: Option<Timestamp>,
    /// Sum of `cpu_power`, `gpu_power` and `ram_power`, W.
    stated_w: Option<f64>,
    /// Whether the duration is known to be that of the last task only.
    of_last_task: bool,
    project: String,
    rows: u64,
    row: Totals,
    /// Totals before the last restart.
    before: Totals,
}

/// The running totals of a row, in s and kWh.
#[derive(Clone, Copy, Default)]
struct Totals {
    seconds: f64,
    all: f64,
    gpu: Option<f64>,
    cpu: Option<f64>,
    ram: Option<f64>,
}

impl Totals {
    fn plus(self, other: Self) -> Self {
        let both = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (one, other) => one.or(other),
        };
        Self {
            seconds: self.seconds + other.seconds,
            all: self.all + other.all,
            gpu: both(self.gpu, other.gpu),
            cpu: both(self.cpu, other.cpu),
            ram: both(self.ram, other.ram),
        }
    }

    fn fell_below(self, before: Self) -> bool {
        self.all < before.all
    }
}

/// Positions of the used columns.
struct Columns {
    duration: usize,
    energy: usize,
    timestamp: Option<usize>,
    project: Option<usize>,
    task: Option<usize>,
    run_id: Option<usize>,
    gpu: Option<usize>,
    cpu: Option<usize>,
    ram: Option<usize>,
    gpu_count: Option<usize>,
    gpu_model: Option<usize>,
    mode: Option<usize>,
    pue: Option<usize>,
    version: Option<usize>,
    powers: [Option<usize>; 3],
}

impl Columns {
    fn from_table(table: &mut Table<'_>) -> Result<Self> {
        let duration = table.required(&["duration"], "CodeCarbon writes it in seconds")?;
        let energy = table.required(&["energy_consumed"], "CodeCarbon writes it in kWh")?;
        let at = |name: &str| table.column(name);
        Ok(Self {
            duration,
            energy,
            timestamp: at("timestamp"),
            project: at("project_name"),
            task: at("task_name"),
            // version 1.2 has an experiment_id per run instead of run_id
            run_id: at("run_id").or_else(|| at("experiment_id")),
            gpu: at("gpu_energy"),
            cpu: at("cpu_energy"),
            ram: at("ram_energy"),
            gpu_count: at("gpu_count"),
            gpu_model: at("gpu_model"),
            mode: at("tracking_mode"),
            pue: at("pue"),
            version: at("codecarbon_version"),
            powers: ["cpu_power", "gpu_power", "ram_power"].map(at),
        })
    }
}

impl Reader for Codecarbon {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        let mut table = Table::open(source)?;
        let columns = Columns::from_table(&mut table)?;
        let mut rows = 0_u64;
        while let Some(row) = table.next()? {
            self.row(file, &columns, &row, findings)?;
            rows += 1;
        }
        table.end(findings);
        if rows == 0 {
            return Err(no_data(file, "data rows"));
        }
        Ok(())
    }

    fn finish(self: Box<Self>, findings: &mut Findings) -> Result<Vec<Measured>> {
        let mut runs = self.runs;
        place_tasks(&mut runs);
        report_parts_of_one_run(&runs, findings);
        Ok(runs.into_iter().map(|run| run.finish(findings)).collect())
    }
}

impl Codecarbon {
    fn row(
        &mut self,
        file: &str,
        columns: &Columns,
        row: &Row<'_>,
        findings: &mut Findings,
    ) -> Result<()> {
        if row.has_extra_cells() {
            findings.add(
                DataIssue::Skipped,
                file,
                Some(row.line),
                "cells after the last column were skipped: another row was appended to an incomplete line",
            );
        }
        let totals = Totals {
            seconds: row.required(columns.duration)?,
            all: row.required(columns.energy)?,
            gpu: row.amount(columns.gpu)?,
            cpu: row.amount(columns.cpu)?,
            ram: row.amount(columns.ram)?,
        };
        let text = |column| row.text(column).map(|t| t.unwrap_or_default());
        let (id, task) = (text(columns.run_id)?, text(columns.task)?);
        let name = match (id, task) {
            ("", "") => format!("{}:{}", super::stem(file), row.line),
            ("", task) => task.to_owned(),
            (id, "") => id.to_owned(),
            (id, task) => format!("{id}/{task}"),
        };
        // CodeCarbon may move an old file aside, so a run can continue in another file
        let key = if id.is_empty() { format!("{file}\0{name}") } else { name.clone() };
        let version = text(columns.version)?;
        let meter =
            if version.is_empty() { "codecarbon".into() } else { format!("codecarbon {version}") };
        let mut measured = Measured::new(name, file, meter);
        measured.line = Some(row.line);
        measured.scope = Scope::Codecarbon;
        let end = text(columns.timestamp).map(Timestamp::parse)?;
        measured.start = end.map(|t| t.minus(totals.seconds));
        let powers_are_means = has_mean_powers(version);
        let mut stated_w = None;
        for column in columns.powers.into_iter().filter(|_| powers_are_means) {
            stated_w = row.amount(column)?.map(|w| w + stated_w.unwrap_or(0.0)).or(stated_w);
        }
        // `gpu_model` is `4 x NVIDIA A100-SXM4-80GB`
        let model = text(columns.gpu_model)?;
        let model = model.split_once(" x ").map_or(model, |(_, model)| model);
        measured.gpu = (!model.is_empty()).then(|| model.to_owned());
        measured.gpus = row.amount(columns.gpu_count)?.filter(|n| *n >= 1.0).map(|n| n as u64);
        measured.pue = row.amount(columns.pue)?.filter(|pue| *pue > 1.0);
        if text(columns.mode)? == "process" {
            findings.add(
                DataIssue::Coverage,
                file,
                Some(row.line),
                "tracking_mode is process: memory and CPU are modelled shares of the process, but GPUs are whole devices \
                 including other processes",
            );
        }
        let project = text(columns.project)?.to_owned();
        match self.by_key.get(&key).copied() {
            Some(at) => {
                let known = &mut self.runs[at];
                if known.measured.file != file {
                    let text = "the run is also in another file; the larger total is counted once";
                    findings.add(DataIssue::DoubleCounted, file, Some(row.line), text);
                    if totals.fell_below(known.row)
                        || (totals.all <= known.row.all && totals.seconds < known.row.seconds)
                    {
                        return Ok(());
                    }
                } else if totals.fell_below(known.row) {
                    findings.add(
                        DataIssue::Restart,
                        file,
                        Some(row.line),
                        format!(
                            "the totals of run {} decrease here, so the tracker restarted; both parts were added",
                            measured.run_id
                        ),
                    );
                    known.before = known.before.plus(known.row);
                } else if totals.seconds < known.row.seconds {
                    known.of_last_task = true;
                }
                let start = known.measured.start.or(measured.start);
                known.measured = Measured { start, ..measured };
                known.row = totals;
                (known.end, known.stated_w) = (end, stated_w);
                known.rows += 1;
            }
            None => {
                self.by_key.insert(key, self.runs.len());
                self.runs.push(Run {
                    measured,
                    project,
                    id: id.to_owned(),
                    task: !task.is_empty(),
                    end,
                    stated_w,
                    of_last_task: false,
                    rows: 1,
                    row: totals,
                    before: Totals::default(),
                });
            }
        }
        Ok(())
    }
}

impl Run {
    fn finish(self, findings: &mut Findings) -> Measured {
        let seconds = self.seconds(findings);
        let mut measured = self.measured;
        let totals = Totals { seconds, ..self.before.plus(self.row) };
        let (file, line) = (measured.file.clone(), measured.line);
        if self.rows > 1 {
            let text = "rows of a run are running totals; the last one is used";
            findings.add(DataIssue::CumulativeRows, &file, line, text);
        }
        let pue = measured.pue.unwrap_or(1.0);
        if pue > 1.0 {
            findings.add(
                DataIssue::PueIncluded,
                &file,
                line,
                format!("the energy includes a PUE of {pue}; it was divided by the PUE"),
            );
        }
        let joules = |kwh: f64| Joules::from_kwh(kwh) / pue;
        measured.set_energy_and_time(joules(totals.all).value(), totals.seconds);
        for (name, component, kwh) in [
            ("gpu", Component::Gpu, totals.gpu),
            ("cpu", Component::Cpu, totals.cpu),
            ("ram", Component::Dram, totals.ram),
        ] {
            if let Some(kwh) = kwh {
                measured.parts.push(Part { name: name.to_owned(), component, energy: joules(kwh) });
            }
        }
        report_issues(&measured, &totals, findings);
        measured
    }
}

impl Run {
    /// Time of the run, s. With tasks `duration` is that of the last one alone, which its mean power shows.
    fn seconds(&self, findings: &mut Findings) -> f64 {
        let written = self.before.seconds + self.row.seconds;
        let too_short = self.stated_w.is_some_and(|watts| {
            Joules::from_kwh(self.row.all).value() > MAX_POWER_RATIO * watts * self.row.seconds
        });
        if self.task || !(self.of_last_task || too_short && self.before.seconds == 0.0) {
            return written;
        }
        let shown = match (self.measured.start, self.end) {
            (Some(start), Some(end)) if self.before.seconds == 0.0 => end.since(start),
            _ => 0.0,
        };
        let text = if shown > written {
            "duration is the time since the last task began; the time is that of the timestamps"
        } else {
            "the energy is more than the powers of the row give in its duration, which is that of the last task alone; also give \
             the file of the tasks"
        };
        findings.add(DataIssue::Mismatch, &self.measured.file, self.measured.line, text);
        shown.max(written)
    }
}

/// Whether the powers of a row are means; before version 3.1 that of the GPUs may be that of the last interval
/// (mlco2/codecarbon#985).
fn has_mean_powers(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u64>().ok());
    let (major, minor) = (parts.next().flatten(), parts.next().flatten());
    (major, minor) >= (Some(3), Some(1))
}

/// Mean power over the sum of the row's powers, above which the duration is not that of the energy.
const MAX_POWER_RATIO: f64 = 1.5;

/// Marks tasks as parts of their run, and gives a run the time of its tasks where that is longer.
fn place_tasks(runs: &mut [Run]) {
    let mut of_run: HashMap<String, f64> = HashMap::new();
    for task in runs.iter().filter(|r| r.task && !r.id.is_empty()) {
        *of_run.entry(task.id.clone()).or_default() += task.row.seconds;
    }
    let mut wholes = BTreeSet::new();
    for run in runs.iter_mut().filter(|r| !r.task) {
        let Some(seconds) = of_run.get(&run.id) else { continue };
        wholes.insert(run.id.clone());
        if *seconds > run.row.seconds {
            run.row.seconds = *seconds;
            run.measured.start = run.end.map(|t| t.minus(*seconds));
        }
    }
    for task in runs.iter_mut().filter(|r| r.task && wholes.contains(&r.id)) {
        task.measured.inside = Some(task.id.clone());
    }
}

/// Reports data issues of a run's parts.
fn report_issues(measured: &Measured, totals: &Totals, findings: &mut Findings) {
    let mut add = |kind, text: String| findings.add(kind, &measured.file, measured.line, text);
    if totals.gpu == Some(0.0) && measured.gpus.is_some() {
        add(
            DataIssue::ZeroCounter,
            "gpu_energy is 0 although gpu_count is not: the GPUs have no energy counter (before Volta, vGPU or MIG), \
             so their energy is missing"
                .to_owned(),
        );
    } else if measured.gpus.is_none() && totals.gpu == Some(0.0) {
        add(
            DataIssue::Coverage,
            "no GPU was tracked; the energy covers CPU and memory only".to_owned(),
        );
    }
    if let Some(ram) = totals.ram
        && totals.all > 0.0
        && ram / totals.all > LARGE_RAM_SHARE
    {
        add(
            DataIssue::Modelled,
            format!(
                "run {}: {:.0} % of the energy is memory, which CodeCarbon models from its size instead of measuring it",
                measured.run_id,
                100.0 * ram / totals.all
            ),
        );
    }
    if let (Some(gpu), Some(cpu), Some(ram)) = (totals.gpu, totals.cpu, totals.ram) {
        let sum = gpu + cpu + ram;
        if (sum - totals.all).abs() > 0.01 * sum.max(totals.all) {
            add(
                DataIssue::Mismatch,
                "energy_consumed differs from the sum of its parts by more than 1 %; energy_consumed is used"
                    .to_owned(),
            );
        }
    }
}

/// Runs of a project may be restarts of one training run or, if they overlap, its nodes or ranks.
fn report_parts_of_one_run(runs: &[Run], findings: &mut Findings) {
    let mut projects: BTreeMap<&str, Vec<&Run>> = BTreeMap::new();
    for run in runs.iter().filter(|r| !r.project.is_empty() && r.measured.start.is_some()) {
        if run.measured.gpus.is_some() && !run.task {
            projects.entry(&run.project).or_default().push(run);
        }
    }
    for (project, mut runs) in projects {
        runs.sort_by_key(|r| r.measured.start);
        let (file, n) = (runs[0].measured.file.clone(), runs.len());
        let at_once: Vec<_> = runs.windows(2).filter(|pair| pair[0].overlaps(pair[1])).collect();
        let (trap, what) = if n < 2 {
            continue;
        } else if at_once.is_empty() {
            (
                DataIssue::Restart,
                "one after another; if they are restarts of one training run, use --join",
            )
        } else if at_once.iter().any(|pair| pair[0].same_gpu_energy(pair[1])) {
            (
                DataIssue::DoubleCounted,
                "some overlap and have the same GPU energy: if they are nodes of one training run, use --join; if every rank has \
                 a tracker, each node is counted once per rank, so keep only one run",
            )
        } else {
            (
                DataIssue::PerNode,
                "some overlap: each CodeCarbon run covers one node; if they are nodes of one training run, use --join",
            )
        };
        findings.add(trap, &file, None, format!("{n} run_ids of project {project}: {what}"));
    }
}

impl Run {
    /// Whether a later run began while this one had more than a minute, or more than half of the shorter run, to go.
    fn overlaps(&self, later: &Self) -> bool {
        let seconds = self.row.seconds.min(later.row.seconds);
        match (self.measured.start, later.measured.start) {
            (Some(a), Some(b)) => self.row.seconds - b.since(a) > (0.5 * seconds).min(60.0),
            _ => false,
        }
    }

    /// Whether both runs have the same GPU model and number and the same GPU energy within 2 %.
    fn same_gpu_energy(&self, other: &Self) -> bool {
        let near = |a: f64, b: f64| a > 0.0 && (a - b).abs() <= 0.02 * a.max(b);
        let gpus = |r: &Self| (r.measured.gpu.clone(), r.measured.gpus);
        let energy = |r: &Self| r.row.gpu.unwrap_or(0.0);
        gpus(self) == gpus(other) && near(energy(self), energy(other))
    }
}
