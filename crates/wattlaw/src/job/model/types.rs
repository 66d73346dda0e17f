//! Model types as rows of a table of features: what a type's layers have, and how its `config.json` names their sizes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Biases, Family, Norm, PositionKind};
use crate::base::error::{Error, Result};

/// What a relative position bias is, where a type has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relative {
    /// None.
    No,
    /// A bias per head and bucket, shared by the layers of a stack (T5, MPNet).
    StackBias,
    /// A bias per head and bucket in each layer (BEiT).
    LayerBias,
    /// An embedding per bucket and direction, which the query and key projections read (DeBERTa), and its norm.
    Embedding,
}

/// The norm of queries and keys, where a model has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QkNorm {
    /// No weights of its own.
    Weightless,
    /// One weight per channel of a head, the same for all heads.
    Head,
    /// A layer norm over a head, the same for all heads.
    HeadWithBias,
    /// A weight per channel of all heads.
    Width,
}

/// The layers whose attention sees a window, where a configuration does not list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windowed {
    /// None.
    No,
    /// All layers.
    All,
    /// All layers but each n-th.
    AllButEach(u64),
    /// All layers, in windows that divide an image, whatever the kernel (Swin).
    Tiles,
}

/// The text encoder beside an image encoder, with the sizes it has when they are not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextEncoder {
    /// Layers.
    pub layers: u64,
    /// Width of the residual stream.
    pub hidden_size: u64,
    /// Attention heads.
    pub heads: u64,
    /// Rows of the token embedding.
    pub vocab_size: u64,
    /// Longest sequence, to which every text is padded.
    pub positions: u64,
    /// Whether attention is causal.
    pub causal: bool,
    /// Width of the space into which both encoders' outputs are projected; where there is none, images are pooled by attention in
    /// their own width, and texts alone are projected.
    pub joint_size: Option<u64>,
}

/// What happens to a token embedding that is narrower than the residual stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Narrow {
    /// The type embeds in the residual stream's width only.
    No,
    /// Words are projected in and out without bias (OPT).
    Words,
    /// All embeddings are narrow and are projected in with a bias (ALBERT, ELECTRA).
    All,
}

/// Heads of a type whose published configurations leave them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultHeads {
    /// Query heads.
    pub heads: u64,
    /// Key and value heads.
    pub kv_heads: u64,
    /// Width of a head.
    pub head_dim: u64,
}

/// The keys of a `config.json` that hold sizes; the first is the current one, the others are older.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// Layers of the stack or decoder.
    pub layers: &'static [&'static str],
    /// Layers of the encoder of an encoder–decoder.
    pub encoder_layers: &'static str,
    /// Width of the residual stream.
    pub hidden: &'static [&'static str],
    /// Attention heads.
    pub heads: &'static [&'static str],
    /// Width of a head.
    pub head_dim: &'static str,
    /// Inner width of the feed-forward block.
    pub ffn: &'static [&'static str],
    /// Whether the inner width may be absent and is four times the residual stream's then.
    pub ffn_follows: bool,
    /// Longest sequence.
    pub positions: &'static str,
}

/// The keys that switch the biases of projections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BiasKeys {
    /// Query, key and value projections.
    pub qkv: Option<&'static str>,
    /// Attention output projection.
    pub attention_output: Option<&'static str>,
    /// Feed-forward projections.
    pub ffn: Option<&'static str>,
}

