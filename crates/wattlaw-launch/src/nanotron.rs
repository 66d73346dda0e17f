//! nanotron's YAML. Keys: nanotron 2411b022 `src/nanotron/config/`.

use wattlaw::base::error::Result;
use wattlaw::job::Job;
use wattlaw::job::model::ModelSpec;
use wattlaw::job::parallelism::DataParallel;
use wattlaw::job::workload::{Checkpointing, Optimizer, Precision, StatePrecision};

use crate::script::Training;
use crate::{LaunchFile, Launcher, support, whole_steps};

/// The files, and the command that trains.
pub(crate) fn files(job: &Job) -> Result<(Vec<LaunchFile>, Training)> {
    let file = LaunchFile::text("nanotron.yaml", text(job)?).with_placeholders(&[
        "data_stages: the data",
        "tokenizer.tokenizer_name_or_path: the tokenizer of the data",
        "optimizer.learning_rate_scheduler: the rates of the training",
    ]);
    let training = Training {
        variables: vec![("NANOTRON", "the folder of nanotron")],
        ..Training::by_torchrun("\"$NANOTRON/run_train.py\" --config-file nanotron.yaml")
    };
    Ok((vec![file], training))
}

fn text(job: &Job) -> Result<String> {
    let (a, work, split) = (&job.architecture, &job.workload, &job.parallelism);
    if !support::has_shape(job, described(job)) || a.head_dim * a.heads != a.hidden_size {
        let found = format!("{} ({})", a.name.replace(char::is_control, " "), a.model_type.name());
        let others = [Launcher::Accelerate, Launcher::DeepSpeed, Launcher::Megatron];
        return Err(support::refusal(Launcher::Nanotron, "model", &found, &others));
    }
    let dtype = match work.precision {
        Precision::Fp32 | Precision::Tf32 => "float32",
        Precision::Fp16 => "float16",
        Precision::Bf16 | Precision::Fp8 => "bfloat16",
    };
    let optimizer = match work.optimizer {
        Optimizer::Sgd => "    name: sgd\n",
        Optimizer::AdamW
        | Optimizer::PagedAdamW
        | Optimizer::Adafactor
        | Optimizer::Adam8bit
        | Optimizer::PagedAdam8bit
        | Optimizer::Lamb
        | Optimizer::Lion
        | Optimizer::Muon => {
            "    name: adamW\n    adam_beta1: 0.9\n    adam_beta2: 0.95\n    adam_eps: 1.0e-08\n    torch_adam_is_fused: true\n"
        }
    };
    let tp_mode = if split.sequence_parallel { "REDUCE_SCATTER" } else { "ALL_REDUCE" };
    let is_whole = work.state_precision == StatePrecision::Fp32;
    Ok(format!(
        "# written by wattlaw
checkpoints:
  checkpoint_interval: {steps}
  checkpoints_path: checkpoints
  checkpoints_path_is_shared_file_system: false
  save_initial_state: false
# yours to set: the data
data_stages:
- name: training
  start_training_step: 1
  data:
    dataset:
      hf_dataset_or_datasets: DATA_PATH
      hf_dataset_splits: train
      text_column_name: text
      dataset_processing_num_proc_per_process: 1
      dataset_overwrite_cache: false
    num_loading_workers: 1
    seed: 42
general:
  project: wattlaw
  run: training
  seed: 42
logging:
  iteration_step_info_interval: 1
  log_level: info
  log_level_replica: info
model:
  ddp_bucket_cap_mb: 25
  dtype: {dtype}
  init_method:
    std: 0.02
  make_vocab_size_divisible_by: {rows}
  model_config:
    is_llama_config: true
    hidden_act: silu
    hidden_size: {hidden}
    intermediate_size: {ffn}
    num_hidden_layers: {layers}
    num_attention_heads: {heads}
    num_key_value_heads: {kv_heads}
    max_position_embeddings: {positions}
    vocab_size: {vocab}
    tie_word_embeddings: {tied}
optimizer:
  accumulate_grad_in_fp32: {is_whole}
  clip_grad: 1.0
  # yours to set: the rates
  learning_rate_scheduler:
    learning_rate: 0.0003
    lr_warmup_steps: 1
    lr_warmup_style: linear
    lr_decay_style: cosine
    min_decay_lr: 0.00003
  optimizer_factory:
{optimizer}  weight_decay: 0.01
  zero_stage: {stage}
parallelism:
  dp: {dp}
  tp: {tp}
  pp: {pp}
  pp_engine: 1f1b
  context_parallel_size: {cp}
  expert_parallel_size: 1
  tp_linear_async_communication: {sequence}
  tp_mode: {tp_mode}
  recompute_layer: {recompute}
profiler: null
# yours to set: the tokenizer of the data
tokenizer:
  tokenizer_name_or_path: TOKENIZER
  tokenizer_revision: null
  tokenizer_max_length: null
tokens:
  sequence_length: {seq_len}
  micro_batch_size: {micro}
  batch_accumulation_per_replica: {accum}
  train_steps: {steps}
  val_check_interval: -1
  limit_test_batches: 0
  limit_val_batches: 0
",
        steps = whole_steps(job),
        rows = support::vocab_rows(job, Launcher::Nanotron)?,
        hidden = a.hidden_size,
        ffn = a.ffn_size,
        layers = a.layers,
        heads = a.heads,
        kv_heads = a.kv_heads,
        positions = a.max_positions.unwrap_or(work.seq_len),
        vocab = a.vocab_size,
        tied = a.tied_embeddings,
        stage = u64::from(split.data == DataParallel::Zero1),
        dp = split.dp,
        tp = split.tp,
        pp = split.pp,
        cp = split.cp,
        sequence = split.sequence_parallel,
        recompute = work.checkpointing == Checkpointing::Full,
        seq_len = work.seq_len,
        micro = work.micro_batch,
        accum = work.grad_accum,
    ))
}

/// The shape that the file describes: nanotron's Llama.
fn described(job: &Job) -> ModelSpec {
    let spec = job.architecture.spec();
    ModelSpec {
        family: Some("llama".to_owned()),
        layers: spec.layers,
        hidden_size: spec.hidden_size,
        heads: spec.heads,
        kv_heads: spec.kv_heads,
        ffn_size: spec.ffn_size,
        vocab_size: spec.vocab_size,
        max_positions: spec.max_positions,
        tied_embeddings: spec.tied_embeddings,
        ..ModelSpec::default()
    }
}
