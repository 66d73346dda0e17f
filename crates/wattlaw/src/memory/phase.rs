//! The moments of a training step at which memory can peak.
//!
//! Gradients grow through the backward pass as activations and cast weights are freed, both in proportion to the layers
//! passed, so the sum is largest at one end of the layers or where the loss and the vocabulary's matrix add to them.

use super::activations::{self, Activations};
use super::states::{self, States};
use super::unsharded::Unsharded;
use super::{Recipe, SelectiveCheckpointing};
use crate::base::units::Bytes;
use crate::base::words::words;
use crate::cost::optimizer::{StageParameters, stage_parameters};
use crate::job::Job;
use crate::job::workload::Checkpointing;

/// The phase of a training step in which memory peaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeakPhase {
    /// The forward pass and the loss.
    Forward,
    /// The backward pass.
    Backward,
    /// The update of the weights.
    Optimizer,
}

words!(PeakPhase, "phase of a step": Forward = "forward", Backward = "backward", Optimizer = "optimizer");

/// What is held at one moment, in bytes on one GPU.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub phase: PeakPhase,
    pub weights: Bytes,
    pub gradients: Bytes,
    pub optimizer: Bytes,
    pub activations: Bytes,
    pub recomputed: Bytes,
    pub logits: Bytes,
    pub communication: Bytes,
    pub temporaries: Bytes,
}

impl Moment {
    /// Nothing, before the first stack is counted.
    const NONE: Self = Self {
        phase: PeakPhase::Forward,
        weights: Bytes::ZERO,
        gradients: Bytes::ZERO,
        optimizer: Bytes::ZERO,
        activations: Bytes::ZERO,
        recomputed: Bytes::ZERO,
        logits: Bytes::ZERO,
        communication: Bytes::ZERO,
        temporaries: Bytes::ZERO,
    };

    /// What stacks hold together at the same moment.
    fn sum(moments: impl Iterator<Item = Self>) -> Self {
        moments.reduce(Self::with).unwrap_or(Self::NONE)
    }

    /// What two stacks hold together; one layer at a time is recomputed.
    fn with(self, other: Self) -> Self {
        Self {
            phase: self.phase,
            weights: self.weights + other.weights,
            gradients: self.gradients + other.gradients,
            optimizer: self.optimizer + other.optimizer,
            activations: self.activations + other.activations,
            recomputed: self.recomputed.max(other.recomputed),
            logits: self.logits + other.logits,
            communication: self.communication + other.communication,
            temporaries: self.temporaries + other.temporaries,
        }
    }

    /// The sum.
    fn allocated(&self) -> Bytes {
        self.weights
            + self.gradients
            + self.optimizer
            + self.activations
            + self.recomputed
            + self.logits
            + self.communication
            + self.temporaries
    }

    /// Raises each part to another moment's where that is larger.
    const fn raise(&mut self, other: &Self) {
        self.weights = self.weights.max(other.weights);
        self.gradients = self.gradients.max(other.gradients);
        self.optimizer = self.optimizer.max(other.optimizer);
        self.activations = self.activations.max(other.activations);
        self.recomputed = self.recomputed.max(other.recomputed);
        self.logits = self.logits.max(other.logits);
        self.communication = self.communication.max(other.communication);
        self.temporaries = self.temporaries.max(other.temporaries);
    }
}

/// The peak of a stage.
pub(super) struct Peak {
    /// What is held at its moment.
    pub moment: Moment,
    /// What the caching allocator reserves beyond that.
    pub cached: Bytes,
    /// What the host's memory holds.
    pub host: Bytes,
}

/// The peak of a pipeline stage.
pub(super) fn highest(job: &Job, stage: u64, recipe: &Recipe) -> Peak {
    let stacks = job.stacks();
    if !recipe.by_phase {
        let (moment, host) = (stacks.iter())
            .map(|stack| together(stack, stage, recipe))
            .reduce(|(moment, host), (other, more)| (moment.with(other), host + more))
            .unwrap_or((Moment::NONE, Bytes::ZERO));
        let cached = (moment.activations + moment.recomputed) * (recipe.allocator - 1.0);
        return Peak { moment, cached, host };
    }
    // most models are one stack, which needs no list
    if let [only] = &*stacks {
        let (moments, beside) = by_phase(only, stage, recipe);
        return moments.peak(&beside);
    }
    let (moments, beside): (Vec<_>, Vec<_>) =
        stacks.iter().map(|stack| by_phase(stack, stage, recipe)).unzip();
    passes(&moments).peak(&Beside::sum(&beside))
}