/// What the layers of a model type have. Sources are `configuration_*.py` and `modeling_*.py` of Hugging Face
/// transformers; `tests/golden/model_types.json` holds the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// The family, as laws know it.
    pub family: Family,
    /// The type whose kernels, and so whose saved tensors, are the nearest.
    pub kernels: ModelType,
    /// How a configuration names the sizes.
    pub keys: Keys,
    /// Heads when a configuration gives none, which then may leave out the vocabulary too.
    pub default_heads: Option<DefaultHeads>,
    /// Rows of the token embedding when not given.
    pub vocab_size: u64,
    /// Longest sequence when not given.
    pub max_positions: u64,
    /// Rows of the position embedding beyond the longest sequence.
    pub position_offset: u64,
    /// Rows of the segment embedding when not given.
    pub token_types: u64,
    /// Whether the feed-forward block has a gate.
    pub gated_ffn: bool,
    /// Whether the output projection reuses the token embedding.
    pub tied: bool,
    /// The normalisation.
    pub norm: Norm,
    /// Norms of a layer, cross-attention's not included.
    pub norms: u64,
    /// Whether the first layer has a norm before its attention.
    pub first_norm: bool,
    /// Whether a norm follows the embedding.
    pub embedding_norm: bool,
    /// Whether a norm follows the last layer.
    pub final_norm: bool,
    /// How positions enter.
    pub positions: PositionKind,
    /// The relative position bias beside that.
    pub relative: Relative,
    /// Its distance buckets when not given.
    pub buckets: u64,
    /// Biases when not given.
    pub biases: Biases,
    /// The keys that switch them.
    pub bias_keys: BiasKeys,
    /// Whether the key projection has a bias where query and value have.
    pub key_bias: bool,
    /// The norm of queries and keys, where it is on.
    pub qk_norm: QkNorm,
    /// Whether it is on when not given.
    pub has_qk_norm: bool,
    /// The key that switches it.
    pub qk_norm_key: Option<&'static str>,
    /// Whether each head has a learned attention sink.
    pub sinks: bool,
    /// The layers that see a window.
    pub windowed: Windowed,
    /// Whether queries, keys and values come from low-rank latents.
    pub latent: bool,
    /// Whether the type is a mixture of experts.
    pub experts: bool,
    /// Whether the router has a bias.
    pub router_bias: bool,
    /// What happens to a narrower embedding.
    pub narrow: Narrow,
    /// Whether the published model has a pooling layer.
    pub pooler: bool,
    /// Whether the language-model head has a bias.
    pub head_bias: bool,
    /// Whether the dense layer of the masked-LM head has a bias.
    pub transform_bias: bool,
    /// Whether a head for contacts between positions is part of the model (ESM).
    pub contact_head: bool,
    /// Layers with weights of their own when not given; the others share them (ALBERT).
    pub distinct_layers: Option<u64>,
    /// Learned tokens before the patches of an image.
    pub image_tokens: u64,
    /// Whether an image model has a mask token.
    pub mask_token: bool,
    /// Whether a learned scale follows attention and feed-forward block.
    pub layer_scale: bool,
    /// Inputs of the image classifier, in widths of the residual stream.
    pub classifier_widths: u64,
    /// Whether the encoder reads spectra through two convolutions (Whisper).
    pub speech: bool,
    /// Whether the projection of an image's patches has a bias.
    pub patch_bias: bool,
    /// Whether the model is an image encoder of stages, each of twice the width of the one before.
    pub staged: bool,
    /// The text encoder beside an image encoder.
    pub text_encoder: Option<TextEncoder>,
}

impl Features {
    /// The features in words, as the list of model types shows them.
    pub fn words(&self) -> Vec<String> {
        let bias = |on: bool, what: &str| on.then(|| what.to_owned());
        let norm = match self.norm {
            Norm::LayerNorm => "layer norm",
            Norm::LayerNormWithoutBias => "layer norm without bias",
            Norm::RmsNorm => "RMS norm",
        };
        let positions = match (self.positions, self.relative) {
            (PositionKind::Learned, Relative::No) => "learned positions",
            (PositionKind::Learned, _) => "learned and relative positions",
            (PositionKind::Rotary, _) => "rotary positions",
            (PositionKind::None, Relative::No) => "fixed positions or ALiBi",
            (PositionKind::None, _) => "relative positions",
        };
        let window = match self.windowed {
            Windowed::No => None,
            Windowed::All => Some("window".to_owned()),
            Windowed::AllButEach(n) => Some(format!("window in all but one of {n} layers")),
            Windowed::Tiles => Some("windows that divide the image".to_owned()),
        };
        let words = [
            Some(if self.latent { "latent attention" } else { "attention" }.to_owned()),
            window,
            bias(self.sinks, "attention sinks"),
            bias(self.has_qk_norm, "query and key norm"),
            Some(norm.to_owned()),
            match self.norms {
                1 => Some("one norm a layer".to_owned()),
                2 => None,
                norms => Some(format!("{norms} norms a layer")),
            },
            Some(positions.to_owned()),
            bias(self.gated_ffn, "gate"),
            bias(self.experts, "experts"),
            bias(self.tied, "tied head"),
            bias(self.biases.qkv || self.biases.attention_output, "attention biases"),
            bias(self.biases.ffn, "feed-forward biases"),
            bias(self.distinct_layers.is_some(), "shared layers"),
            bias(self.layer_scale, "layer scale"),
            bias(self.speech, "spectra"),
            bias(self.staged, "stages of twice the width"),
            bias(self.text_encoder.is_some(), "text encoder"),
        ];
        words.into_iter().flatten().collect()
    }
}

