//! A run beside its prediction while it goes on: what its steps say of the rest.

use wattlaw::base::scope::Scope;
use wattlaw::base::units::Joules;
use wattlaw::predict::{ChosenJob, Interval, METER_LOG_SD, MeasuredPower, Outlook, Prediction};
use wattlaw::record::event::{Entry, Event};
use wattlaw::record::{Channel, Component};
use wattlaw_meter::sampler::Tick;

use crate::render;

/// The components whose channels cover a scope, of a machine with or without a platform counter.
pub const fn components(scope: Scope, has_node: bool) -> &'static [Component] {
    match scope {
        Scope::Gpu => &[Component::Gpu, Component::Module],
        // the platform's counter includes its parts
        _ if has_node => &[Component::Node],
        _ => &[Component::Gpu, Component::Module, Component::Cpu, Component::Dram],
    }
}

/// A run, its prediction, and what was measured of it.
pub struct Live {
    job: ChosenJob,
    prediction: Prediction,
    step_ends_s: Vec<f64>,
    channels: Vec<Channel>,
    /// Time and energy in the prediction's scope when the first step had ended, and now.
    energy: Option<[(f64, f64); 2]>,
}

impl Live {
    /// Before the first step.
    pub const fn new(job: ChosenJob, prediction: Prediction, channels: Vec<Channel>) -> Self {
        Self { job, prediction, step_ends_s: Vec::new(), channels, energy: None }
    }

    /// The job.
    pub const fn job(&self) -> &ChosenJob {
        &self.job
    }

    /// Its prediction.
    pub const fn prediction(&self) -> &Prediction {
        &self.prediction
    }

    /// Adds an event; whether it was a step.
    pub fn add(&mut self, entry: &Entry) -> bool {
        let step = matches!(entry.event, Event::Step { .. });
        if step {
            self.step_ends_s.push(entry.at.value());
        }
        step
    }

    /// Adds a round of readings. One that lacks a channel is left out.
    pub fn read(&mut self, tick: &Tick) {
        if self.step_ends_s.is_empty() {
            return;
        }
        let Some(energy) = self.covered(tick) else { return };
        let now = (tick.at.value(), energy.value());
        self.energy = Some([self.energy.map_or(now, |[first, _]| first), now]);
    }

    /// Energy so far in the prediction's scope.
    fn covered(&self, tick: &Tick) -> Option<Joules> {
        let has_node = self.channels.iter().any(|channel| channel.component == Component::Node);
        let covering = components(self.prediction.scope, has_node);
        let of = self.channels.iter().zip(&tick.readings);
        let mut energies =
            of.filter(|(channel, _)| covering.contains(&channel.component)).peekable();
        energies.peek()?;
        energies.map(|(_, reading)| reading.as_ref().ok()?.energy).sum()
    }

    /// What is left, as far as it can be said.
    pub fn outlook(&self) -> Option<Outlook> {
        Outlook::new(&self.prediction, &self.step_ends_s, self.power()).ok().flatten()
    }

    /// Mean power of the whole job since its first step. GPUs of other nodes count as those of this one; where this machine has more
    /// GPUs than the job, theirs cannot be told from the job's.
    fn power(&self) -> Option<MeasuredPower> {
        let [(start_s, before_j), (end_s, after_j)] = self.energy?;
        let boards = components(Scope::Gpu, false);
        let gpus = self.channels.iter().filter(|channel| boards.contains(&channel.component));
        let (measured, job) = (gpus.count() as f64, self.job.job.parallelism.gpus() as f64);
        let mean_w = (after_j - before_j) / (end_s - start_s) * (job / measured);
        let error = |channel: &Channel| channel.systematic.unwrap_or(METER_LOG_SD);
        let log_sd = self.channels.iter().map(error).fold(0.0, f64::max);
        let known = measured <= job && mean_w.is_finite() && mean_w > 0.0;
        known.then_some(MeasuredPower { mean_w, log_sd })
    }
}

/// An estimate with its interval.
pub fn between(of: Interval, show: &dyn Fn(f64) -> String) -> String {
    format!("{} ({} to {})", show(of.estimate), show(of.lower), show(of.upper))
}

/// What the steps say of the rest, in a sentence.
pub fn sentence(outlook: &Outlook, prediction: &Prediction) -> String {
    let left = prediction.steps - outlook.steps_done as f64;
    let place = outlook.leaves.map_or_else(
        || "within the predicted interval".to_owned(),
        |side| {
            format!(
                "{side} the predicted interval of {} %: the prediction does not hold for this run, and the rest goes by its steps",
                render::percent(prediction.level)
            )
        },
    );
    let energy = outlook
        .remaining_j
        .map_or_else(String::new, |energy| format!(" and {}", between(energy, &render::energy)));
    format!(
        "after {} of {} steps: {} a step, predicted {}, {place}; {} steps are left, which take {}{energy}",
        render::whole(outlook.steps_done),
        render::count(prediction.steps),
        render::small_duration(outlook.measured_step_s),
        between(outlook.predicted_step_s, &render::small_duration),
        render::count(left),
        between(outlook.remaining_s, &render::duration),
    )
}

/// Says what the steps say of the rest: after the first ones, whenever their number has doubled, and when a run leaves the interval or
/// comes back.
pub struct Speaker {
    live: Live,
    /// Steps at which it spoke last, and whether the run had left the interval.
    spoke: (u64, bool),
    /// Steps at which it looks again.
    next: u64,
}

/// The first steps after which it speaks: the first one does not count.
const FIRST: u64 = 6;

impl Speaker {
    /// Before the first step.
    pub const fn new(live: Live) -> Self {
        Self { live, spoke: (0, false), next: FIRST }
    }

    /// Adds a round of readings.
    pub fn read(&mut self, tick: &Tick) {
        self.live.read(tick);
    }

    /// Adds an event; the sentence that is due.
    pub fn add(&mut self, entry: &Entry) -> Option<String> {
        let done =
            if self.live.add(entry) { self.live.step_ends_s.len() as u64 } else { return None };
        if done < self.next {
            return None;
        }
        self.next = done + (done / 4).max(1);
        let outlook = self.live.outlook()?;
        let left = outlook.leaves.is_some();
        let due = done >= 2 * self.spoke.0 || left != self.spoke.1;
        due.then(|| {
            self.spoke = (done, left);
            sentence(&outlook, &self.live.prediction)
        })
    }
}
