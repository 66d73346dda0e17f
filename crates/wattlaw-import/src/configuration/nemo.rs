//! NeMo's YAML with the tables `trainer` and `model`.

use wattlaw::base::error::Result;

use super::reader::Reader;
use super::{megatron, megatron_bridge, shape};

/// Reads a file.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<()> {
    reader.state("framework", "megatron", "trainer.devices");
    let (devices, nodes) = (reader.number("trainer.devices")?, reader.whole("trainer.num_nodes")?);
    // -1 takes the devices of the machine
    if let Some(devices) = devices.filter(|devices| *devices >= 1.0) {
        reader.state("gpus_per_node", devices, "trainer.devices");
        let nodes = nodes.unwrap_or(1);
        reader.state("gpus", devices * nodes as f64, "trainer.devices");
    }
    shape::read(reader, model)?;
    reader.wholes(&[
        ("model.encoder_seq_length", "seq_len"),
        ("model.data.seq_length", "seq_len"),
        ("model.seq_length", "seq_len"),
    ])?;
    megatron::sizes(reader, model)?;
    if let Some(steps) = reader.number("trainer.max_steps")?.filter(|steps| *steps > 0.0) {
        reader.state("steps", steps, "trainer.max_steps");
    } else if let Some(epochs) = reader.number("trainer.max_epochs")?.filter(|n| *n > 0.0) {
        reader.state("epochs", epochs, "trainer.max_epochs");
    }
    megatron_bridge::precision(reader, "trainer.precision")?;
    if reader.flag("model.fp8")? == Some(true) {
        reader.state("precision", "fp8", "model.fp8");
    }
    megatron::parallelism(reader, model)?;
    let granularity = "model.activations_checkpoint_granularity";
    match reader.text(granularity)?.as_deref() {
        None => {}
        Some(name @ ("selective" | "full")) => reader.state("checkpointing", name, granularity),
        Some(_) => return Err(reader.wrong_key(granularity, "it must be selective or full")),
    }
    if reader.text("model.activations_checkpoint_method")?.as_deref() == Some("block") {
        let layers = "model.activations_checkpoint_num_layers";
        if reader.whole(layers)?.is_some() {
            reader.unmodelled(layers, "every layer is counted as computed again");
        }
    }
    let optimizer = "model.optim.name";
    if reader.text(optimizer)?.is_some_and(|name| {
        name.starts_with("distributed") || name.starts_with("mcore_distributed")
    }) {
        reader.state("strategy", "zero1", optimizer);
        reader.state("optimizer", "adamw", optimizer);
    } else {
        reader.optimizer(optimizer)?;
    }
    if reader.flag("model.use_flash_attention")? == Some(false) {
        reader.state("attention", "eager", "model.use_flash_attention");
    }
    adapters(reader)?;
    reader.unmodelled_if_on(&[
        ("model.ub_tp_comm_overlap", megatron::OVERLAP),
        ("model.cpu_offloading", "activations on the host are not counted"),
    ]);
    for table in [
        "exp_manager",
        "model.tokenizer",
        "model.data",
        "model.optim",
        "model.optim.sched",
        "run",
        "cluster",
        "model.nsys_profile",
        "trainer",
        "model.gradient_as_bucket_view",
    ] {
        reader.ignore_table(table);
    }
    reader.ignore(&[
        "name",
        "restore_from_path",
        "model.restore_from_path",
        "model.mcore_gpt",
        "model.transformer_engine",
        "model.megatron_amp_O2",
        "model.gradient_as_bucket_view",
        "model.overlap_p2p_comm",
        "model.batch_p2p_comm",
        "model.activations_checkpoint_num_layers",
        "model.use_cpu_initialization",
        "model.rotary_percentage",
        "model.attention_type",
        "model.bias_activation_fusion",
        "model.bias_dropout_add_fusion",
        "model.masked_softmax_fusion",
        "model.apply_query_key_layer_scaling",
        "model.layernorm_epsilon",
        "model.pre_process",
        "model.post_process",
        "model.persist_layer_norm",
        "model.onnx_safe",
        "model.sync_batch_comm",
        "model.gradient_accumulation_fusion",
        "model.grad_allreduce_chunk_size_mb",
        "model.grad_div_ar_fusion",
        "model.answer_only_loss",
        "model.apply_rope_fusion",
        "model.transformer_block_type",
        "model.headscale",
    ]);
    reader.default("strategy", "ddp", "model.optim.name");
    reader.default("checkpointing", "none", "activations_checkpoint_granularity");
    Ok(())
}

fn model(name: &str) -> String {
    format!("model.{name}")
}

fn adapters(reader: &mut Reader<'_>) -> Result<()> {
    let scheme = "model.peft.peft_scheme";
    if let Some(name) = reader.text(scheme)? {
        let rank = "model.peft.lora_tuning.adapter_dim";
        match (name.as_str(), reader.whole(rank)?) {
            ("lora", Some(dim)) => {
                let targets = "model.peft.lora_tuning.target_modules";
                reader.lora(dim, rank, targets)?;
                // its adapters are on the attention's input unless told otherwise
                reader.default("lora_targets", "q k v", targets);
            }
            ("null" | "none", _) => {}
            _ => reader.unmodelled(scheme, "this adapter is counted as full training"),
        }
    }
    reader.ignore_table("model.peft");
    Ok(())
}
