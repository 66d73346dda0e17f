//! nanotron's YAML.

use wattlaw::base::error::Result;

use super::reader::Reader;

/// Reads a file.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<()> {
    reader.state("framework", "nanotron", "tokens.train_steps");
    model(reader)?;
    reader.wholes(&[
        ("tokens.sequence_length", "seq_len"),
        ("tokens.micro_batch_size", "micro_batch"),
        ("tokens.batch_accumulation_per_replica", "grad_accum"),
        ("tokens.train_steps", "steps"),
        ("parallelism.dp", "dp"),
        ("parallelism.tp", "tp"),
        ("parallelism.pp", "pp"),
    ])?;
    let dtype = "model.dtype";
    match reader.text(dtype)?.as_deref() {
        None => {}
        Some("bfloat16") => reader.state("precision", "bf16", dtype),
        Some("float16") => reader.state("precision", "fp16", dtype),
        Some("float32") => reader.state("precision", "fp32", dtype),
        Some(_) => return Err(reader.wrong_key(dtype, "it must be bfloat16, float16 or float32")),
    }
    let kept = "optimizer.accumulate_grad_in_fp32";
    if reader.flag(kept)? == Some(false) {
        reader.state("state_precision", "bf16", kept);
    }
    let stage = "optimizer.zero_stage";
    match reader.whole(stage)? {
        None => {}
        Some(0) => reader.state("strategy", "ddp", stage),
        Some(1) => reader.state("strategy", "zero1", stage),
        Some(_) => return Err(reader.wrong_key(stage, "nanotron has stages 0 and 1")),
    }
    reader.optimizer("optimizer.optimizer_factory.name")?;
    parallelism(reader)?;
    for table in [
        "checkpoints",
        "data_stages",
        "general",
        "logging",
        "lighteval",
        "profiler",
        "optimizer",
        "tokenizer",
        "s3_upload",
        "model.init_method",
        "metrics_logging",
    ] {
        reader.ignore_table(table);
    }
    reader.ignore(&[
        "data_stages",
        "model.ddp_bucket_cap_mb",
        "tokens.limit_test_batches",
        "tokens.limit_val_batches",
    ]);
    reader.default("strategy", "ddp", stage);
    reader.default("checkpointing", "none", "parallelism.recompute_layer");
    Ok(())
}

fn model(reader: &mut Reader<'_>) -> Result<()> {
    let key = |name: &str| format!("model.model_config.{name}");
    reader.wholes(&[
        (&key("num_hidden_layers"), "layers"),
        (&key("hidden_size"), "hidden_size"),
        (&key("intermediate_size"), "ffn_size"),
        (&key("num_attention_heads"), "heads"),
        (&key("num_key_value_heads"), "kv_heads"),
        (&key("head_dim"), "head_dim"),
        (&key("vocab_size"), "vocab_size"),
        (&key("sliding_window_size"), "window"),
    ])?;
    let multiple = "model.make_vocab_size_divisible_by";
    if let Some(rows) = reader.whole(multiple)? {
        let tp = reader.whole("parallelism.tp")?.unwrap_or(1);
        reader.state("vocab_multiple", rows.saturating_mul(tp), multiple);
    }
    let tied = key("tie_word_embeddings");
    if let Some(on) = reader.flag(&tied)? {
        reader.state("tied_embeddings", on, &tied);
    }
    let kinds = ["llama", "qwen2", "starcoder2"];
    let sign = kinds.into_iter().find(|kind| reader.has(&key(&format!("is_{kind}_config"))));
    match sign {
        Some(kind) => reader.state("family", kind, &key(&format!("is_{kind}_config"))),
        None => reader.state("family", "llama", &key("num_hidden_layers")),
    }
    let experts = key("moe_config.num_experts");
    if let Some(count) = reader.whole(&experts)? {
        reader.state("family", "mixtral", &experts);
        reader.state("experts", count, &experts);
        reader.wholes(&[(&key("moe_config.top_k"), "top_k")])?;
    }
    reader.ignore_table("model.model_config");
    Ok(())
}

fn parallelism(reader: &mut Reader<'_>) -> Result<()> {
    let mode = "parallelism.tp_mode";
    match reader.text(mode)?.map(|name| name.to_lowercase()).as_deref() {
        None => {}
        Some("reduce_scatter") => reader.state("sequence_parallel", true, mode),
        Some("all_reduce") => reader.state("sequence_parallel", false, mode),
        Some(_) => return Err(reader.wrong_key(mode, "it must be ALL_REDUCE or REDUCE_SCATTER")),
    }
    let engine = "parallelism.pp_engine";
    match reader.text(engine)?.map(|name| name.to_lowercase()).as_deref() {
        None => {}
        Some("1f1b") => reader.state("schedule", "1f1b", engine),
        Some(_) => reader.unmodelled(engine, "this schedule is counted as 1f1b"),
    }
    let repeat = "parallelism.recompute_layer";
    if let Some(on) = reader.flag(repeat)? {
        reader.state("checkpointing", if on { "full" } else { "none" }, repeat);
    }
    reader.degrees(&[("parallelism.context_parallel_size", "cp")])?;
    // beside its data-parallel ranks, not among them (`ParallelContext`)
    reader.unmodelled_degree(
        "parallelism.expert_parallel_size",
        "experts are counted as held by every rank, without an all-to-all",
    )?;
    reader.ignore(&[
        "parallelism.tp_linear_async_communication",
        "parallelism.tp_recompute_allgather",
    ]);
    Ok(())
}
