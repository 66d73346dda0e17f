//! accelerate's YAML: `num_processes` is the number of GPUs of all machines.

use wattlaw::base::error::Result;

use super::reader::Reader;
use super::{deepspeed, fully_sharded};

/// Reads a file.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<()> {
    reader.state("framework", "accelerate", "distributed_type");
    reader.wholes(&[("num_processes", "gpus"), ("num_machines", "nodes")])?;
    let precision = "mixed_precision";
    match reader.text(precision)?.as_deref() {
        None => {}
        Some("no" | "false") => reader.default("precision", "fp32", precision),
        Some(name @ ("bf16" | "fp16" | "fp8")) => reader.state("precision", name, precision),
        Some(_) => return Err(reader.wrong_key(precision, "it must be no, fp16, bf16 or fp8")),
    }
    let kind = "distributed_type";
    match reader.text(kind)?.unwrap_or_default().to_uppercase().as_str() {
        "FSDP" => fully_sharded::read(reader, "fsdp_config", kind)?,
        "DEEPSPEED" => sharded_by_deepspeed(reader)?,
        "MEGATRON_LM" => {
            for (key, column) in [
                ("megatron_lm_config.megatron_lm_tp_degree", "tp"),
                ("megatron_lm_config.megatron_lm_pp_degree", "pp"),
            ] {
                reader.wholes(&[(key, column)])?;
            }
            reader.unmodelled(kind, "Megatron-LM below accelerate is counted as accelerate");
        }
        "" | "NO" | "MULTI_GPU" => reader.default("strategy", "ddp", kind),
        _ => {
            return Err(
                reader.wrong_key(kind, "it must be NO, MULTI_GPU, FSDP, DEEPSPEED or MEGATRON_LM")
            );
        }
    }
    fully_sharded::degrees(reader, "parallelism_config.parallelism_config_")?;
    for table in ["dynamo_config", "fp8_config", "mpirun_config"] {
        if reader.has_table(table) {
            reader.ignore_table(table);
        }
    }
    reader.unmodelled_if_on(&[("use_cpu", "the training is counted on GPUs")]);
    reader.ignore(&[
        "gpu_ids",
        "downcast_bf16",
        "dynamo_backend",
        "fsdp_config",
        "deepspeed_config",
        "parallelism_config",
    ]);
    reader.ignore_table("parallelism_config");
    Ok(())
}

/// Reads the table of DeepSpeed: ZeRO's stage, or the name of DeepSpeed's own file.
fn sharded_by_deepspeed(reader: &mut Reader<'_>) -> Result<()> {
    let key = |name: &str| format!("deepspeed_config.{name}");
    reader.state("framework", "deepspeed", "distributed_type");
    let file = key("deepspeed_config_file");
    if let Some(path) = reader.text(&file)? {
        reader.refers(&file, &path);
    }
    reader.wholes(&[(&key("gradient_accumulation_steps"), "grad_accum")])?;
    let stage = key("zero_stage");
    if let Some(number) = reader.whole(&stage)? {
        deepspeed::stage(reader, number, &stage)?;
    }
    deepspeed::offload(reader, &key("offload_optimizer_device"), &key("offload_param_device"))?;
    reader.ignore_table("deepspeed_config");
    Ok(())
}
