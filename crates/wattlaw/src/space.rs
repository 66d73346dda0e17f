//! A space of jobs: a job file in which any field may have several values, and the jobs that they combine to.

use serde::Deserialize;
use toml::{Table, Value};

use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::job::{Job, JobSpec};
use crate::memory::Memory;
use crate::toml_text;

/// The most values of one field, so that a range with a tiny step is refused before it is written out.
const MOST_VALUES: usize = 10_000;

/// A field with several values.
#[derive(Debug, Clone, PartialEq)]
struct Axis {
    table: String,
    field: String,
    values: Vec<Value>,
}

/// A job file with lists and ranges in place of values; each combination is a point.
///
/// ```
/// use wattlaw::catalog::Catalog;
/// use wattlaw::space::Space;
///
/// let space = Space::from_toml(
///     r#"
///     [model]
///     family = "bert"
///     layers = { from = 2, to = 8, step = 2 }
///     hidden_size = [256, 512]
///     [workload]
///     steps = 100
///     seq_len = 128
///     micro_batch = 16
///     [system]
///     gpu = "t4"
///     "#,
/// )?;
/// assert_eq!(space.points(), 8);
/// let jobs = space.jobs(&Catalog::built_in()?, 1000, 0)?;
/// assert_eq!(jobs.kept.len(), 8);
/// # Ok::<(), wattlaw::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    fixed: Table,
    axes: Vec<Axis>,
}

/// The jobs of a space, and what became of its other points.
#[derive(Debug, Clone, PartialEq)]
pub struct Jobs {
    /// Those that can run, in the order of the grid.
    pub kept: Vec<Job>,
    /// Points of the grid.
    pub points: u64,
    /// Points that were looked at: all, or as many as were drawn.
    pub looked_at: usize,
    /// Points that are no job, such as heads that do not divide the width.
    pub invalid: usize,
    /// Why the first of them is none.
    pub first_invalid: Option<String>,
    /// Jobs that are predicted not to fit in memory.
    pub too_large: usize,
}

/// A range of numbers, its ends included.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    from: f64,
    to: f64,
    step: Option<f64>,
    times: Option<f64>,
}

impl Space {
    /// Reads a space file.
    ///
    /// # Errors
    /// [`Error::Syntax`] with line and column; [`Error::Invalid`] for a list without values, a range that ends before it
    /// begins, or a field that no job has.
    pub fn from_toml(text: &str) -> Result<Self> {
        let mut fixed: Table = toml_text::parse(text)?;
        let mut axes = Vec::new();
        for (name, table) in &mut fixed {
            let Value::Table(table) = table else { continue };
            for (field, value) in table.iter_mut() {
                if let Some(values) = values(&format!("{name}.{field}"), value)? {
                    *value = values[0].clone();
                    axes.push(Axis { table: name.clone(), field: field.clone(), values });
                }
            }
        }
        let space = Self { fixed, axes };
        if space.count().is_none() {
            return Err(Error::invalid(
                "the space",
                "more than 9·10¹⁸ points",
                "leave out values of some fields",
            ));
        }
        space.spec(0)?;
        Ok(space)
    }

    fn count(&self) -> Option<u64> {
        self.axes.iter().try_fold(1_u64, |n, axis| {
            n.checked_mul(axis.values.len() as u64).filter(|n| *n < 1 << 63)
        })
    }

    /// Points of the grid, valid or not.
    pub fn points(&self) -> u64 {
        self.count().unwrap_or(u64::MAX)
    }

    /// The description at a point of the grid, the last field varying fastest.
    fn spec(&self, mut point: u64) -> Result<JobSpec> {
        let mut table = self.fixed.clone();
        for axis in self.axes.iter().rev() {
            let count = axis.values.len() as u64;
            if let Some(Value::Table(inner)) = table.get_mut(&axis.table) {
                inner.insert(axis.field.clone(), axis.values[(point % count) as usize].clone());
            }
            point /= count;
        }
        table.try_into().map_err(|e: toml::de::Error| Error::Syntax {
            format: "space of jobs",
            message: e.message().lines().collect::<Vec<_>>().join("; "),
        })
    }

