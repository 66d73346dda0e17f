//! Axolotl's YAML. Numbers of GPUs and of examples are not in the file.

use wattlaw::base::error::Result;

use super::reader::Reader;
use super::{fully_sharded, trainer};

/// Reads a file.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<()> {
    reader.state("framework", "accelerate", "base_model");
    if let Some(model) = reader.text("base_model")? {
        reader.state("model", model, "base_model");
    }
    reader.wholes(&[
        ("sequence_len", "seq_len"),
        ("micro_batch_size", "micro_batch"),
        ("gradient_accumulation_steps", "grad_accum"),
    ])?;
    batch_of_a_rank(reader)?;
    trainer::amount(reader, "num_epochs")?;
    precision(reader)?;
    reader.optimizer("optimizer")?;
    checkpointing(reader)?;
    attention(reader)?;
    adapters(reader)?;
    sharding(reader)?;
    if reader.flag("sample_packing")? == Some(true) {
        reader.unmodelled("sample_packing", trainer::PACKING);
    }
    match reader.text("rl")?.as_deref() {
        None | Some("false") => {}
        Some("dpo") => reader.state("objective", "dpo", "rl"),
        Some(_) => {
            reader.unmodelled("rl", "this is counted as plain training of the one model");
        }
    }
    reader.unmodelled_if_on(&[
        ("precompute_ref_log_probs", "the reference model is counted in every step"),
        ("activation_offloading", "activations on the host are not counted"),
        ("layer_offloading", "layers on the host are not counted"),
        ("selective_checkpointing", "what this keeps of activations is not modelled"),
        ("reward_model", "a reward model is counted as training of the language model"),
        ("unfrozen_parameters", "frozen parameters are counted as trained"),
        ("plugins", "what plugins change is not counted"),
        ("torch_compile", "compiled kernels are counted as the framework's own"),
        ("neftune_noise_alpha", "added noise is not counted"),
        ("relora", "restarts of adapters are not counted"),
    ]);
    for key in [
        "liger_rope",
        "liger_rms_norm",
        "liger_glu_activation",
        "liger_swiglu",
        "liger_layer_norm",
        "liger_fused_linear_cross_entropy",
        "liger_cross_entropy",
        "cut_cross_entropy",
        "lora_mlp_kernel",
        "lora_qkv_kernel",
        "lora_o_kernel",
    ] {
        reader.unmodelled_if_on(&[(key, "fused kernels are counted as the framework's own")]);
    }
    reader.ignore(&[
        "pad_to_sequence_len",
        "eval_sample_packing",
        "tf32",
        "is_falcon_derived_model",
        "group_by_length",
        "excess_length_strategy",
        "sample_packing_eff_est",
        "sample_packing_group_size",
        "sample_packing_bin_size",
        "low_cpu_mem_usage",
        "resize_token_embeddings_to_32x",
        "shuffle_merged_datasets",
        "lora_alpha",
        "lora_dropout",
        "base_model_config",
        "base_model_ignore_patterns",
        "gradient_checkpointing_kwargs",
        "strict",
        "fsdp_version",
    ]);
    reader.ignore_table("gradient_checkpointing_kwargs");
    reader.default("seq_len", 512, "sequence_len");
    reader.default("micro_batch", 1, "micro_batch_size");
    reader.default("grad_accum", 1, "gradient_accumulation_steps");
    reader.default("epochs", 1, "num_epochs");
    reader.default("optimizer", "adamw", "optimizer");
    reader.default("checkpointing", "none", "gradient_checkpointing");
    reader.default("strategy", "ddp", "fsdp");
    Ok(())
}

/// `batch_size`, sequences of a rank in a step, gives the accumulation where that is absent.
fn batch_of_a_rank(reader: &mut Reader<'_>) -> Result<()> {
    let (micro, batch) = (reader.whole("micro_batch_size")?, reader.whole("batch_size")?);
    let accumulation = reader.whole("gradient_accumulation_steps")?;
    match (batch, micro.filter(|micro| *micro > 0), accumulation) {
        (None, ..) => Ok(()),
        (Some(batch), Some(micro), None) if batch.is_multiple_of(micro) => {
            reader.state("grad_accum", batch / micro, "batch_size");
            Ok(())
        }
        (Some(batch), Some(micro), Some(steps)) if Some(batch) == micro.checked_mul(steps) => {
            Ok(())
        }
        (Some(_), Some(_), Some(_)) => Err(reader.wrong_key(
            "batch_size",
            "it must be micro_batch_size × gradient_accumulation_steps; leave one of them out",
        )),
        _ => Err(reader.wrong_key("batch_size", "it must be a multiple of micro_batch_size")),
    }
}

