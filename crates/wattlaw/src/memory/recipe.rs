//! Memory recipes: how training frameworks store weights, gradients, states and activations.

use crate::base::error::{Error, Result};
use crate::base::units::Bytes;
use crate::job::Job;
use crate::job::parallelism::DataParallel;
use crate::job::system::Accelerator;
use crate::job::workload::{Framework, StatePrecision};

/// What selective checkpointing recomputes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectiveCheckpointing {
    /// The attention core (Korthikanti et al. 2022).
    AttentionCore,
    /// Everything except the layer's input, the fused attention's output and every second matrix product's, as
    /// torchtitan's selective checkpointing by operation (`torchtitan/distributed/activation_checkpoint.py`).
    PerOperation,
}

/// The memory accounting of a training framework, as data.
///
/// Numbers per parameter are bytes in mixed-precision training; 32-bit training stores everything in 4 bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// Whether weights are stored in half precision with a 32-bit master copy among the optimizer states; otherwise they
    /// are stored in 32 bits and cast for the products, or gathered in half precision from 32-bit shards (FSDP).
    pub half_weights: bool,
    /// Bytes per parameter of the gradient until the optimizer step.
    pub gradient_bytes: f64,
    /// Bytes per parameter of the buckets for unsharded gradient all-reduce, where they are copies.
    pub bucket_bytes: f64,
    /// Additional half-precision gradients of one backward pass, as shares of all parameters: with a sharded optimizer,
    /// and without.
    pub backward_gradients: (f64, f64),
    /// Bytes per parameter of accumulators of the gradients beside them, in bfloat16 training.
    pub bf16_accumulator_bytes: f64,
    /// Whether a whole half-precision gradient is kept between the micro-batches of a step under FSDP (`no_sync`).
    pub whole_gradient: bool,
    /// Whether norms and activation functions are fused kernels that save only their inputs; otherwise, as in Hugging
    /// Face transformers, each of their operations saves what it needs.
    pub fused: bool,
    /// Whether gradients are cleared before the forward pass and memory is followed through the phases of a step, as in a
    /// loop in plain PyTorch; otherwise everything is counted at once.
    pub by_phase: bool,
    /// Copies of the updated weights' size that AdamW's step makes.
    pub update_copies: f64,
    /// Whether the model computes its loss and the training loop keeps its output, the logits, until the next one, as
    /// with transformers; otherwise the loop computes the loss and frees the logits before the backward pass.
    pub keeps_logits: bool,
    /// Whether sequence parallelism gathers the inputs of projections again for the backward pass; otherwise the gathered
    /// inputs are saved.
    pub gathers_again: bool,
    /// Whether linear layers in 8 bits save their inputs in 8 bits, and keep copies of stored half-precision weights in 8 bits as
    /// they are and transposed (TransformerEngine, `module/linear.py`); torchao saves the 16-bit input and casts anew
    /// (`Float8Linear`).
    pub saves_8_bits: bool,
    /// What selective checkpointing recomputes.
    pub selective: SelectiveCheckpointing,
    /// Copies of a logit while the loss is computed, where memory is not followed through the phases: in the computing
    /// precision, and in 32 bits.
    pub logit_copies: (f64, f64),
    /// Memory reserved by the caching allocator for activations, as a multiple of their size, where memory is not
    /// followed through the phases.
    pub allocator: f64,
    /// Number of buffers of one unsplit activation (sequences × positions × width) for sequence-parallel communication.
    pub gather_buffers: f64,
    /// Units that were unsharded at once outside the passes, where runs show it: a floor of the reserved memory.
    pub gathered_outside: Units,
    /// Buffers kept alive because the host queues kernels ahead of the GPU, where the framework allows it.
    pub run_ahead: Option<RunAhead>,
    /// Memory of a process beside its tensors and its context.
    pub workspaces: Workspaces,
    /// Whether the context, the workspaces and NCCL's buffers count, as in `nvidia-smi`; the framework's own counter
    /// does not include them.
    pub counts_reserve: bool,
    /// Standard deviation of ln(measured / estimated).
    pub log_sd: f64,
}

/// FSDP units: the one of embedding and output projection, and the largest layer; a number of each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Units {
    /// Times the unit of embedding and output projection.
    pub root: f64,
    /// Number of layers.
    pub layers: f64,
}

impl Units {
    /// None.
    pub const NONE: Self = Self { root: 0.0, layers: 0.0 };
}

/// Memory of a process beside its tensors and its context.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Workspaces {
    /// On every GPU: libraries' workspaces.
    pub process: Bytes,
    /// With more than one GPU: buffers of collectives.
    pub gpus: Bytes,
    /// With more than one node: buffers of the network.
    pub nodes: Bytes,
}

