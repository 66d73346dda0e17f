//! Cluster options of the user: sbatch options, and setup commands of a task.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::Shape;
use wattlaw::base::error::Result;
use wattlaw::base::toml_text;

/// Default maximum number of tasks of an array: SLURM's `MaxArraySize`, one above the highest index, is 1001 by default. Source: <https://slurm.schedmd.com/slurm.conf.html#OPT_MaxArraySize>.
const DEFAULT_MAX_ARRAY: usize = 1000;

/// sbatch options that the user must not set, and the reason.
const RESERVED: [(&str, &str); 16] = [
    ("array", "wattlaw sets it; `max_running` limits the tasks that run at once"),
    ("job-name", "wattlaw finds its jobs in the queue by this name"),
    ("output", "logs are written to slurm/log in the folder of runs"),
    ("error", "logs are written to slurm/log in the folder of runs"),
    ("open-mode", "logs must be appended"),
    ("nodes", "wattlaw sets it from the job"),
    ("ntasks", "a task starts one process per node"),
    ("ntasks-per-node", "a task starts one process per node"),
    ("parsable", "wattlaw parses the output of sbatch"),
    ("quiet", "wattlaw parses the output of sbatch"),
    ("verbose", "wattlaw parses the output of sbatch"),
    ("test-only", "use --dry-run to see the scripts"),
    ("wait", "use `wattlaw sweep status` for the progress"),
    ("wrap", "wattlaw writes the script"),
    ("clusters", "wattlaw reads the queue of the local cluster only"),
    ("help", "it would submit nothing"),
];

/// sbatch options that request GPUs.
const GPU_OPTIONS: [&str; 5] = ["gres", "gpus", "gpus-per-node", "gpus-per-task", "tres-per-task"];

/// Cluster options of the user.
///
/// ```
/// use wattlaw_sweep::slurm::Options;
///
/// let options = Options::from_toml(
///     r#"
///     max_running = 4
///     setup = "source venv/bin/activate"
///     [sbatch]
///     partition = "gpu"
///     gres = "gpu:{gpus_per_node}"
///     exclusive = true
///     "#,
/// )?;
/// assert!(options.asks_for_gpus());
/// # Ok::<(), wattlaw::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Shell commands that a task runs before its job.
    #[serde(default)]
    pub setup: String,
    /// Maximum number of tasks of an array that run at once.
    #[serde(default, deserialize_with = "at_least_one")]
    pub max_running: Option<u64>,
    /// Maximum number of tasks of an array.
    #[serde(default, deserialize_with = "at_least_one")]
    max_array: Option<u64>,
    /// sbatch options by their long names.
    #[serde(default)]
    sbatch: BTreeMap<Name, Value>,
}

impl Options {
    /// Reads an options file.
    ///
    /// # Errors
    /// [`wattlaw::Error::Syntax`] with line and column, also for a reserved sbatch option.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml_text::parse(text)
    }

    /// Maximum number of tasks of an array.
    pub fn max_array(&self) -> usize {
        self.max_array.and_then(|most| usize::try_from(most).ok()).unwrap_or(DEFAULT_MAX_ARRAY)
    }

    /// Whether any option requests GPUs; without one a cluster usually assigns none.
    pub fn asks_for_gpus(&self) -> bool {
        GPU_OPTIONS.iter().any(|name| self.has(name))
    }

    /// Whether an sbatch option is set.
    pub(super) fn has(&self, name: &str) -> bool {
        self.sbatch.keys().any(|given| given.0 == name)
    }

    /// The options as arguments of `#SBATCH` lines, for jobs of a shape.
    pub(super) fn arguments(&self, shape: Shape) -> impl Iterator<Item = String> {
        self.sbatch.iter().filter_map(move |(Name(name), value)| match value {
            Value::Flag(false) => None,
            Value::Flag(true) => Some(format!("--{name}")),
            Value::Text(text) => Some(format!("--{name}={}", quoted(&substitute(text, shape)))),
        })
    }
}

/// The long name of an allowed sbatch option.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let long = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.len() < 2
            || !name.starts_with(|c: char| c.is_ascii_lowercase())
            || !name.chars().all(long)
        {
            return Err(de::Error::custom(format!(
                "`{name}` is not a long sbatch option such as `partition` or `cpus-per-task`"
            )));
        }
        match RESERVED.iter().find(|(reserved, _)| *reserved == name) {
            Some((_, why)) => Err(de::Error::custom(format!("`{name}` cannot be set: {why}"))),
            None => Ok(Self(name)),
        }
    }
}

