//! The collectives of a job, one operation each, with their groups and buffers.
//!
//! Ranks of a job are numbered with the tensor-parallel ones innermost, then the context-parallel, the data-parallel, and the
//! pipeline's stages (Megatron-LM, `parallel_state.py`, order `tp-cp-ep-dp-pp`).
//!
//! Sources: Rajbhandari et al. 2020 (ZeRO), Shoeybi et al. 2019 (tensor parallelism), Korthikanti et al. 2022 (sequence
//! parallelism), Liu et al. 2023 (context parallelism in a ring), Lepikhin et al. 2021 (expert parallelism), Narayanan et al. 2021 (pipeline).

use super::collective::{Collective, CollectiveKind, CollectiveRole, Span};
use super::layers::repeats_last_product;
use super::optimizer::{StageParameters, frozen_parameters, trained_experts, trained_parameters};
use super::{Ledger, Op, OpKind, Phase};
use crate::base::units::{Bytes, Flops};
use crate::job::Job;
use crate::job::parallelism::{ContextExchange, DataParallel, TensorScope};
use crate::job::workload::{
    Checkpointing, Framework, Optimizer, Precision, StatePrecision, Workload,
};

/// Writes the collectives of one stage into the ledger.
pub(super) fn count(job: &Job, held: &StageParameters, ledger: &mut Ledger) {
    tensor(job, ledger);
    context(job, ledger);
    experts(job, ledger);
    pipeline(job, ledger);
    tied_embedding(job, ledger);
    data(job, held, ledger);
}

/// The slowest link of groups of `ranks` GPUs `stride` apart: the network if any group spans two nodes.
const fn span(job: &Job, ranks: u64, stride: u64) -> Span {
    // blocks of ranks · stride GPUs are contiguous; if a node does not hold a whole number of them, one block spans two
    // nodes
    let whole = job.system.gpus_per_node.is_multiple_of(ranks * stride);
    if whole || job.system.nodes() == 1 { Span::Node } else { Span::Network }
}

/// The slowest link between the GPUs of pipeline stages `from` and `to`.
pub(super) const fn span_between_stages(job: &Job, from: u64, to: u64) -> Span {
    let stride = job.parallelism.replicas() * job.parallelism.tp;
    let (low, high) = if from < to { (from, to) } else { (to, from) };
    let per_node = job.system.gpus_per_node;
    let apart = (low * stride) / per_node != ((high + 1) * stride - 1) / per_node;
    if apart { Span::Network } else { Span::Node }
}

/// GPUs in one node of a group of `ranks` GPUs `stride` apart.
fn ranks_per_node(job: &Job, ranks: u64, stride: u64) -> u64 {
    (job.system.gpus_per_node / stride).clamp(1, ranks.max(1))
}

fn push(ledger: &mut Ledger, phase: Phase, count: f64, collective: Collective) {
    if count > 0.0 && collective.ranks > 1 && collective.buffer.value() > 0.0 {
        ledger.ops.push(Op {
            kind: OpKind::Collective(collective),
            phase,
            count,
            flops: Flops::ZERO,
            // a collective reads and writes its buffer in memory once
            bytes: collective.buffer * 2.0,
            kernels: 1.0,
        });
    }
}

/// Tensor parallelism: one all-reduce per split block in the forward pass, and one in the backward pass for each input
/// of split projections; cross-attention has two inputs, and that from the encoder is as long as its sequence. With
/// sequence parallelism each becomes a reduce-scatter and an all-gather with the same bytes in total.
fn tensor(job: &Job, ledger: &mut Ledger) {
    let (a, w, p) = (&job.architecture, &job.workload, &job.parallelism);
    if p.tp == 1 {
        return;
    }
    let act = w.precision.bytes();
    let h = a.hidden_size as f64;
    let per_token = h * act;
    let blocks = p.tensor_scope == TensorScope::Blocks;
    // a rank has its part of each sequence
    let sequences = w.micro_sequences() as f64 / p.cp as f64;
    let (encoder, decoder) = if a.encoder_layers > 0 {
        (a.encoder_layers as f64, a.layers as f64)
    } else {
        (0.0, p.stage_layers(a, ledger.stage) as f64)
    };
    let per_layer = if blocks { 2.0 } else { 1.0 };
    let decoder_seq = if a.encoder_layers > 0 { w.decoder_seq_len } else { w.seq_len } as f64;
    let cross = if a.encoder_layers > 0 && blocks { 1.0 } else { 0.0 };
    for (layers, of_layer, seq) in
        [(encoder, per_layer, w.seq_len as f64), (decoder, per_layer + cross, decoder_seq)]
    {
        let frozen = if layers > 0.0 { w.frozen_layers as f64 } else { 0.0 };
        let count = layers * of_layer;
        // frozen layers are passed forward alone
        let trained_layers = layers - frozen;
        let trained = trained_layers * of_layer;
        let buffer = Bytes::new(sequences * seq * per_token);
        // the exchange after the last product of a layer is not repeated where the product is not
        let recompute = match w.checkpointing {
            Checkpointing::Full if repeats_last_product(a, w) => trained,
            Checkpointing::Full => trained - trained_layers,
            Checkpointing::Selective | Checkpointing::None => 0.0,
        };
        for (phase, count) in
            [(Phase::Forward, count), (Phase::Recompute, recompute), (Phase::Backward, trained)]
        {
            all_reduce(
                job,
                ledger,
                CollectiveRole::TensorParallelActivations,
                phase,
                count,
                buffer,
            );
        }
    }
    // each decoder layer's cross-attention reads the encoder's output with split key and value projections
    let encoder_output = Bytes::new(sequences * w.seq_len as f64 * per_token);
    all_reduce(
        job,
        ledger,
        CollectiveRole::TensorParallelActivations,
        Phase::Backward,
        decoder * cross,
        encoder_output,
    );
    if blocks && a.vocab_size > 0 {
        if ledger.stage == 0 {
            let buffer = Bytes::new(job.micro_positions_of_rank() * per_token);
            all_reduce(
                job,
                ledger,
                CollectiveRole::TensorParallelEmbedding,
                Phase::Forward,
                1.0,
                buffer,
            );
        }
        if ledger.stage == p.head_stage(a) && w.task.predicts_words() {
            let buffer = Bytes::new(sequences * decoder_seq * per_token);
            all_reduce(
                job,
                ledger,
                CollectiveRole::TensorParallelLogits,
                Phase::Backward,
                1.0,
                buffer,
            );
        }
    }
}

