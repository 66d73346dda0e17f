//! The shape of a model as Megatron-LM names it, which NeMo and Megatron-Bridge share.

use wattlaw::base::error::Result;

use super::reader::Reader;

/// Keys of a shape: `name` gives the key of Megatron-LM's `num_layers`.
pub(super) fn read(reader: &mut Reader<'_>, key: fn(&str) -> String) -> Result<()> {
    let layers = key("num_layers");
    if !reader.has(&layers) {
        return Ok(());
    }
    reader.wholes(&[
        (&layers, "layers"),
        (&key("hidden_size"), "hidden_size"),
        (&key("num_attention_heads"), "heads"),
        (&key("num_query_groups"), "kv_heads"),
        (&key("kv_channels"), "head_dim"),
        (&key("ffn_hidden_size"), "ffn_size"),
        (&key("vocab_size"), "vocab_size"),
        (&key("max_position_embeddings"), "max_positions"),
    ])?;
    let gated = gate(reader, key)?;
    if let Some(gate_key) = &gated {
        reader.state("gated_ffn", true, gate_key);
    }
    family(reader, key, gated.is_some())?;
    if gated.is_some() && !reader.states("ffn_size") {
        // `--swiglu` without a size: a third less, so that the parameters stay as many, in whole blocks of 64
        if let Some(hidden) = reader.whole(&key("hidden_size"))? {
            let size = hidden.saturating_mul(8) / 3 / 64 * 64;
            reader.default("ffn_size", size, "ffn_hidden_size");
        }
    }
    ties_and_biases(reader, key)?;
    experts(reader, key)?;
    vocabulary(reader, key)
}

/// States the vocabulary's padding, and its size where the tokenizer tells it.
fn vocabulary(reader: &mut Reader<'_>, key: fn(&str) -> String) -> Result<()> {
    let multiple = key("make_vocab_size_divisible_by");
    if let Some(rows) = reader.whole(&multiple)? {
        let tp = reader.whole(&key("tensor_model_parallel_size"))?.unwrap_or(1);
        reader.state("vocab_multiple", rows.saturating_mul(tp), &multiple);
    }
    if reader.states("vocab_size") {
        return Ok(());
    }
    let tokenizer = key("tokenizer_type");
    match reader.text(&tokenizer)?.as_deref() {
        Some("GPT2BPETokenizer") => reader.state("vocab_size", 50_257, &tokenizer),
        _ => reader.unmodelled(
            &if reader.has(&tokenizer) { tokenizer } else { key("num_layers") },
            "the vocabulary's size is not in the file: that of the model type is counted unless --vocab-size says it",
        ),
    }
    Ok(())
}

/// The key that gives the feed-forward block a gate.
fn gate(reader: &mut Reader<'_>, key: fn(&str) -> String) -> Result<Option<String>> {
    for name in ["swiglu", "gated_linear_unit"] {
        if reader.flag(&key(name))? == Some(true) {
            return Ok(Some(key(name)));
        }
    }
    let activation = key("activation");
    let name = reader.text(&activation)?.unwrap_or_default();
    Ok(name.contains("glu").then_some(activation))
}

/// States the model type whose norms are the model's, and how positions enter.
fn family(reader: &mut Reader<'_>, key: fn(&str) -> String, gated: bool) -> Result<()> {
    let normalization = key("normalization");
    let norm = reader.text(&normalization)?.unwrap_or_default().to_lowercase();
    let layers = key("num_layers");
    if gated || norm == "rmsnorm" {
        reader.state("family", "llama", &layers);
        if !gated {
            reader.state("gated_ffn", false, &normalization);
        }
    } else {
        reader.state("family", "gpt2", &layers);
    }
    let position = key("position_embedding_type");
    match reader.text(&position)?.map(|kind| kind.to_lowercase()).as_deref() {
        None => reader.default("positions", "learned", &position),
        Some("learned_absolute") => reader.state("positions", "learned", &position),
        Some("none") => reader.state("positions", "none", &position),
        Some("rope" | "yarn" | "mrope") => reader.state("positions", "rotary", &position),
        Some(_) => {
            reader.state("positions", "none", &position);
            reader.unmodelled(&position, "this embedding of positions is not counted");
        }
    }
    let older = key("use_rotary_position_embeddings");
    if reader.flag(&older)? == Some(true) {
        reader.state("positions", "rotary", &older);
    }
    let normed = key("qk_layernorm");
    if let Some(on) = reader.flag(&normed)? {
        reader.state("qk_norm", on, &normed);
    }
    Ok(())
}

/// Megatron-LM ties the embeddings and has biases unless told otherwise.
fn ties_and_biases(reader: &mut Reader<'_>, key: fn(&str) -> String) -> Result<()> {
    let untied = key("untie_embeddings_and_output_weights");
    let shared = key("share_embeddings_and_output_weights");
    if reader.flag(&untied)? == Some(true) {
        reader.state("tied_embeddings", false, &untied);
    } else if let Some(tied) = reader.flag(&shared)? {
        reader.state("tied_embeddings", tied, &shared);
    } else {
        reader.default("tied_embeddings", true, "untie_embeddings_and_output_weights");
    }
    let without = key("disable_bias_linear");
    let with = [key("add_bias_linear"), key("bias")];
    let mut bias = (true, None);
    if reader.flag(&without)? == Some(true) {
        bias = (false, Some(without));
    }
    for name in with {
        if let Some(on) = reader.flag(&name)? {
            bias = (on, Some(name));
        }
    }
    for column in ["qkv_bias", "attention_output_bias", "ffn_bias"] {
        match &bias {
            (on, Some(key)) => reader.state(column, on, key),
            (on, None) => reader.default(column, on, "disable_bias_linear"),
        }
    }
    for name in ["add_qkv_bias", "qkv_bias"] {
        if reader.flag(&key(name))? == Some(true) {
            reader.state("qkv_bias", true, &key(name));
        }
    }
    Ok(())
}

fn experts(reader: &mut Reader<'_>, key: fn(&str) -> String) -> Result<()> {
    for name in ["num_experts", "num_moe_experts"] {
        let of = key(name);
        if let Some(count) = reader.whole(&of)?.filter(|count| *count > 0) {
            reader.state("family", "mixtral", &of);
            reader.state("experts", count, &of);
            reader.wholes(&[(&key("moe_router_topk"), "top_k")])?;
            reader.default("top_k", 2, "moe_router_topk");
            // the width of an expert, where it is not that of a dense layer
            reader.wholes(&[
                (&key("moe_ffn_hidden_size"), "ffn_size"),
                (&key("moe_shared_expert_intermediate_size"), "shared_ffn_size"),
            ])?;
        }
    }
    reader.unmodelled_if_on(&[
        (&key("moe_layer_freq"), "every layer is counted as a mixture of experts"),
        (&key("multi_latent_attention"), "latent attention is counted as grouped-query attention"),
        (&key("window_size"), "sliding windows are counted as full attention"),
        (&key("mtp_num_layers"), "prediction of several tokens is not counted"),
    ]);
    reader.ignore(&[&key("group_query_attention")]);
    Ok(())
}
