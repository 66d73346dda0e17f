//! The Transformer's shape: layers, widths and options, checked once.

mod hugging_face;
mod parameters;
mod spec;
mod stacks;
mod types;

pub use hugging_face::{HubConfig, from_config_json};
pub use parameters::Parameters;
pub use spec::ModelSpec;
pub(crate) use spec::count;
pub use stacks::Place;
use types::Windowed;
pub use types::{Features, ModelType, Relative};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::words::words;
use crate::job::task::Task;

/// The broad kind of a Transformer, as laws and run tables use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Encoder with bidirectional attention (BERT, RoBERTa, DistilBERT).
    Bert,
    /// Decoder with layer norm and a plain MLP (GPT-2, GPT-NeoX, OPT).
    Gpt,
    /// Decoder with RMSNorm, rotary positions and a gated MLP (Llama, Mistral, Qwen2, Mixtral).
    Llama,
    /// Encoder–decoder with relative position bias (T5).
    T5,
    /// Image encoder over patches (ViT).
    Vit,
}

impl Family {
    /// The name used in files, flags and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Gpt => "gpt",
            Self::Llama => "llama",
            Self::T5 => "t5",
            Self::Vit => "vit",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How positions enter, beside a relative bias; what a description says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PositionKind {
    /// A learned position embedding.
    Learned,
    /// Rotation of queries and keys.
    Rotary,
    /// Nothing with parameters: fixed sinusoids, ALiBi, or only a relative bias.
    None,
}

words!(PositionKind, "kind of positions": Learned = "learned", Rotary = "rotary", None = "none" | "alibi");

/// How positions enter the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Positions {
    /// A learned position embedding.
    Learned {
        /// Rows of the table; OPT and RoBERTa keep two more than the longest sequence.
        rows: u64,
    },
    /// Rotation of queries and keys; no parameters.
    Rotary,
    /// A learned bias or embedding per distance bucket (T5).
    Relative {
        /// Number of distance buckets.
        buckets: u64,
    },
    /// A learned position embedding and a relative bias (MPNet).
    LearnedAndRelative {
        /// Rows of the position embedding.
        rows: u64,
        /// Number of distance buckets.
        buckets: u64,
    },
    /// Nothing with parameters: fixed sinusoids or ALiBi.
    None,
}

impl Positions {
    /// Rows of the learned position embedding, else zero.
    pub const fn rows(self) -> u64 {
        match self {
            Self::Learned { rows } | Self::LearnedAndRelative { rows, .. } => rows,
            Self::Rotary | Self::Relative { .. } | Self::None => 0,
        }
    }

    /// Distance buckets of the relative bias, else zero.
    pub const fn buckets(self) -> u64 {
        match self {
            Self::Relative { buckets } | Self::LearnedAndRelative { buckets, .. } => buckets,
            Self::Learned { .. } | Self::Rotary | Self::None => 0,
        }
    }

    const fn kind(self) -> PositionKind {
        match self {
            Self::Learned { .. } | Self::LearnedAndRelative { .. } => PositionKind::Learned,
            Self::Rotary => PositionKind::Rotary,
            Self::Relative { .. } | Self::None => PositionKind::None,
        }
    }
}

/// The normalisation of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Layer norm: a weight and a bias per channel.
    LayerNorm,
    /// Layer norm without bias: a weight per channel.
    LayerNormWithoutBias,
    /// Root-mean-square norm: a weight per channel.
    RmsNorm,
}

/// Which linear projections have a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Biases {
    /// Query, key and value projections.
    pub qkv: bool,
    /// Attention output projection.
    pub attention_output: bool,
    /// Feed-forward projections.
    pub ffn: bool,
}

/// A mixture of experts in place of the feed-forward blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experts {
    /// Experts per layer.
    pub count: u64,
    /// Experts that each token visits.
    pub top_k: u64,
    /// Inner width of the experts that every token visits, all together, else zero.
    pub shared_ffn_size: u64,
    /// Layers with a plain feed-forward block instead.
    pub dense_layers: u64,
    /// Inner width of that block.
    pub dense_ffn_size: u64,
}

