//! Random jobs that can be: every family, strategy, precision and recomputation, small enough to count quickly.
//!
//! Degrees are drawn first and sizes as multiples of them, so that nothing is drawn in vain.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use wattlaw::base::amount::Count;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::model::{Family, ModelSpec, ModelType};
use wattlaw::job::parallelism::{ParallelismSpec, Schedule, TensorScope};
use wattlaw::job::system::SystemSpec;
use wattlaw::job::workload::{
    AttentionKernel, Checkpointing, Lora, LoraTarget, Optimizer, Precision, Quantization,
    WorkloadSpec,
};
use wattlaw::job::{Job, JobSpec};

/// The catalogue, read once.
pub static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::built_in().unwrap());

/// The job that a description comes to.
pub fn resolved(spec: &JobSpec) -> Job {
    spec.resolve(&CATALOG).unwrap_or_else(|e| panic!("{e}: {spec:?}"))
}

/// Any job.
pub fn jobs() -> impl Strategy<Value = JobSpec> {
    (degrees(), widths(), choices(), amounts()).prop_map(|(degrees, widths, choices, amount)| {
        let model = model(&degrees, &widths);
        let workload = workload(&degrees, &choices, amount);
        let family: ModelType = model.family.as_deref().unwrap().parse().unwrap();
        JobSpec {
            workload: suited(workload, family, &widths),
            parallelism: parallelism(&degrees, &choices),
            system: system(&degrees),
            model,
        }
    })
}

/// Degrees, and what must divide by them.
#[derive(Debug, Clone)]
struct Degrees {
    model_type: ModelType,
    dp: u64,
    tp: u64,
    pp: u64,
    chunks: u64,
    layers_of_chunk: u64,
    rest_of_layers: u64,
    rounds: u64,
    node: Index,
}

prop_compose! {
    fn degrees()(
        model_type in select(ModelType::ALL.to_vec()),
        dp in 1..=6_u64,
        tp in select(vec![1, 2, 4]),
        stages in 1..=3_u64,
        chunks in 1..=2_u64,
        layers_of_chunk in 1..=2_u64,
        rest_of_layers in 0..=2_u64,
        rounds in 1..=3_u64,
        node in any::<Index>(),
    ) -> Degrees {
        let stacks = has_stacks(model_type);
        let piped = model_type.family() != Family::T5 && !stacks;
        let (pp, chunks) = if piped { (stages, chunks) } else { (1, 1) };
        let tp = if stacks { 1 } else { tp };
        Degrees { model_type, dp, tp, pp, chunks, layers_of_chunk, rest_of_layers, rounds, node }
    }
}

/// Whether a type has stacks of several widths, which data-parallel ranks alone split.
fn has_stacks(model_type: ModelType) -> bool {
    model_type.features().staged || model_type.features().text_encoder.is_some()
}

impl Degrees {
    fn gpus(&self) -> u64 {
        self.dp * self.tp * self.pp
    }

    fn layers(&self) -> u64 {
        let rest = if self.chunks > 1 { 0 } else { self.rest_of_layers };
        self.pp * self.chunks * self.layers_of_chunk + rest
    }
}

/// Sizes, as multiples of the tensor-parallel degree where they must be.
#[derive(Debug, Clone)]
struct Widths {
    heads_of_rank: u64,
    kv_heads: Index,
    head_dim: u64,
    ffn: u64,
    vocab: u64,
    experts: u64,
    top_k: Index,
    narrow: bool,
    flags: Option<(bool, bool)>,
    seq: u64,
    decoder_seq: u64,
}

prop_compose! {
    fn widths()(
        heads_of_rank in 1..=4_u64,
        kv_heads in any::<Index>(),
        head_dim in select(vec![4, 8, 16, 64]),
        ffn in 1..=64_u64,
        vocab in 1..=5000_u64,
        (experts, top_k) in (1..=8_u64, any::<Index>()),
        narrow in any::<bool>(),
        flags in proptest::option::of(any::<(bool, bool)>()),
        seq in 1..=64_u64,
        decoder_seq in 1..=32_u64,
    ) -> Widths {
        Widths {
            heads_of_rank, kv_heads, head_dim, ffn, vocab, experts, top_k, narrow, flags, seq,
            decoder_seq,
        }
    }
}

