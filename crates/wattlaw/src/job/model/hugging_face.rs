//! Reads the shape out of a Hugging Face `config.json`.
//!
//! Each model type names its sizes in its own way; the names are those of transformers' `configuration_*.py`.

use serde_json::{Map, Value};

use super::types::{Features, Keys, TextEncoder, Windowed};
use super::{ModelSpec, ModelType, PositionKind};
use crate::base::error::{Error, Result};

/// What a `config.json` says: a model, perhaps its task, and what was assumed in reading it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HubConfig {
    /// The model.
    pub model: ModelSpec,
    /// The training task that `architectures` names, as the field `task` has it.
    pub task: Option<&'static str>,
    /// What was assumed, a sentence each.
    pub notes: Vec<String>,
}

/// Model types with layers that are no Transformer's.
const OTHER_LAYERS: [&str; 18] = [
    "mamba",
    "mamba2",
    "falcon_mamba",
    "jamba",
    "zamba",
    "zamba2",
    "bamba",
    "nemotron_h",
    "granitemoehybrid",
    "falcon_h1",
    "recurrent_gemma",
    "rwkv",
    "qwen3_next",
    "qwen3_5",
    "lfm2",
    "minimax",
    "kimi_linear",
    "xlstm",
];

/// Keys that only configurations of such layers have.
const KEYS_OF_OTHER_LAYERS: [&str; 7] = [
    "ssm_cfg",
    "state_size",
    "mamba_d_state",
    "mamba_state_dim",
    "ssm_state_size",
    "linear_num_key_heads",
    "rglru_lru_width",
];

/// Model types of several stacks that are not modelled, and the ones that are nearest.
const OTHER_STACKS: [(&str, &str); 3] =
    [("siglip2", "siglip"), ("swinv2", "swin"), ("blip", "clip")];

/// Reads a `config.json` into a model description.
///
/// Keys that do not affect the shape are ignored; absent optional keys take transformers' default.
///
/// # Errors
/// Those of [`HubConfig::from_json`].
pub fn from_config_json(text: &str) -> Result<ModelSpec> {
    HubConfig::from_json(text).map(|config| config.model)
}

impl HubConfig {
    /// Reads a `config.json`. A model type that is not known is read as the known one that its keys describe.
    ///
    /// # Errors
    /// [`Error::Syntax`] where it is not a JSON object (with line and column), [`Error::Unknown`] or
    /// [`Error::Invalid`] for a model type that cannot be read, [`Error::Missing`] or [`Error::Invalid`] for a size
    /// that is absent or no positive whole number.
    pub fn from_json(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)
            .map_err(|e| Error::Syntax { format: "JSON", message: e.to_string() })?;
        let Value::Object(map) = value else {
            return Err(Error::Syntax {
                format: "config.json",
                message: "the top level is not an object".into(),
            });
        };
        let mut config = Config(map);
        let stated = config
            .text("model_type")?
            .ok_or_else(|| Error::missing("model_type", "a config.json needs its model type"))?;
        config.check_layers(&stated)?;
        let mut notes = Vec::new();
        let (name, task) = (config.text("_name_or_path")?, config.task());
        let mut type_name = stated.clone();
        let text_encoder =
            ModelType::by_name(&stated).and_then(|stated| stated.features().text_encoder);
        if text_encoder.is_some() {
            // both encoders are read
        } else if let Some(Value::Object(language)) = config.get("text_config").cloned() {
            config = Config(language);
            type_name = config.text("model_type")?.unwrap_or_else(|| stated.clone());
            config.check_layers(&type_name)?;
            notes.push(format!("`{stated}`: only the language part is counted"));
        }
        let type_name = type_name.as_str();
        let known = ModelType::by_name(type_name).or_else(|| ModelType::by_name(&stated));
        let model_type = match known {
            Some(known) => known,
            None => {
                let nearest = config.nearest(type_name)?;
                notes.push(format!(
                    "model type `{type_name}` is not known; its keys are those of `{nearest}`, as which it is read"
                ));
                nearest
            }
        };
        let mut model = config.shape(model_type)?;
        model.family = Some(model_type.name().to_owned());
        model.name = name.filter(|n| !n.is_empty());
        Ok(Self { model, task, notes })
    }
}

