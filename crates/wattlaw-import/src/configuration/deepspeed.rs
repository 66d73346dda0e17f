//! DeepSpeed's JSON, as a file or as a table of another tool's file. `auto` is as the Trainer's arguments say.

use wattlaw::base::error::Result;

use super::reader::Reader;

/// Reads a file.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<()> {
    reader.state("framework", "deepspeed", "zero_optimization.stage");
    read_table(reader, "")?;
    reader.default("grad_accum", 1, "gradient_accumulation_steps");
    reader.default("precision", "fp32", "bf16.enabled");
    Ok(())
}

/// Reads the keys below `table`, which ends with a dot where it is not empty.
pub(super) fn read_table(reader: &mut Reader<'_>, table: &str) -> Result<()> {
    let key = |name: &str| format!("{table}{name}");
    reader.wholes(&[
        (&key("train_micro_batch_size_per_gpu"), "micro_batch"),
        (&key("gradient_accumulation_steps"), "grad_accum"),
        (&key("train_batch_size"), "global_batch"),
    ])?;
    for (name, precision) in [("bf16", "bf16"), ("bfloat16", "bf16"), ("fp16", "fp16")] {
        let enabled = key(&format!("{name}.enabled"));
        if reader.flag(&enabled)? == Some(true) {
            reader.state("precision", precision, &enabled);
        }
    }
    zero(reader, &key("zero_optimization"))?;
    reader.optimizer(&key("optimizer.type"))?;
    reader
        .wholes(&[(&key("tensor_parallel.autotp_size"), "tp"), (&key("pipeline.stages"), "pp")])?;
    let activations = key("activation_checkpointing");
    reader.unmodelled_if_on(&[
        (&format!("{activations}.cpu_checkpointing"), "activations on the host are not counted"),
        (
            &format!("{activations}.partition_activations"),
            "a split of kept activations among tensor-parallel ranks is not counted",
        ),
        (
            &key("torch_autocast.enabled"),
            "autocast beside DeepSpeed's own precision is not counted",
        ),
        (&key("quantize_training.enabled"), "quantised training is not modelled"),
        (&key("sparse_attention.mode"), "sparse attention is counted as dense"),
        (&key("autotuning.enabled"), "what autotuning chooses is unknown"),
    ]);
    for harmless in [
        "optimizer.params",
        "scheduler",
        "fp16",
        "bf16",
        "activation_checkpointing",
        "flops_profiler",
        "comms_logger",
        "aio",
        "wandb",
        "tensorboard",
        "csv_monitor",
        "data_types",
    ] {
        reader.ignore_table(&key(harmless));
    }
    reader.ignore(&[
        &key("gradient_clipping"),
        &key("prescale_gradients"),
        &key("gradient_predivide_factor"),
        &key("communication_data_type"),
        &key("wall_clock_breakdown"),
        &key("zero_allow_untested_optimizer"),
        &key("zero_force_ds_cpu_optimizer"),
        &key("dump_state"),
        &key("memory_breakdown"),
        &key("steps_per_print"),
    ]);
    Ok(())
}

/// States what ZeRO moves to the host, by the keys of the optimizer's and the parameters' devices.
pub(super) fn offload(reader: &mut Reader<'_>, optimizer: &str, parameters: &str) -> Result<()> {
    for (key, what) in [(optimizer, "optimizer"), (parameters, "parameters")] {
        match reader.text(key)?.as_deref() {
            None | Some("none") => {}
            Some("cpu") => reader.state("offload", what, key),
            Some("nvme") => {
                reader.state("offload", what, key);
                reader.unmodelled(key, "the disk is counted as the host's memory");
            }
            Some(_) => return Err(reader.wrong_key(key, "it must be none, cpu or nvme")),
        }
    }
    Ok(())
}

/// States the strategy of a stage of ZeRO.
pub(super) fn stage(reader: &mut Reader<'_>, stage: u64, key: &str) -> Result<()> {
    let strategies = ["ddp", "zero1", "zero2", "fsdp"];
    match usize::try_from(stage).ok().and_then(|stage| strategies.get(stage)) {
        Some(strategy) => reader.state("strategy", strategy, key),
        None => return Err(reader.wrong_key(key, "it must be a stage from 0 to 3")),
    }
    Ok(())
}

/// Reads ZeRO's stage, with what of it is not modelled.
fn zero(reader: &mut Reader<'_>, table: &str) -> Result<()> {
    let stage_key = format!("{table}.stage");
    if let Some(number) = reader.whole(&stage_key)? {
        stage(reader, number, &stage_key)?;
    }
    let device = |of: &str| format!("{table}.offload_{of}.device");
    offload(reader, &device("optimizer"), &device("param"))?;
    let old = format!("{table}.cpu_offload");
    if reader.flag(&old)? == Some(true) {
        reader.state("offload", "optimizer", &old);
    }
    let group = format!("{table}.mics_shard_size");
    if let Some(size) = reader.number(&group)?.filter(|size| *size >= 1.0) {
        reader.state("strategy", "hsdp", &group);
        reader.state("shard_group", size, &group);
    }
    let secondary = format!("{table}.zero_hpz_partition_size");
    if reader.whole(&secondary)?.is_some_and(|size| size > 1) {
        reader
            .unmodelled(&secondary, "a second copy of the parameters in each node is not counted");
    }
    reader.unmodelled_if_on(&[
        (
            &format!("{table}.overlap_comm"),
            "overlap is counted as in the runs of the framework that were measured",
        ),
        (&format!("{table}.zero_quantized_weights"), "quantised communication is not counted"),
        (&format!("{table}.zero_quantized_gradients"), "quantised communication is not counted"),
    ]);
    // sizes of buffers and the overlap of communication
    reader.ignore_table(table);
    Ok(())
}
