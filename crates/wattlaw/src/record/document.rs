//! The record of a run as `run.json` holds it (schema `wattlaw-record/1`); `docs/reference/record.md` documents it field by field.
//!
//! All moments (`begin_s`, `from_s`, `to_s`) are seconds since sampling began, as `t_s` in `trace.csv` is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use crate::base::error::{Error, Result};
use crate::base::scope::Scope;
use crate::base::units::{Joules, Seconds, Watts};
use crate::base::words::words;
use crate::job::JobSpec;
use crate::record::{Channel, Instrument};

/// Name and version of the layout.
pub const SCHEMA: &str = "wattlaw-record/1";

/// A measured run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: String,
    /// Name of the record's folder; sorts by time.
    pub id: String,
    /// Name that the user gave.
    pub name: Option<String>,
    /// Program and version that wrote it.
    pub made_by: String,
    /// How far it came.
    pub state: State,
    /// Machines that were measured: one, or those of the records that were merged.
    pub nodes: Vec<Node>,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// How the command ended; none while it runs.
    pub end: Option<End>,
    /// Why it was ended before it would have ended by itself.
    #[serde(default)]
    pub stopped: Option<Stop>,
    /// Wall-clock time at which sampling began, RFC 3339 in UTC.
    pub started_at: String,
    /// Wall-clock time at which the command ended.
    pub ended_at: Option<String>,
    /// When the command began.
    #[serde(rename = "begin_s")]
    pub begin: Option<Seconds>,
    /// How long the command ran, on the monotonic clock.
    #[serde(rename = "duration_s")]
    pub duration: Option<Seconds>,
    /// Time between readings that was asked for.
    #[serde(rename = "interval_s")]
    pub interval: Seconds,
    /// Idle time that was asked for before and after the command.
    #[serde(rename = "idle_s")]
    pub idle: Seconds,
    /// Energy by scope, the narrowest first; empty where nothing was measured or assumed.
    pub energies: Vec<Total>,
    /// What each channel read while the command ran.
    pub channels: Vec<Measured>,
    /// The record that measured this machine at the same time, where this one was not to count it again.
    pub held_by: Option<String>,
    /// Optimizer steps that the program told.
    pub steps: Option<u64>,
    /// Tokens that the program told.
    pub tokens: Option<f64>,
    /// Steps that make a window.
    pub window_steps: Option<u64>,
    /// Named parts of the run, in the order of their begin.
    pub windows: Vec<Window>,
    /// What was trained, as flags, files and the program said.
    #[serde(serialize_with = "without_nulls")]
    pub job: Option<JobSpec>,
    /// What could not be read, when it began.
    pub faults: Vec<Fault>,
    /// What else there is to know.
    pub notes: Vec<String>,
}

/// How far a record came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is being written, or its writer died.
    Running,
    /// Its writer closed it.
    Finished,
    /// Its writer died, and it was closed later from what was written.
    Recovered,
    /// Made of the records of several machines.
    Merged,
}

words!(State, "state": Running = "running", Finished = "finished", Recovered = "recovered", Merged = "merged");

/// A machine that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its host name.
    pub host: String,
    /// What tells its boots apart, where the system says: containers of one machine share it.
    pub boot_id: Option<String>,
    /// The record it comes from, in a merged one.
    pub record: Option<String>,
    /// Variables of SLURM, torchrun, MPI and of visible devices.
    pub environment: BTreeMap<String, String>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how", deny_unknown_fields)]
pub enum End {
    /// It exited by itself.
    Exit {
        /// Its exit code.
        code: i32,
    },
    /// A signal ended it.
    Signal {
        /// The signal's number.
        signal: i32,
    },
    /// Nobody saw: the record's writer died before.
    Unseen,
}

impl End {
    /// Whether the command did all that it was to do.
    pub const fn well(self) -> bool {
        matches!(self, Self::Exit { code: 0 })
    }
}

/// Why a command was ended before it would have ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why", deny_unknown_fields)]
pub enum Stop {
    /// The one that measured was told by this signal to end.
    Signal {
        /// The signal's number.
        signal: i32,
    },
    /// It had taken longer than it was to take.
    TimeLimit {
        /// Longest time that was allowed.
        limit_s: Seconds,
    },
}

