//! Plans side by side: the whole prediction of each, and the probability that it is the best one.

use rand_mt::Mt;
use serde::Serialize;
use serde_json::Value;
use statrs::function::erf::erfc_inv;

use nalgebra::{DMatrix, DVector};

use super::objective::Objective;
use crate::base::error::Result;
use crate::base::scope::Scope;
use crate::calibration::{Calibration, Laws};
use crate::job::Job;
use crate::job::system::System;
use crate::law::roofline::joint::Compared;
use crate::law::roofline::terms::Terms;
use crate::law::roofline::{Answer, Groups, RooflineFit, Workspace};
use crate::predict::scope::Weights;
use crate::predict::{
    Breakdown, Confidence, Estimator, Interval, PeakMemory, Prediction, predict,
    variances_beyond_runs,
};
use crate::stats::inference::Reference;

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedJob {
    /// Its rank, from 1.
    pub rank: usize,
    /// The job.
    #[serde(serialize_with = "as_document")]
    pub job: Job,
    /// Energy in joules, at the scope that was asked for.
    pub energy_j: Option<Interval>,
    /// Time in seconds.
    pub duration_s: Option<Interval>,
    /// Hours of all accelerators together.
    pub gpu_hours: Option<Interval>,
    /// Price, where prices are known.
    pub cost: Option<Interval>,
    /// Carbon in grams of CO₂ equivalent, where an intensity is known.
    pub carbon_g: Option<Interval>,
    /// Peak memory of a GPU.
    pub memory: PeakMemory,
    /// How far measured runs support the estimate.
    pub confidence: Confidence,
    /// Time and energy by part.
    pub breakdown: Breakdown,
    /// What it is ranked by; null for a law that does not know its uncertainty, which ranks by estimates.
    pub expected: Option<Expected>,
    /// Probability that it is the best of the listed plans, from the joint uncertainty of the law; null for a law without one.
    pub probability_best: Option<f64>,
}

/// Expected values of a plan: with every cost of the law at its mean, where the estimates have them at their medians.
///
/// Of two plans with one estimate the one whose costs are less known has the higher expected value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Expected {
    /// Energy in joules, at the scope that was asked for.
    pub energy_j: f64,
    /// Time in seconds.
    pub duration_s: f64,
    /// Hours of all accelerators together.
    pub gpu_hours: f64,
    /// Price, where prices are known.
    pub cost: Option<f64>,
    /// Carbon in grams of CO₂ equivalent, where an intensity is known.
    pub carbon_g: Option<f64>,
}

impl Expected {
    /// Those of a job of this expected time and energy of its accelerators.
    ///
    /// # Errors
    /// As [`Objective::weights`], of the energy.
    fn new(system: &System, scope: Scope, [time_s, energy_j]: [f64; 2]) -> Result<Self> {
        let of = |objective: Objective| {
            objective.weights(system, scope).map(|weights| weights.value(time_s, energy_j))
        };
        Ok(Self {
            energy_j: of(Objective::Energy)?,
            duration_s: of(Objective::Time)?,
            gpu_hours: of(Objective::GpuHours)?,
            cost: of(Objective::Cost).ok(),
            carbon_g: of(Objective::Carbon).ok(),
        })
    }

    /// The value of an objective.
    const fn objective(&self, objective: Objective) -> Option<f64> {
        match objective {
            Objective::Energy => Some(self.energy_j),
            Objective::Time => Some(self.duration_s),
            Objective::Cost => self.cost,
            Objective::Carbon => self.carbon_g,
            Objective::GpuHours => Some(self.gpu_hours),
        }
    }
}

impl PlannedJob {
    /// What plans are compared by: the expected value of an objective where the law has one, else its estimate; J, s, the currency,
    /// g CO₂e or h.
    pub fn compared_by(&self, objective: Objective) -> Option<f64> {
        let estimate = match objective {
            Objective::Energy => self.energy_j,
            Objective::Time => self.duration_s,
            Objective::Cost => self.cost,
            Objective::Carbon => self.carbon_g,
            Objective::GpuHours => self.gpu_hours,
        };
        compared_by(objective, self.expected, estimate)
    }
}

/// The expected value of an objective where there is one, else its estimate.
fn compared_by(
    objective: Objective,
    expected: Option<Expected>,
    estimate: Option<Interval>,
) -> Option<f64> {
    let expected = expected.and_then(|of| of.objective(objective));
    expected.or_else(|| estimate.map(|of| of.estimate))
}

fn as_document<S: serde::Serializer>(
    job: &Job,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    let document: Value = job.to_value().map_err(serde::ser::Error::custom)?;
    document.serialize(serializer)
}

/// Jobs side by side, the best first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The jobs.
    pub rows: Vec<PlannedJob>,
    /// Probability that the first is better than the second; null with one job, and for a law without joint uncertainty.
    pub first_before_second: Option<f64>,
}

/// A job with its objective and its prediction.
pub(super) struct Weighed {
    job: Job,
    weights: Weights,
    prediction: Prediction,
    expected: Option<Expected>,
}

impl Weighed {
    /// Predicts a job.
    ///
    /// # Errors
    /// As [`compare`].
    pub(super) fn new(
        job: Job,
        objective: Objective,
        calibration: &Calibration,
        scope: Scope,
        level: f64,
    ) -> Result<Self> {
        let weights = objective.weights(&job.system, scope)?;
        let prediction = predict(&job, calibration, "", Some(scope), level)?;
        let expected = Estimator::new(calibration).expected(&job);
        let expected = expected.map(|of| Expected::new(&job.system, scope, of)).transpose()?;
        Ok(Self { job, weights, prediction, expected })
    }

