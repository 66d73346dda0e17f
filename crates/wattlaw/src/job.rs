//! A job: everything that is known before a run.

pub mod catalog;
pub mod fields;
pub mod model;
pub mod parallelism;
pub mod system;
pub mod task;
pub mod workload;

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::base::toml_text;
use crate::job::catalog::Catalog;
use crate::job::model::{Architecture, ModelSpec, ModelType, Positions};
use crate::job::parallelism::{DataParallel, Parallelism, ParallelismSpec};
use crate::job::system::{System, SystemSpec};
use crate::job::task::Task;
use crate::job::workload::{Precision, Workload, WorkloadSpec};

/// What is trained, how, spread over what: checked, complete, and all that a prediction needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Job {
    /// The Transformer's shape.
    pub architecture: Architecture,
    /// What is trained and how.
    pub workload: Workload,
    /// How it is spread.
    pub parallelism: Parallelism,
    /// The hardware.
    pub system: System,
}

/// A job as a TOML file or flags describe it.
///
/// ```
/// use wattlaw::job::catalog::Catalog;
/// use wattlaw::job::JobSpec;
///
/// let spec = JobSpec::from_toml(
///     r#"
///     [model]
///     name = "bert-base-uncased"
///     [workload]
///     tokens = "10M"
///     seq_len = 128
///     micro_batch = 32
///     [parallelism]
///     strategy = "fsdp"
///     [system]
///     gpu = "a100-sxm4-40gb"
///     gpus = 4
///     "#,
/// )?;
/// let job = spec.resolve(&Catalog::built_in()?)?;
/// assert_eq!(job.architecture.parameters().total, 109_482_240);
/// assert_eq!(job.parallelism.dp, 4);
/// # Ok::<(), wattlaw::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// The model.
    #[serde(default)]
    pub model: ModelSpec,
    /// The workload.
    #[serde(default)]
    pub workload: WorkloadSpec,
    /// The parallelism.
    #[serde(default)]
    pub parallelism: ParallelismSpec,
    /// The system.
    #[serde(default)]
    pub system: SystemSpec,
}

impl JobSpec {
    /// Reads a job file.
    ///
    /// # Errors
    /// [`Error::Syntax`] with line and column.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml_text::parse(text)
    }

    /// The same description with what it leaves open taken from `base`.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            model: self.model.over(base.model),
            workload: self.workload.over(base.workload),
            parallelism: self.parallelism.over(base.parallelism),
            system: self.system.over(base.system),
        }
    }

    /// The same job with its defaults written out, for a program that knows none of them: `job` is what this description
    /// was resolved to, and what it resolves to again.
    #[must_use]
    pub fn filled(&self, job: &Job) -> Self {
        let (shape, work, split) = (&job.architecture, &job.workload, &job.parallelism);
        let learned = match shape.positions {
            Positions::Learned { .. } if shape.image.is_some() => None,
            Positions::Learned { rows } if shape.model_type == ModelType::Opt => Some(rows - 2),
            Positions::Learned { rows } => Some(rows),
            Positions::Rotary | Positions::Relative { .. } => None,
        };
        let labels = match work.task {
            Task::Classification { labels } => Some(labels),
            Task::MaskedLm | Task::CausalLm => None,
        };
        let filled = Self {
            model: ModelSpec {
                family: Some(shape.model_type.name().to_owned()),
                layers: Some(shape.layers),
                hidden_size: Some(shape.hidden_size),
                heads: Some(shape.heads),
                kv_heads: Some(shape.kv_heads),
                ffn_size: Some(shape.ffn_size),
                vocab_size: Some(shape.vocab_size).filter(|n| *n > 0),
                max_positions: learned,
                token_types: Some(shape.token_types).filter(|n| *n > 0),
                gated_ffn: Some(shape.gated_ffn),
                tied_embeddings: Some(shape.tied_embeddings),
                qkv_bias: Some(shape.biases.qkv),
                attention_output_bias: Some(shape.biases.attention_output),
                ffn_bias: Some(shape.biases.ffn),
                final_norm: Some(shape.final_norm),
                pooler: Some(shape.pooler),
                experts: shape.experts.map(|e| e.count),
                top_k: shape.experts.map(|e| e.top_k),
                image_size: shape.image.map(|i| i.size),
                patch_size: shape.image.map(|i| i.patch),
                channels: shape.image.map(|i| i.channels),
                classes: Some(shape.classes).filter(|n| *n > 0),
                ..ModelSpec::default()
            },
            workload: WorkloadSpec {
                seq_len: Some(work.seq_len),
                micro_batch: Some(work.micro_batch),
                grad_accum: Some(work.grad_accum),
                precision: Some(work.precision),
                optimizer: Some(work.optimizer),
                checkpointing: Some(work.checkpointing),
                attention: Some(work.attention),
                task: Some(work.task.name().to_owned()),
                labels,
                ..WorkloadSpec::default()
            },
            parallelism: ParallelismSpec {
                strategy: (split.dp > 1 || split.gpus() == 1).then(|| split.data.to_string()),
                dp: Some(split.dp),
                tp: Some(split.tp),
                pp: Some(split.pp),
                tensor_scope: (split.tp > 1).then_some(split.tensor_scope),
                sequence_parallel: (split.tp > 1).then_some(split.sequence_parallel),
                shard_group: (split.data == DataParallel::Hsdp).then_some(split.shard_group),
                ..ParallelismSpec::default()
            },
            system: SystemSpec {
                gpu: Some(job.system.accelerator.name.clone()),
                gpus: Some(job.system.gpus),
                gpus_per_node: Some(job.system.gpus_per_node),
                ..SystemSpec::default()
            },
        };
        self.clone().over(filled)
    }

    /// Looks names up, fills in defaults and checks that the parts fit together.
    ///
    /// # Errors
    /// Those of the parts: a name that no catalogue has, a count that cannot be, degrees that do not multiply to the
    /// GPU count, a precision that the accelerator has not.
    pub fn resolve(&self, catalog: &Catalog) -> Result<Job> {
        let architecture = catalog.architecture(&self.model)?;
        let system = match &self.system.name {
            Some(name) => self.system.clone().over(catalog.system(name)?.spec()),
            None => self.system.clone(),
        };
        let gpu = system.gpu.as_deref().ok_or_else(|| {
            Error::missing("gpu", "name an accelerator of the catalogue, such as a100-sxm4-40gb")
        })?;
        let accelerator = catalog.accelerator(gpu)?;
        let system = system.resolve(accelerator, self.parallelism.implied_gpus())?;
        let workload = self.workload.resolve(&architecture, accelerator.half_precision())?;
        check_precision(workload.precision, &system)?;
        let parallelism = self.parallelism.resolve(
            system.gpus,
            system.gpus_per_node,
            &architecture,
            &workload,
        )?;
        Ok(Job { architecture, workload, parallelism, system })
    }
}

