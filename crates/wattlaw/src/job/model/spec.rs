//! A model description from files and flags, and its conversion to a checked shape.

mod several;

use serde::{Deserialize, Serialize};

use super::types::{Narrow, Relative, Windowed};
use super::{
    Architecture, Biases, Experts, Family, Image, Latent, ModelType, Place, PositionKind,
    Positions, Window, stacks,
};
use crate::base::error::{Error, Result};
use crate::base::words::overlay;

/// A model as a job file, a flag or the catalogue describes it; absent fields take the model type's default.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// A preset of the catalogue to start from, or a name for the shape below.
    pub name: Option<String>,
    /// Path of a Hugging Face `config.json` to start from; read by the program, not by this library.
    pub config: Option<String>,
    /// Model type (`bert`, `gpt2`, `llama`, …) or family (`gpt`).
    pub family: Option<String>,
    /// Layers of the stack, or of the decoder of an encoder–decoder.
    pub layers: Option<u64>,
    /// Layers of the encoder of an encoder–decoder; as many as `layers` when absent.
    pub encoder_layers: Option<u64>,
    /// Width of the residual stream.
    pub hidden_size: Option<u64>,
    /// Query heads; `hidden_size / 64` when absent.
    pub heads: Option<u64>,
    /// Key and value heads; as many as `heads` when absent.
    pub kv_heads: Option<u64>,
    /// Width of one head; `hidden_size / heads` when absent.
    pub head_dim: Option<u64>,
    /// Inner width of the feed-forward block; four times `hidden_size` when absent.
    pub ffn_size: Option<u64>,
    /// Rows of the token embedding.
    pub vocab_size: Option<u64>,
    /// The vocabulary is padded to a multiple of this; the framework's own when absent, 1 for none.
    pub vocab_multiple: Option<u64>,
    /// Width of the token embedding; `hidden_size` when absent.
    pub embedding_size: Option<u64>,
    /// Longest sequence of a learned position embedding.
    pub max_positions: Option<u64>,
    /// Rows of the segment embedding.
    pub token_types: Option<u64>,
    /// Distance buckets of a relative position bias.
    pub relative_buckets: Option<u64>,
    /// Whether the feed-forward block has a gate.
    pub gated_ffn: Option<bool>,
    /// Whether the output projection reuses the token embedding.
    pub tied_embeddings: Option<bool>,
    /// Whether query, key and value projections have a bias.
    pub qkv_bias: Option<bool>,
    /// Whether the attention output projection has a bias.
    pub attention_output_bias: Option<bool>,
    /// Whether the feed-forward projections have a bias.
    pub ffn_bias: Option<bool>,
    /// Whether a norm follows the last layer.
    pub final_norm: Option<bool>,
    /// Whether the published model has a pooling layer.
    pub pooler: Option<bool>,
    /// Experts per layer.
    pub experts: Option<u64>,
    /// Experts that each token visits; two when absent.
    pub top_k: Option<u64>,
    /// Inner width of the experts that every token visits, all together.
    pub shared_ffn_size: Option<u64>,
    /// Layers of a mixture that have a plain feed-forward block.
    pub dense_layers: Option<u64>,
    /// Inner width of that block; `ffn_size` when absent.
    pub dense_ffn_size: Option<u64>,
    /// How positions enter; the model type's own when absent.
    pub positions: Option<PositionKind>,
    /// Longest sequence of the encoder, where it differs from the decoder's.
    pub encoder_positions: Option<u64>,
    /// Norms of a layer, cross-attention's not included.
    pub norms_per_layer: Option<u64>,
    /// Whether a norm follows the embedding.
    pub embedding_norm: Option<bool>,
    /// Whether queries and keys are normed.
    pub qk_norm: Option<bool>,
    /// Whether a learned scale follows attention and feed-forward block.
    pub layer_scale: Option<bool>,
    /// Layers with weights of their own; the others share them.
    pub distinct_layers: Option<u64>,
    /// Positions that a query of windowed attention sees.
    pub window: Option<u64>,
    /// Layers with windowed attention; all of them when absent.
    pub window_layers: Option<u64>,
    /// Rank of the queries' latent in latent attention.
    pub query_rank: Option<u64>,
    /// Rank of the latent of keys and values in latent attention.
    pub kv_rank: Option<u64>,
    /// Rotated channels of a head in latent attention.
    pub rope_head_dim: Option<u64>,
    /// Width of a head's value in latent attention.
    pub value_head_dim: Option<u64>,
    /// Side of the square image in pixels.
    pub image_size: Option<u64>,
    /// Side of a patch in pixels.
    pub patch_size: Option<u64>,
    /// Colour channels.
    pub channels: Option<u64>,
    /// Classes of the published classification head.
    pub classes: Option<u64>,
    /// Layers of each stage of an image encoder of stages; their sum is `layers`.
    pub stage_layers: Option<Vec<u64>>,
    /// Layers of the text encoder beside an image encoder.
    pub text_layers: Option<u64>,
    /// Width of its residual stream.
    pub text_hidden_size: Option<u64>,
    /// Its attention heads.
    pub text_heads: Option<u64>,
    /// Inner width of its feed-forward block.
    pub text_ffn_size: Option<u64>,
    /// Width of the space in which images and texts are compared.
    pub joint_size: Option<u64>,
}

