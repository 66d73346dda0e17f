//! Predicts whole training runs measured by others, with the built-in law; nothing is fitted on them.
//!
//! The table has their shapes, amounts and measurements. Parallelism and micro-batches are in its notes and in the
//! authors' published configurations; `RUN_DETAILS` states them as job files do.

use serde::{Deserialize, Serialize};

use super::figure::{Checked, Figure, Measure, Target, at_most};
use super::held_out::LEVEL;
use crate::base::amount::Count;
use crate::base::error::{Error, Location, Result};
use crate::base::scope::Scope;
use crate::base::units::{JOULES_PER_KWH, SECONDS_PER_HOUR};
use crate::calibration::built_in;
use crate::job::catalog::Catalog;
use crate::job::model::ModelSpec;
use crate::job::system::SystemSpec;
use crate::job::workload::WorkloadSpec;
use crate::job::{Job, JobSpec};
use crate::law::baseline;
use crate::predict::{Interval, predict};
use crate::stats::score::finite;

/// The table's path below the data folder.
pub const TABLE: &str = "energy/published_training_runs.csv";

/// The published run of the same benchmark.
pub(super) const NODE_RUN: &str = "mlperf4.0-llama2_70b_lora-8xH100";

/// The name of this case.
pub const NAME: &str = "published";

/// The error of a whole run's energy.
const FIGURE: Figure = at_most(Target::Energy, Measure::Error, 0.2, 0.1);

/// Details of a published run that are not in the table.
struct RunDetails {
    run: &'static str,
    scope: Scope,
    job: &'static str,
    sources: &'static str,
}

const RUN_DETAILS: [RunDetails; 3] = [
    RunDetails {
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
            framework = "megatron/nemo-2024"
            [parallelism]
            strategy = "ddp"
            dp = 2
            tp = 4
            sequence_parallel = true
            [system]
            gpus_per_node = 8
        "#,
        sources: "the submission's log (SMC, result_4951-240509201759121728742_1.txt) states tensor parallelism of 4 with sequence parallelism, \
                  micro-batches of 1, adapters of rank 16 on attention, FP8 and no recomputation; its program is NVIDIA's, on NeMo; \
                  evaluations within the run are not counted",
    },
    RunDetails {
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
            power_limit_w = 500
        "#,
        sources: "specs-tucano-160m.yml states micro-batches of 32, bf16 and no recomputation; data parallelism is assumed, \
                  and so are the links between nodes; the measured mean of 451 W a GPU is \
                  above the 400 W of most boards, so these are taken to be those of 500 W",
    },
    RunDetails {
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
            power_limit_w = 500
        "#,
        sources: "specs-tucano-1b1.yml states micro-batches of 16, bf16 and no recomputation; data parallelism is assumed, \
                  and so are the links between nodes; the measured mean of 474 W a GPU is \
                  above the 400 W of most boards, so these are taken to be those of 500 W",
    },
];

/// The columns used; the table has others.
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

/// A predicted and a measured value, with the relative error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Comparison {
    /// The predicted value.
    #[serde(serialize_with = "finite")]
    pub predicted: f64,
    /// The measured value.
    pub measured: f64,
    /// Predicted over measured, minus one.
    #[serde(serialize_with = "finite")]
    pub error: f64,
    /// The 95 % interval, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
}

impl Comparison {
    fn new(predicted: f64, measured: f64) -> Self {
        Self { predicted, measured, error: predicted / measured - 1.0, interval: None }
    }

    /// An interval with its value, both over `unit`.
    fn of(predicted: &Interval, unit: f64, measured: f64) -> Self {
        let interval = Some([predicted.lower / unit, predicted.upper / unit]);
        Self { interval, ..Self::new(predicted.estimate / unit, measured) }
    }
}

/// One published run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Published {
    /// Its name.
    pub run: String,
    /// What its energy covers.
    pub scope: Scope,
    /// The selected calibration.
    pub calibration: String,
    /// kWh at that scope.
    pub energy_kwh: Comparison,
    /// Hours.
    pub duration_h: Comparison,
    /// kWh from the predicted power and the measured time.
    pub energy_given_time_kwh: Comparison,
    /// kWh from thermal design power and the predicted time.
    pub rated_energy_kwh: Comparison,
    /// kWh from thermal design power and 6·N·D FLOPs at a fixed MFU.
    pub six_nd_energy_kwh: Comparison,
    /// Hours of 6·N·D FLOPs at a fixed MFU.
    pub six_nd_duration_h: Comparison,
    /// The target of the energy; the case of node energy has that of its run.
    #[serde(skip)]
    pub figure: Option<Checked>,
    /// Assumptions of the job and of the scope conversion.
    pub assumptions: Vec<String>,
    /// Warnings of the prediction.
    pub warnings: Vec<String>,
}

