//! torchtitan's TOML, up to version 0.2; later versions are configured in Python.

use wattlaw::base::error::Result;

use super::reader::Reader;

/// Reads a file.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<()> {
    reader.state("framework", "fsdp2", "training.steps");
    model(reader)?;
    reader.wholes(&[("training.seq_len", "seq_len"), ("training.steps", "steps")])?;
    batch(reader)?;
    precision(reader)?;
    reader.optimizer("optimizer.name")?;
    parallelism(reader)?;
    checkpointing(reader)?;
    reader.offloads_shards("training.enable_cpu_offload")?;
    reader.unmodelled_if_on(&[
        ("optimizer.early_step_in_backward", "updates in the backward pass are counted after it"),
        (
            "parallelism.enable_async_tensor_parallel",
            "overlap is counted as in the runs that were measured",
        ),
        ("activation_checkpoint.early_stop", "what early stop leaves out is counted"),
    ]);
    for key in ["training.compile", "compile.enable"] {
        reader.unmodelled_if_on(&[(key, "compiled kernels are counted as the framework's own")]);
    }
    for table in [
        "job",
        "profiling",
        "metrics",
        "comm",
        "checkpoint",
        "lr_scheduler",
        "optimizer",
        "compile",
        "validation",
        "quantize",
        "float8",
        "experimental",
        "fault_tolerance",
        "debug",
    ] {
        reader.ignore_table(table);
    }
    reader.ignore(&[
        "model.hf_assets_path",
        "model.tokenizer_path",
        "model.norm_type",
        "model.print_after_conversion",
        "training.dataset",
        "training.max_norm",
        "training.gc_freq",
        "training.dataset_path",
        "training.deterministic",
        "parallelism.disable_loss_parallel",
    ]);
    reader.default("seq_len", 2048, "training.seq_len");
    reader.default("steps", 10_000, "training.steps");
    reader.default("optimizer", "adamw", "optimizer.name");
    reader.default("checkpointing", "selective", "activation_checkpoint.mode");
    reader.default("strategy", "fsdp", "parallelism.data_parallel_shard_degree");
    Ok(())
}

/// Names the model by torchtitan's name and flavor; its Llama 3 has the shape of Llama 3.1.
fn model(reader: &mut Reader<'_>) -> Result<()> {
    let flavor = reader.text("model.flavor")?;
    let Some(name) = reader.text("model.name")? else { return Ok(()) };
    let size = flavor.unwrap_or_default().to_lowercase();
    let name = match (name.as_str(), size.as_str()) {
        ("llama3", "8b" | "70b" | "405b") => format!("llama-3.1-{size}"),
        _ => format!("{name}-{size}").trim_end_matches('-').to_owned(),
    };
    reader.state("model", name, "model.name");
    Ok(())
}

/// A pipeline splits the sequences of a rank into micro-batches.
fn batch(reader: &mut Reader<'_>) -> Result<()> {
    let new = "training.local_batch_size";
    let local_key = if reader.has(new) { new } else { "training.batch_size" };
    let local = reader.whole(local_key)?;
    let global_key = "training.global_batch_size";
    // below zero it follows from the ranks
    if let Some(global) = reader.number(global_key)?.filter(|global| *global > 0.0) {
        reader.state("global_batch", global, global_key);
    }
    let stages = reader.whole("parallelism.pipeline_parallel_degree")?.unwrap_or(1);
    let micro_key = "parallelism.pipeline_parallel_microbatch_size";
    let micro = reader.whole(micro_key)?;
    if stages > 1 {
        let size = micro.unwrap_or(1);
        match micro {
            Some(micro) => reader.state("micro_batch", micro, micro_key),
            None => reader.default("micro_batch", 1, micro_key),
        }
        let sequences = local.unwrap_or(8);
        if size == 0 || !sequences.is_multiple_of(size) {
            return Err(reader.wrong_key(micro_key, "it must divide the local batch size"));
        }
        if !reader.states("global_batch") {
            match local {
                Some(_) => reader.state("grad_accum", sequences / size, local_key),
                None => reader.default("grad_accum", sequences / size, new),
            }
        }
    } else if let Some(local) = local {
        reader.state("micro_batch", local, local_key);
        reader.default("grad_accum", 1, global_key);
    } else {
        reader.default("micro_batch", 8, new);
        reader.default("grad_accum", 1, global_key);
    }
    Ok(())
}

