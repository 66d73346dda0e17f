//! LLaMA-Factory's YAML or JSON: the Trainer's arguments with its own. It trains LoRA and recomputes activations unless told
//! otherwise.

use wattlaw::base::error::Result;

use super::reader::Reader;
use super::trainer;

/// Reads a file.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<()> {
    if let Some(model) = reader.text("model_name_or_path")? {
        reader.state("model", model, "model_name_or_path");
    }
    reader.wholes(&[("cutoff_len", "seq_len")])?;
    trainer::arguments(reader)?;
    if reader.flag("pure_bf16")? == Some(true) {
        reader.state("precision", "bf16", "pure_bf16");
        reader.state("state_precision", "bf16", "pure_bf16");
    }
    if reader.flag("fp8")? == Some(true) {
        reader.state("precision", "fp8", "fp8");
    }
    adapters(reader)?;
    let plain = "disable_gradient_checkpointing";
    if let Some(off) = reader.flag(plain)? {
        reader.state("checkpointing", if off { "none" } else { "full" }, plain);
    }
    match reader.text("flash_attn")?.as_deref() {
        Some("disabled" | "eager") => reader.state("attention", "eager", "flash_attn"),
        Some("fa2" | "fa3" | "sdpa") => reader.state("attention", "flash", "flash_attn"),
        _ => {}
    }
    if reader.flag("packing")? == Some(true) {
        reader.unmodelled("packing", trainer::PACKING);
    }
    // of DPO's losses these two have no reference model
    let loss = reader.text("pref_loss")?;
    let has_reference = !matches!(loss.as_deref(), Some("orpo" | "simpo"));
    match reader.text("stage")?.as_deref() {
        None | Some("sft" | "pt") => {}
        Some("dpo") if has_reference => reader.state("objective", "dpo", "stage"),
        Some(_) => {
            reader.unmodelled("stage", "this stage is counted as plain training of the one model");
        }
    }
    for key in ["use_galore", "use_apollo", "use_badam", "use_adam_mini"] {
        let reason =
            "this optimizer is not modelled: adamw is counted unless --optimizer says another";
        reader.unmodelled_if_on(&[(key, reason)]);
    }
    if reader.flag("use_muon")? == Some(true) {
        reader.state("optimizer", "muon", "use_muon");
    }
    if reader.flag("use_megatron_bridge")? == Some(true) {
        reader.state("framework", "megatron", "use_megatron_bridge");
        for (key, column) in [
            ("tensor_model_parallel_size", "tp"),
            ("pipeline_model_parallel_size", "pp"),
            ("context_parallel_size", "cp"),
            ("expert_model_parallel_size", "ep"),
        ] {
            reader.wholes(&[(key, column)])?;
        }
    }
    reader.unmodelled_if_on(&[
        ("enable_liger_kernel", "fused kernels are counted as the framework's own"),
        ("use_unsloth", "unsloth's kernels are counted as the framework's own"),
        ("shift_attn", "shifted sparse attention is counted as dense"),
        ("mixture_of_depths", "mixture of depths is not modelled"),
        ("use_llama_pro", "expanded blocks are not modelled"),
        ("freeze_vision_tower", "only the language model is counted"),
        ("ref_model", "a reference model's forward pass is not counted"),
        ("max_samples", "it is the most of each data set; --examples says how many there are"),
        ("streaming", "the size of streamed data is unknown; --tokens says it"),
    ]);
    reader.ignore(&[
        "lora_alpha",
        "lora_dropout",
        "do_train",
        "lora_rank",
        "lora_target",
        "neat_packing",
        "ddp_find_unused_parameters",
    ]);
    // defaults of LLaMA-Factory where they are not the Trainer's
    reader.default("seq_len", 2048, "cutoff_len");
    reader.default("checkpointing", "full", "disable_gradient_checkpointing");
    Ok(())
}

fn adapters(reader: &mut Reader<'_>) -> Result<()> {
    let kind_key = "finetuning_type";
    let kind = reader.text(kind_key)?;
    match kind.as_deref() {
        None | Some("lora") => {
            let rank = reader.whole("lora_rank")?;
            match rank {
                Some(rank) => reader.lora(rank, "lora_rank", "lora_target")?,
                None => {
                    reader.default("lora_rank", 8, "lora_rank");
                    let names = reader.words("lora_target")?;
                    if !names.is_empty() {
                        reader.lora(8, kind_key, "lora_target")?;
                    }
                }
            }
            if !reader.states("lora_targets") {
                reader.default("lora_targets", "q k v o gate up down", "lora_target");
            }
            reader.dora("use_dora")?;
            reader.unmodelled_if_on(&[
                ("additional_target", "these modules are counted as frozen"),
                ("create_new_adapter", "a merged adapter is not counted"),
            ]);
        }
        Some("full") => {}
        Some(_) => reader.unmodelled(kind_key, "frozen parameters are counted as trained"),
    }
    let bits = "quantization_bit";
    match reader.whole(bits)? {
        None => {}
        Some(4) => reader.state("quantization", "nf4", bits),
        Some(8) => reader.state("quantization", "int8", bits),
        Some(_) => reader.unmodelled(bits, "a base of these bits is counted in 16 bits"),
    }
    reader.ignore(&["quantization_method", "double_quantization", "quantization_type"]);
    Ok(())
}
