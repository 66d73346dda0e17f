//! The workload: amount of training, batches, precision, optimizer.

mod batch;
mod spec;
mod stack;

pub use spec::WorkloadSpec;
pub use stack::{Framework, Program, Stack};

use serde::{Deserialize, Serialize};

use crate::base::amount::Count;
use crate::base::words::words;
use crate::job::task::Task;

/// The number format of matrix products; master weights and reductions stay in FP32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32-bit floating point throughout.
    Fp32,
    /// 32-bit storage, products rounded to TensorFloat-32.
    Tf32,
    /// Mixed precision with 16-bit floats and a loss scaler.
    Fp16,
    /// Mixed precision with bfloat16.
    Bf16,
    /// Products in 8-bit floats, activations and weights kept in bfloat16.
    Fp8,
}

words!(Precision, "precision": Fp32 = "fp32" | "float32", Tf32 = "tf32", Fp16 = "fp16" | "float16" | "half",
    Bf16 = "bf16" | "bfloat16", Fp8 = "fp8");

impl Precision {
    /// Bytes of one stored activation or computing weight.
    pub const fn bytes(self) -> f64 {
        match self {
            Self::Fp32 | Self::Tf32 => 4.0,
            Self::Fp16 | Self::Bf16 | Self::Fp8 => 2.0,
        }
    }

    /// Whether there is a 32-bit master copy of the weights besides the working copy.
    pub const fn mixed(self) -> bool {
        matches!(self, Self::Fp16 | Self::Bf16 | Self::Fp8)
    }
}

/// The optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Optimizer {
    /// Adam with decoupled weight decay: two 32-bit moments a parameter.
    AdamW,
    /// Stochastic gradient descent with one 32-bit momentum a parameter.
    Sgd,
    /// Adafactor: row and column factors of the second moment, almost no bytes per parameter.
    Adafactor,
    /// Adam with moments quantised to 8 bits.
    Adam8bit,
    /// [`Self::AdamW`] with states in managed memory, which the driver may move to the host; the moves are not counted.
    PagedAdamW,
    /// [`Self::Adam8bit`] likewise.
    PagedAdam8bit,
    /// Lion: one momentum a parameter (Chen et al. 2023).
    Lion,
    /// LAMB: Adam's moments, and a step scaled by the norms of each tensor and its update (You et al. 2020).
    Lamb,
    /// Muon: one momentum a weight of the layers' matrices, orthogonalized before each update; embeddings, head, norms
    /// and biases by AdamW (Jordan et al. 2024; `torch.optim.Muon`).
    Muon,
}

words!(Optimizer, "optimizer": AdamW = "adamw" | "adam", Sgd = "sgd", Adafactor = "adafactor",
    Adam8bit = "adam8bit" | "adamw8bit" | "adam-8bit" | "adamw-8bit",
    PagedAdamW = "paged-adamw" | "paged-adamw-32bit", PagedAdam8bit = "paged-adam8bit" | "paged-adamw-8bit",
    Lion = "lion" | "lion-32bit", Lamb = "lamb", Muon = "muon");

impl Optimizer {
    /// Bytes of optimizer state a parameter, without the master copy of the weights; moments in 16 bits take half,
    /// quantized ones stay as they are. Of Muon, of a weight of a matrix.
    ///
    /// Source: the optimizers' papers (Loshchilov and Hutter 2019; Shazeer and Stern 2018, whose factors are
    /// O(rows + columns); Dettmers et al. 2022, block size 2048 with one 32-bit scale a block).
    pub(crate) const fn state_bytes(self, precision: StatePrecision) -> f64 {
        match self {
            Self::AdamW | Self::PagedAdamW | Self::Lamb => 2.0 * precision.bytes(),
            Self::Sgd | Self::Lion | Self::Muon => precision.bytes(),
            Self::Adafactor => 0.005 * precision.bytes(),
            Self::Adam8bit | Self::PagedAdam8bit => 2.0 + 2.0 * 4.0 / 2048.0,
        }
    }

    /// Numbers a parameter that the update moves beside gradient, weight and states, and its fused kernels.
    ///
    /// LAMB writes its update, reads it and the weight for their norms, and reads both again to scale the step; it has one kernel
    /// for the update, two for the norms and one for the step (NVIDIA apex, `multi_tensor_lamb.cu`).
    pub(crate) const fn extra_numbers_and_kernels(self) -> (f64, f64) {
        match self {
            Self::Lamb => (5.0, 4.0),
            Self::AdamW
            | Self::PagedAdamW
            | Self::Sgd
            | Self::Adafactor
            | Self::Adam8bit
            | Self::PagedAdam8bit
            | Self::Lion
            | Self::Muon => (0.0, 1.0),
        }
    }
}

