//! Whole training runs that others measured, predicted with the calibration that would answer for them: nothing is fitted
//! on them.
//!
//! The table has their shapes, amounts and measurements. How they were spread and in which micro-batches stands in its
//! notes and in the configurations that their authors published; [`TOLD`] says so as job files do.

use serde::{Deserialize, Serialize};

use super::{Checked, Figure, Measure, Target};
use crate::amount::Count;
use crate::architecture::ModelSpec;
use crate::calibration::{Choice, choose};
use crate::catalog::Catalog;
use crate::error::{Error, Place, Result};
use crate::job::JobSpec;
use crate::law::thumb;
use crate::predict::{Breakdown, Prediction, predict};
use crate::run::Scope;
use crate::stats::score::finite;
use crate::system::SystemSpec;
use crate::units::JOULES_PER_KWH;
use crate::workload::WorkloadSpec;

/// The table's path below the data folder.
pub const TABLE: &str = "energy/published_training_runs.csv";

/// The name under which these runs are asked for.
pub const NAME: &str = "published";

/// The error of a whole run's energy.
const FIGURE: Figure =
    Figure { target: Target::Energy, measure: Measure::Error, least: 0.2, aim: 0.1 };

/// Share of a node's alternating-current power that its power supplies pass on.
///
/// Supermicro's own totals of one MLPerf run, 11,769,962 J of 12,127,904 J
/// (<https://github.com/mlcommons/training_results_v4.0/tree/main/smc-ac-power>); other submitters state 0.94 to 0.96.
const POWER_SUPPLY: f64 = 0.97;

/// What is known of a published run besides the table's columns.
struct Told {
    run: &'static str,
    scope: Scope,
    job: &'static str,
    sources: &'static str,
}

const TOLD: [Told; 3] = [
    Told {
        run: "mlperf4.0-llama2_70b_lora-8xH100",
        scope: Scope::NodeAc,
        job: r#"
            [model]
            family = "llama"
            kv_heads = 8
            [workload]
            micro_batch = 1
            grad_accum = 4
            precision = "fp8"
            lora = { rank = 16, targets = ["q", "k", "v", "o"] }
            [parallelism]
            strategy = "ddp"
            dp = 2
            tp = 4
            sequence_parallel = true
            [system]
            gpus_per_node = 8
        "#,
        sources: "the submission's log (result_4951-…_1.txt) states tensor parallelism of 4 with sequence parallelism, \
                  micro-batches of 1, adapters of rank 16 on attention, FP8 and no recomputation; evaluations within the run \
                  are not counted",
    },
    Told {
        run: "tucano-160m",
        scope: Scope::Gpu,
        job: r#"
            [model]
            family = "llama"
            kv_heads = 12
            [workload]
            micro_batch = 32
            precision = "bf16"
            [parallelism]
            strategy = "ddp"
            [system]
            gpus_per_node = 4
        "#,
        sources: "specs-tucano-160m.yml states micro-batches of 32, bf16 and no recomputation; data parallelism is assumed, \
                  and so are the links between nodes",
    },
    Told {
        run: "tucano-1b1",
        scope: Scope::Gpu,
        job: r#"
            [model]
            family = "llama"
            kv_heads = 4
            [workload]
            micro_batch = 16
            precision = "bf16"
            [parallelism]
            strategy = "ddp"
            [system]
            gpus_per_node = 4
        "#,
        sources: "specs-tucano-1b1.yml states micro-batches of 16, bf16 and no recomputation; data parallelism is assumed, \
                  and so are the links between nodes",
    },
];

/// The columns that are read; the table has others.
#[derive(Debug, Deserialize)]
struct Row {
    run: String,
    layers: f64,
    hidden_size: f64,
    heads: f64,
    ffn_size: f64,
    vocab_size: f64,
    seq_len: f64,
    tokens: f64,
    gpu: String,
    gpus: f64,
    wall_hours: f64,
    energy_kwh: f64,
}

/// What was predicted of a quantity, what was measured, and how far the first is off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Off {
    /// As predicted.
    #[serde(serialize_with = "finite")]
    pub predicted: f64,
    /// As measured.
    pub measured: f64,
    /// Predicted over measured, less one.
    #[serde(serialize_with = "finite")]
    pub error: f64,
}

impl Off {
    fn new(predicted: f64, measured: f64) -> Self {
        Self { predicted, measured, error: predicted / measured - 1.0 }
    }
}

/// One published run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Published {
    /// Its name.
    pub run: String,
    /// What its energy covers.
    pub scope: Scope,
    /// The calibration that was chosen.
    pub calibration: String,
    /// kWh at that scope.
    pub energy_kwh: Off,
    /// Hours.
    pub duration_h: Off,
    /// kWh by the predicted power for the measured time.
    pub energy_given_time_kwh: Off,
    /// kWh by thermal design power for the predicted time.
    pub rated_energy_kwh: Off,
    /// kWh by thermal design power for 6·N·D at a fixed utilisation.
    pub six_nd_energy_kwh: Off,
    /// Hours of 6·N·D at a fixed utilisation.
    pub six_nd_duration_h: Off,
    /// What was asked of the energy.
    pub figure: Checked,
    /// What the job and the conversion of scopes suppose.
    pub assumptions: Vec<String>,
    /// What the prediction warns of.
    pub warnings: Vec<String>,
}

