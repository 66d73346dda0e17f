//! What must hold for every job, whatever its family, strategy and sizes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helper functions of a test")]

use crate::jobs::{jobs, resolved};
use crate::roofline::answer;
use proptest::prelude::*;
use wattlaw::base::amount::Count;
use wattlaw::cost::{
    AttentionFlops, CollectiveKind, CollectiveRole, Cost, Ledger, Op, OpKind, Phase, Span, Totals,
};
use wattlaw::data::proxy::Proxies;
use wattlaw::job::model::{Family, ModelType};
use wattlaw::job::parallelism::{Parallelism, ParallelismSpec, Schedule, TensorScope};
use wattlaw::job::system::SystemSpec;
use wattlaw::job::task::Task;
use wattlaw::job::workload::{AttentionKernel, Checkpointing, Lora, LoraTarget, Quantization};
use wattlaw::job::{Job, JobSpec};
use wattlaw::law::roofline::terms::{Communication, StageTerms, Terms};
use wattlaw::memory::{Memory, MemoryPart, Recipe};

fn counted(job: &Job) -> Cost {
    Cost::count(job, AttentionFlops::Full)
}

fn model_flops(job: &Job) -> f64 {
    counted(job).model_flops_per_step.value()
}

fn hardware_flops(job: &Job) -> f64 {
    counted(job).hardware_per_step.flops.value()
}

/// Sums of floating-point terms in another order differ in the last digits.
pub fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}

/// The same training on one GPU.
fn on_one_gpu(spec: &JobSpec) -> JobSpec {
    let grad_accum = spec.workload.grad_accum.unwrap() * spec.parallelism.dp.unwrap();
    let mut alone = spec.clone();
    alone.parallelism = ParallelismSpec::default();
    alone.system = SystemSpec { gpu: spec.system.gpu.clone(), ..SystemSpec::default() };
    alone.workload.grad_accum = Some(grad_accum);
    alone
}

fn with(job: &Job, change: impl FnOnce(&mut Job)) -> Job {
    let mut job = job.clone();
    change(&mut job);
    job
}

/// Whether an operation is a layer's, not the embedding's, the output's or the step's.
fn of_a_layer(op: &Op) -> bool {
    op.phase != Phase::Step
        && !matches!(
            op.kind,
            OpKind::PatchProjection
                | OpKind::Embedding
                | OpKind::EmbeddingProjection
                | OpKind::FinalNorm
                | OpKind::MaskedLmTransform
                | OpKind::OutputProjection
                | OpKind::Logits
                | OpKind::Loss
                | OpKind::Pooler
                | OpKind::Classifier
        )
}

/// Whether something after the last product of a layer is saved for the backward pass, so that PyTorch's checkpoint
/// repeats the product: a norm, routing weights, or an adapter.
fn repeats_last_product(job: &Job) -> bool {
    let lora = job.workload.lora.as_ref();
    job.architecture.family() == Family::Bert
        || job.architecture.experts.is_some()
        || lora.is_some_and(|lora| lora.adapts(LoraTarget::Down))
}

/// FLOPs and bytes in a step of the last product of each layer, and bytes of the residual after it.
fn last_products(ledger: &Ledger) -> [f64; 2] {
    let forward = |kind: OpKind| {
        ledger.ops.iter().filter(move |op| op.kind == kind && op.phase == Phase::Forward)
    };
    let m = ledger.micro_steps as f64;
    let residuals = forward(OpKind::Residual);
    let bytes = forward(OpKind::FfnDown)
        .zip(residuals)
        .map(|(product, residual)| product.count * (product.bytes + residual.bytes).value());
    let flops = forward(OpKind::FfnDown).map(|op| op.count * op.flops.value());
    [m * flops.sum::<f64>(), m * bytes.sum::<f64>()]
}

/// Bytes a GPU of `ledger` sends in a step by operations that `keep` keeps.
fn sent(ledger: &Ledger, keep: impl Fn(&Op) -> bool) -> f64 {
    let of_op = |op: &Op| {
        let steps = if op.phase == Phase::Step { 1 } else { ledger.micro_steps };
        op.collective().map_or(0.0, |c| c.sent_per_gpu().value() * op.count * steps as f64)
    };
    ledger.ops.iter().filter(|op| keep(op)).map(of_op).sum()
}

fn has_role(op: &Op, roles: &[CollectiveRole]) -> bool {
    op.collective().is_some_and(|collective| roles.contains(&collective.role))
}

