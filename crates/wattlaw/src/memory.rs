//! Peak memory of a GPU, part by part at the moment of the peak: weights, gradients, optimizer states, activations,
//! logits, buffers, reserves.
//!
//! # What a layer saves
//!
//! b sequences of s positions, width h, inner width f, a heads; act = bytes per number in a product; res = bytes per
//! number of the residual stream: act in pure half precision (FSDP, Megatron, nanotron) and in 32 bits, 4 under
//! autocast. Tensors that Hugging Face transformers' layers save for the backward pass, in bytes a position:
//!
//! | tensor | BERT, ViT | GPT-2 | GPT-NeoX | OPT | Llama | T5 layer |
//! |---|---|---|---|---|---|---|
//! | norm inputs | 2 res h | 2 res h | res h | 2 res h | 2 (4 + res) h | 2 · 8 h, decoder 3 |
//! | norm statistics | 16 | 16 | 16 | 16 | 8 | 8, decoder 12 |
//! | input of query, key, value¹ | act h | act h | act h | act h | act h | act h |
//! | query, key, value | 3 act h | 3 act h | 5 act h³ | 3 act h | act (q + 2 kv) | 3 act q |
//! | attention core, fused | 4 a | 4 a | 4 a | 4 a | 4 a | 4 a |
//! | attention core, eager² | (2 act + 1) a s⁴ | (2 act + 1) a s | (4 + act) a s | (4 + act) a s | (4 + act) a s | (2 act + 1) a s |
//! | context | act h | act h | 2 act h³ | act h | act q | act q |
//! | dropout masks | 2 h (ViT 0) | 2 h | 0 | 2 h | 0 | 2 h, decoder 3 |
//! | input of the feed-forward block¹ | act h | act h | act h | act h | act h | act h |
//! | feed-forward, inner | 2 act f | 5 act f⁵ | 2 act f | act f | 4 act f | (2 act + 1) f |
//!
//! ¹ Under autocast each projection casts its own input: three copies for separate query, key and value projections,
//! two for gate and up. ² Under autocast every family computes probabilities in 32 bits and reads them in half
//! precision; in 32 bits they are saved once. ³ With eager attention 3 act h and act h. ⁴ ViT has no dropout and computes
//! probabilities in 32 bits: (4 + act) a s. ⁵ Under autocast (12 + 2 act) f. A T5 decoder layer adds cross-attention:
//! input, query, keys and values over the encoder's positions, core, context. A mixture of experts saves the
//! feed-forward part for each visited expert, with the experts' inputs and outputs. Fused recipes save only the input
//! of an RMS norm and two tensors of GPT-2's feed-forward block, which gives Megatron's 34 s b h + 5 a s² b
//! (Korthikanti et al. 2022, equation 1). A test compares the table with tensors saved by PyTorch
//! (`tests/golden/saved_tensors.json`).
//!
//! Tensor parallelism divides the tensors inside its blocks: query, key, value, core, context, inner; with scope `mlp`
//! those of the feed-forward block only. Sequence parallelism divides the others too, except, with PyTorch's
//! recipes, the gathered inputs of projections. Selective checkpointing drops the core, or with torchtitan's recipe what
//! is not a layer's input, a fused attention's output or every second matrix product's; full checkpointing drops
//! everything except the layer's input. Dropped tensors exist for one layer at a time,
//! during its backward pass.
//!
//! # When memory peaks
//!
//! PyTorch's recipe follows a step through its phases, for a loop that clears gradients before the forward pass
//! (`zero_grad(set_to_none=True)`), and takes the largest sum: at the end of the forward pass, in the backward pass of the
//! loss, the output projection, the last layer, the first layer and the embedding, and in the optimizer's step, whose
//! `foreach` kernels copy the second moments once. Accumulated gradients exist from the second micro-batch on. The other
//! recipes count everything at once: their frameworks keep buffers for all gradients. A test compares with peaks
//! counted by PyTorch's own memory tracker (`tests/golden/peak_memory.json`).
//!
//! With LoRA a frozen projection saves no input; an adapter on it saves a cast of the input and its inner activation.

mod activations;
mod advice;
mod logits;
mod part;
mod phase;
mod recipe;
mod run_ahead;
mod saved;
mod states;
mod unsharded;

pub use advice::{Advice, Change};
pub use part::MemoryPart;
use phase::Peak;
pub use phase::PeakPhase;
pub use recipe::{Recipe, RunAhead, SelectiveCheckpointing, Units, Workspaces};

use serde::Serialize;
use statrs::function::erf::erfc_inv;

use crate::base::units::Bytes;
use crate::job::Job;
use crate::job::system::Accelerator;
use crate::stats::inference::Reference;

/// The probability from which a job is said to fit, where the user sets none.
pub const FITS_THRESHOLD: f64 = 0.9;

