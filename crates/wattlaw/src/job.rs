//! A job: everything that is known before a run.

pub mod catalog;
mod document;
pub mod fields;
pub mod host;
pub mod model;
pub mod parallelism;
mod resolver;
pub mod system;
pub mod task;
pub mod workload;

pub use resolver::Resolver;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::base::toml_text;
use crate::job::catalog::{Catalog, SystemPreset};
use crate::job::model::{Architecture, ModelSpec};
use crate::job::parallelism::{DataParallel, Parallelism, ParallelismSpec, Strategy};
use crate::job::system::{Accelerator, System, SystemSpec};
use crate::job::workload::{Precision, Workload, WorkloadSpec};

/// A complete, checked job: model, workload, parallelism and system.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Job {
    /// The Transformer's shape.
    pub architecture: Architecture,
    /// What is trained and how.
    pub workload: Workload,
    /// How it is distributed over GPUs.
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

    /// The description as a job file.
    ///
    /// # Errors
    /// [`Error::Syntax`] where TOML cannot hold a number, such as a count above 2⁶³.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Syntax { format: "TOML", message: e.to_string() })
    }

    /// The description with absent fields taken from `base`.
    #[must_use]
    pub fn with_fallback(self, base: Self) -> Self {
        Self {
            model: self.model.with_fallback(base.model),
            workload: self.workload.with_fallback(base.workload),
            parallelism: self.parallelism.with_fallback(base.parallelism),
            system: self.system.with_fallback(base.system),
        }
    }

    /// The description with all defaults filled in, for readers without defaults. `job` is the resolved job; the result
    /// resolves to the same job. Names of models and systems stay.
    #[must_use]
    pub fn with_defaults(&self, job: &Job) -> Self {
        let split = &job.parallelism;
        let piped = split.pp > 1;
        let filled = Self {
            model: job.architecture.spec(),
            workload: job.workload.spec(),
            parallelism: ParallelismSpec {
                strategy: (split.replicas() > 1 || split.gpus() == 1)
                    .then(|| Strategy::data(split.data)),
                dp: Some(split.dp),
                tp: Some(split.tp),
                pp: Some(split.pp),
                tensor_scope: (split.tp > 1).then_some(split.tensor_scope),
                sequence_parallel: (split.tp > 1).then_some(split.sequence_parallel),
                shard_group: (split.data == DataParallel::Hsdp).then_some(split.shard_group),
                schedule: piped.then_some(split.schedule),
                virtual_stages: Some(split.virtual_stages).filter(|n| *n > 1),
                partition: piped.then_some(split.partition),
                cp: Some(split.cp).filter(|n| *n > 1),
                context_exchange: (split.cp > 1).then_some(split.context_exchange),
                ep: Some(split.ep).filter(|n| *n > 1),
            },
            system: SystemSpec {
                gpu: Some(job.system.accelerator.name.clone()),
                gpus: Some(job.system.gpus),
                gpus_per_node: Some(job.system.gpus_per_node),
                ..SystemSpec::default()
            },
        };
        // the filled sizes of the batch hold it
        let workload = WorkloadSpec { global_batch: None, ..self.workload.clone() };
        Self { workload, ..self.clone() }.with_fallback(filled)
    }

    /// Looks up names, fills in defaults and checks the whole job.
    ///
    /// # Errors
    /// Those of the parts: an unknown name, an impossible count, degrees that do not multiply to the GPU count, a
    /// precision that the accelerator lacks.
    pub fn resolve(&self, catalog: &Catalog) -> Result<Job> {
        let architecture = catalog.architecture(&self.model)?;
        self.resolve_with(architecture, |name| catalog.system(name), |gpu| catalog.accelerator(gpu))
    }

    /// Resolves a description whose model is looked up; `system` and `accelerator` look theirs up by name.
    fn resolve_with<'a>(
        &self,
        mut architecture: Architecture,
        system: impl FnOnce(&str) -> Result<&'a SystemPreset>,
        accelerator: impl FnOnce(&str) -> Result<&'a Accelerator>,
    ) -> Result<Job> {
        let of_system;
        let system = match &self.system.name {
            Some(name) => {
                of_system = self.system.clone().with_fallback(system(name)?.spec());
                &of_system
            }
            None => &self.system,
        };
        let gpu = system.gpu.as_deref().ok_or_else(|| {
            Error::missing("gpu", "name an accelerator of the catalogue, such as a100-sxm4-40gb; --gpu auto takes those of this machine")
        })?;
        let accelerator = accelerator(gpu)?;
        let system = system.resolve(accelerator, self.parallelism.implied_gpus())?;
        let described = match self.workload.global_batch {
            Some(_) => &self.workload.with_batch(self.parallelism.degrees(system.gpus)?.dp)?,
            None => &self.workload,
        };
        let workload = described.resolve(&architecture, accelerator.half_precision())?;
        check_precision(workload.precision, &system)?;
        let parallelism = self.parallelism.resolve(
            system.gpus,
            system.gpus_per_node,
            &architecture,
            &workload,
        )?;
        let default = workload.framework.framework.vocab_multiple(parallelism.tp);
        let multiple = architecture.vocab_multiple.or(Some(default));
        architecture.vocab_multiple = multiple;
        for stack in &mut architecture.other_stacks {
            stack.vocab_multiple = multiple;
        }
        Ok(Job { architecture, workload, parallelism, system })
    }
}

