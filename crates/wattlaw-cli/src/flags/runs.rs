//! Flags that select a run table: the file, a column map, filters, and the meaning of its columns.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use wattlaw::base::csv_text;
use wattlaw::base::scope::Scope;
use wattlaw::data::dataset::{Dataset, Efficiency, ProxyColumns};
use wattlaw::data::measurement::Measurement;
use wattlaw::data::proxy::ProxySet;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::parallelism::Strategy;
use wattlaw::law::setting::Setting;
use wattlaw_meter::folder;

use crate::failure::{Done, Failure};
use crate::flags::job;
use crate::records::{self, Gathered};
use crate::tables;

/// Flags that select runs.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Run table (CSV, Parquet or Arrow IPC), or records: their folders, or folders that hold some
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// Column map for a table with other column names (TOML)
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
    /// Setting of the study: bert, gpt or pooled. Default: all runs
    #[arg(long, value_parser = Setting::from_str)]
    pub setting: Option<Setting>,
    /// Keep only runs with this value in a column, such as gpu=T4 (repeatable)
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = Condition::from_str)]
    pub only: Vec<Condition>,
    /// Exclude runs with this value in a column, such as gpu=T4 (repeatable)
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = Condition::from_str)]
    pub except: Vec<Condition>,
    /// Exclude the rows listed in this file (a table with a column row or run_id), as written by `wattlaw audit --out`
    #[arg(long, value_name = "FILE")]
    pub exclude: Option<PathBuf>,
    /// Energy scope: sets it if the table states none, else keeps only runs of this scope
    #[arg(long, value_parser = Scope::from_str)]
    pub scope: Option<Scope>,
    /// Proxies for compute and memory traffic: study or ledger
    #[arg(long, default_value_t, value_parser = ProxySet::from_str)]
    pub proxies: ProxySet,
    /// Definition of the efficiency η: duration (as in the study) or throughput (at equal work)
    #[arg(long, default_value_t, value_parser = Efficiency::from_str)]
    pub efficiency: Efficiency,
    /// Catalogue file (TOML) whose entries override the built-in ones
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
}

impl RunsArgs {
    /// Reads the selected runs and the catalogue.
    ///
    /// # Errors
    /// An invalid file, with its location, or filters that match no run.
    pub fn read(&self) -> Done<(Dataset, Catalog)> {
        let catalog = job::catalog(self.catalog.as_deref())?;
        let mut data = match self.runs.as_slice() {
            [table] if !records::is_place(table) => tables::runs(table, self.map.as_deref())?,
            places => of_records(places, self.map.as_deref(), self.scope, &catalog)?,
        };
        if let Some(scope) = self.scope {
            if data.runs.iter().all(|r| r.scope == Scope::Unstated) {
                for run in &mut data.runs {
                    run.scope = scope;
                }
            }
            data = data.filter(|r| r.scope == scope);
        }
        let wanted = |run: &Measurement| {
            self.setting.is_none_or(|s| s.keeps(run.family(), run.strategy_kind()))
                && self.only.iter().all(|c| c.holds(run, &catalog))
                && !self.except.iter().any(|c| c.holds(run, &catalog))
        };
        data = data.filter(wanted);
        if let Some(path) = &self.exclude {
            let excluded = Excluded::read(path)?;
            data = data.filter(|run| !excluded.has(run));
        }
        if data.runs.is_empty() {
            return Err(Failure::Failed(format!(
                "{}: no run matches the filters --setting, --only, --except, --exclude and --scope",
                data.name
            )));
        }
        let assumed = data.assumed();
        data.notes.extend(assumed);
        Ok((data, catalog))
    }

    /// Name of the table or folder, without the folder that it lies in.
    pub fn name(&self) -> Option<String> {
        let path = match self.runs.as_slice() {
            [one] => one,
            several => several.first()?.parent()?,
        };
        path.file_name().map(|name| name.to_string_lossy().into_owned())
    }

    /// Definitions of the proxy columns.
    pub const fn columns(&self) -> ProxyColumns {
        ProxyColumns { proxies: self.proxies, efficiency: self.efficiency }
    }
}