fn precision(reader: &mut Reader<'_>) -> Result<()> {
    let pure = "bfloat16";
    if reader.flag(pure)? == Some(true) {
        reader.state("precision", "bf16", pure);
        reader.state("state_precision", "bf16", pure);
    } else if reader.flag("bf16")? == Some(true) {
        reader.state("precision", "bf16", "bf16");
    } else if reader.flag("fp16")? == Some(true) || reader.flag("float16")? == Some(true) {
        let key = if reader.has("fp16") { "fp16" } else { "float16" };
        reader.state("precision", "fp16", key);
    } else if reader.flag("float32")? == Some(true) {
        reader.state("precision", "fp32", "float32");
    } else if reader.flag("bf16")? == Some(false) {
        let wide = if reader.flag("tf32")? == Some(true) { "tf32" } else { "fp32" };
        reader.default("precision", wide, "bf16");
    }
    reader.flag("fp16")?;
    if reader.flag("fp8")? == Some(true) {
        reader.state("precision", "fp8", "fp8");
    }
    Ok(())
}

fn checkpointing(reader: &mut Reader<'_>) -> Result<()> {
    let key = "gradient_checkpointing";
    match reader.text(key)?.as_deref() {
        None => {}
        Some("false") => reader.state("checkpointing", "none", key),
        Some("true" | "unsloth") => reader.state("checkpointing", "full", key),
        Some("offload" | "offload_disk") => {
            reader.state("checkpointing", "full", key);
            reader.unmodelled(key, "kept activations on the host are not counted");
        }
        Some(_) => {
            let expected = "it must be true, false, offload or offload_disk";
            return Err(reader.wrong_key(key, expected));
        }
    }
    Ok(())
}

fn attention(reader: &mut Reader<'_>) -> Result<()> {
    for key in ["flash_attention", "xformers_attention", "sdp_attention", "flex_attention"] {
        if reader.flag(key)? == Some(true) {
            reader.state("attention", "flash", key);
        }
    }
    if reader.flag("eager_attention")? == Some(true) {
        reader.state("attention", "eager", "eager_attention");
    }
    if let Some(kernel) = reader.text("attn_implementation")? {
        trainer::attention(reader, &kernel, "attn_implementation");
    }
    reader.unmodelled_if_on(&[("s2_attention", "shifted sparse attention is counted as dense")]);
    Ok(())
}

fn adapters(reader: &mut Reader<'_>) -> Result<()> {
    let adapter = reader.text("adapter")?.filter(|name| !name.is_empty());
    let rank = reader.whole("lora_r")?;
    match (adapter.as_deref(), rank) {
        (None, _) => {}
        (Some("lora" | "qlora"), Some(rank)) => {
            let linear = "lora_target_linear";
            reader.lora(rank, "lora_r", "lora_target_modules")?;
            if reader.flag(linear)? == Some(true) {
                reader.state("lora_targets", "q k v o gate up down", linear);
            }
        }
        (Some("lora" | "qlora"), None) => {
            return Err(reader.wrong_key("adapter", "lora_r must give its rank"));
        }
        (Some(_), _) => reader.unmodelled("adapter", "this adapter is counted as full training"),
    }
    for (key, format) in [("load_in_4bit", "nf4"), ("load_in_8bit", "int8"), ("gptq", "gptq")] {
        if reader.flag(key)? == Some(true) {
            reader.state("quantization", format, key);
        }
    }
    reader.ignore(&["lora_target_modules", "lora_target_linear"]);
    reader.dora("peft_use_dora")?;
    reader.unmodelled_if_on(&[
        ("peft_layers_to_transform", "adapters are counted in every layer"),
        ("lora_modules_to_save", "these modules are counted as frozen"),
    ]);
    Ok(())
}

fn sharding(reader: &mut Reader<'_>) -> Result<()> {
    if reader.has("fsdp") {
        fully_sharded::options(reader, "fsdp", "fsdp_config")?;
    } else if reader.has_table("fsdp_config") {
        // FSDP2 is turned on by its table
        let first = "fsdp_version";
        let key = if reader.has(first) { first } else { "fsdp_config.reshard_after_forward" };
        fully_sharded::read(reader, "fsdp_config", key)?;
    }
    fully_sharded::degrees(reader, "")?;
    reader.degrees(&[
        ("tensor_parallel_size", "tp"),
        ("context_parallel_size", "cp"),
        ("sequence_parallel_degree", "cp"),
    ])?;
    let function = "ring_attn_func";
    if reader.states("cp") {
        // packed sequences are gathered, others go round a ring (`utils/schemas/validation.py`)
        let default =
            if reader.flag("sample_packing")? == Some(true) { "all-gather" } else { "ring" };
        reader.default("context_exchange", default, function);
        reader.context_exchange(function, ["varlen_llama3", "batch_ring"])?;
    } else {
        reader.ignore(&[function]);
    }
    trainer::sharded_by_deepspeed(reader)
}