/// Peak memory of one GPU of a pipeline stage, by part at the moment of the peak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Memory {
    /// Weights, trained and frozen.
    #[serde(rename = "weights_bytes")]
    pub weights: Bytes,
    /// Gradients.
    #[serde(rename = "gradients_bytes")]
    pub gradients: Bytes,
    /// Optimizer states, with separate 32-bit master weights where there are any.
    #[serde(rename = "optimizer_bytes")]
    pub optimizer: Bytes,
    /// Activations saved for the backward pass, of all micro-batches in flight.
    #[serde(rename = "activations_bytes")]
    pub activations: Bytes,
    /// Recomputed activations of one layer, under checkpointing.
    #[serde(rename = "recomputed_bytes")]
    pub recomputed: Bytes,
    /// Logits and their copies in the loss.
    #[serde(rename = "logits_bytes")]
    pub logits: Bytes,
    /// Gathered parameters, gradient buckets and gather buffers.
    #[serde(rename = "communication_bytes")]
    pub communication: Bytes,
    /// Casts of weights, gradients of activations, and copies that the optimizer's step makes.
    #[serde(rename = "temporaries_bytes")]
    pub temporaries: Bytes,
    /// Memory that the caching allocator reserves beyond the activations.
    #[serde(rename = "allocator_bytes")]
    pub allocator: Bytes,
    /// Buffers kept alive because the host queues kernels ahead of the GPU.
    #[serde(rename = "run_ahead_bytes")]
    pub run_ahead: Bytes,
    /// CUDA context and NCCL.
    #[serde(rename = "reserve_bytes")]
    pub reserve: Bytes,
    /// Memory of the host that offloaded states of the GPU take.
    #[serde(rename = "host_bytes")]
    pub host: Bytes,
    /// The phase in which memory peaks.
    pub peak_phase: PeakPhase,
    /// The pipeline stage, from 0.
    pub stage: u64,
    /// Sum of the parts.
    #[serde(rename = "total_bytes")]
    pub total: Bytes,
    /// Memory required even when memory is short: the sum without the reclaimable share of [`Self::run_ahead`].
    #[serde(rename = "needed_bytes")]
    pub needed: Bytes,
    /// GPU memory available to a process, without the reserve where the recipe does not count it.
    #[serde(rename = "capacity_bytes")]
    pub capacity: Bytes,
    /// Whether the required memory is within the capacity.
    pub fits: bool,
    /// Standard deviation of ln(measured / estimated) of the recipe.
    #[serde(skip)]
    pub log_sd: f64,
}

impl Memory {
    /// Estimates the memory of the pipeline stage with the highest peak, with the recipe of the job's framework.
    ///
    /// ```
    /// # use wattlaw::job::catalog::Catalog;
    /// # use wattlaw::job::JobSpec;
    /// # use wattlaw::memory::Memory;
    /// let spec = JobSpec::from_toml("model.name = 'bert-base-uncased'
    /// workload = { steps = 1, seq_len = 128, micro_batch = 32 }
    /// system = { gpu = 't4' }")?;
    /// let memory = Memory::for_job(&spec.resolve(&Catalog::built_in()?)?);
    /// assert!(memory.fits && memory.peak_gib_per_gpu() < 10.0);
    /// # Ok::<(), wattlaw::Error>(())
    /// ```
    pub fn for_job(job: &Job) -> Self {
        Self::with_recipe(job, &Recipe::of(job.workload.framework.framework))
    }

    /// Estimates the memory of the pipeline stage with the highest peak, with a framework's recipe.
    pub fn with_recipe(job: &Job, recipe: &Recipe) -> Self {
        let (a, p) = (&job.architecture, &job.parallelism);
        let first = Self::for_stage(job, 0, recipe);
        let head = p.head_stage(a);
        let has_only_layers = |stage| stage > 0 && stage != head;
        // the first has an embedding besides, and the most micro-batches in flight
        let first_layers = p.stage_layers(a, 0);
        let is_within_the_first =
            |stage| has_only_layers(stage) && p.stage_layers(a, stage) <= first_layers;
        // of stages with equal layers and nothing else, the first has the most micro-batches in flight
        let is_like_the_one_before = |stage: u64| {
            has_only_layers(stage)
                && has_only_layers(stage - 1)
                && p.stage_layers(a, stage) == p.stage_layers(a, stage - 1)
        };
        let others = (1..p.pp)
            .filter(|stage| !is_within_the_first(*stage) && !is_like_the_one_before(*stage));
        others.fold(first, |most, stage| {
            let memory = Self::for_stage(job, stage, recipe);
            if memory.total > most.total { memory } else { most }
        })
    }

