//! Unsharded parameters and gradients that PyTorch's `fully_shard` holds.

use super::Recipe;
use super::states::{largest_projection, output_projection};
use crate::base::units::Bytes;
use crate::cost::optimizer::StageParameters;
use crate::job::Job;
use crate::job::workload::TrainingObjective;

/// Buffers of FSDP's units on one GPU, at the moments of a step; a unit is a layer, and what no layer holds is the root.
///
/// The root's parameters are gathered for both passes. In the backward pass the layer before the current one is gathered
/// ahead (`BACKWARD_PRE`), and gradients are copied to the reduction's type (32 bits), whose buffer is freed when the
/// next unit is reduced. Source: `torch/distributed/fsdp/_fully_shard/_fsdp_param_group.py`.
#[derive(Default)]
pub(super) struct Unsharded {
    /// At the end of the forward pass and in the loss's backward pass; a loss that the model computes has the last
    /// layer's gather buffer beside it.
    pub loss: Bytes,
    /// After the output projection's backward pass.
    pub head: Bytes,
    /// In the last layer's backward pass.
    pub last_layer: Bytes,
    /// In the backward pass of the layer before it.
    pub inner_layer: Bytes,
    /// In the first layer's backward pass.
    pub first_layer: Bytes,
    /// While the root's gradients are reduced.
    pub reduction: Bytes,
}

/// Bytes per number of the reduction of gradients.
const REDUCED: f64 = 4.0;

impl Unsharded {
    /// The buffers of a job whose parameters are sharded; nothing for others.
    pub(super) fn new(job: &Job, stage: u64, held: &StageParameters, recipe: &Recipe) -> Self {
        let (w, p) = (&job.workload, &job.parallelism);
        if p.shard_group == 1 || !p.data.shards_parameters() {
            return Self::default();
        }
        let trained = if w.lora.is_some() { 0.0 } else { 1.0 };
        let computing = w.precision.bytes();
        let root = Bytes::new(computing * held.root());
        let layer = Bytes::new(held.largest_layer_bytes(job));
        let reduced = Bytes::new(REDUCED * trained * held.largest_layer);
        let layers = p.stage_layers(&job.architecture, stage) + job.architecture.encoder_layers;
        let ahead = if layers > 1 { layer } else { Bytes::ZERO };
        let projection = Bytes::new(computing * trained * largest_projection(job));
        // the reference model's root and layer, while it is passed forward after the trained one
        let reference = match w.objective {
            TrainingObjective::Dpo if w.lora.is_none() => root + layer,
            TrainingObjective::Dpo | TrainingObjective::Likelihood => Bytes::ZERO,
        };
        let head = root + Bytes::new(computing * trained * output_projection(job, stage));
        Self {
            loss: reference + if recipe.keeps_logits { root + layer } else { root },
            head,
            last_layer: head + layer + ahead + projection,
            inner_layer: head + layer + ahead + reduced,
            first_layer: head + layer * (1.0 + trained) + reduced,
            reduction: root + Bytes::new(trained * REDUCED * held.root()),
        }
    }
}
