//! Fits the parameters of the roofline law on measured times and energies together, with a prior.

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use super::physics::{COUNT, PARAMETERS, Physics, RooflineParameters};
use super::terms::Terms;
use crate::base::error::{Error, Result};
use crate::stats::nls;

/// Standard deviation of logarithmic residuals, the scale of Cauchy's loss: runs repeat within a few per cent, and the
/// physics has an error of a few per cent more.
pub const NOISE: f64 = 0.05;

/// A normal prior on the logarithms of the parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Prior {
    /// Means.
    pub mean: [f64; COUNT],
    /// Rows of a matrix W with WᵀW the inverse covariance.
    pub whitening: DMatrix<f64>,
}

impl Prior {
    /// The physical defaults.
    pub fn physical() -> Self {
        Self {
            mean: PARAMETERS.map(|p| p.median.ln()),
            whitening: DMatrix::from_diagonal(&nalgebra::DVector::from_iterator(
                COUNT,
                PARAMETERS.iter().map(|p| 1.0 / p.sd),
            )),
        }
    }

    /// A prior centred at the parameters of other machines, with the standard deviations of the physical defaults times
    /// `sd_scale`.
    pub(crate) fn centred_at(mean: [f64; COUNT], sd_scale: f64) -> Self {
        let mut prior = Self::physical();
        prior.mean = mean;
        prior.whitening /= sd_scale;
        prior
    }
}

impl From<&Fit> for Prior {
    /// The posterior becomes the prior of the next runs.
    fn from(fit: &Fit) -> Self {
        Self { mean: fit.logs, whitening: fit.whitening.clone() }
    }
}

/// One measured run.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample<'a> {
    /// The roofline inputs of its job.
    pub terms: &'a Terms,
    /// ln(duration / s).
    pub log_duration: f64,
    /// ln(energy / J), where it was measured.
    pub log_energy: Option<f64>,
}

/// Fitted logarithms of the parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "Vec<Estimate>", try_from = "Vec<Estimate>")]
pub struct Fit {
    /// The logarithms.
    pub logs: [f64; COUNT],
    /// Their standard deviations.
    pub log_sds: [f64; COUNT],
    /// An upper-triangular matrix W with WᵀW the inverse of their covariance.
    pub whitening: DMatrix<f64>,
}

/// A parameter in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// Its name.
    pub parameter: String,
    /// Its value.
    pub value: f64,
    /// Standard deviation of its logarithm.
    pub log_sd: f64,
    /// Its row of the upper-triangular W with WᵀW the inverse covariance of all logarithms, from the diagonal on; empty
    /// in files without covariances, whose parameters are independent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub whitening: Vec<f64>,
}

impl From<Fit> for Vec<Estimate> {
    fn from(fit: Fit) -> Self {
        let values = fit.logs.iter().zip(fit.log_sds);
        PARAMETERS
            .iter()
            .zip(values)
            .enumerate()
            .map(|(i, (p, (log, log_sd)))| Estimate {
                parameter: p.name.to_owned(),
                value: log.exp(),
                log_sd,
                whitening: (i..COUNT).map(|j| rounded(fit.whitening[(i, j)])).collect(),
            })
            .collect()
    }
}

/// Rounds to six digits, more than the accuracy of a covariance, to keep files small.
fn rounded(x: f64) -> f64 {
    let scale = 10f64.powf(5.0 - x.abs().max(1e-300).log10().floor());
    if scale.is_finite() { (x * scale).round() / scale } else { 0.0 }
}

impl TryFrom<Vec<Estimate>> for Fit {
    type Error = Error;

    fn try_from(estimates: Vec<Estimate>) -> Result<Self> {
        let (mut logs, mut log_sds) = ([f64::NAN; COUNT], [f64::NAN; COUNT]);
        let mut rows: [&[f64]; COUNT] = [&[]; COUNT];
        for estimate in &estimates {
            let at =
                PARAMETERS.iter().position(|p| p.name == estimate.parameter).ok_or_else(|| {
                    Error::unknown("parameter", &estimate.parameter, PARAMETERS.map(|p| p.name))
                })?;
            logs[at] = estimate.value.ln();
            log_sds[at] = estimate.log_sd;
            rows[at] = &estimate.whitening;
        }
        if let Some(at) = logs.iter().position(|log| !log.is_finite()) {
            return Err(Error::missing(
                format!("parameter `{}`", PARAMETERS[at].name),
                "a roofline law has a positive value for each",
            ));
        }
        if let Some(at) = log_sds.iter().position(|sd| !(sd.is_finite() && *sd > 0.0)) {
            return Err(Error::invalid(
                format!("log_sd of parameter `{}`", PARAMETERS[at].name),
                log_sds[at],
                "it must be positive and finite",
            ));
        }
        let whitening = whitening(&rows, &log_sds)?;
        Ok(Self { logs, log_sds, whitening })
    }
}

/// The matrix from a file's rows; diagonal (independent parameters) without any.
fn whitening(rows: &[&[f64]; COUNT], log_sds: &[f64; COUNT]) -> Result<DMatrix<f64>> {
    let mut matrix = DMatrix::zeros(COUNT, COUNT);
    if rows.iter().all(|row| row.is_empty()) {
        for (i, sd) in log_sds.iter().enumerate() {
            matrix[(i, i)] = 1.0 / sd;
        }
        return Ok(matrix);
    }
    for (i, row) in rows.iter().enumerate() {
        let named = || format!("whitening of parameter `{}`", PARAMETERS[i].name);
        if row.len() != COUNT - i {
            return Err(Error::invalid(
                named(),
                format!("{} numbers", row.len()),
                format!("there must be {}, from its own on", COUNT - i),
            ));
        }
        if !(row.iter().all(|x| x.is_finite()) && row[0] != 0.0) {
            return Err(Error::invalid(named(), format!("{row:?}"), "its first must not be zero"));
        }
        for (j, x) in row.iter().enumerate() {
            matrix[(i, i + j)] = *x;
        }
    }
    Ok(matrix)
}

