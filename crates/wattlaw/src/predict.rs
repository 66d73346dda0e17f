//! A prediction: energy, time and power of a job with intervals, with their breakdown and warnings.

mod assumed;
mod choice;
mod confidence;
mod factors;
mod figures;
mod law_estimate;
mod memory;
mod outlook;
pub mod scope;
mod screen;
mod unmeasured;
mod warnings;

pub(crate) use assumed::most_power_w;
pub(crate) use choice::MAX_MICRO_BATCH;
pub use choice::{ChosenJob, DefaultField, DefaultSource, TakenDefault};
pub use confidence::{Confidence, ConfidenceLabel};
pub use factors::Factor;
use figures::Figures;
pub use law_estimate::Breakdown;
pub(crate) use law_estimate::variances_beyond_runs;
use law_estimate::{Answers, ByScope, LawEstimate};
pub use memory::{PeakMemory, Verdict};
pub use outlook::{METER_LOG_SD, MeasuredPower, Outlook, Side};
pub use screen::{Note, Quantity, Row, Screen, Unit};
pub(crate) use warnings::plain;
pub use warnings::{Severity, Warning, WarningKind};

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::error::Result;
use crate::base::scope::Scope;
use crate::base::units::{JOULES_PER_KWH, SECONDS_PER_HOUR};
use crate::base::words::words;
use crate::calibration::{Calibration, LawKind, Outside};
use crate::cost::{AttentionFlops, Cost};
use crate::job::Job;
use crate::job::workload::{Precision, Stack};
use crate::law::roofline::clock::PowerLimit;
use crate::memory::{Memory, Recipe};

/// An estimate with an interval; `upper` is infinite (null in JSON) where too few runs support the level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The estimate.
    pub estimate: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

impl Interval {
    /// An interval that is symmetric in logarithms.
    pub fn from_log(log: f64, half_width: f64) -> Self {
        Self {
            estimate: log.exp(),
            lower: (log - half_width).exp(),
            upper: (log + half_width).exp(),
        }
    }

    /// The interval times a factor, such as a unit conversion.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            estimate: self.estimate * factor,
            lower: self.lower * factor,
            upper: self.upper * factor,
        }
    }
}

/// Where an estimate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EstimateKind {
    /// From a fitted law.
    Fitted,
    /// From assumptions on peak and power, since the law's estimate is impossible.
    Assumed,
}

words!(EstimateKind, "kind of estimate": Fitted = "fitted", Assumed = "assumed");

/// The calibration of a prediction, and why it was selected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SelectedCalibration {
    /// Its name.
    pub name: String,
    /// Its kind of law.
    pub law: LawKind,
    /// Whether its law gave the estimate.
    pub kind: EstimateKind,
    /// Why this one.
    pub reason: String,
    /// Number of fitted runs.
    pub rows: usize,
    /// SHA-256 of their table.
    pub sha256: String,
}

/// FLOPs of the whole run, by convention.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FlopCounts {
    /// Model FLOPs: without recomputation and replicated work, full attention square.
    pub model: f64,
    /// Hardware FLOPs: with recomputation and replicated work, full attention square.
    pub hardware: f64,
}