/// An all-reduce among tensor-parallel ranks, or its two halves with sequence parallelism.
fn all_reduce(
    job: &Job,
    ledger: &mut Ledger,
    role: CollectiveRole,
    phase: Phase,
    count: f64,
    buffer: Bytes,
) {
    let p = &job.parallelism;
    let collective = |kind| Collective {
        role,
        kind,
        buffer,
        ranks: p.tp,
        ranks_per_node: ranks_per_node(job, p.tp, 1),
        span: span(job, p.tp, 1),
    };
    if p.sequence_parallel {
        push(ledger, phase, count, collective(CollectiveKind::ReduceScatter));
        push(ledger, phase, count, collective(CollectiveKind::AllGather));
    } else {
        push(ledger, phase, count, collective(CollectiveKind::AllReduce));
    }
}

/// Context parallelism: each layer's attention needs the keys and values of the whole sequence.
///
/// In a ring they are sent on `cp` − 1 times in the forward pass; in the backward pass again, and their gradients come round
/// to the rank that they belong to in `cp` sends (TransformerEngine, `context_parallel.py`, `AttnFuncWithCPAndKVP2P`).
/// Gathered, they are gathered for both passes, and their gradients are reduced and scattered (`AttnFuncWithCPAndKVAllGather`).
fn context(job: &Job, ledger: &mut Ledger) {
    let (a, w, p) = (&job.architecture, &job.workload, &job.parallelism);
    if p.cp == 1 {
        return;
    }
    let layers = p.stage_layers(a, ledger.stage) as f64;
    let trained = layers - w.frozen_layers as f64;
    let whole = Bytes::new(keys_and_values(job) * w.precision.bytes());
    let span = span(job, p.cp, p.tp);
    let collective = |kind, buffer, ranks, ranks_per_node| Collective {
        role: CollectiveRole::ContextParallelKeysAndValues,
        kind,
        buffer,
        ranks,
        ranks_per_node,
        span,
    };
    let again = match w.checkpointing {
        Checkpointing::None => 0.0,
        Checkpointing::Selective | Checkpointing::Full => trained,
    };
    match p.context_exchange {
        ContextExchange::Ring => {
            let cp = p.cp as f64;
            let send = collective(CollectiveKind::Send, whole / cp, 2, 1);
            push(ledger, Phase::Forward, layers * (cp - 1.0), send);
            push(ledger, Phase::Recompute, again * (cp - 1.0), send);
            push(ledger, Phase::Backward, trained * (2.0 * cp - 1.0), send);
        }
        ContextExchange::AllGather => {
            let in_node = ranks_per_node(job, p.cp, p.tp);
            let gather = collective(CollectiveKind::AllGather, whole, p.cp, in_node);
            let scatter = collective(CollectiveKind::ReduceScatter, whole, p.cp, in_node);
            push(ledger, Phase::Forward, layers, gather);
            push(ledger, Phase::Recompute, again, gather);
            push(ledger, Phase::Backward, trained, gather);
            push(ledger, Phase::Backward, trained, scatter);
        }
    }
}

/// Expert parallelism: in each layer with experts every token is sent to the ranks of those that it visits, and what they
/// make of it is sent back (Lepikhin et al. 2021, arXiv 2006.16668); gradients go the same ways. Counted with equal numbers of
/// tokens for all experts.
fn experts(job: &Job, ledger: &mut Ledger) {
    let (a, w, p) = (&job.architecture, &job.workload, &job.parallelism);
    let Some(mixture) = a.experts.filter(|_| p.ep > 1) else { return };
    let layers = p.stage_layers(a, ledger.stage) as f64;
    let share = a.expert_layers() as f64 / a.layers as f64;
    let (sparse, trained) = (layers * share, (layers - w.frozen_layers as f64) * share);
    let split = if p.sequence_parallel { p.tp as f64 } else { 1.0 };
    let tokens = job.micro_positions_of_rank() * mixture.top_k as f64 / split;
    let exchange = Collective {
        role: CollectiveRole::ExpertParallelTokens,
        kind: CollectiveKind::AllToAll,
        buffer: Bytes::new(tokens * a.hidden_size as f64 * w.precision.bytes()),
        ranks: p.ep,
        ranks_per_node: ranks_per_node(job, p.ep, p.tp),
        span: span(job, p.ep, p.tp),
    };
    let again = if w.checkpointing == Checkpointing::Full { trained } else { 0.0 };
    push(ledger, Phase::Forward, 2.0 * sparse, exchange);
    push(ledger, Phase::Recompute, 2.0 * again, exchange);
    push(ledger, Phase::Backward, 2.0 * trained, exchange);
}