/// The value of an sbatch option.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    /// A flag, set or not set.
    Flag(bool),
    /// Text with the placeholders `{gpus}`, `{gpus_per_node}` and `{nodes}`.
    Text(String),
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let expected = "the value of an sbatch option must be text, a whole number, true or false";
        match toml::Value::deserialize(deserializer)? {
            toml::Value::Boolean(given) => Ok(Self::Flag(given)),
            toml::Value::Integer(number) => Ok(Self::Text(number.to_string())),
            toml::Value::String(text) => {
                checked_text(text).map(Self::Text).map_err(de::Error::custom)
            }
            _ => Err(de::Error::custom(expected)),
        }
    }
}

/// Placeholders and their values.
fn placeholders(shape: Shape) -> [(&'static str, u64); 3] {
    [
        ("{gpus}", shape.nodes.saturating_mul(shape.gpus_per_node)),
        ("{gpus_per_node}", shape.gpus_per_node),
        ("{nodes}", shape.nodes),
    ]
}

fn substitute(text: &str, shape: Shape) -> String {
    placeholders(shape)
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(name, &value.to_string()))
}

/// Checks that text can be written to an `#SBATCH` line.
fn checked_text(text: String) -> std::result::Result<String, String> {
    let bad = |c: char| c.is_control() || matches!(c, '"' | '\'' | '\\');
    if text.is_empty() || text.contains(bad) {
        return Err(
            "the text must not be empty or contain quotes, backslashes or control characters"
                .to_owned(),
        );
    }
    let rest = substitute(&text, Shape { nodes: 1, gpus_per_node: 1 });
    if rest.contains(['{', '}']) {
        let names =
            placeholders(Shape { nodes: 1, gpus_per_node: 1 }).map(|(name, _)| name).join(", ");
        return Err(format!("`{text}` has an unknown placeholder; known: {names}"));
    }
    Ok(text)
}

/// A value of an `#SBATCH` line, quoted if it has a space or a `#`.
pub(super) fn quoted(text: &str) -> String {
    if text.contains([' ', '#']) { format!("\"{text}\"") } else { text.to_owned() }
}

fn at_least_one<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<u64>, D::Error> {
    match i64::deserialize(deserializer)? {
        number @ 1.. => Ok(Some(number.unsigned_abs())),
        number => Err(de::Error::custom(format!("found {number}, but it must be at least 1"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Options::from_toml(text).unwrap_err().to_string()
    }

    #[test]
    fn options_become_sbatch_arguments() {
        let options = Options::from_toml(
            "setup = \"module load cuda\"\n[sbatch]\npartition = \"gpu\"\ncpus-per-task = 8\nexclusive = true\n\
             requeue = false\ngres = \"gpu:a100:{gpus_per_node}\"\ncomment = \"{gpus} in {nodes} # all\"\n",
        )
        .unwrap();
        let words: Vec<_> = options.arguments(Shape { nodes: 2, gpus_per_node: 4 }).collect();
        assert_eq!(
            words,
            [
                "--comment=\"8 in 2 # all\"",
                "--cpus-per-task=8",
                "--exclusive",
                "--gres=gpu:a100:4",
                "--partition=gpu"
            ]
        );
        assert!(options.asks_for_gpus() && !Options::default().asks_for_gpus());
        assert_eq!((options.max_running, options.max_array()), (None, 1000));
    }

    #[test]
    fn an_invalid_option_is_refused_with_its_location() {
        for (text, expected) in [
            (
                "max_running = 4\n[sbatch]\narray = \"0-3\"\n",
                "line 3, column 1: `array` cannot be set: wattlaw sets it",
            ),
            ("[sbatch]\nnodes = 2\n", "line 2, column 1: `nodes` cannot be set"),
            ("[sbatch]\nJ = \"x\"\n", "line 2, column 1: `J` is not a long sbatch option"),
            (
                "[sbatch]\ncpus_per_task = 8\n",
                "line 2, column 1: `cpus_per_task` is not a long sbatch option",
            ),
            (
                "[sbatch]\ntime = 1.5\n",
                "line 2, column 8: the value of an sbatch option must be text, a whole number",
            ),
            (
                "[sbatch]\ngres = \"gpu:{gpu}\"\n",
                "line 2, column 8: `gpu:{gpu}` has an unknown placeholder",
            ),
            ("[sbatch]\naccount = \"a\\nb\"\n", "line 2, column 11: the text must not be empty"),
            ("[sbatch]\naccount = \"\"\n", "line 2, column 11: the text must not be empty"),
            (
                "partition = \"gpu\"\n",
                "line 1, column 1: unknown field `partition`, expected one of",
            ),
            ("max_running = 0\n", "line 1, column 15: found 0, but it must be at least 1"),
            ("setup = 3\n", "line 1, column 9: invalid type"),
        ] {
            let message = refused(text);
            assert!(message.starts_with("not valid TOML: line"), "{message}");
            assert!(message.contains(expected), "{expected}\n{message}");
        }
    }
}