/// The prediction of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// Energy in joules, at `scope`.
    pub energy_j: Option<Interval>,
    /// Time in seconds.
    pub duration_s: Option<Interval>,
    /// Mean power in watts over all accelerators, at `scope`.
    pub mean_power_w: Option<Interval>,
    /// Hours of all accelerators together.
    pub gpu_hours: Option<Interval>,
    /// Tokens a second of all accelerators together, without padding.
    pub tokens_per_s: Option<Interval>,
    /// Seconds of one optimizer step, without the run's start-up where the law separates it.
    pub step_s: Option<Interval>,
    /// Model FLOPs utilisation: model FLOPs (full attention) a second over the accelerators' peak; the interval is that of
    /// the time.
    pub mfu: Option<Interval>,
    /// Level of the intervals.
    pub level: f64,
    /// What the energy covers.
    pub scope: Scope,
    /// Energy in joules at each scope; null where it cannot be had. The facility needs a PUE.
    pub energy_by_scope_j: BTreeMap<Scope, Option<Interval>>,
    /// The software: a framework, and a program within it where one is stated.
    pub framework: Stack,
    /// How far measured runs support the estimate.
    pub confidence: Confidence,
    /// Parameters of the published model.
    pub parameters: u64,
    /// Parameters with the task's head.
    pub parameters_with_head: u64,
    /// Tokens of the run, without padding.
    pub tokens: f64,
    /// Optimizer steps of the run.
    pub steps: f64,
    /// Sequences of an optimizer step.
    pub global_batch: u64,
    /// Number format of products.
    pub precision: Precision,
    /// FLOPs of the run.
    pub flops: FlopCounts,
    /// Peak memory of a GPU.
    pub memory: PeakMemory,
    /// Energy per token, in joules.
    pub energy_per_token_j: Option<Interval>,
    /// Energy of the facility in joules, where a PUE was given.
    pub facility_energy_j: Option<Interval>,
    /// Carbon in grams of CO₂ equivalent, where an intensity was given; includes the PUE if there is one.
    pub carbon_g: Option<Interval>,
    /// Price, where prices were given, in their currency.
    pub cost: Option<Interval>,
    /// The currency of the prices, where stated.
    pub currency: Option<String>,
    /// Predicted efficiency η, where the calibration has a law of it.
    pub efficiency: Option<f64>,
    /// The breakdown of the estimate.
    pub breakdown: Breakdown,
    /// The effect of the power limit, from a roofline law; the scaling law has no such variable.
    pub power_limit: Option<PowerLimit>,
    /// Variables outside the fitted range, farthest first.
    pub outside: Vec<Outside>,
    /// Warnings, the weightiest first.
    pub warnings: Vec<Warning>,
    /// The selected calibration.
    pub calibration: SelectedCalibration,
}

/// Time and energy of a job without memory, carbon and price, for plans of many jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Time in seconds.
    pub duration_s: Option<f64>,
    /// Energy in joules, at `scope`.
    pub energy_j: Option<f64>,
    /// What the energy covers.
    pub scope: Scope,
    /// Where an estimate comes from.
    pub kind: EstimateKind,
    /// Warnings.
    pub warnings: Vec<Warning>,
}

/// Time, energy, power and memory of a job, for tables of many jobs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Intervals {
    /// Energy in joules.
    pub energy_j: Option<Interval>,
    /// Time in seconds.
    pub duration_s: Option<Interval>,
    /// Mean power of all accelerators in watts.
    pub mean_power_w: Option<Interval>,
    /// Carbon in grams of CO₂ equivalent, where an intensity was given.
    pub carbon_g: Option<Interval>,
    /// Price, where prices were given, in their currency.
    pub cost: Option<Interval>,
    /// Peak memory.
    pub peak: Peak,
    /// Where the estimate comes from.
    pub kind: EstimateKind,
}

/// Peak memory of a job. It does not depend on the amount of training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// That of the fullest GPU in GiB.
    pub gib_per_gpu: f64,
    /// Whether it fits, with a probability of at least one half.
    pub fits: bool,
}

impl Peak {
    fn new(job: &Job) -> Result<Self> {
        let recipe = Recipe::for_job(job)?;
        let memory = Memory::with_recipe(job, &recipe);
        Ok(Self { gib_per_gpu: memory.peak().gib(), fits: memory.fits })
    }
}

/// The scopes at which energy is given.
const SCOPES: [Scope; 6] =
    [Scope::Gpu, Scope::Devices, Scope::NodeDc, Scope::NodeAc, Scope::Facility, Scope::Codecarbon];

/// Level of intervals that are computed and not used.
const UNUSED_LEVEL: f64 = 0.95;

/// Estimates many jobs by one calibration. What the jobs of one chip, software and network share is computed once.
#[derive(Debug)]
pub struct Estimator<'a> {
    answers: Answers<'a>,
}

impl<'a> Estimator<'a> {
    /// An estimator of a calibration.
    pub fn new(calibration: &'a Calibration) -> Self {
        Self { answers: Answers::new(calibration) }
    }

