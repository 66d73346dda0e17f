//! Weights, gradients and optimizer states, and their communication buffers.

use super::recipe::{Recipe, Units};
use crate::base::units::Bytes;
use crate::cost::collectives::keys_and_values;
use crate::cost::optimizer::{
    StageParameters, frozen_parameters, state_bytes, trained_experts, trained_parameters,
};
use crate::job::Job;
use crate::job::parallelism::{ContextExchange, DataParallel};
use crate::job::workload::{
    Offload, Optimizer, Precision, Quantization, StatePrecision, TrainingObjective,
};

/// Model state of a GPU.
pub(super) struct States {
    pub weights: Bytes,
    /// Casts of the weights for one forward and backward pass.
    pub casts: Bytes,
    pub gradients: Bytes,
    pub optimizer: Bytes,
    pub communication: Bytes,
    /// Units that were unsharded at once outside the passes.
    pub gathered_outside: Bytes,
    /// The whole gradient that FSDP accumulates under `no_sync`.
    pub whole_gradient: Bytes,
    /// The largest projection of quantized weights, in the computing precision for the time of its product, and what DoRA makes of
    /// a weight for its norm.
    pub dequantized: Bytes,
    /// Copies that AdamW's or Muon's update makes.
    pub update: Bytes,
    /// What the host's memory holds of it.
    pub host: Bytes,
}

/// Bytes a parameter, before sharding.
#[derive(Clone, Copy)]
struct PerParameter {
    weight: f64,
    gradient: f64,
    optimizer: f64,
}

impl PerParameter {
    fn new(job: &Job, held: &StageParameters, recipe: &Recipe) -> Self {
        let w = &job.workload;
        let mixed = w.precision.mixed();
        let states = state_bytes(job, held);
        if w.state_precision == StatePrecision::Bf16 {
            let bytes = w.state_precision.bytes();
            return Self { weight: bytes, gradient: bytes, optimizer: states };
        }
        if w.lora.is_some() {
            // adapters are small and stored in 32 bits; frozen weights are counted separately
            return Self { weight: 4.0, gradient: 4.0, optimizer: states };
        }
        let half = mixed && recipe.half_weights;
        Self {
            weight: if half { w.precision.bytes() } else { 4.0 },
            gradient: match w.precision {
                Precision::Bf16 => recipe.gradient_bytes + recipe.bf16_accumulator_bytes,
                _ if mixed => recipe.gradient_bytes,
                _ => 4.0,
            },
            optimizer: states + if half { 4.0 } else { 0.0 },
        }
    }
}

