//! The update of the weights, once a step.

use super::{Ledger, Op, Phase};
use crate::architecture::Architecture;
use crate::job::Job;
use crate::units::{Bytes, Flops};

/// Tensors a fused multi-tensor kernel takes at once, and elements it covers (320 blocks of 65,536).
///
/// Source: PyTorch `aten/src/ATen/native/cuda/MultiTensorApply.cuh`, depth 4.
const TENSORS_PER_LAUNCH: f64 = 36.0;
const ELEMENTS_PER_LAUNCH: f64 = 320.0 * 65_536.0;

/// Writes the optimizer's operation into the ledger.
pub(super) fn count(job: &Job, ledger: &mut Ledger) {
    let (w, p) = (&job.workload, &job.parallelism);
    let held = trained_parameters(job, ledger.stage);
    let updated = if p.data.shards_optimizer() { held / p.shard_group as f64 } else { held };
    let copies = if w.precision.mixed() { w.precision.bytes() } else { 0.0 };
    // read the gradient; read and write the 32-bit weight and the states; write the 16-bit copy
    let bytes = 4.0 + 2.0 * 4.0 + 2.0 * w.optimizer.state_bytes() + copies;
    let launches = (tensors(&job.architecture) / p.pp as f64 / TENSORS_PER_LAUNCH)
        .max(updated / ELEMENTS_PER_LAUNCH);
    ledger.ops.push(Op {
        name: "optimizer",
        phase: Phase::Step,
        count: 1.0,
        flops: Flops::ZERO,
        bytes: Bytes::new(updated * bytes),
        kernels: launches.ceil(),
        collective: None,
    });
}

/// Parameters of a stage that one tensor-parallel rank holds and trains, before any sharding among data-parallel ranks.
pub(crate) fn trained_parameters(job: &Job, stage: u64) -> f64 {
    let held = stage_parameters(job, stage);
    match &job.workload.lora {
        None => held.total(),
        Some(lora) => {
            use crate::workload::LoraTarget as T;
            let a = &job.architecture;
            let (h, q, kv) = (a.hidden_size, a.query_width(), a.kv_width());
            let experts = a.experts.map_or(1, |e| e.count);
            let ffn = a.ffn_size * experts;
            let width = |target| match target {
                T::Query | T::Output => h + q,
                T::Key | T::Value => h + kv,
                T::Gate if !a.gated_ffn => 0,
                T::Gate | T::Up | T::Down => h * experts + ffn,
            };
            let all = [T::Query, T::Key, T::Value, T::Output, T::Gate, T::Up, T::Down];
            let per_layer: u64 = all.into_iter().filter(|t| lora.adapts(*t)).map(width).sum();
            let layers = job.parallelism.stage_layers(a, stage) + a.encoder_layers;
            (lora.rank * per_layer * layers) as f64 / job.parallelism.tp as f64
        }
    }
}

/// Parameters that one GPU of a stage computes with, by where tensor parallelism leaves them.
pub(crate) struct StageParameters {
    /// Embeddings and output maps.
    pub vocabulary: f64,
    /// Attention and feed-forward maps.
    pub layers: f64,
    /// The largest single layer, which FSDP gathers whole.
    pub largest_layer: f64,
}

impl StageParameters {
    pub(crate) const fn total(&self) -> f64 {
        self.vocabulary + self.layers
    }
}

/// Counts the parameters of a stage; norms and biases are split like the maps they belong to, which is off by less
/// than a thousandth where tensor parallelism replicates them.
pub(crate) fn stage_parameters(job: &Job, stage: u64) -> StageParameters {
    let (a, p) = (&job.architecture, &job.parallelism);
    let all = a.parameters_for(job.workload.task);
    let blocks = p.tensor_scope == crate::parallel::TensorScope::Blocks;
    let tp = p.tp as f64;
    let tp_attention = if blocks { tp } else { 1.0 };
    let attention = (all.attention_per_layer + all.norm_per_layer) as f64 / tp_attention;
    let ffn = all.ffn_per_layer as f64 / tp;
    let plain_layers = p.stage_layers(a, stage) + a.encoder_layers;
    let cross = all.cross_attention_per_layer as f64 / tp_attention;
    let layers = plain_layers as f64 * (attention + ffn) + p.stage_layers(a, stage) as f64 * cross;
    let embedding = if stage == 0 { all.embedding } else { 0 };
    let last = stage == p.head_stage(a);
    // a tied output map on another stage than its embedding is a second copy
    let tied_copy =
        if last && stage > 0 && a.tied_embeddings { a.vocab_size * a.embedding_size } else { 0 };
    let head = if last { all.head + tied_copy } else { 0 };
    StageParameters {
        vocabulary: (embedding + head) as f64 / tp_attention,
        layers,
        largest_layer: attention + ffn + cross,
    }
}

/// Trained tensors of a model, about: weights, biases and norms of each layer.
fn tensors(a: &Architecture) -> f64 {
    let biased = if a.biases.ffn { 2.0 } else { 1.0 };
    let maps = 4.0 + (a.ffn_maps() * a.experts.map_or(1, |e| e.count)) as f64;
    a.total_layers() as f64 * (maps * biased + 2.0 * biased) + 4.0
}