    /// The calibration.
    pub const fn calibration(&self) -> &'a Calibration {
        self.answers.calibration()
    }

    /// Time and energy of a job, as in [`predict`].
    ///
    /// # Errors
    /// As [`predict`].
    pub fn estimate(&mut self, job: &Job) -> Result<Estimate> {
        let mut checked = checked(job, &mut self.answers, UNUSED_LEVEL)?;
        let scope = self.calibration().default_scope();
        let warnings = checked.warnings(job, self.calibration());
        let Checked { estimate, kind, .. } = checked;
        Ok(Estimate {
            duration_s: estimate.duration_s.map(|i| i.estimate),
            energy_j: estimate.energy.at(scope)?.map(|i| i.estimate),
            scope,
            kind,
            warnings,
        })
    }

    /// Expected time in seconds and energy of the accelerators in joules: sums of costs at their means, where an estimate has them
    /// at their medians. Plans are ranked by them. `None` for a scaling law, which does not sum costs.
    pub fn expected(&mut self, job: &Job) -> Option<[f64; 2]> {
        self.answers.expected(job)
    }

    /// Time, energy, power and memory of a job with their intervals, as in [`predict`] and without its warnings.
    ///
    /// # Errors
    /// As [`predict`].
    pub fn intervals(&mut self, job: &Job, scope: Option<Scope>, level: f64) -> Result<Intervals> {
        self.intervals_with(job, || Peak::new(job), scope, level)
    }

    /// As [`Estimator::intervals`], of a job whose peak memory is known: that of another one that differs in the amount of training
    /// alone.
    ///
    /// # Errors
    /// As [`predict`].
    pub fn intervals_at(
        &mut self,
        job: &Job,
        peak: Peak,
        scope: Option<Scope>,
        level: f64,
    ) -> Result<Intervals> {
        self.intervals_with(job, || Ok(peak), scope, level)
    }

    fn intervals_with(
        &mut self,
        job: &Job,
        peak: impl FnOnce() -> Result<Peak>,
        scope: Option<Scope>,
        level: f64,
    ) -> Result<Intervals> {
        let checked = checked(job, &mut self.answers, level)?;
        let scope = scope.unwrap_or_else(|| checked.default_scope(self.calibration()));
        let Checked { estimate, kind, .. } = checked;
        let (energy_j, duration_s) = (estimate.energy.at(scope)?, estimate.duration_s);
        let drawn = estimate.energy.of_facility().or(energy_j);
        Ok(Intervals {
            energy_j,
            duration_s,
            mean_power_w: estimate.mean_power.at(scope)?,
            carbon_g: carbon(job, drawn),
            cost: price(job, drawn, duration_s),
            peak: peak()?,
            kind,
        })
    }
}

/// The estimate of a calibration's law, or of assumptions where the law's is impossible.
struct Checked {
    estimate: LawEstimate,
    kind: EstimateKind,
    /// The assumptions, where they replace the law.
    assumed: Option<String>,
    /// Why they do.
    impossible: Option<Warning>,
    cost: Cost,
    outside: Vec<Outside>,
}

fn checked(job: &Job, answers: &mut Answers<'_>, level: f64) -> Result<Checked> {
    let calibration = answers.calibration();
    let cost = Cost::count(job, AttentionFlops::Full);
    let outside = calibration.outside(job);
    let mut estimate = answers.estimate(job, &cost, &outside, level)?;
    let mut assumed = None;
    let power = estimate.mean_power.at(calibration.default_scope())?;
    let impossible = assumed::impossible(job, &cost, estimate.duration_s, power);
    if impossible.is_some() {
        let replacement = assumed::estimate(job, &cost, level)?;
        estimate.energy = ByScope::Assumed(replacement.energy);
        estimate.duration_s = Some(replacement.duration);
        estimate.mean_power = ByScope::Assumed(replacement.power);
        estimate.breakdown = Breakdown::Factors(Vec::new());
        estimate.power_limit = None;
        assumed = Some(replacement.reason);
    }
    let kind = if assumed.is_some() { EstimateKind::Assumed } else { EstimateKind::Fitted };
    Ok(Checked { estimate, kind, assumed, impossible, cost, outside })
}

impl Checked {
    /// The warnings of the estimate, the weightiest first.
    fn warnings(&mut self, job: &Job, calibration: &Calibration) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let is_law = self.impossible.is_none();
        warnings.extend(self.impossible.take());
        warnings.append(&mut self.estimate.warnings);
        warnings.extend(warnings::for_range(&self.outside, calibration));
        warnings.extend(warnings::for_job(job, calibration));
        warnings.extend(warnings::for_cost(job));
        if is_law {
            warnings.extend(warnings::for_utilisation(job, &self.cost, self.estimate.duration_s));
        }
        warnings.sort_by_key(|warning| warning.kind.severity());
        warnings
    }

    /// The scope of an answer for which none is asked.
    fn default_scope(&self, calibration: &Calibration) -> Scope {
        match self.kind {
            EstimateKind::Assumed => Scope::Gpu,
            EstimateKind::Fitted => calibration.default_scope(),
        }
    }
}

