//! Activations of a pipeline stage: layers, embedding and head, times the micro-batches in flight.

use super::logits::{Logits, predicting_positions};
use super::saved::{LayerActivations, Stack, Sums, attention_degree};
use super::{Recipe, SelectiveCheckpointing};
use crate::base::units::Bytes;
use crate::job::Job;
use crate::job::model::Norm;
use crate::job::parallelism::Schedule;
use crate::job::task::Task;
use crate::job::workload::Checkpointing;

/// Activation memory of a stage.
pub(super) struct Activations {
    /// Saved by the layers, all micro-batches in flight.
    pub layers: Bytes,
    /// Saved by the layers of the first stack, an encoder–decoder's encoder; by all layers of other models.
    pub first_stack: Bytes,
    /// Saved by the embedding, all micro-batches in flight.
    pub embedding: Bytes,
    /// Saved by the final norm and the output projection.
    pub head: Bytes,
    /// A layer of the first stack.
    pub first: LayerBytes,
    /// A layer of the last stack.
    pub last: LayerBytes,
    /// Held in the final norm's backward pass.
    pub final_norm: Bytes,
    /// Logits and their copies in the loss.
    pub logits: Logits,
}

/// Counts the activations of one GPU of a pipeline stage.
pub(super) fn count(job: &Job, stage: u64, recipe: &Recipe) -> Activations {
    let (a, p) = (&job.architecture, &job.parallelism);
    // frozen layers, and the embedding below them, save nothing
    let frozen = job.workload.frozen_layers;
    let layers = (p.stage_layers(a, stage) - frozen) as f64;
    let flight = in_flight(job, stage);
    let main = layer(job, Stack::Main, recipe);
    let (first, last, first_stack, last_stack) = if a.encoder_layers > 0 {
        let decoder = layer(job, Stack::Decoder, recipe);
        (main, decoder, main.kept * a.encoder_layers as f64, decoder.kept * layers)
    } else {
        (main, main, main.kept * layers, 0.0)
    };
    let has_head = stage == p.head_stage(a);
    Activations {
        layers: Bytes::new((first_stack + last_stack) * flight),
        first_stack: Bytes::new(first_stack * flight),
        embedding: Bytes::new(if stage == 0 && frozen == 0 {
            embedding(job, recipe) * flight
        } else {
            0.0
        }),
        head: Bytes::new(if has_head { head(job, recipe) } else { 0.0 }),
        first,
        last,
        final_norm: Bytes::new(if has_head { final_norm(job, recipe) } else { 0.0 }),
        logits: if has_head { Logits::new(job, recipe) } else { Logits::NONE },
    }
}

/// Bytes per layer and micro-batch.
#[derive(Clone, Copy)]
pub(super) struct LayerBytes {
    /// Saved for the backward pass.
    pub kept: f64,
    /// Recomputed under checkpointing.
    pub recomputed: f64,
    /// Gradients of activations, and other temporaries of the backward pass.
    pub backward: f64,
}

pub(super) fn layer(job: &Job, stack: Stack, recipe: &Recipe) -> LayerBytes {
    let keeping = LayerActivations::new(job, recipe);
    let input = keeping.input(stack);
    let backward = keeping.backward(stack);
    let by_operation = keeping.kept_per_operation(stack);
    let Sums { all, core } = keeping.layer(stack);
    let kept = match (job.workload.checkpointing, recipe.selective) {
        (Checkpointing::None, _) => all,
        (Checkpointing::Selective, SelectiveCheckpointing::AttentionCore) => all - core,
        (Checkpointing::Selective, SelectiveCheckpointing::PerOperation) => by_operation.min(all),
        (Checkpointing::Full, _) => input,
    };
    // the input of the recomputed layer is already among the saved tensors
    LayerBytes { kept, recomputed: (all - kept).max(0.0), backward }
}