/// Where a config leaves all to the type: sizes by the type's keys, switches by its features, then its particulars.
impl Config {
    fn shape(&self, model_type: ModelType) -> Result<ModelSpec> {
        let features = model_type.features();
        if let Some(text) = features.text_encoder {
            return self.encoders(text);
        }
        if features.staged {
            return self.stages();
        }
        let keys = features.keys;
        let image = features.family == super::Family::Vit;
        let stated_heads = self.first(keys.heads)?;
        let heads = features.default_heads.filter(|_| stated_heads.is_none());
        let vocab_keys = ["vocab_size"];
        let mut spec = ModelSpec {
            layers: self.required(keys.layers)?,
            hidden_size: self.required(keys.hidden)?,
            heads: match heads {
                Some(default) => Some(default.heads),
                None => self.required(keys.heads)?,
            },
            kv_heads: if features.latent {
                None
            } else {
                self.optional_size("num_key_value_heads")?
            },
            head_dim: self.optional_size(keys.head_dim)?,
            ffn_size: if keys.ffn_follows {
                self.first(keys.ffn)?
            } else {
                self.required(keys.ffn)?
            },
            vocab_size: match () {
                () if image => None,
                () if heads.is_some() => self.first(&vocab_keys)?,
                () => self.required(&vocab_keys)?,
            },
            max_positions: if image { None } else { self.optional_size(keys.positions)? },
            qkv_bias: self.switch(features.bias_keys.qkv)?,
            attention_output_bias: self.switch(features.bias_keys.attention_output)?,
            ffn_bias: self.switch(features.bias_keys.ffn)?,
            qk_norm: self.switch(features.qk_norm_key)?,
            tied_embeddings: self.flag("tie_word_embeddings")?,
            ..ModelSpec::default()
        };
        if let Some(default) = heads {
            spec.kv_heads = spec.kv_heads.or(Some(default.kv_heads));
            spec.head_dim = spec.head_dim.or(Some(default.head_dim));
        }
        if features.token_types > 0 || model_type == ModelType::DebertaV2 {
            spec.token_types = self.optional_count("type_vocab_size")?;
        }
        if image {
            spec.image_size = self.optional_size("image_size")?;
            spec.patch_size = self.optional_size("patch_size")?;
            spec.channels = self.optional_size("num_channels")?;
            spec.classes = Some(self.labels());
            spec.tied_embeddings = None;
        }
        if features.family == super::Family::T5 {
            self.both_stacks(keys, &mut spec)?;
        }
        if features.latent {
            self.latent(&mut spec)?;
        }
        if features.experts {
            self.experts(&mut spec)?;
        }
        self.window(features, &mut spec)?;
        self.particulars(model_type, &mut spec)?;
        Ok(spec)
    }

    /// An encoder of images and one of texts, each with a configuration of its own; absent sizes are those of transformers.
    fn encoders(&self, text: TextEncoder) -> Result<ModelSpec> {
        let part = |key: &str| match self.get(key) {
            Some(Value::Object(part)) => Ok(Self(part.clone())),
            None => Ok(Self(Map::new())),
            Some(other) => Err(Error::invalid(key, other, "it must be an object")),
        };
        let (images, texts) = (part("vision_config")?, part("text_config")?);
        if images.flag("vision_use_head")? == Some(false) {
            return Err(Error::invalid(
                "vision_use_head",
                false,
                "only images that are pooled by attention are modelled",
            ));
        }
        let size = |config: &Self, key: &str, default: u64| {
            Ok::<_, Error>(Some(config.optional_size(key)?.unwrap_or(default)))
        };
        Ok(ModelSpec {
            layers: size(&images, "num_hidden_layers", 12)?,
            hidden_size: size(&images, "hidden_size", 768)?,
            heads: size(&images, "num_attention_heads", 12)?,
            ffn_size: size(&images, "intermediate_size", 3072)?,
            image_size: size(&images, "image_size", 224)?,
            patch_size: size(
                &images,
                "patch_size",
                if text.joint_size.is_some() { 32 } else { 16 },
            )?,
            channels: images.optional_size("num_channels")?,
            vocab_size: texts.optional_size("vocab_size")?,
            max_positions: texts.optional_size("max_position_embeddings")?,
            text_layers: texts.optional_size("num_hidden_layers")?,
            text_hidden_size: texts.optional_size("hidden_size")?,
            text_heads: texts.optional_size("num_attention_heads")?,
            text_ffn_size: size(&texts, "intermediate_size", 4 * text.hidden_size)?,
            joint_size: match text.joint_size {
                Some(_) => self.optional_size("projection_dim")?,
                None => texts.optional_size("projection_size")?,
            },
            ..ModelSpec::default()
        })
    }