impl Job {
    /// The description that states every field of the job, so that its reader needs no default and, but for the accelerator, no
    /// catalogue; it resolves to an equal job.
    ///
    /// A field that does not apply to the job, such as the shard group without HSDP, stays open.
    #[must_use]
    pub fn spec(&self) -> JobSpec {
        let (a, split) = (&self.architecture, &self.parallelism);
        JobSpec {
            model: ModelSpec {
                name: Some(a.name.clone()),
                token_types: Some(a.token_types),
                classes: Some(a.classes),
                ..a.spec()
            },
            workload: self.workload.full_spec(),
            parallelism: ParallelismSpec {
                strategy: Some(split.strategy()),
                dp: Some(split.dp),
                tp: Some(split.tp),
                pp: Some(split.pp),
                tensor_scope: Some(split.tensor_scope),
                sequence_parallel: Some(split.sequence_parallel),
                shard_group: (split.data == DataParallel::Hsdp).then_some(split.shard_group),
                schedule: Some(split.schedule),
                virtual_stages: Some(split.virtual_stages),
                partition: Some(split.partition),
                cp: Some(split.cp),
                context_exchange: (split.cp > 1).then_some(split.context_exchange),
                ep: a.experts.map(|_| split.ep),
            },
            system: self.system.spec(),
        }
    }

    /// The job as one of each stack of its model: what is counted layer by layer is the sum of theirs. A model of one stack is
    /// its own.
    pub(crate) fn stacks(&self) -> Cow<'_, [Self]> {
        if self.architecture.other_stacks.is_empty() {
            return Cow::Borrowed(std::slice::from_ref(self));
        }
        let of = |architecture: Architecture| {
            let seq_len = architecture.place.positions().unwrap_or(self.workload.seq_len);
            let workload = Workload { seq_len, ..self.workload.clone() };
            Self { architecture, workload, ..self.clone() }
        };
        self.architecture.stacks().map(of).collect()
    }

    /// Positions computed in the whole run by all GPUs, padding included.
    pub fn positions(&self) -> f64 {
        self.workload.positions(self.parallelism.dp)
    }

    /// Tokens of data in the whole run, without padding.
    pub fn tokens(&self) -> f64 {
        self.workload.tokens(self.parallelism.dp)
    }

    /// Sequences of one optimizer step over all data-parallel ranks.
    pub const fn global_batch(&self) -> u64 {
        self.workload.global_batch(self.parallelism.dp)
    }

    /// Positions that one rank computes in one micro-step: its part of the sequences of its data-parallel rank.
    pub(crate) fn micro_positions_of_rank(&self) -> f64 {
        self.workload.micro_positions() as f64 / self.parallelism.cp as f64
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
    use crate::job::task::Task;

    #[test]
    fn stacks_of_several_widths_are_split_among_data_parallel_ranks_alone() {
        let fails = |workload: &str, parallelism: &str| {
            let text = format!(
                "model.name = 'clip-vit-base-patch32'
                 workload = {{ steps = 1, micro_batch = 1, {workload} }}
                 parallelism = {{ {parallelism} }}
                 system = {{ gpu = 'a100', gpus = 4 }}"
            );
            let job = JobSpec::from_toml(&text).unwrap().resolve(&Catalog::built_in().unwrap());
            job.map(|job| job.workload.task).map_err(|e| e.to_string())
        };
        assert_eq!(fails("", "strategy = 'fsdp'"), Ok(Task::Contrastive));
        assert_eq!(
            fails("", "tp = 2").unwrap_err(),
            "tp is 2, but stacks of different widths are split among data-parallel ranks alone; use 1"
        );
        assert!(fails("", "pp = 2").unwrap_err().starts_with("pp is 2"));
        assert!(fails("task = 'classification'", "").unwrap_err().contains("contrastive"));
        assert!(fails("frozen_layers = 1", "").unwrap_err().contains("frozen in no modelled way"));
    }

    #[test]
    fn with_defaults_gives_an_equal_job() {
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
            "model = { family = 'gpt2', layers = 2, hidden_size = 128 }
             workload = { steps = 5, seq_len = 32, micro_batch = 4, framework = 'megatron', state_precision = 'bf16' }
             system = { gpu = 'h100', gpus = 2 }
             parallelism = { tp = 2 }",
            "model = { family = 'gpt2', layers = 2, hidden_size = 128, vocab_multiple = 1 }
             workload = { steps = 5, seq_len = 32, micro_batch = 4, framework = 'megatron' }
             system = { gpu = 'h100' }",
            "model = { family = 'llama', layers = 2, hidden_size = 128 }
             workload = { steps = 5, seq_len = 32, micro_batch = 4, framework = 'fsdp2' }
             system = { gpu = 'h100', gpus = 8 }
             parallelism = { strategy = 'fsdp', tp = 2, cp = 4 }",
            "model = { family = 'mixtral', layers = 2, hidden_size = 128, experts = 8 }
             workload = { steps = 5, seq_len = 32, micro_batch = 4 }
             system = { gpu = 'h100', gpus = 8 }
             parallelism = { strategy = 'fsdp', ep = 4 }",
            "model = { name = 'vit-base-patch16-224' }
             workload = { steps = 5, micro_batch = 4 }
             system = { name = 'dgx-a100-80gb', gpus = 8 }
             parallelism = { strategy = 'fsdp' }",
        ] {
            let spec = JobSpec::from_toml(text).unwrap();
            let job = spec.resolve(&catalog).unwrap();
            let filled = spec.with_defaults(&job);
            let again = filled.resolve(&catalog).unwrap();
            assert_eq!(again, job, "{text}");
            assert_eq!(job.spec().resolve(&catalog).unwrap(), job, "{text}");
            assert_eq!(JobSpec::from_toml(&toml::to_string(&filled).unwrap()).unwrap(), filled);
        }
    }
}