/// Number of micro-batches in flight on a stage, in units of the whole stage.
///
/// One forward, one backward: stage k of p holds p − k. Interleaved with v chunks a stage: it has run 2 (p − k − 1) +
/// (v − 1) p + 1 chunks forward before the first backward pass, each 1/v of the stage; for the first stage this is p (1
/// + (p − 1) / (p v)). At most the micro-batches of an optimizer step.
///
/// Sources: Narayanan et al. 2019 and 2021; Korthikanti et al. 2022, section 4.2.
pub(super) fn in_flight(job: &Job, stage: u64) -> f64 {
    let p = &job.parallelism;
    let after = p.pp.saturating_sub(stage + 1) as f64;
    let held = match p.schedule {
        Schedule::Interleaved if p.pp > 1 => {
            let chunks = p.virtual_stages as f64;
            (2.0 * after + (chunks - 1.0) * p.pp as f64 + 1.0) / chunks
        }
        _ => after + 1.0,
    };
    held.min(job.workload.grad_accum as f64)
}

/// Embedding: the pixels of images with their cast under autocast, its norm, if any, and the dropout mask.
fn embedding(job: &Job, recipe: &Recipe) -> f64 {
    let keeping = LayerActivations::new(job, recipe);
    let tokens = job.micro_positions_of_rank();
    let h = job.architecture.hidden_size as f64;
    let norm = if job.architecture.embedding_norm { h * keeping.residual + 8.0 } else { 0.0 };
    let mask = if keeping.hidden_dropout() { h } else { 0.0 };
    let pixels = job.architecture.image.map_or(0.0, |image| {
        let cast = if recipe.autocasts(job) { keeping.act } else { 0.0 };
        let numbers = job.workload.micro_sequences() * image.channels * image.size * image.size;
        numbers as f64 * (keeping.residual + cast)
    });
    // the merged patches that a norm and a projection read, of twice the width
    let merged = if job.architecture.place.embeds() {
        0.0
    } else {
        2.0 * h * (keeping.residual + keeping.act) + 8.0
    };
    pixels + tokens * (norm + merged + mask) / keeping.between + beside_stacks(job, &keeping)
}

/// What an encoder–decoder saves beside its layers: the encoder's final norm, the dropout masks after both stacks, and
/// position biases.
fn beside_stacks(job: &Job, keeping: &LayerActivations) -> f64 {
    let (a, w) = (&job.architecture, &job.workload);
    if a.encoder_layers == 0 || !a.final_norm {
        return 0.0;
    }
    let h = a.hidden_size as f64;
    let (wide, statistics) = keeping.norm();
    let encoded = (w.micro_sequences() * w.seq_len) as f64;
    let masks = if keeping.hidden_dropout() { w.micro_positions() as f64 * h } else { 0.0 };
    let biases = (a.heads * (w.seq_len * w.seq_len + w.decoder_seq_len * w.decoder_seq_len)) as f64
        * keeping.residual
        / attention_degree(&job.parallelism);
    (encoded * (h * wide + statistics) + masks) / keeping.between + biases
}

/// Final norm, the input of the output projection, and a masked LM's transform.
fn head(job: &Job, recipe: &Recipe) -> f64 {
    let (a, w) = (&job.architecture, &job.workload);
    let keeping = LayerActivations::new(job, recipe);
    let h = a.hidden_size as f64;
    let (wide, statistics) = keeping.norm();
    let norm = if a.final_norm { h * wide + statistics } else { 0.0 };
    let transform = match w.task {
        // inputs of the dense projection, GELU, the norm and the output projection
        Task::MaskedLm => h * (3.0 * keeping.act + keeping.residual) + 8.0,
        // a frozen output projection does not save its input
        Task::CausalLm if w.lora.is_some() => 0.0,
        Task::CausalLm => h * keeping.act,
        Task::Classification { .. } | Task::Contrastive => 0.0,
    };
    let positions = predicting_positions(job);
    positions * (norm / keeping.between + transform / keeping.inputs)
}

/// Tensors in the final norm's backward pass: an unfused RMS norm has its input and five gradients in 32 bits.
fn final_norm(job: &Job, recipe: &Recipe) -> f64 {
    let a = &job.architecture;
    if recipe.fused || !a.final_norm || a.norm != Norm::RmsNorm {
        return 0.0;
    }
    let keeping = LayerActivations::new(job, recipe);
    predicting_positions(job) * a.hidden_size as f64 * 6.0 * 4.0 / keeping.between
}