fn is_data_parallel(op: &Op) -> bool {
    use CollectiveRole as R;
    has_role(op, &[R::GradientReduction, R::ParameterGather, R::GradientReductionBetweenGroups])
}

fn is_tensor_parallel(op: &Op) -> bool {
    use CollectiveRole as R;
    has_role(
        op,
        &[R::TensorParallelActivations, R::TensorParallelEmbedding, R::TensorParallelLogits],
    )
}

fn is_pipeline(op: &Op) -> bool {
    has_role(op, &[CollectiveRole::PipelineActivations])
}

fn sums_tied_embeddings(op: &Op) -> bool {
    has_role(op, &[CollectiveRole::TiedEmbeddingGradients])
}

fn reduces_gradients(op: &Op) -> bool {
    has_role(op, &[CollectiveRole::GradientReduction])
}

/// Parameters that all ranks of one replica hold together: the model's, and a second copy of a tied embedding where
/// the pipeline parts it from the output map.
fn parameters_of_a_replica(job: &Job) -> f64 {
    let (a, task) = (&job.architecture, job.workload.task);
    let parted =
        job.parallelism.pp > 1 && a.tied_embeddings && !matches!(task, Task::Classification { .. });
    let copy = if parted { a.vocab_size * a.embedding_size } else { 0 };
    (a.parameters_for(task).total + copy) as f64
}

/// Parameters that all ranks of one replica hold beside the layers: FSDP's root units.
fn root_parameters(job: &Job) -> f64 {
    let all = job.architecture.parameters_for(job.workload.task);
    parameters_of_a_replica(job) - (all.layers - all.beside_layers) as f64
}