    /// The jobs of all points, or of `most` points that are drawn with a seed where there are more.
    ///
    /// # Errors
    /// [`Error::Data`] where none is a job that fits in memory, with the reason why the first is not.
    pub fn jobs(&self, catalog: &Catalog, most: usize, seed: u64) -> Result<Jobs> {
        let points = self.points();
        let looked_at = drawn(points, most, seed);
        let mut jobs = Jobs {
            kept: Vec::new(),
            points,
            looked_at: looked_at.len(),
            invalid: 0,
            first_invalid: None,
            too_large: 0,
        };
        for point in looked_at {
            match self.spec(point).and_then(|spec| spec.resolve(catalog)) {
                Ok(job) if Memory::of(&job).fits => jobs.kept.push(job),
                Ok(_) => jobs.too_large += 1,
                Err(error) => {
                    jobs.invalid += 1;
                    jobs.first_invalid.get_or_insert_with(|| error.to_string());
                }
            }
        }
        if jobs.kept.is_empty() {
            let reason = match jobs.first_invalid {
                Some(reason) => format!("{} are no jobs, the first because {reason}", jobs.invalid),
                None => "none fits in memory".to_owned(),
            };
            return Err(Error::Data(format!(
                "none of the {} points of the space that were looked at can run: {reason}",
                jobs.looked_at
            )));
        }
        Ok(jobs)
    }
}

/// All points in order, or `most` different ones in order, each as likely as any (Floyd's algorithm: Bentley and Floyd
/// 1987).
fn drawn(points: u64, most: usize, seed: u64) -> Vec<u64> {
    if points <= most as u64 {
        return (0..points).collect();
    }
    let mut generator = rand_mt::Mt64::new(seed);
    let mut chosen = std::collections::BTreeSet::new();
    for last in points - most as u64..points {
        let at = generator.next_u64() % (last + 1);
        if !chosen.insert(at) {
            chosen.insert(last);
        }
    }
    chosen.into_iter().collect()
}

/// The values of a field that has several: a list, or a table with `from` and `to`; none for a field with one value.
fn values(name: &str, value: &Value) -> Result<Option<Vec<Value>>> {
    match value {
        Value::Array(list) if list.is_empty() => {
            Err(Error::invalid(name, "an empty list", "it must have a value or more"))
        }
        Value::Array(list) if list.len() > MOST_VALUES => Err(too_many(name, list.len() as f64)),
        Value::Array(list) => {
            if let Some(again) = (1..list.len()).find(|i| list[..*i].contains(&list[*i])) {
                return Err(Error::invalid(
                    name,
                    format!("{} twice", list[again]),
                    "each value may be listed once",
                ));
            }
            Ok(Some(list.clone()))
        }
        Value::Table(table) if table.contains_key("from") || table.contains_key("to") => {
            let range: Range = table.clone().try_into().map_err(|e: toml::de::Error| {
                let message = e.message().lines().collect::<Vec<_>>().join("; ");
                Error::invalid(
                    name,
                    message,
                    "a range is { from = 1, to = 8, step = 1 }, or times = 2",
                )
            })?;
            range.values(name).map(Some)
        }
        _ => Ok(None),
    }
}

fn too_many(name: &str, count: f64) -> Error {
    Error::invalid(name, format!("{count:.0} values"), format!("at most {MOST_VALUES} are taken"))
}