const HF: Keys = Keys {
    layers: &["num_hidden_layers"],
    encoder_layers: "encoder_layers",
    hidden: &["hidden_size"],
    heads: &["num_attention_heads"],
    head_dim: "head_dim",
    ffn: &["intermediate_size"],
    ffn_follows: false,
    positions: "max_position_embeddings",
};

const GPT2_KEYS: Keys = Keys {
    layers: &["n_layer"],
    hidden: &["n_embd"],
    heads: &["n_head"],
    ffn: &["n_inner"],
    ffn_follows: true,
    positions: "n_positions",
    ..HF
};

const BART_KEYS: Keys = Keys {
    layers: &["decoder_layers"],
    hidden: &["d_model"],
    heads: &["decoder_attention_heads"],
    ffn: &["decoder_ffn_dim"],
    ..HF
};

const T5_KEYS: Keys = Keys {
    layers: &["num_decoder_layers", "num_layers"],
    encoder_layers: "num_layers",
    hidden: &["d_model"],
    heads: &["num_heads"],
    head_dim: "d_kv",
    ffn: &["d_ff"],
    ..HF
};

const BLOOM_KEYS: Keys = Keys {
    layers: &["n_layer", "num_hidden_layers"],
    hidden: &["hidden_size", "n_embed"],
    heads: &["n_head", "num_attention_heads"],
    ffn: &[],
    ffn_follows: true,
    ..HF
};

const FALCON_KEYS: Keys = Keys {
    layers: &["num_hidden_layers", "n_layer"],
    heads: &["num_attention_heads", "n_head"],
    ffn: &["ffn_hidden_size"],
    ffn_follows: true,
    ..HF
};

const NEO_KEYS: Keys =
    Keys { layers: &["num_layers"], heads: &["num_heads"], ffn_follows: true, ..HF };

const DISTILBERT_KEYS: Keys = Keys {
    layers: &["n_layers"],
    hidden: &["dim"],
    heads: &["n_heads"],
    ffn: &["hidden_dim"],
    ..HF
};

const ALL_BIASES: Biases = Biases { qkv: true, attention_output: true, ffn: true };
const NO_BIASES: Biases = Biases { qkv: false, attention_output: false, ffn: false };
const FIXED: BiasKeys = BiasKeys { qkv: None, attention_output: None, ffn: None };
const ATTENTION_BIAS: BiasKeys =
    BiasKeys { qkv: Some("attention_bias"), attention_output: Some("attention_bias"), ffn: None };

const fn one_bias(key: &'static str) -> BiasKeys {
    BiasKeys { qkv: Some(key), attention_output: Some(key), ffn: Some(key) }
}

/// An encoder as BERT: norms after the blocks, biases everywhere.
const BERT: Features = Features {
    family: Family::Bert,
    kernels: ModelType::Bert,
    keys: HF,
    default_heads: None,
    vocab_size: 30_522,
    max_positions: 512,
    position_offset: 0,
    token_types: 2,
    gated_ffn: false,
    tied: true,
    norm: Norm::LayerNorm,
    norms: 2,
    first_norm: true,
    embedding_norm: true,
    final_norm: false,
    positions: PositionKind::Learned,
    relative: Relative::No,
    buckets: 0,
    biases: ALL_BIASES,
    bias_keys: FIXED,
    key_bias: true,
    qk_norm: QkNorm::Head,
    has_qk_norm: false,
    qk_norm_key: None,
    sinks: false,
    windowed: Windowed::No,
    latent: false,
    experts: false,
    router_bias: false,
    narrow: Narrow::No,
    pooler: true,
    head_bias: false,
    transform_bias: true,
    contact_head: false,
    distinct_layers: None,
    image_tokens: 1,
    mask_token: false,
    layer_scale: false,
    classifier_widths: 1,
    speech: false,
    patch_bias: true,
    staged: false,
    text_encoder: None,
};

const ROBERTA: Features = Features {
    kernels: ModelType::Roberta,
    vocab_size: 50_265,
    max_positions: 514,
    token_types: 1,
    ..BERT
};

/// A decoder as GPT-2: norms before the blocks, biases everywhere, a tied head.
const GPT: Features = Features {
    family: Family::Gpt,
    kernels: ModelType::Gpt2,
    keys: GPT2_KEYS,
    vocab_size: 50_257,
    max_positions: 1024,
    token_types: 0,
    embedding_norm: false,
    final_norm: true,
    narrow: Narrow::Words,
    pooler: false,
    ..BERT
};