    /// An image encoder of stages (Swin). Heads double from stage to stage, as the width does.
    fn stages(&self) -> Result<ModelSpec> {
        let list = |key: &str| -> Result<Vec<u64>> {
            let items = self.items(key).ok_or_else(|| missing(&[key]))?;
            let sizes: Option<Vec<u64>> = items.iter().map(Value::as_u64).collect();
            sizes.filter(|sizes| !sizes.is_empty()).ok_or_else(|| {
                Error::invalid(
                    key,
                    Value::from(items.to_vec()),
                    "it must be a list of whole numbers",
                )
            })
        };
        if self.flag("use_absolute_embeddings")? == Some(true) {
            return Err(Error::invalid(
                "use_absolute_embeddings",
                true,
                "only positions relative within a window are modelled",
            ));
        }
        let (depths, heads) = (list("depths")?, list("num_heads")?);
        let doubles = heads.windows(2).all(|pair| pair[1] == pair[0].saturating_mul(2));
        if !doubles || heads.len() != depths.len() {
            return Err(Error::invalid(
                "num_heads",
                Value::from(heads),
                "there must be one number for each of depths, each twice the one before",
            ));
        }
        let width = self.optional_size("embed_dim")?.unwrap_or(96);
        let ratio = self.get("mlp_ratio").map_or(Some(4.0), Value::as_f64);
        let inner = ratio.map(|ratio| ratio * width as f64).filter(|inner| inner.fract() == 0.0);
        let Some(inner) = inner.filter(|inner| (1.0..1e9).contains(inner)) else {
            let found = self.get("mlp_ratio").unwrap_or(&Value::Null);
            return Err(Error::invalid(
                "mlp_ratio",
                found,
                "it must make a whole number of embed_dim",
            ));
        };
        let side = self.optional_size("window_size")?.unwrap_or(7);
        Ok(ModelSpec {
            layers: Some(depths.iter().fold(0, |sum: u64, depth| sum.saturating_add(*depth))),
            stage_layers: Some(depths),
            hidden_size: Some(width),
            heads: heads.first().copied(),
            ffn_size: Some(inner as u64),
            window: Some(side.saturating_mul(side)),
            image_size: self.optional_size("image_size")?,
            patch_size: Some(self.optional_size("patch_size")?.unwrap_or(4)),
            channels: self.optional_size("num_channels")?,
            qkv_bias: self.flag("qkv_bias")?,
            classes: Some(self.labels()),
            ..ModelSpec::default()
        })
    }

