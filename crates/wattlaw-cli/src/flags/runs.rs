//! A run table from the command line: the file, a column map, which runs to keep, and what its columns mean.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use wattlaw::base::error::Location;
use wattlaw::base::scope::Scope;
use wattlaw::data::dataset::{ColumnMap, Dataset, Efficiency, ProxyColumns};
use wattlaw::data::measurement::Measurement;
use wattlaw::data::proxy::ProxySet;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::parallelism::Strategy;
use wattlaw::law::setting::Setting;
use wattlaw_meter::folder;

use crate::failure::{Done, Failure};
use crate::files;
use crate::flags::job;

/// Flags that name runs.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Run table (CSV), or a folder of records
    pub runs: PathBuf,
    /// Names the columns of a foreign table (TOML)
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
    /// The study's setting: bert, gpt or pooled; all runs when absent
    #[arg(long, value_parser = Setting::from_str)]
    pub setting: Option<Setting>,
    /// Keep runs whose column has this value, as gpu=T4 (repeatable)
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = Condition::from_str)]
    pub only: Vec<Condition>,
    /// Leave out runs whose column has this value, as gpu=T4 (repeatable)
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = Condition::from_str)]
    pub except: Vec<Condition>,
    /// Leave out the rows that this file lists (CSV with a column row or run_id), as `wattlaw audit --out` writes it
    #[arg(long, value_name = "FILE")]
    pub exclude: Option<PathBuf>,
    /// What the energies cover, for a table that does not say, or which of several to keep
    #[arg(long, value_parser = Scope::from_str)]
    pub scope: Option<Scope>,
    /// Proxies for compute and memory traffic: study or ledger
    #[arg(long, default_value_t, value_parser = ProxySet::from_str)]
    pub proxies: ProxySet,
    /// What η compares: duration (the study's) or throughput (equal work)
    #[arg(long, default_value_t, value_parser = Efficiency::from_str)]
    pub efficiency: Efficiency,
    /// Catalogue file (TOML) whose rows stand before the built-in ones
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
}

impl RunsArgs {
    /// The runs that are kept, and the catalogue they are read with.
    ///
    /// # Errors
    /// What is wrong in a file, with its place, or that nothing is left.
    pub fn read(&self) -> Done<(Dataset, Catalog)> {
        let catalog = job::catalog(self.catalog.as_deref())?;
        let mut data = match self.runs.is_dir() {
            true => records(&self.runs, self.map.as_deref(), self.scope, &catalog)?,
            false => read(&self.runs, self.map.as_deref())?,
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
                "{}: no run is left by --setting, --only, --except, --exclude and --scope",
                data.name
            )));
        }
        let assumed = data.assumed();
        data.notes.extend(assumed);
        Ok((data, catalog))
    }

    /// What the proxy columns hold.
    pub const fn columns(&self) -> ProxyColumns {
        ProxyColumns { proxies: self.proxies, efficiency: self.efficiency }
    }
}

/// The runs that a folder has records of.
fn records(
    folder: &Path,
    map: Option<&Path>,
    scope: Option<Scope>,
    catalog: &Catalog,
) -> Done<Dataset> {
    if map.is_some() {
        return Err(Failure::usage("--map names the columns of a table, and the runs are records"));
    }
    let paths = folder::all(folder).map_err(Failure::failed)?;
    let records = paths.iter().map(|path| folder::read(path)).collect::<Result<Vec<_>, _>>();
    let name = folder.display().to_string();
    Ok(Dataset::from_records(&records.map_err(Failure::failed)?, &name, scope, catalog)?)
}

fn read(path: &Path, map: Option<&Path>) -> Done<Dataset> {
    let map = match map {
        None => None,
        Some(file) => Some(
            ColumnMap::from_toml(&files::text(file)?)
                .map_err(|e| e.at(Location::file(file.display().to_string())))?,
        ),
    };
    Ok(Dataset::from_csv(&files::bytes(path)?, &path.display().to_string(), map.as_ref())?)
}

/// Rows that are left out: by line, or by name where a list has no lines.
struct Excluded {
    lines: BTreeSet<u64>,
    names: BTreeSet<String>,
}

impl Excluded {
    fn read(path: &Path) -> Done<Self> {
        let name = path.display();
        let bytes = files::bytes(path)?;
        let mut reader =
            csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes.as_slice());
        let fail = |e: csv::Error| Failure::Failed(format!("{name}: not valid CSV: {e}"));
        let headers = reader.headers().map_err(fail)?.clone();
        let column = |wanted: &str| headers.iter().position(|h| h == wanted);
        let (row, run_id) = (column("row"), column("run_id"));
        if row.is_none() && run_id.is_none() {
            return Err(Failure::Failed(format!(
                "{name}:1: a column `row` or `run_id` is missing; it names what to leave out"
            )));
        }
        let (mut lines, mut names) = (BTreeSet::new(), BTreeSet::new());
        for record in reader.records() {
            let record = record.map_err(fail)?;
            let cell = |at: Option<usize>| at.and_then(|i| record.get(i)).filter(|c| !c.is_empty());
            match (cell(row), cell(run_id)) {
                (Some(line), _) => {
                    lines.insert(line.parse().map_err(|_| {
                        Failure::Failed(format!(
                            "{name}: row is `{line}`, but it must be a line of the table"
                        ))
                    })?);
                }
                (None, Some(run)) => {
                    names.insert(run.to_owned());
                }
                // a finding of the whole table names no row
                (None, None) => {}
            }
        }
        Ok(Self { lines, names })
    }

    fn has(&self, run: &Measurement) -> bool {
        self.lines.contains(&run.line) || self.names.contains(&run.run_id)
    }
}

/// `COLUMN=VALUE` for a column of labels.
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
            .ok_or_else(|| format!("`{text}` is no condition; write it as gpu=T4"))?;
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
            // an accelerator is the same under each of its names
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
