//! torchtune's YAML, whose components are named by their Python paths.

use wattlaw::base::error::Result;

use super::reader::Reader;
use super::trainer;

/// Reads a file.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<()> {
    reader.state("framework", "fsdp2", "model._component_");
    let builder = "model._component_";
    let component = reader.text(builder)?.unwrap_or_default();
    let component = component.rsplit('.').next().unwrap_or_default().to_owned();
    model(reader, &component, builder)?;
    reader.wholes(&[
        ("tokenizer.max_seq_len", "seq_len"),
        ("batch_size", "micro_batch"),
        ("gradient_accumulation_steps", "grad_accum"),
    ])?;
    amount(reader)?;
    match reader.text("dtype")?.as_deref() {
        None => {}
        // weights, gradients and states are in the one type
        Some("bf16") => {
            reader.state("precision", "bf16", "dtype");
            reader.state("state_precision", "bf16", "dtype");
        }
        Some("fp32") => reader.state("precision", "fp32", "dtype"),
        Some(_) => return Err(reader.wrong_key("dtype", "it must be bf16 or fp32")),
    }
    reader.optimizer("optimizer._component_")?;
    let repeat = "enable_activation_checkpointing";
    if let Some(on) = reader.flag(repeat)? {
        reader.state("checkpointing", if on { "full" } else { "none" }, repeat);
    }
    if reader.flag("dataset.packed")? == Some(true) {
        reader.unmodelled("dataset.packed", trainer::PACKING);
    }
    parallelism(reader)?;
    reader.offloads_shards("fsdp_cpu_offload")?;
    reader.unmodelled_if_on(&[
        ("enable_activation_offloading", "activations on the host are not counted"),
        ("optimizer_in_bwd", "updates in the backward pass are counted after it"),
        ("compile", "compiled kernels are counted as the framework's own"),
        ("ac_mode", "every layer's input is counted as kept and no more"),
        ("enable_fp8_training", "products are counted in the file's dtype"),
        ("ref_policy", "a reference model's forward pass is not counted"),
    ]);
    for table in [
        "checkpointer",
        "dataset",
        "tokenizer",
        "loss",
        "lr_scheduler",
        "optimizer",
        "profiler",
        "metric_logger",
        "model",
    ] {
        reader.ignore_table(table);
    }
    reader.ignore(&[
        "device",
        "ac_option",
        "optimizer_in_bwd",
        "clip_grad_norm",
        "custom_sharded_layers",
    ]);
    reader.default("grad_accum", 1, "gradient_accumulation_steps");
    reader.default("checkpointing", "none", repeat);
    reader.default("strategy", "fsdp", "data_parallel_shard_dim");
    Ok(())
}

/// Names the model that a builder makes, such as `qlora_llama3_1_8b`, and its adapters.
fn model(reader: &mut Reader<'_>, component: &str, key: &str) -> Result<()> {
    let (kind, name) = match component.split_once('_') {
        Some((kind @ ("lora" | "qlora" | "dora" | "qdora"), name)) => (kind, name),
        _ => ("", component),
    };
    let known = match name.strip_prefix("llama").and_then(|rest| rest.rsplit_once('_')) {
        Some((version, size)) => format!("llama-{}-{size}", version.replace('_', ".")),
        None => name.replace('_', "-"),
    };
    reader.state("model", known, key);
    if kind.starts_with('q') {
        reader.state("quantization", "nf4", key);
    }
    if kind.ends_with("dora") {
        reader.state("dora", true, key);
    }
    if kind.is_empty() {
        return Ok(());
    }
    let rank = reader.whole("model.lora_rank")?.unwrap_or(8);
    let rank_key = if reader.has("model.lora_rank") { "model.lora_rank" } else { key };
    reader.lora(rank, rank_key, "model.lora_attn_modules")?;
    let wide = "model.apply_lora_to_mlp";
    if reader.flag(wide)? == Some(true) {
        let modules = reader.words("model.lora_attn_modules")?;
        let (targets, _) = super::vocabulary::lora_targets(&modules);
        reader.state(
            "lora_targets",
            [targets, vec!["gate", "up", "down"]].concat().join(" "),
            wide,
        );
    }
    reader.unmodelled_if_on(&[(
        "model.apply_lora_to_output",
        "adapters on the output layer are not modelled",
    )]);
    Ok(())
}

/// `max_steps_per_epoch` limits each of the epochs.
fn amount(reader: &mut Reader<'_>) -> Result<()> {
    let limit = "max_steps_per_epoch";
    let epochs = reader.number("epochs")?;
    match (reader.whole(limit)?, epochs) {
        (Some(steps), epochs) => {
            reader.state("steps", (steps as f64 * epochs.unwrap_or(1.0)).round(), limit);
        }
        (None, Some(epochs)) => reader.state("epochs", epochs, "epochs"),
        (None, None) => {}
    }
    Ok(())
}

fn parallelism(reader: &mut Reader<'_>) -> Result<()> {
    reader.degrees(&[("tensor_parallel_dim", "tp")])?;
    let (copies, shards) = ("data_parallel_replicate_dim", "data_parallel_shard_dim");
    let count = reader.whole(copies)?.filter(|ranks| *ranks > 1);
    let group = reader.number(shards)?.filter(|ranks| *ranks > 1.0);
    match (count, group) {
        (Some(count), Some(group)) => {
            reader.state("strategy", "hsdp", copies);
            reader.state("shard_group", group, shards);
            reader.state("dp", group * count as f64, copies);
        }
        (Some(_), None) => reader.state("strategy", "hsdp", copies),
        (None, Some(group)) => reader.state("dp", group, shards),
        (None, None) => {}
    }
    if reader.flag("fsdp_reshard_after_forward")? == Some(false) {
        reader.state("strategy", "zero2", "fsdp_reshard_after_forward");
    }
    Ok(())
}
