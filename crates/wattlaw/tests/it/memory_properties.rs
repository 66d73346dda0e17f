//! What must hold of peak memory whatever the job.

#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use proptest::prelude::*;
use wattlaw::base::amount::Count;
use wattlaw::base::units::Bytes;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::model::ModelSpec;
use wattlaw::job::parallelism::ParallelismSpec;
use wattlaw::job::workload::{
    AttentionKernel, Checkpointing, Framework, Optimizer, Precision, WorkloadSpec,
};
use wattlaw::job::{Job, JobSpec};
use wattlaw::memory::{Memory, Recipe, SelectiveCheckpointing};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::built_in().unwrap());

/// A job in numbers that can be changed one by one.
#[derive(Debug, Clone)]
struct Shape {
    family: &'static str,
    layers: u64,
    width: u64,
    seq_len: u64,
    micro_batch: u64,
    grad_accum: u64,
    precision: Precision,
    eager: bool,
    checkpointing: Checkpointing,
    strategy: &'static str,
    dp: u64,
    tp: u64,
    pp: u64,
    sequence_parallel: bool,
}

impl Shape {
    fn job(&self) -> Job {
        let spec = JobSpec {
            model: ModelSpec {
                family: Some(self.family.into()),
                layers: Some(self.layers),
                hidden_size: Some(self.width * 512),
                heads: Some(16),
                ffn_size: Some(self.width * 2048),
                ..Default::default()
            },
            workload: WorkloadSpec {
                steps: Some(Count::new(1)),
                seq_len: Some(self.seq_len * 64),
                micro_batch: Some(self.micro_batch),
                grad_accum: Some(self.grad_accum),
                precision: Some(self.precision),
                optimizer: Some(Optimizer::AdamW),
                checkpointing: Some(self.checkpointing),
                attention: Some(if self.eager {
                    AttentionKernel::Eager
                } else {
                    AttentionKernel::Flash
                }),
                ..Default::default()
            },
            parallelism: ParallelismSpec {
                strategy: (self.dp > 1).then(|| self.strategy.parse().unwrap()),
                dp: Some(self.dp),
                tp: Some(self.tp),
                pp: Some(self.stages()),
                sequence_parallel: Some(self.sequence_parallel),
                ..Default::default()
            },
            ..Default::default()
        };
        let mut spec = spec;
        spec.system.gpu = Some("h100-sxm5-80gb".into());
        spec.resolve(&CATALOG).unwrap()
    }

    /// Pipeline stages that the layers allow.
    fn stages(&self) -> u64 {
        if self.family == "t5" || self.layers < self.pp { 1 } else { self.pp }
    }

    /// The sum without context and buffers of collectives, which come with the second GPU and the second node.
    fn total(&self, recipe: &Recipe) -> Bytes {
        let memory = Memory::with_recipe(&self.job(), recipe);
        memory.total - memory.reserve
    }
}

fn shapes() -> impl Strategy<Value = (Shape, Recipe)> {
    let model = (
        prop::sample::select(vec!["bert", "gpt2", "opt", "gpt_neox", "llama", "mixtral", "t5"]),
        1..40_u64,
        1..8_u64,
    );
    let workload = (
        1..16_u64,
        1..33_u64,
        1..9_u64,
        prop::sample::select(vec![Precision::Fp32, Precision::Bf16]),
        any::<bool>(),
        prop::sample::select(vec![
            Checkpointing::None,
            Checkpointing::Selective,
            Checkpointing::Full,
        ]),
    );
    let spread = (
        prop::sample::select(vec!["ddp", "zero1", "zero2", "fsdp"]),
        prop::sample::select(vec![1, 2, 4, 8_u64]),
        prop::sample::select(vec![1, 2, 4, 8_u64]),
        prop::sample::select(vec![1, 2, 4, 8_u64]),
        any::<bool>(),
        prop::sample::select(Framework::ALL.map(Recipe::of).to_vec()),
    );
    (model, workload, spread).prop_map(
        |(
            (family, layers, width),
            (seq_len, micro_batch, grad_accum, precision, eager, checkpointing),
            (strategy, dp, tp, pp, sequence_parallel, recipe),
        )| {
            let shape = Shape {
                family,
                layers,
                width,
                seq_len,
                micro_batch,
                grad_accum,
                precision,
                eager,
                checkpointing,
                strategy,
                dp,
                tp,
                pp,
                sequence_parallel,
            };
            (shape, recipe)
        },
    )
}

