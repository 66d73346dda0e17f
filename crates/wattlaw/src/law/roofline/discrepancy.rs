//! What the physics misses: a smooth function of the configuration, learnt from logarithmic residuals.
//!
//! Source: Kennedy and O'Hagan 2001. Far from the runs it fades to nothing, and its spread to that of the residuals.

use serde::{Deserialize, Serialize};

use super::terms::INPUTS;
use crate::error::{Error, Result};
use crate::stats::gp::{Gp, Kernel, KernelPrior, LogPrior};

/// Rows that hyperparameters are chosen on; all rows are conditioned on.
pub const MOST_ROWS: usize = 320;

/// Points that hold what was learnt, unless fewer are asked for.
pub const MOST_POINTS: usize = 128;

/// A discrepancy of one response on one machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Discrepancy {
    kept: Vec<usize>,
    centre: Vec<f64>,
    scale: Vec<f64>,
    gp: Gp,
}

impl Discrepancy {
    /// Learns residuals, one a row of inputs; `kernel` repeats the hyperparameters of an earlier one on fewer rows.
    ///
    /// # Errors
    /// As [`Gp::fit`].
    pub fn learn(
        inputs: &[[f64; INPUTS.len()]],
        residuals: &[f64],
        like: Option<&Self>,
    ) -> Result<Self> {
        let (kept, centre, scale) = match like {
            Some(other) => (other.kept.clone(), other.centre.clone(), other.scale.clone()),
            None => standard(inputs),
        };
        let rows: Vec<Vec<f64>> = inputs.iter().map(|x| place(x, &kept, &centre, &scale)).collect();
        let gp = match like {
            Some(other) => Gp::new(other.gp.kernel().clone(), &rows, residuals, points())?,
            None => Gp::fit(&rows, residuals, &prior(kept.len()), MOST_ROWS, points())?,
        };
        Ok(Self { kept, centre, scale, gp })
    }

    /// Mean and standard deviation of a new run's residual, its noise included.
    pub fn predict(&self, inputs: &[f64; INPUTS.len()]) -> (f64, f64) {
        let (mean, variance) =
            self.gp.predict(&place(inputs, &self.kept, &self.centre, &self.scale));
        (mean, (variance + self.kernel().noise.powi(2)).sqrt())
    }

    /// The kernel.
    pub const fn kernel(&self) -> &Kernel {
        self.gp.kernel()
    }
}

/// Priors in standardised inputs: smooth over a few standard deviations, residuals of a few hundredths, repeats within
/// about one.
fn prior(inputs: usize) -> KernelPrior {
    KernelPrior {
        amplitude: LogPrior { median: 0.05, sd: 1.0 },
        length_scales: vec![LogPrior { median: 2.0, sd: 1.0 }; inputs],
        noise: LogPrior { median: 0.012, sd: 0.7 },
    }
}

/// The inputs that vary, with their means and standard deviations.
fn standard(inputs: &[[f64; INPUTS.len()]]) -> (Vec<usize>, Vec<f64>, Vec<f64>) {
    let n = inputs.len() as f64;
    let (mut kept, mut centre, mut scale) = (Vec::new(), Vec::new(), Vec::new());
    for j in 0..INPUTS.len() {
        let mean = inputs.iter().map(|x| x[j]).sum::<f64>() / n;
        let sd = (inputs.iter().map(|x| (x[j] - mean).powi(2)).sum::<f64>() / n).sqrt();
        if sd > 1e-9 {
            kept.push(j);
            centre.push(mean);
            scale.push(sd);
        }
    }
    (kept, centre, scale)
}

fn place(x: &[f64; INPUTS.len()], kept: &[usize], centre: &[f64], scale: &[f64]) -> Vec<f64> {
    kept.iter().zip(centre).zip(scale).map(|((j, c), s)| (x[*j] - c) / s).collect()
}

/// A discrepancy as it stands in a file, its inputs by name.
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
        let inputs = d.kept.iter().map(|j| INPUTS[*j].to_owned()).collect();
        Self { inputs, centre: d.centre, scale: d.scale, gp: d.gp }
    }
}

impl TryFrom<Stored> for Discrepancy {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self> {
        let kept = stored
            .inputs
            .iter()
            .map(|name| {
                INPUTS
                    .iter()
                    .position(|i| i == name)
                    .ok_or_else(|| Error::unknown("input", name, INPUTS))
            })
            .collect::<Result<Vec<usize>>>()?;
        let n = kept.len();
        let scales = &stored.gp.kernel().length_scales;
        if [stored.centre.len(), stored.scale.len(), scales.len()] != [n; 3] {
            return Err(Error::invalid(
                "the discrepancy's centre, scale and length scales",
                format!(
                    "{}, {} and {} numbers",
                    stored.centre.len(),
                    stored.scale.len(),
                    scales.len()
                ),
                format!("there must be one of each for the {n} inputs"),
            ));
        }
        Ok(Self { kept, centre: stored.centre, scale: stored.scale, gp: stored.gp })
    }
}

fn points() -> usize { std::env::var("WLP").ok().and_then(|s| s.parse().ok()).unwrap_or(MOST_POINTS) }
