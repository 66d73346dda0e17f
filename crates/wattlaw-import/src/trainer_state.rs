//! The `trainer_state.json` of transformers' `Trainer` (`TrainerState.save_to_json`), as `trainer.save_state()` writes it.
//!
//! The entry of `log_history` at the end has `train_runtime`, s, which includes evaluations (`eval_runtime`). The state in the folder
//! of a checkpoint has no such entry.

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use super::data_issue::{DataIssue, Findings};
use super::json;
use super::lines::Source;
use super::measured::Measured;
use super::progress::count;
use super::{Reader, stem};
use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::units::Seconds;

/// Reads states.
#[derive(Default)]
pub(super) struct TrainerState {
    measured: Vec<Measured>,
}

#[derive(Deserialize)]
struct State {
    #[serde(default)]
    global_step: Option<f64>,
    #[serde(default)]
    num_input_tokens_seen: Option<f64>,
    log_history: History,
}

/// What the entries come to.
#[derive(Default)]
struct History {
    /// `train_runtime` and `step` of the last entry that has a time, and how many have one.
    train: Option<(f64, Option<f64>)>,
    trains: u64,
    /// Sum of `eval_runtime`, s.
    evaluation_s: f64,
    tokens: Option<f64>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    step: Option<f64>,
    #[serde(default)]
    train_runtime: Option<f64>,
    #[serde(default)]
    eval_runtime: Option<f64>,
    #[serde(default)]
    num_input_tokens_seen: Option<f64>,
}

impl<'de> Deserialize<'de> for History {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = History;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of log entries")
            }

            // entries are summed one by one, so that a long history takes no memory
            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut entries: A,
            ) -> std::result::Result<History, A::Error> {
                let mut history = History::default();
                while let Some(entry) = entries.next_element()? {
                    history.push(&entry);
                }
                Ok(history)
            }
        }
        from.deserialize_seq(Entries)
    }
}

impl History {
    fn push(&mut self, entry: &Entry) {
        if let Some(seconds) = entry.train_runtime {
            self.train = Some((seconds, entry.step));
            self.trains += 1;
        } else if self.trains == 0 {
            // an evaluation after training is not in its time
            self.evaluation_s += entry.eval_runtime.and_then(count).unwrap_or(0.0);
        }
        let tokens = entry.num_input_tokens_seen.and_then(count);
        self.tokens = self.tokens.into_iter().chain(tokens).reduce(f64::max);
    }
}

impl Reader for TrainerState {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        let state: State = json::parse(&source.whole()?).map_err(|e| e.at(Location::file(file)))?;
        let measured = state.measured(file, findings).map_err(|e| e.at(Location::file(file)))?;
        self.measured.push(measured);
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut Findings) -> Result<Vec<Measured>> {
        Ok(self.measured)
    }
}

impl State {
    fn measured(&self, file: &str, findings: &mut Findings) -> Result<Measured> {
        let history = &self.log_history;
        let Some((seconds, step)) = history.train else {
            return Err(Error::missing(
                "train_runtime",
                "a checkpoint has none; give the trainer_state.json that trainer.save_state() writes at the end",
            ));
        };
        let mut training_s = count(seconds).unwrap_or(0.0);
        if history.evaluation_s > 0.0 && history.evaluation_s < training_s {
            training_s -= history.evaluation_s;
            findings.add(
                DataIssue::Coverage,
                file,
                None,
                format!(
                    "train_runtime includes {:.0} s of evaluation, which were taken off",
                    history.evaluation_s
                ),
            );
        }
        if training_s <= 0.0 {
            return Err(Error::invalid("train_runtime", seconds, "it must be positive"));
        }
        if history.trains > 1 {
            let text = "training ran several times; the last time is used with all steps";
            findings.add(DataIssue::Restart, file, None, text);
        }
        findings.add(
            DataIssue::Assumed,
            file,
            None,
            "training is assumed not to have resumed from a checkpoint: the steps before it would count and their time would not",
        );
        let mut measured = Measured::new(stem(file), file, "transformers");
        measured.duration = Some(Seconds::new(training_s));
        measured.steps = step.or(self.global_step).and_then(count).filter(|n| *n > 0.0);
        let seen = self.num_input_tokens_seen.and_then(count);
        measured.tokens = seen.filter(|n| *n > 0.0).or(history.tokens).filter(|n| *n > 0.0);
        if measured.steps.is_none() {
            return Err(Error::missing("global_step", "the state of a training has it"));
        }
        Ok(measured)
    }
}