    /// What one type alone has or says in its own way.
    fn particulars(&self, model_type: ModelType, spec: &mut ModelSpec) -> Result<()> {
        match model_type {
            ModelType::Opt => {
                spec.embedding_size = self.optional_size("word_embed_proj_dim")?;
                // the post-norm variant (OPT-350M) has no norm after its last layer
                spec.final_norm = self.flag("do_layer_norm_before")?;
            }
            ModelType::T5 | ModelType::Mt5 => {
                spec.relative_buckets = self.optional_size("relative_attention_num_buckets")?;
                spec.gated_ffn = self.text("feed_forward_proj")?.map(|p| p.starts_with("gated-"));
                // transformers 5 writes tie_word_embeddings = true for every T5 and keeps an untied one as
                // scale_decoder_outputs = false
                if self.flag("scale_decoder_outputs")? == Some(false) {
                    spec.tied_embeddings = Some(false);
                }
            }
            ModelType::Albert => {
                spec.embedding_size = self.optional_size("embedding_size")?.or(Some(128));
                spec.distinct_layers = self.optional_size("num_hidden_groups")?;
            }
            ModelType::Electra => {
                spec.embedding_size = self.optional_size("embedding_size")?.or(Some(128));
            }
            ModelType::DebertaV2 => self.deberta(spec)?,
            ModelType::Mpnet => {
                spec.relative_buckets = self.optional_size("relative_attention_num_buckets")?;
            }
            ModelType::Esm => {
                spec.embedding_norm = self.flag("emb_layer_norm_before")?;
                if self.text("position_embedding_type")?.as_deref() == Some("rotary") {
                    spec.positions = Some(PositionKind::Rotary);
                }
            }
            ModelType::GptBigcode => {
                let shared = self.flag("multi_query")?.unwrap_or(true);
                spec.kv_heads = if shared { Some(1) } else { None };
            }
            ModelType::Falcon => self.falcon(spec)?,
            ModelType::StableLm => {
                let parallel = self.flag("use_parallel_residual")?.unwrap_or(false);
                spec.norms_per_layer = parallel.then_some(1);
            }
            ModelType::Marian => {
                let two = self.flag("share_encoder_decoder_embeddings")? == Some(false);
                if two {
                    return Err(Error::invalid(
                        "share_encoder_decoder_embeddings",
                        false,
                        "only one embedding for encoder and decoder is modelled",
                    ));
                }
            }
            ModelType::Whisper => {
                spec.channels = self.optional_size("num_mel_bins")?;
                spec.encoder_positions = self.optional_size("max_source_positions")?;
            }
            ModelType::Beit => self.beit(spec)?,
            ModelType::Dinov2 => {
                let (width, ratio) =
                    (spec.hidden_size.unwrap_or(0), self.optional_size("mlp_ratio")?);
                let inner = width.saturating_mul(ratio.unwrap_or(4));
                let gated = self.flag("use_swiglu_ffn")?.unwrap_or(false);
                // a gated block has two thirds of the width, to a multiple of 8
                spec.ffn_size = Some(if gated {
                    (inner / 3 * 2 + inner % 3 * 2 / 3).div_ceil(8) * 8
                } else {
                    inner
                });
                spec.gated_ffn = Some(gated);
            }
            _ => {}
        }
        Ok(())
    }

    fn deberta(&self, spec: &mut ModelSpec) -> Result<()> {
        let relative = self.flag("relative_attention")?.unwrap_or(false);
        if self.optional_count("conv_kernel_size")?.unwrap_or(0) > 0 {
            return Err(Error::invalid(
                "conv_kernel_size",
                self.optional_count("conv_kernel_size")?.unwrap_or(0),
                "a convolution beside the first layer is not modelled; only 0 is",
            ));
        }
        if relative {
            if self.flag("share_att_key")? != Some(true) {
                return Err(Error::invalid(
                    "share_att_key",
                    "not true",
                    "only positions that share the attention's projections are modelled",
                ));
            }
            let spans = match self.get("position_buckets").and_then(Value::as_i64) {
                Some(buckets) if buckets > 0 => Some(buckets.unsigned_abs()),
                _ => spec.max_positions.or(Some(512)),
            };
            spec.relative_buckets = spans;
        }
        if self.flag("position_biased_input")? == Some(false) {
            spec.positions = Some(PositionKind::None);
        }
        Ok(())
    }

    fn falcon(&self, spec: &mut ModelSpec) -> Result<()> {
        let on = |key, default| Ok::<_, Error>(self.flag(key)?.unwrap_or(default));
        let new = on("new_decoder_architecture", false)?;
        spec.kv_heads = match (new, on("multi_query", true)?) {
            (true, _) => self.first(&["num_kv_heads", "n_head_kv"])?,
            (false, true) => Some(1),
            (false, false) => None,
        };
        spec.norms_per_layer = match (new, on("parallel_attn", true)?) {
            (true, _) => self.optional_size("num_ln_in_parallel_attn")?.or(Some(2)),
            (false, true) => Some(1),
            (false, false) => Some(2),
        };
        if on("alibi", false)? {
            spec.positions = Some(PositionKind::None);
        }
        Ok(())
    }

