//! Descriptions with counts and rates at and beyond every bound are refused in one line or counted without overflow.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helper functions of a test")]

use crate::answers::{countable, resolves_and_counts};
use crate::jobs::{CATALOG, jobs, resolved};
use proptest::prelude::*;
use proptest::sample::select;
use wattlaw::base::amount::Count;
use wattlaw::job::JobSpec;
use wattlaw::job::model::{Family, ModelSpec, ModelType};
use wattlaw::job::parallelism::{ParallelismSpec, Schedule};
use wattlaw::job::system::SystemSpec;
use wattlaw::job::workload::{Lora, LoraTarget, WorkloadSpec};

/// Counts at and around every bound, and ordinary ones, so that some descriptions are accepted.
fn extreme() -> impl Strategy<Value = Option<u64>> {
    let bounds = vec![
        0,
        1,
        2,
        3,
        8,
        64,
        1 << 10,
        10_000,
        1 << 16,
        (1 << 16) + 1,
        1 << 20,
        1 << 24,
        (1 << 24) + 1,
        1 << 28,
        1 << 30,
        1 << 32,
        1 << 53,
        i64::MAX as u64,
        u64::MAX,
    ];
    let ordinary = select(vec![1, 2, 4, 8]).prop_map(Some);
    prop_oneof![3 => Just(None), 2 => ordinary, 2 => select(bounds).prop_map(Some)]
}

prop_compose! {
    fn extreme_models()(
        model_type in select(ModelType::ALL.to_vec()),
        (layers, encoder_layers, hidden_size, heads) in (extreme(), extreme(), extreme(), extreme()),
        (kv_heads, head_dim, ffn_size, vocab_size) in (extreme(), extreme(), extreme(), extreme()),
        (embedding_size, max_positions, token_types, vocab_multiple) in
            (extreme(), extreme(), extreme(), extreme()),
        (relative_buckets, experts, top_k) in (extreme(), extreme(), extreme()),
        (image_size, patch_size, channels, classes) in
            (extreme(), extreme(), extreme(), extreme()),
        tied_embeddings in any::<Option<bool>>(),
    ) -> ModelSpec {
        let t5 = model_type.family() == Family::T5;
        let vit = model_type.family() == Family::Vit;
        let experts_too = model_type.features().experts;
        ModelSpec {
            family: Some(model_type.name().to_owned()),
            layers: layers.or(Some(2)),
            hidden_size: hidden_size.or(Some(64)),
            encoder_layers: encoder_layers.filter(|_| t5),
            experts: experts.filter(|_| experts_too),
            top_k: top_k.filter(|_| experts_too),
            image_size: image_size.filter(|_| vit),
            stage_layers: model_type.features().staged.then(|| vec![layers.unwrap_or(2); 2]),
            window: max_positions.filter(|_| model_type.features().staged),
            text_hidden_size: token_types.filter(|_| model_type.features().text_encoder.is_some()),
            joint_size: experts.filter(|_| model_type.features().text_encoder.is_some()),
            patch_size: patch_size.filter(|_| vit),
            heads, kv_heads, head_dim, ffn_size, vocab_size, vocab_multiple, embedding_size, max_positions,
            token_types,            relative_buckets, channels, classes, tied_embeddings,
            ..ModelSpec::default()
        }
    }
}

prop_compose! {
    fn extreme_workloads()(
        (steps, tokens, examples) in (extreme(), extreme(), extreme()),
        epochs in proptest::option::of(select(vec![0.0, 5e-324, 1e-9, 1.0, 1e9, f64::MAX, f64::NAN])),
        (seq_len, decoder_seq_len, micro_batch, grad_accum) in
            (extreme(), extreme(), extreme(), extreme()),
        padding_share in
            proptest::option::of(select(vec![0.0, 0.5, 1.0 - f64::EPSILON / 2.0, 1.0, f64::NAN])),
        labels in extreme(),
        rank in extreme(),
        task in proptest::option::of(select(vec!["classification", "masked-lm", "causal-lm", "\n"])),
    ) -> WorkloadSpec {
        let one_amount = steps.or(tokens).is_some();
        WorkloadSpec {
            tokens: tokens.filter(|_| steps.is_none()).map(Count::new),
            steps: steps.map(Count::new),
            epochs: epochs.filter(|_| !one_amount).or((!one_amount).then_some(1.0)),
            examples: (!one_amount).then(|| Count::new(examples.unwrap_or(10))),
            seq_len: seq_len.or(Some(16)),
            micro_batch: micro_batch.or(Some(1)),
            task: task.map(str::to_owned),
            lora: rank.map(|rank| Lora { rank, targets: every_target() }),
            decoder_seq_len, grad_accum, padding_share, labels,
            ..WorkloadSpec::default()
        }
    }
}

