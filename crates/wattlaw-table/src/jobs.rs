//! Predictions of tables of jobs: a row is a job, a column one of its fields.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema, SchemaRef};
use wattlaw::base::error::{Error, Result};
use wattlaw::base::scope::Scope;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::fields::{Field, fields};
use wattlaw::job::{JobSpec, Resolver};
use wattlaw::predict::{ChosenJob, Estimator, Interval, Intervals};

use crate::cells::Cells;
use crate::columns::{has_text, named, without_text};
use crate::shapes::Shapes;

/// Rows that a thread predicts at least, so that starting it is worth its time.
const MIN_ROWS: usize = 4096;

/// Rows that are predicted at once: memory and the time to Ctrl-C are bounded by them.
pub const MAX_ROWS: usize = 1 << 15;

/// What the rows of a table are asked.
#[derive(Debug)]
pub struct Question {
    /// The law that answers.
    pub law: Arc<wattlaw::Calibration>,
    /// The catalogue.
    pub catalog: Arc<Catalog>,
    /// Fields that all rows share.
    pub shared: JobSpec,
    /// What the energy covers; `None` for what the law was fitted on.
    pub scope: Option<Scope>,
    /// Confidence level of the intervals.
    pub level: f64,
    /// Threads.
    pub threads: usize,
    /// What the names of the answer's columns begin with.
    pub prefix: String,
}

