//! Memory recipes: how training frameworks store weights, gradients, states and activations.

use crate::base::error::{Error, Result};
use crate::base::units::Bytes;
use crate::job::Job;
use crate::job::workload::StatePrecision;

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
    /// The framework's name in files and flags.
    pub name: &'static str,
    /// Whether weights are stored in half precision with a 32-bit master copy among the optimizer states; otherwise
    /// they are stored in 32 bits and cast for the products.
    pub half_weights: bool,
    /// Bytes per parameter of the gradient until the optimizer step.
    pub gradient_bytes: f64,
    /// Bytes per parameter of the buckets for unsharded gradient all-reduce, where they are copies.
    pub bucket_bytes: f64,
    /// Additional half-precision gradients of one backward pass, as shares of all parameters: with a sharded optimizer,
    /// and without.
    pub backward_gradients: (f64, f64),
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
    pub loss_in_model: bool,
    /// Whether sequence parallelism gathers the inputs of projections again for the backward pass; otherwise the gathered
    /// inputs are saved.
    pub gathers_again: bool,
    /// What selective checkpointing recomputes.
    pub selective: SelectiveCheckpointing,
    /// Copies of a logit while the loss is computed, where memory is not followed through the phases: in the computing
    /// precision, and in 32 bits.
    pub logit_copies: (f64, f64),
    /// Memory reserved by the caching allocator for activations, as a multiple of their size.
    pub allocator: f64,
    /// Number of buffers of one unsplit activation (sequences × positions × width) for sequence-parallel communication.
    pub gather_buffers: f64,
    /// Buffers kept alive because the host queues kernels ahead of the GPU, where the framework allows it.
    pub run_ahead: Option<RunAhead>,
    /// Whether CUDA's context and NCCL's buffers count, as in `nvidia-smi`; the framework's own counter does not
    /// include them.
    pub counts_reserve: bool,
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
/// 1 GiB before; cuBLAS takes 32 MiB more on Hopper.
pub(super) const CONTEXT: Bytes = Bytes::from_gib(0.5);

/// NCCL's buffers: the middle of the 342–392 MB that aiconfigurator's system files state for 2 to 8 GPUs.
pub(super) const NCCL: Bytes = Bytes::new(367e6);

impl Recipe {
    /// PyTorch as in its documentation, with models of Hugging Face transformers: 32-bit weights under
    /// autocast alone, in DDP and with tensor parallelism; FSDP with 32-bit shards and half-precision computation.
    ///
    /// DDP's buckets are copies (`gradient_as_bucket_view=False`), and AdamW's kernels are `foreach`, the default on CUDA.
    /// The allocator's factor is nanotron's, the only available measurement of the allocator that both use. Tensors
    /// without it are within 0.8 % (median) of PyTorch's memory tracker on cases on which the recipe was not mended
    /// (`tests/it/memory_tracked.rs`).
    pub const PYTORCH: Self = Self {
        name: "pytorch",
        half_weights: false,
        gradient_bytes: 4.0,
        bucket_bytes: 4.0,
        backward_gradients: (0.0, 0.0),
        fused: false,
        by_phase: true,
        update_copies: 1.0,
        loss_in_model: true,
        gathers_again: false,
        selective: SelectiveCheckpointing::AttentionCore,
        logit_copies: (1.0, 3.0),
        allocator: 1.2,
        gather_buffers: 0.0,
        run_ahead: None,
        counts_reserve: true,
    };

    /// torchtitan on PyTorch's `fully_shard`: as [`Self::PYTORCH`], with fused norms, a fused optimizer, selective
    /// checkpointing by operation, and logits that are freed before the backward pass.
    pub const FSDP2: Self = Self {
        name: "fsdp2",
        fused: true,
        update_copies: 0.0,
        loss_in_model: false,
        selective: SelectiveCheckpointing::PerOperation,
        ..Self::PYTORCH
    };

    /// DeepSpeed's accounting: 2 + 2 + 12 bytes a parameter (Rajbhandari et al. 2020, section 3.1).
    pub(crate) const DEEPSPEED: Self = Self {
        name: "deepspeed",
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
        name: "megatron",
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
        name: "nanotron",
        loss_in_model: true,
        gathers_again: true,
        selective: SelectiveCheckpointing::AttentionCore,
        half_weights: true,
        gradient_bytes: 4.0,
        bucket_bytes: 2.0,
        backward_gradients: (1.0, 0.5),
        fused: true,
        by_phase: false,
        update_copies: 0.0,
        logit_copies: (1.0, 2.0),
        allocator: 1.2,
        gather_buffers: 3.0,
        run_ahead: Some(RunAhead {
            buffers: 43.0,
            host_s_per_layer_and_rank: 2.5e-3,
            lasting: 0.5,
        }),
        counts_reserve: false,
    };

    /// Every recipe.
    pub const ALL: [Self; 5] =
        [Self::PYTORCH, Self::FSDP2, Self::DEEPSPEED, Self::MEGATRON, Self::NANOTRON];

    /// The recipe of a framework by its name, in any case.
    ///
    /// # Errors
    /// [`Error::Unknown`] for another name.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|recipe| recipe.name.eq_ignore_ascii_case(name.trim()))
            .ok_or_else(|| Error::unknown("framework", name, Self::ALL.map(|r| r.name)))
    }

    /// Memory of CUDA and NCCL on each of `gpus` GPUs.
    pub(super) fn outside(gpus: u64) -> Bytes {
        if gpus > 1 { CONTEXT + NCCL } else { CONTEXT }
    }

    /// Whether 32-bit weights are cast for each product; the casts live until the end of the backward pass.
    pub(super) fn autocasts(&self, job: &Job) -> bool {
        let (w, p) = (&job.workload, &job.parallelism);
        w.precision.mixed()
            && w.state_precision == StatePrecision::Fp32
            && !self.half_weights
            && !p.data.shards_parameters()
            && w.lora.is_none()
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

    #[test]
    fn a_framework_is_found_by_name_and_another_is_refused() {
        assert_eq!(Recipe::from_name(" DeepSpeed ").unwrap(), Recipe::DEEPSPEED);
        let error = Recipe::from_name("torch").unwrap_err().to_string();
        assert!(error.starts_with("unknown framework `torch`"), "{error}");
    }
}
