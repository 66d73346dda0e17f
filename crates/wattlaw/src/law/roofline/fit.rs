//! The fit: maximum of the posterior by Levenberg's and Marquardt's method on reweighted runs, within expectation
//! maximisation of the spreads.
//!
//! Runs stall and do not hurry, so a run slower than the law has a heavier tail (Student's t with one degree of freedom)
//! than a faster one (four). Each table counts as at most [`MAX_WEIGHT`] runs: the runs of one table err alike, and a
//! large table would bend what others need.

use std::collections::BTreeMap;

use nalgebra::{Cholesky, DMatrix, DVector};

use super::conditional::{Covariance, Vector, Workspace, logs, parameters_of, transformed};
use super::groups::{Groups, LEVELS, Layout, Level};
use super::observation::Observation;
use super::parameter::{COUNT, PARAMETERS};
use super::posterior::Posterior;
use crate::base::error::{Error, Result};
use crate::stats::score::median;

/// Runs that a table counts as, at most.
const MAX_WEIGHT: f64 = 40.0;

/// Rounds of expectation maximisation, and steps of Levenberg's and Marquardt's method in each.
const ROUNDS: usize = 8;
const STEPS: usize = 8;

/// Dampings that are tried in a step.
const DAMPINGS: usize = 8;

/// Change of the loss below which a round ends.
const CONVERGED: f64 = 0.05;

/// Largest change of a logarithm or logit in a step.
const LONGEST_STEP: f64 = 1.0;

/// Groups that the prior of a spread counts as.
const SPREAD_PRIOR_GROUPS: f64 = 4.0;

/// Largest square of a deviation that widens a spread, over the spread's: one odd group does not widen all.
const ODD_GROUP: f64 = 5.0;

/// Noise of ln time and ln power at the start, and its limits. Beyond the upper one, rows are outliers and not noise.
const FIRST_NOISE: [f64; 2] = [0.06, 0.04];
const NOISE_LIMITS: [f64; 2] = [0.015, 0.09];

/// Runs that the noise of all sources counts as in that of one.
const NOISE_PRIOR_RUNS: f64 = 5.0;

/// The launch overhead of tensor-parallel collectives in a pipeline across nodes, and the deviation of a framework at which
/// its search starts.
const TENSOR_PIPELINE: &str = "tensor_pipeline_launch_s";
const FIRST_TENSOR_PIPELINE: f64 = 6.0;

/// Median of |t| of Student's distribution with four degrees of freedom.
const MEDIAN_T4: f64 = 0.74;

/// Degrees of freedom of a run slower than the law, and of all other residuals.
const SLOWER: f64 = 1.0;
const OTHERS: f64 = 4.0;

/// A fit in progress: the runs by group, and the state of the search.
#[derive(Debug)]
pub struct Fit<'a> {
    runs: &'a [&'a Observation],
    layout: Layout,
    /// Runs of each combination of groups, with the positions of its parameters.
    combinations: Vec<Combination>,
    /// Table of each run, and the weight of each table.
    tables: Vec<usize>,
    weights: Vec<f64>,
    noise: Vec<[f64; 2]>,
    noise_of_all: [f64; 2],
    mean: DVector<f64>,
    prior: Prior,
    spreads: [Vec<f64>; LEVELS],
    /// Chips whose power was measured, sorted.
    power_chips: Vec<String>,
    /// What the law that is updated missed of each source.
    missed: BTreeMap<String, [f64; 2]>,
}

/// The prior of the vector of a fit.
#[derive(Debug)]
enum Prior {
    /// The population's prior and the spreads of the levels, which the fit updates.
    Spreads(DVector<f64>),
    /// The posterior of earlier runs: its mean and its precision.
    Posterior(DVector<f64>, DMatrix<f64>),
}

#[derive(Debug)]
struct Combination {
    runs: Vec<usize>,
    columns: Vec<(usize, usize)>,
}

