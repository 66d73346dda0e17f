//! Peak memory of a GPU, part by part: weights, gradients, optimizer states, activations, logits, buffers, reserves.
//!
//! # What a layer keeps
//!
//! b sequences of s positions, width h, inner width f, a heads; act = bytes of a number in a product; res = bytes of a
//! number of the residual stream: act in pure half precision (FSDP, Megatron, nanotron) and in 32 bits, 4 under autocast.
//! Tensors that Hugging Face transformers' layers save for the backward pass, in bytes a position:
//!
//! | tensor | BERT, ViT | GPT-2 | GPT-NeoX | OPT | Llama | T5 layer |
//! |---|---|---|---|---|---|---|
//! | norm inputs | 2 res h | 2 res h | res h | 2 res h | 2 (4 + res) h | 2 · 8 h, decoder 3 |
//! | norm statistics | 16 | 16 | 16 | 16 | 8 | 8, decoder 12 |
//! | input of query, key, value¹ | act h | act h | act h | act h | act h | act h |
//! | query, key, value | 3 act h | 3 act h | 5 act h | 3 act h | act (q + 2 kv) | 3 act q |
//! | attention core, fused | 4 a | 4 a | 4 a | 4 a | 4 a | 4 a |
//! | attention core, eager² | (2 act + 1) a s | (2 act + 1) a s | act a s | act a s | (4 + act) a s | (2 act + 1) a s |
//! | context | act h | act h | 2 act h | act h | act q | act q |
//! | dropout masks | 2 h (ViT 0) | 2 h | 0 | 2 h | 0 | 2 h, decoder 3 |
//! | input of the feed-forward block¹ | act h | act h | act h | act h | act h | act h |
//! | feed-forward, inner | 2 act f | 5 act f | 2 act f | act f | 4 act f | (2 act + 1) f |
//!
//! ¹ Under autocast each map casts its input itself: three copies for separate query, key and value maps, two for gate and
//! up. ² Under autocast probabilities are computed in 32 bits and read in half precision; with 32-bit activations Llama's
//! are kept once; without dropout (ViT, GPT-NeoX, OPT, Llama) once, or in both precisions. A T5 decoder layer adds
//! cross-attention: input, query, keys and values over the encoder's positions, core, context. A mixture keeps the
//! feed-forward part for each expert visited, with the experts' inputs and outputs. Fused recipes keep an RMS norm's
//! input only and two tensors of GPT-2's feed-forward block, which makes Megatron's 34 s b h + 5 a s² b (Korthikanti et
//! al. 2022, equation 1). The table is checked against tensors that PyTorch saved (`tests/golden/saved_tensors.json`).
//!
//! Tensor parallelism divides what lies inside its blocks: query, key, value, core, context, inner; of the feed-forward
//! block only, where its scope is `mlp`. Sequence parallelism divides the rest too. Selective checkpointing drops the
//! core, full checkpointing all but the layer's input; what is dropped is there once, for the layer at work.
//!
//! # What is not counted
//!
//! Temporaries of the optimizer step (with PyTorch's `foreach` kernels one 32-bit copy of the updated weights): they come
//! when activations are gone, so they only matter where activations are smaller than that. Activations that frozen
//! weights would allow to drop with LoRA. Gradients count as present when activations peak, as they are from the second
//! accumulated micro-batch on; a loop without accumulation that clears them before its forward pass needs up to that
//! much less.

mod activations;
mod advice;
mod recipe;
mod run_ahead;
mod saved;
mod states;

pub use advice::{Advice, Change};
pub use recipe::{Recipe, RunAhead};

use serde::Serialize;

use crate::job::Job;
use crate::system::Accelerator;
use crate::units::Bytes;

/// Peak memory of one GPU of a pipeline stage, by part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Memory {
    /// Weights: trained and frozen ones, and casts of them that live through a step.
    pub weights: Bytes,
    /// Gradients.
    pub gradients: Bytes,
    /// Optimizer states, with the 32-bit master weights where they are kept apart.
    pub optimizer: Bytes,
    /// Activations kept for the backward pass, of all micro-batches in flight.
    pub activations: Bytes,
    /// Activations made again for the layer whose backward pass runs, under checkpointing.
    pub recomputed: Bytes,
    /// Logits and their copies in the loss.
    pub logits: Bytes,
    /// Gathered parameters, gradient buckets and gather buffers.
    pub communication: Bytes,
    /// What the caching allocator reserves beyond the activations.
    pub allocator: Bytes,
    /// Buffers that a host running ahead of the GPU keeps alive.
    pub run_ahead: Bytes,
    /// CUDA context and NCCL.
    pub reserve: Bytes,
    /// The pipeline stage, from 0.
    pub stage: u64,
    /// The parts together.
    pub total: Bytes,
    /// What cannot be squeezed out when memory is short: the parts without some of [`Self::run_ahead`].
    pub needed: Bytes,
    /// Memory of the GPU that a process can use, the reserve apart where it is not counted.
    pub capacity: Bytes,
    /// Whether what is needed is within the capacity.
    pub fits: bool,
}