/// Numbers in the keys and values of a layer that a tensor-parallel rank holds, of whole sequences of a micro-batch.
pub(crate) fn keys_and_values(job: &Job) -> f64 {
    let (a, p) = (&job.architecture, &job.parallelism);
    let keys = p.kv_heads_of_rank(a) * a.head_dim;
    let values = match a.latent {
        Some(latent) => p.kv_heads_of_rank(a) * latent.value_head_dim,
        None => keys,
    };
    (job.workload.micro_positions() * (keys + values)) as f64
}

/// A pipeline: activations forward and gradients backward over each boundary, once per chunk.
fn pipeline(job: &Job, ledger: &mut Ledger) {
    let (a, w, p) = (&job.architecture, &job.workload, &job.parallelism);
    if p.pp == 1 {
        return;
    }
    let split = if p.sequence_parallel { p.tp as f64 } else { 1.0 };
    let buffer = Bytes::new(
        job.micro_positions_of_rank() * a.hidden_size as f64 * w.precision.bytes() / split,
    );
    // each stage sends to the next one and its gradients to the one before; with several chunks the ends are neighbours
    let stage = ledger.stage;
    let next = (stage + 1) % p.pp;
    let before = (stage + p.pp - 1) % p.pp;
    let to = |other| Collective {
        role: CollectiveRole::PipelineActivations,
        kind: CollectiveKind::Send,
        buffer,
        ranks: 2,
        ranks_per_node: 1,
        span: span_between_stages(job, stage, other),
    };
    let chunks = p.virtual_stages as f64;
    let wraps = if p.virtual_stages > 1 { 1.0 } else { 0.0 };
    let forward = if ledger.stage + 1 < p.pp { chunks } else { (chunks - 1.0) * wraps };
    let backward = if ledger.stage > 0 { chunks } else { (chunks - 1.0) * wraps };
    push(ledger, Phase::Forward, forward, to(next));
    push(ledger, Phase::Backward, backward, to(before));
}

/// The two copies of a tied embedding, on the first stage and on that of the output projection: an all-reduce of their
/// gradients once a step (Megatron-LM, `finalize_model_grads`: "All-reduce word embedding grads").
fn tied_embedding(job: &Job, ledger: &mut Ledger) {
    let (a, w, p) = (&job.architecture, &job.workload, &job.parallelism);
    let head = p.head_stage(a);
    let copied = a.tied_embeddings && head > 0 && w.task.predicts_words();
    let holds = ledger.stage == 0 || ledger.stage == head;
    if !copied || !holds || w.lora.is_some() {
        return;
    }
    let split = if p.tensor_scope == TensorScope::Blocks { p.tp as f64 } else { 1.0 };
    let parameters = (a.padded_vocab() * a.embedding_size) as f64 / split;
    let span = span_between_stages(job, 0, head);
    let sum = Collective {
        role: CollectiveRole::TiedEmbeddingGradients,
        kind: CollectiveKind::AllReduce,
        buffer: Bytes::new(parameters * gradient_bytes(w, p.data)),
        ranks: 2,
        ranks_per_node: match span {
            Span::Node => 2,
            Span::Network => 1,
        },
        span,
    };
    push(ledger, Phase::Step, 1.0, sum);
}

/// Bytes of a parameter's gradient as it is communicated.
///
/// Under autocast the weights are in 32 bits and so are the gradients that DDP sums (PyTorch, `torch.amp`: autocast
/// does not change the parameters). FSDP's mixed precision computes and reduces in half precision (PyTorch,
/// `MixedPrecisionPolicy`:
/// `reduce_dtype` is `param_dtype` when absent), ZeRO has half-precision gradients (Rajbhandari et al. 2020, section 3.1).
/// Megatron-LM sums bfloat16 gradients in 32 bits (`arguments.py`: "accumulate and all-reduce gradients in fp32 for
/// bfloat16 data type") and float16 ones as they are; nanotron sums its 32-bit accumulators
/// (`accumulate_grad_in_fp32`). With weights in bfloat16 all gradients are bfloat16.
pub(super) const fn gradient_bytes(w: &Workload, data: DataParallel) -> f64 {
    let (whole, half) = (4.0, 2.0);
    if matches!(w.state_precision, StatePrecision::Bf16) {
        return half;
    }
    if !w.precision.mixed() {
        return whole;
    }
    match w.framework.framework {
        Framework::Megatron => match w.precision {
            Precision::Fp16 => half,
            Precision::Fp32 | Precision::Tf32 | Precision::Bf16 | Precision::Fp8 => whole,
        },
        Framework::Nanotron => whole,
        Framework::MegatronDeepspeed | Framework::Deepspeed => half,
        Framework::Accelerate
        | Framework::Fsdp2
        | Framework::LlmFoundry
        | Framework::Jax
        | Framework::Pytorch
        | Framework::Unknown => match data {
            DataParallel::Single | DataParallel::Ddp => whole,
            DataParallel::Zero1 | DataParallel::Zero2 | DataParallel::Fsdp | DataParallel::Hsdp => {
                half
            }
        },
    }
}

