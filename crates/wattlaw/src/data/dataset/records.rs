//! Runs of records, as rows of a table that nobody wrote.

use super::{Dataset, to_csv};
use crate::base::error::{Error, Location, Result};
use crate::base::scope::Scope;
use crate::job::catalog::Catalog;
use crate::record::document::Record;

impl Dataset {
    /// The runs of records that ended well, in the order given; `scope` names the energy where records have several.
    ///
    /// What is no run is left out and told of in the notes: records of commands that failed or were stopped, and those that
    /// do not say what was trained.
    ///
    /// # Errors
    /// [`Error::Data`] where no run is left, with why the first record is none.
    pub fn from_records(
        records: &[Record],
        name: &str,
        scope: Option<Scope>,
        catalog: &Catalog,
    ) -> Result<Self> {
        let (mut runs, mut notes) = (Vec::new(), Vec::new());
        let mut failed = 0;
        let mut odd = Vec::new();
        for record in records {
            match record.to_measurement(scope, catalog) {
                Ok(run) if record.ended_well() => runs.push(run),
                Ok(_) => failed += 1,
                Err(_) if record.closed().is_ok() && !record.ended_well() => failed += 1,
                Err(error) => odd.push(error.to_string()),
            }
        }
        if failed > 0 {
            notes.push(format!("{failed} records of commands that did not end well were left out"));
        }
        if let Some(first) = odd.first() {
            notes.push(format!("{} records are no runs, the first because {first}", odd.len()));
        }
        if runs.is_empty() {
            let why = match notes.as_slice() {
                [] => "it has no records, which are folders with a run.json".to_owned(),
                _ => notes.join("; "),
            };
            return Err(Error::Data(format!("no run is there: {why}")).at(Location::file(name)));
        }
        for (line, run) in (2..).zip(&mut runs) {
            run.line = line;
        }
        let digest = super::digest(to_csv(&runs)?.as_bytes());
        Ok(Self { name: name.to_owned(), digest, runs, notes, absent: Vec::new() })
    }

    /// Runs whose energy is assumed, all or in part, and not measured.
    pub fn energies_assumed(&self) -> usize {
        let is_assumed = |meter: &Option<String>| {
            meter.as_ref().is_some_and(|m| m.split(' ').any(|word| word.ends_with(":assumed")))
        };
        self.runs.iter().filter(|run| is_assumed(&run.meter)).count()
    }

    /// A sentence on energies that are assumed and not measured, where there are any.
    pub fn assumed(&self) -> Option<String> {
        let assumed = self.energies_assumed();
        (assumed > 0).then(|| {
            format!(
                "in {assumed} of {} runs energy is assumed, all or in part: a constant power that was stated, times the time \
                 that was measured",
                self.runs.len()
            )
        })
    }
}
