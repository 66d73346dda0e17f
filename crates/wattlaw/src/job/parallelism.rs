//! How a job is distributed over GPUs: data, tensor, context, expert and pipeline parallelism, checked against the GPU count.

mod spec;
mod strategy;

pub use spec::ParallelismSpec;
pub use strategy::{Strategy, StrategyKind};

use serde::Serialize;

use crate::base::error::{Error, Result};
use crate::base::words::words;
use crate::job::model::Architecture;
use crate::job::workload::{Framework, Offload, TrainingObjective, Workload};

/// What data-parallel ranks shard among themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataParallel {
    /// One rank; no communication.
    Single,
    /// All states replicated on every rank; gradients all-reduced.
    Ddp,
    /// Optimizer states sharded.
    Zero1,
    /// Optimizer states and gradients sharded.
    Zero2,
    /// Optimizer states, gradients and parameters sharded (ZeRO-3).
    Fsdp,
    /// FSDP inside groups, gradients all-reduced between them.
    Hsdp,
}

words!(DataParallel, "strategy": Single = "single" | "baseline" | "none", Ddp = "ddp" | "dp",
    Zero1 = "zero1" | "zero-1", Zero2 = "zero2" | "zero-2", Fsdp = "fsdp" | "fsdp2" | "zero3" | "zero-3",
    Hsdp = "hsdp");

impl DataParallel {
    /// Whether ranks keep only a shard of the optimizer states.
    pub(crate) const fn shards_optimizer(self) -> bool {
        matches!(self, Self::Zero1 | Self::Zero2 | Self::Fsdp | Self::Hsdp)
    }

    /// Whether ranks keep only a shard of the gradients.
    pub(crate) const fn shards_gradients(self) -> bool {
        matches!(self, Self::Zero2 | Self::Fsdp | Self::Hsdp)
    }

    /// Whether ranks keep only a shard of the parameters.
    pub const fn shards_parameters(self) -> bool {
        matches!(self, Self::Fsdp | Self::Hsdp)
    }
}

/// Which projections tensor parallelism splits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TensorScope {
    /// Attention, feed-forward block and vocabulary, as in Megatron.
    Blocks,
    /// The feed-forward block only.
    Mlp,
}

words!(TensorScope, "tensor-parallel scope": Blocks = "blocks" | "block", Mlp = "mlp");

/// The order of micro-batches in a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Schedule {
    /// One forward, one backward (Narayanan et al. 2019).
    OneForwardOneBackward,
    /// The same over several model chunks a GPU (Narayanan et al. 2021).
    Interleaved,
}

words!(Schedule, "pipeline schedule": OneForwardOneBackward = "1f1b", Interleaved = "interleaved");

/// How a pipeline's stages divide the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Partition {
    /// Equal numbers of layers per stage, regardless of embedding and output projection.
    Even,
    /// Equal shares of the cost of matrix products, the output projection included, so its stage has fewer layers.
    ByCost,
}

words!(Partition, "pipeline partition": Even = "even", ByCost = "cost" | "by-cost");

impl Partition {
    /// How a framework divides the layers among pipeline stages, where the user does not say: nanotron by the cost of its
    /// blocks (`PipelineBlock`, `get_block_compute_costs`), the others evenly.
    pub(crate) const fn of_framework(framework: Framework) -> Self {
        match framework {
            Framework::Nanotron => Self::ByCost,
            Framework::Accelerate
            | Framework::Fsdp2
            | Framework::LlmFoundry
            | Framework::Megatron
            | Framework::MegatronDeepspeed
            | Framework::Deepspeed
            | Framework::Jax
            | Framework::Pytorch
            | Framework::Unknown => Self::Even,
        }
    }
}

/// How context-parallel ranks exchange keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContextExchange {
    /// Blocks go round a ring while attention computes with the block before (Liu et al. 2023, arXiv 2310.01889).
    Ring,
    /// All keys and values are gathered before attention (Grattafiori et al. 2024, arXiv 2407.21783, section 3.3.2).
    AllGather,
}

words!(ContextExchange, "context-parallel exchange": Ring = "ring" | "p2p", AllGather = "all-gather" | "allgather");