/// Predicts every run of the table.
///
/// # Errors
/// [`Error::At`] with the line for a row that cannot be read, has no entry in `RUN_DETAILS`, or has a scope without a
/// conversion.
pub fn evaluate(table: &[u8], name: &str, catalog: &Catalog) -> Result<Vec<Published>> {
    let mut reader = csv::Reader::from_reader(table);
    let mut runs = Vec::new();
    for (i, row) in reader.deserialize().enumerate() {
        let line = i as u64 + 2;
        let place = || Location::line(name, line);
        let row: Row =
            row.map_err(|e| Error::Syntax { format: "CSV", message: e.to_string() }.at(place()))?;
        runs.push(one(&row, catalog).map_err(|e| e.at(place()))?);
    }
    Ok(runs)
}

fn one(row: &Row, catalog: &Catalog) -> Result<Published> {
    let details = RUN_DETAILS.iter().find(|details| details.run == row.run).ok_or_else(|| {
        Error::unknown("published run", &row.run, RUN_DETAILS.iter().map(|details| details.run))
    })?;
    let job = row.spec().with_fallback(JobSpec::from_toml(details.job)?).resolve(catalog)?;
    let calibration = built_in()?;
    let prediction = predict(&job, &calibration, "built-in", Some(details.scope), LEVEL)?;
    let (Some(energy), Some(duration)) = (prediction.energy_j, prediction.duration_s) else {
        return Err(Error::Data(format!("{} predicts no energy or no time", calibration.name)));
    };
    let energy_off = Comparison::of(&energy, JOULES_PER_KWH, row.energy_kwh);
    let duration_off = Comparison::of(&duration, SECONDS_PER_HOUR, row.wall_hours);
    let (energy_kwh, hours) = (energy_off.predicted, duration_off.predicted);
    let rated_kw = baseline::rated_power_w(&job) / 1000.0;
    let six_nd_h = baseline::duration_s(&job) / SECONDS_PER_HOUR;
    let figure = (row.run != NODE_RUN).then(|| {
        let held_out = "a whole run; no law is fitted on it".to_owned();
        Checked::new(&row.run, held_out, &FIGURE, energy_off.error.abs())
    });
    Ok(Published {
        run: row.run.clone(),
        scope: details.scope,
        calibration: format!("{} ({})", calibration.name, prediction.calibration.kind),
        energy_kwh: energy_off,
        duration_h: duration_off,
        energy_given_time_kwh: Comparison::new(energy_kwh / hours * row.wall_hours, row.energy_kwh),
        rated_energy_kwh: Comparison::new(rated_kw * hours, row.energy_kwh),
        six_nd_energy_kwh: Comparison::new(rated_kw * six_nd_h, row.energy_kwh),
        six_nd_duration_h: Comparison::new(six_nd_h, row.wall_hours),
        figure,
        assumptions: vec![details.sources.to_owned(), host_power(&job, details.scope)],
        warnings: prediction.warnings.into_iter().map(|w| w.text).collect(),
    })
}

/// What stands for the host's power at a scope, in a sentence.
fn host_power(job: &Job, scope: Scope) -> String {
    if scope == Scope::Gpu {
        return "the energy is that of the accelerators".to_owned();
    }
    let host = job.system.node_host_power();
    format!(
        "{:.0} W a node besides its accelerators, behind the power supplies: {}",
        host.value, host.source
    )
}

impl Row {
    /// The job from the columns.
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

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "run,model_params,layers,hidden_size,heads,ffn_size,vocab_size,seq_len,tokens,gpu,gpus,wall_hours,\
                          energy_kwh";

    #[test]
    fn jobs_are_those_that_were_published() {
        // the model cards' own counts of parameters and steps
        for (run, shape, parameters, steps) in [
            (
                "tucano-160m",
                "12,768,12,3072,32000,2048,167772160000,A100-SXM4-80GB,8",
                162_417_408,
                320_000.0,
            ),
            (
                "tucano-1b1",
                "22,2048,32,5632,32000,2048,251658240000,A100-SXM4-80GB,16",
                1_100_048_384,
                480_000.0,
            ),
        ] {
            let text = format!("{HEADER}\n{run},1,{shape},1,1\n");
            let row: Row =
                csv::Reader::from_reader(text.as_bytes()).deserialize().next().unwrap().unwrap();
            let details = RUN_DETAILS.iter().find(|details| details.run == run).unwrap();
            let job = row.spec().with_fallback(JobSpec::from_toml(details.job).unwrap());
            let job = job.resolve(&Catalog::built_in().unwrap()).unwrap();
            assert_eq!(job.architecture.parameters().total, parameters);
            assert_eq!(job.steps(), steps);
            assert_eq!(job.system.nodes(), 2 * if run == "tucano-160m" { 1 } else { 2 });
        }
    }

    #[test]
    fn a_run_that_nothing_is_told_of_is_named_with_its_line() {
        let text = format!("{HEADER}\nother,1,2,64,2,128,100,64,1e6,t4,1,1,1\n");
        let error =
            evaluate(text.as_bytes(), "runs.csv", &Catalog::built_in().unwrap()).unwrap_err();
        assert!(
            error.to_string().starts_with("runs.csv:2: unknown published run `other`"),
            "{error}"
        );
    }
}
