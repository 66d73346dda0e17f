//! The Transformer's shape: layers, widths and options, checked once.

mod hugging_face;
mod parameters;
mod spec;

pub use hugging_face::from_config_json;
pub use parameters::Parameters;
pub use spec::ModelSpec;
pub(crate) use spec::count;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
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

    /// The default training task of the family.
    pub(crate) const fn default_task(self, classes: u64) -> Task {
        match self {
            Self::Bert => Task::MaskedLm,
            Self::Gpt | Self::Llama | Self::T5 => Task::CausalLm,
            Self::Vit => Task::Classification { labels: if classes == 0 { 1000 } else { classes } },
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The concrete model type, named as Hugging Face's `model_type`; it decides which biases, norms and
/// embeddings a shape has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the variants are the names of published models
pub enum ModelType {
    Bert,
    Roberta,
    Distilbert,
    Gpt2,
    GptNeox,
    Opt,
    Llama,
    Mistral,
    Qwen2,
    Mixtral,
    T5,
    Vit,
}

impl ModelType {
    /// Every model type, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::Bert,
        Self::Roberta,
        Self::Distilbert,
        Self::Gpt2,
        Self::GptNeox,
        Self::Opt,
        Self::Llama,
        Self::Mistral,
        Self::Qwen2,
        Self::Mixtral,
        Self::T5,
        Self::Vit,
    ];

    /// The name, as in a Hugging Face `config.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Roberta => "roberta",
            Self::Distilbert => "distilbert",
            Self::Gpt2 => "gpt2",
            Self::GptNeox => "gpt_neox",
            Self::Opt => "opt",
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Mixtral => "mixtral",
            Self::T5 => "t5",
            Self::Vit => "vit",
        }
    }

    /// The family it belongs to.
    pub const fn family(self) -> Family {
        match self {
            Self::Bert | Self::Roberta | Self::Distilbert => Family::Bert,
            Self::Gpt2 | Self::GptNeox | Self::Opt => Family::Gpt,
            Self::Llama | Self::Mistral | Self::Qwen2 | Self::Mixtral => Family::Llama,
            Self::T5 => Family::T5,
            Self::Vit => Family::Vit,
        }
    }
}

impl FromStr for ModelType {
    type Err = Error;

    /// Reads a model type or a family name (`gpt` means `gpt2`); case and dashes do not matter.
    fn from_str(text: &str) -> Result<Self> {
        let name = text.trim().to_lowercase().replace('-', "_");
        if name == "gpt" {
            return Ok(Self::Gpt2);
        }
        Self::ALL
            .into_iter()
            .find(|t| t.name() == name)
            .ok_or_else(|| Error::unknown("model type", text, Self::ALL.map(Self::name)))
    }
}

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
    /// A learned bias per head and distance bucket, shared by the layers of a stack (T5).
    Relative {
        /// Number of distance buckets.
        buckets: u64,
    },
}

/// The normalisation of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Layer norm: a weight and a bias per channel.
    LayerNorm,
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

/// A mixture of experts in place of every feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experts {
    /// Experts per layer.
    pub count: u64,
    /// Experts that each token visits.
    pub top_k: u64,
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
    /// The image, for vision models.
    pub image: Option<Image>,
    /// Classes of the published classification head, else zero.
    pub classes: u64,
}

impl Architecture {
    /// The shape as a description that resolves to it, except for its name.
    pub fn spec(&self) -> ModelSpec {
        let learned = match self.positions {
            Positions::Learned { .. } if self.image.is_some() => None,
            // OPT keeps two rows before the first position
            Positions::Learned { rows } if self.model_type == ModelType::Opt => Some(rows - 2),
            Positions::Learned { rows } => Some(rows),
            Positions::Rotary | Positions::Relative { .. } => None,
        };
        let buckets = match self.positions {
            Positions::Relative { buckets } => Some(buckets),
            Positions::Learned { .. } | Positions::Rotary => None,
        };
        ModelSpec {
            name: None,
            config: None,
            family: Some(self.model_type.name().to_owned()),
            layers: Some(self.layers),
            encoder_layers: Some(self.encoder_layers).filter(|n| *n > 0),
            hidden_size: Some(self.hidden_size),
            heads: Some(self.heads),
            kv_heads: Some(self.kv_heads),
            head_dim: Some(self.head_dim),
            ffn_size: Some(self.ffn_size),
            vocab_size: Some(self.vocab_size).filter(|n| *n > 0),
            vocab_multiple: self.vocab_multiple,
            embedding_size: Some(self.embedding_size),
            max_positions: learned,
            token_types: Some(self.token_types).filter(|n| *n > 0),
            relative_buckets: buckets,
            gated_ffn: Some(self.gated_ffn),
            tied_embeddings: Some(self.tied_embeddings),
            qkv_bias: Some(self.biases.qkv),
            attention_output_bias: Some(self.biases.attention_output),
            ffn_bias: Some(self.biases.ffn),
            final_norm: Some(self.final_norm),
            pooler: Some(self.pooler),
            experts: self.experts.map(|e| e.count),
            top_k: self.experts.map(|e| e.top_k),
            image_size: self.image.map(|i| i.size),
            patch_size: self.image.map(|i| i.patch),
            channels: self.image.map(|i| i.channels),
            classes: Some(self.classes).filter(|n| *n > 0),
        }
    }

    /// The family the model type belongs to.
    pub const fn family(&self) -> Family {
        self.model_type.family()
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
        matches!(self.family(), Family::Gpt | Family::Llama)
    }

    /// Linear projections in one feed-forward block: two, or three with a gate.
    pub(crate) const fn ffn_projections(&self) -> u64 {
        if self.gated_ffn { 3 } else { 2 }
    }

    /// Layers of all stacks together.
    pub const fn total_layers(&self) -> u64 {
        self.layers + self.encoder_layers
    }

    /// A label of the shape: layers × hidden size.
    pub fn label(&self) -> String {
        format!("{}x{}", self.layers, self.hidden_size)
    }
}