impl Memory {
    /// Estimates the memory of the pipeline stage that takes most, with PyTorch's recipe.
    ///
    /// ```
    /// # use wattlaw::{catalog::Catalog, job::JobSpec, memory::Memory};
    /// let spec = JobSpec::from_toml("model.name = 'bert-base-uncased'
    /// workload = { steps = 1, seq_len = 128, micro_batch = 32 }
    /// system = { gpu = 't4' }")?;
    /// let memory = Memory::of(&spec.resolve(&Catalog::built_in()?)?);
    /// assert!(memory.fits && memory.peak_gib_per_gpu() < 10.0);
    /// # Ok::<(), wattlaw::Error>(())
    /// ```
    pub fn of(job: &Job) -> Self {
        Self::with(job, &Recipe::PYTORCH)
    }

    /// Estimates the memory of the pipeline stage that takes most, with a framework's recipe.
    pub fn with(job: &Job, recipe: &Recipe) -> Self {
        let first = Self::of_stage(job, 0, recipe);
        (1..job.parallelism.pp).fold(first, |most, stage| {
            let memory = Self::of_stage(job, stage, recipe);
            if memory.total > most.total { memory } else { most }
        })
    }

    /// Estimates the memory of pipeline stage `stage` (from 0; the last one where it is beyond).
    pub fn of_stage(job: &Job, stage: u64, recipe: &Recipe) -> Self {
        let stage = stage.min(job.parallelism.pp - 1);
        let states = states::count(job, stage, recipe);
        let kept = activations::count(job, stage, recipe);
        let outside = Recipe::outside(job.parallelism.gpus());
        let usable = usable(&job.system.accelerator);
        let (reserve, capacity) =
            if recipe.counts_reserve { (outside, usable) } else { (Bytes::ZERO, usable - outside) };
        let run_ahead = run_ahead::bytes(job, stage, recipe);
        let mut memory = Self {
            weights: states.weights,
            gradients: states.gradients,
            optimizer: states.optimizer,
            activations: kept.kept,
            recomputed: kept.recomputed,
            logits: kept.logits,
            communication: states.communication,
            allocator: (kept.kept + kept.recomputed) * (recipe.allocator - 1.0),
            run_ahead,
            reserve,
            stage,
            total: Bytes::ZERO,
            needed: Bytes::ZERO,
            capacity,
            fits: false,
        };
        memory.total = memory.parts().map(|(_, bytes)| bytes).sum();
        let lasting = recipe.run_ahead.map_or(1.0, |ahead| ahead.lasting);
        memory.needed = memory.total - run_ahead * (1.0 - lasting);
        memory.fits = memory.needed <= capacity;
        memory
    }

    /// The parts by name, in the order of a table.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, Bytes)> {
        [
            ("weights", self.weights),
            ("gradients", self.gradients),
            ("optimizer", self.optimizer),
            ("activations", self.activations),
            ("recomputed", self.recomputed),
            ("logits", self.logits),
            ("communication", self.communication),
            ("allocator", self.allocator),
            ("run-ahead", self.run_ahead),
            ("reserve", self.reserve),
        ]
        .into_iter()
    }

    /// The largest part and its name.
    pub fn largest_part(&self) -> (&'static str, Bytes) {
        let weights = ("weights", self.weights);
        self.parts().fold(weights, |most, part| if part.1 > most.1 { part } else { most })
    }

    /// The peak: all parts, but no more than the GPU has where what is needed fits.
    pub fn peak(&self) -> Bytes {
        if self.fits { self.total.min(self.capacity) } else { self.total }
    }

    /// The peak in GiB (2³⁰ bytes) a GPU.
    pub fn peak_gib_per_gpu(&self) -> f64 {
        self.peak().gib()
    }
}

/// GPUs whose GDDR6 keeps its error-correcting codes in the memory itself, a sixteenth of it.
const INLINE_ECC: [&str; 5] = ["t4", "a10", "a40", "l4", "l40s"];

/// Memory of a GPU that a process can use, of the capacity it is sold with.
///
/// PyTorch's out-of-memory messages state 79.1 GiB in all on an H100 of 80, 39.5 on an A100 of 40, 23.7 on a 4090 of 24:
/// 1.2 % less; and 14.6 on a T4 of 16, 22.1 on an A10G of 24, 44.4 on an A40 of 48, which correct errors in line.
fn usable(accelerator: &Accelerator) -> Bytes {
    let inline = INLINE_ECC.contains(&accelerator.name.as_str());
    let correction = if inline { 15.0 / 16.0 } else { 1.0 };
    accelerator.hbm() * (0.988 * correction)
}
