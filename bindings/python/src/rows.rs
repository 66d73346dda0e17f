//! Predictions of the rows of Arrow batches: a row is a job, a column one of its fields.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use wattlaw::base::error::{Error, Result};
use wattlaw::base::scope::Scope;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::fields::{Field, fields};
use wattlaw::job::{JobSpec, Resolver};
use wattlaw::predict::{ChosenJob, Estimator, Interval, Intervals};

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
pub struct Rows {
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
    ("peak_gib_per_gpu", |of| Some(of.peak_gib_per_gpu)),
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

impl Rows {
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
                return Err(Error::invalid(
                    named(name),
                    format!("of type {}", column.data_type()),
                    "it must hold text, numbers or truths",
                ));
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

    /// Predicts at most [`MAX_ROWS`] rows.
    ///
    /// # Errors
    /// A batch of another schema.
    pub fn predict(&self, batch: &RecordBatch) -> std::result::Result<RecordBatch, ArrowError> {
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
        let mut all = Answers::default();
        for part in parts {
            all.append(part);
        }
        let columns = batch.columns().iter().cloned().chain(all.finish()).collect();
        RecordBatch::try_new(self.schema(), columns)
    }

    fn part(&self, batch: &RecordBatch) -> Answers {
        let Question { law, catalog, shared, scope, level, .. } = &self.question;
        let mut estimator = Estimator::new(law);
        let mut resolver = Resolver::new(catalog);
        let mut text = String::new();
        let columns: Vec<(&Field, Cells<'_>)> = self
            .columns
            .iter()
            .filter_map(|(at, field)| Some((*field, Cells::new(batch.column(*at).as_ref())?)))
            .collect();
        let mut answers = Answers::default();
        for row in 0..batch.num_rows() {
            let mut predict = || {
                let mut spec = shared.clone();
                for (field, cells) in &columns {
                    text.clear();
                    if cells.write(row, &mut text) {
                        field.set_from_column(&mut spec, &text)?;
                    }
                }
                let job = ChosenJob::job(&spec, &mut resolver)?;
                estimator.intervals(&job, *scope, *level)
            };
            answers.push(predict());
        }
        answers
    }
}

fn named(column: &str) -> String {
    format!("column `{column}`")
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
    fn push(&mut self, answer: Result<Intervals>) {
        let (answer, error) = match answer {
            Ok(answer) => (Some(answer), None),
            Err(error) => (None, Some(error.to_string())),
        };
        for (numbers, (_, of)) in self.numbers.iter_mut().zip(&NUMBERS) {
            numbers.push(answer.as_ref().and_then(of));
        }
        self.fits.push(answer.map(|of| of.fits));
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

/// Whether the values of a type have a text.
fn has_text(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => has_text(values),
        DataType::Null
        | DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View => true,
        _ => false,
    }
}

/// The cells of a column whose values have a text.
enum Cells<'a> {
    None,
    Truth(&'a arrow_array::BooleanArray),
    Signed(Whole<'a, i64>),
    Unsigned(Whole<'a, u64>),
    Number(Whole<'a, f64>),
    Text(Whole<'a, &'a str>),
    /// Values, and the index of each row's.
    Words(Box<Cells<'a>>, &'a dyn Array, Vec<usize>),
}

/// A column, and its value in a row that has one.
struct Whole<'a, T> {
    array: &'a dyn Array,
    value: Box<dyn Fn(usize) -> T + 'a>,
}

/// The values of a primitive column in a wider type.
macro_rules! wide {
    ($array:expr, $type:ty, $wide:ty) => {{
        let values = $array.as_primitive::<$type>();
        Whole { array: $array, value: Box::new(|row| <$wide>::from(values.value(row))) }
    }};
}

impl<'a> Cells<'a> {
    /// The cells of a column; `None` for a type whose values have no text.
    fn new(array: &'a dyn Array) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Null => Self::None,
            DataType::Boolean => Self::Truth(array.as_boolean()),
            DataType::Int8 => Self::Signed(wide!(array, Int8Type, i64)),
            DataType::Int16 => Self::Signed(wide!(array, Int16Type, i64)),
            DataType::Int32 => Self::Signed(wide!(array, Int32Type, i64)),
            DataType::Int64 => Self::Signed(wide!(array, Int64Type, i64)),
            DataType::UInt8 => Self::Unsigned(wide!(array, UInt8Type, u64)),
            DataType::UInt16 => Self::Unsigned(wide!(array, UInt16Type, u64)),
            DataType::UInt32 => Self::Unsigned(wide!(array, UInt32Type, u64)),
            DataType::UInt64 => Self::Unsigned(wide!(array, UInt64Type, u64)),
            DataType::Float32 => Self::Number(wide!(array, Float32Type, f64)),
            DataType::Float64 => Self::Number(wide!(array, Float64Type, f64)),
            DataType::Utf8 => {
                let values = array.as_string::<i32>();
                Self::Text(Whole { array, value: Box::new(|row| values.value(row)) })
            }
            DataType::LargeUtf8 => {
                let values = array.as_string::<i64>();
                Self::Text(Whole { array, value: Box::new(|row| values.value(row)) })
            }
            DataType::Utf8View => {
                let values = array.as_string_view();
                Self::Text(Whole { array, value: Box::new(|row| values.value(row)) })
            }
            DataType::Dictionary(..) => {
                let words = array.as_any_dictionary_opt()?;
                let keys = words.normalized_keys();
                Self::Words(Box::new(Self::new(words.values().as_ref())?), array, keys)
            }
            _ => return None,
        })
    }

    /// Writes the text of a row's cell; `false` where it is empty.
    fn write(&self, row: usize, text: &mut String) -> bool {
        use std::fmt::Write;
        let written = match self {
            Self::None => return false,
            Self::Words(values, keys, at) => {
                return keys.is_valid(row) && at.get(row).is_some_and(|at| values.write(*at, text));
            }
            Self::Truth(of) if of.is_valid(row) => write!(text, "{}", of.value(row)),
            Self::Signed(of) if of.array.is_valid(row) => write!(text, "{}", (of.value)(row)),
            Self::Unsigned(of) if of.array.is_valid(row) => write!(text, "{}", (of.value)(row)),
            Self::Number(of) if of.array.is_valid(row) => write!(text, "{}", (of.value)(row)),
            Self::Text(of) if of.array.is_valid(row) => {
                text.push_str((of.value)(row));
                Ok(())
            }
            _ => return false,
        };
        written.is_ok() && !text.is_empty()
    }
}