/// Counts the states of one GPU of a pipeline stage.
///
/// Ψ parameters of the stage after tensor parallelism, n ranks of a shard group; ZeRO-1 divides the optimizer's part by
/// n, ZeRO-2 the gradients too, FSDP (ZeRO-3) all three. Source: Rajbhandari et al. 2020, section 5.
///
/// FSDP holds these unsharded: the unit of embedding and output projection through both passes, the current layer and
/// the prefetched next one, and the gradients of two units that are being reduced (PyTorch FSDP: the root unit is not
/// resharded after its forward pass, backward prefetch `BACKWARD_PRE`).
pub(super) fn count(job: &Job, stage: u64, held: &StageParameters, recipe: &Recipe) -> States {
    let (w, p) = (&job.workload, &job.parallelism);
    let trained = trained_parameters(job, stage, held);
    let per = PerParameter::new(job, held, recipe);
    let frozen = match w.lora {
        Some(_) => held.stored_bytes(job),
        None => frozen_parameters(job, held) * per.weight,
    };
    let trained_experts = trained_experts(job, stage, held);
    let sharded = |is_sharded, all: f64, experts: f64| {
        if is_sharded { p.shard(all, experts) } else { all }
    };
    let computing = w.precision.bytes();
    let accumulates = w.precision.mixed() && w.state_precision == StatePrecision::Fp32;

    let frozen_experts = match w.lora {
        Some(_) => held.experts_bytes(job),
        None => (held.experts - trained_experts) * per.weight,
    };
    let mut weights = sharded(
        p.data.shards_parameters(),
        trained * per.weight + frozen,
        trained_experts * per.weight + frozen_experts,
    );
    if accumulates && recipe.keeps_gathered(job) && w.lora.is_none() {
        weights = per.weight * p.shard(held.total(), held.experts) + computing * held.total();
    }
    // the frozen copy that preferences are measured against; below adapters it is the base
    if w.objective == TrainingObjective::Dpo && w.lora.is_none() {
        let reference = [held.total(), held.experts].map(|of| of * per.weight);
        weights += sharded(p.data.shards_parameters(), reference[0], reference[1]);
    }
    let casts = if recipe.autocasts(job) {
        computing * (held.layers + output_projection(job, stage))
    } else {
        0.0
    };
    // of each weight in 8 bits the forward pass reads one copy and the backward pass a transposed one
    let in_8_bits = w.precision == Precision::Fp8 && recipe.saves_8_bits && recipe.half_weights;
    let casts = if in_8_bits && w.lora.is_none() { casts + 2.0 * held.projections } else { casts };
    let mut gradients = per.gradient * sharded(p.data.shards_gradients(), trained, trained_experts);
    // accumulators in 32 bits have half-precision gradients of the current backward pass beside them
    if accumulates && w.lora.is_none() {
        let (sharded, whole) = recipe.backward_gradients;
        let share = if p.data.shards_optimizer() { sharded } else { whole };
        gradients += trained * computing * share;
    }
    let updated = sharded(p.data.shards_optimizer(), trained, trained_experts);
    let optimizer = updated * per.optimizer;

    let (mut communication, mut gathered_outside, mut whole_gradient) = (0.0, 0.0, 0.0);
    if p.shard_group > 1 && p.data.shards_parameters() {
        let layers = p.stage_layers(&job.architecture, stage) + job.architecture.encoder_layers;
        let units = |root: f64, of_layers: f64| {
            let of_layers = of_layers.min(layers as f64);
            root * computing * held.root() + of_layers * held.largest_layer_bytes(job)
        };
        let Units { root, layers: of_layers } = recipe.gathered_outside;
        gathered_outside = units(root, of_layers);
        let full = w.lora.is_none();
        if full && recipe.whole_gradient && w.grad_accum > 1 {
            whole_gradient = computing * trained;
        }
        // recipes that follow the phases have the units of each
        if !recipe.by_phase {
            communication += units(1.0, 2.0);
            if full {
                communication += units(1.0, 1.0);
            }
        }
    }
    if p.data == DataParallel::Ddp {
        communication += trained * if accumulates { recipe.bucket_bytes } else { per.gradient };
    }
    if p.tp > 1 && p.sequence_parallel {
        communication += recipe.gather_buffers * unsplit_activation(job).value();
    }
    let on_host = Host::of(job);
    let mut host = 0.0;
    let mut move_out = |moves: bool, bytes: f64| -> f64 {
        host += if moves { bytes } else { 0.0 };
        if moves { 0.0 } else { bytes }
    };
    let weights = move_out(on_host.weights, weights);
    let gradients = move_out(on_host.gradients, gradients);
    let optimizer = move_out(on_host.optimizer, optimizer);
    if on_host.gradients {
        // those of the layer that is sent; of adapters, all of them are fewer
        communication += computing * held.largest_layer.min(trained);
    }
    communication += exchanged_keys_and_values(job) + exchanged_tokens(job);
    States {
        weights: Bytes::new(weights),
        casts: Bytes::new(casts),
        gradients: Bytes::new(gradients),
        optimizer: Bytes::new(optimizer),
        communication: Bytes::new(communication),
        gathered_outside: Bytes::new(gathered_outside),
        whole_gradient: Bytes::new(whole_gradient),
        dequantized: Bytes::new(
            adapted_weight(job)
                + match w.quantization {
                    Quantization::None => 0.0,
                    Quantization::Nf4
                    | Quantization::Gptq
                    | Quantization::Int8
                    | Quantization::Fp8 => computing * largest_projection(job),
                },
        ),
        host: Bytes::new(host),
        update: Bytes::new(match w.optimizer {
            _ if on_host.optimizer => 0.0,
            Optimizer::AdamW => updated * recipe.update_copies * w.state_precision.bytes(),
            Optimizer::Muon => orthogonalized_matrix(job),
            Optimizer::PagedAdamW
            | Optimizer::Sgd
            | Optimizer::Adafactor
            | Optimizer::Adam8bit
            | Optimizer::PagedAdam8bit
            | Optimizer::Lion
            | Optimizer::Lamb => 0.0,
        }),
    }
}

