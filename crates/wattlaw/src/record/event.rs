//! Events of a run: reported by the running program, or recorded by the measuring one.

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::base::units::Seconds;
use crate::job::JobSpec;
use crate::record::document::{End, Stop, without_nulls};

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// The command was started.
    CommandBegin,
    /// The command ended.
    CommandEnd {
        /// How.
        end: End,
    },
    /// The command was stopped early.
    Stopped {
        /// Why.
        stop: Stop,
    },
    /// A window begins, inside those that are open.
    WindowBegin {
        /// Its name.
        name: String,
    },
    /// A window ends: the innermost of the name, or the innermost of all.
    WindowEnd {
        /// Its name.
        #[serde(default)]
        name: Option<String>,
    },
    /// An optimizer step was done.
    Step {
        /// Tokens in it, all ranks together.
        #[serde(default)]
        tokens: f64,
    },
    /// Tokens were trained on outside steps.
    Tokens {
        /// Number of tokens.
        tokens: f64,
    },
    /// What is trained.
    Job {
        /// Known fields; they replace those of earlier events.
        #[serde(serialize_with = "without_nulls")]
        job: Box<JobSpec>,
    },
    /// A channel cannot be read from now on.
    Fault {
        /// Its name.
        channel: String,
        /// Why.
        reason: String,
    },
    /// The record that counted a channel's energy has ended; from now on it counts in this one.
    TakenOver {
        /// The channel's name.
        channel: String,
    },
    /// A note.
    Note {
        /// A sentence.
        text: String,
    },
}

/// An event with its time: one line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Time since sampling began.
    #[serde(rename = "t_s")]
    pub at: Seconds,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

impl Entry {
    /// The line, with its end.
    ///
    /// # Errors
    /// None: every event can be written as JSON.
    pub fn line(&self) -> Result<String> {
        serde_json::to_string(self).map(|line| line + "\n").map_err(|e| syntax(&e))
    }

    /// Reads a line of `events.jsonl`; `None` if it is not a complete entry.
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok().filter(|entry: &Self| {
            let plausible = |n: f64| (0.0..=MAX).contains(&n);
            plausible(entry.at.value())
                && match entry.event {
                    Event::Step { tokens } | Event::Tokens { tokens } => plausible(tokens),
                    _ => true,
                }
        })
    }
}

/// Upper bound of tokens and seconds.
const MAX: f64 = 1e18;

/// A window's longest name in bytes.
const MAX_NAME_BYTES: usize = 256;

/// An event reported by a program in one line of JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgramEvent {
    /// The event.
    pub event: Event,
    /// Time on the system's monotonic clock; if absent, the arrival of the line counts.
    pub monotonic: Option<Seconds>,
}

impl ProgramEvent {
    /// Reads a line written by a program.
    ///
    /// ```
    /// use wattlaw::record::event::{Event, ProgramEvent};
    ///
    /// let reported = ProgramEvent::parse(r#"{"event": "step", "tokens": 4096}"#)?;
    /// assert_eq!(reported.event, Event::Step { tokens: 4096.0 });
    /// # Ok::<(), wattlaw::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Syntax`] for text that is not a JSON object, [`Error::Unknown`] for another event, [`Error::Missing`]
    /// and [`Error::Invalid`] for a field that is absent or invalid.
    pub fn parse(line: &str) -> Result<Self> {
        let mut fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(line).map_err(|e| syntax(&e))?;
        let kind = match fields.remove("event") {
            Some(serde_json::Value::String(kind)) => kind,
            _ => return Err(Error::missing("event", "each line needs an event")),
        };
        let stamp = fields.remove("t_monotonic_s").or_else(|| fields.remove("time"));
        let monotonic = match stamp {
            None => None,
            Some(stamp) => Some(Seconds::new(amount("t_monotonic_s", &stamp)?)),
        };
        let event = match kind.as_str() {
            "window_begin" => Event::WindowBegin {
                name: name(&fields)?
                    .ok_or_else(|| Error::missing("name", "a window needs a name"))?,
            },
            "window_end" => Event::WindowEnd { name: name(&fields)? },
            "step" => Event::Step { tokens: tokens(&fields)?.unwrap_or(0.0) },
            "tokens" => Event::Tokens {
                tokens: tokens(&fields)?
                    .ok_or_else(|| Error::missing("tokens", "give the number of tokens"))?,
            },
            "job" => Event::Job {
                job: Box::new(
                    serde_json::from_value(serde_json::Value::Object(fields))
                        .map_err(|e| syntax(&e))?,
                ),
            },
            other => {
                let known = ["window_begin", "window_end", "step", "tokens", "job"];
                return Err(Error::unknown("event", other, known));
            }
        };
        Ok(Self { event, monotonic })
    }
}