/// What is chosen by name.
#[derive(Debug, Clone)]
struct Choices {
    strategy: &'static str,
    shard_group: Index,
    mlp_only: bool,
    sequence_parallel: bool,
    precision: Precision,
    optimizer: Optimizer,
    checkpointing: Checkpointing,
    attention: AttentionKernel,
    classify: bool,
    lora: Option<Lora>,
    quantization: Quantization,
    micro_batch: u64,
}

fn loras() -> impl Strategy<Value = Lora> {
    use LoraTarget as T;
    // a gate alone is refused where there is none, so another map is always there
    let others = vec![T::Key, T::Value, T::Output, T::Gate, T::Up, T::Down];
    let chosen = proptest::sample::subsequence(others, 0..=6)
        .prop_map(|others| [vec![T::Query], others].concat());
    let targets = prop_oneof![Just(Vec::new()), chosen];
    (1..=16_u64, targets).prop_map(|(rank, targets)| Lora { rank, targets })
}

prop_compose! {
    fn choices()(
        strategy in select(vec!["ddp", "zero1", "zero2", "fsdp", "hsdp"]),
        shard_group in any::<Index>(),
        (mlp_only, sequence_parallel, classify) in any::<(bool, bool, bool)>(),
        precision in
            select(vec![Precision::Fp32, Precision::Tf32, Precision::Fp16, Precision::Bf16]),
        optimizer in select(
            vec![Optimizer::AdamW, Optimizer::Sgd, Optimizer::Adafactor, Optimizer::Adam8bit,
                Optimizer::PagedAdamW, Optimizer::PagedAdam8bit, Optimizer::Lion, Optimizer::Lamb]
        ),
        checkpointing in
            select(vec![Checkpointing::None, Checkpointing::Selective, Checkpointing::Full]),
        attention in select(vec![AttentionKernel::Flash, AttentionKernel::Eager]),
        lora in proptest::option::weighted(0.3, loras()),
        quantization in select(vec![Quantization::None, Quantization::Nf4, Quantization::Gptq,
            Quantization::Int8, Quantization::Fp8]),
        micro_batch in 1..=8_u64,
    ) -> Choices {
        Choices {
            strategy, shard_group, mlp_only, sequence_parallel, precision, optimizer,
            checkpointing, attention, classify, lora, quantization, micro_batch,
        }
    }
}

/// How much is trained, and the share of padding.
fn amounts() -> impl Strategy<Value = WorkloadSpec> {
    let count = |n: u64| Some(Count::new(n));
    let amount = prop_oneof![
        (1..=1_000_000_u64)
            .prop_map(move |n| WorkloadSpec { steps: count(n), ..Default::default() }),
        (1..=1_000_000_000_000_u64)
            .prop_map(move |n| WorkloadSpec { tokens: count(n), ..Default::default() }),
        (0.1..10.0_f64, 1..=1_000_000_u64).prop_map(move |(epochs, n)| WorkloadSpec {
            epochs: Some(epochs),
            examples: count(n),
            ..Default::default()
        }),
    ];
    (amount, proptest::option::of(0.0..0.9_f64))
        .prop_map(|(amount, padding_share)| WorkloadSpec { padding_share, ..amount })
}

fn divisor(n: u64, index: &Index) -> u64 {
    let divisors: Vec<u64> = (1..=n).filter(|d| n.is_multiple_of(*d)).collect();
    *index.get(&divisors)
}