fn precision(reader: &mut Reader<'_>) -> Result<()> {
    let (kept, mixed) = ("training.dtype", "training.mixed_precision_param");
    if reader.text(kept)?.as_deref() == Some("bfloat16") {
        reader.state("precision", "bf16", kept);
        reader.state("state_precision", "bf16", kept);
    }
    match reader.text(mixed)?.as_deref() {
        None => reader.default("precision", "bf16", mixed),
        Some("bfloat16") => reader.state("precision", "bf16", mixed),
        Some("float32") => reader.state("precision", "fp32", mixed),
        Some(_) => return Err(reader.wrong_key(mixed, "it must be bfloat16 or float32")),
    }
    reader.ignore(&["training.mixed_precision_reduce"]);
    let converters = "model.converters";
    let names = reader.words(converters)?;
    let names: Vec<&str> =
        names.iter().map(|name| name.trim_start_matches("quantize.linear.")).collect();
    if names.contains(&"float8") {
        reader.state("precision", "fp8", converters);
    }
    if names.iter().any(|name| *name != "float8") {
        reader.unmodelled(converters, "what other converters change is not counted");
    }
    let old = "float8.enable_float8_linear";
    if reader.flag(old)? == Some(true) {
        reader.state("precision", "fp8", old);
    }
    Ok(())
}

fn parallelism(reader: &mut Reader<'_>) -> Result<()> {
    let key = |name: &str| format!("parallelism.{name}");
    let (copies_key, shard_key) =
        (key("data_parallel_replicate_degree"), key("data_parallel_shard_degree"));
    let copies = reader.whole(&copies_key)?.unwrap_or(1);
    let shards = reader.number(&shard_key)?.unwrap_or(-1.0);
    // context-parallel ranks share shards too (`ParallelDims`, `fsdp_enabled`)
    let cp = reader.whole(&key("context_parallel_degree"))?.unwrap_or(1).max(1);
    // a degree of -1 takes the ranks that are left
    match (copies > 1, shards) {
        (true, 1.0) if cp > 1 => {
            reader.state("strategy", "hsdp", &copies_key);
            reader.state("shard_group", cp, &shard_key);
            reader.state("dp", copies, &copies_key);
        }
        (false, 1.0) if cp > 1 => {
            reader.state("strategy", "fsdp", &shard_key);
            reader.state("dp", 1, &shard_key);
        }
        (true, 1.0) => {
            reader.state("strategy", "ddp", &copies_key);
            reader.state("dp", copies, &copies_key);
        }
        (true, shards) => {
            reader.state("strategy", "hsdp", &copies_key);
            if shards > 1.0 {
                reader.state("shard_group", shards * cp as f64, &shard_key);
                reader.state("dp", shards * copies as f64, &copies_key);
            } else {
                reader.unmodelled(
                    &shard_key,
                    "a shard group is counted as the GPUs of a node unless --shard-group says it",
                );
            }
        }
        (false, shards) if shards > 1.0 => {
            reader.state("strategy", "fsdp", &shard_key);
            reader.state("dp", shards, &shard_key);
        }
        (false, 1.0) => reader.state("strategy", "ddp", &shard_key),
        (false, _) => {
            if reader.has(&shard_key) {
                reader.state("strategy", "fsdp", &shard_key);
            }
        }
    }
    let reshard = key("fsdp_reshard_after_forward");
    if reader.text(&reshard)?.as_deref() == Some("never") {
        reader.state("strategy", "zero2", &reshard);
    }
    let tensor = key("tensor_parallel_degree");
    reader.degrees(&[
        (&tensor, "tp"),
        (&key("pipeline_parallel_degree"), "pp"),
        (&key("context_parallel_degree"), "cp"),
        (&key("expert_parallel_degree"), "ep"),
    ])?;
    let exchange = key("context_parallel_rotate_method");
    if reader.states("cp") {
        reader.context_exchange(&exchange, ["allgather", "alltoall"])?;
    } else {
        reader.ignore(&[&exchange]);
    }
    if reader.states("tp") {
        // torchtitan's plans split the sequence between projections
        reader.state("sequence_parallel", true, &tensor);
    }
    let schedule = key("pipeline_parallel_schedule");
    match reader.text(&schedule)?.map(|name| name.to_lowercase()).as_deref() {
        None | Some("1f1b") => {}
        Some("interleaved1f1b") => reader.state("schedule", "interleaved", &schedule),
        Some(_) => reader.unmodelled(&schedule, "this schedule is counted as 1f1b"),
    }
    Ok(())
}

fn checkpointing(reader: &mut Reader<'_>) -> Result<()> {
    let mode = "activation_checkpoint.mode";
    match reader.text(mode)?.as_deref() {
        None => {}
        Some(name @ ("none" | "full")) => reader.state("checkpointing", name, mode),
        Some("selective") => {
            reader.state("checkpointing", "selective", mode);
            reader.unmodelled(
                mode,
                "of selective checkpointing the attention core alone is counted as computed again",
            );
        }
        Some("memory_budget") => {
            reader.unmodelled(mode, "what a memory budget keeps is not modelled")
        }
        Some(_) => {
            return Err(reader.wrong_key(mode, "it must be none, selective, full or memory_budget"));
        }
    }
    reader.ignore_table("activation_checkpoint");
    Ok(())
}
