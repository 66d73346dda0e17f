//! DeepSpeed's JSON. Keys: DeepSpeed 0.19.8 `runtime/config.py`.

use serde_json::json;

use wattlaw::base::error::{Error, Result};
use wattlaw::job::Job;
use wattlaw::job::workload::{Offload, Optimizer, Precision};

use crate::accelerate::stage;
use crate::script::{TRAIN_SCRIPT, Training};
use crate::{LaunchFile, whole_steps};

/// The files, and the command that trains.
pub(crate) fn files(job: &Job) -> Result<(Vec<LaunchFile>, Training)> {
    let (work, split) = (&job.workload, &job.parallelism);
    let optimizer = match work.optimizer {
        Optimizer::AdamW | Optimizer::PagedAdamW => "AdamW",
        Optimizer::Sgd => "SGD",
        Optimizer::Adafactor => "Adafactor",
        Optimizer::Adam8bit | Optimizer::PagedAdam8bit => "Adam8bit",
        Optimizer::Lion => "Lion",
        Optimizer::Lamb => "Lamb",
        Optimizer::Muon => "Muon",
    };
    let mut config = json!({
        "train_micro_batch_size_per_gpu": work.micro_batch,
        "gradient_accumulation_steps": work.grad_accum,
        "train_batch_size": job.global_batch(),
        "optimizer": { "type": optimizer, "params": {} },
        "bf16": { "enabled": work.precision == Precision::Bf16 },
        "fp16": { "enabled": work.precision == Precision::Fp16 },
        "zero_optimization": { "stage": stage(split.data) },
    });
    if work.offload != Offload::None {
        config["zero_optimization"]["offload_optimizer"] = json!({ "device": "cpu" });
    }
    if work.offload == Offload::Parameters {
        config["zero_optimization"]["offload_param"] = json!({ "device": "cpu" });
    }
    if split.tp > 1 {
        config["tensor_parallel"] = json!({ "autotp_size": split.tp });
    }
    let text = serde_json::to_string_pretty(&config)
        .map_err(|e| Error::Syntax { format: "JSON", message: e.to_string() })?;
    let file = LaunchFile::text("deepspeed.json", text + "\n").with_placeholders(&[
        "optimizer.params: the rate of the training, DeepSpeed's own until then",
    ]);
    let training = Training {
        variables: vec![TRAIN_SCRIPT],
        notes: vec![format!(
            "TRAIN_SCRIPT has arguments of its own for the model, the data, sequences of {}, {} steps, activation checkpointing ({}) and attention ({})",
            work.seq_len,
            whole_steps(job),
            work.checkpointing,
            work.attention,
        )],
        ..Training::by_torchrun("\"$TRAIN_SCRIPT\" --deepspeed --deepspeed_config deepspeed.json")
    };
    Ok((vec![file], training))
}
