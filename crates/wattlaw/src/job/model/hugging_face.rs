//! Reads the shape out of a Hugging Face `config.json`.
//!
//! Each model type names its sizes in its own way; the names are those of transformers' `configuration_*.py`.

use serde_json::{Map, Value};

use super::{ModelSpec, ModelType};
use crate::base::error::{Error, Result};

/// Reads a `config.json` into a model description.
///
/// Keys that do not affect the shape are ignored; absent optional keys take transformers' default.
///
/// # Errors
/// [`Error::Syntax`] where it is not a JSON object (with line and column), [`Error::Unknown`] for a model type
/// without a reader, [`Error::Missing`] or [`Error::Invalid`] for a size that is absent or no positive whole number.
pub fn from_config_json(text: &str) -> Result<ModelSpec> {
    let value: Value = serde_json::from_str(text)
        .map_err(|e| Error::Syntax { format: "JSON", message: e.to_string() })?;
    let Value::Object(map) = value else {
        return Err(Error::Syntax {
            format: "config.json",
            message: "the top level is not an object".into(),
        });
    };
    let config = Config(map);
    let model_type = config
        .text("model_type")?
        .ok_or_else(|| Error::missing("model_type", "a config.json needs its model type"))?;
    let model_type =
        ModelType::ALL.into_iter().find(|t| t.name() == model_type).ok_or_else(|| {
            Error::unknown("model_type", &model_type, ModelType::ALL.map(ModelType::name))
        })?;
    let mut spec = match model_type {
        ModelType::Bert | ModelType::Roberta => bert(&config)?,
        ModelType::Distilbert => distilbert(&config)?,
        ModelType::Gpt2 => gpt2(&config)?,
        ModelType::GptNeox => gpt_neox(&config)?,
        ModelType::Opt => opt(&config)?,
        ModelType::Llama | ModelType::Mistral | ModelType::Qwen2 | ModelType::Mixtral => {
            llama(&config, model_type)?
        }
        ModelType::T5 => t5(&config)?,
        ModelType::Vit => vit(&config)?,
    };
    spec.family = Some(model_type.name().to_owned());
    spec.name = config.text("_name_or_path")?.filter(|n| !n.is_empty());
    Ok(spec)
}

fn bert(config: &Config) -> Result<ModelSpec> {
    Ok(ModelSpec {
        layers: config.size("num_hidden_layers")?,
        hidden_size: config.size("hidden_size")?,
        heads: config.size("num_attention_heads")?,
        ffn_size: config.size("intermediate_size")?,
        vocab_size: config.size("vocab_size")?,
        max_positions: config.optional_size("max_position_embeddings")?,
        token_types: config.optional_count("type_vocab_size")?,
        ..ModelSpec::default()
    })
}

fn distilbert(config: &Config) -> Result<ModelSpec> {
    Ok(ModelSpec {
        layers: config.size("n_layers")?,
        hidden_size: config.size("dim")?,
        heads: config.size("n_heads")?,
        ffn_size: config.size("hidden_dim")?,
        vocab_size: config.size("vocab_size")?,
        max_positions: config.optional_size("max_position_embeddings")?,
        ..ModelSpec::default()
    })
}

fn gpt2(config: &Config) -> Result<ModelSpec> {
    Ok(ModelSpec {
        layers: config.size("n_layer")?,
        hidden_size: config.size("n_embd")?,
        heads: config.size("n_head")?,
        ffn_size: config.optional_size("n_inner")?,
        vocab_size: config.size("vocab_size")?,
        max_positions: config.optional_size("n_positions")?,
        tied_embeddings: config.flag("tie_word_embeddings")?,
        ..ModelSpec::default()
    })
}

fn gpt_neox(config: &Config) -> Result<ModelSpec> {
    let bias = config.flag("attention_bias")?;
    Ok(ModelSpec {
        layers: config.size("num_hidden_layers")?,
        hidden_size: config.size("hidden_size")?,
        heads: config.size("num_attention_heads")?,
        ffn_size: config.size("intermediate_size")?,
        vocab_size: config.size("vocab_size")?,
        max_positions: config.optional_size("max_position_embeddings")?,
        tied_embeddings: config.flag("tie_word_embeddings")?,
        qkv_bias: bias,
        attention_output_bias: bias,
        ..ModelSpec::default()
    })
}