impl ModelSpec {
    /// The description with absent fields taken from `base`, a preset or a `config.json`.
    #[must_use]
    pub fn with_fallback(self, base: Self) -> Self {
        overlay!(ModelSpec, self over base: name, config, family, layers, encoder_layers, hidden_size, heads, kv_heads,
            head_dim, ffn_size, vocab_size, vocab_multiple, embedding_size, max_positions, token_types, relative_buckets,
            gated_ffn, tied_embeddings, qkv_bias, attention_output_bias, ffn_bias, final_norm, pooler,
            experts, top_k, shared_ffn_size, dense_layers, dense_ffn_size, positions, encoder_positions, norms_per_layer,
            embedding_norm, qk_norm, layer_scale, distinct_layers, window, window_layers, query_rank, kv_rank, rope_head_dim,
            value_head_dim, image_size, patch_size, channels, classes, stage_layers, text_layers, text_hidden_size, text_heads,
            text_ffn_size, joint_size)
    }

    /// Whether the description has any field of the shape besides a name; padding is no part of the published model.
    pub(crate) fn describes_a_shape(&self) -> bool {
        let only_a_name = Self {
            name: self.name.clone(),
            config: self.config.clone(),
            vocab_multiple: self.vocab_multiple,
            ..Self::default()
        };
        *self != only_a_name
    }

