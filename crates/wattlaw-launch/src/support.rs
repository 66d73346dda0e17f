//! What each framework can express of a job. A new field of a job is a check here; who can express it follows.

use wattlaw::base::error::{Error, Result};
use wattlaw::job::Job;
use wattlaw::job::model::{Architecture, ModelSpec};
use wattlaw::job::parallelism::{ContextExchange, DataParallel, Partition, Schedule, TensorScope};
use wattlaw::job::task::Task;
use wattlaw::job::workload::{
    AttentionKernel, Checkpointing, Framework, Offload, Optimizer, Precision, Quantization,
    StatePrecision, TrainingObjective,
};

use crate::Launcher::{self, Accelerate, Axolotl, DeepSpeed, Megatron, Nanotron, Torchtitan};

/// Refuses a job that the launcher's framework cannot express.
///
/// # Errors
/// [`Error::Invalid`] with the first such field and with who can express it.
pub(crate) fn check(job: &Job, launcher: Launcher) -> Result<()> {
    framework(job, launcher)?;
    let (work, split) = (&job.workload, &job.parallelism);
    let refuse =
        |field: &str, found: &str, takes: &[Launcher]| refuse(launcher, field, found, takes);
    refuse("strategy", split.data.name(), data(split.data, work.framework.framework))?;
    if split.tp > 1 {
        let scope: &[Launcher] = match split.tensor_scope {
            TensorScope::Blocks => {
                &[Accelerate, DeepSpeed, Megatron, Torchtitan, Nanotron, Axolotl]
            }
            TensorScope::Mlp => &[],
        };
        refuse("tensor_scope", split.tensor_scope.name(), scope)?;
        if work.framework.framework == Framework::Deepspeed {
            refuse("tp", &split.tp.to_string(), &[DeepSpeed, Megatron, Torchtitan, Nanotron])?;
        }
        let sequence: &[Launcher] = if split.sequence_parallel {
            &[Megatron, Torchtitan, Nanotron]
        } else {
            &[Accelerate, DeepSpeed, Megatron, Nanotron, Axolotl]
        };
        refuse("sequence_parallel", &split.sequence_parallel.to_string(), sequence)?;
    }
    if split.cp > 1 {
        refuse("cp", &split.cp.to_string(), context(job))?;
        let exchange: &[Launcher] = match split.context_exchange {
            ContextExchange::Ring => &[Accelerate, Megatron, Torchtitan, Nanotron, Axolotl],
            ContextExchange::AllGather => &[Accelerate, Megatron, Torchtitan],
        };
        refuse("context_exchange", split.context_exchange.name(), exchange)?;
        // the files give the data-parallel ranks of a group, which context-parallel ones multiply
        let group = split.shard_group;
        if split.data == DataParallel::Hsdp && (group == split.cp || group % split.cp > 0) {
            refuse("shard_group", &group.to_string(), &[])?;
        }
    }
    if split.ep > 1 {
        refuse("ep", &split.ep.to_string(), &[Megatron])?;
        // Megatron-LM has no experts on tensor-parallel ranks without it
        if split.tp > 1 && !split.sequence_parallel {
            refuse("sequence_parallel", "false with experts on several ranks", &[])?;
        }
    }
    if split.pp > 1 {
        refuse("pp", &split.pp.to_string(), &[Megatron, Torchtitan, Nanotron])?;
        let partition: &[Launcher] = match split.partition {
            Partition::Even => &[Megatron, Torchtitan],
            Partition::ByCost => &[Nanotron],
        };
        refuse("partition", split.partition.name(), partition)?;
        let schedule: &[Launcher] = match split.schedule {
            Schedule::OneForwardOneBackward => &[Megatron, Torchtitan, Nanotron],
            Schedule::Interleaved => &[Megatron],
        };
        refuse("schedule", split.schedule.name(), schedule)?;
    }
    refuse("precision", work.precision.name(), precision(work.precision))?;
    let states: &[Launcher] = match work.state_precision {
        StatePrecision::Fp32 => &ALL,
        StatePrecision::Bf16 => &[Torchtitan, Nanotron, Axolotl],
    };
    refuse("state_precision", work.state_precision.name(), states)?;
    // a program that uses DeepSpeed's engine has its own arguments for what the engine does not do
    let checkpointing: &[Launcher] = match work.checkpointing {
        Checkpointing::None | Checkpointing::Full => &ALL,
        Checkpointing::Selective => &[DeepSpeed, Megatron, Torchtitan],
    };
    refuse("checkpointing", work.checkpointing.name(), checkpointing)?;
    let attention: &[Launcher] = match work.attention {
        AttentionKernel::Flash => &ALL,
        AttentionKernel::Eager => &[Accelerate, DeepSpeed, Megatron, Axolotl],
    };
    refuse("attention", work.attention.name(), attention)?;
    let optimizer: &[Launcher] = match work.optimizer {
        Optimizer::AdamW => &ALL,
        Optimizer::Sgd => &[Accelerate, DeepSpeed, Megatron, Nanotron, Axolotl],
        Optimizer::Adafactor | Optimizer::Adam8bit => &[Accelerate, Axolotl],
        Optimizer::PagedAdamW | Optimizer::PagedAdam8bit => &[Accelerate],
        Optimizer::Lion => &[Accelerate, DeepSpeed],
        Optimizer::Lamb => &[DeepSpeed],
        Optimizer::Muon => &[],
    };
    refuse("optimizer", work.optimizer.name(), optimizer)?;
    let quantization: &[Launcher] = match work.quantization {
        Quantization::None => &ALL,
        Quantization::Nf4 | Quantization::Int8 => &[Axolotl],
        Quantization::Gptq | Quantization::Fp8 => &[],
    };
    refuse("quantization", work.quantization.name(), quantization)?;
    if let Some(lora) = &work.lora {
        refuse("lora_rank", &lora.rank.to_string(), &[Accelerate, Axolotl])?;
    }
    // their files name modules, or a packing without a length
    if work.frozen_layers > 0 {
        refuse("frozen_layers", &work.frozen_layers.to_string(), &[])?;
    }
    if let Some(length) = work.document_len {
        refuse("document_len", &length.to_string(), &[])?;
    }
    let objective: &[Launcher] = match work.objective {
        TrainingObjective::Likelihood => &ALL,
        TrainingObjective::Dpo => &[Axolotl],
    };
    refuse("objective", work.objective.name(), objective)?;
    refuse("offload", work.offload.name(), offload(job))?;
    let task: &[Launcher] = match work.task {
        Task::CausalLm => &ALL,
        Task::MaskedLm | Task::Classification { .. } => &[Accelerate, DeepSpeed],
        // transformers' models compute this loss only when they are asked to (`return_loss`)
        Task::Contrastive => &[],
    };
    refuse("task", work.task.name(), task)
}

