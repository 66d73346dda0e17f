//! Megatron-LM's arguments, in a shell script or a file of arguments, and the keys that Megatron-Bridge and NeMo share with them.

use wattlaw::base::error::Result;

use super::reader::Reader;
use super::{launcher, shape};

/// Reads a script: the arguments of `torchrun` and of Megatron-LM.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<()> {
    reader.state("framework", "megatron", "num-layers");
    launcher::read(reader)?;
    shape::read(reader, argument)?;
    reader.wholes(&[("seq-length", "seq_len")])?;
    sizes(reader, argument)?;
    for (key, precision) in [("bf16", "bf16"), ("fp16", "fp16")] {
        if reader.flag(key)? == Some(true) {
            reader.state("precision", precision, key);
        }
    }
    eight_bits(reader, argument)?;
    sharding(reader)?;
    parallelism(reader, argument)?;
    recomputation(reader, argument)?;
    if reader.flag("recompute-activations")? == Some(true) {
        reader.state("checkpointing", "selective", "recompute-activations");
    }
    reader.optimizer("optimizer")?;
    attention(reader, "attention-backend")?;
    if reader.flag("use-flash-attn")? == Some(true) {
        reader.state("attention", "flash", "use-flash-attn");
    }
    for key in [
        "overlap-grad-reduce",
        "overlap-param-gather",
        "tp-comm-overlap",
        "cross-entropy-loss-fusion",
        "moe-grouped-gemm",
        "moe-permute-fusion",
        "no-masked-softmax-fusion",
        "no-bias-gelu-fusion",
        "no-bias-swiglu-fusion",
        "no-rope-fusion",
        "no-gradient-accumulation-fusion",
        "no-async-tensor-model-parallel-allreduce",
        "no-overlap-p2p-communication",
        "delay-wgrad-compute",
    ] {
        reader.unmodelled_if_on(&[(key, OVERLAP)]);
    }
    reader.ignore(&[
        "use-mcore-models",
        "transformer-impl",
        "tokenizer-type",
        "distributed-backend",
        "rotary-base",
        "rotary-percent",
        "accumulate-allreduce-grads-in-fp32",
        "no-create-attention-mask-in-dataloader",
        "use-checkpoint-args",
        "exit-on-missing-checkpoint",
        "apply-layernorm-1p",
        "norm-epsilon",
        "loss-scale",
        "initial-loss-scale",
        "override-opt_param-scheduler",
        "dataloader-type",
        "no-load-optim",
        "no-load-rng",
        "finetune",
        "exit-interval",
        "exit-duration-in-mins",
        "distributed-timeout-minutes",
        "moe-router-load-balancing-type",
        "moe-aux-loss-coeff",
        "moe-token-dispatcher-type",
        "num-dataset-builder-threads",
        "manual-gc",
        "attention-softmax-in-fp32",
        "decoder-num-layers",
        "mock-data",
        "no-mmap-bin-files",
        "use-legacy-models",
        "adam-eps",
    ]);
    reader.default("precision", "fp32", "bf16");
    reader.default("optimizer", "adamw", "optimizer");
    Ok(())
}

/// Overlap and fusion, which the calibration's runs of the framework have.
pub(super) const OVERLAP: &str =
    "overlap and fusion are counted as in the runs of the framework that were measured";

/// An argument's name for the key of a configuration.
fn argument(name: &str) -> String {
    name.replace('_', "-")
}

/// States sizes of the batch and the amount of training.
pub(super) fn sizes(reader: &mut Reader<'_>, key: fn(&str) -> String) -> Result<()> {
    reader.wholes(&[
        (&key("micro_batch_size"), "micro_batch"),
        (&key("global_batch_size"), "global_batch"),
        (&key("train_iters"), "steps"),
    ])?;
    let samples = key("train_samples");
    if let Some(count) = reader.whole(&samples)?.filter(|count| *count > 0) {
        reader.state("epochs", 1, &samples);
        reader.state("examples", count, &samples);
    }
    let ramp = key("rampup_batch_size");
    reader.unmodelled_if_on(&[(&ramp, "a growing batch is counted as the full one")]);
    reader.default("grad_accum", 1, "global_batch_size");
    Ok(())
}

/// States 8-bit products.
pub(super) fn eight_bits(reader: &mut Reader<'_>, key: fn(&str) -> String) -> Result<()> {
    for name in ["fp8_format", "fp8"] {
        let of = key(name);
        if reader.text(&of)?.is_some_and(|format| {
            !["no", "none", "false", "null"].contains(&format.to_lowercase().as_str())
        }) {
            reader.state("precision", "fp8", &of);
        }
    }
    for name in ["fp8_recipe", "fp8_param_gather", "fp8_param", "first_last_layers_bf16"] {
        reader.unmodelled_if_on(&[(
            &key(name),
            "every linear layer is counted in fp8 by one recipe",
        )]);
    }
    reader.ignore(&[
        &key("fp8_amax_history_len"),
        &key("fp8_amax_compute_algo"),
        &key("fp8_margin"),
        &key("fp8_interval"),
    ]);
    Ok(())
}