/// Reads the runs of records.
fn of_records(
    places: &[PathBuf],
    map: Option<&Path>,
    scope: Option<Scope>,
    catalog: &Catalog,
) -> Done<Dataset> {
    if map.is_some() {
        return Err(Failure::usage("--map applies to tables only, but the runs are records"));
    }
    let name = match places {
        [one] => one.display().to_string(),
        several => format!("{} paths", several.len()),
    };
    let found = records::places(places)?;
    // a folder without records is said by the dataset, with what was looked for
    let gathered = match places {
        [one] if found == [one.clone()] && !one.join(folder::RUN).is_file() => Gathered::default(),
        _ => records::read(&found)?,
    };
    let mut data = Dataset::from_records(&gathered.records, &name, scope, catalog)?;
    let left_out = gathered.left_out.len();
    if let Some(first) = gathered.left_out.first() {
        data.notes
            .push(format!("{left_out} paths hold no record and were left out; the first: {first}"));
    }
    Ok(data)
}

/// Excluded rows, by line or by run_id.
struct Excluded {
    lines: BTreeSet<u64>,
    names: BTreeSet<String>,
}

impl Excluded {
    fn read(path: &Path) -> Done<Self> {
        let name = path.display();
        let bytes = tables::csv(path)?;
        let mut reader = csv_text::reader(&bytes, &name.to_string())?;
        let fail = |e: csv::Error| Failure::Failed(format!("{name}: not valid CSV: {e}"));
        let headers = reader.headers().map_err(fail)?.clone();
        let column = |wanted: &str| headers.iter().position(|h| h == wanted);
        let (row, run_id) = (column("row"), column("run_id"));
        if row.is_none() && run_id.is_none() {
            return Err(Failure::Failed(format!("{name}:1: column `row` or `run_id` is missing")));
        }
        let (mut lines, mut names) = (BTreeSet::new(), BTreeSet::new());
        for record in reader.records() {
            let record = csv_text::plain(record.map_err(fail)?);
            let cell = |at: Option<usize>| at.and_then(|i| record.get(i)).filter(|c| !c.is_empty());
            match (cell(row), cell(run_id)) {
                (Some(line), _) => {
                    lines.insert(line.parse().map_err(|_| {
                        Failure::Failed(format!(
                            "{name}: row is `{line}`, but it must be a line number"
                        ))
                    })?);
                }
                (None, Some(run)) => {
                    names.insert(run.to_owned());
                }
                // a finding about the whole table has no row
                (None, None) => {}
            }
        }
        Ok(Self { lines, names })
    }

    fn has(&self, run: &Measurement) -> bool {
        self.lines.contains(&run.line) || self.names.contains(&run.run_id)
    }
}

/// A condition `COLUMN=VALUE`.
#[derive(Debug, Clone)]
pub struct Condition {
    column: Column,
    value: String,
}

#[derive(Debug, Clone, Copy)]
enum Column {
    Gpu,
    Gpus,
    Family,
    Strategy,
    Model,
    Precision,
    Architecture,
    RunId,
}

const COLUMNS: [(&str, Column); 8] = [
    ("gpu", Column::Gpu),
    ("gpus", Column::Gpus),
    ("family", Column::Family),
    ("strategy", Column::Strategy),
    ("model", Column::Model),
    ("precision", Column::Precision),
    ("architecture", Column::Architecture),
    ("run_id", Column::RunId),
];

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (column, value) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` is not a condition; example: gpu=T4"))?;
        let column = COLUMNS
            .iter()
            .find(|(name, _)| *name == column.trim())
            .ok_or_else(|| {
                wattlaw::Error::unknown("column", column, COLUMNS.map(|(n, _)| n)).to_string()
            })?
            .1;
        Ok(Self { column, value: value.trim().to_owned() })
    }
}

impl Condition {
    fn holds(&self, run: &Measurement, catalog: &Catalog) -> bool {
        let value = &self.value;
        match self.column {
            // an accelerator may have several names
            Column::Gpu => {
                run.gpu() == *value
                    || catalog
                        .accelerator(run.gpu())
                        .and_then(|a| Ok(a.name == catalog.accelerator(value)?.name))
                        .unwrap_or(false)
            }
            Column::Gpus => run.gpus().to_string() == *value,
            Column::Family => run.family() == *value,
            Column::Strategy => {
                let is = |strategy: Strategy| strategy == run.strategy();
                value.parse().is_ok_and(is) || run.strategy_kind().name() == value
            }
            Column::Model => run.model() == Some(value),
            Column::Precision => run.job().workload.precision.is_some_and(|p| p.name() == value),
            Column::Architecture => run.architecture() == *value,
            Column::RunId => run.run_id == *value,
        }
    }
}