    /// Checks the description and fills in the model type's defaults.
    ///
    /// # Errors
    /// [`Error::Missing`] where family, layers or width are absent; [`Error::Invalid`] where a count is zero or
    /// absurd, heads do not divide, or experts, images or encoder layers are set for a type without them.
    pub fn resolve(&self) -> Result<Architecture> {
        let family = self.family.as_deref().ok_or_else(|| {
            Error::missing(
                "model family",
                "give a preset name, a config.json, or family = \"bert\" and a shape",
            )
        })?;
        let mut model_type: ModelType = family.parse()?;
        if self.experts.is_some() && model_type == ModelType::Llama {
            model_type = ModelType::Mixtral;
        }
        let features = model_type.features();
        let layers = count("layers", self.layers_of_first_stack(features.staged)?, None, 10_000)?;
        let hidden_size = count("hidden_size", self.hidden_size, None, 1 << 20)?;
        let all_layers = self.stage_layers.as_ref().map_or(layers, |stages| stages.iter().sum());
        let heads = count("heads", self.heads, Some((hidden_size / 64).max(1)), 1 << 16)?;
        if self.head_dim.is_none() && hidden_size % heads != 0 {
            return Err(Error::invalid(
                "heads",
                heads,
                format!("it must divide hidden_size {hidden_size} (or give head_dim)"),
            ));
        }
        let latent = self.latent(model_type)?;
        let kv_heads = count("kv_heads", self.kv_heads, Some(heads), 1 << 16)?;
        if heads % kv_heads != 0 {
            return Err(Error::invalid(
                "kv_heads",
                kv_heads,
                format!("it must divide heads {heads}"),
            ));
        }
        let head_dim = count("head_dim", self.head_dim, Some(hidden_size / heads), 1 << 16)?;
        let ffn_size = count("ffn_size", self.ffn_size, Some(4 * hidden_size), 1 << 24)?;
        if let Some(rotated) = latent.map(|l| l.rope_head_dim).filter(|rope| *rope > head_dim) {
            return Err(Error::invalid(
                "rope_head_dim",
                rotated,
                format!("a head has {head_dim} channels"),
            ));
        }
        let vocab_size = match model_type.family() {
            Family::Vit => 0,
            _ => count("vocab_size", self.vocab_size, Some(features.vocab_size), 1 << 28)?,
        };
        let embedding_size =
            count("embedding_size", self.embedding_size, Some(hidden_size), 1 << 20)?;
        if embedding_size != hidden_size && features.narrow == Narrow::No {
            return Err(Error::invalid(
                "embedding_size",
                embedding_size,
                format!(
                    "a {} model embeds in hidden_size {hidden_size}; leave it out",
                    model_type.name()
                ),
            ));
        }
        let image = self.image(model_type)?;
        let positions = self.positions(model_type, image)?;
        let max_positions = match positions {
            // a table of positions has rows for the longest sequence
            Positions::Learned { rows } | Positions::LearnedAndRelative { rows, .. }
                if image.is_none() =>
            {
                Some(rows - features.position_offset)
            }
            _ => optional("max_positions", self.max_positions, 1 << 30)?,
        };
        let encoder_layers = match model_type.family() {
            Family::T5 => count("encoder_layers", self.encoder_layers, Some(layers), 10_000)?,
            _ => only_for("encoder_layers", self.encoder_layers, "t5")?,
        };
        let experts = self.experts(model_type, layers, ffn_size)?;
        let architecture = Architecture {
            name: self
                .name
                .clone()
                .unwrap_or_else(|| format!("{}-{all_layers}x{hidden_size}", model_type.name())),
            model_type,
            layers,
            encoder_layers,
            hidden_size,
            heads,
            kv_heads,
            head_dim,
            ffn_size,
            vocab_size,
            vocab_multiple: optional("vocab_multiple", self.vocab_multiple, 1 << 20)?,
            embedding_size,
            gated_ffn: self.gated_ffn.unwrap_or(features.gated_ffn),
            tied_embeddings: self.tied_embeddings.unwrap_or(features.tied),
            positions,
            token_types: at_most("token_types", self.token_types, features.token_types, 1 << 16)?,
            norm: features.norm,
            embedding_norm: self.embedding_norm.unwrap_or(features.embedding_norm),
            final_norm: self.final_norm.unwrap_or(features.final_norm),
            biases: Biases {
                qkv: self.qkv_bias.unwrap_or(features.biases.qkv),
                attention_output: self
                    .attention_output_bias
                    .unwrap_or(features.biases.attention_output),
                ffn: self.ffn_bias.unwrap_or(features.biases.ffn),
            },
            pooler: self.pooler.unwrap_or(features.pooler),
            experts,
            max_positions,
            encoder_positions: optional("encoder_positions", self.encoder_positions, 1 << 30)?,
            norms_per_layer: count(
                "norms_per_layer",
                self.norms_per_layer,
                Some(features.norms),
                16,
            )?,
            qk_norm: self.qk_norm.unwrap_or(features.has_qk_norm),
            layer_scale: self.layer_scale.unwrap_or(features.layer_scale),
            distinct_layers: match self.distinct_layers.or(features.distinct_layers) {
                None => None,
                given => Some(count("distinct_layers", given, None, layers + encoder_layers)?),
            },
            window: self.window(features.windowed, layers)?,
            latent,
            mel_bins: if features.speech {
                Some(count("channels", self.channels, Some(80), 1 << 10)?)
            } else {
                None
            },
            image,
            classes: at_most("classes", self.classes, 0, 1 << 24)?,
            place: Place::Only,
            other_stacks: Vec::new(),
        };
        check_size(&architecture)?;
        let architecture = match (image.filter(|_| features.staged), features.text_encoder) {
            (Some(image), _) => {
                stacks::stages(architecture, self.stage_layers.as_deref().unwrap_or(&[]), image)?
            }
            (None, Some(text)) => {
                let texts = self.texts(text, hidden_size)?;
                stacks::encoders(architecture, texts)
            }
            (None, None) => architecture,
        };
        if features.text_encoder.is_none() {
            self.check_no_texts()?;
        }
        architecture.other_stacks.iter().try_for_each(check_size)?;
        Ok(architecture)
    }

    fn positions(&self, model_type: ModelType, image: Option<Image>) -> Result<Positions> {
        let features = model_type.features();
        let max_positions =
            count("max_positions", self.max_positions, Some(features.max_positions), 1 << 30)?;
        let rows = match image {
            Some(image) => image.patches() + features.image_tokens,
            None => max_positions + features.position_offset,
        };
        let buckets = match features.relative {
            Relative::No => 0,
            Relative::StackBias | Relative::LayerBias | Relative::Embedding => {
                let buckets =
                    self.buckets_of_windows(features.windowed).unwrap_or(features.buckets);
                at_most("relative_buckets", self.relative_buckets, buckets, 1 << 16)?
            }
        };
        Ok(match (self.positions.unwrap_or(features.positions), buckets) {
            (PositionKind::Learned, 0) => Positions::Learned { rows },
            (PositionKind::Learned, buckets) => Positions::LearnedAndRelative { rows, buckets },
            (PositionKind::Rotary, _) => Positions::Rotary,
            (PositionKind::None, 0) => Positions::None,
            (PositionKind::None, buckets) => Positions::Relative { buckets },
        })
    }

