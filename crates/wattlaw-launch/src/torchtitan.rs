//! torchtitan's TOML. Keys: torchtitan 0.2.2 `config/job_config.py`.

use wattlaw::base::error::Result;
use wattlaw::job::Job;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::model::ModelSpec;
use wattlaw::job::parallelism::{ContextExchange, DataParallel};
use wattlaw::job::workload::{Checkpointing, Offload, Precision, StatePrecision};

use crate::accelerate::copies_and_shards;
use crate::script::Training;
use crate::{LaunchFile, Launcher, support, whole_steps};

/// The catalogue's names of the models that torchtitan has, with its flavors of `llama3`.
const FLAVORS: [(&str, &str); 3] =
    [("llama-3.1-8b", "8B"), ("llama-3.1-70b", "70B"), ("llama-3.1-405b", "405B")];

/// The files, and the command that trains.
pub(crate) fn files(job: &Job) -> Result<(Vec<LaunchFile>, Training)> {
    let file = LaunchFile::text("torchtitan.toml", text(job)?).with_placeholders(&[
        "model.hf_assets_path: the folder of the model's tokenizer",
        "training.dataset: the data",
        "optimizer.lr: the rate of the training",
    ]);
    Ok((vec![file], Training::by_torchrun("-m torchtitan.train --job.config_file torchtitan.toml")))
}

fn text(job: &Job) -> Result<String> {
    let (work, split) = (&job.workload, &job.parallelism);
    let flavor = flavor(job)?;
    // a pipeline splits the sequences of a rank into micro-batches
    let local = work.micro_batch * if split.pp > 1 { work.grad_accum } else { 1 };
    let global = job.global_batch();
    let states = match work.state_precision {
        StatePrecision::Fp32 => "float32",
        StatePrecision::Bf16 => "bfloat16",
    };
    let computing = match work.precision {
        Precision::Fp32 | Precision::Tf32 => "float32",
        Precision::Fp16 | Precision::Bf16 | Precision::Fp8 => "bfloat16",
    };
    let offloads = work.offload == Offload::Parameters;
    let (copies, shards) = copies_and_shards(job);
    let reshard = if split.data == DataParallel::Zero2 { "never" } else { "default" };
    let mode = match work.checkpointing {
        Checkpointing::None => "none",
        Checkpointing::Selective => "selective",
        Checkpointing::Full => "full",
    };
    let mut text = format!(
        "# written by wattlaw, for torchtitan 0.2
[job]
dump_folder = \"output\"

[model]
name = \"llama3\"
flavor = \"{flavor}\"
# yours to set: the folder of the tokenizer
hf_assets_path = \"ASSETS_PATH\"
",
    );
    if work.precision == Precision::Fp8 {
        text += "converters = [\"quantize.linear.float8\"]\n";
    }
    text += &format!(
        "
[optimizer]
name = \"AdamW\"
# yours to set: the rate
lr = 3e-4

[training]
# yours to set: the data
dataset = \"c4\"
seq_len = {}
local_batch_size = {local}
global_batch_size = {global}
steps = {}
dtype = \"{states}\"
mixed_precision_param = \"{computing}\"
enable_cpu_offload = {offloads}

[parallelism]
data_parallel_replicate_degree = {copies}
data_parallel_shard_degree = {shards}
fsdp_reshard_after_forward = \"{reshard}\"
tensor_parallel_degree = {}
pipeline_parallel_degree = {}
",
        work.seq_len,
        whole_steps(job),
        split.tp,
        split.pp,
    );
    if split.cp > 1 {
        let exchange = match split.context_exchange {
            ContextExchange::Ring => "alltoall",
            ContextExchange::AllGather => "allgather",
        };
        text += &format!(
            "context_parallel_degree = {}\ncontext_parallel_rotate_method = \"{exchange}\"\n",
            split.cp
        );
    }
    if split.pp > 1 {
        text += &format!(
            "pipeline_parallel_schedule = \"1F1B\"\npipeline_parallel_microbatch_size = {}\n",
            work.micro_batch
        );
    }
    text += &format!("\n[activation_checkpoint]\nmode = \"{mode}\"\n");
    Ok(text)
}

/// torchtitan's flavor of the model.
fn flavor(job: &Job) -> Result<&'static str> {
    let catalog = Catalog::built_in()?;
    for (name, flavor) in FLAVORS {
        let spec = ModelSpec { name: Some(name.to_owned()), ..ModelSpec::default() };
        if catalog.architecture(&spec).is_ok_and(|model| support::is_same_shape(job, &model)) {
            return Ok(flavor);
        }
    }
    let others =
        [Launcher::Accelerate, Launcher::DeepSpeed, Launcher::Megatron, Launcher::Nanotron];
    let found = job.architecture.name.replace(char::is_control, " ");
    Err(support::refusal(Launcher::Torchtitan, "model", &found, &others))
}