impl ContextExchange {
    /// What a framework does where the user does not say.
    ///
    /// PyTorch's context parallelism gathers (torchtitan 0.2.2, `context_parallel_rotate_method`, and accelerate 1.15.0,
    /// `cp_comm_strategy`, are `allgather`); Megatron-LM's goes round a ring (`cp_comm_type` is `p2p`).
    pub(crate) const fn of_framework(framework: Framework) -> Self {
        match framework {
            Framework::Accelerate | Framework::Fsdp2 | Framework::Pytorch => Self::AllGather,
            Framework::LlmFoundry
            | Framework::Megatron
            | Framework::MegatronDeepspeed
            | Framework::Deepspeed
            | Framework::Nanotron
            | Framework::Jax
            | Framework::Unknown => Self::Ring,
        }
    }
}

/// Degrees and kinds of parallelism, checked by [`ParallelismSpec::resolve`]; their product is the GPU count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Parallelism {
    /// Data-parallel ranks.
    pub dp: u64,
    /// Tensor-parallel ranks.
    pub tp: u64,
    /// Pipeline stages.
    pub pp: u64,
    /// Context-parallel ranks, each with an equal part of every sequence.
    pub cp: u64,
    /// How they exchange keys and values; a ring with one rank.
    pub context_exchange: ContextExchange,
    /// Ranks, of the data- and context-parallel ones, among which the experts of each layer are split.
    pub ep: u64,
    /// What the ranks shard that hold the same weights.
    pub data: DataParallel,
    /// Ranks that share one set of shards: `dp` × `cp` for ZeRO and FSDP, fewer for HSDP, 1 without sharding.
    pub shard_group: u64,
    /// What tensor parallelism splits.
    pub tensor_scope: TensorScope,
    /// Whether norms and dropouts between tensor-parallel projections are split along the sequence.
    pub sequence_parallel: bool,
    /// Pipeline schedule.
    pub schedule: Schedule,
    /// Model chunks a pipeline stage holds; 1 without interleaving.
    pub virtual_stages: u64,
    /// How pipeline stages divide the layers.
    pub partition: Partition,
}

impl Parallelism {
    /// One GPU.
    pub const SINGLE: Self = Self {
        dp: 1,
        tp: 1,
        pp: 1,
        cp: 1,
        context_exchange: ContextExchange::Ring,
        ep: 1,
        data: DataParallel::Single,
        shard_group: 1,
        tensor_scope: TensorScope::Blocks,
        sequence_parallel: false,
        schedule: Schedule::OneForwardOneBackward,
        virtual_stages: 1,
        partition: Partition::Even,
    };

    /// Total number of GPUs.
    pub const fn gpus(&self) -> u64 {
        self.replicas() * self.tp * self.pp
    }

    /// Ranks that hold the same weights and sum their gradients: data-parallel and context-parallel ones.
    pub const fn replicas(&self) -> u64 {
        self.dp * self.cp
    }

    /// The weights of one rank of a shard group, in parameters, of `held` parameters of which `experts` are of routed experts.
    /// A shard group of experts has 1 / `ep` of the ranks, since the others hold other experts.
    pub(crate) fn shard(&self, held: f64, experts: f64) -> f64 {
        let group = self.shard_group as f64;
        held / group + experts * (self.ep - 1) as f64 / group
    }

    /// Layers that pipeline stage `stage` (from 0) holds of the stack, or of the decoder of an encoder–decoder.
    ///
    /// Even: equal shares, the first stages with one layer more where they do not divide. By cost: see
    /// [`Partition::ByCost`]; a stage may then hold no layer.
    pub fn stage_layers(&self, architecture: &Architecture, stage: u64) -> u64 {
        let layers = architecture.layers;
        match self.partition {
            _ if self.pp == 1 => layers,
            Partition::Even => layers / self.pp + u64::from(stage < layers % self.pp),
            Partition::ByCost => {
                let cut = CostCut::new(architecture, self.pp);
                let before = |stage: u64| cut.first_block(stage).min(u128::from(layers)) as u64;
                before(stage + 1) - before(stage)
            }
        }
    }

