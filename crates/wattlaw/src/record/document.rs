//! The record of a run as `run.json` holds it (schema `wattlaw-record/1`); `docs/reference/record.md` documents it
//! field by field.
//!
//! All moments (`begin_s`, `from_s`, `to_s`) are seconds since sampling began, as `t_s` in `trace.csv` is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use crate::base::error::{Error, Result};
use crate::base::scope::Scope;
use crate::base::units::{Joules, Seconds, Watts};
use crate::base::words::words;
use crate::job::JobSpec;
use crate::record::{Channel, Component, Instrument};

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
    /// The state of the record.
    pub state: State,
    /// Measured machines: one, or those of merged records.
    pub nodes: Vec<Node>,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// How the command ended; `None` while it runs.
    pub end: Option<End>,
    /// Why the command was stopped early.
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
    /// Requested time between readings.
    #[serde(rename = "interval_s")]
    pub interval: Seconds,
    /// Requested idle time before and after the command.
    #[serde(rename = "idle_s")]
    pub idle: Seconds,
    /// Energy by scope, the narrowest first; empty where nothing was measured or assumed.
    pub energies: Vec<Total>,
    /// The readings of each channel while the command ran.
    pub channels: Vec<Measured>,
    /// The first record that counted devices of this machine at the same time; the channels say which, and until when.
    pub held_by: Option<String>,
    /// Optimizer steps reported by the program.
    pub steps: Option<u64>,
    /// Tokens reported by the program.
    pub tokens: Option<f64>,
    /// Steps per automatic window.
    pub window_steps: Option<u64>,
    /// Named parts of the run, in the order of their begin.
    pub windows: Vec<Window>,
    /// The job, from flags, files and the program.
    #[serde(serialize_with = "without_nulls")]
    pub job: Option<JobSpec>,
    /// Failures of channels.
    pub faults: Vec<Fault>,
    /// Notes.
    pub notes: Vec<String>,
    /// Devices that were found but could not be measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// A device that was found but could not be measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Its name for the user.
    pub name: String,
    /// The component.
    pub component: Component,
    /// Why it could not be measured.
    pub reason: String,
}

/// How a device is shared with others, whose energy its channel includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// A GPU that is partitioned (multi-instance GPU).
    Mig,
    /// A GPU that virtual machines share.
    Vgpu,
}

words!(Sharing, "sharing": Mig = "mig", Vgpu = "vgpu");

/// The state of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The record is being written, or its writer died.
    Running,
    /// The writer closed the record.
    Finished,
    /// The writer died, and the record was closed later from its files.
    Recovered,
    /// Made of the records of several machines.
    Merged,
}

words!(State, "state": Running = "running", Finished = "finished", Recovered = "recovered", Merged = "merged");

/// A measured machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its host name.
    pub host: String,
    /// Boot id, where the system has one; containers of one machine share it.
    pub boot_id: Option<String>,
    /// The source record, in a merged record.
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
    /// Not observed: the record's writer died first.
    Unseen,
}

impl End {
    /// Whether the command succeeded.
    pub const fn well(self) -> bool {
        matches!(self, Self::Exit { code: 0 })
    }
}

/// Why a command was stopped early.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why", deny_unknown_fields)]
pub enum Stop {
    /// The measuring program received this signal.
    Signal {
        /// The signal's number.
        signal: i32,
    },
    /// The command exceeded its time limit.
    TimeLimit {
        /// The time limit.
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
    /// The assumed part, not measured.
    #[serde(rename = "assumed_j")]
    pub assumed: Joules,
    /// Standard deviation of the measured part's systematic error, shared by all runs on these devices; `None` if that
    /// of a meter is unknown.
    #[serde(rename = "systematic_sd_j")]
    pub systematic_sd: Option<Joules>,
    /// Standard deviation of the measured part's random error, independent for each run.
    #[serde(rename = "random_sd_j")]
    pub random_sd: Joules,
    /// Share of the command's time with readings of every channel.
    pub covered: f64,
    /// Number of channels in the sum.
    pub channels: u64,
}

impl Total {
    /// Whether all of the energy is assumed; a measured energy of 0 J is not.
    pub fn all_assumed(&self) -> bool {
        self.assumed > Joules::ZERO && self.assumed >= self.energy
    }

