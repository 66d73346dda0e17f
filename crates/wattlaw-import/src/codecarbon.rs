//! CodeCarbon's `emissions.csv`, every schema since 1.2.
//!
//! Rows of one run are running totals, so that its last row counts. Energies are multiplied by the PUE
//! (`emissions_tracker.py`, `_do_measurements`), which is divided out again. `gpu_power` is that of the last interval
//! only and is not used.

use std::collections::{BTreeMap, HashMap};

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

/// A share of memory in the energy from which its model decides the figure.
const LARGE_RAM_SHARE: f64 = 0.25;

/// Reads `emissions.csv`.
#[derive(Default)]
pub(super) struct Codecarbon {
    runs: Vec<Run>,
    by_key: HashMap<String, usize>,
}

/// The last row of a run, and what earlier ones of it add.
struct Run {
    measured: Measured,
    project: String,
    rows: u64,
    row: Totals,
    /// Totals of what ran before the totals fell back.
    before: Totals,
}

/// The running totals of a row, in seconds and kWh.
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
        self.all < before.all || self.seconds < before.seconds
    }
}

/// Where the columns stand that are used.
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
}

impl Columns {
    fn from_table(table: &Table<'_>) -> Result<Self> {
        let at = |name: &str| table.column(name);
        Ok(Self {
            duration: table.required(&["duration"], "CodeCarbon writes it in seconds")?,
            energy: table.required(&["energy_consumed"], "CodeCarbon writes it in kWh")?,
            timestamp: at("timestamp"),
            project: at("project_name"),
            task: at("task_name"),
            // 1.2 has no run_id, and an experiment_id for each run
            run_id: at("run_id").or_else(|| at("experiment_id")),
            gpu: at("gpu_energy"),
            cpu: at("cpu_energy"),
            ram: at("ram_energy"),
            gpu_count: at("gpu_count"),
            gpu_model: at("gpu_model"),
            mode: at("tracking_mode"),
            pue: at("pue"),
            version: at("codecarbon_version"),
        })
    }
}

