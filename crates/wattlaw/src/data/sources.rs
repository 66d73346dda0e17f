//! The sources of a law: which rows of which measured tables, what their tables do not say, and which rows are left out.
//!
//! A source is one experiment with all its precisions and power limits. The list is data
//! (`calibrations/sources.toml`), its rules rest on described defects and on no law's errors, and the tables are inputs, not part of
//! the project.

mod rules;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::base::csv_text;
use crate::base::error::{Error, Location, Result};
use crate::base::toml_text;
use crate::base::words::words;
use crate::data::dataset::{ColumnMap, Dataset, Pattern};
use crate::job::catalog::Catalog;
use crate::job::workload::Stack;

/// The column maps of the built-in list, by file name.
const MAPS: [(&str, &str); 10] = [
    ("bert-pretraining.toml", include_str!("../../calibrations/maps/bert-pretraining.toml")),
    ("bigscience.toml", include_str!("../../calibrations/maps/bigscience.toml")),
    ("dgx-cloud.toml", include_str!("../../calibrations/maps/dgx-cloud.toml")),
    ("fine-tuning-bench.toml", include_str!("../../calibrations/maps/fine-tuning-bench.toml")),
    ("mlperf-node-power.toml", include_str!("../../calibrations/maps/mlperf-node-power.toml")),
    ("multi-gpu-2026.toml", include_str!("../../calibrations/maps/multi-gpu-2026.toml")),
    ("nanotron.toml", include_str!("../../calibrations/maps/nanotron.toml")),
    ("perseus-iterations.toml", include_str!("../../calibrations/maps/perseus-iterations.toml")),
    ("vtrain-single-node.toml", include_str!("../../calibrations/maps/vtrain-single-node.toml")),
    ("zeus-power-limit.toml", include_str!("../../calibrations/maps/zeus-power-limit.toml")),
];

/// The sources of a law, as a file lists them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// The sources, in the order of the file.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
}

/// One source: rows of one table.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name, unique in the list.
    pub name: String,
    /// The table (CSV): its path below the folder of measured tables.
    pub table: String,
    /// The column map's file name, where the table needs one.
    pub map: Option<String>,
    /// What the rows are for.
    pub purpose: Purpose,
    /// The software stack; a rule of the map for some rows takes precedence.
    pub framework: Stack,
    /// The network between nodes, where it is known: its kind, or a name with the kind in it.
    pub network: Option<String>,
    /// Network between nodes, GB/s a GPU in one direction, where it is known.
    pub network_gb_per_s: Option<f64>,
    /// The rows of this source by columns of the table: a row belongs to it if each column has one of the texts; all rows
    /// when absent.
    #[serde(default)]
    pub rows: Cells,
    /// Rows that are left out, in the order of the rules.
    #[serde(default)]
    pub leave_out: Vec<LeaveOut>,
    /// Who measured, and where it is published.
    pub citation: String,
    /// The licence of the data.
    pub licence: String,
}

/// What the rows of a source are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The law is fitted on them.
    Fit,
    /// The law is only judged on them.
    Evaluate,
}

words!(Purpose, "purpose of a source": Fit = "fit", Evaluate = "evaluate");

/// Columns of the table to the texts that a cell may have; `*` stands for any text.
pub type Cells = BTreeMap<String, Vec<Pattern>>;

/// Rows that are left out.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "LeaveOutTable")]
pub struct LeaveOut {
    /// The reason, as a clause ("their layers are not printed").
    pub because: String,
    /// The rows.
    pub found_by: FoundBy,
}

/// How rows are found that are left out.
#[derive(Debug, Clone, PartialEq)]
pub enum FoundBy {
    /// By their cells, before they are read.
    Cells(Cells),
    /// By a rule, after all rows of the source are read.
    Rule(Rule),
}

/// The fields of [`LeaveOut`] in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeaveOutTable {
    because: String,
    rows: Option<Cells>,
    rule: Option<Rule>,
}

impl TryFrom<LeaveOutTable> for LeaveOut {
    type Error = Error;

    fn try_from(table: LeaveOutTable) -> Result<Self> {
        let found_by = match (table.rows, table.rule) {
            (Some(cells), None) => FoundBy::Cells(cells),
            (None, Some(rule)) => FoundBy::Rule(rule),
            (Some(_), Some(_)) | (None, None) => {
                return Err(Error::invalid(
                    "leave_out",
                    format!("`{}`", table.because),
                    "it must have either `rows` or a `rule`",
                ));
            }
        };
        Ok(Self { because: table.because, found_by })
    }
}

/// A rule that finds rows by what was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The step took more than 1.5 times that of the best row with the same model, tensor and pipeline degrees and
    /// micro-batch, both a micro-step.
    Stalled,
    /// The step implies more than 70 % of the GPU's peak in the stated precision, so the precision is wrong.
    AbovePeak,
    /// Nodes exchanged less than 8 GB/s while their GPUs worked at less than an eighth of their peak, so the run waited
    /// for a network in a state of its own.
    WaitsForNetwork,
}

words!(Rule, "rule of a source": Stalled = "stalled", AbovePeak = "above-peak", WaitsForNetwork = "waits-for-network");

impl Sources {
    /// The list of the built-in law.
    ///
    /// # Errors
    /// None in a released build; those of [`Sources::from_toml`] for a damaged list.
    pub fn built_in() -> Result<Self> {
        let file = "sources.toml";
        Self::from_toml(include_str!("../../calibrations/sources.toml"))
            .map_err(|e| e.at(Location::file(file)))
    }