/// Attention whose queries, keys and values are projected from latents of a low rank (DeepSeek-V2).
///
/// The width of a head, [`Architecture::head_dim`], is that of its query: the rotated channels and the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latent {
    /// Rank of the queries' latent; a direct projection when absent.
    pub query_rank: Option<u64>,
    /// Rank of the latent that keys and values share.
    pub kv_rank: u64,
    /// Rotated channels of a head, which its keys share.
    pub rope_head_dim: u64,
    /// Width of a head's value.
    pub value_head_dim: u64,
}

/// Attention that sees a window of the sequence in some layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Positions that a query sees.
    pub size: u64,
    /// Layers that see the window only.
    pub layers: u64,
}

/// The image a vision model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Side of the square image in pixels.
    pub size: u64,
    /// Side of a patch in pixels.
    pub patch: u64,
    /// Colour channels.
    pub channels: u64,
}

impl Image {
    /// Whole patches per image; a remainder at the edge is dropped, as by the convolution.
    pub const fn patches(self) -> u64 {
        let side = self.size / self.patch;
        side * side
    }
}

/// A checked Transformer shape: heads divide the width, counts are positive, the size is plausible.
///
/// [`ModelSpec::resolve`] makes it from files and flags; the fields are for reading.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Architecture {
    /// Preset name, file name, or a name made from the shape.
    pub name: String,
    /// Model type.
    pub model_type: ModelType,
    /// Layers of the stack, or of the decoder of an encoder–decoder.
    pub layers: u64,
    /// Layers of the encoder of an encoder–decoder, else zero.
    pub encoder_layers: u64,
    /// Width of the residual stream.
    pub hidden_size: u64,
    /// Query heads.
    pub heads: u64,
    /// Key and value heads (equal to `heads` without grouped-query attention).
    pub kv_heads: u64,
    /// Width of one head.
    pub head_dim: u64,
    /// Inner width of the feed-forward block, of one expert where there are several.
    pub ffn_size: u64,
    /// Rows of the token embedding; zero for images.
    pub vocab_size: u64,
    /// The vocabulary is padded to a multiple of this in training; none until a job says its framework.
    pub vocab_multiple: Option<u64>,
    /// Width of the token embedding; it is projected where it differs from `hidden_size`.
    pub embedding_size: u64,
    /// Whether the feed-forward block has a gate (three projections instead of two).
    pub gated_ffn: bool,
    /// Whether the output projection reuses the token embedding.
    pub tied_embeddings: bool,
    /// How positions enter.
    pub positions: Positions,
    /// Rows of the segment embedding.
    pub token_types: u64,
    /// The normalisation.
    pub norm: Norm,
    /// Whether a norm follows the embedding.
    pub embedding_norm: bool,
    /// Whether a norm follows the last layer.
    pub final_norm: bool,
    /// Which linear projections have a bias.
    pub biases: Biases,
    /// Whether the published model has a pooling layer over the first token.
    pub pooler: bool,
    /// Mixture of experts, where the model is one.
    pub experts: Option<Experts>,
    /// Longest sequence that the model is made for, where it is known.
    pub max_positions: Option<u64>,
    /// Rows of the encoder's position embedding, where they differ from the decoder's.
    pub encoder_positions: Option<u64>,
    /// Norms of a layer, cross-attention's not included.
    pub norms_per_layer: u64,
    /// Whether queries and keys are normed.
    pub qk_norm: bool,
    /// Whether a learned scale follows attention and feed-forward block.
    pub layer_scale: bool,
    /// Layers with weights of their own, where others share them.
    pub distinct_layers: Option<u64>,
    /// The window of attention, where some layers have one.
    pub window: Option<Window>,
    /// Latent attention, where the model has it.
    pub latent: Option<Latent>,
    /// Channels of the spectra that a speech model reads.
    pub mel_bins: Option<u64>,
    /// The image, for vision models.
    pub image: Option<Image>,
    /// Classes of the published classification head, else zero.
    pub classes: u64,
    /// What comes before and after the stack.
    pub place: Place,
    /// The other stacks of a model of several, which themselves hold none.
    pub other_stacks: Vec<Self>,
}

impl Architecture {
    /// The stacks of the model, each without the others.
    pub(crate) fn stacks(&self) -> impl Iterator<Item = Self> {
        let first = Self { other_stacks: Vec::new(), ..self.clone() };
        std::iter::once(first).chain(self.other_stacks.iter().cloned())
    }