    /// Standard deviation of the measured part: systematic and random error together.
    pub fn sd(&self) -> Option<Joules> {
        self.systematic_sd.map(|s| Joules::new(s.value().hypot(self.random_sd.value())))
    }
}

/// The readings of a channel while the command ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The machine.
    pub host: String,
    /// The channel.
    pub channel: Channel,
    /// The record in which the channel's energy counted when this one began, so that no energy counts twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
    /// From when on its energy counts in this record, where another one held it; `None` if it never did.
    #[serde(rename = "counted_from_s", default, skip_serializing_if = "Option::is_none")]
    pub counted_from: Option<Seconds>,
    /// How the device is shared with others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<Sharing>,
    /// Estimated energy of the command's time before the first and after the last reading, at the mean power between
    /// them; it is not in `energy_j`.
    #[serde(rename = "missing_j", default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Joules>,
    /// Energy that counts in this record; `None` if it was never read.
    #[serde(rename = "energy_j")]
    pub energy: Option<Joules>,
    /// Mean power.
    #[serde(rename = "mean_power_w")]
    pub mean_power: Option<Watts>,
    /// Standard deviation of the systematic error, shared by all runs on the device.
    #[serde(rename = "systematic_sd_j")]
    pub systematic_sd: Option<Joules>,
    /// Standard deviation of the random error of each run: the instrument's quantisation, and the time between
    /// readings.
    #[serde(rename = "random_sd_j")]
    pub random_sd: Joules,
    /// Share of the command's time with readings.
    pub covered: f64,
    /// The energy from integrated power, where a counter also has power.
    #[serde(rename = "integrated_energy_j")]
    pub integrated: Option<Joules>,
    /// Integrated power relative to the counter, minus one.
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
    /// Power readings.
    pub power_w: Option<Spread>,
    /// Power limit.
    pub power_limit_w: Option<Spread>,
    /// Clock of the multiprocessors.
    pub sm_clock_mhz: Option<Spread>,
    /// Clock of the memory.
    pub memory_clock_mhz: Option<Spread>,
    /// Temperature.
    pub temperature_c: Option<Spread>,
    /// Share of the time in which a kernel ran.
    pub utilization: Option<Spread>,
    /// Share of readings with each throttling reason.
    pub throttle: BTreeMap<String, f64>,
    /// Intervals without readings.
    pub gaps: Vec<Gap>,
}

impl Measured {
    /// A channel without readings.
    pub fn unread(host: &str, channel: Channel) -> Self {
        Self {
            host: host.to_owned(),
            channel,
            held_by: None,
            counted_from: None,
            shared: None,
            missing: None,
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

    /// Whether another record counts its energy for all of the command's time.
    pub(crate) fn is_held(&self) -> bool {
        self.held_by.is_some() && self.counted_from.is_none()
    }

    /// Whether its energy is assumed, not measured.
    pub(crate) fn is_assumed(&self) -> bool {
        self.channel.instrument == Instrument::Assumed
    }
}

/// Statistics of readings, equally weighted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
}

/// An interval without readings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// The last reading before it.
    #[serde(rename = "from_s")]
    pub from: Seconds,
    /// The first reading after it, or the last failed one.
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
    /// Whether its end was reported; otherwise it ends with the command.
    pub closed: bool,
    /// Steps reported in it.
    pub steps: u64,
    /// Tokens reported in it.
    pub tokens: f64,
    /// Energy by channel, in the channels' order.
    pub energies: Vec<Part>,
}

/// The energy of a channel in a window.
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
    /// Standard deviation from the instrument's quantisation and the time between readings.
    #[serde(rename = "quantisation_sd_j")]
    pub quantisation_sd: Joules,
    /// Share of the window with readings of the channel.
    pub covered: f64,
}

/// A failure to read a channel.
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
    /// [`Error::Syntax`] with line and column; [`Error::Invalid`] for another schema, or for an impossible number.
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
    /// None for a record that was measured or read from a file.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map(|text| text + "\n")
            .map_err(|e| Error::Syntax { format: "JSON", message: e.to_string() })
    }

    /// The energy of the narrowest scope.
    pub fn energy(&self) -> Option<&Total> {
        self.energies.first()
    }

    /// Checks that all numbers are plausible, since sums of implausible numbers are meaningless.
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

/// Upper bound of joules, seconds and tokens; sums of many of them stay finite.
const MAX: f64 = 1e24;

fn plausible(field: &str, value: f64) -> Result<()> {
    if (0.0..=MAX).contains(&value) {
        Ok(())
    } else {
        Err(Error::invalid(field, value, "it must be a number from 0"))
    }
}

/// Serialises a job without its absent fields.
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