impl Fit {
    /// Logarithms with a covariance; `None` if it is not positive definite.
    pub(crate) fn with_covariance(logs: [f64; COUNT], covariance: DMatrix<f64>) -> Option<Self> {
        let mut log_sds = [0.0; COUNT];
        for (sd, variance) in log_sds.iter_mut().zip(covariance.diagonal().iter()) {
            *sd = variance.sqrt();
        }
        let whitening = covariance.cholesky()?.inverse().cholesky()?.l().transpose();
        Some(Self { logs, log_sds, whitening })
    }

    /// Covariance of the logarithms.
    pub fn covariance(&self) -> DMatrix<f64> {
        let mut inverse = DMatrix::identity(COUNT, COUNT);
        self.whitening.solve_upper_triangular_mut(&mut inverse);
        &inverse * inverse.transpose()
    }

    /// Variance of a quantity with these derivatives with respect to the logarithms.
    pub fn variance(&self, derivatives: &[f64; COUNT]) -> f64 {
        let mut v = nalgebra::DVector::from_column_slice(derivatives);
        self.whitening.tr_solve_upper_triangular_mut(&mut v);
        v.norm_squared()
    }

    /// The parameters.
    pub fn parameters(&self) -> RooflineParameters {
        RooflineParameters::from_logs(&self.logs)
    }
}

/// Fits the parameters: least squares of robust residuals of ln T and ln(E/T), and of the prior.
///
/// Energy alone cannot separate time from power, so time is always among the residuals.
///
/// A robust loss suits few outliers among many runs. If many of few runs look like outliers, the prior is wrong, and a
/// robust loss would keep the prior; each run then counts in full, as in [`fit_few`].
///
/// # Errors
/// [`Error::Data`] without runs, and if the search does not converge.
pub fn fit(samples: &[Sample<'_>], prior: &Prior, start: Option<&[f64; COUNT]>) -> Result<Fit> {
    let found = search(samples, prior, start, Some(1.0))?;
    if samples.len() < MIN_ROBUST_RUNS && outlier_share(samples, &found) > MAX_OUTLIER_SHARE {
        return fit_few(samples, prior);
    }
    Ok(found)
}

/// Fewest runs for which the robust loss is always kept. Assumed: twice the number of parameters.
const MIN_ROBUST_RUNS: usize = 2 * COUNT;

/// Largest share of times beyond [`OUTLIER_DISTANCE`] that still count as outliers. Assumed.
const MAX_OUTLIER_SHARE: f64 = 0.2;

/// Residual of an outlier, in units of [`NOISE`].
const OUTLIER_DISTANCE: f64 = 3.0;

/// The share of outliers among the times.
fn outlier_share(samples: &[Sample<'_>], fit: &Fit) -> f64 {
    let physics = Physics(fit.parameters());
    let far = |s: &&Sample<'_>| {
        (physics.logs(s.terms)[0] - s.log_duration).abs() > OUTLIER_DISTANCE * NOISE
    };
    samples.iter().filter(far).count() as f64 / samples.len() as f64
}

/// Fits the parameters on a few runs of a machine that may be far from its prior. Each run counts in full, since few
/// runs do not identify an outlier.
///
/// # Errors
/// As [`fit`].
pub fn fit_few(samples: &[Sample<'_>], prior: &Prior) -> Result<Fit> {
    search(samples, prior, None, None)
}

fn search(
    samples: &[Sample<'_>],
    prior: &Prior,
    start: Option<&[f64; COUNT]>,
    outliers_from: Option<f64>,
) -> Result<Fit> {
    if samples.is_empty() {
        return Err(Error::Data("the roofline law needs at least one run with a duration".into()));
    }
    let powers = samples.iter().filter(|s| s.log_energy.is_some()).count();
    let count = samples.len() + powers + COUNT;
    let loss = |r: f64| outliers_from.map_or(r, |scale| nls::cauchy(r, scale));
    let residuals = |logs: &[f64], out: &mut [f64]| {
        let mut parameters = [0.0; COUNT];
        for (parameter, log) in parameters.iter_mut().zip(logs) {
            *parameter = log.clamp(-60.0, 60.0).exp();
        }
        let physics = Physics(parameters.into());
        let (times, rest) = out.split_at_mut(samples.len());
        let (energies, priors) = rest.split_at_mut(powers);
        let mut energies = energies.iter_mut();
        for (sample, time) in samples.iter().zip(times) {
            let estimate = physics.estimate(sample.terms);
            let predicted = estimate.time.total_s;
            *time = loss((predicted.ln() - sample.log_duration) / NOISE);
            if let Some(log_energy) = sample.log_energy
                && let Some(energy) = energies.next()
            {
                let power = (estimate.energy.total_j / predicted).ln();
                *energy = loss((power - (log_energy - sample.log_duration)) / NOISE);
            }
        }
        for (i, prior_residual) in priors.iter_mut().enumerate() {
            *prior_residual =
                (0..COUNT).map(|j| prior.whitening[(i, j)] * (logs[j] - prior.mean[j])).sum();
        }
    };
    let solution = nls::minimise(count, start.unwrap_or(&prior.mean), residuals)?;
    let logs = <[f64; COUNT]>::try_from(solution.parameters.as_slice())
        .map_err(|_| Error::Data("the fit lost a parameter".into()))?;
    Fit::with_covariance(logs, solution.unscaled_covariance()?)
        .ok_or_else(|| Error::Data("the runs do not determine all parameters".into()))
}