/// Which activations are dropped in the forward pass and recomputed in the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Checkpointing {
    /// All are kept.
    None,
    /// The attention core is computed again (Korthikanti et al. 2022).
    Selective,
    /// Only each layer's input is kept and the whole layer is computed again.
    Full,
}

words!(Checkpointing, "activation checkpointing": None = "none", Selective = "selective", Full = "full");

/// The kernel of the attention core; it changes memory and traffic, not the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttentionKernel {
    /// Fused (FlashAttention and similar): scores are not written to memory.
    Flash,
    /// One kernel a step, scores written to and read from memory.
    Eager,
}

words!(AttentionKernel, "attention kernel": Flash = "flash" | "sdpa" | "fused", Eager = "eager");

/// The number format of the weights that the optimizer updates, and of its states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatePrecision {
    /// 32-bit master weights and moments, as mixed precision keeps them.
    Fp32,
    /// Weights, gradients and moments in bfloat16, without a 32-bit copy.
    Bf16,
}

words!(StatePrecision, "state precision": Fp32 = "fp32" | "float32", Bf16 = "bf16" | "bfloat16");

impl StatePrecision {
    /// Bytes of an updated weight, and of a moment that is not quantized.
    pub const fn bytes(self) -> f64 {
        match self {
            Self::Fp32 => 4.0,
            Self::Bf16 => 2.0,
        }
    }
}

/// The format in which frozen weights below adapters are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantization {
    /// As they are computed with.
    None,
    /// 4-bit NormalFloat (QLoRA; Dettmers et al. 2023).
    Nf4,
    /// 4-bit GPTQ (Frantar et al. 2022).
    Gptq,
    /// 8-bit integers (LLM.int8(); Dettmers et al. 2022).
    Int8,
    /// 8-bit floats.
    Fp8,
}

words!(Quantization, "quantization": None = "none", Nf4 = "nf4" | "4bit" | "bnb-4bit", Gptq = "gptq",
    Int8 = "int8" | "8bit", Fp8 = "fp8");

impl Quantization {
    /// Bytes of one stored weight of a projection with `inner` inputs, scales included; `None` where weights are stored
    /// as they are computed with.
    ///
    /// NF4 has an 8-bit constant a block of 64 weights and a 32-bit one a group of 256 of those (double quantization;
    /// Dettmers et al. 2023, arXiv 2305.14314, section 3). GPTQ has a 16-bit scale and a 4-bit zero a group of 128
    /// (AutoGPTQ's usual group). 8-bit integers have a 32-bit scale an output (LLM.int8(); Dettmers et al. 2022, arXiv
    /// 2208.07339). 8-bit floats have one scale a tensor, which is not counted.
    pub(crate) fn stored_bytes(self, inner: f64) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Nf4 => Some(0.5 + (1.0 + 4.0 / 256.0) / 64.0),
            Self::Gptq => Some(0.5 + (2.0 + 0.5) / 128.0),
            Self::Int8 => Some(1.0 + 4.0 / inner),
            Self::Fp8 => Some(1.0),
        }
    }

    /// Kernels that dequantize one projection: NF4's constants are dequantized and shifted before the weights
    /// (bitsandbytes, `functional.py`, `dequantize_4bit`).
    pub(crate) const fn dequantization_kernels(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Nf4 => 3.0,
            Self::Gptq | Self::Int8 | Self::Fp8 => 1.0,
        }
    }
}

/// What of a training is kept in the memory of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Offload {
    /// Nothing.
    None,
    /// The optimizer's states, which the host's CPUs update (Ren et al. 2021, ZeRO-Offload).
    Optimizer,
    /// The parameters too, which each unit fetches before it computes (ZeRO's `offload_param`, FSDP's `CPUOffloadPolicy`).
    Parameters,
}

words!(Offload, "offload": None = "none", Optimizer = "optimizer", Parameters = "parameters" | "params");

/// What the training makes the model do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TrainingObjective {
    /// Predict the data.
    Likelihood,
    /// Prefer one sequence of each pair to the other, against a frozen copy of the model (Rafailov et al. 2023, DPO).
    Dpo,
}

words!(TrainingObjective, "training objective": Likelihood = "likelihood" | "sft" | "pretraining", Dpo = "dpo");

impl TrainingObjective {
    /// Sequences of one example.
    pub const fn sequences_per_example(self) -> u64 {
        match self {
            Self::Likelihood => 1,
            Self::Dpo => 2,
        }
    }
}

/// A linear projection that LoRA can adapt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the variants are the usual names of the projections
pub enum LoraTarget {
    Query,
    Key,
    Value,
    Output,
    Gate,
    Up,
    Down,
}