/// Data parallelism: gradients once a step; with FSDP parameters and gradients every micro-step.
///
/// FSDP's units are the layers and a root with what no layer holds: embedding, output projection, final norm. PyTorch
/// keeps the root's parameters after its forward pass (`fully_shard`: "`reshard_after_forward` … True for non-root
/// modules and False for root modules"; FSDP1 does the same), so that a micro-step gathers each layer twice and the
/// root once.
fn data(job: &Job, held: &StageParameters, ledger: &mut Ledger) {
    let (a, w, p) = (&job.architecture, &job.workload, &job.parallelism);
    if p.replicas() == 1 {
        return;
    }
    let trained = trained_parameters(job, ledger.stage, held);
    // fewer ranks hold the same experts than hold the same other weights, and they are further apart
    let experts = if p.ep > 1 { trained_experts(job, ledger.stage, held) } else { 0.0 };
    let parts = [(1, trained - experts), (p.ep, experts)];
    let bytes = w.precision.bytes();
    let over = |role, kind, parameters: f64, bytes, ranks, stride| Collective {
        role,
        kind,
        buffer: Bytes::new(parameters * bytes),
        ranks,
        ranks_per_node: ranks_per_node(job, ranks, stride),
        span: span(job, ranks, stride),
    };
    let gather_bytes = |split, parameters, bytes| {
        let (role, kind) = (CollectiveRole::ParameterGather, CollectiveKind::AllGather);
        over(role, kind, parameters, bytes, p.shard_group / split, p.tp * split)
    };
    let gather = |split, parameters| gather_bytes(split, parameters, bytes);
    let of_gradient = gradient_bytes(w, p.data);
    let reduce = |kind, split, parameters| {
        let ranks = if p.data.shards_gradients() { p.shard_group } else { p.replicas() };
        let role = CollectiveRole::GradientReduction;
        over(role, kind, parameters, of_gradient, ranks / split, p.tp * split)
    };
    if w.optimizer == Optimizer::Muon && p.data.shards_optimizer() {
        // in bfloat16, on the ranks that update the matrices (Liu et al. 2025, arXiv 2502.16982, algorithm 1)
        let (role, kind) = (CollectiveRole::MomentumGather, CollectiveKind::AllGather);
        for (split, matrices) in [(1, held.projections - experts), (p.ep, experts)] {
            let (ranks, stride) = (p.shard_group / split, p.tp * split);
            push(ledger, Phase::Step, 1.0, over(role, kind, matrices, 2.0, ranks, stride));
        }
    }
    match p.data {
        DataParallel::Single => {}
        DataParallel::Ddp => {
            for (split, trained) in parts {
                let sum = reduce(CollectiveKind::AllReduce, split, trained);
                push(ledger, Phase::Step, 1.0, sum);
            }
        }
        DataParallel::Zero1 | DataParallel::Zero2 => {
            let zero1 = p.data == DataParallel::Zero1;
            let phase = if zero1 { Phase::Step } else { Phase::Backward };
            for (split, trained) in parts {
                push(ledger, phase, 1.0, reduce(CollectiveKind::ReduceScatter, split, trained));
                push(ledger, Phase::Step, 1.0, gather(split, trained));
            }
        }
        DataParallel::Fsdp | DataParallel::Hsdp => {
            let layers = (p.stage_layers(a, ledger.stage) + a.encoder_layers) as f64;
            let trained_layers = layers - w.frozen_layers as f64;
            // adapters are in the layers; without them all parameters of the root are trained, but for a frozen embedding
            let of_layers = (held.layers - held.beside_layers) * w.frozen_layers as f64 / layers;
            let embedding = frozen_parameters(job, held) - of_layers;
            let trained_root = if w.lora.is_some() { 0.0 } else { held.root() - embedding };
            let scatter =
                |split, parameters| reduce(CollectiveKind::ReduceScatter, split, parameters);
            // the root keeps its parameters from the forward pass, since the backward pass begins with them
            push(ledger, Phase::Forward, 1.0, gather(1, held.root()));
            push(ledger, Phase::Backward, 1.0, scatter(1, trained_root));
            let experts_bytes = if p.ep > 1 { held.experts_bytes(job) } else { 0.0 };
            let others =
                (1, held.layers_bytes(job) - experts_bytes, trained - trained_root - experts);
            for (split, bytes, trained) in [others, (p.ep, experts_bytes, experts)] {
                // the layers of an encoder and of a decoder differ; their mean has the bytes of all
                let of_layer = gather_bytes(split, 1.0, bytes / layers);
                push(ledger, Phase::Forward, layers, of_layer);
                push(ledger, Phase::Backward, trained_layers, of_layer);
                let of_layer = scatter(split, trained / trained_layers);
                push(ledger, Phase::Backward, trained_layers, of_layer);
            }
            let replicas = p.replicas() / p.shard_group;
            if replicas > 1 {
                let between = over(
                    CollectiveRole::GradientReductionBetweenGroups,
                    CollectiveKind::AllReduce,
                    p.shard(trained, experts),
                    of_gradient,
                    replicas,
                    p.tp * p.shard_group,
                );
                push(ledger, Phase::Step, 1.0, between);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::AttentionFlops;
    use crate::cost::optimizer::stage_parameters;
    use crate::job::JobSpec;
    use crate::job::catalog::Catalog;

    fn job(parallelism: &str, gpus: u64, per_node: u64) -> Job {
        let text = format!(
            "model = {{ family = 'gpt2', layers = 4, hidden_size = 384, heads = 6 }}\n\
             workload = {{ steps = 1, seq_len = 8, micro_batch = 1, grad_accum = 4 }}\n\
             parallelism = {{ {parallelism} }}\n\
             system = {{ gpu = 'a100-sxm4-80gb', gpus = {gpus}, gpus_per_node = {per_node} }}"
        );
        JobSpec::from_toml(&text).unwrap().resolve(&Catalog::built_in().unwrap()).unwrap()
    }

    fn spans(job: &Job, stage: u64, role: CollectiveRole) -> Vec<Span> {
        let ledger = Ledger::for_stage(job, stage, AttentionFlops::Full);
        let collectives = ledger.ops.iter().filter_map(Op::collective);
        collectives.filter(|c| c.role == role).map(|c| c.span).collect()
    }

    #[test]
    fn a_pipeline_crosses_the_network_where_its_neighbour_is_on_another_node() {
        let job = job("tp = 2, dp = 2, pp = 4", 16, 8);
        assert_eq!(spans(&job, 0, CollectiveRole::PipelineActivations), [Span::Node]);
        assert_eq!(
            spans(&job, 1, CollectiveRole::PipelineActivations),
            [Span::Network, Span::Node]
        );
        assert_eq!(
            spans(&job, 2, CollectiveRole::PipelineActivations),
            [Span::Node, Span::Network]
        );
        assert_eq!(spans(&job, 3, CollectiveRole::PipelineActivations), [Span::Node]);
    }

    #[test]
    fn an_interleaved_pipelines_last_stage_sends_on_to_its_first() {
        let job = job("pp = 2, schedule = 'interleaved', virtual_stages = 2", 2, 1);
        assert_eq!(spans(&job, 1, CollectiveRole::PipelineActivations), [Span::Network; 2]);
    }

    #[test]
    fn groups_that_do_not_fill_a_node_cross_the_network_somewhere() {
        // nodes of four hold one group of three whole, and break the next
        assert!(
            spans(&job("tp = 3, dp = 4", 12, 4), 0, CollectiveRole::TensorParallelActivations)
                .contains(&Span::Network)
        );
        assert!(
            spans(&job("tp = 2, dp = 6", 12, 4), 0, CollectiveRole::TensorParallelActivations)
                .contains(&Span::Node)
        );
        assert_eq!(
            spans(&job("tp = 2, dp = 6", 12, 4), 0, CollectiveRole::GradientReduction),
            [Span::Network]
        );
        assert_eq!(
            spans(&job("tp = 2, dp = 3", 6, 6), 0, CollectiveRole::GradientReduction),
            [Span::Node]
        );
    }

    #[test]
    fn a_ring_all_reduce_sends_twice_what_a_gather_sends() {
        let of = |kind| Collective {
            role: CollectiveRole::GradientReduction,
            kind,
            buffer: Bytes::new(800.0),
            ranks: 8,
            ranks_per_node: 8,
            span: Span::Node,
        };
        assert_eq!(of(CollectiveKind::AllReduce).sent_per_gpu(), Bytes::new(1400.0));
        assert_eq!(of(CollectiveKind::AllGather).sent_per_gpu(), Bytes::new(700.0));
        assert_eq!(of(CollectiveKind::Send).sent_per_gpu(), Bytes::new(800.0));
    }

    /// NCCL's rings over whole nodes: Ψ = 1,600 B among 16 GPUs on two nodes of 8; a GPU sends 2 · 1,600 · 15/16 =
    /// 3,000 B, and each of a node's 8 adapters 375 B.
    #[test]
    fn gpus_of_a_node_share_the_traffic_between_nodes() {
        let sixteen = Collective {
            role: CollectiveRole::GradientReduction,
            kind: CollectiveKind::AllReduce,
            buffer: Bytes::new(1600.0),
            ranks: 16,
            ranks_per_node: 8,
            span: Span::Network,
        };
        assert_eq!(sixteen.network_bytes_per_gpu(), Bytes::new(375.0));
        assert_eq!(sixteen.node_link_bytes_per_gpu(), Bytes::new(3000.0));
        let one_a_node = Collective { ranks_per_node: 1, ..sixteen };
        assert_eq!(one_a_node.network_bytes_per_gpu(), Bytes::new(3000.0));
        assert_eq!(one_a_node.node_link_bytes_per_gpu(), Bytes::ZERO);
        let in_node = Collective { span: Span::Node, ..sixteen };
        assert_eq!(in_node.network_bytes_per_gpu(), Bytes::ZERO);
        assert_eq!(in_node.node_link_bytes_per_gpu(), Bytes::new(3000.0));
    }

    fn members(job: &Job, role: CollectiveRole) -> u64 {
        let ledger = Ledger::for_stage(job, 0, AttentionFlops::Full);
        let mut collectives = ledger.ops.iter().filter_map(Op::collective);
        collectives.find(|c| c.role == role).unwrap().ranks_per_node
    }

    #[test]
    fn members_of_a_node_follow_from_the_stride_of_a_group() {
        use CollectiveRole as R;
        // data-parallel ranks are tp apart: four of each group in a node of eight
        let split = job("tp = 2, dp = 8", 16, 8);
        assert_eq!(members(&split, R::GradientReduction), 4);
        assert_eq!(members(&split, R::TensorParallelActivations), 2);
        let hybrid = job("strategy = 'hsdp', shard_group = 4", 16, 8);
        assert_eq!(members(&hybrid, R::ParameterGather), 4);
        assert_eq!(members(&hybrid, R::GradientReductionBetweenGroups), 2);
        // groups of the node's eight GPUs: each of their ranks has its partners on other nodes
        let whole_nodes = job("strategy = 'hsdp', shard_group = 8", 16, 8);
        assert_eq!(members(&whole_nodes, R::GradientReductionBetweenGroups), 1);
        assert_eq!(members(&job("pp = 2", 2, 1), R::PipelineActivations), 1);
    }

    /// Four layers of two blocks: eight exchanges a pass and the embedding's, whether in one collective or in two
    /// halves.
    #[test]
    fn the_halves_of_sequence_parallelism_are_one_exchange() {
        let of = |extra: &str| {
            let ledger = Ledger::for_stage(&job(extra, 2, 2), 0, AttentionFlops::Full);
            let of_forward = ledger.ops.iter().filter(|op| op.phase == Phase::Forward);
            let (mut exchanges, mut sent) = (0.0, 0.0);
            for (op, collective) in of_forward.filter_map(|op| Some((op, op.collective()?))) {
                exchanges += collective.exchanges() * op.count;
                sent += collective.sent_per_gpu().value() * op.count;
            }
            (exchanges, sent)
        };
        // each all-reduce sends 2 · (1/2) · 8 positions · 384 · 2 B
        let whole = (9.0, 9.0 * 6144.0);
        assert_eq!(of("tp = 2"), whole);
        assert_eq!(of("tp = 2, sequence_parallel = true"), whole);
    }

    /// One layer of a Llama with h = 64, f = 4, a vocabulary of 100: attention 4 · 64², feed-forward 3 · 64 · 4, norms
    /// 2 · 64; the root has two vocabulary matrices of 100 × 64 and the final norm of 64; all in 2 bytes.
    #[test]
    fn fsdp_gathers_each_layer_twice_and_the_root_once() {
        let text = "model = { family = 'llama', layers = 3, hidden_size = 64, heads = 4, ffn_size = 4, vocab_size = 100 }
             workload = { steps = 1, seq_len = 8, micro_batch = 1 }
             parallelism = { strategy = 'fsdp' }
             system = { gpu = 'a100-sxm4-80gb', gpus = 4 }";
        let job = JobSpec::from_toml(text).unwrap().resolve(&Catalog::built_in().unwrap()).unwrap();
        let ledger = Ledger::for_stage(&job, 0, AttentionFlops::Full);
        let all = |role, phase| -> Vec<(f64, f64)> {
            let ops = ledger.ops.iter().filter(|op| op.phase == phase);
            let ops = ops.filter_map(|op| Some((op.count, op.collective()?)));
            ops.filter(|(_, c)| c.role == role).map(|(n, c)| (n, c.buffer.value())).collect()
        };
        let layer = 2.0 * (4.0 * 4096.0 + 768.0 + 128.0);
        let root = 2.0 * (2.0 * 6400.0 + 64.0);
        let gathered = CollectiveRole::ParameterGather;
        assert_eq!(all(gathered, Phase::Forward), [(1.0, root), (3.0, layer)]);
        assert_eq!(all(gathered, Phase::Backward), [(3.0, layer)]);
        let reduced = CollectiveRole::GradientReduction;
        assert_eq!(all(reduced, Phase::Backward), [(1.0, root), (3.0, layer)]);
    }

    /// Bytes a parameter of the gradients' buffer, 4 layers of a GPT-2 with h = 384.
    fn bytes_per_gradient(strategy: &str, workload: &str) -> f64 {
        let text = format!(
            "model = {{ family = 'gpt2', layers = 4, hidden_size = 384, heads = 6 }}
             workload = {{ steps = 1, seq_len = 8, micro_batch = 1, {workload} }}
             parallelism = {{ strategy = '{strategy}' }}
             system = {{ gpu = 'h100-sxm5-80gb', gpus = 8 }}"
        );
        let job =
            JobSpec::from_toml(&text).unwrap().resolve(&Catalog::built_in().unwrap()).unwrap();
        let ledger = Ledger::for_stage(&job, 0, AttentionFlops::Full);
        let ops = ledger.ops.iter().filter_map(|op| Some((op.count, op.collective()?)));
        let gradients = ops.filter(|(_, c)| c.role == CollectiveRole::GradientReduction);
        gradients.map(|(n, c)| n * c.buffer.value()).sum::<f64>()
            / trained_parameters(&job, 0, &stage_parameters(&job, 0))
    }

    #[test]
    fn gradients_are_communicated_in_the_precision_of_the_framework() {
        for (strategy, workload, bytes) in [
            // autocast leaves weights and gradients in 32 bits
            ("ddp", "precision = 'bf16'", 4.0),
            ("ddp", "precision = 'fp16'", 4.0),
            ("ddp", "precision = 'fp32'", 4.0),
            ("fsdp", "precision = 'bf16'", 2.0),
            ("zero1", "precision = 'bf16'", 2.0),
            ("ddp", "precision = 'fp16', framework = 'deepspeed'", 2.0),
            ("zero1", "precision = 'bf16', framework = 'megatron'", 4.0),
            ("zero1", "precision = 'fp16', framework = 'megatron'", 2.0),
            ("zero1", "precision = 'bf16', framework = 'nanotron'", 4.0),
            ("ddp", "precision = 'bf16', state_precision = 'bf16'", 2.0),
        ] {
            assert_eq!(bytes_per_gradient(strategy, workload), bytes, "{strategy}, {workload}");
        }
    }

    fn of_role(job: &Job, stage: u64, role: CollectiveRole) -> Vec<(Phase, f64, Collective)> {
        let ledger = Ledger::for_stage(job, stage, AttentionFlops::Full);
        let found =
            ledger.ops.iter().filter_map(|op| Some((op.phase, op.count, *op.collective()?)));
        found.filter(|(_, _, c)| c.role == role).collect()
    }

    /// Sequences of 8 positions over 4 ranks, 4 layers with keys and values of width 384 each, 2 B a number: 8 · 2 · 384 · 2 =
    /// 12,288 B of a whole sequence, 3,072 B of a rank. A ring sends 3 times forward, and 3 + 4 times backward; gathers and
    /// the scatter move the whole.
    #[test]
    fn context_parallel_ranks_exchange_keys_and_values() {
        let role = CollectiveRole::ContextParallelKeysAndValues;
        let sum = |parallelism: &str, per_node: u64, phase| -> (f64, f64) {
            let found = of_role(&job(parallelism, 8, per_node), 0, role);
            let of_phase = found.iter().filter(|(p, ..)| *p == phase);
            of_phase.fold((0.0, 0.0), |(sent, network), (_, count, c)| {
                (
                    sent + count * c.sent_per_gpu().value(),
                    network + count * c.network_bytes_per_gpu().value(),
                )
            })
        };
        let ring = "cp = 4, context_exchange = 'ring'";
        let (part, whole) = (3_072.0, 12_288.0);
        assert_eq!(sum(ring, 8, Phase::Forward), (4.0 * 3.0 * part, 0.0));
        assert_eq!(sum(ring, 8, Phase::Backward), (4.0 * 7.0 * part, 0.0));
        // the slowest of the ring's links is the network, each rank with an adapter of its own
        assert_eq!(sum(ring, 2, Phase::Forward), (4.0 * 3.0 * part, 4.0 * 3.0 * part));
        let gathered = "cp = 4, context_exchange = 'all-gather'";
        assert_eq!(sum(gathered, 8, Phase::Forward), (4.0 * 0.75 * whole, 0.0));
        assert_eq!(sum(gathered, 8, Phase::Backward), (4.0 * 2.0 * 0.75 * whole, 0.0));
        // two of a group's ranks in a node share its adapters
        assert_eq!(sum(gathered, 2, Phase::Forward).1, 4.0 * 0.75 * whole / 2.0);
        // half of the heads on a tensor-parallel rank
        let split = "cp = 4, tp = 2, context_exchange = 'ring'";
        assert_eq!(sum(split, 8, Phase::Forward).0, 4.0 * 3.0 * part / 2.0);
    }

    /// Four experts of 3 · 64 · 12 weights in each of two layers, four ranks and two of them for each half of the experts.
    /// Sequences of 8, two experts a token, width 64, 2 B: all-to-all buffers of 2,048 B.
    #[test]
    fn expert_parallel_ranks_exchange_tokens_and_sum_their_experts() {
        let job = |parallelism: &str, per_node: u64| {
            let text = format!(
                "model = {{ family = 'mixtral', layers = 2, hidden_size = 64, heads = 4, ffn_size = 12, vocab_size = 4,
                            experts = 4, top_k = 2 }}
                 workload = {{ steps = 1, seq_len = 8, micro_batch = 1, precision = 'bf16' }}
                 parallelism = {{ {parallelism} }}
                 system = {{ gpu = 'a100-sxm4-80gb', gpus = 4, gpus_per_node = {per_node} }}"
            );
            JobSpec::from_toml(&text).unwrap().resolve(&Catalog::built_in().unwrap()).unwrap()
        };
        let tokens = of_role(&job("ep = 2", 4), 0, CollectiveRole::ExpertParallelTokens);
        let dispatch = Collective {
            role: CollectiveRole::ExpertParallelTokens,
            kind: CollectiveKind::AllToAll,
            buffer: Bytes::new(8.0 * 2.0 * 64.0 * 2.0),
            ranks: 2,
            ranks_per_node: 2,
            span: Span::Node,
        };
        assert_eq!(tokens, [(Phase::Forward, 4.0, dispatch), (Phase::Backward, 4.0, dispatch)]);
        assert_eq!(dispatch.sent_per_gpu(), Bytes::new(1024.0));
        // of four ranks on two nodes, each sends a quarter to the other one on its node and half to the other node
        let apart = of_role(&job("ep = 4", 2), 0, CollectiveRole::ExpertParallelTokens)[0].2;
        assert_eq!(apart.network_bytes_per_gpu(), Bytes::new(1024.0));
        assert_eq!(apart.node_link_bytes_per_gpu(), Bytes::new(512.0));

        let role = CollectiveRole::GradientReduction;
        let held = stage_parameters(&job("ep = 2", 4), 0);
        let experts = 2.0 * 2.0 * (3.0 * 64.0 * 12.0);
        let sums = of_role(&job("ep = 2", 4), 0, role);
        let of =
            |(_, _, c): &(Phase, f64, Collective)| (c.ranks, c.ranks_per_node, c.buffer.value());
        assert_eq!(of(&sums[0]), (4, 4, 4.0 * (held.total() - experts)));
        assert_eq!(of(&sums[1]), (2, 2, 4.0 * experts));
        // those that hold the same experts are two apart: on different nodes of two
        assert_eq!(of(&of_role(&job("ep = 2", 2), 0, role)[1]), (2, 1, 4.0 * experts));
        // with as many ranks as experts' parts no other rank has the same
        assert_eq!(of_role(&job("ep = 4", 4), 0, role).len(), 1);
        // FSDP scatters what a rank holds of each layer
        let scattered = of_role(&job("strategy = 'fsdp', ep = 2", 4), 0, role);
        let bytes: f64 = scattered.iter().map(|(_, count, c)| count * c.buffer.value()).sum();
        assert_eq!(bytes, 2.0 * held.total());
    }

    /// Two data-parallel groups of four context-parallel ranks sum gradients together, among all eight.
    #[test]
    fn context_parallel_ranks_sum_gradients() {
        let gradients = |parallelism: &str| {
            let job = job(parallelism, 8, 8);
            let found = of_role(&job, 0, CollectiveRole::GradientReduction);
            (found[0].2.ranks, found[0].2.buffer, found[0].2.span)
        };
        assert_eq!(gradients("cp = 4"), gradients("dp = 8"));
        assert_eq!(gradients("strategy = 'zero1', cp = 4"), gradients("strategy = 'zero1'"));
    }

    /// GPT-2's embedding of 50,257 × 384, half of it on each of two tensor-parallel ranks, gradients of 4 B under
    /// autocast.
    #[test]
    fn a_pipeline_sums_the_gradients_of_a_tied_embedding() {
        let role = CollectiveRole::TiedEmbeddingGradients;
        let piped = job("tp = 2, pp = 3", 6, 6);
        let sum = Collective {
            role,
            kind: CollectiveKind::AllReduce,
            buffer: Bytes::new(50_257.0 * 384.0 / 2.0 * 4.0),
            ranks: 2,
            ranks_per_node: 2,
            span: Span::Node,
        };
        assert_eq!(of_role(&piped, 0, role), [(Phase::Step, 1.0, sum)]);
        assert_eq!(of_role(&piped, 1, role), []);
        assert_eq!(of_role(&piped, 2, role), [(Phase::Step, 1.0, sum)]);
        let apart = Collective { ranks_per_node: 1, span: Span::Network, ..sum };
        assert_eq!(of_role(&job("tp = 2, pp = 3", 6, 2), 0, role), [(Phase::Step, 1.0, apart)]);
        assert_eq!(of_role(&job("tp = 2", 2, 2), 0, role), []);
        let mut untied = piped;
        untied.architecture.tied_embeddings = false;
        assert_eq!(of_role(&untied, 0, role), []);
    }

    /// Sequences of 32 positions read, 8 written, width 64, 2 B: buffers of 4,096 and 1,024 B. One encoder layer has
    /// two blocks, two decoder layers three; backward each decoder layer also sums the gradient of the encoder's
    /// output.
    #[test]
    fn cross_attention_sums_the_gradient_of_the_encoders_output() {
        let text = "model = { family = 't5', layers = 2, encoder_layers = 1, hidden_size = 64, heads = 4, ffn_size = 12 }
             workload = { steps = 1, seq_len = 32, decoder_seq_len = 8, micro_batch = 1 }
             parallelism = { tp = 2 }
             system = { gpu = 'a100-sxm4-80gb', gpus = 2 }";
        let job = JobSpec::from_toml(text).unwrap().resolve(&Catalog::built_in().unwrap()).unwrap();
        let exchanges = of_role(&job, 0, CollectiveRole::TensorParallelActivations);
        let of = |phase| -> Vec<(f64, f64)> {
            let of_phase = exchanges.iter().filter(|(p, _, _)| *p == phase);
            of_phase.map(|(_, count, c)| (*count, c.buffer.value())).collect()
        };
        assert_eq!(of(Phase::Forward), [(2.0, 4096.0), (6.0, 1024.0)]);
        assert_eq!(of(Phase::Backward), [(2.0, 4096.0), (6.0, 1024.0), (2.0, 4096.0)]);
    }
}
