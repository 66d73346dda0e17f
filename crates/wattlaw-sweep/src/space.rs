//! A space of jobs: a job file in which fields may have several values, and the jobs of all combinations.

mod jobs;
mod preset;
mod values;

pub use jobs::{Candidate, Jobs, TooLarge};
pub use preset::Preset;

use std::collections::BTreeSet;

use toml::{Table, Value};

use values::values;
use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::toml_text;
use wattlaw::job::JobSpec;
use wattlaw::job::fields::{Field, fields};

/// A field with several values, or several fields whose values vary together.
#[derive(Debug, Clone)]
struct Axis {
    fields: Vec<&'static Field>,
    /// One description per level, in which those fields are set.
    levels: Vec<JobSpec>,
}

/// A job file with lists and ranges instead of values; each combination is a point. Lists named in `together` vary together: the
/// first values of all, then the second values.
///
/// ```
/// use wattlaw::job::catalog::Catalog;
/// use wattlaw_sweep::space::Space;
///
/// let space = Space::from_toml(
///     r#"
///     together = [["hidden_size", "heads"]]
///     [model]
///     family = "bert"
///     layers = { from = 2, to = 8, step = 2 }
///     hidden_size = [256, 512]
///     heads = [4, 16]
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
/// assert_eq!(jobs.kept[4].job.architecture.heads, 16);
/// # Ok::<(), wattlaw::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Space {
    base: JobSpec,
    axes: Vec<Axis>,
}

/// A list or a range of the file.
struct Listed {
    table: String,
    key: String,
    values: Vec<Value>,
}

impl Space {
    /// Reads a space file.
    ///
    /// # Errors
    /// [`Error::Syntax`] with line and column; [`Error::Invalid`] for an empty list, a repeated value, a range that ends before it
    /// begins, or lists of different lengths in `together`; [`Error::Unknown`] for an unknown list in `together`.
    pub fn from_toml(text: &str) -> Result<Self> {
        let mut file: Table = toml_text::parse(text)?;
        let together = together(file.remove("together"))?;
        let mut lists = Vec::new();
        for (table, content) in &mut file {
            let Value::Table(content) = content else { continue };
            for (key, value) in content.iter_mut() {
                if let Some(values) = values(&format!("{table}.{key}"), value)? {
                    *value = values[0].clone();
                    lists.push(Listed { table: table.clone(), key: key.clone(), values });
                }
            }
        }
        let base = description(file)?;
        let axes = grouped(lists, &together)?
            .iter()
            .map(|group| Axis::from_lists(group))
            .collect::<Result<Vec<Axis>>>()?;
        let space = Self { base, axes };
        if space.count().is_none() {
            return Err(Error::invalid(
                "the space",
                "more than 9·10¹⁸ points",
                "give fewer values",
            ));
        }
        Ok(space)
    }

    /// The same space on one accelerator, instead of those in the file.
    #[must_use]
    pub fn with_gpu(mut self, gpu: &str) -> Self {
        self.base.system.gpu = Some(gpu.to_owned());
        for axis in &mut self.axes {
            axis.fields.retain(|field| field.column != "gpu");
        }
        self.axes.retain(|axis| !axis.fields.is_empty());
        self
    }

    fn count(&self) -> Option<u64> {
        self.sizes().iter().try_fold(1_u64, |n, size| n.checked_mul(*size).filter(|n| *n < 1 << 63))
    }

    /// Number of points of the grid, including invalid ones.
    pub fn points(&self) -> u64 {
        self.count().unwrap_or(u64::MAX)
    }

    /// Number of levels of each axis; fields that vary together are one axis.
    pub fn sizes(&self) -> Vec<u64> {
        self.axes.iter().map(|axis| axis.levels.len() as u64).collect()
    }

    /// Index of the point with the given level on each axis of [`Self::sizes`]; the last axis varies fastest.
    pub fn point(&self, levels: &[u64]) -> u64 {
        self.axes
            .iter()
            .zip(levels)
            .fold(0, |at, (axis, level)| at * axis.levels.len() as u64 + level)
    }

    /// Job description of a point.
    pub fn spec(&self, mut point: u64) -> JobSpec {
        let mut spec = self.base.clone();
        for axis in self.axes.iter().rev() {
            let count = axis.levels.len() as u64;
            let level = &axis.levels[(point % count) as usize];
            for field in &axis.fields {
                (field.copy)(&mut spec, level);
            }
            point /= count;
        }
        spec
    }
}