/// The frameworks.
const ALL: [Launcher; 6] = [Accelerate, DeepSpeed, Megatron, Torchtitan, Nanotron, Axolotl];

/// Refuses a field unless the launcher is among those that take its value.
fn refuse(launcher: Launcher, field: &str, found: &str, takes: &[Launcher]) -> Result<()> {
    if takes.contains(&launcher) {
        return Ok(());
    }
    Err(refusal(launcher, field, found, takes))
}

/// The error of a field that a launcher cannot express, with those that can.
pub(crate) fn refusal(launcher: Launcher, field: &str, found: &str, takes: &[Launcher]) -> Error {
    let titles: Vec<&str> = takes.iter().map(|other| other.title()).collect();
    let who = match titles.as_slice() {
        [] => "and so can none of the other frameworks".to_owned(),
        [one] => format!("{one} can"),
        [most @ .., last] => format!("{} and {last} can", most.join(", ")),
    };
    Error::invalid(field, found, format!("{} has no configuration for it; {who}", launcher.title()))
}

fn framework(job: &Job, launcher: Launcher) -> Result<()> {
    let stack = &job.workload.framework;
    let Some(own) = launcher.framework() else { return Ok(()) };
    if launcher.trains(stack.framework) {
        return Ok(());
    }
    let expected = format!("{} trains jobs of framework {own}", launcher.title());
    Err(Error::invalid("framework", stack, expected))
}