impl Reader for Codecarbon {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        let mut table = Table::open(source)?;
        let columns = Columns::from_table(&table)?;
        let mut rows = 0_u64;
        while let Some(row) = table.next()? {
            self.row(file, &columns, &row, findings)?;
            rows += 1;
        }
        table.end(findings);
        if rows == 0 {
            return Err(no_data(file, "rows below its header"));
        }
        Ok(())
    }

    fn finish(self: Box<Self>, findings: &mut Findings) -> Result<Vec<Measured>> {
        report_parts_of_one_run(&self.runs, findings);
        Ok(self.runs.into_iter().map(|run| run.finish(findings)).collect())
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
                "cells behind the last title were left out: another row was appended to a line without an end",
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
        // an old file that CodeCarbon set aside may have rows of a run that goes on in the new one
        let key = if id.is_empty() { format!("{file}\0{name}") } else { name.clone() };
        let version = text(columns.version)?;
        let meter =
            if version.is_empty() { "codecarbon".into() } else { format!("codecarbon {version}") };
        let mut measured = Measured::new(name, file, meter);
        measured.line = Some(row.line);
        measured.scope = Scope::Codecarbon;
        measured.start =
            text(columns.timestamp).map(Timestamp::parse)?.map(|t| t.minus(totals.seconds));
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
                "tracking_mode is process: memory and CPU are the process's share by a model, GPUs are whole devices \
                 with whatever else runs on them",
            );
        }
        let project = text(columns.project)?.to_owned();
        match self.by_key.get(&key).copied() {
            Some(at) => {
                let known = &mut self.runs[at];
                if known.measured.file != file {
                    let text = "the run stands in another file too; its larger total counts, once";
                    findings.add(DataIssue::DoubleCounted, file, Some(row.line), text);
                    if totals.fell_below(known.row) {
                        return Ok(());
                    }
                } else if totals.fell_below(known.row) {
                    findings.add(
                        DataIssue::Restart,
                        file,
                        Some(row.line),
                        format!(
                            "the totals of run {} fall back here, so that the tracker began anew; both parts were added up",
                            measured.run_id
                        ),
                    );
                    known.before = known.before.plus(known.row);
                }
                let start = known.measured.start.or(measured.start);
                known.measured = Measured { start, ..measured };
                known.row = totals;
                known.rows += 1;
            }
            None => {
                self.by_key.insert(key, self.runs.len());
                self.runs.push(Run {
                    measured,
                    project,
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
        let mut measured = self.measured;
        let totals = self.before.plus(self.row);
        let (file, line) = (measured.file.clone(), measured.line);
        if self.rows > 1 {
            let text = "rows of a run are running totals; the last one counts";
            findings.add(DataIssue::CumulativeRows, &file, line, text);
        }
        let pue = measured.pue.unwrap_or(1.0);
        if pue > 1.0 {
            findings.add(
                DataIssue::PueIncluded,
                &file,
                line,
                format!("the energy was multiplied by a PUE of {pue}, which was divided out again"),
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

/// What the parts of a run tell.
fn report_issues(measured: &Measured, totals: &Totals, findings: &mut Findings) {
    let mut add = |kind, text: String| findings.add(kind, &measured.file, measured.line, text);
    if totals.gpu == Some(0.0) && measured.gpus.is_some() {
        add(
            DataIssue::ZeroCounter,
            "gpu_energy is 0 although GPUs were counted: they have no energy counter (before Volta, vGPU or MIG), \
             and their energy is not in it"
                .to_owned(),
        );
    } else if measured.gpus.is_none() && totals.gpu == Some(0.0) {
        add(
            DataIssue::Coverage,
            "no GPU was tracked; the energy is that of CPU and memory".to_owned(),
        );
    }
    if let Some(ram) = totals.ram
        && totals.all > 0.0
        && ram / totals.all > LARGE_RAM_SHARE
    {
        add(
            DataIssue::Modelled,
            format!(
                "run {}: {:.0} % of the energy is memory, which CodeCarbon computes from its size and does not measure",
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
                "energy_consumed is not the sum of its parts (more than 1 % apart); it was taken as it stands"
                    .to_owned(),
            );
        }
    }
}

/// Runs of one project may be restarts of one training run, or, where they ran at the same time, its nodes or ranks.
fn report_parts_of_one_run(runs: &[Run], findings: &mut Findings) {
    let mut projects: BTreeMap<&str, Vec<&Run>> = BTreeMap::new();
    for run in runs.iter().filter(|r| !r.project.is_empty() && r.measured.start.is_some()) {
        if run.measured.gpus.is_some() {
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
                "one after another; where they are restarts of one training run, --join adds them up",
            )
        } else if at_once.iter().any(|pair| pair[0].same_gpu_energy(pair[1])) {
            (
                DataIssue::DoubleCounted,
                "some at the same time with the same GPU energy: nodes of one training run, which --join adds up, or a \
                 tracker on every rank, which counts its node as often as it has ranks, and of which one is to be kept",
            )
        } else {
            (
                DataIssue::PerNode,
                "some at the same time: CodeCarbon counts one node each, and where they are nodes of one training run, \
                 --join adds them up",
            )
        };
        findings.add(trap, &file, None, format!("{n} run_ids of project {project}, {what}"));
    }
}

impl Run {
    /// Whether the run was on for most of a minute, or most of itself, when a later one began.
    fn overlaps(&self, later: &Self) -> bool {
        let seconds = self.row.seconds.min(later.row.seconds);
        match (self.measured.start, later.measured.start) {
            (Some(a), Some(b)) => self.row.seconds - b.since(a) > (0.5 * seconds).min(60.0),
            _ => false,
        }
    }

    /// Whether both saw the same energy of the same number of the same GPUs, to 2 %.
    fn same_gpu_energy(&self, other: &Self) -> bool {
        let near = |a: f64, b: f64| a > 0.0 && (a - b).abs() <= 0.02 * a.max(b);
        let gpus = |r: &Self| (r.measured.gpu.clone(), r.measured.gpus);
        let energy = |r: &Self| r.row.gpu.unwrap_or(0.0);
        gpus(self) == gpus(other) && near(energy(self), energy(other))
    }
}