    /// The encoder of texts beside one of images.
    pub(crate) fn text_encoder(&self) -> Option<&Self> {
        self.other_stacks.first().filter(|stack| stack.vocab_size > 0)
    }

    /// The default training task.
    pub(crate) const fn default_task(&self) -> Task {
        match (self.place, self.family()) {
            (Place::Encoder { .. }, _) => Task::Contrastive,
            (_, Family::Bert) => Task::MaskedLm,
            (_, Family::Gpt | Family::Llama | Family::T5) => Task::CausalLm,
            (_, Family::Vit) => {
                Task::Classification { labels: if self.classes == 0 { 1000 } else { self.classes } }
            }
        }
    }

    /// The shape as a description that resolves to it, except for its name.
    pub fn spec(&self) -> ModelSpec {
        let features = self.model_type.features();
        let text = self.text_encoder();
        let joint_size = match self.place {
            Place::Encoder { joint_size, .. } => Some(joint_size),
            Place::Only | Place::Stage { .. } => None,
        };
        ModelSpec {
            name: None,
            config: None,
            family: Some(self.model_type.name().to_owned()),
            layers: Some(match text {
                Some(_) => self.layers,
                None => self.layers + self.layers_of_other_stacks(),
            }),
            encoder_layers: Some(self.encoder_layers).filter(|n| *n > 0),
            hidden_size: Some(self.hidden_size),
            heads: Some(self.heads),
            kv_heads: Some(self.kv_heads),
            head_dim: Some(self.head_dim),
            ffn_size: Some(self.ffn_size),
            vocab_size: Some(text.unwrap_or(self).vocab_size).filter(|n| *n > 0),
            vocab_multiple: self.vocab_multiple,
            embedding_size: Some(self.embedding_size),
            max_positions: text.unwrap_or(self).max_positions,
            token_types: Some(self.token_types).filter(|n| *n > 0),
            relative_buckets: Some(self.positions.buckets()).filter(|n| *n > 0),
            gated_ffn: Some(self.gated_ffn),
            tied_embeddings: Some(self.tied_embeddings),
            qkv_bias: Some(self.biases.qkv),
            attention_output_bias: Some(self.biases.attention_output),
            ffn_bias: Some(self.biases.ffn),
            final_norm: Some(self.other_stacks.last().unwrap_or(self).final_norm),
            pooler: Some(self.pooler),
            experts: self.experts.map(|e| e.count),
            top_k: self.experts.map(|e| e.top_k),
            shared_ffn_size: self.experts.map(|e| e.shared_ffn_size).filter(|n| *n > 0),
            dense_layers: self.experts.map(|e| e.dense_layers).filter(|n| *n > 0),
            dense_ffn_size: self.experts.map(|e| e.dense_ffn_size).filter(|n| *n > 0),
            positions: Some(self.positions.kind()).filter(|kind| *kind != features.positions),
            encoder_positions: self.encoder_positions,
            norms_per_layer: Some(self.norms_per_layer).filter(|n| *n != features.norms),
            embedding_norm: Some(self.embedding_norm).filter(|on| *on != features.embedding_norm),
            qk_norm: Some(self.qk_norm).filter(|on| *on != features.has_qk_norm),
            layer_scale: Some(self.layer_scale).filter(|on| *on != features.layer_scale),
            distinct_layers: self.distinct_layers,
            window: self.window.map(|w| w.size),
            window_layers: self.window.map(|w| w.layers + self.layers_of_other_stacks()),
            query_rank: self.latent.and_then(|l| l.query_rank),
            kv_rank: self.latent.map(|l| l.kv_rank),
            rope_head_dim: self.latent.map(|l| l.rope_head_dim),
            value_head_dim: self.latent.map(|l| l.value_head_dim),
            image_size: self.image.map(|i| i.size),
            patch_size: self.image.map(|i| i.patch),
            channels: self.image.map(|i| i.channels).or(self.mel_bins),
            classes: Some(self.classes).filter(|n| *n > 0),
            stage_layers: features.staged.then(|| self.stacks().map(|s| s.layers).collect()),
            text_layers: text.map(|t| t.layers),
            text_hidden_size: text.map(|t| t.hidden_size),
            text_heads: text.map(|t| t.heads),
            text_ffn_size: text.map(|t| t.ffn_size),
            joint_size,
        }
    }

    /// The family the model type belongs to.
    pub const fn family(&self) -> Family {
        self.model_type.family()
    }