fn opt(config: &Config) -> Result<ModelSpec> {
    let bias = config.flag("enable_bias")?;
    Ok(ModelSpec {
        layers: config.size("num_hidden_layers")?,
        hidden_size: config.size("hidden_size")?,
        heads: config.size("num_attention_heads")?,
        ffn_size: config.size("ffn_dim")?,
        vocab_size: config.size("vocab_size")?,
        embedding_size: config.optional_size("word_embed_proj_dim")?,
        max_positions: config.optional_size("max_position_embeddings")?,
        tied_embeddings: config.flag("tie_word_embeddings")?,
        qkv_bias: bias,
        attention_output_bias: bias,
        ffn_bias: bias,
        // the post-norm variant (OPT-350M) has no norm after its last layer
        final_norm: config.flag("do_layer_norm_before")?,
        ..ModelSpec::default()
    })
}

fn llama(config: &Config, model_type: ModelType) -> Result<ModelSpec> {
    let llama_bias =
        if model_type == ModelType::Llama { config.flag("attention_bias")? } else { None };
    let mixtral = model_type == ModelType::Mixtral;
    Ok(ModelSpec {
        layers: config.size("num_hidden_layers")?,
        hidden_size: config.size("hidden_size")?,
        heads: config.size("num_attention_heads")?,
        kv_heads: config.optional_size("num_key_value_heads")?,
        head_dim: config.optional_size("head_dim")?,
        ffn_size: config.size("intermediate_size")?,
        vocab_size: config.size("vocab_size")?,
        max_positions: config.optional_size("max_position_embeddings")?,
        tied_embeddings: config.flag("tie_word_embeddings")?,
        qkv_bias: llama_bias,
        attention_output_bias: llama_bias,
        ffn_bias: if model_type == ModelType::Llama { config.flag("mlp_bias")? } else { None },
        experts: if mixtral { config.optional_size("num_local_experts")? } else { None },
        top_k: if mixtral { config.optional_size("num_experts_per_tok")? } else { None },
        ..ModelSpec::default()
    })
}

fn t5(config: &Config) -> Result<ModelSpec> {
    let encoder_layers = config.size("num_layers")?;
    let gated = config.text("feed_forward_proj")?.map(|p| p.starts_with("gated-"));
    // transformers 5 writes tie_word_embeddings = true for every T5 and keeps an untied one as scale_decoder_outputs =
    // false
    let tied = match config.flag("scale_decoder_outputs")? {
        Some(false) => Some(false),
        _ => config.flag("tie_word_embeddings")?,
    };
    Ok(ModelSpec {
        layers: config.optional_size("num_decoder_layers")?.or(encoder_layers),
        encoder_layers,
        hidden_size: config.size("d_model")?,
        heads: config.size("num_heads")?,
        head_dim: config.size("d_kv")?,
        ffn_size: config.size("d_ff")?,
        vocab_size: config.size("vocab_size")?,
        relative_buckets: config.optional_size("relative_attention_num_buckets")?,
        gated_ffn: gated,
        tied_embeddings: tied,
        ..ModelSpec::default()
    })
}

fn vit(config: &Config) -> Result<ModelSpec> {
    let bias = config.flag("qkv_bias")?;
    Ok(ModelSpec {
        layers: config.size("num_hidden_layers")?,
        hidden_size: config.size("hidden_size")?,
        heads: config.size("num_attention_heads")?,
        ffn_size: config.size("intermediate_size")?,
        image_size: config.optional_size("image_size")?,
        patch_size: config.optional_size("patch_size")?,
        channels: config.optional_size("num_channels")?,
        qkv_bias: bias,
        classes: Some(config.labels()),
        ..ModelSpec::default()
    })
}

/// The keys of a `config.json`; errors name the key.
struct Config(Map<String, Value>);

impl Config {
    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|v| !v.is_null())
    }

    /// A required size; always `Some`, the type of the fields of [`ModelSpec`].
    fn size(&self, key: &str) -> Result<Option<u64>> {
        match self.optional_size(key)? {
            None => Err(Error::missing(key, "this model type's config.json needs it")),
            some => Ok(some),
        }
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

    /// Classes of a classification head: `id2label` lists them where a model has one.
    fn labels(&self) -> u64 {
        match self.get("id2label") {
            Some(Value::Object(labels)) => labels.len() as u64,
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
            complaint(r#"{"model_type":"mamba"}"#)
                .starts_with("unknown model_type `mamba`; accepted:")
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
    fn gpt2_reads_its_own_names_and_null() {
        let spec = from_config_json(
            r#"{"model_type":"gpt2","n_layer":12,"n_embd":768,"n_head":12,"n_inner":null,"vocab_size":50257,"n_positions":1024}"#,
        )
        .unwrap();
        assert_eq!(spec.resolve().unwrap().parameters().total, 124_439_808);
    }
}