words!(LoraTarget, "LoRA target": Query = "q" | "q-proj" | "query", Key = "k" | "k-proj" | "key",
    Value = "v" | "v-proj" | "value", Output = "o" | "o-proj" | "output", Gate = "gate" | "gate-proj",
    Up = "up" | "up-proj" | "fc1", Down = "down" | "down-proj" | "fc2");

/// Low-rank adapters on frozen weights (Hu et al. 2021).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lora {
    /// Rank of each adapter.
    pub rank: u64,
    /// Adapted projections; query and value when empty, as in the paper. Files may say `all-linear` for all of them.
    #[serde(default, deserialize_with = "lora_targets")]
    pub targets: Vec<LoraTarget>,
}

/// Reads a list of projections.
fn lora_targets<'de, D: serde::Deserializer<'de>>(list: D) -> Result<Vec<LoraTarget>, D::Error> {
    let words = Vec::<String>::deserialize(list)?;
    LoraTarget::list(words.iter().map(String::as_str)).map_err(serde::de::Error::custom)
}

impl LoraTarget {
    /// All projections, in the order of a layer.
    pub const ALL: [Self; 7] =
        [Self::Query, Self::Key, Self::Value, Self::Output, Self::Gate, Self::Up, Self::Down];

    /// The projections that words name; `all-linear` is all of them (PEFT's word).
    ///
    /// # Errors
    /// [`Error::Unknown`](crate::Error::Unknown) with the word that names none.
    pub fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> crate::Result<Vec<Self>> {
        let mut targets = Vec::new();
        for word in words {
            match word.trim().to_lowercase().replace('_', "-").as_str() {
                "all-linear" => targets.extend(Self::ALL),
                _ => targets.push(word.parse()?),
            }
        }
        Ok(targets)
    }
}

impl Lora {
    /// The same adapters with the paper's targets, query and value, where none is named.
    #[must_use]
    pub(crate) fn with_default_targets(mut self) -> Self {
        if self.targets.is_empty() {
            self.targets = vec![LoraTarget::Query, LoraTarget::Value];
        }
        self
    }

    /// Whether `target` has an adapter.
    pub fn adapts(&self, target: LoraTarget) -> bool {
        if self.targets.is_empty() {
            matches!(target, LoraTarget::Query | LoraTarget::Value)
        } else {
            self.targets.contains(&target)
        }
    }
}

/// The amount of training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// Tokens of data, without padding.
    Tokens(u64),
    /// Optimizer steps.
    Steps(u64),
    /// Passes over examples of one sequence each, or of a pair with DPO.
    Epochs {
        /// Passes over the data; 2.5 is two and a half.
        epochs: f64,
        /// Examples in the data.
        examples: u64,
    },
}

/// The workload, checked by [`WorkloadSpec::resolve`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Workload {
    /// Amount of training.
    pub amount: Amount,
    /// Positions per sequence, padding included; of the encoder for an encoder–decoder; patches and class token for
    /// images.
    pub seq_len: u64,
    /// Tokens in a target sequence of an encoder–decoder, else zero.
    pub decoder_seq_len: u64,
    /// Share of positions that are padding: computed, but no data.
    pub padding_share: f64,
    /// Mean length of the documents that are packed into a sequence, where attention stays within each.
    pub document_len: Option<u64>,
    /// Sequences per micro-batch of a data-parallel rank; pairs of them with DPO.
    pub micro_batch: u64,
    /// Micro-batches summed before an optimizer step.
    pub grad_accum: u64,
    /// Number format.
    pub precision: Precision,
    /// Update rule.
    pub optimizer: Optimizer,
    /// Recomputation.
    pub checkpointing: Checkpointing,
    /// Attention kernel.
    pub attention: AttentionKernel,
    /// Task.
    pub task: Task,
    /// Adapters, or none for full fine-tuning and pre-training.
    pub lora: Option<Lora>,
    /// Whether adapted weights have trained magnitudes and are normed (Liu et al. 2024, DoRA).
    pub dora: bool,
    /// Format of the weights that are updated, and of the optimizer's states.
    pub state_precision: StatePrecision,
    /// Format of the frozen projections below adapters; embeddings, norms and head are stored as they are computed with.
    pub quantization: Quantization,
    /// First layers that, like the embedding below them, are not trained and have no backward pass.
    pub frozen_layers: u64,
    /// What the training makes the model do.
    pub objective: TrainingObjective,
    /// What is kept in the memory of the host.
    pub offload: Offload,
    /// The software stack; the ledger takes the padding of the vocabulary, the precision of communicated gradients and
    /// what full checkpointing repeats from it.
    pub framework: Stack,
}

