//! Runs read from a table or from records, and the columns that laws are fitted on.

mod columns;
mod frame;
mod map;
mod names;
mod records;
mod write;

pub use frame::{Efficiency, ProxyColumns};
pub use map::{ColumnMap, Pattern};
pub use names::job_columns;
pub use write::to_csv;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::base::error::{Error, Location, Result};
use crate::base::scope::Scope;
use crate::data::measurement::Measurement;
use crate::job::catalog::Catalog;

/// Columns of a job that change its cost, with their defaults.
const COUNTED: [(&str, &str); 8] = [
    ("grad_accum", "1"),
    ("precision", "the GPU's half precision"),
    ("optimizer", "adamw"),
    ("checkpointing", "none"),
    ("attention", "flash"),
    ("padding_share", "0"),
    ("vocab_size", "the model type's own"),
    ("lora_rank", "none"),
];

/// SHA-256 of the bytes of a table's file, in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// The runs of one table, with the table's name and digest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dataset {
    /// The table's name.
    pub name: String,
    /// SHA-256 of the table's bytes, in hexadecimal.
    pub digest: String,
    /// The runs, in the table's order.
    pub runs: Vec<Measurement>,
    /// Notes of the reader, such as unused columns.
    pub notes: Vec<String>,
    /// Job columns that the table lacks; its runs take the defaults.
    pub absent: Vec<&'static str>,
}

impl Dataset {
    /// Reads a run table (CSV with a header): schema 2 or 1, the study's, tables of step times, or any other by `map`.
    ///
    /// # Errors
    /// [`Error::At`] with file and line: bytes that are no UTF-8, a row with more or fewer cells than the header, a
    /// column twice or missing, a number that is negative, zero where it counts, not finite or no number; and
    /// [`Error::Data`] for a table without rows.
    pub fn from_csv(bytes: &[u8], name: &str, map: Option<&ColumnMap>) -> Result<Self> {
        Self::from_csv_rows(bytes, name, map, |_| true)
    }

    /// Reads the rows of a table that `keep` selects by their cells; the other rows need not be readable.
    ///
    /// # Errors
    /// As [`Dataset::from_csv`].
    pub(crate) fn from_csv_rows(
        bytes: &[u8],
        name: &str,
        map: Option<&ColumnMap>,
        keep: impl Fn(&csv::StringRecord) -> bool,
    ) -> Result<Self> {
        let columns::Read { runs, notes, absent } = columns::read(bytes, name, map, keep)?;
        if runs.is_empty() {
            return Err(
                Error::Data("the table has a header and no rows".into()).at(Location::file(name))
            );
        }
        Ok(Self { name: name.to_owned(), digest: digest(bytes), runs, notes, absent })
    }

    /// The dataset with only the runs for which `keep` is true.
    #[must_use]
    pub fn filter(&self, keep: impl Fn(&Measurement) -> bool) -> Self {
        Self { runs: self.runs.iter().filter(|r| keep(r)).cloned().collect(), ..self.clone() }
    }

    /// The runs whose cost can be counted, and a note on the others.
    pub fn countable(&self, catalog: &Catalog) -> (Self, Option<String>) {
        let lacking: Vec<String> = self
            .runs
            .iter()
            .filter_map(|run| run.resolve(catalog).err().map(|e| format!("line {}: {e}", run.line)))
            .collect();
        let kept = self.filter(|run| run.resolve(catalog).is_ok());
        let note = lacking.first().map(|first| {
            format!(
                "{} of {} runs were left out, since their cost cannot be counted; the first is {first}",
                lacking.len(),
                self.runs.len()
            )
        });
        (kept, note)
    }

    /// A note on the columns that the table lacks and that change FLOPs, memory traffic or memory: its runs are counted
    /// with the defaults.
    pub fn defaults_note(&self) -> Option<String> {
        let counted: Vec<String> = COUNTED
            .iter()
            .filter(|(column, _)| self.absent.contains(column))
            .map(|(column, default)| format!("{column} = {default}"))
            .collect();
        (!counted.is_empty()).then(|| {
            format!("defaults used for columns that the table lacks: {}", counted.join(", "))
        })
    }

    /// The common scope of all energies.
    ///
    /// # Errors
    /// [`Error::Data`] for mixed scopes, with the number of runs of each.
    pub fn scope(&self) -> Result<Scope> {
        let mut scopes: Vec<(Scope, usize)> = Vec::new();
        for run in &self.runs {
            match scopes.iter_mut().find(|(s, _)| *s == run.scope) {
                Some((_, n)) => *n += 1,
                None => scopes.push((run.scope, 1)),
            }
        }
        match scopes.as_slice() {
            [(scope, _)] => Ok(*scope),
            _ => {
                let list: Vec<String> =
                    scopes.iter().map(|(s, n)| format!("{n} of `{s}`")).collect();
                Err(Error::Data(format!(
                    "{} mixes energies of different scopes ({}); keep one with --scope",
                    self.name,
                    list.join(", ")
                )))
            }
        }
    }
}