/// Predicts batches of one schema.
#[derive(Debug)]
pub struct Jobs {
    question: Question,
    /// Columns that are fields of a job, in the order of the fields, by index.
    columns: Vec<(usize, &'static Field)>,
    schema: SchemaRef,
}

/// Numbers of an answer: the column, and its value.
type Number = (&'static str, fn(&Intervals) -> Option<f64>);

const NUMBERS: [Number; 12] = [
    ("energy_j", |of| of.energy_j.map(estimate)),
    ("energy_lower_j", |of| of.energy_j.map(lower)),
    ("energy_upper_j", |of| of.energy_j.map(upper)),
    ("duration_s", |of| of.duration_s.map(estimate)),
    ("duration_lower_s", |of| of.duration_s.map(lower)),
    ("duration_upper_s", |of| of.duration_s.map(upper)),
    ("mean_power_w", |of| of.mean_power_w.map(estimate)),
    ("mean_power_lower_w", |of| of.mean_power_w.map(lower)),
    ("mean_power_upper_w", |of| of.mean_power_w.map(upper)),
    ("carbon_g", |of| of.carbon_g.map(estimate)),
    ("cost", |of| of.cost.map(estimate)),
    ("peak_gib_per_gpu", |of| Some(of.peak.gib_per_gpu)),
];

/// The columns after the numbers: whether the job fits in memory, where the estimate comes from, and what is wrong with the row.
const FITS: &str = "fits";
const KIND: &str = "kind";
const ERROR: &str = "error";

const fn estimate(of: Interval) -> f64 {
    of.estimate
}

const fn lower(of: Interval) -> f64 {
    of.lower
}

const fn upper(of: Interval) -> f64 {
    of.upper
}

impl Jobs {
    /// Prepares for tables of a schema. Columns that are no field of a job must be among `kept`, so that a misspelt one is not
    /// overlooked.
    ///
    /// # Errors
    /// A column that is neither; of a type without text; that stands twice, is given for all rows, or has the name of an answer; no
    /// column of a job.
    pub fn new(question: Question, schema: &Schema, kept: &[String]) -> Result<Self> {
        let mut columns = Vec::new();
        for name in kept {
            if schema.column_with_name(name).is_none() {
                let names = schema.fields().iter().map(|of| of.name().as_str());
                return Err(Error::unknown("column", name, names));
            }
        }
        for (at, column) in schema.fields().iter().enumerate() {
            let name = column.name();
            if schema.index_of(name).ok() != Some(at) {
                return Err(Error::invalid(named(name), "there twice", "a name stands once"));
            }
            if kept.contains(name) {
                continue;
            }
            let Some(field) = fields().find(|field| field.column == name) else {
                let names = fields().map(|field| field.column);
                let Error::Unknown { what, name, accepted } = Error::unknown("column", name, names)
                else {
                    continue;
                };
                let accepted = format!("{accepted}; or name it in keep to carry it along");
                return Err(Error::Unknown { what, name, accepted });
            };
            if !has_text(column.data_type()) {
                return Err(without_text(name, column.data_type()));
            }
            if field.column == "config" {
                return Err(Error::invalid(
                    named(name),
                    "a file a row",
                    "a table describes models by name or by shape",
                ));
            }
            if (field.get)(&question.shared).is_some() {
                return Err(Error::invalid(named(name), "also given for all rows", "give it once"));
            }
            columns.push((at, field));
        }
        if columns.is_empty() {
            return Err(Error::missing(
                "a column of a job",
                "such as model, gpu, gpus, micro_batch and tokens",
            ));
        }
        let order = |wanted: &Field| fields().position(|field| field.column == wanted.column);
        columns.sort_by_key(|(_, field)| order(field));
        let answers = answers(&question.prefix);
        for answer in &answers {
            if schema.column_with_name(answer.name()).is_some() {
                return Err(Error::invalid(
                    named(answer.name()),
                    "there already",
                    "the answer has a column of this name; give a prefix, such as predicted_",
                ));
            }
        }
        let all = schema.fields().iter().map(|field| field.as_ref().clone()).chain(answers);
        let metadata = schema.metadata().clone();
        let schema = Arc::new(Schema::new_with_metadata(all.collect::<Vec<_>>(), metadata));
        Ok(Self { question, columns, schema })
    }

    /// The schema of the answer: the table's columns, then those of the prediction.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Predicts at most `MAX_ROWS` rows.
    ///
    /// # Errors
    /// A batch of another schema.
    pub fn predict(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let threads = self.question.threads.min(rows / MIN_ROWS).max(1);
        let each = rows.div_ceil(threads).max(1);
        let starts: Vec<usize> = (0..rows).step_by(each).collect();
        let parts: Vec<Answers> = match starts.as_slice() {
            [] | [_] => vec![self.part(batch)],
            several => std::thread::scope(|scope| {
                let slices =
                    several.iter().map(|start| batch.slice(*start, each.min(rows - start)));
                let threads: Vec<_> =
                    slices.map(|slice| scope.spawn(move || self.part(&slice))).collect();
                threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
            }),
        };
        let mut parts = parts.into_iter();
        let mut all = parts.next().unwrap_or_default();
        parts.for_each(|part| all.append(part));
        let columns = batch.columns().iter().cloned().chain(all.finish()).collect();
        RecordBatch::try_new(self.schema(), columns).map_err(|e| Error::Data(e.to_string()))
    }

    fn part(&self, batch: &RecordBatch) -> Answers {
        let Question { law, catalog, shared, scope, level, .. } = &self.question;
        let mut estimator = Estimator::new(law);
        let mut resolver = Resolver::new(catalog);
        let columns = self
            .columns
            .iter()
            .filter_map(|(at, field)| Some((*field, Cells::new(batch.column(*at).as_ref())?)));
        let mut shapes = Shapes::new(shared, columns.collect());
        let mut answers = Answers::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            answers.push(match shapes.find(row) {
                Some(known) => {
                    known.and_then(|(job, peak)| estimator.intervals_at(job, peak, *scope, *level))
                }
                None => shapes.spec(row).and_then(|spec| {
                    let job = ChosenJob::job(&spec, &mut resolver)?;
                    let answer = estimator.intervals(&job, *scope, *level)?;
                    shapes.keep(&spec, job, answer.peak);
                    Ok(answer)
                }),
            });
        }
        answers
    }
}

/// The fields of the answer.
fn answers(prefix: &str) -> Vec<arrow_schema::Field> {
    let of = |name: &str, kind: DataType| {
        arrow_schema::Field::new(format!("{prefix}{name}"), kind, true)
    };
    let numbers = NUMBERS.iter().map(|(name, _)| of(name, DataType::Float64));
    numbers
        .chain([of(FITS, DataType::Boolean), of(KIND, DataType::Utf8), of(ERROR, DataType::Utf8)])
        .collect()
}

/// The answers of rows, by column.
#[derive(Debug, Default)]
struct Answers {
    numbers: [Vec<Option<f64>>; NUMBERS.len()],
    fits: Vec<Option<bool>>,
    kind: Vec<Option<&'static str>>,
    error: Vec<Option<String>>,
}

impl Answers {
    fn with_capacity(rows: usize) -> Self {
        Self {
            numbers: std::array::from_fn(|_| Vec::with_capacity(rows)),
            fits: Vec::with_capacity(rows),
            kind: Vec::with_capacity(rows),
            error: Vec::with_capacity(rows),
        }
    }