/// Whether each parameter is on one tensor-parallel rank: everything is split and no key head is held twice.
fn splits_evenly(job: &Job) -> bool {
    let p = &job.parallelism;
    p.tp == 1
        || (p.tensor_scope == TensorScope::Blocks && job.architecture.kv_heads.is_multiple_of(p.tp))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn model_flops_do_not_depend_on_how_the_batch_is_split(spec in jobs()) {
        let (spread, alone) = (resolved(&spec), resolved(&on_one_gpu(&spec)));
        prop_assert_eq!(model_flops(&spread), model_flops(&alone));
        if spec.workload.steps.is_none() {
            let whole_run = |job| counted(job).model_flops().value();
            prop_assert!(near(whole_run(&spread), whole_run(&alone)));
        }
    }

    #[test]
    fn hardware_flops_are_model_flops_and_what_is_done_twice(spec in jobs()) {
        let job = resolved(&spec);
        let (a, w, p) = (&job.architecture, &job.workload, &job.parallelism);
        let (model, hardware) = (model_flops(&job), hardware_flops(&job));
        prop_assert!(hardware >= model * (1.0 - 1e-12), "{hardware} < {model}");
        let decoder_of_split_maps = !matches!(a.family(), Family::Bert | Family::Vit)
            && a.experts.is_none()
            // its convolutions are whole on each rank
            && a.model_type != ModelType::Whisper
            && w.task == Task::CausalLm
            && w.lora.is_none()
            && a.embedding_size == a.hidden_size;
        // flash attention computes its scores again
        if w.checkpointing == Checkpointing::None
            && w.attention == AttentionKernel::Eager
            && (p.tp == 1 || (splits_evenly(&job) && decoder_of_split_maps))
        {
            prop_assert!(near(hardware, model), "{hardware} is not {model}");
        }
    }

    #[test]
    fn flops_are_linear_in_the_micro_batch(spec in jobs(), times in 2..=5_u64) {
        let job = resolved(&spec);
        // each text of a micro-batch is compared with each of its images
        prop_assume!(job.workload.task != Task::Contrastive);
        let more = with(&job, |j| j.workload.micro_batch *= times);
        prop_assert!(near(model_flops(&more), times as f64 * model_flops(&job)));
        prop_assert!(near(hardware_flops(&more), times as f64 * hardware_flops(&job)));
    }

    #[test]
    fn flops_are_linear_in_layers(spec in jobs(), step in 1..=3_u64) {
        let job = resolved(&spec);
        let flops = |times| hardware_flops(&with(&job, |j| j.architecture.layers += times * step));
        let (first, second) = (flops(1) - flops(0), flops(2) - flops(1));
        prop_assert!(first > 0.0 && (first - second).abs() <= 1e-9 * flops(2));
    }

    #[test]
    fn flops_are_linear_in_the_experts_a_token_visits(mut spec in jobs()) {
        spec.model.family = Some("mixtral".into());
        (spec.model.encoder_layers, spec.model.image_size, spec.model.patch_size) = (None, None, None);
        (spec.model.kv_rank, spec.model.rope_head_dim, spec.model.value_head_dim) = (None, None, None);
        (spec.model.stage_layers, spec.model.window) = (None, None);
        (spec.model.experts, spec.model.top_k) = (Some(8), Some(1));
        spec.workload.decoder_seq_len = None;
        spec.workload.seq_len = spec.workload.seq_len.or(Some(64));
        let job = resolved(&spec);
        let flops = |top_k| {
            hardware_flops(&with(&job, |j| j.architecture.experts.as_mut().unwrap().top_k = top_k))
        };
        let slope = flops(2) - flops(1);
        prop_assert!(slope > 0.0);
        prop_assert!((flops(8) - flops(1) - 7.0 * slope).abs() <= 1e-9 * flops(8));
    }

    #[test]
    fn recomputation_adds_the_forward_pass_of_what_is_dropped(spec in jobs()) {
        let job = resolved(&spec);
        // the last product of a layer that is not repeated is not expanded again either
        let job = with(&job, |j| j.workload.quantization = Quantization::None);
        let at = |level| counted(&with(&job, |j| j.workload.checkpointing = level));
        let (none, selective, full) =
            (at(Checkpointing::None), at(Checkpointing::Selective), at(Checkpointing::Full));
        let flops = |cost: &Cost| cost.hardware_per_step.flops.value();
        prop_assert!(flops(&none) <= flops(&selective) && flops(&selective) <= flops(&full));
        prop_assert_eq!(none.model_flops_per_step, full.model_flops_per_step);
        for ((none, selective), full) in none.stages.iter().zip(&selective.stages).zip(&full.stages) {
            let of = |ledger: &Ledger, phase, keep: &dyn Fn(&Op) -> bool| {
                ledger.per_step(|op| op.phase == phase && op.collective().is_none() && keep(op))
            };
            let forward = of(none, Phase::Forward, &of_a_layer);
            let again = of(full, Phase::Recompute, &|_| true);
            // the last product of a layer and the residual after it, where nothing after them is saved
            let skipped = if repeats_last_product(&job) { [0.0; 2] } else { last_products(none) };
            prop_assert!(near(again.flops.value() + skipped[0], forward.flops.value()));
            prop_assert!(near(again.bytes.value() + skipped[1], forward.bytes.value()));
            let core = of(none, Phase::Forward, &|op| matches!(op.kind, OpKind::AttentionCore { .. }));
            prop_assert_eq!(of(selective, Phase::Recompute, &|_| true), core);
            prop_assert_eq!(of(none, Phase::Recompute, &|_| true), Totals::default());
        }
    }

    #[test]
    fn the_causal_convention_halves_attention_of_decoders_and_nothing_else(spec in jobs()) {
        let job = resolved(&spec);
        let (full, causal) = (counted(&job), Cost::count(&job, AttentionFlops::Causal));
        prop_assert!(causal.model_flops_per_step.value() <= full.model_flops_per_step.value());
        let causal_core = |op: &Op| op.kind == (OpKind::AttentionCore { causal: true });
        let decodes = matches!(job.architecture.family(), Family::Gpt | Family::Llama | Family::T5)
            || job.architecture.model_type == ModelType::Clip;
        prop_assert!(full.stages.iter().all(|s| s.ops.iter().any(causal_core)) == decodes);
        for (full, causal) in full.stages.iter().zip(&causal.stages) {
            for (a, b) in full.ops.iter().zip(&causal.ops) {
                let half = Op { flops: a.flops * 0.5, ..*a };
                if a.kind == (OpKind::AttentionCore { causal: true }) {
                    prop_assert_eq!(*b, half);
                } else {
                    prop_assert_eq!(b, a);
                }
            }
        }
    }

    #[test]
    fn the_ledger_adds_up(spec in jobs()) {
        let job = resolved(&spec);
        let (cost, p) = (counted(&job), &job.parallelism);
        prop_assert_eq!(cost.stages.len() as u64, p.pp);
        let mut sum = Totals::default();
        for ledger in &cost.stages {
            for op in &ledger.ops {
                let steps = if op.phase == Phase::Step { 1 } else { job.workload.grad_accum };
                let times = op.count * (steps * p.dp * p.tp) as f64;
                sum.flops += op.flops * times;
                sum.bytes += op.bytes * times;
                sum.kernels += op.kernels * times;
                if let Some(collective) = op.collective() {
                    sum.node_link_bytes += collective.node_link_bytes_per_gpu() * times;
                    sum.network_bytes += collective.network_bytes_per_gpu() * times;
                    let (sent, link, network) = (
                        collective.sent_per_gpu(),
                        collective.node_link_bytes_per_gpu(),
                        collective.network_bytes_per_gpu(),
                    );
                    prop_assert!(link <= sent && network <= sent && link.max(network) == sent);
                }
                for figure in [op.count, op.flops.value(), op.bytes.value(), op.kernels] {
                    prop_assert!(figure.is_finite() && figure >= 0.0, "{:?}", op);
                }
            }
        }
        let total = cost.hardware_per_step;
        prop_assert!(near(sum.flops.value(), total.flops.value()));
        prop_assert!(near(sum.bytes.value(), total.bytes.value()));
        prop_assert!(near(sum.kernels, total.kernels));
        prop_assert!(near(sum.node_link_bytes.value(), total.node_link_bytes.value()));
        prop_assert!(near(sum.network_bytes.value(), total.network_bytes.value()));
        prop_assert!(near(cost.hardware_flops().value(), total.flops.value() * job.steps()));
        let busiest = cost.busiest_stage().per_step(|_| true).flops.value();
        prop_assert!(cost.stages.iter().all(|s| s.per_step(|_| true).flops.value() <= busiest));
    }

    #[test]
    fn steps_tokens_and_positions_are_one_amount(spec in jobs()) {
        let job = resolved(&spec);
        let (w, dp) = (&job.workload, job.parallelism.dp);
        prop_assert!(near(job.steps() * w.positions_per_step(dp), job.positions()));
        prop_assert!(near(job.tokens(), job.positions() * (1.0 - w.padding_share)));
        if let Some(tokens) = spec.workload.tokens {
            prop_assert!(near(job.tokens(), tokens.get() as f64));
        }
    }

    #[test]
    fn twice_the_tokens_are_twice_the_work_and_twice_the_accumulation_half_the_steps(spec in jobs()) {
        let mut twice = spec.clone();
        (twice.workload.steps, twice.workload.epochs, twice.workload.examples) = (None, None, None);
        let mut once = twice.clone();
        once.workload.tokens = Some(Count::new(7_000_000));
        twice.workload.tokens = Some(Count::new(14_000_000));
        let (once, twice) = (resolved(&once), resolved(&twice));
        let whole_run = |job: &Job| counted(job).hardware_flops().value();
        prop_assert!(near(whole_run(&twice), 2.0 * whole_run(&once)));
        let accumulated = with(&once, |j| j.workload.grad_accum *= 2);
        prop_assert!(near(accumulated.steps(), once.steps() / 2.0));
        prop_assert!(near(whole_run(&accumulated), whole_run(&once)));
    }

    #[test]
    fn communication_vanishes_with_its_degree(spec in jobs()) {
        let job = resolved(&spec);
        let p = &job.parallelism;
        for ledger in &counted(&job).stages {
            let none = |keep: fn(&Op) -> bool| !ledger.ops.iter().any(keep);
            prop_assert!(p.dp > 1 || none(is_data_parallel));
            prop_assert!(p.tp > 1 || none(is_tensor_parallel));
            prop_assert!(p.pp > 1 || p.virtual_stages > 1 || none(is_pipeline));
            prop_assert!(p.pp > 1 || none(sums_tied_embeddings));
            prop_assert!(none(|op| op.collective().is_some_and(|c| c.ranks < 2)));
            prop_assert!(none(|op| op.collective().is_some()
                && !(is_data_parallel(op) || is_tensor_parallel(op) || is_pipeline(op)
                    || sums_tied_embeddings(op))));
        }
        let alone = resolved(&on_one_gpu(&spec));
        prop_assert_eq!(alone.parallelism, Parallelism::SINGLE);
        prop_assert!(counted(&alone).stages[0].ops.iter().all(|op| op.collective().is_none()));
    }

    #[test]
    fn data_parallel_volumes_are_the_closed_forms(mut spec in jobs()) {
        spec.workload.lora = None;
        spec.workload.quantization = None;
        let job = resolved(&spec);
        let p = &job.parallelism;
        let act = job.workload.precision.bytes();
        let m = job.workload.grad_accum as f64;
        let all: f64 = counted(&job).stages.iter().map(|l| sent(l, is_data_parallel)).sum();
        let buffer = parameters_of_a_replica(&job) * act / p.tp as f64;
        // autocast leaves gradients in 32 bits
        let gradients = parameters_of_a_replica(&job) * 4.0 / p.tp as f64;
        let share = |n: u64| (n as f64 - 1.0) / n as f64;
        // Rajbhandari et al. 2020, sections 7.1 and 7.2; ZeRO-2 reduces gradients every micro-step, as DeepSpeed does
        let expected = match p.data.name() {
            "single" => 0.0,
            "ddp" => 2.0 * gradients * share(p.dp),
            "zero1" => 2.0 * buffer * share(p.dp),
            "zero2" => (m + 1.0) * buffer * share(p.dp),
            _ => {
                let replicas = p.dp / p.shard_group;
                // the root is gathered once, the layers twice
                let root = root_parameters(&job) * act / p.tp as f64;
                m * (3.0 * buffer - root) * share(p.shard_group)
                    + 2.0 * buffer / p.shard_group as f64 * share(replicas)
            }
        };
        if splits_evenly(&job) {
            prop_assert!(near(all, expected), "{all} is not {expected}");
        } else {
            prop_assert!(all >= expected * (1.0 - 1e-12));
        }
    }

    #[test]
    fn tensor_parallel_volumes_are_four_all_reduces_a_layer(spec in jobs()) {
        let job = resolved(&spec);
        let (a, w, p) = (&job.architecture, &job.workload, &job.parallelism);
        let whole = with(&job, |j| j.parallelism.sequence_parallel = false);
        for (ledger, split) in counted(&whole).stages.iter().zip(&counted(&job).stages) {
            let total = sent(ledger, is_tensor_parallel);
            // sequence parallelism: a reduce-scatter and an all-gather for each all-reduce
            prop_assert!(near(total, sent(split, is_tensor_parallel)));
            let layers = p.stage_layers(a, ledger.stage) as f64;
            let buffer = (w.micro_batch * a.hidden_size) as f64 * w.precision.bytes();
            let (passes, skipped) = match w.checkpointing {
                Checkpointing::Full if repeats_last_product(&job) => (3.0, 0.0),
                Checkpointing::Full => (3.0, 1.0),
                Checkpointing::None | Checkpointing::Selective => (2.0, 0.0),
            };
            // after attention and after the feed-forward block; a decoder with an encoder attends twice
            let blocks = p.tensor_scope == TensorScope::Blocks;
            // and its key and value projections send the gradient of the encoder's output back
            let (of_layer, of_decoder, of_encoder_output) = match (blocks, a.encoder_layers > 0) {
                (true, true) => (2.0, 3.0, 1.0),
                (true, false) => (2.0, 2.0, 0.0),
                (false, _) => (1.0, 1.0, 0.0),
            };
            let decoder_seq = if a.encoder_layers > 0 { w.decoder_seq_len } else { w.seq_len };
            let reduced = buffer
                * (a.encoder_layers as f64 * (passes * of_layer - skipped) * w.seq_len as f64
                    + layers * (passes * of_decoder - skipped) * decoder_seq as f64
                    + layers * of_encoder_output * w.seq_len as f64);
            let ring = 2.0 * (p.tp as f64 - 1.0) / p.tp as f64;
            let layer = sent(ledger, |op| has_role(op, &[CollectiveRole::TensorParallelActivations]));
            prop_assert!(near(layer, w.grad_accum as f64 * ring * reduced), "{layer}");
        }
    }

    #[test]
    fn a_pipeline_sends_one_activation_each_way_over_each_boundary(spec in jobs()) {
        let job = resolved(&spec);
        let (a, w, p) = (&job.architecture, &job.workload, &job.parallelism);
        let split = if p.sequence_parallel { p.tp as f64 } else { 1.0 };
        let buffer = (w.micro_batch * w.seq_len * a.hidden_size) as f64 * w.precision.bytes() / split;
        let boundaries = (p.pp * p.virtual_stages - 1) as f64;
        let stages = counted(&job).stages;
        let total: f64 = stages.iter().map(|l| sent(l, is_pipeline)).sum();
        let expected = if p.pp == 1 { 0.0 } else { 2.0 * boundaries * buffer * w.grad_accum as f64 };
        prop_assert!(near(total, expected), "{total} is not {expected}");
    }

    #[test]
    fn what_stays_in_one_node_never_uses_the_network(spec in jobs()) {
        let job = resolved(&spec);
        let network = counted(&job).hardware_per_step.network_bytes.value();
        if job.system.nodes() == 1 {
            prop_assert_eq!(network, 0.0);
        } else {
            prop_assert!(network > 0.0, "{} nodes without communication", job.system.nodes());
        }
    }

    #[test]
    fn stages_and_ranks_hold_the_model_once(mut spec in jobs()) {
        // one step's DDP gradients are the parameters that a rank holds
        spec.workload.lora = None;
        spec.workload.quantization = None;
        if spec.parallelism.dp == Some(1) {
            spec.parallelism.dp = Some(2);
            spec.system.gpus = spec.system.gpus.map(|n| 2 * n);
        }
        spec.parallelism.strategy = Some("ddp".parse().unwrap());
        spec.parallelism.shard_group = None;
        let job = resolved(&spec);
        let gradients = |ledger: &Ledger| -> f64 {
            let ops = ledger.ops.iter().filter(|op| reduces_gradients(op));
            ops.map(|op| op.collective().unwrap().buffer.value()).sum()
        };
        let held: f64 = counted(&job).stages.iter().map(gradients).sum::<f64>()
            * job.parallelism.tp as f64
            / 4.0;
        let model = parameters_of_a_replica(&job);
        if splits_evenly(&job) {
            prop_assert!(near(held, model), "{held} is not {model}");
        } else {
            prop_assert!(held >= model * (1.0 - 1e-12));
        }
    }

    #[test]
    fn frozen_maps_cost_two_thirds_and_adapters_six_flops_a_parameter_and_token(
        mut spec in jobs(), rank in 1..=16_u64, every_map in any::<bool>()
    ) {
        let targets = if every_map {
            use LoraTarget as T;
            vec![T::Query, T::Key, T::Value, T::Output, T::Gate, T::Up, T::Down]
        } else {
            Vec::new()
        };
        spec.workload.lora = Some(Lora { rank, targets });
        spec.workload.checkpointing = Some(Checkpointing::None);
        // two ranks, so that the gradients of the adapters are communicated and can be read
        spec.parallelism = ParallelismSpec { strategy: Some("ddp".parse().unwrap()), ..Default::default() };
        (spec.system.gpus, spec.system.gpus_per_node) = (Some(2), None);
        if spec.workload.decoder_seq_len.is_some() {
            spec.workload.decoder_seq_len = spec.workload.seq_len;
        }
        let job = resolved(&spec);
        // stacks of several widths have their own positions and adapters
        prop_assume!(job.architecture.other_stacks.is_empty());
        let trained = with(&job, |j| j.workload.lora = None);
        let (frozen, trained) = (&counted(&job).stages[0], &counted(&trained).stages[0]);
        let frozen_maps = |op: &Op| {
            !matches!(op.kind, OpKind::Adapter | OpKind::AttentionCore { .. } | OpKind::PatchProjection)
        };
        let flops = |l: &Ledger, keep: &dyn Fn(&Op) -> bool| l.per_step(keep).flops.value();
        prop_assert!(near(flops(frozen, &frozen_maps), 2.0 / 3.0 * flops(trained, &frozen_maps)));
        let core = |op: &Op| matches!(op.kind, OpKind::AttentionCore { .. });
        prop_assert_eq!(flops(frozen, &core), flops(trained, &core));

        // experts see only a share of the tokens each
        if job.architecture.experts.is_none() || !every_map {
            let gradients = frozen.ops.iter().find(|op| reduces_gradients(op)).unwrap();
            let adapters = gradients.collective().unwrap().buffer.value() / 4.0;
            let w = &job.workload;
            let tokens = (w.micro_batch * w.seq_len * w.grad_accum) as f64;
            prop_assert!(near(flops(frozen, &|op| op.kind == OpKind::Adapter), 6.0 * adapters * tokens));
        }
    }

    #[test]
    fn sharding_moves_no_more_than_the_closed_volume_and_never_less_than_replication(mut spec in jobs()) {
        // ZeRO-1 moves what DDP moves; FSDP half as much again, every micro-step, but for its root. In mixed precision
        // DDP's gradients have 4 bytes and those of the others 2
        if spec.parallelism.dp == Some(1) {
            return Ok(());
        }
        spec.parallelism.shard_group = None;
        spec.parallelism.strategy = Some("fsdp".parse().unwrap());
        spec.workload.lora = None;
        spec.workload.quantization = None;
        let moved = |strategy: &str| {
            let mut spec = spec.clone();
            spec.parallelism.strategy = Some(strategy.parse().unwrap());
            let job = resolved(&spec);
            counted(&job).stages.iter().map(|l| sent(l, is_data_parallel)).sum::<f64>()
        };
        let job = resolved(&spec);
        let ddp = moved("ddp") * job.workload.precision.bytes() / 4.0;
        let accumulation = spec.workload.grad_accum.unwrap() as f64;
        prop_assert!(near(moved("zero1"), ddp));
        if splits_evenly(&job) {
            let root = root_parameters(&job) / parameters_of_a_replica(&job);
            prop_assert!(near(moved("fsdp"), (1.5 - 0.5 * root) * accumulation * ddp));
        }
        if accumulation == 1.0 {
            prop_assert!(near(moved("zero2"), ddp));
        }
    }

    #[test]
    fn an_interleaved_pipeline_waits_less_and_sends_more(spec in jobs()) {
        let job = resolved(&spec);
        let p = &job.parallelism;
        let m = job.workload.grad_accum;
        prop_assert_eq!(p.bubble(m) * (m * p.virtual_stages) as f64, (p.pp - 1) as f64);
        if p.schedule == Schedule::Interleaved {
            let plain = with(&job, |j| j.parallelism.virtual_stages = 1);
            prop_assert!(p.bubble(m) <= plain.parallelism.bubble(m));
            let total = |job: &Job| -> f64 {
                counted(job).stages.iter().map(|l| sent(l, is_pipeline)).sum()
            };
            prop_assert!(total(&job) >= total(&plain));
        }
        for ledger in &counted(&job).stages {
            for op in ledger.ops.iter().filter(|op| is_pipeline(op)) {
                prop_assert_eq!(op.collective().unwrap().kind, CollectiveKind::Send);
            }
        }
    }
}

