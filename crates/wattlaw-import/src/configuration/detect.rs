//! Finds out the tool that a file is for, from its keys.

use super::Tool;
use super::entries::{Entry, Notation};

/// The tool of a file with these entries.
pub(super) fn tool(notation: Notation, entries: &[Entry]) -> Option<Tool> {
    let has = |key: &str| entries.iter().any(|entry| entry.key == key);
    let below = |table: &str| {
        let is_below =
            |key: &str| key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'));
        entries.iter().any(|entry| is_below(&entry.key))
    };
    match notation {
        Notation::Arguments if has("num-layers") || has("micro-batch-size") => {
            return Some(Tool::Megatron);
        }
        Notation::Toml => {
            let tables = ["parallelism", "optimizer", "activation_checkpoint", "model", "job"];
            let others = tables.iter().filter(|table| below(table)).count();
            // a job file of our own has the table `workload`
            return (below("training") && others >= 1 && !below("workload"))
                .then_some(Tool::Torchtitan);
        }
        Notation::Yaml | Notation::Json | Notation::Arguments => {}
    }
    if below("tokens") && (below("parallelism") || below("model.model_config")) {
        return Some(Tool::Nanotron);
    }
    if has("model._component_") {
        return Some(Tool::Torchtune);
    }
    let bridge = ["train.train_iters", "train.global_batch_size", "train.micro_batch_size"];
    if bridge.iter().any(|key| has(key)) {
        return Some(Tool::MegatronBridge);
    }
    let nemo = ["trainer.devices", "trainer.num_nodes", "trainer.precision"];
    if nemo.iter().any(|key| has(key)) && below("model") {
        return Some(Tool::Nemo);
    }
    if has("train_micro_batch_size_per_gpu")
        || below("zero_optimization")
        || has("zero_optimization")
    {
        return Some(Tool::Deepspeed);
    }
    let accelerate = ["compute_environment", "distributed_type", "main_training_function"];
    if accelerate.iter().any(|key| has(key)) {
        return Some(Tool::Accelerate);
    }
    if has("base_model") {
        return Some(Tool::Axolotl);
    }
    let factory = ["finetuning_type", "cutoff_len", "lora_target", "dataset_dir", "pure_bf16"];
    if factory.iter().any(|key| has(key)) || (has("stage") && has("template")) {
        return Some(Tool::LlamaFactory);
    }
    let trainer = [
        "per_device_train_batch_size",
        "num_train_epochs",
        "gradient_accumulation_steps",
        "output_dir",
        "fsdp_config",
        "per_device_eval_batch_size",
    ];
    if trainer.iter().filter(|key| has(key)).count() >= 2
        || has("per_device_train_batch_size")
        || (has("model_name_or_path") && (has("dataset_name") || has("learning_rate")))
    {
        return Some(Tool::Trainer);
    }
    None
}
