//! Columns of a run table by name: wattlaw's own, known aliases, and any other by a column map.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::map::{Case, ColumnMap, Pattern, Rule};
use super::names::{aliases, job_columns, names};
use crate::base::csv_text;
use crate::base::error::{Error, Location, Result};
use crate::base::scope::{Covers, Scope};
use crate::base::units::{Joules, Seconds};
use crate::data::measurement::{Measurement, task_name};
use crate::job::JobSpec;
use crate::job::catalog::Catalog;
use crate::job::fields::{Field, FieldKind};
use crate::job::parallelism::{DataParallel, Strategy, TensorScope};

/// Range of plausible numbers; products of several stay within floating point.
const MIN: f64 = 1e-30;
const MAX: f64 = 1e30;

/// Required columns; a model in the catalogue supplies the shape.
const NEEDED: [(&str, &str); 5] = [
    ("family", "model"),
    ("gpu", "gpu"),
    ("gpus", "gpus"),
    ("layers", "model"),
    ("hidden_size", "model"),
];

/// The result of a reader: the rows, notes, and job columns that no row fills.
pub(super) struct Read {
    pub runs: Vec<Measurement>,
    pub notes: Vec<String>,
    pub absent: Vec<&'static str>,
}

/// Reads the rows that `keep` selects by their cells.
pub(super) fn read(
    bytes: &[u8],
    file: &str,
    map: Option<&ColumnMap>,
    keep: impl Fn(&csv::StringRecord) -> bool,
) -> Result<Read> {
    let mut reader = csv_text::reader(bytes, file)?;
    let headers = reader.headers().map_err(|e| csv_text::syntax(&e, file))?.clone();
    if headers.iter().all(str::is_empty) {
        return Err(Error::Data("the file is empty; a run table begins with a header".into())
            .at(Location::file(file)));
    }
    let layout = Layout::new(&headers, map).map_err(|e| e.at(Location::line(file, 1)))?;
    let (mut runs, mut shapeless) = (Vec::new(), Vec::new());
    let mut shapes = Shapes(None);
    for record in reader.records() {
        let record = csv_text::plain(record.map_err(|e| csv_text::syntax(&e, file))?);
        if !keep(&record) {
            continue;
        }
        let line = record.position().map_or(0, csv::Position::line);
        let cells = Cells { layout: &layout, record: &record };
        match cells.run(line, &mut shapes).map_err(|e| e.at(Location::line(file, line)))? {
            Row::Run(run) => runs.push(*run),
            Row::Shapeless(why) => shapeless.push((line, why)),
        }
    }
    let mut notes = layout.notes;
    if let Some((line, why)) = shapeless.first() {
        notes.push(format!(
            "{} rows were left out, since their model has no known shape; the first is line {line}: {why}",
            shapeless.len()
        ));
    }
    Ok(Read { runs, notes, absent: layout.absent })
}

/// The rule for each column of a run table in another table.
struct Layout {
    rules: BTreeMap<&'static str, Rule>,
    cases: Vec<Case>,
    notes: Vec<String>,
    absent: Vec<&'static str>,
}

impl Layout {
    fn new(headers: &csv::StringRecord, map: Option<&ColumnMap>) -> Result<Self> {
        let named = |name: &str| headers.iter().position(|h| h == name);
        csv_text::once(headers)?;
        let mut rules = BTreeMap::new();
        for own in names() {
            // the map takes precedence over a column of the same name
            let mapped = map.and_then(|m| m.columns.get(own));
            let constant = map.and_then(|m| m.constants.get(own));
            let found = match (mapped, constant) {
                (Some(theirs), _) => Some(Rule::from_column(theirs, headers)?),
                (None, Some(value)) => Some(Rule::constant(value)),
                (None, None) => named(own)
                    .or_else(|| aliases(own).iter().find_map(|a| named(a)))
                    .map(Rule::Column),
            };
            if let Some(rule) = found {
                rules.insert(own, rule);
            }
        }
        let cases =
            map.map_or(Ok(Vec::new()), |m| m.cases(headers, &names().collect::<Vec<_>>()))?;
        let has = |column: &str| {
            rules.contains_key(column) || cases.iter().any(|(_, _, own)| own.contains_key(column))
        };
        for (needed, or) in NEEDED {
            if !has(needed) && !has(or) {
                return Err(Error::missing(
                    format!("column `{needed}`"),
                    "a run table needs it; map other names with --map",
                ));
            }
        }
        let of_cases = cases.iter().flat_map(|(at, _, own)| {
            std::iter::once(*at).chain(own.values().flat_map(Rule::columns))
        });
        let used: Vec<usize> = rules.values().flat_map(Rule::columns).chain(of_cases).collect();
        let unused: Vec<&str> = headers
            .iter()
            .enumerate()
            .filter(|(i, h)| !h.is_empty() && !used.contains(i))
            .map(|(_, h)| h)
            .collect();
        let mut notes = Vec::new();
        if !unused.is_empty() {
            notes.push(format!("columns not used: {}", unused.join(", ")));
        }
        let absent =
            job_columns().map(|field| field.column).filter(|column| !has(column)).collect();
        Ok(Self { rules, cases, notes, absent })
    }
}