fn every_target() -> Vec<LoraTarget> {
    use LoraTarget as T;
    vec![T::Query, T::Key, T::Value, T::Output, T::Gate, T::Up, T::Down]
}

prop_compose! {
    fn extreme_spreads()(
        (dp, tp, pp) in (extreme(), extreme(), extreme()),
        (gpus, gpus_per_node, nodes) in (extreme(), extreme(), extreme()),
        (shard_group, virtual_stages) in (extreme(), extreme()),
        strategy in proptest::option::of(
            select(vec!["single", "ddp", "zero1", "zero2", "fsdp", "hsdp", "tp", "tp-mlp", "pp", "zero1+tp", "3d"])
        ),
        sequence_parallel in any::<Option<bool>>(),
        rate in proptest::option::of(select(vec![0.0, 5e-324, 1e-6, 1.0, 1e15, f64::INFINITY, f64::NAN])),
    ) -> (ParallelismSpec, SystemSpec) {
        let parallelism = ParallelismSpec {
            dp, tp, pp, shard_group, virtual_stages, sequence_parallel,
            strategy: strategy.map(|name| name.parse().unwrap()),
            schedule: virtual_stages.map(|_| Schedule::Interleaved),
            ..ParallelismSpec::default()
        };
        let system = SystemSpec {
            gpu: Some("a100-sxm4-80gb".into()),
            gpus, gpus_per_node, nodes,
            link_gb_per_s: rate,
            network_gb_per_s: rate,
            host_power_w: rate,
            ..SystemSpec::default()
        };
        (parallelism, system)
    }
}

/// An ordinary workload beside an extreme model, and the other way round, so that each is often accepted.
fn ordinary() -> JobSpec {
    JobSpec::from_toml(
        "model = { family = 'gpt2', layers = 8, hidden_size = 128 }\n\
         workload = { steps = 1, seq_len = 16, micro_batch = 1, grad_accum = 8 }\n\
         system = { gpu = 'a100-sxm4-80gb' }",
    )
    .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn extreme_models_are_refused_or_counted(model in extreme_models()) {
        let mut spec = JobSpec { model, ..ordinary() };
        if spec.model.family.as_deref() == Some("vit") {
            spec.workload.seq_len = None;
        }
        resolves_and_counts(&spec)?;
    }

    #[test]
    fn extreme_workloads_are_refused_or_counted(workload in extreme_workloads(), t5 in any::<bool>()) {
        let mut spec = JobSpec { workload, ..ordinary() };
        if t5 {
            spec.model.family = Some("t5".into());
        }
        resolves_and_counts(&spec)?;
    }

    #[test]
    fn extreme_spreads_are_refused_or_counted((parallelism, system) in extreme_spreads()) {
        resolves_and_counts(&JobSpec { parallelism, system, ..ordinary() })?;
    }

    #[test]
    fn jobs_extreme_in_everything_are_refused_or_counted(
        model in extreme_models(), workload in extreme_workloads(), (parallelism, system) in extreme_spreads()
    ) {
        resolves_and_counts(&JobSpec { model, workload, parallelism, system })?;
    }
}

/// The largest of everything that is accepted at once: no product on the way may overflow.
#[test]
fn the_largest_accepted_job_is_counted() {
    let toml = "model = { family = 'mixtral', layers = 10000, hidden_size = 1, heads = 1, head_dim = 65536, \
                ffn_size = 16777216, vocab_size = 268435456, experts = 1900, top_k = 1900, classes = 16777216 }\n\
                workload = { steps = 1000000000000000000, seq_len = 16777216, micro_batch = 16777216, \
                grad_accum = 16777216, padding_share = 0.9999999999999999, \
                lora = { rank = 65536, targets = ['q', 'k', 'v', 'o', 'gate', 'up', 'down'] } }\n\
                parallelism = { strategy = 'hsdp', pp = 2 }\n\
                system = { gpu = 'a100-sxm4-80gb', gpus = 16777216, gpus_per_node = 8 }";
    let job = JobSpec::from_toml(toml).unwrap().resolve(&CATALOG);
    let mut job = job.unwrap_or_else(|e| panic!("{e}"));
    countable(&job).unwrap();
    job.workload.lora = None;
    countable(&job).unwrap();
}

proptest! {
    #[test]
    fn an_ordinary_job_is_counted(spec in jobs()) {
        countable(&resolved(&spec))?;
    }
}
