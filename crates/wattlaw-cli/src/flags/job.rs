//! A job from flags, from a job file, or from a file with flags laid over it.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use wattlaw::base::amount::Count;
use wattlaw::base::error::Place;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::model::{ModelSpec, from_config_json};
use wattlaw::job::parallelism::{ParallelismSpec, Schedule, TensorScope};
use wattlaw::job::system::SystemSpec;
use wattlaw::job::workload::{
    AttentionKernel, Checkpointing, Lora, LoraTarget, Optimizer, Precision, WorkloadSpec,
};
use wattlaw::job::{Job, JobSpec};

use crate::failure::{Done, Failure};
use crate::files;
use crate::parse::{number, whole};

/// A job file and the flags that are laid over it.
#[derive(Debug, Default, Args)]
pub struct JobArgs {
    /// Job file (TOML); flags are laid over what it says
    pub job: Option<PathBuf>,
    #[command(flatten)]
    pub flags: JobFlags,
    /// Accelerators in all
    #[arg(long, value_parser = whole::<u64>, help_heading = "System")]
    pub gpus: Option<u64>,
}

/// The flags that describe a job, but for the number of accelerators.
#[derive(Debug, Default, Args)]
pub struct JobFlags {
    /// Model by name (see `wattlaw catalog models`)
    #[arg(long, help_heading = "Model")]
    pub model: Option<String>,
    /// Hugging Face config.json of the model
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    pub config: Option<PathBuf>,
    /// Model type (bert, gpt2, llama, mixtral, t5, vit, …) of a shape given by flags
    #[arg(long, help_heading = "Model")]
    pub family: Option<String>,
    /// Layers
    #[arg(long, value_parser = whole::<u64>, help_heading = "Model")]
    pub layers: Option<u64>,
    /// Width of the residual stream
    #[arg(long, value_parser = whole::<u64>, help_heading = "Model")]
    pub hidden_size: Option<u64>,
    /// Attention heads
    #[arg(long, value_parser = whole::<u64>, help_heading = "Model")]
    pub heads: Option<u64>,
    /// Key and value heads (grouped-query attention)
    #[arg(long, value_parser = whole::<u64>, help_heading = "Model")]
    pub kv_heads: Option<u64>,
    /// Inner width of the feed-forward block
    #[arg(long, value_parser = whole::<u64>, help_heading = "Model")]
    pub ffn_size: Option<u64>,
    /// Rows of the token embedding
    #[arg(long, value_parser = whole::<u64>, help_heading = "Model")]
    pub vocab_size: Option<u64>,
    /// Experts a layer (mixture of experts)
    #[arg(long, value_parser = whole::<u64>, help_heading = "Model")]
    pub experts: Option<u64>,
    /// Experts that a token visits
    #[arg(long, value_parser = whole::<u64>, help_heading = "Model")]
    pub top_k: Option<u64>,

    /// Tokens to train on, as 10M or 1.5B
    #[arg(long, value_parser = Count::from_str, help_heading = "Workload")]
    pub tokens: Option<Count>,
    /// Optimizer steps, in place of tokens
    #[arg(long, value_parser = Count::from_str, help_heading = "Workload")]
    pub steps: Option<Count>,
    /// Passes over --examples, in place of tokens
    #[arg(long, value_parser = number, help_heading = "Workload")]
    pub epochs: Option<f64>,
    /// Sequences in the data
    #[arg(long, value_parser = Count::from_str, help_heading = "Workload")]
    pub examples: Option<Count>,
    /// Tokens in a sequence
    #[arg(long, value_parser = whole::<u64>, help_heading = "Workload")]
    pub seq_len: Option<u64>,
    /// Tokens in a target sequence (encoder–decoder)
    #[arg(long, value_parser = whole::<u64>, help_heading = "Workload")]
    pub decoder_seq_len: Option<u64>,
    /// Share of positions that are padding, 0 to below 1
    #[arg(long, value_parser = number, help_heading = "Workload")]
    pub padding_share: Option<f64>,
    /// Sequences that a data-parallel rank takes at once
    #[arg(long, value_parser = whole::<u64>, help_heading = "Workload")]
    pub micro_batch: Option<u64>,
    /// Micro-batches an optimizer step
    #[arg(long, value_parser = whole::<u64>, help_heading = "Workload")]
    pub grad_accum: Option<u64>,
    /// fp32, tf32, fp16, bf16 or fp8
    #[arg(long, value_parser = Precision::from_str, help_heading = "Workload")]
    pub precision: Option<Precision>,
    /// adamw, sgd, adafactor or adam8bit
    #[arg(long, value_parser = Optimizer::from_str, help_heading = "Workload")]
    pub optimizer: Option<Optimizer>,
    /// Activation checkpointing: none, selective or full
    #[arg(long, value_parser = Checkpointing::from_str, help_heading = "Workload")]
    pub checkpointing: Option<Checkpointing>,
    /// Attention kernel: flash or eager
    #[arg(long, value_parser = AttentionKernel::from_str, help_heading = "Workload")]
    pub attention: Option<AttentionKernel>,
    /// masked-lm, causal-lm or classification
    #[arg(long, help_heading = "Workload")]
    pub task: Option<String>,
    /// Labels of a classification
    #[arg(long, value_parser = whole::<u64>, help_heading = "Workload")]
    pub labels: Option<u64>,
    /// Train adapters of this rank on frozen weights (LoRA)
    #[arg(long, value_parser = whole::<u64>, value_name = "RANK", help_heading = "Workload")]
    pub lora_rank: Option<u64>,
    /// Adapted maps: q, k, v, o, gate, up, down
    #[arg(long, value_name = "MAPS", value_delimiter = ',', value_parser = LoraTarget::from_str, requires = "lora_rank", help_heading = "Workload")]
    pub lora_targets: Vec<LoraTarget>,