    /// Estimates the memory of pipeline stage `stage` (from 0; clamped to the last one).
    pub fn for_stage(job: &Job, stage: u64, recipe: &Recipe) -> Self {
        let stage = stage.min(job.parallelism.pp - 1);
        let Peak { moment, cached, host } = phase::highest(job, stage, recipe);
        let outside = recipe.outside(job);
        let usable = usable(&job.system.accelerator);
        let (reserve, capacity) =
            if recipe.counts_reserve { (outside, usable) } else { (Bytes::ZERO, usable - outside) };
        let run_ahead = run_ahead::bytes(job, stage, recipe);
        let mut memory = Self {
            weights: moment.weights,
            gradients: moment.gradients,
            optimizer: moment.optimizer,
            activations: moment.activations,
            recomputed: moment.recomputed,
            logits: moment.logits,
            communication: moment.communication,
            temporaries: moment.temporaries,
            allocator: cached,
            run_ahead,
            reserve,
            host,
            peak_phase: moment.phase,
            stage,
            total: Bytes::ZERO,
            needed: Bytes::ZERO,
            capacity,
            fits: false,
            log_sd: recipe.log_sd,
        };
        memory.total = memory.parts().map(|(_, bytes)| bytes).sum();
        let lasting = recipe.run_ahead.map_or(1.0, |ahead| ahead.lasting);
        memory.needed = memory.total - run_ahead * (1.0 - lasting);
        if recipe.by_phase {
            memory.needed = memory.needed - cached;
        }
        memory.fits = memory.needed <= capacity;
        memory
    }

    /// The parts, in the order of a table.
    pub fn parts(&self) -> impl Iterator<Item = (MemoryPart, Bytes)> {
        MemoryPart::ALL.into_iter().map(|part| (part, self.part(part)))
    }

    /// The largest part.
    pub fn largest_part(&self) -> (MemoryPart, Bytes) {
        let weights = (MemoryPart::Weights, self.weights);
        self.parts().fold(weights, |most, part| if part.1 > most.1 { part } else { most })
    }

    /// The probability that the job fits: that of an error of the recipe below the room that is left,
    /// Φ(ln(capacity / needed) / σ).
    pub fn fits_probability(&self) -> f64 {
        Reference::Normal.cumulative((self.capacity / self.needed).ln() / self.log_sd)
    }

    /// The capacity at which the job fits with a probability between 0 and 1: needed · exp(σ Φ⁻¹(p)), the inverse of
    /// [`Self::fits_probability`].
    pub fn capacity_for(&self, probability: f64) -> Bytes {
        // Φ⁻¹(p) = √2 erfc⁻¹(2 (1 − p))
        let quantile = std::f64::consts::SQRT_2 * erfc_inv(2.0 * (1.0 - probability));
        self.needed * (self.log_sd * quantile).exp()
    }

    /// The peak: the sum of the parts; where that is more than there is, and what can be given back suffices, between what
    /// is needed and the capacity.
    pub fn peak(&self) -> Bytes {
        if self.total <= self.capacity {
            self.total
        } else if self.fits {
            (self.needed + self.capacity) * 0.5
        } else {
            self.needed
        }
    }

    /// The peak in GiB (2³⁰ bytes) a GPU.
    pub fn peak_gib_per_gpu(&self) -> f64 {
        self.peak().gib()
    }
}

/// GPU memory available to a process, from the nominal capacity.
///
/// PyTorch's out-of-memory messages state 79.1 GiB in all on an H100 of 80, 39.5 on an A100 of 40, 23.7 on a 4090 of
/// 24: 1.2 % less; and 14.6 on a T4 of 16, 22.1 on an A10G of 24, 44.4 on an A40 of 48, which have inline ECC.
fn usable(accelerator: &Accelerator) -> Bytes {
    let correction = if accelerator.inline_ecc { 15.0 / 16.0 } else { 1.0 };
    accelerator.hbm() * (0.988 * correction)
}

#[cfg(test)]
mod tests {
    use super::activations::{in_flight, layer};
    use super::saved::Stack;
    use super::*;
    use crate::base::units::BYTES_PER_GIB;
    use crate::job::JobSpec;
    use crate::job::catalog::Catalog;
    use crate::job::parallelism::{ContextExchange, DataParallel, Schedule};
    use crate::job::workload::{AttentionKernel, Checkpointing, Precision};

    fn job(toml: &str) -> Job {
        JobSpec::from_toml(toml).unwrap().resolve(&Catalog::built_in().unwrap()).unwrap()
    }