    /// The pipeline stage (from 0) of the output projection: the last one, or the one assigned by cost.
    pub fn head_stage(&self, architecture: &Architecture) -> u64 {
        match self.partition {
            _ if self.pp == 1 => 0,
            Partition::Even => self.pp - 1,
            Partition::ByCost => CostCut::new(architecture, self.pp).stage(architecture.layers),
        }
    }

    /// Key and value heads of one tensor-parallel rank, whole heads: with fewer heads than ranks, several ranks hold
    /// the same head (Megatron-LM, `num_query_groups` below the tensor-parallel size).
    pub(crate) const fn kv_heads_of_rank(&self, architecture: &Architecture) -> u64 {
        match self.tensor_scope {
            TensorScope::Blocks => architecture.kv_heads.div_ceil(self.tp),
            TensorScope::Mlp => architecture.kv_heads,
        }
    }

    /// Idle time of a pipeline relative to its busy time: (p − 1) / (m · v).
    ///
    /// Source: Narayanan et al. 2021, section 2.2; `micro_batches` is m.
    pub fn bubble(&self, micro_batches: u64) -> f64 {
        (self.pp - 1) as f64 / (micro_batches * self.virtual_stages) as f64
    }

    /// Checks that heads, widths, positions and layers divide.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the degree and what it must divide.
    pub(crate) fn check(&self, architecture: &Architecture, workload: &Workload) -> Result<()> {
        let tp = self.tp;
        if !architecture.other_stacks.is_empty() {
            let degrees = [("tp", tp), ("cp", self.cp), ("pp", self.pp)];
            if let Some((degree, n)) = degrees.into_iter().find(|(_, n)| *n > 1) {
                return Err(Error::invalid(
                    degree,
                    n,
                    "stacks of different widths are split among data-parallel ranks alone; use 1",
                ));
            }
        }
        if self.tensor_scope == TensorScope::Blocks && !architecture.heads.is_multiple_of(tp) {
            return Err(Error::invalid(
                "tp",
                tp,
                format!("it must divide the {} heads", architecture.heads),
            ));
        }
        if !architecture.ffn_size.is_multiple_of(tp) {
            return Err(Error::invalid(
                "tp",
                tp,
                format!("it must divide ffn_size {}", architecture.ffn_size),
            ));
        }
        self.check_context(architecture, workload)?;
        self.check_experts(architecture)?;
        self.check_offload(workload)?;
        if self.sequence_parallel && !workload.seq_len.is_multiple_of(tp * self.cp) {
            let divisor = match self.cp {
                1 => format!("tp {tp}"),
                cp => format!("tp × cp = {}", tp * cp),
            };
            return Err(Error::invalid(
                "sequence_parallel",
                true,
                format!("{divisor} must divide seq_len {}", workload.seq_len),
            ));
        }
        if self.pp > 1 && architecture.encoder_layers > 0 {
            return Err(Error::invalid(
                "pp",
                self.pp,
                "a pipeline over an encoder–decoder is not modelled; use 1",
            ));
        }
        if self.pp > 1 && workload.frozen_layers > 0 {
            return Err(Error::invalid(
                "pp",
                self.pp,
                "a pipeline with frozen layers is not modelled; use 1",
            ));
        }
        if self.pp > 1 && workload.objective == TrainingObjective::Dpo {
            return Err(Error::invalid(
                "pp",
                self.pp,
                "a pipeline with a reference model (objective dpo) is not modelled; use 1",
            ));
        }
        if self.pp > architecture.layers {
            return Err(Error::invalid(
                "pp",
                self.pp,
                format!("each stage needs a layer, but there are {}", architecture.layers),
            ));
        }
        Ok(())
    }

