//! Weights & Biases: a run's history and its system metrics, exported as CSV or as JSON lines.
//!
//! `run.history()` and `run.scan_history()` give `_step`, `_runtime` (s), `_timestamp` (s since 1970) and what the program logged;
//! `run.history(stream="system")` gives `system.gpu.N.powerWatts` (W). Give both files for steps and energy. A chart that was
//! exported has `Step` or `Relative Time (…)` and titles such as `NAME - system/gpu.0.powerWatts`.

use serde_json::{Map, Value};

use super::data_issue::{DataIssue, Findings};
use super::json;
use super::lines::{Source, unreadable, without_bom};
use super::measured::Measured;
use super::progress::{Gpus, Progress, count, nanos};
use super::table::Table;
use super::{Options, Reader, no_data, stem};
use wattlaw::base::error::{Error, Location, Result};

/// Names of the time of a row, s, and of its step; the first that a row has counts.
const TIMES: [&str; 5] = [
    "_timestamp",
    "_runtime",
    "Relative Time (Process)",
    "Relative Time (Wall)",
    "Relative Time (Seconds)",
];
const STEPS: [&str; 5] =
    ["train/global_step", "trainer/global_step", "global_step", "_step", "Step"];
const TOKENS: [&str; 2] = ["train/num_input_tokens_seen", "num_input_tokens_seen"];

/// Reads exports; the files of a folder are of one run.
pub(super) struct Wandb {
    options: Options,
    runs: Vec<(String, Run)>,
}

/// A run that is being read.
struct Run {
    options: Options,
    file: String,
    /// Name of the run in the titles of a chart.
    run: Option<String>,
    progress: Progress,
    gpus: Gpus,
    /// Whether times are since 1970.
    dated: bool,
}

/// What a row has.
#[derive(Default)]
struct Found {
    time: Option<(usize, f64)>,
    step: Option<(usize, f64)>,
    tokens: Option<f64>,
    watts: Vec<(String, f64)>,
}

impl Found {
    /// Takes a value by its name.
    fn take(&mut self, name: &str, value: f64, options: &Options) {
        let rank = |names: &[&str]| names.iter().position(|n| *n == name);
        let better = |rank: usize, known: Option<(usize, f64)>| known.is_none_or(|(k, _)| rank < k);
        if let Some(at) = rank(&TIMES).filter(|at| better(*at, self.time)) {
            self.time = Some((at, value));
        } else if let Some(at) = rank(&STEPS).filter(|at| better(*at, self.step)) {
            self.step = Some((at, value));
        } else if TOKENS.contains(&name) {
            self.tokens = count(value);
        } else if let Some(gpu) = gpu_of(name).filter(|gpu| options.includes(&[gpu])) {
            self.watts.push((gpu.to_owned(), value));
        }
    }
}

/// The GPU of a name: `0` of `system.gpu.0.powerWatts`. Those of `gpu.process` are of the same GPUs.
fn gpu_of(name: &str) -> Option<&str> {
    let before = name.strip_suffix(".powerWatts")?;
    let (kind, gpu) = before.rsplit_once('.')?;
    let ours = kind.ends_with("gpu") && !gpu.is_empty() && gpu.bytes().all(|b| b.is_ascii_digit());
    ours.then_some(gpu)
}

/// Whether a name is one that only this tool's exports have.
pub(super) fn is_sign(name: &str) -> bool {
    matches!(name, "_timestamp" | "_runtime" | "_step") || gpu_of(name).is_some()
}

impl Wandb {
    pub(super) const fn new(options: Options) -> Self {
        Self { options, runs: Vec::new() }
    }
}

impl Run {
    fn new(options: Options, file: &str) -> Self {
        Self {
            options,
            file: file.to_owned(),
            run: None,
            progress: Progress::default(),
            gpus: Gpus::default(),
            dated: false,
        }
    }