/// Memory kept alive because the host queues kernels faster than the GPU runs them.
///
/// Buffers of asynchronous collectives are not reused until the GPU has reached them. In a pipeline the host waits for
/// other stages; a host slower than the GPU is ahead only in the warm-up, for (stages after this one − 1) forward
/// passes with two gathers per layer.
///
/// A model of the measured table, not of a profile; see [`Recipe::NANOTRON`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunAhead {
    /// Maximum number of unsplit activations alive.
    pub buffers: f64,
    /// Host time to queue one layer's forward and backward pass, in seconds per tensor-parallel rank.
    pub host_s_per_layer_and_rank: f64,
    /// Share of them that the allocator cannot reclaim by waiting for the GPU.
    pub lasting: f64,
}

/// CUDA context of a process: kernels, stacks, library workspaces.
///
/// Assumed. PyTorch issues report 0.3 GiB since CUDA 11.7 loads kernels lazily (pytorch/pytorch#107667) and up to
/// 1 GiB before, when V100s were current: 1.3 GiB was seen on one. cuBLAS takes 32 MiB more on Hopper.
fn context(accelerator: &Accelerator) -> Bytes {
    Bytes::from_gib(if accelerator.architecture.eq_ignore_ascii_case("volta") { 1.3 } else { 0.5 })
}

/// NCCL's buffers: the middle of the 342–392 MB that aiconfigurator's system files state for 2 to 8 GPUs.
const NCCL: Bytes = Bytes::new(367e6);

/// Standard deviation of ln(measured / estimated) for frameworks without measured peaks, and where no framework is stated.
/// Assumed: wider than the 0.06 to 0.11 of the frameworks with measured peaks.
const ASSUMED_LOG_SD: f64 = 0.15;
const UNKNOWN_LOG_SD: f64 = 0.25;

impl Recipe {
    /// The recipe of a framework.
    pub const fn of(framework: Framework) -> Self {
        match framework {
            Framework::Accelerate => Self::ACCELERATE,
            Framework::Fsdp2 => Self::FSDP2,
            Framework::LlmFoundry => Self::LLM_FOUNDRY,
            Framework::Megatron => Self::MEGATRON,
            Framework::MegatronDeepspeed => Self::MEGATRON_DEEPSPEED,
            Framework::Deepspeed => Self::DEEPSPEED,
            Framework::Nanotron => Self::NANOTRON,
            Framework::Jax => Self::JAX,
            Framework::Pytorch => Self::PYTORCH,
            // any of the others may run
            Framework::Unknown => Self { log_sd: UNKNOWN_LOG_SD, ..Self::PYTORCH },
        }
    }

    /// The recipe of a job's framework.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the framework has no such method, with those that have it.
    pub fn for_job(job: &Job) -> Result<Self> {
        let framework = job.workload.framework.framework;
        match lacks(framework, job) {
            None => Ok(Self::of(framework)),
            Some(method) => {
                let able = Framework::ALL
                    .into_iter()
                    .filter(|f| *f != Framework::Unknown && lacks(*f, job).is_none());
                let able: Vec<&str> = able.map(Framework::name).collect();
                Err(Error::invalid(
                    "framework",
                    framework,
                    format!("it has no {method}; use one of {}", able.join(", ")),
                ))
            }
        }
    }

    /// PyTorch as in its documentation, with models of Hugging Face transformers: 32-bit weights under
    /// autocast alone, in DDP and with tensor parallelism; FSDP with 32-bit shards and half-precision computation.
    ///
    /// DDP's buckets are copies (`gradient_as_bucket_view=False`), and AdamW's kernels are `foreach`, the default on CUDA.
    /// Tensors are within 0.8 % (median) of PyTorch's memory tracker on cases on which the recipe was not mended
    /// (`tests/it/memory_tracked.rs`).
    pub const PYTORCH: Self = Self {
        half_weights: false,
        gradient_bytes: 4.0,
        bucket_bytes: 4.0,
        backward_gradients: (0.0, 0.0),
        bf16_accumulator_bytes: 0.0,
        whole_gradient: false,
        fused: false,
        by_phase: true,
        update_copies: 1.0,
        keeps_logits: true,
        gathers_again: false,
        saves_8_bits: false,
        selective: SelectiveCheckpointing::AttentionCore,
        logit_copies: (1.0, 3.0),
        allocator: 1.2,
        gather_buffers: 0.0,
        gathered_outside: Units::NONE,
        run_ahead: None,
        workspaces: Workspaces { process: Bytes::ZERO, gpus: NCCL, nodes: Bytes::ZERO },
        counts_reserve: true,
        log_sd: ASSUMED_LOG_SD,
    };