    /// A GPT of the Megatron papers: without biases, since their formula 12 L h² has none.
    fn megatron(layers: u64, h: u64, heads: u64, batch: u64, pp: u64, chunks: u64) -> Job {
        let mut job = job(&format!(
            "model = {{ family = 'gpt2', layers = {layers}, hidden_size = {h}, heads = {heads}, vocab_size = 51200,
                       max_positions = 2048, qkv_bias = false, attention_output_bias = false, ffn_bias = false }}
             workload = {{ steps = 1, seq_len = 2048, micro_batch = {batch}, grad_accum = {}, attention = 'eager',
                           precision = 'fp16' }}
             parallelism = {{ tp = 8, pp = {pp} }}
             system = {{ gpu = 'a100-sxm4-80gb', gpus = {} }}",
            4 * pp,
            8 * pp
        ));
        if chunks > 1 {
            job.parallelism.schedule = Schedule::Interleaved;
            job.parallelism.virtual_stages = chunks;
        }
        job
    }

    /// Bytes of the layers' activations on the first stage, which holds all layers' worth of micro-batches.
    fn first_stage(job: &Job) -> f64 {
        let per_layer = layer(job, Stack::Main, &Recipe::MEGATRON).kept;
        let layers = job.architecture.layers as f64 / job.parallelism.pp as f64;
        per_layer * layers * in_flight(job, 0)
    }

    /// ZeRO-Offload's accounting (Ren et al. 2021, table 1): 2 B of weights a parameter stay on the GPU; 2 B of gradients and 12 B of
    /// states go to the host, shared by the ranks. Parameters go there too, and nothing of the states stays.
    #[test]
    fn offloaded_states_are_in_the_memory_of_the_host() {
        let of = |offload: &str, strategy: &str, gpus: u64| {
            let job = job(&format!(
                "model = {{ family = 'llama', layers = 2, hidden_size = 64, heads = 4, ffn_size = 12, vocab_size = 16 }}
                 workload = {{ steps = 1, seq_len = 8, micro_batch = 1, precision = 'bf16', framework = 'deepspeed',
                               offload = '{offload}' }}
                 parallelism.strategy = '{strategy}'
                 system = {{ gpu = 'a100-sxm4-80gb', gpus = {gpus} }}"
            ));
            let memory = Memory::for_job(&job);
            [memory.weights, memory.gradients, memory.optimizer, memory.host].map(Bytes::value)
        };
        let weights = f64::from(2 * (4 * 64 * 64 + 3 * 64 * 12 + 2 * 64) + 64 + 2 * 16 * 64);
        assert_eq!(of("optimizer", "single", 1), [2.0, 0.0, 0.0, 14.0].map(|of| of * weights));
        assert_eq!(of("optimizer", "zero2", 2), [2.0, 0.0, 0.0, 7.0].map(|of| of * weights));
        // whole gradients are summed first
        assert_eq!(of("optimizer", "zero1", 2), [2.0, 2.0, 0.0, 6.0].map(|of| of * weights));
        assert_eq!(of("parameters", "fsdp", 2), [0.0, 0.0, 0.0, 8.0].map(|of| of * weights));
        assert_eq!(of("none", "zero2", 2), [2.0, 1.0, 6.0, 0.0].map(|of| of * weights));
    }

    /// Three of four layers are frozen: their activations are not kept, and their weights have neither gradients nor states.
    #[test]
    fn frozen_layers_keep_weights_alone() {
        let of = |frozen: u64| {
            let text = format!(
                "model = {{ family = 'llama', layers = 4, hidden_size = 64, heads = 4, ffn_size = 12, vocab_size = 128 }}
                 workload = {{ steps = 1, seq_len = 8, micro_batch = 1, precision = 'bf16', framework = 'megatron',
                               frozen_layers = {frozen} }}
                 system = {{ gpu = 'a100-sxm4-80gb' }}"
            );
            let job = job(&text);
            let kept = super::activations::count(&job, 0, &Recipe::MEGATRON);
            let memory = Memory::for_job(&job);
            (kept.layers, memory.weights, memory.optimizer.value(), memory.gradients.value())
        };
        let (all, weights, ..) = of(0);
        let (kept, same, optimizer, gradients) = of(3);
        assert_eq!((kept * 4.0, same), (all, weights));
        // one layer, the final norm and the output projection
        let trained = f64::from(4 * 64 * 64 + 3 * 64 * 12 + 2 * 64 + 64 + 128 * 64);
        assert_eq!((optimizer, gradients), (12.0 * trained, 4.0 * trained));
    }

    /// Two context-parallel ranks have each half of a layer's activations. A ring holds two blocks of keys and values of half the
    /// sequence and their gradients; gathered, those of all 2,048 positions: 4 sequences, 2 · 6144 / 8 numbers of 2 B.
    #[test]
    fn context_parallel_ranks_hold_a_part_of_the_activations() {
        let alone = megatron(48, 6144, 64, 4, 1, 1);
        let mut ring = alone.clone();
        (ring.parallelism.cp, ring.system.gpus) = (2, 16);
        let mut gathered = ring.clone();
        gathered.parallelism.context_exchange = ContextExchange::AllGather;
        assert_eq!(first_stage(&ring), first_stage(&alone) / 2.0);
        let [alone, ring, gathered] =
            [alone, ring, gathered].map(|job| Memory::with_recipe(&job, &Recipe::MEGATRON));
        assert_eq!(ring.logits, alone.logits * 0.5);
        let whole = 4.0 * 2048.0 * (2.0 * 6144.0 / 8.0) * 2.0;
        assert_eq!((ring.communication - alone.communication).value(), 2.0 * whole);
        assert_eq!((gathered.communication - alone.communication).value(), 2.0 * whole);
    }

    /// A Llama of 2 layers: 2 (4 · 64² + 3 · 64 · 12 + 2 · 64) + 64 weights and a vocabulary of 2 · 16 · 64.
    #[test]
    fn a_reference_model_is_a_second_copy_of_the_weights() {
        let of = |workload: &str, strategy: &str| {
            let job = job(&format!(
                "model = {{ family = 'llama', layers = 2, hidden_size = 64, heads = 4, ffn_size = 12, vocab_size = 16 }}
                 workload = {{ steps = 1, seq_len = 8, precision = 'bf16', framework = 'pytorch', {workload} }}
                 parallelism.strategy = '{strategy}'
                 system = {{ gpu = 'a100-sxm4-80gb', gpus = 2 }}"
            ));
            Memory::for_job(&job)
        };
        let weights = f64::from(2 * (4 * 64 * 64 + 3 * 64 * 12 + 2 * 64) + 64 + 2 * 16 * 64);
        for (strategy, ranks) in [("ddp", 1.0), ("fsdp", 2.0)] {
            let plain = of("micro_batch = 4", strategy);
            let pairs = of("micro_batch = 2, objective = 'dpo'", strategy);
            assert_eq!(
                (pairs.weights - plain.weights).value(),
                4.0 * weights / ranks,
                "{strategy}"
            );
            assert_eq!(pairs.optimizer, plain.optimizer);
        }
        // below adapters the base is the reference
        let lora = |more: &str| of(&format!("{more}, lora = {{ rank = 4 }}"), "ddp");
        let [plain, pairs] = [lora("micro_batch = 4"), lora("micro_batch = 2, objective = 'dpo'")];
        assert_eq!(pairs.weights, plain.weights);
    }

    fn set(job: &Job, checkpointing: Checkpointing, sequence_parallel: bool) -> Job {
        let mut job = job.clone();
        job.workload.checkpointing = checkpointing;
        job.parallelism.sequence_parallel = sequence_parallel;
        job
    }

    /// Korthikanti et al. 2022, table 3 and figures 1 and 7: the four models with tp 8.
    #[test]
    fn activations_of_the_megatron_models_are_the_published_ones() {
        use Checkpointing::{Full, None, Selective};
        let models = [
            // layers, hidden, heads, batch, pp, chunks, GiB: weights and states, all kept, both measures; percent
            (48, 6144, 64, 4, 1, 1, 45.56, 59.25, 9.56, [66.84, 49.42, 16.18, 7.64]),
            (96, 12288, 96, 1, 8, 3, 45.56, 66.84, 12.35, [62.04, 56.53, 18.49, 8.71]),
            (105, 20480, 128, 1, 35, 3, 31.64, 114.02, 23.08, [58.31, 62.04, 20.27, 9.42]),
            (128, 25600, 160, 1, 64, 1, 32.96, 131.25, 26.56, [58.31, 62.04, 20.27, 9.42]),
        ];
        for (layers, h, heads, batch, pp, chunks, states, all, least, percent) in models {
            let job = megatron(layers, h, heads, batch, pp, chunks);
            // norm weights and statistics, which the paper's formulas leave out, come to less than 0.02 %
            let near = |found: f64, stated: f64| (found - stated).abs() < 0.005 + 2e-4 * stated;
            let projections = job.architecture.parameters().attention_per_layer
                + job.architecture.parameters().ffn_per_layer;
            let held = (projections * layers) as f64 / (8 * pp) as f64;
            assert!(near(18.0 * held / BYTES_PER_GIB, states), "{layers}: {held}");
            let gib = |c, sp| first_stage(&set(&job, c, sp)) / BYTES_PER_GIB;
            assert!(near(gib(None, false), all), "{layers}: {}", gib(None, false));
            assert!(near(gib(Selective, true), least), "{layers}: {}", gib(Selective, true));
            let share = |c, sp| 100.0 * gib(c, sp) / gib(None, false);
            // the percentages are read off figures
            let found = [
                share(None, true),
                share(Selective, false),
                share(Selective, true),
                share(Full, false),
            ];
            for (found, stated) in found.into_iter().zip(percent) {
                assert!((found - stated).abs() < 0.15, "{layers}: {found} for {stated}");
            }
        }
    }

    /// Rajbhandari et al. 2020, figure 1: 7.5 billion parameters on 64 GPUs, in GB a GPU.
    #[test]
    fn model_states_are_those_of_the_zero_paper() {
        let mut job = job("model = { family = 'gpt2', layers = 36, hidden_size = 4096 }
             workload = { steps = 1, seq_len = 1024, micro_batch = 1, precision = 'fp16' }
             parallelism = { strategy = 'ddp' }
             system = { gpu = 'v100-sxm2-32gb', gpus = 64, gpus_per_node = 16 }");
        // the final norm belongs to no layer and is not counted
        let parameters = job.architecture.parameters().total as f64;
        for (data, bytes, stated_gb) in [
            (DataParallel::Ddp, 16.0, 120.0),
            (DataParallel::Zero1, 4.0 + 12.0 / 64.0, 31.4),
            (DataParallel::Zero2, 2.0 + 14.0 / 64.0, 16.6),
            (DataParallel::Fsdp, 16.0 / 64.0, 1.88),
        ] {
            job.parallelism.data = data;
            job.parallelism.shard_group = if data.shards_optimizer() { 64 } else { 1 };
            let memory = Memory::with_recipe(&job, &Recipe::DEEPSPEED);
            let states = memory.weights + memory.gradients + memory.optimizer;
            approx::assert_relative_eq!(states.value(), bytes * parameters, max_relative = 2e-6);
            approx::assert_relative_eq!(bytes * 7.5, stated_gb, max_relative = 3e-3);
        }
    }

    #[test]
    fn a_bert_on_one_gpu_is_the_sum_by_hand() {
        let job = job("model.name = 'bert-base-uncased'
             workload = { steps = 1, seq_len = 128, micro_batch = 32, precision = 'fp32' }
             system = { gpu = 'a100-sxm4-40gb' }");
        let memory = Memory::for_job(&job);
        let parameters = job.architecture.parameters_for(job.workload.task).total as f64;
        assert_eq!(memory.weights.value(), 4.0 * parameters);
        assert_eq!(memory.optimizer.value(), 8.0 * parameters);
        let (positions, h) = (32.0 * 128.0, 768.0);
        // eight tensors of the width, two of four times it, two masks, norm statistics, softmax scales
        let layers = 12.0 * positions * ((8.0 + 8.0) * 4.0 * h + 2.0 * h + 16.0 + 4.0 * 12.0);
        let embedding = positions * (4.0 * h + 8.0 + h);
        let head = positions * (4.0 * 4.0 * h + 8.0);
        assert_eq!(memory.activations.value(), layers + embedding + head);
        assert_eq!(memory.logits.value(), positions * 30_522.0 * 16.0);
        assert!(memory.fits);
    }

    #[test]
    fn only_adapters_take_gradients_and_states() {
        let text = "model.name = 'llama-2-7b'
             workload = { steps = 1, seq_len = 512, micro_batch = 1, grad_accum = 2, lora = { rank = 8 } }
             system = { gpu = 'a100-sxm4-80gb' }";
        let memory = Memory::for_job(&job(text));
        // query and value projections of 32 layers, rank 8 times twice the width 4096 each
        let adapters = 32.0 * 2.0 * 8.0 * 8192.0;
        assert_eq!(memory.gradients.value(), 4.0 * adapters);
        assert_eq!(memory.optimizer.value(), 8.0 * adapters);
        assert_eq!(memory.weights.value(), 2.0 * 6_738_415_616.0 + 4.0 * adapters);
        assert!(memory.fits);
    }

    /// Llama 2 7B has 32 layers of 4 · 4096² + 3 · 4096 · 11008 weights in projections; embedding, head and norms are the
    /// rest.
    #[test]
    fn quantized_projections_take_the_bytes_of_their_format() {
        let weights = |format: &str| {
            let text = format!(
                "model.name = 'llama-2-7b'
                 workload = {{ steps = 1, seq_len = 512, micro_batch = 1, lora = {{ rank = 8 }}, quantization = '{format}' }}
                 system = {{ gpu = 'a100-sxm4-80gb' }}"
            );
            Memory::for_job(&job(&text)).weights.value()
        };
        let adapters = 4.0 * 32.0 * 2.0 * 8.0 * 8192.0;
        let projections = 32.0 * (4.0 * 4096.0 * 4096.0 + 3.0 * 4096.0 * 11008.0);
        let others = 2.0 * (6_738_415_616.0 - projections);
        for (format, bytes) in [
            ("none", 2.0),
            ("nf4", 0.5 + 1.0 / 64.0 + 4.0 / (64.0 * 256.0)),
            ("gptq", 0.5 + 2.5 / 128.0),
            ("int8", 1.0 + 4.0 / 4096.0),
            ("fp8", 1.0),
        ] {
            assert_eq!(weights(format), adapters + others + bytes * projections, "{format}");
        }
    }

    /// A layer of width 64 and feed-forward 12 saves for 8 positions in 8 bits, not 16: the inputs of query, key and value, of gate
    /// and up, and of the projection back; the output projection's input beside what attention saves. Of each weight there are
    /// two copies in 8 bits. A framework that saves the 16-bit inputs has neither.
    #[test]
    fn linear_layers_in_8_bits_save_their_inputs_so() {
        let of = |precision: &str, framework: &str| {
            let text = format!(
                "model = {{ family = 'llama', layers = 2, hidden_size = 64, heads = 4, ffn_size = 12, vocab_size = 128 }}
                 workload = {{ steps = 1, seq_len = 8, micro_batch = 1, precision = '{precision}', framework = '{framework}' }}
                 system = {{ gpu = 'h100' }}"
            );
            let memory = Memory::for_job(&job(&text));
            [memory.activations, memory.temporaries].map(Bytes::value)
        };
        let [bf16, fp8] = ["bf16", "fp8"].map(|precision| of(precision, "megatron"));
        assert_eq!(bf16[0] - fp8[0], 2.0 * 8.0 * (2.0 * 64.0 + 12.0 - 64.0));
        assert_eq!(fp8[1] - bf16[1], 2.0 * 2.0 * (4.0 * 64.0 * 64.0 + 3.0 * 64.0 * 12.0));
        assert_eq!(of("bf16", "fsdp2"), of("fp8", "fsdp2"));
    }

    /// Weights, gradients and AdamW's moments of all stacks are held at once, 4, 4 and 8 B a parameter, and at the end of the
    /// forward pass the activations of all.
    #[test]
    fn stacks_of_a_model_are_held_together() {
        for model in
            ["swin-tiny-patch4-window7-224", "clip-vit-base-patch32", "siglip-base-patch16-224"]
        {
            let job = job(&format!(
                "model.name = '{model}'
                 workload = {{ steps = 1, micro_batch = 4, precision = 'fp32' }}
                 system = {{ gpu = 'a100-sxm4-80gb' }}"
            ));
            let parameters = job.architecture.parameters_for(job.workload.task).total as f64;
            let at_once = Recipe { by_phase: false, ..Recipe::PYTORCH };
            let all = Memory::with_recipe(&job, &at_once);
            for (held, bytes) in [(all.weights, 4.0), (all.gradients, 4.0), (all.optimizer, 8.0)] {
                assert_eq!(held.value(), bytes * parameters, "{model}");
            }
            let by_phase = Memory::with_recipe(&job, &Recipe::PYTORCH);
            assert_eq!(by_phase.weights, all.weights);
            let alone: Vec<Memory> = (job.stacks().iter())
                .map(|stack| Memory::with_recipe(stack, &Recipe::PYTORCH))
                .collect();
            let most = alone.iter().map(|stack| stack.total.value()).fold(0.0, f64::max);
            let sum: f64 = alone.iter().map(|stack| stack.total.value()).sum();
            assert!((most..=sum).contains(&by_phase.total.value()), "{model}");
        }
    }

    #[test]
    fn the_worst_stage_decides() {
        let job = job("model.name = 'gpt2'
             workload = { steps = 1, seq_len = 1024, micro_batch = 8, grad_accum = 8 }
             parallelism = { pp = 4 }
             system = { gpu = 'a100-sxm4-40gb', gpus = 4 }");
        let worst = Memory::with_recipe(&job, &Recipe::PYTORCH);
        let stages: Vec<Memory> =
            (0..4).map(|stage| Memory::for_stage(&job, stage, &Recipe::PYTORCH)).collect();
        assert!(stages.iter().all(|stage| stage.total <= worst.total));
        assert_eq!((stages[0].logits, worst), (Bytes::ZERO, stages[worst.stage as usize]));
        let flight: Vec<f64> = (0..4).map(|stage| in_flight(&job, stage)).collect();
        assert_eq!(flight, [4.0, 3.0, 2.0, 1.0]);
    }

    #[test]
    fn advice_was_tried_and_fits() {
        let mut job = job("model.name = 'bert-large-uncased'
             workload = { steps = 1, seq_len = 512, micro_batch = 64, attention = 'eager' }
             system = { gpu = 'a100-sxm4-40gb' }");
        assert!(!Memory::for_job(&job).fits);
        let advice = Memory::advice(&job, &Recipe::PYTORCH);
        let sentences: Vec<String> = advice.iter().map(ToString::to_string).collect();
        let smaller = "use micro_batch 16 with grad_accum 4: ";
        assert!(sentences.iter().any(|s| s.starts_with(smaller)), "{sentences:?}");
        assert!(advice.iter().all(|a| a.peak <= a.capacity));
        (job.workload.micro_batch, job.workload.grad_accum) = (16, 4);
        let tried = advice.iter().find(|a| a.to_string().starts_with(smaller)).unwrap();
        assert_eq!(tried.peak, Memory::for_job(&job).peak());
        assert!(Memory::advice(&job, &Recipe::PYTORCH).is_empty());
    }

    #[test]
    fn changes_are_taken_together_where_none_suffices() {
        let mut job = job("model.name = 'llama-2-7b'
             workload = { steps = 1, seq_len = 4096, micro_batch = 8 }
             parallelism = { strategy = 'ddp' }
             system = { gpu = 'v100-sxm2-32gb', gpus = 8 }");
        assert_eq!(job.workload.precision, Precision::Fp16);
        let advice = Memory::advice(&job, &Recipe::PYTORCH);
        assert_eq!(advice.len(), 1, "{advice:?}");
        assert!(advice[0].changes.len() > 1);
        job.workload.attention = AttentionKernel::Eager;
        let eager = Memory::advice(&job, &Recipe::PYTORCH);
        assert_eq!(eager[0].changes[0], Change::FlashAttention);
    }

    #[test]
    fn usable_memory_is_what_pytorch_reports() {
        let catalog = Catalog::built_in().unwrap();
        for (gpu, stated) in
            [("h100-sxm5-80gb", 79.1), ("a100-sxm4-40gb", 39.5), ("rtx-4090", 23.7), ("a40", 44.4)]
        {
            let found = usable(catalog.accelerator(gpu).unwrap()).gib();
            assert!((found / stated - 1.0).abs() < 0.003, "{gpu}: {found}");
        }
    }

    /// A loop that clears its gradients before the forward pass has none where activations are most; with accumulation
    /// those of the micro-batches before are there.
    #[test]
    fn gradients_are_gone_at_the_peak_of_activations() {
        let memory = |grad_accum: u64| {
            Memory::for_job(&job(&format!(
                "model.name = 'bert-base-uncased'
                 workload = {{ steps = 1, seq_len = 128, micro_batch = 32, grad_accum = {grad_accum} }}
                 system = {{ gpu = 'a100-sxm4-40gb' }}"
            )))
        };
        let (once, twice) = (memory(1), memory(2));
        assert_eq!((once.peak_phase, twice.peak_phase), (PeakPhase::Backward, PeakPhase::Backward));
        assert_eq!(once.gradients, Bytes::ZERO);
        assert_eq!(twice.gradients, twice.weights);
        assert_eq!(twice.activations, once.activations);
    }

    /// With few activations the `foreach` update decides: weight, gradient, two moments and the root of the second.
    /// A fused update copies nothing, so that the last gradients of the backward pass decide.
    #[test]
    fn the_update_decides_where_activations_are_few() {
        let job =
            job("model = { family = 'llama', layers = 4, hidden_size = 4096, vocab_size = 32000 }
             workload = { steps = 1, seq_len = 128, micro_batch = 1, precision = 'fp32' }
             system = { gpu = 'h100-sxm5-80gb' }");
        let parameters = job.architecture.parameters().total as f64;
        let memory = Memory::for_job(&job);
        assert_eq!(memory.peak_phase, PeakPhase::Optimizer);
        assert_eq!(memory.temporaries.value(), 4.0 * parameters);
        let tensors = memory.needed - memory.reserve - memory.logits;
        assert_eq!(tensors.value(), 20.0 * parameters);
        let fused = Memory::with_recipe(&job, &Recipe::FSDP2);
        assert_eq!(fused.peak_phase, PeakPhase::Backward);
        assert!(fused.total < memory.total);
    }

    /// Query and value adapters of rank 8 on a Llama layer save their two inputs of width h; the frozen projections save
    /// none of the inputs of width h, h and f that trained ones save, and the norms only their 32-bit inputs.
    #[test]
    fn frozen_projections_save_no_inputs() {
        let layer = |lora: &str| {
            let job = job(&format!(
                "model.name = 'llama-2-7b'
                 workload = {{ steps = 1, seq_len = 512, micro_batch = 1, state_precision = 'bf16'{lora} }}
                 system = {{ gpu = 'a100-sxm4-80gb' }}"
            ));
            layer(&job, Stack::Main, &Recipe::PYTORCH).kept / 512.0
        };
        let (h, f) = (4096.0, 11_008.0);
        let frozen = layer(", lora = { rank = 8 }");
        // inputs of attention, feed-forward block and the projection back, and two scaled norm inputs, of 2 bytes each
        assert_eq!(layer("") - frozen, 2.0 * (4.0 * h + f) - 2.0 * 2.0 * (h + 8.0));
    }

    /// Weights, gradients and two moments of AdamW in 2 bytes each, without the casts of autocast.
    #[test]
    fn states_in_bfloat16_take_eight_bytes_a_parameter() {
        let memory = |states: &str| {
            let job = job(&format!(
                "model.name = 'gpt2'
                 workload = {{ steps = 1, seq_len = 1024, micro_batch = 1, grad_accum = 2,
                               state_precision = '{states}' }}
                 system = {{ gpu = 'a100-sxm4-80gb' }}"
            ));
            let parameters = job.architecture.parameters().total as f64;
            let memory = Memory::for_job(&job);
            [memory.weights, memory.gradients, memory.optimizer]
                .map(|part| part.value() / parameters)
        };
        assert_eq!(memory("bf16"), [2.0, 2.0, 4.0]);
        assert_eq!(memory("fp32"), [4.0, 4.0, 8.0]);
    }
}