    /// Checks that context-parallel ranks have equal parts of a sequence. With a causal mask each has two chunks, one from either
    /// end, so that all compute the same number of scores (Megatron-LM, `get_batch_on_this_cp_rank`).
    fn check_context(&self, architecture: &Architecture, workload: &Workload) -> Result<()> {
        if self.cp == 1 {
            return Ok(());
        }
        if architecture.encoder_layers > 0 || architecture.image.is_some() {
            return Err(Error::invalid(
                "cp",
                self.cp,
                "context parallelism over an encoder–decoder or an image is not modelled; use 1",
            ));
        }
        let (name, chunks) =
            if architecture.causal() { ("2 × cp", 2 * self.cp) } else { ("cp", self.cp) };
        if !workload.seq_len.is_multiple_of(chunks) {
            return Err(Error::invalid(
                "cp",
                self.cp,
                format!("{name} = {chunks} must divide seq_len {}", workload.seq_len),
            ));
        }
        Ok(())
    }

    /// Checks that ranks which keep states on the host have a share of them each, or are alone.
    fn check_offload(&self, workload: &Workload) -> Result<()> {
        let expected = match (workload.offload, self.data) {
            (Offload::None, _) | (_, DataParallel::Single) => return Ok(()),
            (Offload::Optimizer, data) if data.shards_optimizer() => return Ok(()),
            (Offload::Optimizer, _) => "zero1, zero2 or fsdp",
            (Offload::Parameters, data) if data.shards_gradients() => return Ok(()),
            (Offload::Parameters, _) => "zero2 or fsdp",
        };
        Err(Error::invalid(
            "offload",
            workload.offload,
            format!("each rank of strategy {} has whole states; use {expected}", self.data),
        ))
    }

    /// Checks that ranks hold equal numbers of experts, and that equal numbers of ranks share them.
    fn check_experts(&self, architecture: &Architecture) -> Result<()> {
        let ep = self.ep;
        if ep == 1 {
            return Ok(());
        }
        let expected = match architecture.experts {
            None => "the model has no experts; use 1".to_owned(),
            Some(experts) if !experts.count.is_multiple_of(ep) => {
                format!("it must divide the {} experts of a layer", experts.count)
            }
            Some(_) if !self.replicas().is_multiple_of(ep) => {
                format!("it must divide dp × cp = {}", self.replicas())
            }
            Some(_) if self.data.shards_optimizer() && !self.shard_group.is_multiple_of(ep) => {
                format!("it must divide the {} ranks of a shard group", self.shard_group)
            }
            Some(_) => return Ok(()),
        };
        Err(Error::invalid("ep", ep, expected))
    }

    /// The strategy of the job.
    pub const fn strategy(&self) -> Strategy {
        Strategy {
            data: self.data,
            tensor: if self.tp > 1 { Some(self.tensor_scope) } else { None },
            context: self.cp > 1,
            pipeline: self.pp > 1,
        }
    }
}

/// A partition by cost: blocks are placed in order; the next stage begins when the stages so far hold their share of
/// the total cost.
///
/// The cost is the number of parameters: of a layer's attention and feed-forward projections, and of the output
/// projection; embedding and norms cost nothing. Source: nanotron, `PipelineBlock` placement in `models/base.py`
/// (`build_model`) with `LlamaForTraining.get_block_compute_costs`.
struct CostCut {
    layer: u128,
    total: u128,
    stages: u128,
}

impl CostCut {
    fn new(architecture: &Architecture, stages: u64) -> Self {
        let [attention, ffn] = architecture.attention_and_ffn_per_layer();
        let layer = u128::from(attention + ffn);
        let head = u128::from(architecture.vocab_size) * u128::from(architecture.embedding_size);
        Self {
            layer,
            total: layer * u128::from(architecture.layers) + head,
            stages: u128::from(stages),
        }
    }

    /// The first block, from 0, on this stage or a later one; past all blocks where there is no such stage.
    ///
    /// At most one stage begins with a block: one that is larger than a share skips no stage.
    fn first_block(&self, stage: u64) -> u128 {
        let stage = u128::from(stage);
        if stage >= self.stages {
            return u128::MAX;
        }
        (stage * self.total).div_ceil(self.layer * self.stages).max(stage)
    }

    /// The stage of a block.
    fn stage(&self, block: u64) -> u64 {
        let block = u128::from(block);
        let share = block * self.layer * self.stages / self.total;
        share.min(block).min(self.stages - 1) as u64
    }
}
