//! accelerate's YAML, and the arguments of transformers and TRL beside it.
//!
//! Keys: accelerate 1.15.0 `commands/config/config_args.py`, transformers 5.24.0 `training_args.py`, TRL f2cd57710.

use wattlaw::base::error::Result;
use wattlaw::job::Job;
use wattlaw::job::parallelism::{ContextExchange, DataParallel};
use wattlaw::job::workload::{Checkpointing, Framework, Offload, Precision};

use crate::script::{Starter, TRAIN_SCRIPT, Training};
use crate::{LaunchFile, hugging_face, whole_steps};

/// The files, and the command that trains.
pub(crate) fn files(job: &Job) -> Result<(Vec<LaunchFile>, Training)> {
    let cluster = LaunchFile::text("accelerate.yaml", cluster(job));
    let arguments = LaunchFile::text("arguments.yaml", arguments(job)?);
    let training = Training {
        program: "\"$TRAIN_SCRIPT\" --config arguments.yaml".to_owned(),
        starter: Starter::Accelerate,
        variables: vec![TRAIN_SCRIPT],
        notes: vec![
            "TRAIN_SCRIPT reads arguments.yaml as TRL's programs do (--config); the model and the data are its own arguments".to_owned(),
        ],
    };
    Ok((vec![cluster, arguments], training))
}

/// Whether PyTorch's FSDP shards; it then checkpoints activations too.
fn is_fsdp(job: &Job) -> bool {
    let kind = job.parallelism.data;
    job.workload.framework.framework != Framework::Deepspeed
        && matches!(kind, DataParallel::Zero2 | DataParallel::Fsdp | DataParallel::Hsdp)
}

fn cluster(job: &Job) -> String {
    let (work, split, system) = (&job.workload, &job.parallelism, &job.system);
    let is_deepspeed = work.framework.framework == Framework::Deepspeed;
    let kind = match split.data {
        _ if is_deepspeed => "DEEPSPEED",
        _ if is_fsdp(job) => "FSDP",
        _ if system.gpus > 1 => "MULTI_GPU",
        _ => "NO",
    };
    let mixed = match work.precision {
        Precision::Fp32 | Precision::Tf32 => "'no'",
        Precision::Fp16 => "fp16",
        Precision::Bf16 => "bf16",
        Precision::Fp8 => "fp8",
    };
    let mut text = format!(
        "# written by wattlaw\ncompute_environment: LOCAL_MACHINE\ndistributed_type: {kind}\nnum_machines: {}\n\
         # GPUs of all machines\nnum_processes: {}\nmachine_rank: 0\nmixed_precision: {mixed}\nrdzv_backend: static\n\
         same_network: true\nmain_training_function: main\nuse_cpu: false\ndebug: false\n",
        system.nodes(),
        system.gpus,
    );
    if work.precision == Precision::Fp8 {
        text += "fp8_config:\n  backend: TE\n  fp8_format: HYBRID\n";
    }
    if is_deepspeed {
        text += &format!(
            "deepspeed_config:\n  zero_stage: {}\n  gradient_accumulation_steps: {}\n  offload_optimizer_device: {}\n  \
             offload_param_device: {}\n  zero3_init_flag: {}\n  deepspeed_multinode_launcher: standard\n",
            stage(split.data),
            work.grad_accum,
            device(work.offload != Offload::None),
            device(work.offload == Offload::Parameters),
            split.data == DataParallel::Fsdp,
        );
    }
    if is_fsdp(job) {
        text += &format!(
            "fsdp_config:\n  fsdp_version: 2\n  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP\n  fsdp_reshard_after_forward: {}\n  \
             fsdp_activation_checkpointing: {}\n  fsdp_offload_params: {}\n  fsdp_cpu_ram_efficient_loading: true\n  \
             fsdp_state_dict_type: SHARDED_STATE_DICT\n",
            split.data != DataParallel::Zero2,
            work.checkpointing == Checkpointing::Full,
            work.offload == Offload::Parameters,
        );
    }
    if split.tp > 1 || split.cp > 1 || split.data == DataParallel::Hsdp {
        let (copies, shards) = copies_and_shards(job);
        text += &format!(
            "parallelism_config:\n  parallelism_config_dp_replicate_size: {copies}\n  parallelism_config_dp_shard_size: {shards}\n  \
             parallelism_config_tp_size: {}\n",
            split.tp,
        );
    }
    if split.cp > 1 {
        let exchange = match split.context_exchange {
            ContextExchange::Ring => "alltoall",
            ContextExchange::AllGather => "allgather",
        };
        text += &format!(
            "  parallelism_config_cp_size: {}\n  parallelism_config_cp_comm_strategy: {exchange}\n",
            split.cp
        );
    }
    text
}

/// Where DeepSpeed keeps what may be on the host.
pub(crate) const fn device(is_on_host: bool) -> &'static str {
    if is_on_host { "cpu" } else { "none" }
}

/// ZeRO's stage.
pub(crate) const fn stage(kind: DataParallel) -> u64 {
    match kind {
        DataParallel::Single | DataParallel::Ddp => 0,
        DataParallel::Zero1 => 1,
        DataParallel::Zero2 => 2,
        DataParallel::Fsdp | DataParallel::Hsdp => 3,
    }
}

/// Copies of the model over the data-parallel ranks, and data-parallel ranks that share one; context-parallel ranks share it
/// too, and their degree multiplies with these.
pub(crate) fn copies_and_shards(job: &Job) -> (u64, u64) {
    let split = &job.parallelism;
    match split.data {
        DataParallel::Single | DataParallel::Ddp | DataParallel::Zero1 => (split.dp, 1),
        DataParallel::Zero2 | DataParallel::Fsdp => (1, split.dp),
        DataParallel::Hsdp => {
            let copies = split.replicas() / split.shard_group;
            (copies, split.dp / copies)
        }
    }
}

fn arguments(job: &Job) -> Result<String> {
    let work = &job.workload;
    let mut text = format!(
        "# written by wattlaw; of transformers' TrainingArguments\noutput_dir: output\nper_device_train_batch_size: {}\n\
         gradient_accumulation_steps: {}\nmax_steps: {}\noptim: {}\n",
        work.micro_batch,
        work.grad_accum,
        whole_steps(job),
        hugging_face::optimizer(work.optimizer),
    );
    text += match work.precision {
        Precision::Bf16 => "bf16: true\n",
        Precision::Fp16 => "fp16: true\n",
        Precision::Tf32 => "bf16: false\ntf32: true\n",
        Precision::Fp32 => "bf16: false\ntf32: false\n",
        // accelerate.yaml says it
        Precision::Fp8 => "",
    };
    if !is_fsdp(job) {
        let full = work.checkpointing == Checkpointing::Full;
        text += &format!("gradient_checkpointing: {full}\n");
    }
    text += &format!(
        "# of TRL's SFTConfig and ModelConfig\nmax_length: {}\nattn_implementation: {}\n",
        work.seq_len,
        hugging_face::kernel(work.attention),
    );
    if let Some(lora) = &work.lora {
        let modules = hugging_face::modules(job, crate::Launcher::Accelerate)?;
        text +=
            &format!("use_peft: true\nlora_r: {}\nlora_target_modules: [{modules}]\n", lora.rank);
        text += if work.dora { "use_dora: true\n" } else { "" };
    }
    Ok(text)
}