    /// The model type whose kernels, and so whose saved tensors, are the nearest.
    pub(crate) const fn kernels(&self) -> ModelType {
        self.model_type.features().kernels
    }

    /// Positions of an image: its patches and the learned tokens before them.
    pub(crate) fn image_positions(&self) -> Option<u64> {
        self.image.map(|image| image.patches() + self.model_type.features().image_tokens)
    }

    /// Width of all values together, which the attention output projection reads.
    pub(crate) fn value_width(&self) -> u64 {
        self.latent.map_or(self.query_width(), |latent| self.heads * latent.value_head_dim)
    }

    /// Layers with experts; all of them where none has a plain feed-forward block.
    pub(crate) fn expert_layers(&self) -> u64 {
        self.experts.map_or(0, |e| self.layers - e.dense_layers)
    }

    /// Width of all query heads together.
    pub(crate) const fn query_width(&self) -> u64 {
        self.heads * self.head_dim
    }

    /// Width of all key heads together, and of all value heads.
    pub(crate) const fn kv_width(&self) -> u64 {
        self.kv_heads * self.head_dim
    }

    /// Rows of the token embedding and of the output projection in training, padding included.
    pub const fn padded_vocab(&self) -> u64 {
        match self.vocab_multiple {
            Some(multiple) => self.vocab_size.next_multiple_of(multiple),
            None => self.vocab_size,
        }
    }

    /// Whether attention is causal.
    pub const fn causal(&self) -> bool {
        match self.model_type.features().text_encoder {
            Some(text) => text.causal && self.vocab_size > 0,
            None => matches!(self.family(), Family::Gpt | Family::Llama),
        }
    }

    /// Whether each layer's attention stays within windows that divide the sequence, whatever the kernel.
    pub(crate) fn tiles(&self) -> Option<u64> {
        self.window
            .filter(|_| self.model_type.features().windowed == Windowed::Tiles)
            .map(|w| w.size)
    }

    /// Linear projections in one feed-forward block: two, or three with a gate.
    pub(crate) const fn ffn_projections(&self) -> u64 {
        if self.gated_ffn { 3 } else { 2 }
    }

    /// Layers of all stacks together.
    pub fn total_layers(&self) -> u64 {
        self.layers + self.encoder_layers + self.layers_of_other_stacks()
    }

    /// Layers of [`Self::other_stacks`].
    pub(crate) fn layers_of_other_stacks(&self) -> u64 {
        self.other_stacks.iter().map(|stack| stack.layers).sum()
    }

    /// A label of the shape: layers × hidden size.
    pub fn label(&self) -> String {
        format!("{}x{}", self.layers, self.hidden_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_of_a_shape_come_back_from_its_description() {
        let shape = |model_type: ModelType| ModelSpec {
            family: Some(model_type.name().to_owned()),
            layers: Some(4),
            hidden_size: Some(64),
            ..ModelSpec::default()
        };
        let shapes = [
            ModelSpec {
                shared_ffn_size: Some(24),
                dense_layers: Some(1),
                dense_ffn_size: Some(96),
                query_rank: Some(16),
                kv_rank: Some(8),
                rope_head_dim: Some(4),
                value_head_dim: Some(12),
                ..shape(ModelType::DeepseekV3)
            },
            ModelSpec {
                window: Some(128),
                window_layers: Some(3),
                qk_norm: Some(true),
                ..shape(ModelType::Cohere)
            },
            ModelSpec {
                positions: Some(PositionKind::None),
                norms_per_layer: Some(2),
                ..shape(ModelType::Falcon)
            },
            ModelSpec {
                positions: Some(PositionKind::Rotary),
                embedding_norm: Some(true),
                ..shape(ModelType::Esm)
            },
            ModelSpec {
                positions: Some(PositionKind::Learned),
                relative_buckets: Some(700),
                layer_scale: Some(false),
                ..shape(ModelType::Beit)
            },
            ModelSpec { encoder_positions: Some(150), ..shape(ModelType::Whisper) },
            ModelSpec { distinct_layers: Some(2), ..shape(ModelType::Albert) },
        ];
        for spec in shapes {
            let architecture = spec.resolve().unwrap();
            let again = architecture.spec().resolve().unwrap();
            assert_eq!(again, architecture);
        }
    }
}