    /// Hugging Face's Trainer on Accelerate, with the first version of FSDP; fitted to IBM's fine-tuning benchmark.
    ///
    /// From their source: accumulation runs under `no_sync`, which keeps a whole gradient; the Trainer drops the model's
    /// output before the backward pass. Fitted to the benchmark's 506 peaks: workspaces, and a
    /// floor of 3.2 root units and 5.5 layers, of which the cause is not known.
    ///
    /// Median error 3.9 %, and 4.2 % for models held out of the fit; 95 % within ×1.24.
    pub const ACCELERATE: Self = Self {
        saves_8_bits: true,
        whole_gradient: true,
        keeps_logits: false,
        gathered_outside: Units { root: 3.2, layers: 5.5 },
        workspaces: Workspaces {
            process: Bytes::from_gib(1.0),
            gpus: Bytes::from_gib(1.2),
            nodes: Bytes::from_gib(2.0),
        },
        log_sd: 0.11,
        ..Self::PYTORCH
    };

    /// MosaicML's llm-foundry on Composer: FSDP in pure half precision over 32-bit shards, fused norms, and a fused
    /// cross-entropy that keeps the logits and their gradient in half precision (flash-attn's `CrossEntropyLoss`).
    pub const LLM_FOUNDRY: Self = Self {
        saves_8_bits: true,
        fused: true,
        by_phase: false,
        update_copies: 0.0,
        logit_copies: (2.0, 0.0),
        allocator: 1.0,
        ..Self::PYTORCH
    };

    /// torchtitan on PyTorch's `fully_shard`: as [`Self::PYTORCH`], with fused norms, a fused optimizer, selective
    /// checkpointing by operation, and logits that are freed before the backward pass.
    pub const FSDP2: Self = Self {
        fused: true,
        update_copies: 0.0,
        keeps_logits: false,
        selective: SelectiveCheckpointing::PerOperation,
        ..Self::PYTORCH
    };

    /// DeepSpeed's accounting: 2 + 2 + 12 bytes a parameter (Rajbhandari et al. 2020, section 3.1).
    pub const DEEPSPEED: Self = Self {
        half_weights: true,
        gradient_bytes: 2.0,
        bucket_bytes: 0.0,
        by_phase: false,
        update_copies: 0.0,
        ..Self::PYTORCH
    };

    /// Megatron-LM's accounting: 2 + 4 + 12 bytes a parameter (`theoretical_memory_usage.py`), fused kernels, 32-bit
    /// logits (Korthikanti et al. 2022), no allocator overhead.
    pub const MEGATRON: Self = Self {
        saves_8_bits: true,
        half_weights: true,
        bucket_bytes: 0.0,
        fused: true,
        by_phase: false,
        update_copies: 0.0,
        gathers_again: true,
        logit_copies: (0.0, 1.0),
        allocator: 1.0,
        ..Self::PYTORCH
    };

    /// Megatron-DeepSpeed with ZeRO-1, fitted to 72 peaks of `nvidia-smi` in BigScience's search for BLOOM's
    /// configuration on A100.
    ///
    /// From its source: half-precision weights and gradients; 32-bit accumulators of all gradients in bf16; 12 bytes of
    /// states, and 4 of the partition's gradient, sharded. Fitted: the allocator's factor, and 6.6 GiB of workspaces (EleutherAI's
    /// cookbook leaves 5 GiB unexplained).
    ///
    /// Median error 3 %.
    pub const MEGATRON_DEEPSPEED: Self = Self {
        gradient_bytes: 2.0,
        bf16_accumulator_bytes: 4.0,
        update_copies: 1.0,
        logit_copies: (1.0, 2.0),
        allocator: 1.26,
        workspaces: Workspaces {
            process: Bytes::from_gib(1.0),
            gpus: Bytes::from_gib(5.6),
            nodes: Bytes::ZERO,
        },
        log_sd: 0.06,
        ..Self::MEGATRON
    };

