//! Transfer to a machine that is not in the table: its prior, and the choice of its most informative runs.
//!
//! A machine's logarithmic parameters are those shared by all machines plus a difference of its own: a normal
//! hierarchical model (Gelman et al., Bayesian Data Analysis, chapter 5). The prior of a new machine is N(μ, C + τ²(1 +
//! 1/M)): μ and C are estimate and covariance of the shared parameters of M machines, τ is the standard deviation
//! between machines. Runs are chosen by their derivatives under that prior (`stats/optimal.rs`). The design also has a
//! discrepancy that is linear in the configuration, so that the choice does not rely on the physics only.

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::discrepancy::Discrepancy;
use super::fit;
use super::fit::{Fit, NOISE, Prior, Sample};
use super::observation::{MIN_DISCREPANCY_RUNS, Observation, SPREADS};
use super::physics::{COUNT, PARAMETERS, Physics, RooflineParameters};
use super::sensitivity::{RESPONSES, derivatives};
use super::terms::{INPUTS, Terms};
use crate::base::error::{Error, Result};
use crate::stats::conformal::Conformal;
use crate::stats::optimal::{Criterion, Design};

/// Prior standard deviation between machines, in units of the physical defaults' standard deviations.
pub(crate) const PRIOR_SD_SCALE: f64 = 0.5;

/// Weight of that prior in machines: the degrees of freedom of its scaled inverse-χ² distribution.
const PRIOR_DEGREES_OF_FREEDOM: f64 = 2.0;

/// Few-shot runs of each held-out machine, to measure the error of an adapted law.
const FEW_SHOT_RUNS: usize = 5;

/// Overhead of a run in seconds: queueing, loading, compiling. Assumed; it prevents the choice of very short runs with
/// little information.
pub const OVERHEAD_S: f64 = 600.0;

/// The prior of an unseen machine, and the residuals of adapted laws.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// The prior of its parameters.
    #[serde(rename = "parameters")]
    pub unseen: Fit,
    /// Few-shot runs of each held-out machine.
    #[serde(alias = "given")]
    pub few_shot_runs: usize,
    /// Residuals of time, energy and mean power of its other runs, in units of the posterior's standard deviation;
    /// `None` for a table of one machine.
    pub spreads: [Option<Conformal>; SPREADS],
    /// Discrepancies of ln T and ln E shared by all machines; `None` where none was learned.
    #[serde(default)]
    pub discrepancies: [Option<Discrepancy>; RESPONSES],
}