const GPT_NEOX: Features = Features {
    kernels: ModelType::GptNeox,
    keys: HF,
    vocab_size: 50_432,
    max_positions: 2048,
    tied: false,
    positions: PositionKind::Rotary,
    bias_keys: ATTENTION_BIAS,
    ..GPT
};

/// A decoder as Llama: RMS norms before the blocks, rotary positions, a gate, no biases.
const LLAMA: Features = Features {
    family: Family::Llama,
    kernels: ModelType::Llama,
    keys: HF,
    vocab_size: 32_000,
    max_positions: 4096,
    gated_ffn: true,
    tied: false,
    norm: Norm::RmsNorm,
    positions: PositionKind::Rotary,
    biases: NO_BIASES,
    bias_keys: BiasKeys { ffn: Some("mlp_bias"), ..ATTENTION_BIAS },
    ..GPT
};

const MISTRAL: Features =
    Features { kernels: ModelType::Mistral, bias_keys: FIXED, windowed: Windowed::All, ..LLAMA };

const MIXTRAL: Features = Features { kernels: ModelType::Mixtral, experts: true, ..MISTRAL };

const QWEN2: Features = Features {
    kernels: ModelType::Qwen2,
    vocab_size: 151_936,
    max_positions: 32_768,
    biases: Biases { qkv: true, ..NO_BIASES },
    bias_keys: FIXED,
    windowed: Windowed::All,
    ..LLAMA
};

const GEMMA: Features = Features {
    vocab_size: 256_000,
    max_positions: 8192,
    tied: true,
    bias_keys: ATTENTION_BIAS,
    ..LLAMA
};

const GEMMA2: Features = Features { norms: 4, windowed: Windowed::AllButEach(2), ..GEMMA };

const DEEPSEEK: Features = Features {
    kernels: ModelType::Mixtral,
    latent: true,
    experts: true,
    bias_keys: ATTENTION_BIAS,
    ..LLAMA
};

const T5: Features = Features {
    family: Family::T5,
    kernels: ModelType::T5,
    keys: T5_KEYS,
    vocab_size: 32_128,
    max_positions: 512,
    gated_ffn: false,
    tied: true,
    positions: PositionKind::None,
    relative: Relative::StackBias,
    buckets: 32,
    bias_keys: FIXED,
    ..LLAMA
};

/// An encoder–decoder as BART: layer norms, biases everywhere, a learned position embedding in each stack.
const BART: Features = Features {
    family: Family::T5,
    kernels: ModelType::T5,
    keys: BART_KEYS,
    vocab_size: 50_265,
    position_offset: 2,
    token_types: 0,
    embedding_norm: true,
    pooler: false,
    ..BERT
};

/// An image encoder over patches as ViT.
const VIT: Features = Features {
    family: Family::Vit,
    kernels: ModelType::Vit,
    vocab_size: 0,
    max_positions: 197,
    token_types: 0,
    embedding_norm: false,
    final_norm: true,
    pooler: false,
    bias_keys: BiasKeys { qkv: Some("qkv_bias"), ..FIXED },
    ..BERT
};

macro_rules! model_types {
    ($($variant:ident $name:literal: $features:expr),* $(,)?) => {
        /// The concrete model type, named as Hugging Face's `model_type`; its [`Features`] say which biases, norms and
        /// embeddings a shape has.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[allow(missing_docs)] // the variants are the names of published models
        pub enum ModelType {
            $(#[serde(rename = $name)] $variant,)*
        }

        impl ModelType {
            /// Every model type, in the order of the documentation.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The name, as in a Hugging Face `config.json`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What its layers have.
            pub const fn features(self) -> &'static Features {
                match self { $(Self::$variant => { const ROW: &Features = &$features; ROW }),* }
            }
        }
    };
}