/// At most, but for rounding.
fn at_most(small: Bytes, large: Bytes) -> bool {
    small.value() <= large.value() * (1.0 + 1e-12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..Default::default() })]

    #[test]
    fn parts_sum_to_the_total_and_none_is_negative((shape, recipe) in shapes()) {
        let memory = Memory::with_recipe(&shape.job(), &recipe);
        let sum: f64 = memory.parts().map(|(_, bytes)| bytes.value()).sum();
        prop_assert!((sum / memory.total.value() - 1.0).abs() < 1e-12);
        prop_assert!(memory.parts().all(|(_, bytes)| bytes.value() >= 0.0 && bytes.value().is_finite()));
        prop_assert!(memory.needed <= memory.total);
        prop_assert!(memory.largest_part().1.value() >= sum / 10.0);
        prop_assert_eq!(memory.fits, memory.needed <= memory.capacity);
        prop_assert!(!memory.fits || memory.peak() <= memory.capacity);
    }

    /// Stages with equal layers are looked at once.
    #[test]
    fn a_job_takes_what_its_fullest_stage_takes((shape, recipe) in shapes()) {
        let job = shape.job();
        let memory = Memory::with_recipe(&job, &recipe);
        prop_assert_eq!(memory, Memory::for_stage(&job, memory.stage, &recipe));
        for stage in 0..job.parallelism.pp {
            prop_assert!(at_most(Memory::for_stage(&job, stage, &recipe).total, memory.total));
        }
    }

    #[test]
    fn more_shards_never_take_more((shape, recipe) in shapes(), strategy in prop::sample::select(vec!["zero1", "zero2", "fsdp"])) {
        // from two ranks on: with one nothing is gathered
        let ranks = |dp| Shape { strategy, dp, ..shape.clone() }.total(&recipe);
        prop_assert!(at_most(ranks(4), ranks(2)));
        prop_assert!(at_most(ranks(8), ranks(4)));
    }

    #[test]
    fn a_deeper_kind_of_sharding_keeps_fewer_states((shape, recipe) in shapes()) {
        let states = |strategy| {
            // of one stage: the one that takes most may be another when less is kept
            let job = Shape { strategy, dp: 4, ..shape.clone() }.job();
            let memory = Memory::for_stage(&job, 0, &recipe);
            (memory.weights, memory.optimizer)
        };
        let (ddp, zero1, fsdp) = (states("ddp"), states("zero1"), states("fsdp"));
        prop_assert!(zero1.0 <= ddp.0 && zero1.1 <= ddp.1);
        prop_assert!(fsdp.0 <= zero1.0 && fsdp.1 <= zero1.1);
    }

    #[test]
    fn more_tensor_ranks_never_take_more((shape, recipe) in shapes()) {
        // gather buffers and NCCL come with the second rank; the host overtakes the GPU at some degree, never back
        let ranks = |tp| Shape { tp, ..shape.clone() }.total(&recipe);
        prop_assert!(at_most(ranks(4), ranks(2)));
        prop_assert!(at_most(ranks(8), ranks(4)));
        if recipe.run_ahead.is_none() && shape.dp * shape.stages() > 1 {
            prop_assert!(at_most(ranks(2), ranks(1)));
        }
    }

    #[test]
    fn more_work_never_takes_less((shape, recipe) in shapes()) {
        let total = shape.total(&recipe);
        let larger = [
            Shape { micro_batch: shape.micro_batch + 1, ..shape.clone() },
            Shape { micro_batch: shape.micro_batch * 2, ..shape.clone() },
            Shape { seq_len: shape.seq_len + 1, ..shape.clone() },
            Shape { layers: shape.layers + shape.pp, ..shape.clone() },
            Shape { layers: shape.layers * 2, ..shape.clone() },
            Shape { grad_accum: shape.grad_accum + 1, ..shape.clone() },
        ];
        for more in larger {
            // a pipeline of another length is another job
            if more.stages() == shape.stages() {
                prop_assert!(at_most(total, more.total(&recipe)), "{more:?}");
            }
        }
    }

    #[test]
    fn recomputing_more_never_takes_more((shape, recipe) in shapes()) {
        let kind = |checkpointing| Shape { checkpointing, ..shape.clone() }.total(&recipe);
        let (none, selective, full) =
            (kind(Checkpointing::None), kind(Checkpointing::Selective), kind(Checkpointing::Full));
        prop_assert!(at_most(selective, none), "{selective:?} {none:?}");
        prop_assert!(at_most(full, selective), "{full:?} {selective:?}");
    }

    #[test]
    fn fused_attention_never_takes_more_than_eager((shape, recipe) in shapes()) {
        // checkpointing by operation keeps the fused output, and nothing of eager attention
        prop_assume!(shape.family != "gpt_neox"); // whose fused kernel saves views of a tensor that eager attention frees
        prop_assume!(recipe.selective != SelectiveCheckpointing::PerOperation
            || shape.checkpointing != Checkpointing::Selective);
        let kind = |eager| Shape { eager, ..shape.clone() }.total(&recipe);
        prop_assert!(at_most(kind(false), kind(true)));
    }

    #[test]
    fn advice_fits((shape, recipe) in shapes()) {
        let job = shape.job();
        let before = Memory::with_recipe(&job, &recipe);
        let advice = Memory::advice(&job, &recipe);
        prop_assert!(advice.is_empty() || !before.fits_with_room());
        for one in advice {
            prop_assert!(one.peak <= one.capacity, "{one}");
        }
    }
}