impl Transfer {
    /// Learns from the runs of each machine, the pooled fit, and the fit of each machine.
    ///
    /// # Errors
    /// As [`fit::fit`] and the discrepancy.
    pub fn learn(
        kinds: &[Vec<Observation<'_>>],
        pooled: &Fit,
        own: &[&Fit],
        discrepancy: Option<usize>,
    ) -> Result<Self> {
        Ok(Self {
            unseen: unseen(pooled, own)?,
            few_shot_runs: FEW_SHOT_RUNS,
            spreads: held_out(kinds)?,
            discrepancies: match discrepancy {
                Some(points) => shared(kinds, own, points)?,
                None => [None, None],
            },
        })
    }

    /// Shared discrepancies of ln T and ln E of a job.
    pub(crate) fn shared_discrepancy(&self, job: &Terms) -> [f64; RESPONSES] {
        let of = |d: &Option<Discrepancy>| d.as_ref().map_or(0.0, |d| d.predict(&job.inputs).0);
        [of(&self.discrepancies[0]), of(&self.discrepancies[1])]
    }

    /// Fits the parameters of a machine to a few runs of it.
    ///
    /// # Errors
    /// As [`fit::fit_few`].
    pub fn adjusted(&self, runs: &[Observation<'_>], prior: &Prior) -> Result<Fit> {
        let samples: Vec<Sample<'_>> = runs
            .iter()
            .map(|run| {
                let [time, energy] = self.shared_discrepancy(run.terms);
                Sample {
                    terms: run.terms,
                    log_duration: run.log_duration - time,
                    log_energy: run.log_energy.map(|e| e - energy),
                }
            })
            .collect();
        fit::fit_few(&samples, prior)
    }
}

/// Discrepancies shared by all machines, learned from the residuals of each under its own parameters; differences
/// between machines count as noise.
fn shared(
    kinds: &[Vec<Observation<'_>>],
    own: &[&Fit],
    points: usize,
) -> Result<[Option<Discrepancy>; RESPONSES]> {
    let mut inputs = [Vec::new(), Vec::new()];
    let mut residuals = [Vec::new(), Vec::new()];
    for (runs, fit) in kinds.iter().zip(own) {
        let physics = Physics(fit.parameters());
        for run in runs {
            let [time, energy] = physics.logs(run.terms);
            inputs[0].push(run.terms.inputs);
            residuals[0].push(run.log_duration - time);
            if let Some(log_energy) = run.log_energy {
                inputs[1].push(run.terms.inputs);
                residuals[1].push(log_energy - energy);
            }
        }
    }
    let learn = |which: usize| -> Result<Option<Discrepancy>> {
        if residuals[which].len() < MIN_DISCREPANCY_RUNS {
            return Ok(None);
        }
        Discrepancy::learn(&inputs[which], &residuals[which], points, None).map(Some)
    };
    Ok([learn(0)?, learn(1)?])
}

/// Prior of an unseen machine, from the pooled parameters and those of each machine.
///
/// τ² is the mean of the squared differences, their uncertainty included, and of the prior variance: one step of
/// expectation maximisation (Dempster, Laird and Rubin 1977) with a scaled inverse-χ² prior.
fn unseen(pooled: &Fit, own: &[&Fit]) -> Result<Fit> {
    let machines = own.len() as f64;
    let mut covariance = pooled.covariance();
    for j in 0..COUNT {
        let likely = (PRIOR_SD_SCALE * PARAMETERS[j].sd).powi(2);
        let found: f64 = if own.len() < 2 {
            machines * likely
        } else {
            own.iter().map(|m| (m.logs[j] - pooled.logs[j]).powi(2) + m.log_sds[j].powi(2)).sum()
        };
        let between =
            (PRIOR_DEGREES_OF_FREEDOM * likely + found) / (PRIOR_DEGREES_OF_FREEDOM + machines);
        covariance[(j, j)] += between * (1.0 + 1.0 / machines.max(1.0));
    }
    Fit::with_covariance(pooled.logs, covariance)
        .ok_or_else(|| Error::Data("the runs do not determine the shared parameters".into()))
}

/// Residuals of each machine under a law of the others, adapted to a few of its runs that are chosen without their
/// measured values. Uses the physics only: a discrepancy for each held-out machine would take long, and residuals
/// without it are larger, so the intervals are conservative.
fn held_out(kinds: &[Vec<Observation<'_>>]) -> Result<[Option<Conformal>; SPREADS]> {
    let mut sizes: [Vec<f64>; SPREADS] = [const { Vec::new() }; SPREADS];
    for (i, runs) in kinds.iter().enumerate().filter(|(_, runs)| runs.len() > FEW_SHOT_RUNS) {
        let others: Vec<&[Observation<'_>]> =
            kinds.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, k)| k.as_slice()).collect();
        if others.is_empty() {
            continue;
        }
        let prior = Prior::from(&of_others(&others)?);
        let jobs: Vec<&Terms> = runs.iter().map(|r| r.terms).collect();
        let few_shot = choose(&prior, &jobs, FEW_SHOT_RUNS);
        let few: Vec<Sample<'_>> = few_shot.iter().map(|at| runs[*at].sample()).collect();
        let adjusted = fit::fit_few(&few, &prior)?;
        for run in runs.iter().enumerate().filter(|(at, _)| !few_shot.contains(at)).map(|(_, r)| r)
        {
            let sds = posterior_sds(&adjusted, run.terms);
            let [time, energy] = Physics(adjusted.parameters()).logs(run.terms);
            let off = run.log_duration - time;
            sizes[0].push(off / sds[0]);
            if let Some(log_energy) = run.log_energy {
                let of_energy = log_energy - energy;
                sizes[1].push(of_energy / sds[1]);
                sizes[2].push((of_energy - off) / sds[2]);
            }
        }
    }
    let [time, energy, power] = sizes.map(|sizes| {
        let rounded = sizes.iter().map(|z| (z * 1e6).round() / 1e6);
        (!sizes.is_empty()).then(|| Conformal::from_residuals(rounded)).transpose()
    });
    Ok([time?, energy?, power?])
}

/// The prior of a machine from the runs of others.
fn of_others(kinds: &[&[Observation<'_>]]) -> Result<Fit> {
    let all: Vec<Sample<'_>> = kinds.iter().copied().flatten().map(Observation::sample).collect();
    let pooled = fit::fit(&all, &Prior::physical(), None)?;
    if kinds.len() == 1 {
        return unseen(&pooled, &[&pooled]);
    }
    let prior = Prior::centred_at(pooled.logs, PRIOR_SD_SCALE);
    let own = kinds
        .iter()
        .map(|runs| {
            let samples: Vec<Sample<'_>> = runs.iter().map(Observation::sample).collect();
            fit::fit(&samples, &prior, None)
        })
        .collect::<Result<Vec<Fit>>>()?;
    unseen(&pooled, &own.iter().collect::<Vec<_>>())
}

/// The rows of `jobs` that a machine with this prior should run first, to predict all of them.
pub fn choose(prior: &Prior, jobs: &[&Terms], count: usize) -> Vec<usize> {
    let mut design = design(prior, jobs, jobs);
    design.choose(Criterion::Targets, count).iter().map(|c| c.candidate).collect()
}

/// The experimental design of `candidates` for predictions of ln T and ln E of `targets`.
pub fn design(prior: &Prior, candidates: &[&Terms], targets: &[&Terms]) -> Design {
    let size = COUNT + RESPONSES * INPUTS.len();
    let discrepancy = LinearDiscrepancy::new(targets);
    let mut rows = DMatrix::zeros(size, candidates.len() * RESPONSES);
    for (i, job) in candidates.iter().enumerate() {
        let [time, power] = discrepancy.derivatives(&prior.mean, job);
        rows.set_column(i * RESPONSES, &(time / NOISE));
        rows.set_column(i * RESPONSES + 1, &(power / NOISE));
    }
    let mut wanted = DMatrix::zeros(size, targets.len() * RESPONSES);
    for (i, job) in targets.iter().enumerate() {
        let [time, power] = discrepancy.derivatives(&prior.mean, job);
        wanted.set_column(i * RESPONSES + 1, &(&time + power));
        wanted.set_column(i * RESPONSES, &time);
    }
    let mut whitening = DMatrix::identity(size, size);
    whitening.view_mut((0, 0), (COUNT, COUNT)).copy_from(&prior.whitening);
    let physics = Physics(RooflineParameters::from_logs(&prior.mean));
    let costs = candidates.iter().map(|job| physics.time(job).total_s + OVERHEAD_S).collect();
    Design::new(&whitening, rows, RESPONSES, wanted, costs)
}

/// A discrepancy that is linear in the configuration.
struct LinearDiscrepancy {
    mean: [f64; INPUTS.len()],
    scale: [f64; INPUTS.len()],
}

impl LinearDiscrepancy {
    fn new(jobs: &[&Terms]) -> Self {
        let n = jobs.len().max(1) as f64;
        let mean: [f64; INPUTS.len()] =
            std::array::from_fn(|j| jobs.iter().map(|job| job.inputs[j]).sum::<f64>() / n);
        let scale = std::array::from_fn(|j| {
            let variance =
                jobs.iter().map(|job| (job.inputs[j] - mean[j]).powi(2)).sum::<f64>() / n;
            if variance > 1e-18 { NOISE / variance.sqrt() } else { 0.0 }
        });
        Self { mean, scale }
    }

    /// Derivatives of ln T and ln(E/T) with respect to the parameters' logarithms and the discrepancy's coefficients.
    fn derivatives(&self, logs: &[f64; COUNT], job: &Terms) -> [DVector<f64>; RESPONSES] {
        let physics = derivatives(logs, job);
        std::array::from_fn(|response| {
            let mut out = DVector::zeros(COUNT + RESPONSES * INPUTS.len());
            out.rows_mut(0, COUNT).copy_from_slice(&physics[response]);
            let at = COUNT + response * INPUTS.len();
            for j in 0..INPUTS.len() {
                out[at + j] = (job.inputs[j] - self.mean[j]) * self.scale[j];
            }
            out
        })
    }
}

/// Standard deviations of ln T, ln E and ln(E/T) of a new run: from the parameters' covariance (delta method) and the
/// noise.
pub fn posterior_sds(fit: &Fit, terms: &Terms) -> [f64; SPREADS] {
    let [time, power] = derivatives(&fit.logs, terms);
    let mut energy = time;
    for (e, p) in energy.iter_mut().zip(power) {
        *e += p;
    }
    let sd =
        |d: &[f64; COUNT], responses: f64| (fit.variance(d) + responses * NOISE * NOISE).sqrt();
    [sd(&time, 1.0), sd(&energy, 2.0), sd(&power, 1.0)]
}