model_types! {
    Bert "bert": BERT,
    Roberta "roberta": ROBERTA,
    Distilbert "distilbert": Features {
        kernels: ModelType::Distilbert, keys: DISTILBERT_KEYS, token_types: 0, pooler: false, ..BERT
    },
    Gpt2 "gpt2": GPT,
    GptNeox "gpt_neox": GPT_NEOX,
    Opt "opt": Features {
        kernels: ModelType::Opt, vocab_size: 50_272, max_positions: 2048, position_offset: 2,
        keys: Keys { ffn: &["ffn_dim"], ..HF }, bias_keys: one_bias("enable_bias"), ..GPT
    },
    Llama "llama": LLAMA,
    Mistral "mistral": MISTRAL,
    Qwen2 "qwen2": QWEN2,
    Mixtral "mixtral": MIXTRAL,
    T5 "t5": T5,
    Vit "vit": VIT,
    XlmRoberta "xlm-roberta": Features { vocab_size: 250_002, ..ROBERTA },
    Camembert "camembert": Features { vocab_size: 32_005, ..ROBERTA },
    Albert "albert": Features {
        vocab_size: 30_000, narrow: Narrow::All, distinct_layers: Some(1), ..BERT
    },
    DebertaV2 "deberta-v2": Features {
        vocab_size: 128_100, token_types: 0, relative: Relative::Embedding, pooler: false, ..BERT
    },
    Electra "electra": Features { narrow: Narrow::All, pooler: false, ..BERT },
    Modernbert "modernbert": Features {
        vocab_size: 50_368, max_positions: 8192, token_types: 0, gated_ffn: true,
        norm: Norm::LayerNormWithoutBias, first_norm: false, final_norm: true,
        positions: PositionKind::Rotary, biases: NO_BIASES,
        bias_keys: BiasKeys { ffn: Some("mlp_bias"), ..ATTENTION_BIAS },
        windowed: Windowed::AllButEach(3), pooler: false, transform_bias: false, ..BERT
    },
    Mpnet "mpnet": Features {
        vocab_size: 30_527, token_types: 0, relative: Relative::StackBias, buckets: 32, ..BERT
    },
    NomicBert "nomic_bert": Features {
        gated_ffn: true, positions: PositionKind::Rotary, biases: NO_BIASES, pooler: false, ..BERT
    },
    Esm "esm": Features {
        vocab_size: 33, max_positions: 1026, token_types: 0, embedding_norm: false, final_norm: true,
        contact_head: true, ..BERT
    },
    GptNeo "gpt_neo": Features {
        keys: NEO_KEYS, max_positions: 2048, biases: Biases { qkv: false, ..ALL_BIASES },
        windowed: Windowed::AllButEach(2), ..GPT
    },
    Gptj "gptj": Features {
        vocab_size: 50_400, max_positions: 2048, tied: false, norms: 1, positions: PositionKind::Rotary,
        biases: Biases { ffn: true, ..NO_BIASES }, head_bias: true, ..GPT
    },
    GptBigcode "gpt_bigcode": GPT,
    Bloom "bloom": Features {
        kernels: ModelType::GptNeox, keys: BLOOM_KEYS, vocab_size: 250_880, embedding_norm: true,
        positions: PositionKind::None, ..GPT
    },
    Falcon "falcon": Features {
        kernels: ModelType::GptNeox, keys: FALCON_KEYS, vocab_size: 65_024, max_positions: 2048, norms: 1,
        positions: PositionKind::Rotary, biases: NO_BIASES, bias_keys: one_bias("bias"), ..GPT
    },
    Phi "phi": Features {
        vocab_size: 51_200, norms: 1, bias_keys: FIXED, head_bias: true, qk_norm: QkNorm::HeadWithBias,
        qk_norm_key: Some("qk_layernorm"), ..GPT_NEOX
    },
    Starcoder2 "starcoder2": Features {
        vocab_size: 49_152, max_positions: 4096, tied: true, bias_keys: one_bias("use_bias"),
        windowed: Windowed::All, ..GPT_NEOX
    },
    Qwen3 "qwen3": Features {
        biases: NO_BIASES, bias_keys: ATTENTION_BIAS, has_qk_norm: true, ..QWEN2
    },
    Qwen3Moe "qwen3_moe": Features {
        kernels: ModelType::Mixtral, biases: NO_BIASES, bias_keys: ATTENTION_BIAS, has_qk_norm: true,
        experts: true, ..QWEN2
    },
    Gemma "gemma": GEMMA,
    Gemma2 "gemma2": GEMMA2,
    Gemma3Text "gemma3_text": Features {
        default_heads: Some(DefaultHeads { heads: 8, kv_heads: 4, head_dim: 256 }),
        vocab_size: 262_208, max_positions: 131_072, has_qk_norm: true, windowed: Windowed::AllButEach(6),
        ..GEMMA2
    },
    Phi3 "phi3": Features { vocab_size: 32_064, ..MISTRAL },
    Olmo2 "olmo2": Features {
        vocab_size: 50_304, has_qk_norm: true, qk_norm: QkNorm::Width, bias_keys: ATTENTION_BIAS, ..LLAMA
    },
    Olmo3 "olmo3": Features {
        vocab_size: 50_304, has_qk_norm: true, qk_norm: QkNorm::Width, bias_keys: ATTENTION_BIAS,
        windowed: Windowed::AllButEach(4), ..LLAMA
    },
    Granite "granite": LLAMA,
    GraniteMoe "granitemoe": Features { windowed: Windowed::No, bias_keys: ATTENTION_BIAS, ..MIXTRAL },
    SmolLm3 "smollm3": Features { vocab_size: 128_256, max_positions: 32_768, tied: true, ..LLAMA },
    Cohere "cohere": Features {
        vocab_size: 256_000, max_positions: 8192, tied: true, norm: Norm::LayerNormWithoutBias, norms: 1,
        bias_keys: ATTENTION_BIAS, qk_norm: QkNorm::Width, qk_norm_key: Some("use_qk_norm"), ..LLAMA
    },
    StableLm "stablelm": Features {
        vocab_size: 50_304, norm: Norm::LayerNorm, bias_keys: BiasKeys { qkv: Some("use_qkv_bias"), ..FIXED },
        qk_norm: QkNorm::Width, qk_norm_key: Some("qk_layernorm"), ..LLAMA
    },
    DeepseekV2 "deepseek_v2": Features { vocab_size: 102_400, max_positions: 2048, ..DEEPSEEK },
    DeepseekV3 "deepseek_v3": Features { vocab_size: 129_280, ..DEEPSEEK },
    GptOss "gpt_oss": Features {
        vocab_size: 201_088, max_positions: 131_072, biases: ALL_BIASES, bias_keys: ATTENTION_BIAS, sinks: true,
        router_bias: true, windowed: Windowed::AllButEach(2), ..MIXTRAL
    },
    Llama4Text "llama4_text": Features {
        vocab_size: 202_048, max_positions: 131_072, bias_keys: ATTENTION_BIAS, qk_norm: QkNorm::Weightless,
        has_qk_norm: true, windowed: Windowed::AllButEach(4), ..MIXTRAL
    },
    Qwen25Vl "qwen2_5_vl": QWEN2,
    Mt5 "mt5": Features { vocab_size: 250_112, gated_ffn: true, ..T5 },
    Bart "bart": BART,
    Mbart "mbart": Features { final_norm: true, ..BART },
    Marian "marian": Features {
        vocab_size: 58_101, position_offset: 0, embedding_norm: false, ..BART
    },
    M2m100 "m2m_100": Features {
        vocab_size: 128_112, positions: PositionKind::None, embedding_norm: false, final_norm: true, ..BART
    },
    Whisper "whisper": Features {
        vocab_size: 51_865, max_positions: 448, position_offset: 0, embedding_norm: false, final_norm: true,
        key_bias: false, speech: true, keys: Keys { positions: "max_target_positions", ..BART_KEYS }, ..BART
    },
    Deit "deit": Features { image_tokens: 2, ..VIT },
    Beit "beit": Features {
        positions: PositionKind::None, relative: Relative::LayerBias, key_bias: false, layer_scale: true,
        bias_keys: FIXED, ..VIT
    },
    Dinov2 "dinov2": Features {
        keys: Keys { ffn: &[], ffn_follows: true, ..HF }, mask_token: true, layer_scale: true,
        classifier_widths: 2, ..VIT
    },
    Swin "swin": Features {
        embedding_norm: true, positions: PositionKind::None, relative: Relative::LayerBias, windowed: Windowed::Tiles,
        image_tokens: 0, staged: true, ..VIT
    },
    Clip "clip": Features {
        embedding_norm: true, patch_bias: false, bias_keys: FIXED,
        text_encoder: Some(TextEncoder {
            layers: 12, hidden_size: 512, heads: 8, vocab_size: 49_408, positions: 77, causal: true, joint_size: Some(512),
        }),
        ..VIT
    },
    Siglip "siglip": Features {
        image_tokens: 0, bias_keys: FIXED,
        text_encoder: Some(TextEncoder {
            layers: 12, hidden_size: 768, heads: 12, vocab_size: 32_000, positions: 64, causal: false, joint_size: None,
        }),
        ..VIT
    },
}

impl ModelType {
    /// The family it belongs to.
    pub const fn family(self) -> Family {
        self.features().family
    }

    /// The type with a name as in `config.json`.
    pub(super) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
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
            .find(|t| t.name().replace('-', "_") == name)
            .ok_or_else(|| Error::unknown("model type", text, Self::ALL.map(Self::name)))
    }
}

impl fmt::Display for ModelType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
