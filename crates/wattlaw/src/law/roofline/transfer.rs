//! What the machines of a table tell of one that is not among them, and which of its runs would tell most.
//!
//! A machine's logarithmic parameters are held to be those that all machines share plus a difference of its own: a normal
//! hierarchy (Gelman et al., Bayesian Data Analysis, chapter 5). What a new machine's are before its first run is then
//! N(μ, C + τ²(1 + 1/M)): μ and C are estimate and covariance of what M machines share, τ how far machines lie apart. Runs
//! are chosen by the derivatives under that (`stats/optimal.rs`), beside which the physics' misses are a linear function
//! of the configuration, so that the choice does not trust the physics at its extremes alone.

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

/// How much a machine is held to differ from what all machines share before any were compared, in units of the physical
/// defaults' standard deviations.
pub const PRIOR_SD_SCALE: f64 = 0.5;

/// As how many compared machines that counts (degrees of freedom of its scaled inverse-χ² distribution).
const PRIOR_DEGREES_OF_FREEDOM: f64 = 2.0;

/// Runs that each machine is given when machines are held out to see how far off an adjusted law is.
const FEW_SHOT_RUNS: usize = 5;

/// Seconds that a run costs beside its own: to queue, load and compile. Assumed; it keeps the shortest runs from being
/// the best bargain however little they tell.
pub const OVERHEAD_S: f64 = 600.0;

/// What is known of a machine that was not seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Its likely parameters.
    #[serde(rename = "parameters")]
    pub unseen: Fit,
    /// Runs that each machine was given when it was held out.
    #[serde(alias = "given")]
    pub few_shot_runs: usize,
    /// How far time, energy and mean power of its other runs then were off, in units of the posterior's standard
    /// deviation; none where the table has one machine.
    pub spreads: [Option<Conformal>; SPREADS],
    /// What the physics misses of ln T and ln E on all machines alike; none where none was learnt.
    #[serde(default)]
    pub discrepancies: [Option<Discrepancy>; RESPONSES],
}

impl Transfer {
    /// Learns from the runs of each machine, what all share, and each machine's own.
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

    /// What the physics misses of ln T and ln E of a job.
    pub fn shared_discrepancy(&self, job: &Terms) -> [f64; RESPONSES] {
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

/// What the physics misses alike on all machines: learnt from the residuals of each under its own parameters, what they do
/// not share being noise.
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

/// Parameters of a machine that was not seen, from those that all share and those of each.
///
/// τ² is the mean of squared differences, their own uncertainty included, and of what was held likely before: one step of
/// expectation and maximisation (Dempster, Laird and Rubin 1977) with a scaled inverse-χ² prior.
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
        .ok_or_else(|| Error::Data("what the machines share is not determined".into()))
}

/// Residuals of each machine under a law of the others that was adjusted to a few of its runs, chosen without looking; by
/// the physics alone, since a discrepancy for each machine left out would take long and the spread is the wider without.
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

/// What a machine is held to be like from the runs of others.
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

/// The rows of `jobs` that a machine with this prior should run first, for the sake of all of them.
pub fn choose(prior: &Prior, jobs: &[&Terms], count: usize) -> Vec<usize> {
    let mut design = design(prior, jobs, jobs);
    design.choose(Criterion::Targets, count).iter().map(|c| c.candidate).collect()
}

/// The choice of runs among `candidates` for what will be asked of `targets`: ln T and ln E of each.
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

/// What the physics misses, as a linear function of the configuration.
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

    /// Derivatives of ln T and ln(E/T) by the parameters' logarithms and by the coefficients of what is missed.
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

/// Standard deviations of ln T, ln E and ln(E/T) of a new run: from the parameters' covariance (delta method), and what
/// the physics misses.
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
