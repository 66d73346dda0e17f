//! The discrepancy of the physics: a smooth function of the configuration, learned from the residuals of the runs of one
//! chip and program.
//!
//! Source: Kennedy and O'Hagan 2001. Far from the runs its mean goes to zero.

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::job::Job;
use crate::job::task::Task;
use crate::job::workload::Checkpointing;
use crate::stats::gp::{Distances, Gp, KernelPrior, LogPrior};

/// The inputs of the discrepancy: natural logarithms of counts and ratios, and two flags.
pub const INPUTS: [&str; 14] = [
    "log_layers",
    "log_hidden_size",
    "log_micro_tokens",
    "log_seq_len",
    "log_gpus",
    "log_tp",
    "log_pp",
    "log_grad_accum",
    "log_micro_steps",
    "sharded",
    "checkpointed",
    "log_vocab_size",
    "log_peak",
    "log_power_limit",
];

/// The position of `log_power_limit`, after all others.
pub(super) const POWER_LIMIT_INPUT: usize = INPUTS.len() - 1;

/// What the inputs of a job follow from, in the order of [`INPUTS`] without the power limit. Their logarithms are taken where
/// there is a discrepancy.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration([f64; POWER_LIMIT_INPUT]);

impl Configuration {
    pub(super) fn new(job: &Job) -> Self {
        let (a, w, p) = (&job.architecture, &job.workload, &job.parallelism);
        let count = |n: u64| n.max(1) as f64;
        let flag = |yes: bool| if yes { 1.0 } else { 0.0 };
        let head = match w.task {
            Task::Classification { labels } => labels,
            _ => a.vocab_size,
        };
        let accelerator = &job.system.accelerator;
        let half = accelerator.half_peak().value();
        // resolve() checks that the accelerator has a peak for the precision
        let peak = accelerator.peak(w.precision).map_or(half, |peak| peak.value());
        Self([
            count(a.total_layers()),
            count(a.hidden_size),
            job.micro_positions_of_rank().max(1.0),
            count(w.positions_per_sequence()),
            count(p.gpus()),
            count(p.tp),
            count(p.pp),
            count(w.grad_accum),
            job.steps() * w.grad_accum as f64,
            flag(p.data.shards_parameters()),
            flag(w.checkpointing != Checkpointing::None),
            count(head),
            peak / half,
        ])
    }

    /// The inputs under a power limit, a share of the TDP.
    pub(super) fn inputs(&self, limit: f64) -> [f64; INPUTS.len()] {
        let [
            layers,
            width,
            tokens,
            positions,
            gpus,
            tp,
            pp,
            accumulated,
            micro_steps,
            sharded,
            checkpointed,
            vocabulary,
            peak,
        ] = self.0;
        [
            layers.ln(),
            width.ln(),
            tokens.ln(),
            positions.ln(),
            gpus.ln(),
            tp.ln(),
            pp.ln(),
            accumulated.ln(),
            micro_steps.ln(),
            sharded,
            checkpointed,
            vocabulary.ln(),
            peak.ln(),
            limit.ln(),
        ]
    }
}

/// Rows on which hyperparameters are chosen, at most; the process is conditioned on all rows.
const MAX_ROWS: usize = 160;

/// Fewest runs of a discrepancy.
pub(super) const MIN_RUNS: usize = 20;

/// Runs that each inducing point stands for, at least: a measured run cannot be read back from fewer points.
const RUNS_OF_A_POINT: usize = 4;

/// Largest number of inducing points of a discrepancy, unless a fit asks for another.
pub const MAX_POINTS: usize = 40;

/// Largest residual that is learned; beyond it a run is an outlier.
const LARGEST_RESIDUAL: f64 = 2.0;

/// Smallest unit of an input, so that an input with little variation among the runs still counts as far after several
/// doublings.
const MIN_SCALE: f64 = 0.5;

/// A discrepancy of one response.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub(super) struct Discrepancy {
    centre: [f64; INPUTS.len()],
    scale: [f64; INPUTS.len()],
    gp: Gp,
}

/// What a discrepancy says of a job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Learned {
    /// Mean of the residual.
    pub mean: f64,
    /// Variance of a new run's residual, its noise included.
    pub variance: f64,
    /// How much of the prior variance the runs explain: 1 among the runs, 0 far from them.
    pub nearness: f64,
}

impl Discrepancy {
    /// Learns residuals, one per row of inputs; `None` for fewer than [`MIN_RUNS`].
    ///
    /// # Errors
    /// As [`Gp::fit`].
    pub(super) fn learn(
        inputs: &[[f64; INPUTS.len()]],
        residuals: &[f64],
        most_points: usize,
    ) -> Result<Option<Self>> {
        if residuals.len() < MIN_RUNS {
            return Ok(None);
        }
        let (centre, scale) = standard(inputs);
        let rows: Vec<Vec<f64>> =
            inputs.iter().map(|x| place(x, &centre, &scale).to_vec()).collect();
        let residuals: Vec<f64> =
            residuals.iter().map(|r| r.clamp(-LARGEST_RESIDUAL, LARGEST_RESIDUAL)).collect();
        let points = most_points.min(rows.len() / RUNS_OF_A_POINT);
        let gp = Gp::fit(&rows, &residuals, &prior(), MAX_ROWS, Some(points))?;
        Ok(Some(Self { centre, scale, gp }))
    }

    /// Mean of the residual of a job.
    pub(super) fn mean(&self, inputs: &[f64; INPUTS.len()]) -> f64 {
        self.gp.mean(&place(inputs, &self.centre, &self.scale))
    }

    /// What the means of a job under different power limits share.
    pub(super) fn distances(&self, inputs: &[f64; INPUTS.len()]) -> Distances {
        let place = place(inputs, &self.centre, &self.scale);
        self.gp.distances(&place[..POWER_LIMIT_INPUT])
    }

    /// Mean of the residual of a job with the logarithm of its power limit over the TDP.
    pub(super) fn mean_under(&self, shared: &Distances, log_limit: f64) -> f64 {
        let limit = (log_limit - self.centre[POWER_LIMIT_INPUT]) / self.scale[POWER_LIMIT_INPUT];
        self.gp.mean_from(shared, &[limit])
    }

    /// The residual of a job.
    pub(super) fn predict(&self, inputs: &[f64; INPUTS.len()]) -> Learned {
        let (mean, variance) = self.gp.predict(&place(inputs, &self.centre, &self.scale));
        let kernel = self.gp.kernel();
        Learned {
            mean,
            variance: variance + kernel.noise.powi(2),
            nearness: (1.0 - variance / kernel.amplitude.powi(2)).clamp(0.0, 1.0),
        }
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
) -> [f64; INPUTS.len()] {
    std::array::from_fn(|j| (x[j] - centre[j]) / scale[j])
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