/// What a stage holds besides its moments.
struct Beside {
    /// All copies of the logits, whose memory the allocator keeps.
    logits: Bytes,
    /// States, and what is gathered outside of the passes.
    outside: Bytes,
    /// What the host's memory holds.
    host: Bytes,
}

impl Beside {
    fn sum(all: &[Self]) -> Self {
        let sum = |of: fn(&Self) -> Bytes| all.iter().map(of).sum();
        Self { logits: sum(|of| of.logits), outside: sum(|of| of.outside), host: sum(|of| of.host) }
    }
}

/// The moments of a step at which memory can peak.
struct Moments<B> {
    forward: Moment,
    backward: B,
    update: Moment,
}

/// Moments of a stack's backward pass.
const BACKWARD: usize = 7;

impl<B: AsRef<[Moment]>> Moments<B> {
    /// The moment with the most.
    ///
    /// PyTorch's caching allocator keeps freed memory. Blocks of one part seldom suit another, so it reserves about the sum of
    /// each part's own peak; the measured peaks of [`Recipe::ACCELERATE`] bear that out. Where memory is short it gives cached
    /// blocks back.
    fn peak(&self, beside: &Beside) -> Peak {
        let (mut most, mut allocated) = (&self.forward, self.forward.allocated());
        let mut each = self.forward;
        for moment in self.backward.as_ref().iter().chain([&self.update]) {
            let of_moment = moment.allocated();
            if of_moment > allocated {
                (most, allocated) = (moment, of_moment);
            }
            each.raise(moment);
        }
        let reserved = Moment { logits: beside.logits, ..each }.allocated();
        let cached = reserved.max(beside.outside) - allocated;
        Peak { moment: *most, cached, host: beside.host }
    }
}

/// The moments of a step through all stacks: forward through one after another, backward in the opposite order, then the
/// update of all. While one is passed backward, those before it hold what they kept, and those after it their gradients.
fn passes(stacks: &[Moments<[Moment; BACKWARD]>]) -> Moments<Vec<Moment>> {
    let mut backward = Vec::new();
    for (at, stack) in stacks.iter().enumerate() {
        let before = stacks[..at].iter().map(|stack| stack.backward[0]);
        let after = stacks[at + 1..]
            .iter()
            .map(|stack| Moment { temporaries: Bytes::ZERO, ..stack.update });
        let held: Vec<Moment> = before.chain(after).collect();
        let passed = stack.backward.iter();
        backward.extend(passed.map(|moment| held.iter().copied().fold(*moment, Moment::with)));
    }
    Moments {
        forward: Moment::sum(stacks.iter().map(|stack| stack.forward)),
        backward,
        update: Moment::sum(stacks.iter().map(|stack| stack.update)),
    }
}

/// Everything at once, as frameworks count it that keep buffers of all gradients, and what the host's memory holds.
fn together(job: &Job, stage: u64, recipe: &Recipe) -> (Moment, Bytes) {
    let held = stage_parameters(job, stage);
    let states = states::count(job, stage, &held, recipe);
    let kept = activations::count(job, stage, recipe);
    let moment = Moment {
        phase: PeakPhase::Backward,
        weights: states.weights,
        gradients: states.gradients,
        optimizer: states.optimizer,
        activations: kept.layers + kept.embedding + kept.head,
        recomputed: Bytes::new(kept.first.recomputed.max(kept.last.recomputed)),
        logits: kept.logits.backward,
        communication: states.communication + states.whole_gradient,
        temporaries: states.casts + states.update + states.dequantized,
    };
    (moment, states.host)
}

/// The moments of a stack, and what it holds besides.
fn by_phase(job: &Job, stage: u64, recipe: &Recipe) -> (Moments<[Moment; BACKWARD]>, Beside) {
    let held = stage_parameters(job, stage);
    let states = states::count(job, stage, &held, recipe);
    let kept = activations::count(job, stage, recipe);
    let beside = Beside {
        logits: kept.logits.reserved,
        outside: states.weights + states.gradients + states.optimizer + states.gathered_outside,
        host: states.host,
    };
    (moments(job, stage, &held, recipe, &states, &kept), beside)
}