    fn beit(&self, spec: &mut ModelSpec) -> Result<()> {
        spec.layer_scale =
            self.get("layer_scale_init_value").and_then(Value::as_f64).map(|x| x > 0.0);
        if self.flag("use_absolute_position_embeddings")? == Some(true) {
            spec.positions = Some(PositionKind::Learned);
        }
        if self.flag("use_relative_position_bias")? == Some(true) {
            let side = spec.image_size.unwrap_or(224) / spec.patch_size.unwrap_or(16);
            // distances along both sides, and three of the class token
            let distances = side.saturating_mul(2).saturating_sub(1);
            spec.relative_buckets = Some(distances.saturating_mul(distances).saturating_add(3));
        }
        Ok(())
    }

    /// Encoder and decoder; their widths must be equal.
    fn both_stacks(&self, keys: Keys, spec: &mut ModelSpec) -> Result<()> {
        spec.encoder_layers = self.required(&[keys.encoder_layers])?;
        for (encoder, decoder) in [
            ("encoder_ffn_dim", "decoder_ffn_dim"),
            ("encoder_attention_heads", "decoder_attention_heads"),
        ] {
            if let (Some(of_encoder), Some(of_decoder)) =
                (self.optional_size(encoder)?, self.optional_size(decoder)?)
                && of_encoder != of_decoder
            {
                return Err(Error::invalid(
                    encoder,
                    of_encoder,
                    format!("only {decoder} = {of_decoder} for both is modelled"),
                ));
            }
        }
        Ok(())
    }

    fn latent(&self, spec: &mut ModelSpec) -> Result<()> {
        spec.query_rank = self.optional_size("q_lora_rank")?;
        spec.kv_rank = self.required(&["kv_lora_rank"])?;
        spec.rope_head_dim = self.required(&["qk_rope_head_dim"])?;
        spec.value_head_dim = self.required(&["v_head_dim"])?;
        let unrotated = self.required(&["qk_nope_head_dim"])?;
        let both = unrotated.zip(spec.rope_head_dim);
        spec.head_dim = both.map(|(unrotated, rotated)| unrotated.saturating_add(rotated));
        Ok(())
    }

    /// Routed and shared experts, and the layers without.
    fn experts(&self, spec: &mut ModelSpec) -> Result<()> {
        let plain = spec.ffn_size;
        spec.experts = self.first(&["num_local_experts", "num_experts", "n_routed_experts"])?;
        spec.top_k = self.optional_size("num_experts_per_tok")?;
        let own = self.optional_size("moe_intermediate_size")?;
        spec.ffn_size = own.or(plain);
        let shared = self.optional_count("n_shared_experts")?;
        spec.shared_ffn_size = shared.zip(own).map(|(n, width)| n.saturating_mul(width));
        spec.dense_ffn_size = own.and(plain);
        let layers = spec.layers.unwrap_or(0);
        spec.dense_layers = match self.optional_count("first_k_dense_replace")? {
            Some(dense) => Some(dense.min(layers)),
            None => {
                let step = self.optional_size("decoder_sparse_step")?.unwrap_or(1);
                let plain = self.items("mlp_only_layers").map_or(0, <[Value]>::len) as u64;
                Some((layers - layers / step).saturating_add(plain).min(layers))
            }
        };
        // Llama 4 names its layers with experts, or the step between them; it has one shared expert
        if let Some(dense) = self.optional_size("intermediate_size_mlp")? {
            let step = self.optional_size("interleave_moe_layer_step")?.unwrap_or(1);
            let sparse = self.items("moe_layers").map_or(layers / step, |l| l.len() as u64);
            spec.shared_ffn_size = plain;
            spec.dense_layers = Some(layers.saturating_sub(sparse));
            spec.dense_ffn_size = Some(dense);
        }
        Ok(())
    }