fn name(fields: &serde_json::Map<String, serde_json::Value>) -> Result<Option<String>> {
    match fields.get("name") {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::String(name))
            if !name.is_empty() && name.len() <= MAX_NAME_BYTES =>
        {
            Ok(Some(name.clone()))
        }
        Some(other) => {
            let shown: String = other.to_string().chars().take(40).collect();
            Err(Error::invalid("name", shown, "it must be a text of 1 to 256 bytes"))
        }
    }
}

fn tokens(fields: &serde_json::Map<String, serde_json::Value>) -> Result<Option<f64>> {
    fields.get("tokens").map(|value| amount("tokens", value)).transpose()
}

fn amount(field: &str, value: &serde_json::Value) -> Result<f64> {
    value.as_f64().filter(|n| (0.0..=MAX).contains(n)).ok_or_else(|| {
        let shown: String = value.to_string().chars().take(40).collect();
        Error::invalid(field, shown, "it must be a number from 0")
    })
}

fn syntax(error: &serde_json::Error) -> Error {
    Error::Syntax { format: "JSON", message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(line: &str) -> String {
        ProgramEvent::parse(line).unwrap_err().to_string()
    }

    #[test]
    fn program_events_are_read() {
        let reported = ProgramEvent::parse(
            r#"{"event":"window_begin","name":"epoch 1","t_monotonic_s":12.5}"#,
        );
        assert_eq!(
            reported.unwrap(),
            ProgramEvent {
                event: Event::WindowBegin { name: "epoch 1".into() },
                monotonic: Some(Seconds::new(12.5))
            }
        );
        assert_eq!(
            ProgramEvent::parse(r#"{"event":"window_end"}"#).unwrap().event,
            Event::WindowEnd { name: None }
        );
        let job = ProgramEvent::parse(
            r#"{"event":"job","model":{"name":"gpt2"},"workload":{"seq_len":64}}"#,
        );
        let Event::Job { job } = job.unwrap().event else { panic!("no job") };
        assert_eq!((job.model.name.as_deref(), job.workload.seq_len), (Some("gpt2"), Some(64)));
    }

    #[test]
    fn invalid_events_give_one_sentence_errors() {
        for (line, said) in [
            ("", "not valid JSON"),
            ("[1]", "not valid JSON"),
            ("{}", "event is missing"),
            (r#"{"event":"stop"}"#, "unknown event `stop`; accepted: `window_begin`"),
            (r#"{"event":"window_begin"}"#, "name is missing; a window needs a name"),
            (r#"{"event":"window_begin","name":7}"#, "name is 7, but it must be a text"),
            (r#"{"event":"step","tokens":-1}"#, "tokens is -1, but it must be a number from 0"),
            (r#"{"event":"tokens"}"#, "tokens is missing"),
            (r#"{"event":"job","modle":{}}"#, "unknown field `modle`"),
            (r#"{"event":"command_end","end":{}}"#, "unknown event `command_end`"),
        ] {
            assert!(wrong(line).contains(said), "{line}: {}", wrong(line));
            assert_eq!(wrong(line).lines().count(), 1);
        }
    }

    #[test]
    fn an_entry_is_read_back_from_its_line() {
        let entries = [
            Event::CommandBegin,
            Event::CommandEnd { end: End::Signal { signal: 9 } },
            Event::WindowEnd { name: None },
            Event::Step { tokens: 4096.0 },
            Event::Stopped { stop: Stop::TimeLimit { limit_s: Seconds::new(60.0) } },
            Event::Fault { channel: "gpu0".into(), reason: "the device is gone".into() },
            Event::TakenOver { channel: "gpu0".into() },
        ]
        .map(|event| Entry { at: Seconds::new(0.5), event });
        for entry in entries {
            let line = entry.line().unwrap();
            assert_eq!(Entry::parse(line.trim_end()), Some(entry));
            assert_eq!(Entry::parse(&line[..line.len() - 3]), None);
        }
        assert_eq!(Entry::parse(r#"{"t_s":-1,"event":"command_begin"}"#), None);
        assert_eq!(Entry::parse(r#"{"t_s":1,"event":"step","tokens":1e300}"#), None);
    }
}
