//! FSDP as accelerate, the Trainer and Axolotl describe it, and accelerate's degrees of parallelism.

use wattlaw::base::error::Result;

use super::reader::Reader;

/// Reads a table of FSDP, whose keys may begin with `fsdp_`. `asked` is the key that turns it on.
pub(super) fn read(reader: &mut Reader<'_>, table: &str, asked: &str) -> Result<()> {
    reader.state("strategy", "fsdp", asked);
    for prefix in ["", "fsdp_"] {
        let key = |name: &str| format!("{table}.{prefix}{name}");
        let strategy = key("sharding_strategy");
        if let Some(name) = reader.text(&strategy)? {
            sharding(reader, &name, &strategy)?;
        }
        let reshard = key("reshard_after_forward");
        if let Some(name) = reader.text(&reshard)? {
            match name.to_lowercase().as_str() {
                "true" => {}
                "false" => reader.state("strategy", "zero2", &reshard),
                _ => sharding(reader, &name, &reshard)?,
            }
        }
        for name in ["offload_params", "cpu_offload"] {
            reader.offloads_shards(&key(name))?;
        }
        let checkpointing = key("activation_checkpointing");
        if reader.flag(&checkpointing)? == Some(true) {
            reader.state("checkpointing", "full", &checkpointing);
        }
    }
    // wrapping, prefetch and how states are loaded
    reader.ignore_table(table);
    Ok(())
}

/// States a strategy by FSDP's own name or number.
fn sharding(reader: &mut Reader<'_>, name: &str, key: &str) -> Result<()> {
    let strategy = match name.to_lowercase().as_str() {
        "full_shard" | "1" => "fsdp",
        "shard_grad_op" | "2" => "zero2",
        "no_shard" | "3" => "ddp",
        "hybrid_shard" | "4" | "hybrid_shard_zero2" | "5" => "hsdp",
        _ => {
            return Err(reader.wrong_key(
                key,
                "it must be FULL_SHARD, SHARD_GRAD_OP, NO_SHARD, HYBRID_SHARD or HYBRID_SHARD_ZERO2",
            ));
        }
    };
    reader.state("strategy", strategy, key);
    if ["hybrid_shard_zero2", "5"].contains(&name.to_lowercase().as_str()) {
        reader.unmodelled(key, "parameters are counted as gathered again for the backward pass");
    }
    Ok(())
}

/// Reads the options of the Trainer's and Axolotl's `fsdp`: true, words in a text, or a list.
pub(super) fn options(reader: &mut Reader<'_>, key: &str, table: &str) -> Result<()> {
    if reader.flag(key).ok().flatten() == Some(false) {
        return Ok(());
    }
    let is_flag = reader.flag(key).ok().flatten() == Some(true);
    let words = if is_flag { Vec::new() } else { reader.words(key)? };
    if words.is_empty() && !is_flag {
        // a table alone turns nothing on
        return Ok(());
    }
    read(reader, table, key)?;
    for word in words {
        match word.as_str() {
            "auto_wrap" => {}
            "offload" => reader.state("offload", "parameters", key),
            _ => sharding(reader, &word, key)?,
        }
    }
    Ok(())
}

/// Reads degrees of parallelism, whose keys are `prefix` + `dp_replicate_size` and so on.
pub(super) fn degrees(reader: &mut Reader<'_>, prefix: &str) -> Result<()> {
    let key = |name: &str| format!("{prefix}{name}_size");
    let (shard_key, copies_key) = (key("dp_shard"), key("dp_replicate"));
    let shards = reader.whole(&shard_key)?.unwrap_or(1);
    let copies = reader.whole(&copies_key)?.unwrap_or(1);
    match (shards > 1, copies > 1) {
        (true, true) => {
            reader.state("strategy", "hsdp", &shard_key);
            reader.state("shard_group", shards, &shard_key);
            reader.state("dp", shards.saturating_mul(copies), &copies_key);
        }
        (true, false) => {
            if !reader.states("strategy") {
                reader.state("strategy", "fsdp", &shard_key);
            }
            reader.state("dp", shards, &shard_key);
        }
        (false, true) => {
            reader.state("strategy", "ddp", &copies_key);
            reader.state("dp", copies, &copies_key);
        }
        (false, false) => {}
    }
    reader.degrees(&[(&key("tp"), "tp"), (&key("cp"), "cp")])?;
    let exchange = format!("{prefix}cp_comm_strategy");
    if reader.states("cp") {
        reader.context_exchange(&exchange, ["allgather", "alltoall"])?;
    } else {
        reader.ignore(&[&exchange]);
    }
    if copies > 1 && shards > 1 {
        // context-parallel ranks share shards with those of their data-parallel group
        let cp = reader.whole(&key("cp"))?.unwrap_or(1).max(1);
        reader.state("shard_group", shards.saturating_mul(cp), &shard_key);
    }
    // of DeepSpeed-Ulysses
    reader.unmodelled_degree(&key("sp"), "a split of sequences among ranks is not modelled")
}