    fn row(
        &mut self,
        found: Found,
        place: (&str, Option<u64>),
        findings: &mut Findings,
    ) -> Result<()> {
        let Some((kind, seconds)) = found.time else { return Ok(()) };
        let at = Location { file: place.0.to_owned(), line: place.1 };
        let ns = nanos(seconds).ok_or_else(|| {
            let name = TIMES.get(kind).copied().unwrap_or_default();
            Error::invalid(name, seconds, "it must be a number of seconds").at(at)
        })?;
        self.dated |= kind == 0;
        let system = !found.watts.is_empty();
        for (gpu, watts) in found.watts {
            self.gpus.push(&gpu, ns, watts, place, findings)?;
        }
        // rows of the system metrics have a counter of their own
        if let Some((kind, step)) = found.step.filter(|_| !system) {
            let step = count(step).unwrap_or(0.0);
            if kind >= 3 {
                findings.add(
                    DataIssue::Assumed,
                    place.0,
                    None,
                    "the step is the number of calls of wandb.log; it is assumed to be that of optimizer steps",
                );
            }
            self.progress.push(ns, step, found.tokens, place, findings);
        }
        Ok(())
    }

    fn table(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        let mut table = Table::open(source)?;
        let mut titles: Vec<(usize, String)> = Vec::new();
        for (at, title) in table.header().iter().enumerate() {
            let (run, name) = match title.rsplit_once(" - ") {
                Some((run, name)) => (Some(run), name),
                None => (None, title.as_str()),
            };
            if !(TIMES.contains(&name)
                || STEPS.contains(&name)
                || TOKENS.contains(&name)
                || gpu_of(name).is_some())
            {
                continue;
            }
            match (&self.run, run) {
                (Some(known), Some(run)) if known != run => {
                    let text = "the export has several runs; export one at a time".to_owned();
                    return Err(Error::Data(text).at(Location::file(file)));
                }
                (None, Some(run)) => self.run = Some(run.to_owned()),
                _ => {}
            }
            titles.push((at, name.to_owned()));
        }
        if !titles.iter().any(|(_, name)| TIMES.contains(&name.as_str())) {
            table.required(
                &["_timestamp"],
                "export the run's history with _timestamp or _runtime, or a chart over relative time",
            )?;
        }
        while let Some(row) = table.next()? {
            let mut found = Found::default();
            for (at, name) in &titles {
                if let Some(x) = row.number(Some(*at))? {
                    found.take(name, x, &self.options);
                }
            }
            self.row(found, (file, Some(row.line)), findings)?;
        }
        table.end(findings);
        Ok(())
    }

    fn json_lines(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        // a killed program leaves an incomplete last line
        let mut torn: Option<Error> = None;
        let lines = source.lines(|number, line| {
            if line.trim_ascii().is_empty() {
                return Ok(());
            }
            if let Some(error) = torn.take() {
                return Err(error);
            }
            let row: Map<String, Value> = match json::parse(line) {
                Ok(row) => row,
                Err(error) => {
                    torn = Some(error.at(Location::line(file, number)));
                    return Ok(());
                }
            };
            let mut found = Found::default();
            for (name, value) in &row {
                if let Some(x) = value.as_f64() {
                    found.take(name, x, &self.options);
                }
            }
            self.row(found, (file, Some(number)), findings)
        })?;
        match torn {
            Some(error) if lines == 1 => Err(error),
            Some(_) => {
                let text = "the last line is incomplete and was skipped";
                findings.add(DataIssue::Skipped, file, Some(lines), text);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Reader for Wandb {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let folder = source.name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let at = match self.runs.iter().position(|(known, _)| known == folder) {
            Some(at) => at,
            None => {
                let run = Run::new(self.options.clone(), source.name);
                self.runs.push((folder.to_owned(), run));
                self.runs.len() - 1
            }
        };
        let Some((_, run)) = self.runs.get_mut(at) else { return Ok(()) };
        let head = source.input.fill_buf().map_err(|e| unreadable(source.name, &e))?;
        match without_bom(head).trim_ascii_start().first() {
            Some(b'{') => run.json_lines(source, findings),
            _ => run.table(source, findings),
        }
    }

    fn finish(self: Box<Self>, findings: &mut Findings) -> Result<Vec<Measured>> {
        self.runs.into_iter().map(|(_, run)| run.measured(findings)).collect()
    }
}

impl Run {
    fn measured(self, findings: &mut Findings) -> Result<Measured> {
        let name = self.run.as_deref().unwrap_or_else(|| stem(&self.file));
        let mut measured = Measured::new(name, &self.file, "wandb");
        self.progress.fill(&mut measured);
        if self.dated {
            measured.start = self.progress.start();
        }
        self.gpus.fill(&mut measured, findings);
        if measured.duration.is_none() {
            return Err(no_data(&self.file, "two rows with a step and a time, nor power of a GPU"));
        }
        Ok(measured)
    }
}
