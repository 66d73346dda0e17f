//! Builds a dataset from records.

use super::{Dataset, to_csv};
use crate::base::error::{Error, Location, Result};
use crate::base::scope::Scope;
use crate::job::catalog::Catalog;
use crate::record::document::Record;
use crate::record::overlap::{CountedOnce, counted_once};

impl Dataset {
    /// The runs of successful records, in order; `scope` selects the energy where records have several.
    ///
    /// Records of commands that failed or were stopped, records without a complete job, and records that share energy with
    /// another one are left out; the notes list them.
    ///
    /// # Errors
    /// [`Error::Data`] where no run is left, with the reason for the first record.
    pub fn from_records(
        records: &[Record],
        name: &str,
        scope: Option<Scope>,
        catalog: &Catalog,
    ) -> Result<Self> {
        let (mut runs, mut notes) = (Vec::new(), Vec::new());
        let mut failed = 0;
        let mut odd = Vec::new();
        let mut contradicted = Vec::new();
        let CountedOnce { records, notes: overlaps } = counted_once(records);
        notes.extend(overlaps.into_iter().map(|note| note.text));
        let shared = records.iter().filter(|counted| counted.reduced).count();
        if shared > 0 {
            notes.push(format!(
                "{shared} records share energy with another record and were left out"
            ));
        }
        for record in records.iter().filter(|c| !c.reduced).map(|counted| &counted.record) {
            match record.to_measurement(scope, catalog) {
                Ok(run) if record.ended_well() => {
                    let model = record.gpu_mismatch(catalog).and_then(|mismatch| mismatch.model);
                    contradicted.extend(model.map(|model| (record.id.clone(), model)));
                    runs.push(run);
                }
                Ok(_) => failed += 1,
                Err(_) if record.closed().is_ok() && !record.ended_well() => failed += 1,
                Err(error) => odd.push(error.to_string()),
            }
        }
        if failed > 0 {
            notes.push(format!("{failed} records of failed commands were left out"));
        }
        if let Some(first) = odd.first() {
            notes.push(format!("{} records are not runs; the first because {first}", odd.len()));
        }
        if let Some((id, model)) = contradicted.first() {
            notes.push(format!(
                "{} records state another GPU than the driver, which counts; the first is {id}: {} for {}",
                contradicted.len(),
                model.stated,
                model.measured
            ));
        }
        if runs.is_empty() {
            let why = match notes.as_slice() {
                [] => "there are no records (folders with a run.json)".to_owned(),
                _ => notes.join("; "),
            };
            return Err(Error::Data(format!("no runs found: {why}")).at(Location::file(name)));
        }
        for (line, run) in (2..).zip(&mut runs) {
            run.line = line;
        }
        let digest = super::digest(to_csv(&runs)?.as_bytes());
        Ok(Self { name: name.to_owned(), digest, runs, notes, absent: Vec::new() })
    }

    /// Number of runs whose energy is assumed, wholly or in part, and not measured.
    pub(crate) fn energies_assumed(&self) -> usize {
        let is_assumed = |meter: &Option<String>| {
            meter.as_ref().is_some_and(|m| m.split(' ').any(|word| word.ends_with(":assumed")))
        };
        self.runs.iter().filter(|run| is_assumed(&run.meter)).count()
    }

    /// A sentence on assumed energies, where there are any.
    pub fn assumed(&self) -> Option<String> {
        let assumed = self.energies_assumed();
        (assumed > 0).then(|| {
            format!(
                "in {assumed} of {} runs the energy is assumed, wholly or in part: a stated constant power times the time \
                 that was measured",
                self.runs.len()
            )
        })
    }
}
