//! Megatron-Bridge's YAML: Megatron-LM's names in the tables of its `ConfigContainer`.

use wattlaw::base::error::Result;

use super::reader::Reader;
use super::{megatron, shape};

/// Reads a file.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<()> {
    reader.state("framework", "megatron", "train.train_iters");
    shape::read(reader, model)?;
    if !reader.states("seq_len") {
        reader.wholes(&[
            ("model.seq_length", "seq_len"),
            ("dataset.seq_length", "seq_len"),
            ("dataset.sequence_length", "seq_len"),
        ])?;
    }
    megatron::sizes(reader, train)?;
    precision(reader, "mixed_precision")?;
    megatron::eight_bits(reader, model)?;
    megatron::parallelism(reader, model)?;
    megatron::recomputation(reader, model)?;
    megatron::attention(reader, "model.attention_backend")?;
    let sharded = "ddp.use_distributed_optimizer";
    if reader.flag(sharded)? == Some(true) {
        reader.state("strategy", "zero1", sharded);
    } else if reader.flag("optimizer.use_distributed_optimizer")? == Some(true) {
        reader.state("strategy", "zero1", "optimizer.use_distributed_optimizer");
    }
    if reader.flag("ddp.use_megatron_fsdp")? == Some(true) {
        reader.state("strategy", "fsdp", "ddp.use_megatron_fsdp");
    }
    reader.optimizer("optimizer.optimizer")?;
    adapters(reader)?;
    let share = "optimizer.optimizer_offload_fraction";
    megatron::offload(reader, "optimizer.optimizer_cpu_offload", share)?;
    reader.unmodelled_if_on(&[
        ("comm_overlap.tp_comm_overlap", megatron::OVERLAP),
        ("ddp.overlap_grad_reduce", megatron::OVERLAP),
        ("ddp.overlap_param_gather", megatron::OVERLAP),
        (
            "ddp.grad_reduce_in_fp32",
            "gradients are counted as reduced in the framework's own precision",
        ),
        ("model.cpu_offloading", "activations on the host are not counted"),
    ]);
    for table in [
        "ddp",
        "optimizer",
        "comm_overlap",
        "rng",
        "dist",
        "rerun_state_machine",
        "straggler",
        "ft",
        "mixed_precision",
    ] {
        reader.ignore_table(table);
    }
    reader.ignore(&[
        "model._target_",
        "train._target_",
        "dataset._target_",
        "train.manual_gc",
        "train.manual_gc_interval",
        "train.exit_signal_handler",
    ]);
    reader.default("strategy", "ddp", "ddp.use_distributed_optimizer");
    reader.default("precision", "fp32", "mixed_precision");
    reader.default("optimizer", "adamw", "optimizer.optimizer");
    Ok(())
}

fn model(name: &str) -> String {
    format!("model.{name}")
}

fn train(name: &str) -> String {
    format!("train.{name}")
}

/// States a precision by the name of a recipe, such as `bf16_mixed`.
pub(super) fn precision(reader: &mut Reader<'_>, key: &str) -> Result<()> {
    let Some(name) = reader.text(key)? else { return Ok(()) };
    let name = name.to_lowercase();
    let precision = if name.contains("fp8") || name.contains("mxfp8") {
        reader.unmodelled(key, "every linear layer is counted in fp8 by one recipe");
        "fp8"
    } else if name.contains("bf16") {
        "bf16"
    } else if name.contains("16") {
        "fp16"
    } else if name.contains("32") {
        "fp32"
    } else {
        return Err(reader.wrong_key(key, "it must name bf16, 16, 32 or fp8"));
    };
    reader.state("precision", precision, key);
    Ok(())
}

fn adapters(reader: &mut Reader<'_>) -> Result<()> {
    if !reader.has_table("peft") {
        return Ok(());
    }
    match reader.whole("peft.dim")? {
        Some(rank) => reader.lora(rank, "peft.dim", "peft.target_modules")?,
        None => {
            reader.default("lora_rank", 32, "peft.dim");
            reader.default("lora_targets", "q k v o gate up down", "peft.target_modules");
        }
    }
    reader.ignore(&["peft._target_", "peft.alpha", "peft.dropout", "peft.dropout_position"]);
    Ok(())
}