/// The energy of a scope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Total {
    /// What it covers.
    pub scope: Scope,
    /// Measured and assumed energy together.
    #[serde(rename = "energy_j")]
    pub energy: Joules,
    /// The part of it that is assumed and not measured.
    #[serde(rename = "assumed_j")]
    pub assumed: Joules,
    /// Standard deviation of the measured part's error that all runs on these devices share; none where a meter's is
    /// not known.
    #[serde(rename = "systematic_sd_j")]
    pub systematic_sd: Option<Joules>,
    /// Standard deviation of the measured part's error that each run draws anew.
    #[serde(rename = "random_sd_j")]
    pub random_sd: Joules,
    /// Share of the command's time that every channel was read in.
    pub covered: f64,
    /// Channels that are in it.
    pub channels: u64,
}

impl Total {
    /// Standard deviation of the measured part: both kinds of error together.
    pub fn sd(&self) -> Option<Joules> {
        self.systematic_sd.map(|s| Joules::new(s.value().hypot(self.random_sd.value())))
    }
}

/// What a channel read while the command ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The machine.
    pub host: String,
    /// What is read, and by which instrument.
    pub channel: Channel,
    /// Energy; none where it was never read.
    #[serde(rename = "energy_j")]
    pub energy: Option<Joules>,
    /// Energy over time.
    #[serde(rename = "mean_power_w")]
    pub mean_power: Option<Watts>,
    /// Standard deviation of the error that all runs on the device share.
    #[serde(rename = "systematic_sd_j")]
    pub systematic_sd: Option<Joules>,
    /// Standard deviation of the error that each run draws anew: the instrument's steps, and the time between readings.
    #[serde(rename = "random_sd_j")]
    pub random_sd: Joules,
    /// Share of the command's time in which it was read.
    pub covered: f64,
    /// The same energy by integrated power, where a counter has both.
    #[serde(rename = "integrated_energy_j")]
    pub integrated: Option<Joules>,
    /// Integrated power over the counter, less one.
    pub disagreement: Option<f64>,
    /// Mean power in the idle time before the command.
    #[serde(rename = "idle_before_w")]
    pub idle_before: Option<Watts>,
    /// Mean power in the idle time after the command.
    #[serde(rename = "idle_after_w")]
    pub idle_after: Option<Watts>,
    /// Readings in the command's time.
    pub readings: u64,
    /// Readings that failed.
    pub failed_readings: u64,
    /// Power as it was read.
    pub power_w: Option<Spread>,
    /// Limit that the power was held to.
    pub power_limit_w: Option<Spread>,
    /// Clock of the multiprocessors.
    pub sm_clock_mhz: Option<Spread>,
    /// Clock of the memory.
    pub memory_clock_mhz: Option<Spread>,
    /// Temperature.
    pub temperature_c: Option<Spread>,
    /// Share of the time in which a kernel ran.
    pub utilization: Option<Spread>,
    /// Share of readings by what held the clocks down.
    pub throttle: BTreeMap<String, f64>,
    /// Stretches in which nothing was read.
    pub gaps: Vec<Gap>,
}

impl Measured {
    /// A channel of which nothing was read yet.
    pub fn unread(host: &str, channel: Channel) -> Self {
        Self {
            host: host.to_owned(),
            channel,
            energy: None,
            mean_power: None,
            systematic_sd: None,
            random_sd: Joules::ZERO,
            covered: 0.0,
            integrated: None,
            disagreement: None,
            idle_before: None,
            idle_after: None,
            readings: 0,
            failed_readings: 0,
            power_w: None,
            power_limit_w: None,
            sm_clock_mhz: None,
            memory_clock_mhz: None,
            temperature_c: None,
            utilization: None,
            throttle: BTreeMap::new(),
            gaps: Vec::new(),
        }
    }

    /// Whether nothing was measured, only assumed.
    pub fn is_assumed(&self) -> bool {
        self.channel.instrument == Instrument::Assumed
    }
}

/// Values as they were read, each reading counting alike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Least.
    pub min: f64,
    /// Largest.
    pub max: f64,
}

/// A stretch in which nothing was read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// The last reading before it.
    #[serde(rename = "from_s")]
    pub from: Seconds,
    /// The first reading after it, or the last that failed.
    #[serde(rename = "to_s")]
    pub to: Seconds,
}

