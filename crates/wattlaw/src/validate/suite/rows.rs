//! The runs of the sources of the built-in law, as the suite holds them out.

use serde::ser::Error as _;
use serde::{Serialize, Serializer};

use crate::base::error::Result;
use crate::base::scope::{Covers, Scope};
use crate::data::sources::{Purpose, Source};
use crate::job::Job;
use crate::job::catalog::Catalog;
use crate::job::system::Accelerator;
use crate::law::baseline;
use crate::law::roofline::Observation;

/// A run of a source.
#[derive(Debug, Clone)]
pub struct SourceRow {
    /// The source's name.
    pub source: String,
    /// The table's path below the data folder.
    pub table: String,
    /// Whether the law is fitted on it.
    pub purpose: Purpose,
    /// Line of the table; the header is line 1.
    pub line: u64,
    /// The model's name, or else its shape.
    pub model: String,
    /// The configuration family: what is known before the run but GPU count and strategy.
    pub configuration: String,
    /// The job that was run.
    pub job: Job,
    /// The inputs and responses of the law.
    pub observation: Observation,
}

impl SourceRow {
    /// The runs of a source; `table` is the content of its table.
    ///
    /// # Errors
    /// Those of [`Source::read`], and of a run whose cost cannot be counted.
    pub fn read(source: &Source, table: &[u8], catalog: &Catalog) -> Result<Vec<Self>> {
        let data = source.read(table, source.built_in_map()?, catalog)?;
        let row = |run: &crate::data::measurement::Measurement| {
            Ok(Self {
                source: source.name.clone(),
                table: source.table.clone(),
                purpose: source.purpose,
                line: run.line,
                model: run.model().map_or_else(|| run.architecture(), str::to_owned),
                configuration: run.config_family(),
                job: run.resolve(catalog)?,
                observation: Observation::new(run, &source.name, catalog)?,
            })
        };
        data.runs.iter().map(row).collect()
    }

    /// Steps that the time is of.
    fn steps(&self) -> f64 {
        match self.observation.terms.covers {
            Covers::Run | Covers::Steps => self.job.steps(),
            Covers::OneStep => 1.0,
        }
    }

    /// ln of time, power and energy a GPU by 6·N·D FLOPs at a fixed utilisation and thermal design power.
    pub(super) fn baseline(&self) -> [f64; 3] {
        let terms = &self.observation.terms;
        let share = self.steps() / self.job.steps();
        let time = (baseline::duration_s(&self.job) * share).ln();
        let power = terms.tdp.ln();
        [time, power, time + power]
    }
}

/// A run in the suite's JSON, for comparison with other programs.
#[derive(Debug, Serialize)]
struct WrittenRow<'a> {
    source: &'a str,
    table: &'a str,
    line: u64,
    purpose: Purpose,
    model: &'a str,
    chip: &'a str,
    program: &'a str,
    scope: Scope,
    /// Steps that the time is of.
    steps: f64,
    /// Seconds of these steps.
    time_s: Option<f64>,
    /// Mean power of a GPU in the scope, W.
    power_w: Option<f64>,
    /// Parameters that a token visits.
    active_parameters: u64,
    accelerator: &'a Accelerator,
    /// As `wattlaw job` writes it.
    job: serde_json::Value,
}

impl Serialize for SourceRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Observation { groups, scope, log_time, log_power, .. } = &self.observation;
        let job = self.job.to_json().map_err(S::Error::custom)?;
        WrittenRow {
            source: &self.source,
            table: &self.table,
            line: self.line,
            purpose: self.purpose,
            model: &self.model,
            chip: &groups.chip,
            program: &groups.program,
            scope: *scope,
            steps: self.steps(),
            time_s: log_time.map(f64::exp),
            power_w: log_power.map(f64::exp),
            active_parameters: self.job.architecture.active_parameters(self.job.workload.task),
            accelerator: &self.job.system.accelerator,
            job: serde_json::from_str(&job).map_err(S::Error::custom)?,
        }
        .serialize(serializer)
    }
}