impl Workload {
    /// The workload as a description that resolves to it, except for its amount.
    pub fn spec(&self) -> WorkloadSpec {
        let labels = match self.task {
            Task::Classification { labels } => Some(labels),
            Task::MaskedLm | Task::CausalLm | Task::Contrastive => None,
        };
        WorkloadSpec {
            seq_len: Some(self.seq_len),
            decoder_seq_len: Some(self.decoder_seq_len).filter(|n| *n > 0),
            padding_share: Some(self.padding_share).filter(|share| *share > 0.0),
            document_len: self.document_len,
            micro_batch: Some(self.micro_batch),
            grad_accum: Some(self.grad_accum),
            global_batch: None,
            tokens: None,
            steps: None,
            epochs: None,
            examples: None,
            precision: Some(self.precision),
            optimizer: Some(self.optimizer),
            checkpointing: Some(self.checkpointing),
            attention: Some(self.attention),
            task: Some(self.task.name().to_owned()),
            labels,
            lora: self.lora.clone(),
            dora: Some(self.dora).filter(|on| *on),
            state_precision: Some(self.state_precision).filter(|p| *p != StatePrecision::Fp32),
            quantization: Some(self.quantization).filter(|q| *q != Quantization::None),
            frozen_layers: Some(self.frozen_layers).filter(|n| *n > 0),
            objective: Some(self.objective).filter(|of| *of != TrainingObjective::Likelihood),
            offload: Some(self.offload).filter(|of| *of != Offload::None),
            framework: Some(self.framework.clone()).filter(|stack| *stack != Stack::UNKNOWN),
        }
    }

    /// The description with every field stated: [`Workload::spec`] and the amount of training.
    pub(crate) fn full_spec(&self) -> WorkloadSpec {
        let mut spec = WorkloadSpec {
            padding_share: Some(self.padding_share),
            state_precision: Some(self.state_precision),
            quantization: Some(self.quantization),
            frozen_layers: Some(self.frozen_layers),
            objective: Some(self.objective),
            offload: Some(self.offload),
            framework: Some(self.framework.clone()),
            ..self.spec()
        };
        match self.amount {
            Amount::Tokens(n) => spec.tokens = Some(Count::new(n)),
            Amount::Steps(n) => spec.steps = Some(Count::new(n)),
            Amount::Epochs { epochs, examples } => {
                (spec.epochs, spec.examples) = (Some(epochs), Some(Count::new(examples)));
            }
        }
        spec
    }

    /// Sequences, or pairs of them with DPO, of one optimizer step on `dp` ranks; the largest whole number where they are more.
    pub const fn global_batch(&self, dp: u64) -> u64 {
        self.micro_batch.saturating_mul(self.grad_accum).saturating_mul(dp)
    }

    /// Positions of one sequence, encoder and decoder together.
    pub const fn positions_per_sequence(&self) -> u64 {
        self.seq_len + self.decoder_seq_len
    }

    /// Positions of a sequence of `length` that attention of a position spans at most: its document's.
    pub(crate) fn attended(&self, length: u64) -> u64 {
        self.document_len.map_or(length, |document| document.min(length))
    }

    /// Sequences one data-parallel rank computes in one micro-step.
    pub(crate) const fn micro_sequences(&self) -> u64 {
        self.micro_batch * self.objective.sequences_per_example()
    }

    /// Positions one data-parallel rank computes in one micro-step.
    pub(crate) const fn micro_positions(&self) -> u64 {
        self.micro_sequences() * self.positions_per_sequence()
    }

    /// Positions computed in one optimizer step by `dp` ranks, padding included.
    pub fn positions_per_step(&self, dp: u64) -> f64 {
        self.micro_positions() as f64 * self.grad_accum as f64 * dp as f64
    }

    /// Optimizer steps on `dp` ranks; a fraction where the amount is not a whole number of steps, so that energy stays
    /// linear in tokens.
    pub fn steps(&self, dp: u64) -> f64 {
        match self.amount {
            Amount::Steps(steps) => steps as f64,
            Amount::Tokens(_) | Amount::Epochs { .. } => {
                self.positions(dp) / self.positions_per_step(dp)
            }
        }
    }

    /// Positions computed in the whole run by `dp` ranks, padding included.
    pub fn positions(&self, dp: u64) -> f64 {
        match self.amount {
            Amount::Tokens(tokens) => tokens as f64 / (1.0 - self.padding_share),
            Amount::Steps(steps) => steps as f64 * self.positions_per_step(dp),
            Amount::Epochs { epochs, examples } => {
                let of_example =
                    self.objective.sequences_per_example() * self.positions_per_sequence();
                epochs * examples as f64 * of_example as f64
            }
        }
    }

    /// Tokens of data in the whole run on `dp` ranks, without padding.
    pub fn tokens(&self, dp: u64) -> f64 {
        self.positions(dp) * (1.0 - self.padding_share)
    }
}