/// A named part of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Its name; several may share one.
    pub name: String,
    /// The windows it lies in, the outermost first.
    pub inside: Vec<String>,
    /// Its begin.
    #[serde(rename = "from_s")]
    pub from: Seconds,
    /// Its end.
    #[serde(rename = "to_s")]
    pub to: Seconds,
    /// Whether its end was told; else it ends with the command.
    pub closed: bool,
    /// Steps that the program told within.
    pub steps: u64,
    /// Tokens that the program told within.
    pub tokens: f64,
    /// Energy by channel, in the channels' order.
    pub energies: Vec<Part>,
}

/// A channel's share in a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The machine.
    pub host: String,
    /// The channel's name.
    pub channel: String,
    /// Energy.
    #[serde(rename = "energy_j")]
    pub energy: Joules,
    /// Standard deviation that comes of the instrument's steps and of the time between readings.
    #[serde(rename = "quantisation_sd_j")]
    pub quantisation_sd: Joules,
    /// Share of the window in which the channel was read.
    pub covered: f64,
}

/// A channel that could not be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When it began.
    #[serde(rename = "at_s")]
    pub at: Seconds,
    /// The channel's name.
    pub channel: String,
    /// Why.
    pub reason: String,
}

impl Record {
    /// Reads a `run.json`.
    ///
    /// # Errors
    /// [`Error::Syntax`] with line and column; [`Error::Invalid`] for another schema, or for a figure that cannot be.
    pub fn from_json(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            schema: Option<String>,
        }
        let syntax =
            |e: serde_json::Error| Error::Syntax { format: "JSON", message: e.to_string() };
        let head: Head = serde_json::from_str(text).map_err(syntax)?;
        match head.schema.as_deref() {
            Some(SCHEMA) => {}
            Some(other) => {
                return Err(Error::invalid("schema", other, format!("this reads {SCHEMA}")));
            }
            None => return Err(Error::missing("schema", format!("a record has {SCHEMA}"))),
        }
        let record: Self = serde_json::from_str(text).map_err(syntax)?;
        record.check()?;
        Ok(record)
    }

    /// The text of `run.json`.
    ///
    /// # Errors
    /// None for a record that was measured or read.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map(|text| text + "\n")
            .map_err(|e| Error::Syntax { format: "JSON", message: e.to_string() })
    }

    /// The energy to speak of first: that of the narrowest scope.
    pub fn energy(&self) -> Option<&Total> {
        self.energies.first()
    }

    /// Figures that cannot be measured would make sums without meaning.
    fn check(&self) -> Result<()> {
        let totals = self.energies.iter().flat_map(|t| {
            [("energy_j", t.energy), ("assumed_j", t.assumed), ("random_sd_j", t.random_sd)]
                .into_iter()
                .chain(t.systematic_sd.map(|s| ("systematic_sd_j", s)))
        });
        let channels = self.channels.iter().flat_map(|c| {
            [("random_sd_j", c.random_sd)]
                .into_iter()
                .chain(c.energy.map(|e| ("energy_j", e)))
                .chain(c.systematic_sd.map(|s| ("systematic_sd_j", s)))
        });
        let windows = self.windows.iter().flat_map(|w| &w.energies).map(|p| ("energy_j", p.energy));
        for (field, energy) in totals.chain(channels).chain(windows) {
            plausible(field, energy.value())?;
        }
        for (field, value) in [
            ("begin_s", self.begin.map(Seconds::value)),
            ("duration_s", self.duration.map(Seconds::value)),
            ("interval_s", Some(self.interval.value())),
            ("tokens", self.tokens),
        ] {
            plausible(field, value.unwrap_or(0.0))?;
        }
        Ok(())
    }
}

/// More joules, seconds and tokens than any run has, and sums of many of them stay finite.
const MAX: f64 = 1e24;

fn plausible(field: &str, value: f64) -> Result<()> {
    if (0.0..=MAX).contains(&value) {
        Ok(())
    } else {
        Err(Error::invalid(field, value, "it must be a number from 0"))
    }
}

/// A job leaves most of its fields open; a record names those that were said.
pub(super) fn without_nulls<T: Serialize, S: Serializer>(
    job: &T,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    fn pruned(value: serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::Object(map) => map
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, pruned(value)))
                .collect(),
            other => other,
        }
    }
    let value = serde_json::to_value(job).map_err(serde::ser::Error::custom)?;
    pruned(value).serialize(serializer)
}