impl Job {
    /// Positions computed in the whole run by all GPUs, padding included.
    pub fn positions(&self) -> f64 {
        self.workload.positions(self.parallelism.dp)
    }

    /// Tokens of data in the whole run, padding apart.
    pub fn tokens(&self) -> f64 {
        self.workload.tokens(self.parallelism.dp)
    }

    /// Optimizer steps of the whole run.
    pub fn steps(&self) -> f64 {
        self.workload.steps(self.parallelism.dp)
    }
}

fn check_precision(precision: Precision, system: &System) -> Result<()> {
    let accelerator = &system.accelerator;
    if accelerator.peak(precision).is_some() {
        return Ok(());
    }
    let has: Vec<&str> =
        [Precision::Fp32, Precision::Tf32, Precision::Fp16, Precision::Bf16, Precision::Fp8]
            .into_iter()
            .filter(|p| accelerator.peak(*p).is_some())
            .map(Precision::name)
            .collect();
    Err(Error::invalid(
        "precision",
        precision,
        format!("{} has {}", accelerator.name, has.join(", ")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_with_its_defaults_written_out_is_the_same_job() {
        let catalog = Catalog::built_in().unwrap();
        for text in [
            "model = { family = 'bert', layers = 2, hidden_size = 128 }
             workload = { steps = 5, seq_len = 32, micro_batch = 4 }
             system = { gpu = 't4' }",
            "model = { name = 'gpt2' }
             workload = { tokens = '1M', seq_len = 128, micro_batch = 4, grad_accum = 2, checkpointing = 'full' }
             parallelism = { strategy = 'tp-mlp' }
             system = { gpu = 'a100', gpus = 4 }",
            "model = { family = 'bert', layers = 4, hidden_size = 256 }
             workload = { epochs = 2, examples = 1000, seq_len = 64, micro_batch = 8, task = 'classification', labels = 3 }
             parallelism = { strategy = 'hsdp', tp = 2, sequence_parallel = true, shard_group = 2 }
             system = { gpu = 'h100', gpus = 16 }",
            "model = { family = 'opt', layers = 2, hidden_size = 128 }
             workload = { steps = 5, seq_len = 32, micro_batch = 4 }
             parallelism = { strategy = 'ddp', pp = 2 }
             system = { gpu = 't4', gpus = 4 }",
            "model = { name = 'vit-base-patch16-224' }
             workload = { steps = 5, micro_batch = 4 }
             system = { name = 'dgx-a100-80gb', gpus = 8 }
             parallelism = { strategy = 'fsdp' }",
        ] {
            let spec = JobSpec::from_toml(text).unwrap();
            let job = spec.resolve(&catalog).unwrap();
            let filled = spec.filled(&job);
            let again = filled.resolve(&catalog).unwrap();
            assert_eq!(again, job, "{text}");
            assert_eq!(JobSpec::from_toml(&toml::to_string(&filled).unwrap()).unwrap(), filled);
        }
    }
}