/// The result of a row.
enum Row {
    /// A measurement.
    Run(Box<Measurement>),
    /// A model that is in no catalogue and has no shape in the row.
    Shapeless(Error),
}

/// Shapes of models by name; the built-in catalogue is read when the first is needed.
struct Shapes(Option<Catalog>);

impl Shapes {
    /// The description of a job with its model's shape written out.
    fn fill(&mut self, mut job: JobSpec) -> Result<JobSpec> {
        let model = &job.model;
        let whole = model.family.is_some() && model.layers.is_some() && model.hidden_size.is_some();
        if whole || model.name.is_none() {
            return Ok(job);
        }
        let catalog = match self.0.take() {
            Some(catalog) => catalog,
            None => Catalog::built_in()?,
        };
        let shape = catalog.architecture(model)?.spec();
        self.0 = Some(catalog);
        job.model = job.model.with_fallback(shape);
        Ok(job)
    }
}

/// The cells of one row, by the columns of a run table.
struct Cells<'a> {
    layout: &'a Layout,
    record: &'a csv::StringRecord,
}

impl Cells<'_> {
    /// The rule for a column in this row.
    fn rule(&self, column: &str) -> Option<&Rule> {
        let is_case = |(at, values, own): &&(usize, Pattern, BTreeMap<&'static str, Rule>)| {
            own.contains_key(column)
                && self.record.get(*at).is_some_and(|cell| values.matches(cell))
        };
        // `*` sorts before letters and digits, so the last pattern is the most exact
        let case = self.layout.cases.iter().rfind(is_case).map(|(_, _, own)| own);
        case.unwrap_or(&self.layout.rules).get(column)
    }

    /// The cell's text; `None` where the column or the cell is absent.
    fn text(&self, column: &str) -> Option<String> {
        self.rule(column)?.text(self.record)
    }

    fn is_product(&self, column: &str) -> bool {
        matches!(self.rule(column), Some(Rule::Product(_)))
    }

    fn number(&self, column: &str) -> Result<Option<f64>> {
        let Some(text) = self.text(column) else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(x) if (MIN..=MAX).contains(&x) => Ok(Some(x)),
            _ => Err(Error::invalid(
                format!("column `{column}`"),
                format!("`{text}`"),
                "it must be a positive number",
            )),
        }
    }

    /// A standard deviation; zero is accepted.
    fn deviation(&self, column: &str) -> Result<Option<Joules>> {
        match self.text(column).map(|text| text.parse::<f64>()) {
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

    fn word<T: FromStr<Err = Error>>(&self, column: &str) -> Result<Option<T>> {
        self.text(column).map(|text| text.parse()).transpose()
    }

    /// Reads a field of the job as its own list has it.
    fn field(&self, field: &Field, job: &mut JobSpec) -> Result<()> {
        let column = field.column;
        // numbers of a run are positive, except those that may be zero
        let may_be_zero = ["padding_share", "token_types", "classes", "carbon_g_per_kwh"];
        let positive = !may_be_zero.contains(&column) && !column.starts_with("price_");
        let text = match field.kind {
            // a quotient of rounded numbers is only nearly a whole number
            FieldKind::Whole if self.is_product(column) => {
                self.number(column)?.map(|x| x.round().max(1.0).to_string())
            }
            FieldKind::Whole if positive => self.count(column)?.map(|n| n.to_string()),
            FieldKind::Number if positive => self.number(column)?.map(|x| x.to_string()),
            _ => self.text(column),
        };
        match text {
            Some(text) => field.set_from_column(job, &text),
            None => Ok(()),
        }
    }

    fn run(&self, line: u64, shapes: &mut Shapes) -> Result<Row> {
        for needed in ["gpu", "gpus"] {
            if self.text(needed).is_none() {
                return Err(Error::missing(format!("column `{needed}`"), "the cell is empty"));
            }
        }
        let mut job = JobSpec::default();
        let by_hand = ["seq_len", "tokens", "steps", "epochs", "examples", "task"];
        for field in job_columns().filter(|field| !by_hand.contains(&field.column)) {
            self.field(field, &mut job)?;
        }
        let step_time = self.number("step_time_s")?;
        let seq_len = self.number("seq_len")?;
        job.workload.seq_len = seq_len.map(|x| (x.round() as u64).max(1));
        let tokens = self.amount(seq_len, step_time.is_some(), &mut job)?;
        let dataset = self.task(&mut job);
        let max_seq_len = self.count("max_seq_len")?;
        if job.model.max_positions.is_none() {
            job.model.max_positions = max_seq_len.map(|n| n.max(512));
        }
        self.strategy(&mut job);
        let job = match shapes.fill(job) {
            Ok(job) => job,
            Err(why) => return Ok(Row::Shapeless(why)),
        };
        for (column, value) in [
            ("family", job.model.family.is_some()),
            ("layers", job.model.layers.is_some()),
            ("hidden_size", job.model.hidden_size.is_some()),
        ] {
            if !value {
                return Err(Error::missing(format!("column `{column}`"), "the cell is empty"));
            }
        }
        let run_id = self.text("run_id").unwrap_or_else(|| line.to_string());
        let whole = self.number("duration_s")?;
        let duration = whole.or(step_time).map(Seconds::new);
        let (energy, kwh) = self.energy(duration, job.system.gpus)?;
        Ok(Row::Run(Box::new(Measurement {
            line,
            dataset,
            max_seq_len,
            mean_seq_len: seq_len.filter(|x| x.fract() != 0.0),
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
            meter: self.text("meter"),
            baseline_duration: self.number("baseline_duration_s")?.map(Seconds::new),
            memory_proxy: self.number("memory_proxy")?,
            median_epochs: match job.workload.epochs {
                None => self.number("epochs")?,
                Some(_) => None,
            },
            n_runs: self.count("n_runs")?,
            peak_memory_gib: self.number("peak_memory_gib")?,
            outcome: self.text("outcome"),
            ..Measurement::new(run_id, job)?
        })))
    }

    /// Reads the amount of training into the job, and returns the trained tokens.
    ///
    /// `tokens_done` has the counted tokens. Without it `tokens` counts, as in schema 1; a table of step times has one
    /// step.
    fn amount(
        &self,
        seq_len: Option<f64>,
        one_step: bool,
        job: &mut JobSpec,
    ) -> Result<Option<f64>> {
        let global_batch = self.number("global_batch")?;
        let stated = self.number("tokens")?;
        let steps = self.text("steps");
        let has_batch = self.layout.rules.contains_key("global_batch");
        let tokens = match stated {
            None if (one_step || has_batch) && steps.is_none() => {
                global_batch.zip(seq_len).map(|(batch, seq)| batch * seq)
            }
            tokens => tokens,
        };
        let workload = &mut job.workload;
        if let Some(tokens) = tokens {
            // epochs beside tokens only state how often the data were seen
            workload.tokens = Some(crate::base::amount::Count::new((tokens.round() as u64).max(1)));
        } else {
            let amounts = ["steps", "epochs", "examples"];
            let with_data = self.text("examples").is_some();
            for field in job_columns().filter(|field| amounts.contains(&field.column)) {
                if field.column != "epochs" || with_data {
                    self.field(field, job)?;
                }
            }
        }
        match self.text("tokens_done").as_deref() {
            // planned but not counted
            Some("0") => Ok(None),
            Some(_) => self.number("tokens_done"),
            None => Ok(tokens),
        }
    }

    /// Reads the task into the job, by its name or from a known data set; returns the data's name.
    fn task(&self, job: &mut JobSpec) -> Option<String> {
        let dataset = self.text("dataset");
        let Some(word) = self.text("task") else { return dataset };
        let task = task_name(&word);
        let is_task = task.as_ref().is_some_and(|task| {
            task.replace('-', "") == word.to_lowercase().replace(['-', '_'], "")
        });
        job.workload.task = task;
        dataset.or_else(|| (!is_task).then_some(word))
    }

    /// Fills in the strategy of schema 1: a run on one GPU has none, and `tp` without a degree is the study's, which
    /// split the feed-forward block only.
    fn strategy(&self, job: &mut JobSpec) {
        let split = &mut job.parallelism;
        if job.system.gpus == Some(1) {
            split.strategy = None;
        } else if let Some(Strategy {
            tensor: Some(TensorScope::Blocks),
            data: DataParallel::Single,
            ..
        }) = split.strategy
            && split.tp.is_none()
        {
            split.tensor_scope.get_or_insert(TensorScope::Mlp);
        }
    }

    /// The energy in joules, and in kWh as the table has it.
    fn energy(
        &self,
        duration: Option<Seconds>,
        gpus: Option<u64>,
    ) -> Result<(Option<Joules>, Option<f64>)> {
        let kwh = self.number("energy_kwh")?;
        if let Some(energy) = self.number("energy_j")? {
            return Ok((Some(Joules::new(energy)), kwh));
        }
        if let Some(kwh) = kwh {
            return Ok((Some(Joules::from_kwh(kwh)), Some(kwh)));
        }
        let total_w = match self.number("mean_power_w")? {
            Some(power_w) => Some(power_w),
            None => {
                let of_one = self.number("mean_gpu_power_w")?;
                of_one.zip(gpus).map(|(power_w, gpus)| power_w * gpus as f64)
            }
        };
        let energy = total_w.zip(duration).map(|(w, time)| Joules::new(w * time.value()));
        Ok((energy, None))
    }
}