/// FLOPs, bytes and kernels of a step by the roofline law's sums.
fn computed(x: &StageTerms, micro_steps: f64) -> [f64; 3] {
    [
        micro_steps * x.flops,
        micro_steps * x.bytes + x.optimizer_bytes,
        micro_steps * x.kernels + x.optimizer_kernels,
    ]
}

/// Sums over the collectives of a ledger that `keep` keeps, once each, as the law takes them.
fn communicated(ledger: &Ledger, keep: impl Fn(&Op) -> bool) -> Communication {
    let mut sum = Communication::default();
    for op in ledger.ops.iter().filter(|op| keep(op)) {
        let Some(c) = op.collective() else { continue };
        let exchanges = c.exchanges() * op.count;
        sum.link += c.node_link_bytes_per_gpu().value() * op.count;
        sum.network += c.network_bytes_per_gpu().value() * op.count;
        sum.sent += c.sent_per_gpu().value() * op.count;
        sum.count += exchanges;
        sum.network_count += if c.span == Span::Network { exchanges } else { 0.0 };
        sum.hops += exchanges * (c.ranks as f64 - 1.0);
    }
    sum
}

fn same(a: &Communication, b: &Communication) -> bool {
    let of = |c: &Communication| [c.link, c.network, c.sent, c.count, c.network_count, c.hops];
    of(a).into_iter().zip(of(b)).all(|(a, b)| near(a, b))
}