    /// Reads a list.
    ///
    /// # Errors
    /// [`Error::Syntax`] with line and column, also where rows to be left out have both cells and a rule, or neither;
    /// [`Error::Invalid`] for a name that stands twice.
    pub fn from_toml(text: &str) -> Result<Self> {
        let list: Self = toml_text::parse(text)?;
        let mut names = BTreeSet::new();
        for source in &list.sources {
            if !names.insert(&source.name) {
                return Err(Error::invalid(
                    "name",
                    format!("`{}` twice", source.name),
                    "each source has its own",
                ));
            }
        }
        Ok(list)
    }
}

impl Source {
    /// The text of its column map in the built-in list.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a map that is not built in.
    pub fn built_in_map(&self) -> Result<Option<&'static str>> {
        let Some(name) = &self.map else { return Ok(None) };
        let found = MAPS.iter().find(|(known, _)| known == name);
        let text = found.map(|(_, text)| *text);
        text.map(Some)
            .ok_or_else(|| Error::unknown("column map", name, MAPS.iter().map(|(n, _)| *n)))
    }

    /// The measurements of this source: rows of `table` (CSV) read by `map`, with the stack and the network of the source,
    /// without those that are left out. Notes of the dataset say how many are left out, and why; rows without a time are.
    ///
    /// # Errors
    /// [`Error::At`] with the table's name for what [`ColumnMap::from_toml`] and [`Dataset::from_csv`] refuse;
    /// [`Error::Unknown`] for a column of `rows` that the table lacks; [`Error::Data`] where no row is left.
    pub fn read(&self, table: &[u8], map: Option<&str>, catalog: &Catalog) -> Result<Dataset> {
        let at = |error: Error| error.at(Location::file(&self.table));
        let map = self.with_own_constants(match map {
            Some(text) => ColumnMap::from_toml(text).map_err(at)?,
            None => ColumnMap::default(),
        });
        let headers = csv_text::reader(table, &self.table)?
            .headers()
            .map_err(|e| csv_text::syntax(&e, &self.table))?
            .clone();
        let own = Selection::new(&self.rows, &headers).map_err(at)?;
        let by_cells = self.leave_out.iter().filter_map(|left_out| match &left_out.found_by {
            FoundBy::Cells(cells) => {
                Some(Selection::new(cells, &headers).map(|rows| (left_out.because.as_str(), rows)))
            }
            FoundBy::Rule(_) => None,
        });
        let by_cells = by_cells.collect::<Result<Vec<_>>>().map_err(at)?;
        let first_reason =
            |row: &csv::StringRecord| by_cells.iter().position(|(_, rows)| rows.has(row));

        let mut notes = Notes::default();
        for record in csv_text::reader(table, &self.table)?.records() {
            let record = record.map_err(|e| csv_text::syntax(&e, &self.table))?;
            if own.has(&record)
                && let Some(reason) = first_reason(&record)
            {
                notes.count(by_cells[reason].0, 1);
            }
        }
        let mut data = Dataset::from_csv_rows(table, &self.table, Some(&map), |row| {
            own.has(row) && first_reason(row).is_none()
        })?;
        data.name.clone_from(&self.name);

        let before = data.runs.len();
        data.runs.retain(|run| run.duration.is_some());
        notes.count("they have no time", before - data.runs.len());
        for left_out in &self.leave_out {
            let FoundBy::Rule(rule) = left_out.found_by else { continue };
            let found = rules::find(rule, &data.runs, &self.table, catalog)?;
            notes.count(&left_out.because, found.len());
            data.runs.retain(|run| !found.contains(&run.line));
        }
        if data.runs.is_empty() {
            return Err(at(Error::Data(format!("no row is left for `{}`", self.name))));
        }
        data.notes.extend(notes.sentences());
        Ok(data)
    }

    /// The map with what the source says of all its rows.
    fn with_own_constants(&self, mut map: ColumnMap) -> ColumnMap {
        let text = |text: &str| toml::Value::String(text.to_owned());
        let constants = [
            ("framework", Some(text(&self.framework.to_string()))),
            ("network", self.network.as_deref().map(text)),
            ("network_gb_per_s", self.network_gb_per_s.map(toml::Value::Float)),
        ];
        for (column, value) in constants {
            map.constants.extend(value.map(|value| (column.to_owned(), value)));
        }
        map
    }
}

/// Rows of a table by their cells: columns, and the texts that each may have.
struct Selection<'a>(Vec<(usize, &'a [Pattern])>);

impl<'a> Selection<'a> {
    fn new(cells: &'a Cells, headers: &csv::StringRecord) -> Result<Self> {
        let find = |(column, texts): (&'a String, &'a Vec<Pattern>)| {
            let at = headers.iter().position(|header| header == column);
            let at = at.ok_or_else(|| Error::unknown("column", column, headers.iter()))?;
            Ok((at, texts.as_slice()))
        };
        cells.iter().map(find).collect::<Result<_>>().map(Self)
    }

    fn has(&self, row: &csv::StringRecord) -> bool {
        let fits = |at: usize, texts: &[Pattern]| {
            row.get(at).is_some_and(|cell| texts.iter().any(|text| text.matches(cell)))
        };
        self.0.iter().all(|(at, texts)| fits(*at, texts))
    }
}

/// How many rows are left out, by reason.
#[derive(Default)]
struct Notes(Vec<(String, usize)>);

impl Notes {
    fn count(&mut self, because: &str, rows: usize) {
        match self.0.iter_mut().find(|(reason, _)| reason == because) {
            Some((_, n)) => *n += rows,
            None => self.0.push((because.to_owned(), rows)),
        }
    }

    fn sentences(self) -> impl Iterator<Item = String> {
        let some = self.0.into_iter().filter(|(_, rows)| *rows > 0);
        some.map(|(because, rows)| format!("{rows} rows were left out: {because}"))
    }
}
