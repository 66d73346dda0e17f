//! Communication among a group of GPUs: its role, its pattern, its bytes and the link that it crosses.
//!
//! Volumes a GPU sends, with Ψ the bytes of a buffer and n the ranks of its group: all-reduce 2Ψ(n−1)/n, all-gather and
//! reduce-scatter Ψ(n−1)/n, all-to-all Ψ(n−1)/n, send Ψ (ring algorithms; Rajbhandari et al. 2020, arXiv 1910.02054, section 7).
//!
//! Across nodes the GPUs of a node that belong to one group share its traffic: NCCL builds a ring for each adapter,
//! each ring visits all GPUs of a node before it leaves the node, and carries one part of the buffer. With r ranks of
//! the group in a node, each adapter sends 1/r of the volume of a GPU.

use serde::Serialize;

use crate::base::units::Bytes;
use crate::base::words::words;

/// The role of a collective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CollectiveRole {
    /// Tensor parallelism: activations after the split blocks of a layer.
    TensorParallelActivations,
    /// Tensor parallelism: the output of the vocabulary-split embedding.
    TensorParallelEmbedding,
    /// Tensor parallelism: the gradient of the input of the vocabulary-split logits.
    TensorParallelLogits,
    /// Context parallelism: keys and values of the other ranks' parts of a sequence, and their gradients.
    ContextParallelKeysAndValues,
    /// Expert parallelism: tokens to the ranks of the experts that they visit, and back.
    ExpertParallelTokens,
    /// Pipeline parallelism: activations to the next stage and their gradients to the one before.
    PipelineActivations,
    /// Data parallelism: gradients summed over ranks, whole (DDP) or to the rank that holds the shard (ZeRO, FSDP).
    GradientReduction,
    /// Data parallelism: parameters gathered from the ranks that hold their shards (ZeRO, FSDP).
    ParameterGather,
    /// Muon: momenta of sharded matrices gathered on the ranks that orthogonalize them.
    MomentumGather,
    /// Hybrid sharding: gradient shards summed over the sharding groups.
    GradientReductionBetweenGroups,
    /// Pipeline parallelism: the gradient of a tied embedding, summed over the first stage and the one with the output
    /// projection.
    TiedEmbeddingGradients,
}

words!(CollectiveRole, "collective role":
    TensorParallelActivations = "tensor parallel", TensorParallelEmbedding = "embedding",
    TensorParallelLogits = "logits", ContextParallelKeysAndValues = "keys and values", ExpertParallelTokens = "tokens of experts", PipelineActivations = "pipeline", GradientReduction = "gradients",
    ParameterGather = "parameters", MomentumGather = "momenta", GradientReductionBetweenGroups = "gradients between groups",
    TiedEmbeddingGradients = "tied embedding gradients");

/// The pattern of a collective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CollectiveKind {
    /// Sum over ranks, on every rank.
    AllReduce,
    /// All shards, on every rank.
    AllGather,
    /// Sum over ranks, one shard on each rank.
    ReduceScatter,
    /// From one rank to the next.
    Send,
    /// From each rank a part to every other one.
    AllToAll,
}

impl CollectiveKind {
    /// The name used in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllReduce => "all-reduce",
            Self::AllGather => "all-gather",
            Self::ReduceScatter => "reduce-scatter",
            Self::Send => "send",
            Self::AllToAll => "all-to-all",
        }
    }
}

/// The slowest link a group crosses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// Links inside a node.
    Node,
    /// The network between nodes.
    Network,
}

/// Communication among a group of GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Collective {
    /// Its role; the operation's name in JSON.
    #[serde(skip)]
    pub role: CollectiveRole,
    /// Its pattern.
    pub kind: CollectiveKind,
    /// The whole buffer: before a scatter, after a gather.
    #[serde(rename = "buffer_bytes")]
    pub buffer: Bytes,
    /// GPUs in the group.
    pub ranks: u64,
    /// GPUs of the group inside one node, each with its own adapter; 1 for a send.
    pub ranks_per_node: u64,
    /// The slowest link it crosses.
    pub span: Span,
}

impl Collective {
    /// Bytes each GPU sends, with ring algorithms.
    pub fn sent_per_gpu(&self) -> Bytes {
        let n = self.ranks as f64;
        let share = match self.kind {
            CollectiveKind::AllReduce => 2.0 * (n - 1.0) / n,
            CollectiveKind::AllGather
            | CollectiveKind::ReduceScatter
            | CollectiveKind::AllToAll => (n - 1.0) / n,
            CollectiveKind::Send => 1.0,
        };
        self.buffer * share
    }

    /// Exchanges for which a law charges a launch and a latency: one, but half for each half of a tensor-parallel
    /// exchange.
    ///
    /// With sequence parallelism an all-reduce among tensor-parallel ranks becomes a reduce-scatter and an all-gather,
    /// with the bytes of the all-reduce together. A ring all-reduce also takes both passes, so that the two halves wait
    /// no longer than the whole (Korthikanti et al. 2022, section 4.2.2).
    pub const fn exchanges(&self) -> f64 {
        match self.kind {
            CollectiveKind::AllReduce | CollectiveKind::Send | CollectiveKind::AllToAll => 1.0,
            CollectiveKind::AllGather | CollectiveKind::ReduceScatter => match self.role {
                CollectiveRole::TensorParallelActivations
                | CollectiveRole::TensorParallelEmbedding
                | CollectiveRole::TensorParallelLogits => 0.5,
                CollectiveRole::ContextParallelKeysAndValues
                | CollectiveRole::ExpertParallelTokens
                | CollectiveRole::PipelineActivations
                | CollectiveRole::GradientReduction
                | CollectiveRole::ParameterGather
                | CollectiveRole::MomentumGather
                | CollectiveRole::GradientReductionBetweenGroups
                | CollectiveRole::TiedEmbeddingGradients => 1.0,
            },
        }
    }

    /// The share of an all-to-all's buffer that is for ranks on other nodes.
    fn leaves_node(&self) -> f64 {
        (self.ranks - self.ranks_per_node) as f64 / self.ranks as f64
    }

    /// Bytes that the network adapter of each GPU sends: the share of a GPU among the group's ranks in its node.
    pub fn network_bytes_per_gpu(&self) -> Bytes {
        match (self.span, self.kind) {
            (Span::Node, _) => Bytes::ZERO,
            // each part goes straight to its rank
            (Span::Network, CollectiveKind::AllToAll) => self.buffer * self.leaves_node(),
            (Span::Network, _) => self.sent_per_gpu() / self.ranks_per_node as f64,
        }
    }

    /// Bytes that each GPU sends over the link inside its node; all of them where a node holds several ranks of the
    /// group, since a ring passes through them, and what leaves through another GPU's adapter reaches it over the link.
    pub fn node_link_bytes_per_gpu(&self) -> Bytes {
        match (self.span, self.kind) {
            (Span::Network, CollectiveKind::AllToAll) => {
                self.sent_per_gpu() - self.buffer * self.leaves_node()
            }
            (Span::Network, _) if self.ranks_per_node == 1 => Bytes::ZERO,
            (Span::Network | Span::Node, _) => self.sent_per_gpu(),
        }
    }
}