    fn push(&mut self, answer: Result<Intervals>) {
        let (answer, error) = match answer {
            Ok(answer) => (Some(answer), None),
            Err(error) => (None, Some(error.to_string())),
        };
        for (numbers, (_, of)) in self.numbers.iter_mut().zip(&NUMBERS) {
            numbers.push(answer.as_ref().and_then(of));
        }
        self.fits.push(answer.map(|of| of.peak.fits));
        self.kind.push(answer.map(|of| of.kind.name()));
        self.error.push(error);
    }

    fn append(&mut self, mut next: Self) {
        for (all, more) in self.numbers.iter_mut().zip(&mut next.numbers) {
            all.append(more);
        }
        self.fits.append(&mut next.fits);
        self.kind.append(&mut next.kind);
        self.error.append(&mut next.error);
    }

    fn finish(self) -> Vec<ArrayRef> {
        let mut columns: Vec<ArrayRef> = Vec::new();
        for numbers in self.numbers {
            let mut column = Float64Builder::with_capacity(numbers.len());
            numbers.into_iter().for_each(|number| column.append_option(number));
            columns.push(Arc::new(column.finish()));
        }
        let mut fits = BooleanBuilder::new();
        self.fits.into_iter().for_each(|truth| fits.append_option(truth));
        let (mut kind, mut error) = (StringBuilder::new(), StringBuilder::new());
        self.kind.into_iter().for_each(|word| kind.append_option(word));
        self.error.into_iter().for_each(|sentence| error.append_option(sentence));
        columns.push(Arc::new(fits.finish()));
        columns.push(Arc::new(kind.finish()));
        columns.push(Arc::new(error.finish()));
        columns
    }
}

/// A table whose rows are predicted as they are read.
pub struct Predicted {
    jobs: Jobs,
    source: Box<dyn Iterator<Item = Result<RecordBatch>> + Send>,
    /// Slices of the last batch that was read.
    waiting: VecDeque<RecordBatch>,
}

impl Predicted {
    /// The predictions of batches of the schema for which `jobs` was prepared.
    pub fn new(
        jobs: Jobs,
        source: impl Iterator<Item = Result<RecordBatch>> + Send + 'static,
    ) -> Self {
        Self { jobs, source: Box::new(source), waiting: VecDeque::new() }
    }

    /// The schema of the answer.
    pub fn schema(&self) -> SchemaRef {
        self.jobs.schema()
    }
}

impl Iterator for Predicted {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.waiting.is_empty() {
            let batch = match self.source.next()? {
                Ok(batch) => batch,
                Err(error) => return Some(Err(error)),
            };
            let starts = (0..batch.num_rows()).step_by(MAX_ROWS);
            self.waiting
                .extend(starts.map(|at| batch.slice(at, MAX_ROWS.min(batch.num_rows() - at))));
        }
        Some(self.jobs.predict(&self.waiting.pop_front()?))
    }
}

/// Counts the rows of answers, and those that are no valid job.
#[derive(Debug)]
pub struct RowErrors {
    column: String,
    rows: usize,
    wrong: usize,
    first: Option<(usize, String)>,
}

impl RowErrors {
    /// Begins to count the answers whose columns have this prefix.
    pub fn new(prefix: &str) -> Self {
        Self { column: format!("{prefix}{ERROR}"), rows: 0, wrong: 0, first: None }
    }

    /// Counts the rows of an answer.
    pub fn count(&mut self, answer: &RecordBatch) {
        let errors = answer.column_by_name(&self.column).and_then(|of| of.as_string_opt::<i32>());
        let wrong = errors.map_or(0, |of| of.len() - of.null_count());
        if let (None, Some(errors), 1..) = (&self.first, errors, wrong) {
            let found = errors.iter().enumerate().find_map(|(at, text)| Some((at, text?)));
            self.first = found.map(|(at, text)| (self.rows + at + 1, text.to_owned()));
        }
        self.rows += answer.num_rows();
        self.wrong += wrong;
    }

    /// The number of rows.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// The number of rows that are no valid job.
    pub const fn wrong(&self) -> usize {
        self.wrong
    }

    /// The first row that is no valid job, counted from one, and what is wrong with it.
    pub fn first(&self) -> Option<(usize, &str)> {
        self.first.as_ref().map(|(row, sentence)| (*row, sentence.as_str()))
    }
}