fn model(degrees: &Degrees, w: &Widths) -> ModelSpec {
    let model_type = degrees.model_type;
    let heads = degrees.tp * w.heads_of_rank;
    let hidden_size = heads * w.head_dim;
    let image = model_type.family() == Family::Vit;
    let experts = model_type.features().experts;
    let staged = model_type.features().staged;
    let latent = model_type.features().latent;
    let decoder = matches!(model_type, ModelType::Gpt2 | ModelType::Opt | ModelType::Llama);
    ModelSpec {
        family: Some(model_type.name().to_owned()),
        layers: Some(degrees.layers() + u64::from(staged)),
        encoder_layers: (model_type.family() == Family::T5).then_some(1 + degrees.rest_of_layers),
        hidden_size: Some(hidden_size),
        heads: Some(heads),
        kv_heads: Some(divisor(heads, &w.kv_heads)),
        head_dim: w.narrow.then_some(w.head_dim),
        ffn_size: Some(degrees.tp * w.ffn),
        vocab_size: (!image).then_some(w.vocab),
        embedding_size: (decoder && w.narrow).then_some(hidden_size / 2),
        gated_ffn: w.flags.map(|(gated, _)| gated),
        tied_embeddings: w.flags.map(|(_, tied)| tied),
        experts: experts.then_some(w.experts),
        top_k: experts.then(|| 1 + w.top_k.index(w.experts as usize) as u64),
        kv_rank: latent.then_some(w.head_dim),
        rope_head_dim: latent.then_some(w.head_dim / 2),
        value_head_dim: latent.then_some(w.head_dim),
        // two stages of an image whose side halves
        image_size: image.then_some(14 * w.seq * if staged { 2 } else { 1 }),
        window: staged.then_some(1),
        stage_layers: staged.then(|| vec![1, degrees.layers()]),
        patch_size: image.then_some(14),
        ..ModelSpec::default()
    }
}

fn workload(degrees: &Degrees, c: &Choices, amount: WorkloadSpec) -> WorkloadSpec {
    WorkloadSpec {
        micro_batch: Some(c.micro_batch),
        // an interleaved pipeline takes its micro-batches in rounds of its stages
        grad_accum: Some(degrees.rounds * if degrees.chunks > 1 { degrees.pp } else { 1 }),
        precision: Some(c.precision),
        optimizer: Some(c.optimizer),
        checkpointing: Some(c.checkpointing),
        attention: Some(c.attention),
        task: c.classify.then(|| "classification".to_owned()),
        lora: c.lora.clone(),
        quantization: c.lora.as_ref().map(|_| c.quantization),
        ..amount
    }
}

/// A workload with sequences and a task that the model type has.
fn suited(workload: WorkloadSpec, model_type: ModelType, w: &Widths) -> WorkloadSpec {
    let encoder_decoder = model_type.family() == Family::T5;
    let compares = model_type.features().text_encoder.is_some();
    WorkloadSpec {
        // a multiple of every tensor-parallel degree
        seq_len: (model_type.family() != Family::Vit).then_some(4 * w.seq),
        decoder_seq_len: encoder_decoder.then_some(w.decoder_seq),
        task: workload.task.clone().filter(|_| !encoder_decoder && !compares),
        ..workload
    }
}

fn parallelism(degrees: &Degrees, c: &Choices) -> ParallelismSpec {
    let grouped = c.strategy == "hsdp" && degrees.dp > 1;
    // an image's patches and class token need not divide by the degree
    let sequence_parallel = c.sequence_parallel && degrees.model_type.family() != Family::Vit;
    let spec = ParallelismSpec {
        strategy: (degrees.dp > 1).then(|| c.strategy.parse().unwrap()),
        dp: Some(degrees.dp),
        tp: Some(degrees.tp),
        pp: Some(degrees.pp),
        tensor_scope: Some(if c.mlp_only { TensorScope::Mlp } else { TensorScope::Blocks }),
        sequence_parallel: Some(sequence_parallel),
        shard_group: grouped.then(|| divisor(degrees.dp, &c.shard_group)),
        ..ParallelismSpec::default()
    };
    if degrees.chunks == 1 {
        return spec;
    }
    ParallelismSpec {
        schedule: Some(Schedule::Interleaved),
        virtual_stages: Some(degrees.chunks),
        ..spec
    }
}

fn system(degrees: &Degrees) -> SystemSpec {
    SystemSpec {
        gpu: Some("a100-sxm4-80gb".to_owned()),
        gpus: Some(degrees.gpus()),
        gpus_per_node: Some(divisor(degrees.gpus(), &degrees.node)),
        ..SystemSpec::default()
    }
}