/// What is in the host's memory and not in the GPU's.
struct Host {
    weights: bool,
    gradients: bool,
    optimizer: bool,
}

impl Host {
    /// Gradients go there as they are made, unless all of them are first summed over ranks that hold them whole.
    const fn of(job: &Job) -> Self {
        let data = job.parallelism.data;
        let optimizer = !matches!(job.workload.offload, Offload::None);
        Self {
            weights: matches!(job.workload.offload, Offload::Parameters),
            gradients: optimizer
                && (data.shards_gradients() || matches!(data, DataParallel::Single)),
            optimizer,
        }
    }
}

/// One unsplit activation of a micro-batch: sequences × positions × width.
pub(super) fn unsplit_activation(job: &Job) -> Bytes {
    let w = &job.workload;
    let width = job.architecture.hidden_size as f64;
    Bytes::new(job.micro_positions_of_rank() * width * w.precision.bytes())
}

/// Keys and values of other context-parallel ranks while a layer's backward pass needs them, and their gradients, in bytes: in
/// a ring the block that attention reads and the one that arrives, of both; gathered, those of the whole sequence.
fn exchanged_keys_and_values(job: &Job) -> f64 {
    let p = &job.parallelism;
    if p.cp == 1 {
        return 0.0;
    }
    let whole = keys_and_values(job) * job.workload.precision.bytes();
    match p.context_exchange {
        ContextExchange::Ring => 2.0 * 2.0 * whole / p.cp as f64,
        ContextExchange::AllGather => 2.0 * whole,
    }
}

/// The tokens of a rank in the order of the experts that they go to, in bytes; those that arrive are the experts' inputs.
fn exchanged_tokens(job: &Job) -> f64 {
    match job.architecture.experts {
        Some(experts) if job.parallelism.ep > 1 => {
            experts.top_k as f64 * unsplit_activation(job).value()
        }
        _ => 0.0,
    }
}

/// A projection's update and their sum while DoRA takes its norm, in bytes.
fn adapted_weight(job: &Job) -> f64 {
    let w = &job.workload;
    if w.dora { 2.0 * w.precision.bytes() * largest_projection(job) } else { 0.0 }
}

/// What Muon holds while it orthogonalizes the largest matrix, of m × n weights with m below n, in bytes: the momentum
/// with the gradient in 32 bits, two factors of m · n and two of m · m in bfloat16.
fn orthogonalized_matrix(job: &Job) -> f64 {
    let a = &job.architecture;
    let least = a.hidden_size.min(a.ffn_size / job.parallelism.tp) as f64;
    (4.0 + 2.0 * 2.0) * largest_projection(job) + 2.0 * 2.0 * least * least
}

/// Parameters of a layer's largest projection on one GPU.
pub(super) fn largest_projection(job: &Job) -> f64 {
    let a = &job.architecture;
    (a.hidden_size * a.ffn_size) as f64 / job.parallelism.tp as f64
}

/// Parameters of the stage's output projection, its own or the tied embedding's.
pub(super) fn output_projection(job: &Job, stage: u64) -> f64 {
    let (a, p) = (&job.architecture, &job.parallelism);
    if job.workload.task.predicts_words() && stage == p.head_stage(a) {
        (a.padded_vocab() * a.embedding_size) as f64 / super::saved::attention_degree(p)
    } else {
        0.0
    }
}