    /// single, ddp, zero1, zero2, fsdp, hsdp, tp or tp-mlp
    #[arg(long, help_heading = "Parallelism")]
    pub strategy: Option<String>,
    /// Data-parallel ranks
    #[arg(long, value_parser = whole::<u64>, help_heading = "Parallelism")]
    pub dp: Option<u64>,
    /// Tensor-parallel ranks
    #[arg(long, value_parser = whole::<u64>, help_heading = "Parallelism")]
    pub tp: Option<u64>,
    /// Pipeline stages
    #[arg(long, value_parser = whole::<u64>, help_heading = "Parallelism")]
    pub pp: Option<u64>,
    /// What tensor parallelism splits: blocks or mlp
    #[arg(long, value_parser = TensorScope::from_str, help_heading = "Parallelism")]
    pub tensor_scope: Option<TensorScope>,
    /// Split the sequence between tensor-parallel maps
    #[arg(long, help_heading = "Parallelism")]
    pub sequence_parallel: bool,
    /// Ranks that share one set of shards (hsdp)
    #[arg(long, value_parser = whole::<u64>, help_heading = "Parallelism")]
    pub shard_group: Option<u64>,
    /// Pipeline schedule: 1f1b or interleaved
    #[arg(long, value_parser = Schedule::from_str, help_heading = "Parallelism")]
    pub schedule: Option<Schedule>,
    /// Model chunks a pipeline stage holds (interleaved)
    #[arg(long, value_parser = whole::<u64>, help_heading = "Parallelism")]
    pub virtual_stages: Option<u64>,

    /// Accelerator by name (see `wattlaw catalog gpus`)
    #[arg(long, help_heading = "System")]
    pub gpu: Option<String>,
    /// Accelerators in a node
    #[arg(long, value_parser = whole::<u64>, help_heading = "System")]
    pub gpus_per_node: Option<u64>,
    /// Nodes
    #[arg(long, value_parser = whole::<u64>, help_heading = "System")]
    pub nodes: Option<u64>,
    /// System by name, such as dgx-a100-80gb (see `wattlaw catalog systems`)
    #[arg(long, help_heading = "System")]
    pub system: Option<String>,
    /// Link inside a node in GB/s a GPU, both directions together
    #[arg(long, value_parser = number, help_heading = "System")]
    pub link_gb_per_s: Option<f64>,
    /// Network between nodes in GB/s a GPU, one direction
    #[arg(long, value_parser = number, help_heading = "System")]
    pub network_gb_per_s: Option<f64>,
    /// Power limit of an accelerator, as 250W
    #[arg(long, value_parser = watts, help_heading = "System")]
    pub power_limit: Option<f64>,
    /// Facility energy per energy of the computers
    #[arg(long, value_parser = number, help_heading = "System")]
    pub pue: Option<f64>,
    /// Carbon intensity of the electricity in g CO₂e a kWh
    #[arg(long, value_parser = number, value_name = "G_PER_KWH", help_heading = "System")]
    pub carbon_intensity: Option<f64>,
    /// Price of a kWh
    #[arg(long, value_parser = number, value_name = "PRICE", help_heading = "System")]
    pub price_per_kwh: Option<f64>,
    /// Price of an accelerator for an hour
    #[arg(long, value_parser = number, value_name = "PRICE", help_heading = "System")]
    pub price_per_gpu_hour: Option<f64>,

    /// Catalogue file (TOML) whose GPUs, models and systems stand before the built-in ones
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
}