fn sharding(reader: &mut Reader<'_>) -> Result<()> {
    if reader.flag("use-distributed-optimizer")? == Some(true) {
        reader.state("strategy", "zero1", "use-distributed-optimizer");
    }
    if reader.flag("use-torch-fsdp2")? == Some(true) {
        reader.state("strategy", "fsdp", "use-torch-fsdp2");
    }
    let kind = "data-parallel-sharding-strategy";
    let sharded = reader.text(kind)?;
    if reader.flag("use-megatron-fsdp")? == Some(true) {
        let strategy = match sharded.as_deref() {
            None | Some("optim_grads_params") => "fsdp",
            Some("optim_grads") => "zero2",
            Some("optim") => "zero1",
            Some("no_shard") => "ddp",
            Some(_) => {
                let expected = "it must be no_shard, optim, optim_grads or optim_grads_params";
                return Err(reader.wrong_key(kind, expected));
            }
        };
        reader.state(
            "strategy",
            strategy,
            if sharded.is_some() { kind } else { "use-megatron-fsdp" },
        );
    }
    offload(reader, "optimizer-cpu-offload", "optimizer-offload-fraction")?;
    reader.unmodelled_if_on(&[
        ("cpu-offloading-num-layers", "activations on the host are not counted"),
        (
            "grad-reduce-in-bf16",
            "gradients are counted as reduced in the framework's own precision",
        ),
        ("use-precision-aware-optimizer", "states of the optimizer are counted in 32 bits"),
    ]);
    reader.default("strategy", "ddp", "use-distributed-optimizer");
    Ok(())
}

/// States that the optimizer's states are on the host, by the keys that say so and how many.
pub(super) fn offload(reader: &mut Reader<'_>, key: &str, share: &str) -> Result<()> {
    if reader.flag(key)? == Some(true) {
        reader.state("offload", "optimizer", key);
        if reader.number(share)?.is_some_and(|of| of < 1.0) {
            reader.unmodelled(share, "all states of the optimizer are counted on the host");
        }
    } else {
        reader.ignore(&[share]);
    }
    Ok(())
}

/// States the degrees of parallelism and the pipeline's schedule.
pub(super) fn parallelism(reader: &mut Reader<'_>, key: fn(&str) -> String) -> Result<()> {
    let stages = key("pipeline_model_parallel_size");
    reader.wholes(&[(&key("tensor_model_parallel_size"), "tp"), (&stages, "pp")])?;
    reader.degrees(&[(&key("context_parallel_size"), "cp")])?;
    let exchange = key("cp_comm_type");
    if reader.states("cp") {
        reader.context_exchange(&exchange, ["all_gather", "p2p"])?;
    } else {
        reader.ignore(&[&exchange]);
    }
    let sequence = key("sequence_parallel");
    if let Some(on) = reader.flag(&sequence)? {
        reader.state("sequence_parallel", on, &sequence);
    }
    let pp = reader.whole(&stages)?.unwrap_or(1).max(1);
    let layers = reader.whole(&key("num_layers"))?;
    let each = key("num_layers_per_virtual_pipeline_stage");
    let chunks = key("virtual_pipeline_model_parallel_size");
    if let (Some(each_layers), Some(layers)) = (reader.whole(&each)?, layers) {
        let stage = layers / pp;
        if each_layers == 0 || !stage.is_multiple_of(each_layers) {
            return Err(reader.wrong_key(&each, "it must divide the layers of a stage"));
        }
        reader.state("schedule", "interleaved", &each);
        reader.state("virtual_stages", stage / each_layers, &each);
    } else if let Some(count) = reader.whole(&chunks)?.filter(|count| *count > 1) {
        reader.state("schedule", "interleaved", &chunks);
        reader.state("virtual_stages", count, &chunks);
    }
    reader.degrees(&[(&key("expert_model_parallel_size"), "ep")])?;
    reader.unmodelled_degree(
        &key("expert_tensor_parallel_size"),
        "experts are counted as split like the other layers",
    )?;
    reader.unmodelled_if_on(&[(
        &key("decoder_first_pipeline_num_layers"),
        "stages are counted with equal numbers of layers",
    )]);
    Ok(())
}

/// States what is computed again.
pub(super) fn recomputation(reader: &mut Reader<'_>, key: fn(&str) -> String) -> Result<()> {
    let granularity = key("recompute_granularity");
    match reader.text(&granularity)?.as_deref() {
        None => {}
        Some(name @ ("selective" | "full")) => reader.state("checkpointing", name, &granularity),
        Some(_) => return Err(reader.wrong_key(&granularity, "it must be selective or full")),
    }
    let (method, count) = (key("recompute_method"), key("recompute_num_layers"));
    if reader.text(&method)?.as_deref() == Some("block") && reader.whole(&count)?.is_some() {
        reader.unmodelled(&count, "every layer is counted as computed again");
    } else if reader.whole(&count)?.is_some_and(|layers| layers > 1) {
        reader.unmodelled(&count, "the input of every layer is counted as kept");
    }
    let modules = key("recompute_modules");
    if reader.words(&modules)?.iter().any(|module| module != "core_attn") {
        reader.unmodelled(&modules, "the attention core alone is counted as computed again");
    }
    reader.unmodelled_if_on(&[(
        &key("distribute_saved_activations"),
        "a split of kept activations among tensor-parallel ranks is not counted",
    )]);
    reader.default("checkpointing", "none", "recompute_granularity");
    Ok(())
}

/// States the kernel of attention by Megatron-LM's backend.
pub(super) fn attention(reader: &mut Reader<'_>, key: &str) -> Result<()> {
    match reader.text(key)?.as_deref() {
        None => {}
        Some("unfused" | "local" | "AttnBackend.unfused") => {
            reader.state("attention", "eager", key)
        }
        Some(_) => reader.state("attention", "flash", key),
    }
    Ok(())
}
