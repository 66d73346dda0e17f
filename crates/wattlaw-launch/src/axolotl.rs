//! Axolotl's YAML. Keys: Axolotl 067b021c8 `utils/schemas/`.

use wattlaw::base::error::Result;
use wattlaw::job::Job;
use wattlaw::job::parallelism::DataParallel;
use wattlaw::job::workload::{
    Checkpointing, Offload, Precision, Quantization, StatePrecision, TrainingObjective,
};

use crate::accelerate::copies_and_shards;
use crate::hugging_face::{kernel, modules, optimizer};
use crate::script::Training;
use crate::{LaunchFile, Launcher, quoted, whole_steps};

/// The files, and the command that trains.
pub(crate) fn files(job: &Job) -> Result<(Vec<LaunchFile>, Training)> {
    let file = LaunchFile::text("axolotl.yaml", text(job)?).with_placeholders(&[
        "base_model: the path, or the name on the Hugging Face Hub, of the model's weights",
        "datasets: the path and the type of the data",
        "learning_rate: the rate of the training",
    ]);
    Ok((vec![file], Training::by_torchrun("-m axolotl.cli.train axolotl.yaml")))
}

fn text(job: &Job) -> Result<String> {
    let (work, split) = (&job.workload, &job.parallelism);
    let data = match work.objective {
        TrainingObjective::Likelihood => "completion",
        TrainingObjective::Dpo => "chat_template.default",
    };
    let mut text = format!(
        "# written by wattlaw\n# yours to set: the path of the weights, the data and the rate\nbase_model: {}\ndatasets:\n  \
         - path: DATA_PATH\n    type: {}\nlearning_rate: 0.0002\noutput_dir: output\nsequence_len: {}\n\
         micro_batch_size: {}\ngradient_accumulation_steps: {}\nmax_steps: {}\noptimizer: {}\nattn_implementation: {}\n",
        quoted(&job.architecture.name),
        data,
        work.seq_len,
        work.micro_batch,
        work.grad_accum,
        whole_steps(job),
        optimizer(work.optimizer),
        kernel(work.attention),
    );
    text += match (work.precision, work.state_precision) {
        (Precision::Fp8, StatePrecision::Fp32) => "bf16: true\nfp8: true\n",
        (Precision::Fp8, StatePrecision::Bf16) => "bfloat16: true\nfp8: true\n",
        (_, StatePrecision::Bf16) => "bfloat16: true\n",
        (Precision::Bf16, StatePrecision::Fp32) => "bf16: true\n",
        (Precision::Fp16, StatePrecision::Fp32) => "fp16: true\n",
        (Precision::Tf32, StatePrecision::Fp32) => "bf16: false\ntf32: true\n",
        (Precision::Fp32, StatePrecision::Fp32) => "bf16: false\ntf32: false\n",
    };
    text += match work.objective {
        TrainingObjective::Likelihood => "",
        TrainingObjective::Dpo => "rl: dpo\n",
    };
    let full = work.checkpointing == Checkpointing::Full;
    let (copies, shards) = copies_and_shards(job);
    match split.data {
        DataParallel::Zero2 | DataParallel::Fsdp | DataParallel::Hsdp => {
            text += &format!(
                "fsdp_version: 2\nfsdp_config:\n  auto_wrap_policy: TRANSFORMER_BASED_WRAP\n  reshard_after_forward: {}\n  \
                 activation_checkpointing: {full}\n  offload_params: {}\n  state_dict_type: FULL_STATE_DICT\n",
                split.data != DataParallel::Zero2,
                work.offload == Offload::Parameters,
            );
            text += &format!("dp_shard_size: {shards}\n");
        }
        DataParallel::Single | DataParallel::Ddp | DataParallel::Zero1 => {
            text += &format!("gradient_checkpointing: {full}\n");
        }
    }
    if copies > 1 {
        text += &format!("dp_replicate_size: {copies}\n");
    }
    if split.tp > 1 {
        text += &format!("tensor_parallel_size: {}\n", split.tp);
    }
    if split.cp > 1 {
        text += &format!("context_parallel_size: {}\nring_attn_func: batch_ring\n", split.cp);
    }
    if let Some(lora) = &work.lora {
        let modules = modules(job, Launcher::Axolotl)?;
        let (adapter, loaded) = match work.quantization {
            Quantization::Nf4 => ("qlora", "load_in_4bit: true\n"),
            Quantization::Int8 => ("lora", "load_in_8bit: true\n"),
            Quantization::None | Quantization::Gptq | Quantization::Fp8 => ("lora", ""),
        };
        text += &format!(
            "adapter: {adapter}\n{loaded}lora_r: {0}\nlora_alpha: {0}\nlora_target_modules: [{modules}]\n",
            lora.rank
        );
        text += if work.dora { "peft_use_dora: true\n" } else { "" };
    }
    Ok(text)
}
