//! Columns of a run table by name: ours, those of the tables that are known, and any other by a map.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Place, Result};
use crate::base::scope::{Covers, Scope};
use crate::base::units::{Joules, Seconds};
use crate::base::{csv_text, toml_text};
use crate::data::run::{Run, strategy};

/// A column: its name in schema v1 and the names that other tables give it.
const COLUMNS: [(&str, &[&str]); 42] = [
    ("run_id", &[]),
    ("model", &[]),
    ("family", &[]),
    ("gpu", &[]),
    ("gpus", &[]),
    ("gpus_per_node", &[]),
    ("strategy", &["dp_kind"]),
    ("dp", &["data_parallel"]),
    ("tp", &["tensor_parallel"]),
    ("pp", &["pipeline_parallel"]),
    ("tensor_scope", &[]),
    ("layers", &[]),
    ("hidden_size", &[]),
    ("heads", &[]),
    ("kv_heads", &[]),
    ("ffn_size", &[]),
    ("vocab_size", &[]),
    ("max_seq_len", &[]),
    ("seq_len", &[]),
    ("micro_batch", &["batch_size"]),
    ("grad_accum", &[]),
    ("global_batch", &[]),
    ("task", &[]),
    ("precision", &[]),
    ("checkpointing", &["activation_checkpointing"]),
    ("attention", &[]),
    ("tokens", &[]),
    ("duration_s", &[]),
    ("step_time_s", &[]),
    ("covers", &[]),
    ("energy_j", &[]),
    ("energy_kwh", &[]),
    ("energy_systematic_sd_j", &[]),
    ("energy_random_sd_j", &[]),
    ("scope", &[]),
    ("baseline_duration_s", &[]),
    ("memory_proxy", &[]),
    ("n_runs", &[]),
    ("epochs", &["median_epochs"]),
    ("peak_memory_gib", &["peak_memory_gb"]),
    ("outcome", &[]),
    ("meter", &[]),
];

/// Numbers outside of these measure nothing of a training run, and products of several stay within floating point.
const LEAST: f64 = 1e-30;
const MOST: f64 = 1e30;

/// Columns without which a row is no run.
const NEEDED: [&str; 5] = ["family", "gpu", "gpus", "layers", "hidden_size"];

/// Names the columns of a foreign table, and says what is the same for all its rows.
///
/// ```toml
/// [columns]            # ours = "theirs"
/// duration_s = "elapsed (s)"
/// [constants]          # the same in every row
/// gpu = "a100-sxm4-40gb"
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnMap {
    /// Schema v1's name to the table's.
    #[serde(default)]
    pub columns: BTreeMap<String, String>,
    /// Schema v1's name to the value of every row.
    #[serde(default)]
    pub constants: BTreeMap<String, toml::Value>,
}

impl ColumnMap {
    /// Reads a map.
    ///
    /// # Errors
    /// [`Error::Syntax`] with line and column; [`Error::Unknown`] for a name that is no column of schema v1.
    pub fn from_toml(text: &str) -> Result<Self> {
        let map: Self = toml_text::parse(text)?;
        for name in map.columns.keys().chain(map.constants.keys()) {
            if !COLUMNS.iter().any(|(own, _)| own == name) {
                return Err(Error::unknown("column", name, COLUMNS.map(|(own, _)| own)));
            }
        }
        Ok(map)
    }
}

/// Reads all rows; also returns what the user should know.
pub(super) fn read(
    bytes: &[u8],
    file: &str,
    map: Option<&ColumnMap>,
) -> Result<(Vec<Run>, Vec<String>)> {
    let mut reader = csv_text::reader(bytes);
    let headers = reader.headers().map_err(|e| csv_text::syntax(&e, file))?.clone();
    if headers.iter().all(str::is_empty) {
        return Err(Error::Data("the file is empty; a run table begins with a header".into())
            .at(Place::file(file)));
    }
    let layout = Layout::of(&headers, map).map_err(|e| e.at(Place::line(file, 1)))?;
    let mut runs = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| csv_text::syntax(&e, file))?;
        let line = record.position().map_or(0, csv::Position::line);
        let cells = Cells { layout: &layout, record: &record };
        runs.push(cells.run(line).map_err(|e| e.at(Place::line(file, line)))?);
    }
    Ok((runs, layout.notes))
}

/// Where each column of schema v1 stands in a table.
struct Layout {
    at: BTreeMap<&'static str, usize>,
    constants: BTreeMap<String, String>,
    notes: Vec<String>,
}