/// The moments of a loop that clears its gradients before the forward pass: ends of the forward pass, of the loss's and
/// the output projection's backward pass, of the last and first layer's, of the embedding's, and the update.
fn moments(
    job: &Job,
    stage: u64,
    held: &StageParameters,
    recipe: &Recipe,
    states: &States,
    kept: &Activations,
) -> Moments<[Moment; BACKWARD]> {
    let w = &job.workload;
    let of_all = |parameters: f64| states.gradients * (parameters / held.total());
    // accumulated gradients exist from the second micro-batch on; a whole one counts as communication
    let accumulates = w.grad_accum > 1 && states.whole_gradient == Bytes::ZERO;
    let before = if accumulates { states.gradients } else { Bytes::ZERO };
    let projection = states::output_projection(job, stage);
    let output = if w.lora.is_some() { 0.0 } else { projection };
    let vocabulary = if w.lora.is_some() { 0.0 } else { held.vocabulary };
    // the stage's embedding, which is its output projection too where they are tied
    let tied = job.architecture.tied_embeddings && stage == 0 && output > 0.0;
    let embedding = if tied { output } else { vocabulary - output };
    let layers = (job.parallelism.stage_layers(&job.architecture, stage)
        + job.architecture.encoder_layers)
        .max(1) as f64;

    let cast = held.layers + projection;
    let new_gradient = |parameters: f64| if accumulates { of_all(parameters) } else { Bytes::ZERO };
    let after_head = if accumulates { before } else { of_all(output) };
    let after_layers = if accumulates { before } else { of_all(held.layers) + after_head };
    let weight = of_all(states::largest_projection(job));
    // a checkpointed layer holds casts in the forward pass, where autocast caches them, and while it is recomputed
    let head_casts = states.casts * (projection / cast.max(1.0));
    let layer_casts = states.casts - head_casts;
    let recomputed = match w.checkpointing {
        Checkpointing::None => false,
        Checkpointing::Selective => recipe.selective == SelectiveCheckpointing::PerOperation,
        Checkpointing::Full => true,
    };
    let (kept_casts, one_cast) =
        if recomputed { (Bytes::ZERO, layer_casts / layers) } else { (layer_casts, Bytes::ZERO) };
    let unsharded = Unsharded::new(job, stage, held, recipe);
    let communication = states.communication + states.whole_gradient;

    let forward = Moment {
        phase: PeakPhase::Forward,
        weights: states.weights,
        gradients: before,
        optimizer: states.optimizer,
        activations: kept.layers + kept.embedding + kept.head,
        recomputed: Bytes::ZERO,
        logits: kept.logits.forward,
        communication: communication + unsharded.loss,
        temporaries: states.casts,
    };
    let loss = Moment {
        phase: PeakPhase::Backward,
        logits: kept.logits.backward,
        temporaries: kept_casts + head_casts,
        ..forward
    };
    // a tied matrix's two gradients are summed into a third tensor at the end
    let twice = if tied { embedding } else { 0.0 };
    let waiting = new_gradient(twice);
    let head = Moment {
        gradients: after_head,
        logits: kept.logits.output + kept.logits.gradient,
        // the cast of the matrix is freed before its gradient, in the computing precision too, is converted
        communication: communication + unsharded.head,
        temporaries: kept_casts + head_casts + new_gradient(output),
        ..loss
    };
    let in_layers = kept_casts + one_cast + waiting + weight + states.dequantized;
    let last_layer = Moment {
        activations: kept.layers + kept.embedding,
        recomputed: Bytes::new(kept.last.recomputed),
        logits: kept.logits.output,
        communication: communication + unsharded.last_layer,
        temporaries: in_layers + Bytes::new(kept.last.backward),
        ..head
    };
    let final_norm = Moment {
        recomputed: Bytes::ZERO,
        temporaries: kept_casts + waiting + kept.final_norm,
        ..last_layer
    };
    // an encoder's last layer, when the decoder is passed; of other models, the layer before the last
    let freed = if job.architecture.encoder_layers > 0 { 0.0 } else { kept.last.kept };
    let inner_layer = Moment {
        activations: kept.first_stack - Bytes::new(freed) + kept.embedding,
        recomputed: Bytes::new(kept.first.recomputed),
        communication: communication + unsharded.inner_layer,
        temporaries: in_layers + Bytes::new(kept.first.backward),
        ..last_layer
    };
    let first_layer = Moment {
        gradients: after_layers,
        activations: Bytes::new(kept.first.kept) + kept.embedding,
        communication: communication + unsharded.first_layer,
        temporaries: inner_layer.temporaries - kept_casts * ((layers - 1.0) / layers),
        ..inner_layer
    };
    let embedding = Moment {
        gradients: states.gradients,
        activations: Bytes::ZERO,
        recomputed: Bytes::ZERO,
        communication: communication + unsharded.reduction,
        temporaries: of_all(2.0 * twice) + new_gradient(embedding),
        ..first_layer
    };
    let update = Moment {
        phase: PeakPhase::Optimizer,
        communication,
        temporaries: states.update,
        ..embedding
    };
    let backward = [loss, head, final_norm, last_layer, inner_layer, first_layer, embedding];
    Moments { forward, backward, update }
}
