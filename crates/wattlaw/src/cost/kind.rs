//! The operations that a ledger can hold, as types.
//!
//! Code that prices operations (time, energy, memory) matches on them without a wildcard, so a new operation or
//! collective does not compile until it has a price everywhere.

use super::collective::Collective;
use crate::base::units::Bytes;

/// An operation of the ledger.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OpKind {
    /// Projection of an image's patches, or of merged ones.
    PatchProjection,
    /// Look-up of tokens, positions and segments; patches that are put beside each other and normed, to be merged.
    Embedding,
    /// Product from a narrow embedding to the hidden size.
    EmbeddingProjection,
    /// Norms of the layers.
    Norm,
    /// Query, key and value projections.
    QueryKeyValue,
    /// Quantized weights of the projections, expanded to the computing precision.
    Dequantization,
    /// Low-rank products of a LoRA adapter.
    Adapter,
    /// Norms of adapted weights, and their magnitudes on the outputs (DoRA).
    Magnitude,
    /// Rotary position embedding.
    Rotary,
    /// Windows cut out of an image and put back.
    WindowPartition,
    /// Scores, softmax and weighted values, of self-attention and cross-attention.
    AttentionCore {
        /// Whether each position attends only to those before it, so that a fused kernel can leave out half of the
        /// scores.
        causal: bool,
    },
    /// Output projection of self-attention.
    AttentionOutput,
    /// Query projection of cross-attention.
    CrossQuery,
    /// Key and value projections of cross-attention.
    CrossKeyValue,
    /// Output projection of cross-attention.
    CrossOutput,
    /// Router of a mixture of experts.
    Router,
    /// First projection of a feed-forward block without a gate.
    FfnUp,
    /// First two projections of a gated feed-forward block.
    FfnGateAndUp,
    /// Activation function of a feed-forward block.
    FfnActivation,
    /// Last projection of a feed-forward block.
    FfnDown,
    /// Weights of the experts beyond the first, read from memory.
    ExpertWeights,
    /// Residual additions.
    Residual,
    /// Norm before the head.
    FinalNorm,
    /// Dense product before a masked language model's logits.
    MaskedLmTransform,
    /// Product from the hidden size to a narrow embedding, before the logits, or into the space of images and texts.
    OutputProjection,
    /// Pooling products before a BERT classifier, or of images that are compared with texts.
    Pooler,
    /// Classification head, or products of images with texts.
    Classifier,
    /// Product with the vocabulary.
    Logits,
    /// Softmax over the vocabulary and cross-entropy.
    Loss,
    /// Update of the weights.
    Optimizer,
    /// Gradients, weights or updated weights between the GPU's memory and the host's.
    HostTransfer,
    /// Update of the weights by the host's CPUs.
    HostUpdate {
        /// What moves through the host's memory; the operation's own bytes are those of the GPU.
        bytes: Bytes,
    },
    /// Muon's products that orthogonalize the momentum of each matrix.
    Orthogonalization,
    /// Communication among a group of GPUs.
    Collective(Collective),
}

impl OpKind {
    /// Whether it is the product of a layer's projection, whose weights may be stored quantized.
    pub(crate) const fn is_projection_of_layer(self) -> bool {
        match self {
            Self::QueryKeyValue
            | Self::AttentionOutput
            | Self::CrossQuery
            | Self::CrossKeyValue
            | Self::CrossOutput
            | Self::Router
            | Self::FfnUp
            | Self::FfnGateAndUp
            | Self::FfnDown => true,
            Self::PatchProjection
            | Self::Embedding
            | Self::EmbeddingProjection
            | Self::Norm
            | Self::Dequantization
            | Self::Adapter
            | Self::Magnitude
            | Self::Rotary
            | Self::WindowPartition
            | Self::AttentionCore { causal: _ }
            | Self::FfnActivation
            | Self::ExpertWeights
            | Self::Residual
            | Self::FinalNorm
            | Self::MaskedLmTransform
            | Self::OutputProjection
            | Self::Pooler
            | Self::Classifier
            | Self::Logits
            | Self::Loss
            | Self::Optimizer
            | Self::HostTransfer
            | Self::HostUpdate { bytes: _ }
            | Self::Orthogonalization
            | Self::Collective(_) => false,
        }
    }

    /// Whether it is computed in 8 bits where the job's precision is fp8: the linear layers but for the router. Attention's
    /// products, adapters, embeddings, heads and updates stay in 16 bits.
    ///
    /// Sources: TransformerEngine's modules with FP8 are its linear ones (`te.Linear`, `LayerNormLinear`, `LayerNormMLP`,
    /// `GroupedLinear`; NVIDIA, "Using FP8 with Transformer Engine"); torchao converts `nn.Linear`, of which torchtitan leaves out
    /// output and router (`filter_fqns`); DeepSeek-V3 keeps embedding, output, gating, norms and attention
    /// (arXiv 2412.19437, section 3.3.1).
    pub const fn runs_in_8_bits(self) -> bool {
        self.is_projection_of_layer() && !matches!(self, Self::Router)
    }

    /// The name used in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PatchProjection => "patch projection",
            Self::Embedding => "embedding",
            Self::EmbeddingProjection => "embedding projection",
            Self::Norm => "norm",
            Self::QueryKeyValue => "query, key, value",
            Self::Dequantization => "dequantization",
            Self::Adapter => "adapter",
            Self::Magnitude => "magnitude",
            Self::Rotary => "rotary",
            Self::WindowPartition => "window partition",
            Self::AttentionCore { causal: _ } => "attention core",
            Self::AttentionOutput => "attention output",
            Self::CrossQuery => "cross query",
            Self::CrossKeyValue => "cross key, value",
            Self::CrossOutput => "cross output",
            Self::Router => "router",
            Self::FfnUp => "ffn up",
            Self::FfnGateAndUp => "ffn gate and up",
            Self::FfnActivation => "ffn activation",
            Self::FfnDown => "ffn down",
            Self::ExpertWeights => "expert weights",
            Self::Residual => "residual",
            Self::FinalNorm => "final norm",
            Self::MaskedLmTransform => "masked-LM transform",
            Self::OutputProjection => "output projection",
            Self::Pooler => "pooler",
            Self::Classifier => "classifier",
            Self::Logits => "logits",
            Self::Loss => "loss",
            Self::Optimizer => "optimizer",
            Self::HostTransfer => "host transfer",
            Self::HostUpdate { bytes: _ } => "host update",
            Self::Orthogonalization => "orthogonalization",
            Self::Collective(collective) => collective.role.name(),
        }
    }
}