impl Layout {
    fn of(headers: &csv::StringRecord, map: Option<&ColumnMap>) -> Result<Self> {
        let named = |name: &str| headers.iter().position(|h| h == name);
        csv_text::once(headers)?;
        let mut at = BTreeMap::new();
        for (own, aliases) in COLUMNS {
            let mapped = map.and_then(|m| m.columns.get(own));
            let found = match mapped {
                Some(theirs) => Some(
                    named(theirs)
                        .ok_or_else(|| Error::unknown("column", theirs, headers.iter()))?,
                ),
                None => named(own).or_else(|| aliases.iter().find_map(|a| named(a))),
            };
            if let Some(index) = found {
                at.insert(own, index);
            }
        }
        let constants: BTreeMap<String, String> = map
            .into_iter()
            .flat_map(|m| &m.constants)
            .map(|(name, value)| {
                (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            })
            .collect();
        for needed in NEEDED {
            if !at.contains_key(needed) && !constants.contains_key(needed) {
                return Err(Error::missing(
                    format!("column `{needed}`"),
                    "a run table has it; other names are given with --map",
                ));
            }
        }
        let unused: Vec<&str> = headers
            .iter()
            .enumerate()
            .filter(|(i, h)| !h.is_empty() && !at.values().any(|used| used == i))
            .map(|(_, h)| h)
            .collect();
        let notes = if unused.is_empty() {
            Vec::new()
        } else {
            vec![format!("columns not used: {}", unused.join(", "))]
        };
        Ok(Self { at, constants, notes })
    }
}

/// The cells of one row, by schema v1's names.
struct Cells<'a> {
    layout: &'a Layout,
    record: &'a csv::StringRecord,
}