    fn latent(&self, model_type: ModelType) -> Result<Option<Latent>> {
        if !model_type.features().latent {
            only_for("query_rank", self.query_rank, "deepseek_v3")?;
            only_for("kv_rank", self.kv_rank, "deepseek_v3")?;
            only_for("rope_head_dim", self.rope_head_dim, "deepseek_v3")?;
            only_for("value_head_dim", self.value_head_dim, "deepseek_v3")?;
            return Ok(None);
        }
        Ok(Some(Latent {
            query_rank: optional("query_rank", self.query_rank, 1 << 20)?,
            kv_rank: count("kv_rank", self.kv_rank, Some(512), 1 << 20)?,
            rope_head_dim: count("rope_head_dim", self.rope_head_dim, Some(64), 1 << 16)?,
            value_head_dim: count("value_head_dim", self.value_head_dim, Some(128), 1 << 16)?,
        }))
    }

    fn window(&self, windowed: Windowed, layers: u64) -> Result<Option<Window>> {
        if windowed == Windowed::Tiles {
            return self.tiles(layers).map(Some);
        }
        let Some(size) = optional("window", self.window, 1 << 30)? else { return Ok(None) };
        let windowed = at_most("window_layers", self.window_layers, layers, layers)?;
        Ok(Some(Window { size, layers: windowed }))
    }

    /// Windows that divide an image, in all layers.
    fn tiles(&self, layers: u64) -> Result<Window> {
        let all: u64 = self.stage_layers.iter().flatten().sum();
        match self.window_layers {
            Some(n) if n != all => Err(Error::invalid(
                "window_layers",
                n,
                format!("all {all} layers have windows; leave it out"),
            )),
            _ => Ok(Window { size: count("window", self.window, Some(49), 1 << 20)?, layers }),
        }
    }

    fn experts(
        &self,
        model_type: ModelType,
        layers: u64,
        ffn_size: u64,
    ) -> Result<Option<Experts>> {
        if !model_type.features().experts {
            only_for("experts", self.experts, "mixtral")?;
            only_for("top_k", self.top_k, "mixtral")?;
            only_for("shared_ffn_size", self.shared_ffn_size, "mixtral")?;
            only_for("dense_layers", self.dense_layers, "mixtral")?;
            only_for("dense_ffn_size", self.dense_ffn_size, "mixtral")?;
            return Ok(None);
        }
        let experts = count("experts", self.experts, Some(8), 1 << 16)?;
        let top_k = count("top_k", self.top_k, Some(2.min(experts)), 1 << 16)?;
        if top_k > experts {
            return Err(Error::invalid(
                "top_k",
                top_k,
                format!("a token can visit at most the {experts} experts"),
            ));
        }
        let dense_layers = at_most("dense_layers", self.dense_layers, 0, layers)?;
        let dense = count("dense_ffn_size", self.dense_ffn_size, Some(ffn_size), 1 << 24)?;
        Ok(Some(Experts {
            count: experts,
            top_k,
            shared_ffn_size: at_most("shared_ffn_size", self.shared_ffn_size, 0, 1 << 24)?,
            dense_layers,
            dense_ffn_size: if dense_layers > 0 { dense } else { 0 },
        }))
    }

    fn image(&self, model_type: ModelType) -> Result<Option<Image>> {
        if model_type.family() != Family::Vit {
            only_for("image_size", self.image_size, "vit")?;
            only_for("patch_size", self.patch_size, "vit")?;
            return Ok(None);
        }
        let size = count("image_size", self.image_size, Some(224), 1 << 16)?;
        let patch = count("patch_size", self.patch_size, Some(16), 1 << 16)?;
        if patch > size {
            return Err(Error::invalid(
                "patch_size",
                patch,
                format!("it must fit into image_size {size}"),
            ));
        }
        Ok(Some(Image {
            size,
            patch,
            channels: count("channels", self.channels, Some(3), 1 << 10)?,
        }))
    }
}

pub(crate) fn count(
    field: &str,
    given: Option<u64>,
    default: Option<u64>,
    most: u64,
) -> Result<u64> {
    match given.or(default) {
        None => Err(Error::missing(field, format!("give a whole number from 1 to {most}"))),
        Some(n) if n == 0 || n > most => {
            Err(Error::invalid(field, n, format!("it must be a whole number from 1 to {most}")))
        }
        Some(n) => Ok(n),
    }
}