    /// The window of attention and the layers that have it: those it lists, or those of the type's pattern.
    fn window(&self, features: &Features, spec: &mut ModelSpec) -> Result<()> {
        if self.flag("use_sliding_window")? == Some(false) {
            return Ok(());
        }
        let size = self.first(&[
            "sliding_window",
            "local_attention",
            "attention_chunk_size",
            "window_size",
        ])?;
        let (Some(size), false) = (size, features.windowed == Windowed::No) else { return Ok(()) };
        let layers = spec.layers.unwrap_or(0);
        let kinds = ["layer_types", "attention_layers"].iter().find_map(|key| self.items(key));
        let listed = kinds.map(|kinds| {
            let names = kinds.iter().filter_map(Value::as_str);
            names
                .filter(|n| n.contains("sliding") || n.contains("chunked") || *n == "local")
                .count() as u64
        });
        let each = |n: u64| layers - layers / n.max(1);
        let windowed = match (listed, features.windowed) {
            (Some(listed), _) => listed.min(layers),
            (None, Windowed::No | Windowed::Tiles) => 0,
            (None, Windowed::All) => {
                // Qwen's first layers see the whole sequence
                let whole = match self.flag("use_sliding_window")? {
                    Some(true) => self.optional_count("max_window_layers")?.unwrap_or(0),
                    _ => 0,
                };
                layers.saturating_sub(whole)
            }
            (None, Windowed::AllButEach(n)) => each(
                self.first(&["sliding_window_pattern", "global_attn_every_n_layers"])?.unwrap_or(n),
            ),
        };
        if windowed > 0 {
            (spec.window, spec.window_layers) = (Some(size), Some(windowed));
        }
        Ok(())
    }

    /// Refuses layers that are not modelled, by the type's name or the keys.
    fn check_layers(&self, type_name: &str) -> Result<()> {
        let other = OTHER_LAYERS.contains(&type_name)
            || KEYS_OF_OTHER_LAYERS.iter().any(|key| self.get(key).is_some());
        if other {
            return Err(Error::invalid(
                "model_type",
                format!("`{type_name}`"),
                "its state-space or recurrent layers are not modelled, only Transformer layers are",
            ));
        }
        if let Some((_, nearest)) = OTHER_STACKS.iter().find(|(name, _)| *name == type_name) {
            return Err(Error::invalid(
                "model_type",
                format!("`{type_name}`"),
                format!(
                    "its stacks are not modelled; the nearest model type is `{nearest}`, with --family, --layers and \
                     --hidden-size"
                ),
            ));
        }
        Ok(())
    }

    /// The known type whose keys an unknown type has.
    fn nearest(&self, type_name: &str) -> Result<ModelType> {
        let has = |key: &str| self.get(key).is_some();
        let all = |keys: &[&str]| keys.iter().all(|key| has(key));
        let sized = all(&[
            "num_hidden_layers",
            "hidden_size",
            "num_attention_heads",
            "intermediate_size",
            "vocab_size",
        ]);
        let unknown = || {
            let names = ModelType::ALL.map(ModelType::name);
            match Error::unknown("model_type", type_name, names) {
                Error::Unknown { what, name, accepted } => Error::Unknown {
                    what,
                    name,
                    accepted: format!(
                        "{accepted}; or give its shape with --family, --layers and --hidden-size"
                    ),
                },
                other => other,
            }
        };
        if all(&["n_layer", "n_embd", "n_head", "vocab_size"]) {
            return Ok(ModelType::Gpt2);
        }
        if !sized {
            return Err(unknown());
        }
        let experts =
            ["num_local_experts", "num_experts", "n_routed_experts"].iter().any(|key| has(key));
        Ok(match () {
            () if has("kv_lora_rank") && experts => ModelType::DeepseekV3,
            () if has("rms_norm_eps") && experts => ModelType::Qwen3Moe,
            () if has("rms_norm_eps") => ModelType::Llama,
            () if all(&["layer_norm_eps", "type_vocab_size"]) => ModelType::Bert,
            () => return Err(unknown()),
        })
    }

    /// The training task that the class in `architectures` has.
    fn task(&self) -> Option<&'static str> {
        let class = self.items("architectures")?.first()?.as_str()?;
        let classifies =
            ["ForSequenceClassification", "ForImageClassification", "ForTokenClassification"];
        match class {
            _ if classifies.iter().any(|end| class.ends_with(end)) => Some("classification"),
            _ if class.ends_with("ForMaskedLM") => Some("masked-lm"),
            _ => None,
        }
    }
}

fn missing(keys: &[&str]) -> Error {
    let key = keys.first().copied().unwrap_or("a size");
    Error::missing(key, "this model type's config.json needs it")
}