/// Seconds and joules of a run by the physics of the built-in law, without a power limit.
pub fn priced(job: &Job, cost: &Cost) -> [f64; 2] {
    let x = Terms { power_limit: 1e12, ..Terms::from_cost(job, cost) };
    let parts = answer(job).parts(&x);
    [parts.time.total_s, parts.energy.total_j]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_roofline_laws_sums_are_the_ledgers(spec in jobs()) {
        let job = resolved(&spec);
        let cost = counted(&job);
        let (ledger, x) = (cost.busiest_stage(), Terms::from_cost(&job, &cost));
        let m = x.micro_steps;
        let computing = ledger.per_step(|op| op.collective().is_none());
        let all = ledger.per_step(|_| true);
        prop_assert_eq!(computing.flops, all.flops);
        let expected = [computing.flops.value(), computing.bytes.value(), computing.kernels];
        for (sum, expected) in computed(&x.busiest, m).into_iter().zip(expected) {
            prop_assert!(near(sum, expected), "{sum} is not {expected}");
        }
        let once = |op: &Op| op.phase == Phase::Step;
        for (role, sum, expected) in [
            ("tensor", x.busiest.tensor, communicated(ledger, |op| is_tensor_parallel(op) && !once(op))),
            ("pipeline", x.busiest.pipeline, communicated(ledger, |op| is_pipeline(op) && !once(op))),
            ("fsdp", x.busiest.shards, communicated(ledger, |op| is_data_parallel(op) && !once(op))),
            ("step", x.busiest.step, communicated(ledger, once)),
        ] {
            prop_assert!(same(&sum, &expected), "{role}: {sum:?} is not {expected:?}");
        }
        // the four together leave nothing out
        let b = &x.busiest;
        let network = m * (b.tensor.network + b.pipeline.network + b.shards.network) + b.step.network;
        prop_assert!(near(network, all.network_bytes.value()), "{network} {all:?}");
        let link = m * (b.tensor.link + b.pipeline.link + b.shards.link) + b.step.link;
        prop_assert!(near(link, all.node_link_bytes.value()), "{link} {all:?}");

        // products, attention and element-wise work are parts of one sum; a fused kernel skips half of causal scores
        let by_kind = b.layers.flops + b.in_8_bits.flops + b.logits.flops + b.attention.flops;
        let skipped: f64 = ledger.ops.iter()
            .filter(|op| x.flash && op.kind == OpKind::AttentionCore { causal: true })
            .map(|op| op.count * op.flops.value() / 2.0)
            .sum();
        prop_assert!(near(by_kind + skipped, b.flops), "{by_kind} + {skipped} is not {}", b.flops);
        let products = b.layers.bytes + b.in_8_bits.bytes + b.logits.bytes + b.attention.bytes;
        let bytes = products + b.elementwise_bytes;
        prop_assert!(near(bytes, b.bytes), "{bytes} is not {}", b.bytes);

        let proxy = Proxies::from_cost(&cost);
        let micro_step: f64 = ledger.ops.iter().filter(|op| !once(op)).map(|op| op.count * op.bytes.value()).sum();
        prop_assert!(near(proxy.memory, micro_step));
    }

    #[test]
    fn the_mean_stage_times_the_stages_is_the_work_of_all(spec in jobs()) {
        let job = resolved(&spec);
        let cost = counted(&job);
        let x = Terms::from_cost(&job, &cost);
        let stages = cost.stages.len() as f64;
        let mut all = [0.0; 3];
        let mut sent = 0.0;
        for ledger in &cost.stages {
            let totals = ledger.per_step(|op| op.collective().is_none());
            let stage = [totals.flops.value(), totals.bytes.value(), totals.kernels];
            for (sum, of) in all.iter_mut().zip(stage) {
                *sum += of;
            }
            sent += communicated(ledger, |op| op.phase == Phase::Step).sent
                + x.micro_steps * communicated(ledger, |op| op.phase != Phase::Step).sent;
        }
        for (mean, all) in computed(&x.mean, x.micro_steps).into_iter().zip(all) {
            prop_assert!(near(mean * stages, all), "{mean} × {stages} is not {all}");
        }
        let e = &x.mean;
        let mean = x.micro_steps * (e.tensor.sent + e.pipeline.sent + e.shards.sent) + e.step.sent;
        prop_assert!(near(mean * stages, sent), "{mean} × {stages} is not {sent}");
    }

    #[test]
    fn every_operation_takes_time_energy_and_memory(spec in jobs()) {
        let job = resolved(&spec);
        let cost = counted(&job);
        let busiest = cost.busiest_stage().stage as usize;
        let [time_s, energy_j] = priced(&job, &cost);
        for at in 0..cost.stages[busiest].ops.len() {
            // so often that nothing else hides it
            let mut often = cost.clone();
            let op = &mut often.stages[busiest].ops[at];
            op.count *= 1e9;
            let op = *op;
            let [longer_s, more_j] = priced(&job, &often);
            prop_assert!(longer_s > 1.01 * time_s, "{op:?} takes no time");
            prop_assert!(more_j > 1.01 * energy_j, "{op:?} takes no energy");
        }
        for ledger in &cost.stages {
            // at one moment of a step not every operation's result is held
            let at_once = Recipe { by_phase: false, ..Recipe::PYTORCH };
            let memory = Memory::for_stage(&job, ledger.stage, &at_once);
            for op in &ledger.ops {
                let part = MemoryPart::for_op(op);
                prop_assert!(memory.part(part).value() > 0.0, "{op:?} takes no {part}");
            }
        }
    }
}