/// A count that may be absent.
fn optional(field: &str, given: Option<u64>, most: u64) -> Result<Option<u64>> {
    given.map(|_| count(field, given, None, most)).transpose()
}

/// A count that may be zero.
fn at_most(field: &str, given: Option<u64>, default: u64, most: u64) -> Result<u64> {
    match given.unwrap_or(default) {
        n if n > most => {
            Err(Error::invalid(field, n, format!("it must be a whole number from 0 to {most}")))
        }
        n => Ok(n),
    }
}

fn only_for(field: &str, given: Option<u64>, model_type: &str) -> Result<u64> {
    match given {
        Some(n) if n > 0 => {
            Err(Error::invalid(field, n, format!("only model type `{model_type}` has it")))
        }
        _ => Ok(0),
    }
}

/// Refuses shapes of more than 10¹⁵ parameters, far above any that exists, so that no later count can overflow.
fn check_size(a: &Architecture) -> Result<()> {
    // in floating point, products of absurd counts are large but do not overflow
    let wide = |n: u64| n as f64;
    let inner = a.experts.map_or(wide(a.ffn_size), |e| {
        wide(a.ffn_size) * wide(e.count) + wide(e.shared_ffn_size) + wide(e.dense_ffn_size)
    });
    let width = wide(a.hidden_size);
    let latent = a.latent.map_or(0.0, |l| {
        let ranks = wide(l.query_rank.unwrap_or(0)) + wide(l.kv_rank) + wide(l.rope_head_dim);
        (ranks + wide(l.value_head_dim) * wide(a.heads))
            * (width + 2.0 * wide(a.heads) * wide(a.head_dim))
    });
    let buckets = wide(a.positions.buckets()) * (wide(a.heads) + 2.0 * width);
    let layer =
        width * (2.0 * wide(a.heads) * wide(a.head_dim) * 2.0 + 3.0 * inner) + latent + buckets;
    let embedding = wide(a.vocab_size) * width.max(wide(a.embedding_size));
    let positions = (wide(a.positions.rows()) + wide(a.encoder_positions.unwrap_or(0))) * width;
    let image = a.image.map_or(0.0, |i| wide(i.channels) * wide(i.patch).powi(2) * width);
    let classes = wide(a.classes) * width;
    let total = wide(a.total_layers()) * layer + 2.0 * (embedding + positions) + image + classes;
    if total > 1e15 {
        return Err(Error::invalid(
            "the model's size",
            format!("{total:.1e} parameters"),
            "it must be below 1e15",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bert_base() -> ModelSpec {
        ModelSpec {
            family: Some("bert".into()),
            layers: Some(12),
            hidden_size: Some(768),
            ..ModelSpec::default()
        }
    }

    #[test]
    fn defaults_make_bert_base_from_two_numbers() {
        let architecture = bert_base().resolve().unwrap();
        assert_eq!(architecture.parameters().total, 109_482_240);
        assert_eq!((architecture.heads, architecture.ffn_size), (12, 3072));
    }

    #[test]
    fn errors_name_the_field() {
        let with = |change: fn(&mut ModelSpec)| {
            let mut spec = bert_base();
            change(&mut spec);
            spec.resolve().unwrap_err().to_string()
        };
        assert_eq!(
            with(|s| s.heads = Some(7)),
            "heads is 7, but it must divide hidden_size 768 (or give head_dim)"
        );
        assert_eq!(
            with(|s| s.layers = Some(0)),
            "layers is 0, but it must be a whole number from 1 to 10000"
        );
        assert_eq!(
            with(|s| s.experts = Some(8)),
            "experts is 8, but only model type `mixtral` has it"
        );
        assert!(with(|s| s.family = None).starts_with("model family is missing"));
        assert!(with(|s| s.family = Some("brt".into())).starts_with("unknown model type `brt`"));
        assert!(
            with(|s| (s.layers, s.hidden_size, s.ffn_size) =
                (Some(10_000), Some(1 << 20), Some(1 << 24)))
            .contains("below 1e15")
        );
        assert_eq!(
            with(|s| s.token_types = Some(u64::MAX)),
            "token_types is 18446744073709551615, but it must be a whole number from 0 to 65536"
        );
        assert!(with(|s| s.classes = Some(1 << 25)).starts_with("classes is 33554432"));
        assert!(with(|s| s.embedding_size = Some(64)).contains("leave it out"));
    }

    #[test]
    fn absent_fields_come_from_the_base() {
        let top = ModelSpec { layers: Some(6), ..ModelSpec::default() };
        let spec = top.with_fallback(bert_base());
        assert_eq!((spec.layers, spec.hidden_size), (Some(6), Some(768)));
    }
}