/// The keys of a `config.json`; errors name the key.
struct Config(Map<String, Value>);

impl Config {
    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|v| !v.is_null())
    }

    /// A required size, by the first key that is there; always `Some`, the type of the fields of [`ModelSpec`].
    fn required(&self, keys: &[&str]) -> Result<Option<u64>> {
        match self.first(keys)? {
            None => Err(missing(keys)),
            some => Ok(some),
        }
    }

    fn first(&self, keys: &[&str]) -> Result<Option<u64>> {
        for key in keys {
            if let Some(size) = self.optional_size(key)? {
                return Ok(Some(size));
            }
        }
        Ok(None)
    }

    fn switch(&self, key: Option<&str>) -> Result<Option<bool>> {
        key.map_or(Ok(None), |key| self.flag(key))
    }

    fn items(&self, key: &str) -> Option<&[Value]> {
        self.get(key).and_then(Value::as_array).map(Vec::as_slice)
    }

    fn optional_size(&self, key: &str) -> Result<Option<u64>> {
        match self.optional_count(key)? {
            Some(0) => Err(Error::invalid(key, 0, "it must be a whole number from 1")),
            other => Ok(other),
        }
    }

    fn optional_count(&self, key: &str) -> Result<Option<u64>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value
            .as_u64()
            .map(Some)
            .ok_or_else(|| Error::invalid(key, value, "it must be a whole number from 1"))
    }

    fn flag(&self, key: &str) -> Result<Option<bool>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value
            .as_bool()
            .map(Some)
            .ok_or_else(|| Error::invalid(key, value, "it must be true or false"))
    }

    fn text(&self, key: &str) -> Result<Option<String>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(Error::invalid(key, value, "it must be text")),
        }
    }

    /// Classes of an image model's classification head: `id2label` lists them, and a head without has two.
    fn labels(&self) -> u64 {
        let class = self.items("architectures").and_then(|a| a.first()?.as_str()).unwrap_or("");
        match self.get("id2label") {
            Some(Value::Object(labels)) => labels.len() as u64,
            _ if class.ends_with("ForImageClassification") => 2,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        from_config_json(text).unwrap_err().to_string()
    }

    #[test]
    fn a_damaged_config_gives_a_one_sentence_error() {
        assert!(complaint("{").starts_with("not valid JSON"));
        assert_eq!(complaint("[]"), "not valid config.json: the top level is not an object");
        assert!(complaint("{}").starts_with("model_type is missing"));
        assert!(
            complaint(r#"{"model_type":"qwen33"}"#).starts_with(
                "unknown model_type `qwen33`; did you mean `qwen3`?; or give its shape"
            )
        );
        assert_eq!(
            complaint(r#"{"model_type":"bert","num_hidden_layers":-2}"#),
            "num_hidden_layers is -2, but it must be a whole number from 1"
        );
        assert_eq!(
            complaint(r#"{"model_type":"gpt2","n_layer":12}"#),
            "n_embd is missing; this model type's config.json needs it"
        );
    }

    #[test]
    fn an_unknown_type_is_read_as_the_one_whose_keys_it_has() {
        let config = HubConfig::from_json(
            r#"{"model_type":"aria2","num_hidden_layers":2,"hidden_size":64,"num_attention_heads":4,
                "intermediate_size":96,"vocab_size":100,"rms_norm_eps":1e-6,"architectures":["AriaForSequenceClassification"]}"#,
        )
        .unwrap();
        assert_eq!(config.model.family.as_deref(), Some("llama"));
        assert_eq!(config.task, Some("classification"));
        assert_eq!(
            config.notes,
            ["model type `aria2` is not known; its keys are those of `llama`, as which it is read"]
        );
        assert_eq!(
            complaint(r#"{"model_type":"jamba"}"#),
            "model_type is `jamba`, but its state-space or recurrent layers are not modelled, only Transformer layers are"
        );
        let stacks = complaint(r#"{"model_type":"siglip2","text_config":{}}"#);
        assert!(
            stacks.starts_with("model_type is `siglip2`, but its stacks are not modelled"),
            "{stacks}"
        );
    }

    #[test]
    fn stages_that_are_not_modelled_are_refused() {
        let swin = |keys: &str| {
            let text = format!(r#"{{"model_type":"swin","depths":[2,2],"num_heads":[3,6]{keys}}}"#);
            from_config_json(&text).and_then(|spec| spec.resolve()).map_err(|e| e.to_string())
        };
        assert_eq!(swin("").unwrap().other_stacks.len(), 1);
        for (keys, complaint) in [
            (r#","num_heads":[3,5]"#, "num_heads is [3,5]"),
            (r#","num_heads":[3]"#, "num_heads is [3]"),
            (r#","depths":["2"]"#, "depths is [\"2\"]"),
            (r#","mlp_ratio":0.3"#, "mlp_ratio is 0.3"),
            (r#","use_absolute_embeddings":true"#, "use_absolute_embeddings is true"),
            (r#","image_size":200"#, "image_size is 200"),
        ] {
            let error = swin(keys).unwrap_err();
            assert!(error.starts_with(complaint), "{error}");
        }
    }

    #[test]
    fn a_multimodal_model_is_read_by_its_language_part() {
        let config = HubConfig::from_json(
            r#"{"model_type":"qwen2_5_vl","text_config":{"model_type":"qwen2_5_vl_text","num_hidden_layers":2,
                "hidden_size":64,"num_attention_heads":4,"intermediate_size":96,"vocab_size":100}}"#,
        )
        .unwrap();
        assert_eq!(config.model.family.as_deref(), Some("qwen2_5_vl"));
        assert_eq!(config.notes, ["`qwen2_5_vl`: only the language part is counted"]);
    }

    /// As google/gemma-3-4b-pt publishes its language part; transformers' defaults give 8 heads of 256, 4 of keys and
    /// values, and 262,208 words.
    #[test]
    fn gemma_3_leaves_out_its_heads_and_its_vocabulary() {
        let spec = from_config_json(
            r#"{"model_type":"gemma3","text_config":{"model_type":"gemma3_text","hidden_size":2560,
                "intermediate_size":10240,"num_hidden_layers":34,"sliding_window":1024}}"#,
        )
        .unwrap();
        let a = spec.resolve().unwrap();
        assert_eq!((a.heads, a.kv_heads, a.head_dim, a.vocab_size), (8, 4, 256, 262_208));
        // Gemma3ForCausalLM on the meta device, transformers 5.24
        assert_eq!(a.parameters().total, 3_880_263_168);
    }

    #[test]
    fn windows_are_those_listed_or_those_of_the_types_pattern() {
        let read = |keys: &str| {
            let text = format!(
                r#"{{"num_hidden_layers":12,"hidden_size":64,"num_attention_heads":4,"intermediate_size":96,
                    "vocab_size":100,{keys}}}"#
            );
            let spec = from_config_json(&text).unwrap();
            spec.window.zip(spec.window_layers)
        };
        assert_eq!(read(r#""model_type":"mistral","sliding_window":8"#), Some((8, 12)));
        assert_eq!(read(r#""model_type":"mistral","sliding_window":null"#), None);
        assert_eq!(read(r#""model_type":"gemma2","sliding_window":8"#), Some((8, 6)));
        assert_eq!(
            read(r#""model_type":"gemma3_text","sliding_window":8,"sliding_window_pattern":6"#),
            Some((8, 10))
        );
        assert_eq!(
            read(
                r#""model_type":"gpt_oss","num_local_experts":4,"sliding_window":8,"layer_types":["sliding_attention"]"#
            ),
            Some((8, 1))
        );
        assert_eq!(
            read(r#""model_type":"qwen2","sliding_window":8,"use_sliding_window":false"#),
            None
        );
        assert_eq!(
            read(
                r#""model_type":"qwen2","sliding_window":8,"use_sliding_window":true,"max_window_layers":9"#
            ),
            Some((8, 3))
        );
    }

    #[test]
    fn gpt2_reads_its_own_names_and_null() {
        let spec = from_config_json(
            r#"{"model_type":"gpt2","n_layer":12,"n_embd":768,"n_head":12,"n_inner":null,"vocab_size":50257,"n_positions":1024}"#,
        )
        .unwrap();
        assert_eq!(spec.resolve().unwrap().parameters().total, 124_439_808);
    }
}