impl Cells<'_> {
    /// The cell's text; `None` where the column or the cell is absent.
    fn text(&self, column: &str) -> Option<&str> {
        let cell = match self.layout.at.get(column) {
            Some(index) => self.record.get(*index),
            None => self.layout.constants.get(column).map(String::as_str),
        };
        cell.filter(|c| !c.is_empty() && !matches!(*c, "NA" | "N/A" | "null" | "None"))
    }

    fn number(&self, column: &str) -> Result<Option<f64>> {
        let Some(text) = self.text(column) else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(x) if (LEAST..=MOST).contains(&x) => Ok(Some(x)),
            _ => Err(Error::invalid(
                format!("column `{column}`"),
                format!("`{text}`"),
                "it must be a positive number",
            )),
        }
    }

    /// A standard deviation: zero where there is no such error.
    fn deviation(&self, column: &str) -> Result<Option<Joules>> {
        match self.text(column).map(str::parse::<f64>) {
            Some(Ok(0.0)) => Ok(Some(Joules::ZERO)),
            _ => Ok(self.number(column)?.map(Joules::new)),
        }
    }

    fn count(&self, column: &str) -> Result<Option<u64>> {
        match self.number(column)? {
            None => Ok(None),
            Some(x) if x.fract() == 0.0 && x <= 1e15 => Ok(Some(x as u64)),
            Some(x) => Err(Error::invalid(
                format!("column `{column}`"),
                x,
                "it must be a whole number from 1",
            )),
        }
    }

    fn needed<T>(&self, column: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| Error::missing(format!("column `{column}`"), "the cell is empty"))
    }

    fn word<T: std::str::FromStr<Err = Error>>(&self, column: &str) -> Result<Option<T>> {
        self.text(column).map(str::parse).transpose()
    }

    fn run(&self, line: u64) -> Result<Run> {
        let gpus = self.needed("gpus", self.count("gpus")?)?;
        let (dp, tp, pp) = (self.count("dp")?, self.count("tp")?, self.count("pp")?);
        let step_time = self.number("step_time_s")?;
        let seq_len = self.number("seq_len")?;
        let global_batch = self.number("global_batch")?;
        let tokens = match self.number("tokens")? {
            // a table of step times has one step a row
            None if step_time.is_some() || self.layout.at.contains_key("global_batch") => {
                global_batch.zip(seq_len).map(|(batch, seq)| batch * seq)
            }
            tokens => tokens,
        };
        let kwh = self.number("energy_kwh")?;
        let energy = self.number("energy_j")?.map(Joules::new).or(kwh.map(Joules::from_kwh));
        let whole = self.number("duration_s")?;
        let duration = whole.or(step_time).map(Seconds::new);
        Ok(Run {
            line,
            run_id: self.text("run_id").map_or_else(|| line.to_string(), str::to_owned),
            model: self.text("model").map(str::to_owned),
            family: self.needed("family", self.text("family"))?.to_lowercase(),
            gpu: self.needed("gpu", self.text("gpu"))?.to_owned(),
            gpus,
            gpus_per_node: self.count("gpus_per_node")?,
            strategy: strategy(self.text("strategy"), gpus, tp, pp),
            dp,
            tp,
            pp,
            tensor_scope: self.word("tensor_scope")?,
            layers: self.needed("layers", self.count("layers")?)?,
            hidden_size: self.needed("hidden_size", self.count("hidden_size")?)?,
            heads: self.count("heads")?,
            kv_heads: self.count("kv_heads")?,
            ffn_size: self.count("ffn_size")?,
            vocab_size: self.count("vocab_size")?,
            max_seq_len: self.count("max_seq_len")?,
            seq_len,
            micro_batch: self.count("micro_batch")?,
            grad_accum: self.count("grad_accum")?,
            task: self.text("task").map(str::to_owned),
            precision: self.word("precision")?,
            checkpointing: self.word("checkpointing")?,
            attention: self.word("attention")?,
            tokens,
            duration,
            covers: match self.word("covers")? {
                None if whole.is_none() && step_time.is_some() => Covers::OneStep,
                covers => covers.unwrap_or_default(),
            },
            energy,
            energy_kwh: kwh.or(energy.map(Joules::kwh)),
            energy_systematic_sd: self.deviation("energy_systematic_sd_j")?,
            energy_random_sd: self.deviation("energy_random_sd_j")?,
            scope: self.word("scope")?.unwrap_or(Scope::Unstated),
            meter: self.text("meter").map(str::to_owned),
            baseline_duration: self.number("baseline_duration_s")?.map(Seconds::new),
            memory_proxy: self.number("memory_proxy")?,
            epochs: self.number("epochs")?,
            n_runs: self.count("n_runs")?,
            peak_memory_gib: self.number("peak_memory_gib")?,
            outcome: self.text("outcome").map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::dataset::Dataset;

    const HEADER: &str = "family,gpu,gpus,layers,hidden_size,energy_kwh,duration_s\n";

    fn fails(text: &str) -> String {
        Dataset::from_csv(text.as_bytes(), "runs.csv", None).unwrap_err().to_string()
    }

    #[test]
    fn a_row_becomes_a_run() {
        let data = Dataset::from_csv(
            format!("{HEADER}gpt,T4,2,12,768,0.5,100\n").as_bytes(),
            "runs.csv",
            None,
        )
        .unwrap();
        let run = &data.runs[0];
        assert_eq!((run.line, run.gpus, run.layers), (2, 2, 12));
        assert_eq!(run.energy.unwrap().value(), 1.8e6);
        assert_eq!((run.strategy.as_str(), run.scope), ("ddp", Scope::Unstated));
        assert_eq!(data.digest.len(), 64);
    }

    #[test]
    fn what_is_wrong_is_said_with_file_line_and_column() {
        assert_eq!(
            fails(&format!("{HEADER}gpt,T4,2,12,768,-0.5,100\n")),
            "runs.csv:2: column `energy_kwh` is `-0.5`, but it must be a positive number"
        );
        assert!(fails(&format!("{HEADER}gpt,T4,2,12,768,nan,100\n")).contains("`nan`"));
        assert!(fails(&format!("{HEADER}gpt,T4,2.5,12,768,1,100\n")).contains("whole number"));
        assert_eq!(
            fails(&format!("{HEADER}gpt,T4,2,12,768,1,1\ngpt,T4,2\n")),
            "runs.csv:3: not valid CSV: the row has 3 cells and the header 7"
        );
        assert_eq!(fails(HEADER), "runs.csv: the table has a header and no rows");
        assert!(fails("").contains("the file is empty"));
        assert!(fails("family,gpu\n").starts_with("runs.csv:1: column `gpus` is missing"));
        assert!(fails("family,family,gpu\n").contains("`family` twice"));
        let error = Dataset::from_csv(b"family,gpu\n\xff\xfe,x\n", "runs.csv", None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("column `gpus`") || error.contains("UTF-8"), "{error}");
    }

    #[test]
    fn a_map_names_foreign_columns() {
        let map = ColumnMap::from_toml(
            "[columns]\nduration_s = 'elapsed'\n[constants]\ngpu = 'T4'\ngpus = 1\nfamily = 'gpt'\n",
        )
        .unwrap();
        let data =
            Dataset::from_csv(b"layers,hidden_size,elapsed\n2,64,7.5\n", "x.csv", Some(&map))
                .unwrap();
        assert_eq!(data.runs[0].duration, Some(Seconds::new(7.5)));
        assert_eq!(data.runs[0].strategy, "baseline");
        assert!(
            ColumnMap::from_toml("[columns]\nspeed = 'x'\n")
                .unwrap_err()
                .to_string()
                .contains("`speed`")
        );
        let missing = ColumnMap::from_toml("[columns]\nduration_s = 'time'\n").unwrap();
        let error = Dataset::from_csv(b"layers,elapsed\n", "x.csv", Some(&missing))
            .unwrap_err()
            .to_string();
        assert!(error.contains("unknown column `time`; accepted: `layers`, `elapsed`"), "{error}");
    }
}