fn data(kind: DataParallel, framework: Framework) -> &'static [Launcher] {
    let is_deepspeed = framework == Framework::Deepspeed;
    match kind {
        DataParallel::Single | DataParallel::Ddp => &ALL,
        DataParallel::Zero1 if is_deepspeed => &[Accelerate, DeepSpeed, Megatron, Nanotron],
        DataParallel::Zero1 => &[DeepSpeed, Megatron, Nanotron],
        DataParallel::Zero2 | DataParallel::Fsdp => {
            &[Accelerate, DeepSpeed, Megatron, Torchtitan, Axolotl]
        }
        // DeepSpeed's MiCS was removed (refused from 0.19.8, `runtime/config.py`)
        DataParallel::Hsdp if is_deepspeed => &[Torchtitan, Axolotl],
        DataParallel::Hsdp => &[Accelerate, Torchtitan, Axolotl],
    }
}

/// Who has context parallelism; those on PyTorch's FSDP where it shards something.
fn context(job: &Job) -> &'static [Launcher] {
    let kind = job.parallelism.data;
    let is_fsdp = matches!(kind, DataParallel::Zero2 | DataParallel::Fsdp | DataParallel::Hsdp);
    if is_fsdp && job.workload.framework.framework != Framework::Deepspeed {
        &[Accelerate, Megatron, Torchtitan, Nanotron, Axolotl]
    } else {
        &[Megatron, Nanotron]
    }
}

/// Who keeps states on the host: DeepSpeed those of the optimizer, and the parameters of ZeRO's third stage; PyTorch's FSDP both
/// alone.
fn offload(job: &Job) -> &'static [Launcher] {
    let is_deepspeed = job.workload.framework.framework == Framework::Deepspeed;
    match (job.workload.offload, job.parallelism.data) {
        (Offload::None, _) => &ALL,
        (Offload::Optimizer, _) if is_deepspeed => &[Accelerate, DeepSpeed],
        (Offload::Optimizer, _) => &[DeepSpeed],
        (Offload::Parameters, DataParallel::Fsdp) if is_deepspeed => &[Accelerate, DeepSpeed],
        (Offload::Parameters, _) if is_deepspeed => &[],
        (Offload::Parameters, DataParallel::Fsdp | DataParallel::Hsdp | DataParallel::Zero2) => {
            &[Accelerate, Torchtitan, Axolotl]
        }
        (Offload::Parameters, _) => &[],
    }
}

fn precision(precision: Precision) -> &'static [Launcher] {
    match precision {
        Precision::Bf16 | Precision::Fp32 => &ALL,
        Precision::Tf32 => &[Accelerate, Axolotl],
        Precision::Fp16 => &[Accelerate, DeepSpeed, Megatron, Nanotron, Axolotl],
        Precision::Fp8 => &[Accelerate, Megatron, Torchtitan, Axolotl],
    }
}

/// Whether a description gives the job's model, but for its name.
pub(crate) fn has_shape(job: &Job, spec: ModelSpec) -> bool {
    spec.resolve().is_ok_and(|model| is_same_shape(job, &model))
}

/// Whether a model has the shape of the job's. Names and the padding of the vocabulary may differ.
pub(crate) fn is_same_shape(job: &Job, model: &Architecture) -> bool {
    let mut model = model.clone();
    let own = &job.architecture;
    model.name.clone_from(&own.name);
    model.model_type = own.model_type;
    model.vocab_multiple = own.vocab_multiple;
    model == *own
}

/// The rows for a tensor-parallel rank to whose multiple a framework pads the vocabulary.
///
/// # Errors
/// [`Error::Invalid`] for padding that is no multiple of the tensor-parallel ranks.
pub(crate) fn vocab_rows(job: &Job, launcher: Launcher) -> Result<u64> {
    let (multiple, tp) = (job.architecture.vocab_multiple.unwrap_or(1), job.parallelism.tp);
    if multiple.is_multiple_of(tp) {
        return Ok(multiple / tp);
    }
    let found = format!("{multiple} on {tp} tensor-parallel ranks");
    Err(refusal(launcher, "vocab_multiple", &found, &[Accelerate, DeepSpeed, Torchtitan, Axolotl]))
}