    /// nanotron with asynchronous sequence-parallel products, fitted to its benchmark of 706 H100 runs.
    ///
    /// From its source: half-precision weights; a 32-bit gradient accumulator, whole also under ZeRO-1; half-precision
    /// buckets in DDP only; two gather buffers and one unsplit gradient; logits in 2 + 4 + 4 bytes, their gradient in
    /// place. Fitted to the benchmark: the allocator's factor 1.2, 43 run-ahead buffers, 2.5 ms of host time, and half
    /// of the buffers not reclaimable. Selected on it: half-precision gradients of a backward pass, all of them under
    /// ZeRO-1 and half of them otherwise. The benchmark reports torch's counter of reserved memory.
    ///
    /// Median error 3.4 %, and 3.9 % for models held out of the fit; 90 % within 13 %. The largest errors are on 16 and
    /// 32 tensor-parallel ranks over several nodes, where the host was ahead of the GPU in some runs only.
    pub const NANOTRON: Self = Self {
        gathers_again: true,
        half_weights: true,
        bucket_bytes: 2.0,
        backward_gradients: (1.0, 0.5),
        fused: true,
        by_phase: false,
        update_copies: 0.0,
        logit_copies: (1.0, 2.0),
        gather_buffers: 3.0,
        run_ahead: Some(RunAhead {
            buffers: 43.0,
            host_s_per_layer_and_rank: 2.5e-3,
            lasting: 0.5,
        }),
        counts_reserve: false,
        log_sd: 0.11,
        ..Self::PYTORCH
    };

    /// JAX programs such as MaxText: 32-bit shards gathered in half precision, kernels fused by the compiler, which plans
    /// memory before the run, so nothing is cached.
    pub const JAX: Self =
        Self { logit_copies: (1.0, 1.0), saves_8_bits: false, ..Self::LLM_FOUNDRY };

    /// Memory of the process on the GPU beside tensors: context, workspaces, NCCL's buffers.
    pub(super) fn outside(&self, job: &Job) -> Bytes {
        let Workspaces { process, gpus, nodes } = self.workspaces;
        let system = &job.system;
        let mut outside = context(&system.accelerator) + process;
        if system.gpus > 1 {
            outside += gpus;
        }
        if system.nodes() > 1 {
            outside += nodes;
        }
        outside
    }

    /// Whether 32-bit weights are cast for each product; the casts live until the end of the backward pass.
    pub(super) fn autocasts(&self, job: &Job) -> bool {
        let (w, p) = (&job.workload, &job.parallelism);
        w.precision.mixed()
            && w.state_precision == StatePrecision::Fp32
            && !self.half_weights
            && !p.data.shards_gradients()
            && w.lora.is_none()
    }

    /// Whether ZeRO-2 is FSDP that keeps the gathered half-precision weights between the passes (`SHARD_GRAD_OP`).
    pub(super) fn keeps_gathered(&self, job: &Job) -> bool {
        job.parallelism.data == DataParallel::Zero2 && !self.half_weights
    }
}

/// The method of a job that a framework does not have, from their documentation of 2026.
fn lacks(framework: Framework, job: &Job) -> Option<&'static str> {
    let p = &job.parallelism;
    match framework {
        Framework::Nanotron if p.data.shards_gradients() => Some("sharded gradients or weights"),
        Framework::Nanotron if job.workload.lora.is_some() => Some("LoRA"),
        Framework::Fsdp2 if p.data == DataParallel::Zero1 => Some("zero1"),
        Framework::Accelerate | Framework::Nanotron if p.ep > 1 => Some("expert parallelism"),
        Framework::LlmFoundry | Framework::MegatronDeepspeed | Framework::Deepspeed if p.cp > 1 => {
            Some("context parallelism")
        }
        Framework::Accelerate | Framework::LlmFoundry if p.pp > 1 => Some("pipeline"),
        Framework::Deepspeed | Framework::MegatronDeepspeed
            if p.pp > 1 && p.data.shards_gradients() =>
        {
            Some("sharded gradients or weights in a pipeline")
        }
        _ => None,
    }
}

impl Default for Recipe {
    fn default() -> Self {
        Self::PYTORCH
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobSpec;
    use crate::job::catalog::Catalog;

    #[test]
    fn a_method_that_a_framework_lacks_is_refused_with_those_that_have_it() {
        let text = "model.name = 'gpt2'
             workload = { steps = 1, seq_len = 512, micro_batch = 1, framework = 'nanotron' }
             parallelism.strategy = 'fsdp'
             system = { gpu = 'h100-sxm5-80gb', gpus = 8 }";
        let job = JobSpec::from_toml(text).unwrap().resolve(&Catalog::built_in().unwrap()).unwrap();
        assert_eq!(
            Recipe::for_job(&job).unwrap_err().to_string(),
            "framework is nanotron, but it has no sharded gradients or weights; use one of accelerate, fsdp2, \
             llm-foundry, megatron, megatron-deepspeed, deepspeed, jax, pytorch"
        );
    }
}