impl JobArgs {
    /// The job, resolved.
    ///
    /// # Errors
    /// What is wrong in a file is a failure (1); what is wrong in flags alone is wrong usage (2).
    pub fn job(&self) -> Done<Job> {
        let catalog = self.flags.catalog()?;
        let mut flags = self.flags.spec()?;
        flags.system.gpus = self.gpus;
        match &self.job {
            None if flags.model == ModelSpec::default() => Err(Failure::Usage(
                "no model; give --model NAME (see `wattlaw catalog models`), --config FILE, a shape (--family, --layers, \
                 --hidden-size), or a job file"
                    .to_owned(),
            )),
            None => flags.resolve(&catalog).map_err(Failure::usage),
            Some(path) => {
                let place = Place::file(path.display().to_string());
                Ok(flags.over(read(path)?).resolve(&catalog).map_err(|e| e.at(place))?)
            }
        }
    }
}

/// Reads a job file, and the `config.json` that it names.
///
/// # Errors
/// What is wrong in a file, with its place.
pub fn read(path: &std::path::Path) -> Done<JobSpec> {
    let place = Place::file(path.display().to_string());
    let mut base = JobSpec::from_toml(&files::text(path)?).map_err(|e| e.at(place))?;
    if let Some(config) = base.model.config.take() {
        // a path in a job file is meant from where that file lies
        let path = path.parent().map_or_else(|| PathBuf::from(&config), |dir| dir.join(&config));
        base.model = base.model.over(read_config(&path)?);
    }
    Ok(base)
}

impl JobFlags {
    /// The catalogue, with the user's before it.
    ///
    /// # Errors
    /// What is wrong in the user's file.
    pub fn catalog(&self) -> Done<Catalog> {
        catalog(self.catalog.as_deref())
    }

    /// What the flags say.
    ///
    /// # Errors
    /// What is wrong in the `config.json` that they name.
    pub fn spec(&self) -> Done<JobSpec> {
        let shape = ModelSpec {
            name: self.model.clone(),
            family: self.family.clone(),
            layers: self.layers,
            hidden_size: self.hidden_size,
            heads: self.heads,
            kv_heads: self.kv_heads,
            ffn_size: self.ffn_size,
            vocab_size: self.vocab_size,
            experts: self.experts,
            top_k: self.top_k,
            ..ModelSpec::default()
        };
        let model = match &self.config {
            Some(path) => shape.over(read_config(path)?),
            None => shape,
        };
        Ok(JobSpec {
            model,
            workload: WorkloadSpec {
                tokens: self.tokens,
                steps: self.steps,
                epochs: self.epochs,
                examples: self.examples,
                seq_len: self.seq_len,
                decoder_seq_len: self.decoder_seq_len,
                padding_share: self.padding_share,
                micro_batch: self.micro_batch,
                grad_accum: self.grad_accum,
                precision: self.precision,
                optimizer: self.optimizer,
                checkpointing: self.checkpointing,
                attention: self.attention,
                task: self.task.clone(),
                labels: self.labels,
                lora: self.lora_rank.map(|rank| Lora { rank, targets: self.lora_targets.clone() }),
            },
            parallelism: ParallelismSpec {
                strategy: self.strategy.clone(),
                dp: self.dp,
                tp: self.tp,
                pp: self.pp,
                tensor_scope: self.tensor_scope,
                sequence_parallel: self.sequence_parallel.then_some(true),
                shard_group: self.shard_group,
                schedule: self.schedule,
                virtual_stages: self.virtual_stages,
                ..ParallelismSpec::default()
            },
            system: SystemSpec {
                name: self.system.clone(),
                gpu: self.gpu.clone(),
                gpus_per_node: self.gpus_per_node,
                nodes: self.nodes,
                link_gb_per_s: self.link_gb_per_s,
                network_gb_per_s: self.network_gb_per_s,
                power_limit_w: self.power_limit,
                pue: self.pue,
                carbon_g_per_kwh: self.carbon_intensity,
                price_per_kwh: self.price_per_kwh,
                price_per_gpu_hour: self.price_per_gpu_hour,
                ..SystemSpec::default()
            },
        })
    }
}

/// The built-in catalogue, with a user's file before it.
///
/// # Errors
/// What is wrong in the file, with its place.
pub fn catalog(overlay: Option<&std::path::Path>) -> Done<Catalog> {
    let built_in = Catalog::built_in()?;
    match overlay {
        None => Ok(built_in),
        Some(path) => {
            let own = Catalog::from_toml(&files::text(path)?)
                .map_err(|e| e.at(Place::file(path.display().to_string())))?;
            Ok(own.over(built_in))
        }
    }
}

fn read_config(path: &std::path::Path) -> Done<ModelSpec> {
    let place = Place::file(path.display().to_string());
    let mut spec = from_config_json(&files::text(path)?).map_err(|e| e.at(place))?;
    if spec.name.is_none() {
        spec.name = path
            .parent()
            .and_then(|dir| dir.file_name())
            .map(|name| name.to_string_lossy().into_owned());
    }
    Ok(spec)
}

/// Reads watts with or without their unit.
fn watts(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches(['W', 'w']).trim_end();
    number.parse().map_err(|_| format!("`{text}` is no power; write it as 250W"))
}