impl Axis {
    fn from_lists(lists: &[Listed]) -> Result<Self> {
        let mut axis = Self { fields: Vec::new(), levels: Vec::new() };
        let mut met = BTreeSet::new();
        for level in 0..lists[0].values.len() {
            let mut content = Table::new();
            for list in lists {
                let table = content.entry(&list.table).or_insert_with(|| Table::new().into());
                if let Value::Table(table) = table {
                    table.insert(list.key.clone(), list.values[level].clone());
                }
            }
            if !met.insert(content.to_string()) {
                let values: Vec<String> =
                    lists.iter().map(|list| list.values[level].to_string()).collect();
                return Err(Error::invalid(
                    names(lists),
                    format!("{} twice", values.join(" with ")),
                    "each value must be listed once",
                ));
            }
            axis.levels.push(description(content).map_err(|e| e.at(Location::file(names(lists))))?);
        }
        let among =
            |field: &&Field| lists.iter().any(|l| l.table == field.table && l.key == field.key);
        axis.fields.extend(fields().filter(among));
        Ok(axis)
    }
}

fn names(lists: &[Listed]) -> String {
    let names: Vec<String> = lists.iter().map(|l| format!("{}.{}", l.table, l.key)).collect();
    names.join(" with ")
}

fn description(table: Table) -> Result<JobSpec> {
    table.try_into().map_err(|e: toml::de::Error| Error::Syntax {
        format: "space of jobs",
        message: e.message().lines().collect::<Vec<_>>().join("; "),
    })
}

/// Reads the names of lists that vary together.
fn together(value: Option<Value>) -> Result<Vec<Vec<String>>> {
    let groups = value.map_or(Ok(Vec::new()), |v| v.clone().try_into().map_err(|_| v));
    groups.map_err(|found| {
        Error::invalid(
            "together",
            found,
            "it must be lists of names, such as [[\"layers\", \"hidden_size\"]]",
        )
    })
}

