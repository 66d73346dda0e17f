//! The parts of peak memory, and the part that holds the result of a ledger operation.

use super::Memory;
use crate::base::units::Bytes;
use crate::base::words::words;
use crate::cost::{CollectiveRole, Op, OpKind, Phase};

/// A part of peak memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MemoryPart {
    /// Weights.
    Weights,
    /// Gradients.
    Gradients,
    /// Optimizer states.
    Optimizer,
    /// Activations saved for the backward pass.
    Activations,
    /// Recomputed activations under checkpointing.
    Recomputed,
    /// Logits and their copies in the loss.
    Logits,
    /// Gathered parameters and communication buffers.
    Communication,
    /// Casts of weights, gradients of activations, and copies that the optimizer's step makes.
    Temporaries,
    /// Reserve of the caching allocator.
    Allocator,
    /// Buffers kept alive because the host queues kernels ahead of the GPU.
    RunAhead,
    /// CUDA context and NCCL.
    Reserve,
}

words!(MemoryPart, "part of memory":
    Weights = "weights", Gradients = "gradients", Optimizer = "optimizer", Activations = "activations",
    Recomputed = "recomputed", Logits = "logits", Communication = "communication",
    Temporaries = "temporaries", Allocator = "allocator",
    RunAhead = "run-ahead", Reserve = "reserve");

impl MemoryPart {
    /// All parts, in the order of a table.
    pub const ALL: [Self; 11] = [
        Self::Weights,
        Self::Gradients,
        Self::Optimizer,
        Self::Activations,
        Self::Recomputed,
        Self::Logits,
        Self::Communication,
        Self::Temporaries,
        Self::Allocator,
        Self::RunAhead,
        Self::Reserve,
    ];

    /// The part that counts the result of an operation.
    pub const fn for_op(op: &Op) -> Self {
        match op.kind {
            OpKind::PatchProjection
            | OpKind::Embedding
            | OpKind::EmbeddingProjection
            | OpKind::Norm
            | OpKind::QueryKeyValue
            | OpKind::Adapter
            | OpKind::Magnitude
            | OpKind::Rotary
            | OpKind::WindowPartition
            | OpKind::AttentionCore { causal: _ }
            | OpKind::AttentionOutput
            | OpKind::CrossQuery
            | OpKind::CrossKeyValue
            | OpKind::CrossOutput
            | OpKind::Router
            | OpKind::FfnUp
            | OpKind::FfnGateAndUp
            | OpKind::FfnActivation
            | OpKind::FfnDown
            | OpKind::Residual
            | OpKind::FinalNorm
            | OpKind::MaskedLmTransform
            | OpKind::OutputProjection
            | OpKind::Pooler
            | OpKind::Classifier => Self::for_activation(op.phase),
            OpKind::Logits | OpKind::Loss => Self::Logits,
            OpKind::ExpertWeights => Self::Weights,
            OpKind::Dequantization => Self::Temporaries,
            OpKind::Optimizer => Self::Optimizer,
            OpKind::HostTransfer | OpKind::HostUpdate { bytes: _ } => Self::Communication,
            OpKind::Orthogonalization => Self::Temporaries,
            OpKind::Collective(collective) => match collective.role {
                CollectiveRole::ContextParallelKeysAndValues
                | CollectiveRole::ExpertParallelTokens => Self::Communication,
                CollectiveRole::TensorParallelActivations
                | CollectiveRole::TensorParallelEmbedding
                | CollectiveRole::TensorParallelLogits
                | CollectiveRole::PipelineActivations => Self::for_activation(op.phase),
                CollectiveRole::GradientReduction
                | CollectiveRole::GradientReductionBetweenGroups
                | CollectiveRole::TiedEmbeddingGradients => Self::Gradients,
                CollectiveRole::ParameterGather => Self::Weights,
                CollectiveRole::MomentumGather => Self::Temporaries,
            },
        }
    }

    const fn for_activation(phase: Phase) -> Self {
        match phase {
            Phase::Recompute => Self::Recomputed,
            Phase::Forward | Phase::Reference | Phase::Backward | Phase::Step => Self::Activations,
        }
    }
}

impl Memory {
    /// Bytes of one part.
    pub const fn part(&self, part: MemoryPart) -> Bytes {
        match part {
            MemoryPart::Weights => self.weights,
            MemoryPart::Gradients => self.gradients,
            MemoryPart::Optimizer => self.optimizer,
            MemoryPart::Activations => self.activations,
            MemoryPart::Recomputed => self.recomputed,
            MemoryPart::Logits => self.logits,
            MemoryPart::Communication => self.communication,
            MemoryPart::Temporaries => self.temporaries,
            MemoryPart::Allocator => self.allocator,
            MemoryPart::RunAhead => self.run_ahead,
            MemoryPart::Reserve => self.reserve,
        }
    }
}