/// Predicts a job with a calibration; `reason` says why the calibration was selected. Without a scope, energy is that of
/// the accelerators, or of the runs of a scaling law.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) for a level outside 0 to 1, and for a scope that the law cannot predict;
/// [`Error::Missing`](crate::Error::Missing) for the facility without a PUE; [`Error::Data`](crate::Error::Data) where the
/// calibration has no fitted accelerator, family or strategy for the job, nor a substitute.
pub fn predict(
    job: &Job,
    calibration: &Calibration,
    reason: &str,
    scope: Option<Scope>,
    level: f64,
) -> Result<Prediction> {
    let mut answers = Answers::new(calibration);
    let mut checked = checked(job, &mut answers, level)?;
    let scope = scope.unwrap_or_else(|| checked.default_scope(calibration));
    let mut warnings = checked.warnings(job, calibration);
    let Checked { estimate, kind, assumed, cost, outside, .. } = checked;
    let (energy, duration) = (estimate.energy.at(scope)?, estimate.duration_s);
    let energy_by_scope_j = SCOPES
        .into_iter()
        .map(|scope| (scope, estimate.energy.at(scope).ok().flatten()))
        .collect::<BTreeMap<_, _>>();
    let confidence = match kind {
        EstimateKind::Assumed => Confidence::assumed(),
        EstimateKind::Fitted => {
            Confidence::new(job, calibration, &answers.support(job, &cost), &outside)
        }
    };

    let memory = PeakMemory::for_job(job, level)?;
    warnings.extend(memory.warning());
    warnings.sort_by_key(|warning| warning.kind.severity());
    let figures = duration.map(|time| Figures::new(job, &cost, time, &estimate.breakdown));

    let tokens = job.tokens();
    let system = &job.system;
    let facility_energy_j = energy_by_scope_j.get(&Scope::Facility).copied().flatten();
    let drawn = facility_energy_j.or(energy);
    Ok(Prediction {
        energy_j: energy,
        duration_s: duration,
        mean_power_w: estimate.mean_power.at(scope)?,
        gpu_hours: figures.map(|of| of.gpu_hours),
        tokens_per_s: figures.map(|of| of.tokens_per_s),
        step_s: figures.map(|of| of.step_s),
        mfu: figures.and_then(|of| of.mfu),
        level,
        scope,
        energy_by_scope_j,
        framework: job.workload.framework.clone(),
        confidence,
        parameters: job.architecture.parameters().total,
        parameters_with_head: job.architecture.parameters_for(job.workload.task).total,
        tokens,
        steps: job.steps(),
        global_batch: job.global_batch(),
        precision: job.workload.precision,
        flops: FlopCounts {
            model: cost.model_flops().value(),
            hardware: cost.hardware_flops().value(),
        },
        memory,
        energy_per_token_j: energy.map(|e| e.scaled(1.0 / tokens)),
        facility_energy_j,
        carbon_g: carbon(job, drawn),
        cost: price(job, drawn, duration),
        currency: system.currency.clone(),
        efficiency: estimate.efficiency,
        breakdown: estimate.breakdown,
        power_limit: estimate.power_limit,
        outside,
        warnings,
        calibration: SelectedCalibration {
            name: calibration.name.clone(),
            law: calibration.law.kind(),
            kind,
            reason: assumed.unwrap_or_else(|| reason.to_owned()),
            rows: calibration.data.rows,
            sha256: calibration.data.sha256.clone(),
        },
    })
}

/// Carbon of the drawn energy, where an intensity was given.
fn carbon(job: &Job, drawn: Option<Interval>) -> Option<Interval> {
    drawn.zip(job.system.carbon_g_per_kwh).map(|(e, g)| e.scaled(g / JOULES_PER_KWH))
}

/// Cost of accelerator hours plus cost of energy, whichever prices were given.
fn price(job: &Job, energy: Option<Interval>, duration: Option<Interval>) -> Option<Interval> {
    let rent = duration
        .zip(job.system.price_per_gpu_hour)
        .map(|(d, price)| d.scaled(price * job.parallelism.gpus() as f64 / SECONDS_PER_HOUR));
    let power =
        energy.zip(job.system.price_per_kwh).map(|(e, price)| e.scaled(price / JOULES_PER_KWH));
    match (rent, power) {
        (Some(a), Some(b)) => Some(Interval {
            estimate: a.estimate + b.estimate,
            lower: a.lower + b.lower,
            upper: a.upper + b.upper,
        }),
        (a, b) => a.or(b),
    }
}