/// Predicts every run of the table that [`TOLD`] knows.
///
/// # Errors
/// [`Error::At`] with the line for a row that cannot be read, is not told of, or whose energy no conversion brings to
/// its scope.
pub fn judge(table: &[u8], name: &str, catalog: &Catalog) -> Result<Vec<Published>> {
    let mut reader = csv::Reader::from_reader(table);
    let mut runs = Vec::new();
    for (i, row) in reader.deserialize().enumerate() {
        let line = i as u64 + 2;
        let place = || Place::line(name, line);
        let row: Row = row.map_err(|e| {
            Error::Syntax { format: "CSV", message: e.to_string() }.at(place())
        })?;
        runs.push(one(&row, catalog).map_err(|e| e.at(place()))?);
    }
    Ok(runs)
}

fn one(row: &Row, catalog: &Catalog) -> Result<Published> {
    let told = TOLD.iter().find(|told| told.run == row.run).ok_or_else(|| {
        Error::unknown("published run", &row.run, TOLD.iter().map(|told| told.run))
    })?;
    let job = row.spec().over(JobSpec::from_toml(told.job)?).resolve(catalog)?;
    let Choice { calibration, reason } = choose(&job)?;
    let prediction = predict(&job, &calibration, &reason, 0.95)?;
    let (Some(energy), Some(duration)) = (prediction.energy_j, prediction.duration_s) else {
        return Err(Error::Data(format!("{} tells no energy or no time", calibration.name)));
    };
    let (factor, converted) = to_scope(&prediction, told.scope)?;
    let energy_kwh = factor * energy.estimate / JOULES_PER_KWH;
    let hours = duration.estimate / 3600.0;
    let rated_kw = thumb::rated_power_w(&job) / 1000.0;
    let six_nd_h = thumb::duration_s(&job) / 3600.0;
    let energy_off = Off::new(energy_kwh, row.energy_kwh);
    Ok(Published {
        run: row.run.clone(),
        scope: told.scope,
        calibration: format!("{} ({})", calibration.name, prediction.calibration.kind),
        energy_kwh: energy_off,
        duration_h: Off::new(hours, row.wall_hours),
        energy_given_time_kwh: Off::new(energy_kwh / hours * row.wall_hours, row.energy_kwh),
        rated_energy_kwh: Off::new(rated_kw * hours, row.energy_kwh),
        six_nd_energy_kwh: Off::new(rated_kw * six_nd_h, row.energy_kwh),
        six_nd_duration_h: Off::new(six_nd_h, row.wall_hours),
        figure: Checked::new(&FIGURE, energy_off.error.abs()),
        assumptions: vec![told.sources.to_owned(), converted],
        warnings: prediction.warnings.into_iter().map(|w| w.text).collect(),
    })
}

impl Row {
    /// What the columns say of the job.
    fn spec(&self) -> JobSpec {
        let whole = |x: f64| Some(x.round() as u64);
        JobSpec {
            model: ModelSpec {
                layers: whole(self.layers),
                hidden_size: whole(self.hidden_size),
                heads: whole(self.heads),
                ffn_size: whole(self.ffn_size),
                vocab_size: whole(self.vocab_size),
                ..ModelSpec::default()
            },
            workload: WorkloadSpec {
                tokens: whole(self.tokens).map(Count::new),
                seq_len: whole(self.seq_len),
                ..WorkloadSpec::default()
            },
            system: SystemSpec {
                gpu: Some(self.gpu.clone()),
                gpus: whole(self.gpus),
                ..SystemSpec::default()
            },
            ..JobSpec::default()
        }
    }
}

/// What brings a predicted energy to another scope, and the sentence that says so.
fn to_scope(prediction: &Prediction, wanted: Scope) -> Result<(f64, String)> {
    let from = prediction.scope;
    if from == wanted {
        return Ok((1.0, format!("the energy is predicted at the stated scope, {wanted}")));
    }
    match (from, wanted, &prediction.breakdown) {
        (Scope::NodeDc | Scope::Codecarbon, Scope::Gpu, Breakdown::Parts { energy, .. }) => {
            let host = energy.host_j / energy.total_j;
            let sentence = format!(
                "the host's part, {:.1} % of the energy by the law's own breakdown, is taken off to come from {from} to gpu",
                host * 100.0
            );
            Ok((1.0 - host, sentence))
        }
        (Scope::NodeDc, Scope::NodeAc, _) => Ok((
            1.0 / POWER_SUPPLY,
            format!(
                "the energy is divided by {POWER_SUPPLY} to come from node_dc to node_ac, the power supplies' share in \
                 Supermicro's own totals"
            ),
        )),
        _ => Err(Error::Data(format!("no conversion from {from} to {wanted} is known"))),
    }
}
