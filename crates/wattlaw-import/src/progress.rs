//! Steps of a training run over time, with the power of its GPUs where a log has it.
//!
//! Logs of training have the step and the time of each line, and no energy. Time and steps are those between the first and the last
//! line: what came before the first step (loading, compilation) is not in them.

use super::data_issue::{DataIssue, Findings};
use super::measured::{Measured, Part};
use super::number::MAX_VALUE;
use super::series::{Series, Step};
use super::timestamp::Timestamp;
use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::scope::Scope;
use wattlaw::base::units::{Joules, Seconds};
use wattlaw::record::{Component, Instrument};

/// A gap, s: a time between lines above this, with a time per step above ten times the mean.
const GAP_S: f64 = 60.0;

/// Most GPUs of a log.
const MAX_GPUS: usize = 4096;

/// Steps of a run over time.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// Time, ns, step and tokens of the last line.
    last: Option<(i64, f64, Option<f64>)>,
    start: Option<i64>,
    seconds: f64,
    steps: f64,
    tokens: f64,
    /// Steps whose tokens are known.
    counted: f64,
}

impl Progress {
    /// Adds a line: its time, ns, the number of the step, and the number of tokens so far.
    pub(super) fn push(
        &mut self,
        at_ns: i64,
        step: f64,
        tokens: Option<f64>,
        (file, line): (&str, Option<u64>),
        findings: &mut Findings,
    ) {
        let Some((before_ns, before, tokens_before)) = self.last else {
            (self.start, self.last) = (Some(at_ns), Some((at_ns, step, tokens)));
            return;
        };
        // several lines of a step: the first has its time
        if step == before {
            return;
        }
        self.last = Some((at_ns, step, tokens));
        let seconds = at_ns.saturating_sub(before_ns) as f64 / 1e9;
        if step < before {
            let text = "the steps begin anew at an earlier one; the time in between is excluded, and steps that ran twice count \
                        twice";
            findings.add(DataIssue::Restart, file, line, text);
            return;
        }
        if seconds < 0.0 {
            let text = "the time goes back; the steps in between are excluded";
            findings.add(DataIssue::Skipped, file, line, text);
            return;
        }
        let steps = step - before;
        if self.steps > 0.0 && seconds > GAP_S && seconds / steps > 10.0 * self.seconds / self.steps
        {
            let text = format!("no step for {seconds:.0} s before this one; this gap is excluded");
            findings.add(DataIssue::Gap, file, line, text);
            return;
        }
        self.seconds += seconds;
        self.steps += steps;
        if let (Some(now), Some(before)) = (tokens, tokens_before)
            && now > before
        {
            self.tokens += now - before;
            self.counted += steps;
        }
    }

    /// Time of the steps, s.
    pub(super) const fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Number of steps in that time.
    pub(super) const fn steps(&self) -> f64 {
        self.steps
    }

    /// Sets time, steps and tokens of a run.
    pub(super) fn fill(&self, measured: &mut Measured) {
        measured.duration = (self.seconds > 0.0).then(|| Seconds::new(self.seconds));
        measured.steps = (self.steps > 0.0).then_some(self.steps);
        let all = self.counted == self.steps && self.counted > 0.0;
        measured.tokens = all.then_some(self.tokens);
    }

    /// The time of the first line, if times are since 1970.
    pub(super) fn start(&self) -> Option<Timestamp> {
        self.start.and_then(|ns| Timestamp::from_epoch_s(ns as f64 / 1e9))
    }
}

/// Power of the GPUs of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Gpus {
    gpus: Vec<(String, Series)>,
}

impl Gpus {
    /// Adds a reading of a GPU: time, ns, and power, W.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an impossible power, [`Error::Data`] for a time that goes back or too many GPUs.
    pub(super) fn push(
        &mut self,
        gpu: &str,
        at_ns: i64,
        watts: f64,
        (file, line): (&str, Option<u64>),
        findings: &mut Findings,
    ) -> Result<()> {
        let place = Location { file: file.to_owned(), line };
        if !(0.0..=1e5).contains(&watts) {
            let expected = "it must be a number of watts from 0 to 100000";
            return Err(Error::invalid("the power", watts, expected).at(place));
        }
        let at = match self.gpus.iter().position(|(name, _)| name == gpu) {
            Some(at) => at,
            None if self.gpus.len() < MAX_GPUS => {
                self.gpus.push((gpu.to_owned(), Series::default()));
                self.gpus.len() - 1
            }
            None => {
                let text = "the log has more than 4096 GPUs".to_owned();
                return Err(Error::Data(text).at(place));
            }
        };
        let Some((_, series)) = self.gpus.get_mut(at) else { return Ok(()) };
        match series.push(at_ns, watts) {
            Step::Joined | Step::Same => Ok(()),
            Step::Gap(seconds) => {
                let text = format!("no power for {seconds:.0} s before this; this gap is excluded");
                findings.add(DataIssue::Gap, file, line, text);
                Ok(())
            }
            Step::Back(seconds) => {
                Err(Error::Data(format!("the time goes back by {seconds:.0} s")).at(place))
            }
        }
    }

    /// Sets the energy of a run. Where the log has steps, it is the mean power times the time of the steps.
    pub(super) fn fill(self, measured: &mut Measured, findings: &mut Findings) {
        let seconds = self.gpus.iter().map(|(_, s)| s.seconds()).fold(0.0, f64::max);
        if seconds <= 0.0 {
            return;
        }
        let of_steps = measured.duration.map(Seconds::value);
        let scale = of_steps.map_or(1.0, |steps| steps / seconds);
        if (scale - 1.0).abs() > 0.01 {
            findings.add(
                DataIssue::Assumed,
                &measured.file,
                None,
                format!(
                    "the power covers {seconds:.0} s and the steps {:.0} s; the energy is the mean power times the time of the \
                     steps",
                    seconds * scale
                ),
            );
        }
        measured.scope = Scope::Gpu;
        measured.instrument = Some(Instrument::Power);
        measured.gpus = Some(self.gpus.len() as u64);
        measured.parts = self
            .gpus
            .into_iter()
            .map(|(name, series)| Part {
                name,
                component: Component::Gpu,
                energy: Joules::new(series.joules() * scale),
            })
            .collect();
        let total: f64 = measured.parts.iter().map(|p| p.energy.value()).sum();
        measured.set_energy_and_time(total, seconds * scale);
    }
}

/// Seconds as nanoseconds, if they are a time from 0 to 2261.
pub(super) fn nanos(seconds: f64) -> Option<i64> {
    (0.0..9.2e9).contains(&seconds).then_some((seconds * 1e9) as i64)
}

/// A number of steps or tokens, if it is one.
pub(super) fn count(x: f64) -> Option<f64> {
    (0.0..=MAX_VALUE).contains(&x).then_some(x)
}
