//! The discrepancy of the physics: a smooth function of the configuration, learned from logarithmic residuals.
//!
//! Source: Kennedy and O'Hagan 2001. Far from the runs its mean goes to zero and its standard deviation to that of the
//! residuals.

use serde::{Deserialize, Serialize};

use super::terms::INPUTS;
use crate::base::error::{Error, Result};
use crate::stats::gp::{Gp, Kernel, KernelPrior, LogPrior};

/// Maximum number of rows for choosing hyperparameters; the process is conditioned on all rows.
pub const MAX_ROWS: usize = 320;

/// Default maximum number of inducing points; points that the noise does not resolve are not added.
pub const MAX_POINTS: usize = 1024;

/// Smallest unit of an input, in natural logarithms, so that an input with little variation among the runs still counts
/// as far after several doublings.
const MIN_SCALE: f64 = 0.5;

/// A discrepancy of one response on one machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Discrepancy {
    centre: [f64; INPUTS.len()],
    scale: [f64; INPUTS.len()],
    gp: Gp,
}

impl Discrepancy {
    /// Learns residuals, one per row of inputs, with at most `most_points` inducing points; `like` reuses the
    /// hyperparameters of another discrepancy.
    ///
    /// # Errors
    /// As [`Gp::fit`].
    pub fn learn(
        inputs: &[[f64; INPUTS.len()]],
        residuals: &[f64],
        most_points: usize,
        like: Option<&Self>,
    ) -> Result<Self> {
        let (centre, scale) =
            like.map_or_else(|| standard(inputs), |other| (other.centre, other.scale));
        let rows: Vec<Vec<f64>> = inputs.iter().map(|x| place(x, &centre, &scale)).collect();
        let gp = match like {
            Some(other) => Gp::new(other.gp.kernel().clone(), &rows, residuals, Some(most_points))?,
            None => Gp::fit(&rows, residuals, &prior(), MAX_ROWS, Some(most_points))?,
        };
        Ok(Self { centre, scale, gp })
    }

    /// Mean and standard deviation of a new run's residual, its noise included.
    pub fn predict(&self, inputs: &[f64; INPUTS.len()]) -> (f64, f64) {
        let (mean, variance) = self.gp.predict(&place(inputs, &self.centre, &self.scale));
        (mean, (variance + self.kernel().noise.powi(2)).sqrt())
    }

    /// The kernel.
    pub const fn kernel(&self) -> &Kernel {
        self.gp.kernel()
    }

    /// Number of inducing points.
    pub fn points(&self) -> usize {
        self.gp.points().len()
    }
}

/// Priors in standardised inputs: smooth over a few standard deviations, residuals of a few per cent, repeats within
/// about 1 %.
fn prior() -> KernelPrior {
    KernelPrior {
        amplitude: LogPrior { median: 0.05, sd: 1.0 },
        length_scales: vec![LogPrior { median: 2.0, sd: 1.0 }; INPUTS.len()],
        noise: LogPrior { median: 0.012, sd: 0.7 },
    }
}

/// Means and units of the inputs: the unit is the standard deviation, at least [`MIN_SCALE`].
fn standard(inputs: &[[f64; INPUTS.len()]]) -> ([f64; INPUTS.len()], [f64; INPUTS.len()]) {
    let n = inputs.len() as f64;
    let (mut centre, mut scale) = ([0.0; INPUTS.len()], [0.0; INPUTS.len()]);
    for j in 0..INPUTS.len() {
        centre[j] = inputs.iter().map(|x| x[j]).sum::<f64>() / n;
        let variance = inputs.iter().map(|x| (x[j] - centre[j]).powi(2)).sum::<f64>() / n;
        scale[j] = variance.sqrt().max(MIN_SCALE);
    }
    (centre, scale)
}

fn place(
    x: &[f64; INPUTS.len()],
    centre: &[f64; INPUTS.len()],
    scale: &[f64; INPUTS.len()],
) -> Vec<f64> {
    x.iter().zip(centre).zip(scale).map(|((x, c), s)| (x - c) / s).collect()
}

/// The file format of a discrepancy, with input names.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    inputs: Vec<String>,
    centre: Vec<f64>,
    scale: Vec<f64>,
    gp: Gp,
}

impl From<Discrepancy> for Stored {
    fn from(d: Discrepancy) -> Self {
        Self {
            inputs: INPUTS.map(str::to_owned).into(),
            centre: d.centre.into(),
            scale: d.scale.into(),
            gp: d.gp,
        }
    }
}

impl TryFrom<Stored> for Discrepancy {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self> {
        if stored.inputs != INPUTS {
            return Err(Error::invalid(
                "the discrepancy's inputs",
                format!("`{}`", stored.inputs.join(", ")),
                format!("this version of wattlaw expects `{}`", INPUTS.join(", ")),
            ));
        }
        let n = INPUTS.len();
        let scales = &stored.gp.kernel().length_scales;
        match (stored.centre.try_into(), stored.scale.try_into()) {
            (Ok(centre), Ok(scale)) if scales.len() == n => {
                Ok(Self { centre, scale, gp: stored.gp })
            }
            _ => Err(Error::invalid(
                "the discrepancy's centre, scale and length scales",
                "of another length",
                format!("there must be one of each for the {n} inputs"),
            )),
        }
    }
}
