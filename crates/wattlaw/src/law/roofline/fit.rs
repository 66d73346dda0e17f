//! Fits the parameters of the structural law on measured times and energies together, with a prior.

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use super::physics::{COUNT, PARAMETERS, Physics};
use super::terms::Terms;
use crate::error::{Error, Result};
use crate::stats::nls;

/// Residuals of a logarithm beyond this count less and less (Cauchy's loss): runs repeat within a few hundredths, and
/// the physics is good to a few more.
const NOISE: f64 = 0.05;

/// What is held likely of the logarithms of the parameters before these runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Prior {
    /// Most likely values.
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

    /// What other machines taught: their parameters as the mean, and as much doubt as the physical defaults leave, times
    /// `doubt`, in place of certainty that this machine is like them.
    pub fn taught(mean: [f64; COUNT], doubt: f64) -> Self {
        let mut prior = Self::physical();
        prior.mean = mean;
        prior.whitening /= doubt;
        prior
    }
}

/// One measured run.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample<'a> {
    /// Its job.
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
}

impl From<Fit> for Vec<Estimate> {
    fn from(fit: Fit) -> Self {
        let values = fit.logs.iter().zip(fit.log_sds);
        PARAMETERS
            .iter()
            .zip(values)
            .map(|(p, (log, log_sd))| Estimate {
                parameter: p.name.to_owned(),
                value: log.exp(),
                log_sd,
            })
            .collect()
    }
}

impl TryFrom<Vec<Estimate>> for Fit {
    type Error = Error;

    fn try_from(estimates: Vec<Estimate>) -> Result<Self> {
        let (mut logs, mut log_sds) = ([f64::NAN; COUNT], [f64::NAN; COUNT]);
        for estimate in &estimates {
            let at =
                PARAMETERS.iter().position(|p| p.name == estimate.parameter).ok_or_else(|| {
                    Error::unknown("parameter", &estimate.parameter, PARAMETERS.map(|p| p.name))
                })?;
            logs[at] = estimate.value.ln();
            log_sds[at] = estimate.log_sd;
        }
        match logs.iter().position(|log| !log.is_finite()) {
            Some(at) => Err(Error::missing(
                format!("parameter `{}`", PARAMETERS[at].name),
                "a roofline law has a positive value for each",
            )),
            None => Ok(Self { logs, log_sds }),
        }
    }
}

impl Fit {
    /// The parameters.
    pub fn parameters(&self) -> [f64; COUNT] {
        self.logs.map(f64::exp)
    }
}

/// Fits the parameters: least squares of robust residuals of ln T and ln(E/T), and of the prior.
///
/// Energy alone cannot separate time from power, so that time is always among the residuals.
///
/// # Errors
/// [`Error::Data`] without runs, and where the search does not converge.
pub fn fit(samples: &[Sample<'_>], prior: &Prior, start: Option<&[f64; COUNT]>) -> Result<Fit> {
    if samples.is_empty() {
        return Err(Error::Data("the roofline law needs at least one run with a duration".into()));
    }
    let powers = samples.iter().filter(|s| s.log_energy.is_some()).count();
    let count = samples.len() + powers + COUNT;
    let residuals = |logs: &[f64], out: &mut [f64]| {
        let mut parameters = [0.0; COUNT];
        for (parameter, log) in parameters.iter_mut().zip(logs) {
            *parameter = log.clamp(-60.0, 60.0).exp();
        }
        let physics = Physics(&parameters);
        let (times, rest) = out.split_at_mut(samples.len());
        let (energies, priors) = rest.split_at_mut(powers);
        let mut energies = energies.iter_mut();
        for (sample, time) in samples.iter().zip(times) {
            let taken = physics.taken(sample.terms);
            let predicted = taken.time.total_s;
            *time = nls::cauchy((predicted.ln() - sample.log_duration) / NOISE, 1.0);
            if let Some(log_energy) = sample.log_energy
                && let Some(energy) = energies.next()
            {
                let power = (taken.energy.total_j / predicted).ln();
                *energy = nls::cauchy((power - (log_energy - sample.log_duration)) / NOISE, 1.0);
            }
        }
        for (i, prior_residual) in priors.iter_mut().enumerate() {
            *prior_residual =
                (0..COUNT).map(|j| prior.whitening[(i, j)] * (logs[j] - prior.mean[j])).sum();
        }
    };
    let solution = nls::minimise(count, start.unwrap_or(&prior.mean), residuals)?;
    let covariance = solution.unscaled_covariance()?;
    let logs = <[f64; COUNT]>::try_from(solution.parameters.as_slice())
        .map_err(|_| Error::Data("the fit lost a parameter".into()))?;
    let mut log_sds = [0.0; COUNT];
    for (sd, variance) in log_sds.iter_mut().zip(covariance.diagonal().iter()) {
        *sd = variance.sqrt();
    }
    Ok(Fit { logs, log_sds })
}
