//! Rows that differ in the amount of training alone are one job: it is resolved once, and its memory counted once.

use rustc_hash::FxHashMap;
use wattlaw::base::error::Result;
use wattlaw::job::fields::Field;
use wattlaw::job::{Job, JobSpec};
use wattlaw::predict::Peak;

use crate::cells::Cells;

/// Columns that say the amount of training.
const AMOUNT: [&str; 4] = ["tokens", "steps", "epochs", "examples"];

/// Jobs that are kept at most; a table with more different ones gains little by keeping them.
const MAX_KEPT: usize = 4096;

type Column<'a> = (&'static Field, Cells<'a>);

/// Jobs of the rows of a table, by all that they state but the amount of training.
pub(crate) struct Shapes<'a> {
    shared: &'a JobSpec,
    columns: Vec<Column<'a>>,
    /// The description of a row's amount; its other fields are those that all rows share.
    amount: JobSpec,
    known: FxHashMap<Vec<u8>, (Job, Peak)>,
    /// What the last row that was looked for states, cell by cell, each followed by its length.
    stated: Vec<u8>,
    text: String,
}

fn is_amount(field: &Field) -> bool {
    AMOUNT.contains(&field.column)
}

impl<'a> Shapes<'a> {
    /// Of no row yet. `shared` holds what all rows state, `columns` what each does, in the order of the fields.
    pub(crate) fn new(shared: &'a JobSpec, columns: Vec<Column<'a>>) -> Self {
        Self {
            shared,
            columns,
            amount: shared.clone(),
            known: FxHashMap::default(),
            stated: Vec::new(),
            text: String::new(),
        }
    }

    /// The job of a row and its memory, where a row that differs in the amount alone was kept.
    ///
    /// # Errors
    /// A wrong amount.
    pub(crate) fn find(&mut self, row: usize) -> Option<Result<(&Job, Peak)>> {
        let Self { shared, columns, amount, known, stated, text } = self;
        stated.clear();
        for (_, cells) in columns.iter().filter(|(field, _)| !is_amount(field)) {
            text.clear();
            cells.write(row, text);
            stated.extend_from_slice(text.as_bytes());
            stated.extend_from_slice(&text.len().to_le_bytes());
        }
        let (job, peak) = known.get_mut(stated)?;
        for (field, cells) in columns.iter().filter(|(field, _)| is_amount(field)) {
            (field.copy)(amount, shared);
            if let Err(error) = set(amount, field, cells, row, text) {
                return Some(Err(error));
            }
        }
        Some(amount.workload.amount().map(|amount| {
            job.workload.amount = amount;
            (&*job, *peak)
        }))
    }

    /// The description of a row.
    ///
    /// # Errors
    /// A cell that is no value of its field.
    pub(crate) fn spec(&mut self, row: usize) -> Result<JobSpec> {
        let mut spec = self.shared.clone();
        for (field, cells) in &self.columns {
            set(&mut spec, field, cells, row, &mut self.text)?;
        }
        Ok(spec)
    }

    /// Keeps the job of the row that was looked for last.
    pub(crate) fn keep(&mut self, spec: &JobSpec, job: Job, peak: Peak) {
        // an open micro-batch is chosen by the amount too
        if spec.workload.states_micro_batch() && self.known.len() < MAX_KEPT {
            self.known.insert(self.stated.clone(), (job, peak));
        }
    }
}

/// Reads a cell into a description.
fn set(
    spec: &mut JobSpec,
    field: &Field,
    cells: &Cells<'_>,
    row: usize,
    text: &mut String,
) -> Result<()> {
    text.clear();
    match cells.write(row, text) {
        true => field.set_from_column(spec, text),
        false => Ok(()),
    }
}