impl Range {
    fn values(&self, name: &str) -> Result<Vec<Value>> {
        let (from, to) = (self.from, self.to);
        if !(from.is_finite() && to.is_finite() && from > 0.0 && from <= to) {
            return Err(Error::invalid(
                name,
                format!("a range from {from} to {to}"),
                "it must begin above zero and not end before it begins",
            ));
        }
        let (count, at): (f64, Box<dyn Fn(i32) -> f64>) = match (self.step, self.times) {
            (Some(step), None) if step.is_finite() && step > 0.0 => {
                // 0.1 has no exact binary value, so that the end may be missed by a rounding error
                (
                    ((to - from) / step + 1e-9).floor() + 1.0,
                    Box::new(move |i| from + f64::from(i) * step),
                )
            }
            (None, Some(times)) if times.is_finite() && times > 1.0 => (
                ((to / from).ln() / times.ln() + 1e-9).floor() + 1.0,
                Box::new(move |i| from * times.powi(i)),
            ),
            _ => {
                return Err(Error::invalid(
                    name,
                    "a range without a step",
                    "give either a step above 0 or times above 1",
                ));
            }
        };
        if count > MOST_VALUES as f64 {
            return Err(too_many(name, count));
        }
        let value = |x: f64| {
            if x.fract() == 0.0 && x < 9e15 { Value::Integer(x as i64) } else { Value::Float(x) }
        };
        Ok((0..count as i32).map(|i| value(at(i))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(layers: &str, more: &str) -> Result<Space> {
        Space::from_toml(&format!(
            "model = {{ family = 'bert', layers = {layers}, hidden_size = 256 }}
             workload = {{ steps = 10, seq_len = 64, micro_batch = 8 }}
             system = {{ gpu = 't4', gpus = [1, 2] }}
             {more}"
        ))
    }

    fn layers(space: &Space) -> Vec<u64> {
        let jobs = space.jobs(&Catalog::built_in().unwrap(), 1000, 0).unwrap();
        jobs.kept.iter().map(|j| j.architecture.layers).collect()
    }

    #[test]
    fn lists_and_ranges_combine() {
        assert_eq!(layers(&space("[2, 4]", "").unwrap()), [2, 2, 4, 4]);
        assert_eq!(
            layers(&space("{ from = 2, to = 7, step = 2 }", "").unwrap()),
            [2, 2, 4, 4, 6, 6]
        );
        assert_eq!(
            layers(&space("{ from = 1, to = 4, times = 2 }", "").unwrap()),
            [1, 1, 2, 2, 4, 4]
        );
        assert_eq!(layers(&space("3", "").unwrap()), [3, 3]);
    }

    #[test]
    fn points_that_are_no_jobs_are_counted_with_the_first_reason() {
        let space = space("[2, 4]", "parallelism = { strategy = ['single', 'fsdp'] }").unwrap();
        let jobs = space.jobs(&Catalog::built_in().unwrap(), 1000, 0).unwrap();
        assert_eq!((jobs.points, jobs.kept.len(), jobs.invalid, jobs.too_large), (8, 4, 4, 0));
        assert!(jobs.first_invalid.unwrap().contains("strategy"));
    }

    #[test]
    fn what_does_not_fit_in_memory_is_counted() {
        let text = "model = { family = 'gpt2', layers = [2, 200], hidden_size = 4096 }
             workload = { steps = 10, seq_len = 64, micro_batch = 1 }
             system = { gpu = 't4' }";
        let space = Space::from_toml(text).unwrap();
        let jobs = space.jobs(&Catalog::built_in().unwrap(), 1000, 0).unwrap();
        assert_eq!((jobs.kept.len(), jobs.too_large), (1, 1));
    }

    #[test]
    fn a_huge_grid_is_drawn_from_and_the_same_seed_draws_the_same() {
        let thousand = "{ from = 1, to = 1000, step = 1 }";
        let text = format!(
            "model = {{ family = 'bert', layers = {thousand}, hidden_size = 256, heads = 4 }}
             workload = {{ steps = {thousand}, seq_len = 64, micro_batch = {thousand} }}
             system = {{ gpu = 'h100' }}"
        );
        let space = Space::from_toml(&text).unwrap();
        assert_eq!(space.points(), 1_000_000_000);
        let catalog = Catalog::built_in().unwrap();
        let draw = |seed| space.jobs(&catalog, 50, seed).unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_eq!(draw(1).looked_at, 50);
    }

    #[test]
    fn contradictions_are_one_sentence() {
        let fails = |layers: &str, more: &str| space(layers, more).unwrap_err().to_string();
        assert!(fails("[]", "").starts_with("model.layers is an empty list"));
        assert!(fails("[2, 2]", "").starts_with("model.layers is 2 twice"));
        assert!(fails("{ from = 4, to = 2, step = 1 }", "").contains("from 4 to 2"));
        assert!(fails("{ from = 1, to = 2 }", "").contains("a range without a step"));
        assert!(fails("{ from = 1, to = 9, stop = 1 }", "").contains("unknown field `stop`"));
        assert!(fails("{ from = 1, to = 1e9, step = 1 }", "").contains("1000000000 values"));
        assert!(fails("2", "sytem = { gpus = 1 }").contains("unknown field `sytem`"));
        assert!(fails("2", "parallelism = { strategie = 'ddp' }").contains("unknown field"));
        let none = space("[2]", "parallelism = { strategy = 'hsdq' }").unwrap();
        let error = none.jobs(&Catalog::built_in().unwrap(), 10, 0).unwrap_err().to_string();
        assert!(error.contains("2 are no jobs, the first because unknown strategy"), "{error}");
    }
}
