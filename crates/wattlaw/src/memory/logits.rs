//! Logits and their copies in the loss.

use super::Recipe;
use super::saved::attention_degree;
use crate::base::units::Bytes;
use crate::job::Job;
use crate::job::task::Task;
use crate::job::workload::TrainingObjective;

/// Bytes of logits and their copies on one GPU, at the moments of a step.
pub(super) struct Logits {
    /// At the end of the forward pass.
    pub forward: Bytes,
    /// In the loss's backward pass.
    pub backward: Bytes,
    /// The model's output, which a training loop keeps until the next one.
    pub output: Bytes,
    /// The gradient that the output projection receives.
    pub gradient: Bytes,
    /// All copies that existed at some moment: the allocator keeps their memory.
    pub reserved: Bytes,
}

impl Logits {
    /// For a stage without output projection, and for classification, whose logits are few.
    pub(super) const NONE: Self = Self {
        forward: Bytes::ZERO,
        backward: Bytes::ZERO,
        output: Bytes::ZERO,
        gradient: Bytes::ZERO,
        reserved: Bytes::ZERO,
    };

    /// The logits of the last stage.
    ///
    /// A cross-entropy saves the logarithm of the softmax; its backward pass adds the gradient of that and the gradient
    /// of the logits. All are in 32 bits under autocast, and with transformers' causal models, which convert the
    /// logits first (`ForCausalLMLoss`); the converted copy is freed after the forward pass.
    pub(super) fn new(job: &Job, recipe: &Recipe) -> Self {
        let (a, w) = (&job.architecture, &job.workload);
        if !w.task.predicts_words() {
            return Self::NONE;
        }
        let vocabulary = a.padded_vocab() as f64 / attention_degree(&job.parallelism);
        let logits = Bytes::new(predicting_positions(job) * vocabulary);
        let output = w.precision.bytes();
        if !recipe.by_phase {
            let (computing, wide) = recipe.logit_copies;
            let all = logits * (computing * output + wide * 4.0);
            return Self {
                forward: all,
                backward: all,
                output: Bytes::ZERO,
                gradient: Bytes::ZERO,
                reserved: all,
            };
        }
        // the reference model's are beside those that are saved for the backward pass
        let references = match w.objective {
            TrainingObjective::Likelihood => 0.0,
            TrainingObjective::Dpo => 1.0,
        };
        let converts = w.task == Task::CausalLm && a.encoder_layers == 0;
        let wide = if converts || recipe.autocasts(job) { 4.0 } else { output };
        let copy = if wide > output { wide } else { 0.0 };
        let kept = if recipe.keeps_logits { output } else { 0.0 };
        // with a split vocabulary the loss's gradient is put together in one tensor more
        let split = if attention_degree(&job.parallelism) > 1.0 { wide } else { 0.0 };
        Self {
            forward: logits * ((1.0 + references) * (output + copy + wide)),
            backward: logits * (kept + 3.0 * wide + split),
            output: logits * kept,
            gradient: logits * output,
            reserved: logits * (output + 3.0 * wide + split + references * (output + copy + wide)),
        }
    }
}

/// Positions of a micro-batch that enter the output projection of a rank.
pub(super) fn predicting_positions(job: &Job) -> f64 {
    let w = &job.workload;
    let length = if w.decoder_seq_len > 0 { w.decoder_seq_len } else { w.seq_len };
    (w.micro_sequences() * length) as f64 / job.parallelism.cp as f64
}