impl<'a> Fit<'a> {
    /// Prepares a fit of the runs from the prior.
    ///
    /// # Errors
    /// [`Error::Data`] without any run.
    pub fn new(runs: &'a [&'a Observation]) -> Result<Self> {
        // a fitted offset of each source would trade places with the efficiencies of its software
        let layout = Layout::of_groups(runs.iter().map(|run| &run.groups)).without(Level::Source);
        let mut mean = DVector::zeros(layout.length());
        for k in 0..COUNT {
            mean[k] = PARAMETERS[k].prior_mean();
        }
        let spreads = Level::LEVELS.map(|level| {
            let parameters = layout.parameters(level).iter();
            parameters.map(|k| level.prior_spread(&PARAMETERS[*k])).collect()
        });
        Self::with_prior(runs, layout, Prior::Spreads(mean), spreads, FIRST_NOISE, &[])
    }

    /// Prepares an update of a fitted law by more runs.
    ///
    /// # Errors
    /// [`Error::Data`] without any run, and for a law whose covariance is singular.
    pub fn updating(runs: &'a [&'a Observation], law: &Posterior) -> Result<Self> {
        let own = Layout::of_groups(runs.iter().map(|run| &run.groups));
        let layout = law.layout.joined(&own);
        let n = layout.length();
        let places = law.layout.places_in(&layout);
        let mut mean = DVector::zeros(n);
        let mut precision = DMatrix::zeros(n, n);
        let known = Cholesky::pack_dirty(law.factor.clone()).inverse();
        for (i, at) in places.iter().enumerate() {
            mean[*at] = law.mean[i];
            for (j, other) in places.iter().enumerate() {
                precision[(*at, *other)] = known[(i, j)];
            }
        }
        let mut missed = law.missed.clone();
        for group in layout.members(Level::Source) {
            if !law.layout.has(Level::Source, group) {
                missed.insert(group.clone(), law.missed_of_source(runs, group));
            }
        }
        for level in Level::LEVELS {
            for group in layout.members(level).iter().filter(|g| !law.layout.has(level, g)) {
                let Some(start) = layout.start(level, group) else { continue };
                for (i, spread) in law.spreads[level.index()].iter().enumerate() {
                    let missed = match level {
                        // what the law misses of the source's new chips and software is in the source's factors
                        Level::Source => missed.get(group).map_or(0.0, |missed| missed[i]),
                        Level::Chip | Level::Framework | Level::Program | Level::Network => 0.0,
                    };
                    precision[(start + i, start + i)] = (spread * spread + missed).recip();
                }
            }
        }
        let prior = Prior::Posterior(mean, precision);
        let fit = Self::with_prior(
            runs,
            layout,
            prior,
            law.spreads.clone(),
            law.noise,
            &law.power_chips,
        )?;
        Ok(Self { missed, ..fit })
    }

    fn with_prior(
        runs: &'a [&'a Observation],
        layout: Layout,
        prior: Prior,
        spreads: [Vec<f64>; LEVELS],
        noise: [f64; 2],
        power_chips: &[String],
    ) -> Result<Self> {
        if runs.is_empty() {
            return Err(Error::Data("the law needs at least one run".into()));
        }
        let mut by_groups: BTreeMap<&Groups, Vec<usize>> = BTreeMap::new();
        let mut by_table: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, run) in runs.iter().enumerate() {
            by_groups.entry(&run.groups).or_default().push(at);
            by_table.entry(&run.table).or_default().push(at);
        }
        let combinations = by_groups
            .into_iter()
            .map(|(groups, runs)| Combination { runs, columns: layout.columns(groups) })
            .collect();
        let mut tables = vec![0; runs.len()];
        for (table, members) in by_table.values().enumerate() {
            for at in members {
                tables[*at] = table;
            }
        }
        let weights = by_table.values().map(|m| (MAX_WEIGHT / m.len() as f64).min(1.0)).collect();
        let measured = runs.iter().filter(|run| run.log_power.is_some());
        let mut power_chips: Vec<String> = measured
            .map(|run| run.groups.chip.clone())
            .chain(power_chips.iter().cloned())
            .collect();
        power_chips.sort_unstable();
        power_chips.dedup();
        let mut start = prior.mean().clone();
        // a launch overhead that is far below the others has no slope, so the search starts above them
        for run in runs.iter().filter(|run| run.terms.pipeline_across_nodes) {
            if let Some(at) = layout.place(Level::Framework, &run.groups.framework, TENSOR_PIPELINE)
                && start[at] == 0.0
            {
                start[at] = FIRST_TENSOR_PIPELINE;
            }
        }
        Ok(Self {
            power_chips,
            runs,
            combinations,
            noise: vec![noise; by_table.len()],
            tables,
            weights,
            noise_of_all: noise,
            mean: start,
            prior,
            spreads,
            layout,
            missed: BTreeMap::new(),
        })
    }

    /// Starts the search at a fitted law instead of the prior: the fit of fewer runs needs fewer rounds.
    #[must_use]
    pub fn starting_at(mut self, posterior: &Posterior) -> Self {
        self.spreads.clone_from(&posterior.spreads);
        self.mean.rows_mut(0, COUNT).copy_from(&posterior.mean.rows(0, COUNT));
        for level in Level::LEVELS {
            let width = self.layout.parameters(level).len();
            for group in self.layout.members(level) {
                let (Some(own), Some(other)) =
                    (self.layout.start(level, group), posterior.layout.start(level, group))
                else {
                    continue;
                };
                self.mean.rows_mut(own, width).copy_from(&posterior.mean.rows(other, width));
            }
        }
        self
    }

    /// Searches the maximum of the posterior.
    ///
    /// # Errors
    /// [`Error::Data`] where the covariance is singular, which no finite run gives.
    pub fn run(self) -> Result<Posterior> {
        self.rounds(ROUNDS)
    }

    /// Searches with a given number of rounds.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn rounds(mut self, rounds: usize) -> Result<Posterior> {
        let mut damping = 1e-2;
        let mut covariance = DMatrix::zeros(0, 0);
        for _ in 0..rounds {
            let precision = self.prior_precision();
            for _ in 0..STEPS {
                let (information, gradient, before) = self.normal_equations(&precision);
                let Some((mean, after)) =
                    self.improved(&information, &gradient, before, &precision, &mut damping)?
                else {
                    damping = 1e-2;
                    break;
                };
                self.mean = mean;
                if before - after < CONVERGED {
                    break;
                }
            }
            let (information, ..) = self.normal_equations(&precision);
            covariance = information.cholesky().ok_or_else(singular)?.inverse();
            if matches!(self.prior, Prior::Spreads(_)) {
                self.update_spreads(&covariance);
            }
            self.update_noise();
        }
        Ok(Posterior {
            layout: self.layout,
            mean: self.mean,
            factor: covariance.cholesky().ok_or_else(singular)?.unpack(),
            spreads: self.spreads,
            noise: self.noise_of_all,
            power_chips: self.power_chips,
            missed: self.missed,
        })
    }

    /// A damped step that lowers the loss, and its loss; `None` where eight dampings find none.
    fn improved(
        &self,
        information: &DMatrix<f64>,
        gradient: &DVector<f64>,
        before: f64,
        precision: &DMatrix<f64>,
        damping: &mut f64,
    ) -> Result<Option<(DVector<f64>, f64)>> {
        for _ in 0..DAMPINGS {
            let mut damped = information.clone();
            for i in 0..self.layout.length() {
                damped[(i, i)] *= 1.0 + *damping;
            }
            let step = damped
                .cholesky()
                .ok_or_else(singular)?
                .solve(gradient)
                .map(|x| x.clamp(-LONGEST_STEP, LONGEST_STEP));
            let candidate = &self.mean + step;
            let after = self.loss(&candidate, precision);
            if after.is_finite() && after < before {
                *damping = f64::max(*damping / 4.0, 1e-5);
                return Ok(Some((candidate, after)));
            }
            *damping *= 5.0;
        }
        Ok(None)
    }

    /// The prior's precision.
    fn prior_precision(&self) -> DMatrix<f64> {
        if let Prior::Posterior(_, precision) = &self.prior {
            return precision.clone();
        }
        let mut precision = DVector::zeros(self.layout.length());
        for k in 0..COUNT {
            precision[k] = PARAMETERS[k].sd.powi(-2);
        }
        for level in Level::LEVELS {
            let spreads = &self.spreads[level.index()];
            for group in self.layout.members(level) {
                let Some(start) = self.layout.start(level, group) else { continue };
                for (i, spread) in spreads.iter().enumerate() {
                    precision[start + i] = spread.powi(-2);
                }
            }
        }
        DMatrix::from_diagonal(&precision)
    }

    /// Residuals of a run over the noise of its source; `None` where the response was not measured.
    fn residuals(&self, at: usize, values: [f64; 2]) -> [Option<f64>; 2] {
        let run = &self.runs[at];
        let noise = self.noise[self.tables[at]];
        let measured = [run.log_time, run.log_power];
        [0, 1].map(|k| measured[k].map(|y| (y - values[k]) / noise[k]))
    }

    fn loss(&self, mean: &DVector<f64>, precision: &DMatrix<f64>) -> f64 {
        let mut loss = 0.0;
        for combination in &self.combinations {
            let parameters = parameters_of(&transformed(mean, &combination.columns));
            for at in &combination.runs {
                let run = &self.runs[*at];
                let values = logs(&parameters, &run.terms, run.scope);
                let weight = self.weights[self.tables[*at]];
                for (k, residual) in self.residuals(*at, values).into_iter().enumerate() {
                    let Some(r) = residual else { continue };
                    let nu = degrees_of_freedom(k, r);
                    loss += weight * (nu + 1.0) / 2.0 * (r * r / nu).ln_1p();
                }
            }
        }
        loss + self.prior_loss(mean, precision)
    }

    fn prior_loss(&self, mean: &DVector<f64>, precision: &DMatrix<f64>) -> f64 {
        let off = mean - self.prior.mean();
        0.5 * off.dot(&(precision * &off))
    }

    /// Information (the precision of the posterior), the gradient of its logarithm, and the loss.
    fn normal_equations(&self, precision: &DMatrix<f64>) -> (DMatrix<f64>, DVector<f64>, f64) {
        let mut information = precision.clone();
        let mut gradient = precision * (self.prior.mean() - &self.mean);
        let mut loss = self.prior_loss(&self.mean, precision);
        let mut workspace = Workspace::default();
        for combination in &self.combinations {
            let parameters = parameters_of(&transformed(&self.mean, &combination.columns));
            let mut own_information = Covariance::zeros();
            let mut own_gradient = Vector::zeros();
            for at in &combination.runs {
                let run = &self.runs[*at];
                let gradients = workspace.gradients(&parameters, &run.terms, run.scope);
                let (weight, noise) =
                    (self.weights[self.tables[*at]], self.noise[self.tables[*at]]);
                for (k, residual) in self.residuals(*at, gradients.values).into_iter().enumerate() {
                    let Some(r) = residual else { continue };
                    let nu = degrees_of_freedom(k, r);
                    loss += weight * (nu + 1.0) / 2.0 * (r * r / nu).ln_1p();
                    let w = weight * (nu + 1.0) / (nu + r * r) / noise[k].powi(2);
                    let slope = gradients.of(k);
                    own_information.syger(w, &slope, &slope, 1.0);
                    own_gradient.axpy(w * r * noise[k], &slope, 1.0);
                }
            }
            own_information.fill_upper_triangle_with_lower_triangle();
            for (i, k) in &combination.columns {
                gradient[*i] += own_gradient[*k];
                for (j, l) in &combination.columns {
                    information[(*i, *j)] += own_information[(*k, *l)];
                }
            }
        }
        (information, gradient, loss)
    }

    /// Spreads of the levels from their deviations and variances. Those of chips stay: few chips, each with other stacks,
    /// do not tell their spread.
    fn update_spreads(&mut self, covariance: &DMatrix<f64>) {
        for level in [Level::Framework, Level::Program, Level::Network] {
            let members = self.layout.members(level);
            let starts: Vec<usize> =
                members.iter().filter_map(|group| self.layout.start(level, group)).collect();
            for (i, k) in self.layout.parameters(level).iter().enumerate() {
                let prior = level.prior_spread(&PARAMETERS[*k]);
                let spread = &mut self.spreads[level.index()][i];
                let limit = ODD_GROUP * spread.powi(2);
                let squares = starts.iter().map(|start| {
                    let at = start + i;
                    (self.mean[at].powi(2) + covariance[(at, at)]).min(limit)
                });
                let sum: f64 = squares.sum();
                *spread = ((SPREAD_PRIOR_GROUPS * prior.powi(2) + sum)
                    / (SPREAD_PRIOR_GROUPS + members.len() as f64))
                    .sqrt();
            }
        }
    }

    /// Noise of each source from the median of its absolute residuals, shrunk to that of all.
    fn update_noise(&mut self) {
        let mut absolute = vec![[Vec::new(), Vec::new()]; self.noise.len()];
        for combination in &self.combinations {
            let parameters = parameters_of(&transformed(&self.mean, &combination.columns));
            for at in &combination.runs {
                let run = &self.runs[*at];
                let values = logs(&parameters, &run.terms, run.scope);
                for (k, y) in [run.log_time, run.log_power].into_iter().enumerate() {
                    if let Some(y) = y {
                        absolute[self.tables[*at]][k].push((y - values[k]).abs());
                    }
                }
            }
        }
        for k in 0..2 {
            let robust: Vec<Option<(f64, f64)>> = absolute
                .iter()
                .map(|source| {
                    let n = source[k].len() as f64;
                    (n > 0.0).then(|| ((median(&source[k]) / MEDIAN_T4).max(0.01).ln(), n))
                })
                .collect();
            let known: Vec<f64> = robust.iter().flatten().map(|(log, _)| *log).collect();
            if known.is_empty() {
                continue;
            }
            let all = match self.prior {
                Prior::Spreads(_) => known.iter().sum::<f64>() / known.len() as f64,
                // the runs of one more source do not tell the noise of all
                Prior::Posterior(..) => self.noise_of_all[k].ln(),
            };
            self.noise_of_all[k] = all.exp();
            for (noise, robust) in self.noise.iter_mut().zip(&robust) {
                noise[k] = match robust {
                    Some((log, n)) => ((n * log + NOISE_PRIOR_RUNS * all) / (n + NOISE_PRIOR_RUNS))
                        .exp()
                        .clamp(NOISE_LIMITS[0], NOISE_LIMITS[1]),
                    None => all.exp(),
                };
            }
        }
    }
}

impl Prior {
    const fn mean(&self) -> &DVector<f64> {
        match self {
            Self::Spreads(mean) | Self::Posterior(mean, _) => mean,
        }
    }
}

/// Runs stall, and do not hurry: a time above the law's has the heavier tail.
fn degrees_of_freedom(response: usize, residual: f64) -> f64 {
    if response == 0 && residual > 0.0 { SLOWER } else { OTHERS }
}

fn singular() -> Error {
    Error::Data("the covariance of the law's parameters is singular".into())
}