/// Groups the lists that vary together; a group takes the position of its first list.
fn grouped(lists: Vec<Listed>, together: &[Vec<String>]) -> Result<Vec<Vec<Listed>>> {
    let mut groups: Vec<Vec<Listed>> = lists.into_iter().map(|list| vec![list]).collect();
    for names in together {
        let mut group: Vec<Listed> = Vec::new();
        let mut place = groups.len();
        for name in names {
            let is = |l: &Listed| l.key == *name || format!("{}.{}", l.table, l.key) == *name;
            // a list that is already in a group cannot join another
            let Some(at) = groups.iter().position(|g| g.len() == 1 && is(&g[0])) else {
                let free: Vec<&str> =
                    groups.iter().filter(|g| g.len() == 1).map(|g| g[0].key.as_str()).collect();
                return Err(Error::unknown("list in `together`", name, free));
            };
            place = place.min(at);
            group.append(&mut groups.remove(at));
        }
        let lengths: BTreeSet<usize> = group.iter().map(|list| list.values.len()).collect();
        if lengths.len() != 1 || group.len() < 2 {
            let found: Vec<String> =
                group.iter().map(|list| format!("{} of {}", list.values.len(), list.key)).collect();
            return Err(Error::invalid(
                "together",
                if found.is_empty() { "an empty list".to_owned() } else { found.join(" and ") },
                "it must name at least two lists of the same length",
            ));
        }
        groups.insert(place.min(groups.len()), group);
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattlaw::job::Job;
    use wattlaw::job::catalog::Catalog;
    use wattlaw::job::parallelism::StrategyKind;

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
        jobs.kept.iter().map(|c| c.job.architecture.layers).collect()
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
    fn invalid_points_are_counted_with_the_first_reason() {
        let space = space("[2, 4]", "parallelism = { strategy = ['single', 'fsdp'] }").unwrap();
        let jobs = space.jobs(&Catalog::built_in().unwrap(), 1000, 0).unwrap();
        assert_eq!(
            (jobs.points, jobs.kept.len(), jobs.invalid, jobs.too_large.len()),
            (8, 4, 4, 0)
        );
        assert!(jobs.first_invalid.unwrap().contains("strategy"));
    }

    #[test]
    fn jobs_that_exceed_memory_are_counted() {
        let text = "model = { family = 'gpt2', layers = [2, 200], hidden_size = 4096 }
             workload = { steps = 10, seq_len = 64, micro_batch = 1 }
             system = { gpu = 't4' }";
        let space = Space::from_toml(text).unwrap();
        let jobs = space.jobs(&Catalog::built_in().unwrap(), 1000, 0).unwrap();
        assert_eq!((jobs.kept.len(), jobs.too_large.len()), (1, 1));
    }

    #[test]
    fn a_large_grid_is_sampled_reproducibly() {
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
        assert_eq!(draw(1).examined, 50);
    }

    fn grouped(together: &str) -> Result<Space> {
        Space::from_toml(&format!(
            "together = {together}
             model = {{ family = 'bert', layers = [2, 4, 4], hidden_size = [128, 128, 256] }}
             workload = {{ steps = 10, seq_len = 64, micro_batch = 8 }}
             parallelism = {{ strategy = ['single', 'fsdp', 'fsdp'] }}
             system = {{ gpu = ['t4', 'h100'], gpus = [1, 2, 4] }}"
        ))
    }

    #[test]
    fn lists_that_vary_together_are_one_axis() {
        let space = grouped("[['layers', 'model.hidden_size'], ['gpus', 'strategy']]").unwrap();
        assert_eq!((space.points(), space.sizes()), (18, vec![3, 3, 2]));
        let jobs = space.jobs(&Catalog::built_in().unwrap(), 1000, 0).unwrap();
        assert_eq!((jobs.kept.len(), jobs.invalid), (18, 0));
        let of = |at: usize| {
            let Job { architecture: a, parallelism: p, system, .. } = &jobs.kept[at].job;
            (
                a.layers,
                a.hidden_size,
                p.strategy().kind(),
                p.gpus(),
                system.accelerator.name.as_str(),
            )
        };
        assert_eq!(of(0), (2, 128, StrategyKind::Baseline, 1, "t4"));
        assert_eq!(
            of(space.point(&[1, 2, 1]) as usize),
            (4, 128, StrategyKind::Fsdp, 4, "h100-sxm5-80gb")
        );
        let one = space.with_gpu("v100-pcie-16gb");
        assert_eq!((one.points(), one.spec(8).system.gpu.as_deref()), (9, Some("v100-pcie-16gb")));
    }

    #[test]
    fn an_invalid_together_is_refused() {
        let fails = |together: &str| grouped(together).unwrap_err().to_string();
        assert!(
            fails("[['layers', 'gpu']]").starts_with("together is 3 of layers and 2 of gpu, but")
        );
        assert!(
            fails("[['layers', 'seq_len']]").starts_with("unknown list in `together` `seq_len`")
        );
        assert!(fails("[['layers']]").contains("at least two lists"));
        assert!(fails("[[]]").starts_with("together is an empty list"));
        assert!(fails("'layers'").contains("lists of names"));
        assert!(fails("[['layers', 'layers']]").contains("unknown list in `together` `layers`"));
        assert!(fails("[['layers', 'gpus'], ['gpus', 'strategy']]").contains("`gpus`"));
        assert!(
            fails("[['layers', 'hidden_size']]")
                .starts_with("parallelism.strategy is \"fsdp\" twice")
        );
    }

    #[test]
    fn contradictions_are_one_sentence() {
        let fails = |layers: &str, more: &str| space(layers, more).unwrap_err().to_string();
        assert!(fails("[]", "").starts_with("model.layers is an empty list"));
        assert!(fails("[2, 2]", "").starts_with("model.layers is 2 twice"));
        assert_eq!(
            fails("[2, 'three']", ""),
            "model.layers: not valid space of jobs: invalid type: string \"three\", expected u64"
        );
        assert!(fails("{ from = 4, to = 2, step = 1 }", "").contains("from 4 to 2"));
        assert!(fails("{ from = 1, to = 2 }", "").contains("a range without a step"));
        assert!(fails("{ from = 1, to = 9, stop = 1 }", "").contains("unknown field `stop`"));
        assert!(fails("{ from = 1, to = 1e9, step = 1 }", "").contains("1000000000 values"));
        assert!(fails("2", "sytem = { gpus = 1 }").contains("unknown field `sytem`"));
        assert!(fails("2", "parallelism = { strategie = 'ddp' }").contains("unknown field"));
        assert!(
            fails("2", "parallelism = { strategy = 'hsdq' }").contains("unknown strategy `hsdq`")
        );
        let none = space("[2]", "parallelism = { strategy = 'fsdp', tp = 3 }").unwrap();
        let error = none.jobs(&Catalog::built_in().unwrap(), 10, 0).unwrap_err().to_string();
        assert!(error.contains("2 are not valid jobs; the first:"), "{error}");
    }
}