    /// What jobs are sorted by.
    fn value(&self, objective: Objective) -> f64 {
        let estimate = objective.predicted(&self.prediction);
        compared_by(objective, self.expected, estimate).unwrap_or(f64::INFINITY)
    }
}

/// Predicts jobs and sorts them by the expected value of an objective.
///
/// # Errors
/// As [`predict`]; [`Error::Missing`](crate::Error::Missing) for an objective without its price or carbon intensity.
pub fn compare(
    jobs: Vec<Job>,
    objective: Objective,
    calibration: &Calibration,
    scope: Scope,
    level: f64,
    fits_threshold: f64,
) -> Result<Comparison> {
    let mut weighed = jobs
        .into_iter()
        .map(|job| Weighed::new(job, objective, calibration, scope, level))
        .collect::<Result<Vec<_>>>()?;
    weighed.sort_by(|a, b| a.value(objective).total_cmp(&b.value(objective)));
    Ok(rank(weighed, calibration, fits_threshold))
}

/// Jobs in their order.
pub(super) fn rank(
    jobs: Vec<Weighed>,
    calibration: &Calibration,
    fits_threshold: f64,
) -> Comparison {
    let (best, first_before_second) = match &calibration.law {
        Laws::Roofline(law) => probabilities(law, calibration, &jobs),
        Laws::Scaling(_) => (vec![None; jobs.len()], None),
    };
    let rows = (1..).zip(jobs.into_iter().zip(best)).map(|(rank, (of, probability_best))| {
        let Weighed { job, prediction, expected, .. } = of;
        PlannedJob {
            rank,
            energy_j: prediction.energy_j,
            duration_s: prediction.duration_s,
            gpu_hours: prediction.gpu_hours,
            cost: prediction.cost,
            carbon_g: prediction.carbon_g,
            memory: prediction.memory.with_threshold(fits_threshold),
            confidence: prediction.confidence,
            breakdown: prediction.breakdown,
            expected,
            probability_best,
            job,
        }
    });
    Comparison { rows: rows.collect(), first_before_second }
}

/// Draws of the joint distribution, and their seed.
const DRAWS: usize = 4000;
const SEED: u32 = 2026;

/// Share of the largest variance that is added to each, so that a covariance known to rounding has a root.
const RIDGE: f64 = 1e-10;

/// For each job the probability that its objective is the least, and the probability that the first is below the second.
///
/// The objectives' logarithms are normal with the joint covariance of ln time and ln power (delta method); a host's power is taken
/// as known.
fn probabilities(
    law: &RooflineFit,
    calibration: &Calibration,
    jobs: &[Weighed],
) -> (Vec<Option<f64>>, Option<f64>) {
    let terms: Vec<Terms> = jobs.iter().map(|of| Terms::for_job(&of.job)).collect();
    let answers: Vec<Answer<'_>> =
        jobs.iter().map(|of| law.answer(&Groups::for_job(&of.job))).collect();
    let compared: Vec<Compared<'_>> = jobs
        .iter()
        .zip(answers.iter().zip(&terms))
        .map(|(of, (answer, terms))| Compared {
            answer,
            terms,
            beyond: variances_beyond_runs(&of.job, &calibration.outside(&of.job)),
        })
        .collect();
    let joint = law.joint(&compared);
    let mut workspace = Workspace::default();
    let logs: Vec<(f64, [f64; 2])> = jobs
        .iter()
        .zip(&compared)
        .map(|(of, Compared { answer, terms, .. })| {
            let estimate = answer.estimate(terms, Scope::Gpu, &mut workspace).estimate;
            let time_s = estimate.log_time.exp();
            let energy_j = time_s * estimate.log_power.exp() * terms.gpus;
            (of.weights.value(time_s, energy_j).ln(), of.weights.log_slopes(time_s, energy_j))
        })
        .collect();
    let n = jobs.len();
    let covariance = DMatrix::from_fn(n, n, |i, j| {
        let mut sum = 0.0;
        for (r, a) in logs[i].1.iter().enumerate() {
            for (s, b) in logs[j].1.iter().enumerate() {
                sum += a * b * joint[(2 * i + r, 2 * j + s)];
            }
        }
        sum
    });
    let first_before_second = (n > 1).then(|| {
        let variance = covariance[(0, 0)] + covariance[(1, 1)] - 2.0 * covariance[(0, 1)];
        Reference::Normal.cumulative((logs[1].0 - logs[0].0) / variance.max(0.0).sqrt())
    });
    let means = DVector::from_iterator(n, logs.iter().map(|(log, _)| *log));
    (least_of_draws(&means, covariance), first_before_second)
}

/// The share of draws in which each of several normal variables is the least.
fn least_of_draws(means: &DVector<f64>, mut covariance: DMatrix<f64>) -> Vec<Option<f64>> {
    let n = means.len();
    let ridge = RIDGE * covariance.diagonal().max();
    for i in 0..n {
        covariance[(i, i)] += ridge;
    }
    let Some(root) = covariance.cholesky().map(|of| of.l()) else { return vec![None; n] };
    let mut random = Mt::new(SEED);
    let mut normal = || {
        // uniform in the open interval from 0 to 2
        let uniform = (f64::from(random.next_u32()) + 0.5) / f64::from(1_u32 << 31);
        std::f64::consts::SQRT_2 * erfc_inv(uniform)
    };
    let mut counts = vec![0_u32; n];
    for _ in 0..DRAWS {
        let draw = means + &root * DVector::from_fn(n, |_, _| normal());
        counts[draw.argmin().0] += 1;
    }
    counts.into_iter().map(|count| Some(f64::from(count) / DRAWS as f64)).collect()
}
