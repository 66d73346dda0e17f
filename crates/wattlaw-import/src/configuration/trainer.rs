//! `TrainingArguments` of transformers, with the arguments of TRL's trainers.

use wattlaw::base::error::Result;

use super::reader::Reader;
use super::{deepspeed, fully_sharded, launcher};

/// Reads a file.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<()> {
    if let Some(model) = reader.text("model_name_or_path")? {
        reader.state("model", model, "model_name_or_path");
    }
    reader.wholes(&[
        ("max_length", "seq_len"),
        ("max_seq_length", "seq_len"),
        ("model_max_length", "seq_len"),
    ])?;
    arguments(reader)?;
    if reader.flag("use_peft")? == Some(true) {
        // peft's LoraConfig and TRL's ModelConfig
        let rank = reader.whole("lora_r")?.unwrap_or(16);
        let key = if reader.has("lora_r") { "lora_r" } else { "use_peft" };
        reader.lora(rank, key, "lora_target_modules")?;
        reader.dora("use_dora")?;
    }
    for (key, format) in [("load_in_4bit", "nf4"), ("load_in_8bit", "int8")] {
        if reader.flag(key)? == Some(true) {
            reader.state("quantization", format, key);
        }
    }
    if let Some(kernel) = reader.text("attn_implementation")? {
        attention(reader, &kernel, "attn_implementation");
    }
    for key in ["dtype", "torch_dtype"] {
        if let Some(dtype) = reader.text(key)?
            && ["bfloat16", "float16"].contains(&dtype.as_str())
        {
            reader.unmodelled(
                key,
                "weights are loaded in 16 bits and counted with a 32-bit copy; --state-precision bf16 leaves it out",
            );
        }
    }
    if reader.flag("packing")? == Some(true) {
        reader.unmodelled("packing", PACKING);
    }
    // arguments of TRL, whose sequences have a default; those of the Trainer alone say nothing of them
    if ["dataset_name", "packing", "use_peft"].into_iter().any(|key| reader.has(key)) {
        reader.default("seq_len", 1024, "max_length");
    }
    Ok(())
}

/// What packing changes.
pub(super) const PACKING: &str = "several examples share a sequence, and each is counted as a whole one; give --tokens, or --examples as packed sequences, and --document-len where attention keeps them apart";

/// Reads the arguments of the Trainer itself, and takes its defaults.
pub(super) fn arguments(reader: &mut Reader<'_>) -> Result<()> {
    reader.state("framework", "accelerate", "per_device_train_batch_size");
    reader.wholes(&[
        ("per_device_train_batch_size", "micro_batch"),
        ("gradient_accumulation_steps", "grad_accum"),
    ])?;
    launcher::read(reader)?;
    amount(reader, "num_train_epochs")?;
    let (bf16, fp16) = (reader.flag("bf16")?, reader.flag("fp16")?);
    let tf32 = reader.flag("tf32")?;
    match (bf16, fp16, tf32) {
        (Some(true), Some(true), _) => {
            return Err(reader.wrong_key("fp16", "bf16 is true too; one of them can be"));
        }
        (Some(true), ..) => reader.state("precision", "bf16", "bf16"),
        (_, Some(true), _) => reader.state("precision", "fp16", "fp16"),
        (_, _, Some(true)) => reader.default("precision", "tf32", "tf32"),
        _ => reader.default("precision", "fp32", "bf16"),
    }
    reader.optimizer("optim")?;
    for key in ["gradient_checkpointing", "activation_checkpointing"] {
        if let Some(on) = reader.flag(key)? {
            reader.state("checkpointing", if on { "full" } else { "none" }, key);
        }
    }
    reader.ignore_table("gradient_checkpointing_kwargs");
    fully_sharded::options(reader, "fsdp", "fsdp_config")?;
    // older arguments of the Trainer
    reader.ignore(&["fsdp_transformer_layer_cls_to_wrap", "fsdp_min_num_params"]);
    fully_sharded::degrees(reader, "parallelism_config.")?;
    sharded_by_deepspeed(reader)?;
    reader.unmodelled_if_on(&[
        ("activation_offloading", "activations on the host are not counted"),
        ("torch_compile", "compiled kernels are counted as the framework's own"),
        ("use_liger_kernel", "fused kernels are counted as the framework's own"),
        ("use_cpu", "the training is counted on GPUs"),
        ("neftune_noise_alpha", "added noise is not counted"),
        ("auto_find_batch_size", "the batch that is found is unknown; --micro-batch says it"),
        ("ref_model", "a reference model's forward pass is not counted"),
    ]);
    reader.default("micro_batch", 8, "per_device_train_batch_size");
    reader.default("grad_accum", 1, "gradient_accumulation_steps");
    reader.default("epochs", 3, "num_train_epochs");
    reader.default("optimizer", "adamw", "optim");
    reader.default("checkpointing", "none", "gradient_checkpointing");
    reader.default("strategy", "ddp", "fsdp");
    Ok(())
}

/// Reads the amount of training: steps, where they are above zero, go before epochs.
pub(super) fn amount(reader: &mut Reader<'_>, epochs_key: &str) -> Result<()> {
    let steps = reader.number("max_steps")?.filter(|steps| *steps > 0.0);
    let epochs = reader.number(epochs_key)?;
    match (steps, epochs) {
        (Some(steps), _) => reader.state("steps", steps, "max_steps"),
        (None, Some(epochs)) => reader.state("epochs", epochs, epochs_key),
        (None, None) => {}
    }
    Ok(())
}

/// Reads `deepspeed`: the path of a file, or a table.
pub(super) fn sharded_by_deepspeed(reader: &mut Reader<'_>) -> Result<()> {
    if reader.has_table("deepspeed") {
        deepspeed::read_table(reader, "deepspeed.")?;
        reader.ignore_table("deepspeed");
        reader.state("framework", "deepspeed", "deepspeed");
    } else if let Some(path) = reader.text("deepspeed")?.filter(|path| !path.is_empty()) {
        reader.refers("deepspeed", &path);
        reader.state("framework", "deepspeed", "deepspeed");
    }
    Ok(())
}

/// States the kernel of attention.
pub(super) fn attention(reader: &mut Reader<'_>, kernel: &str, key: &str) {
    let kernel = if kernel == "eager" { "eager" } else { "flash" };
    reader.state("attention", kernel, key);
}
