//! Megatron-LM's arguments. Source: Megatron-LM d98e8a64dd `megatron/training/arguments.py`.

use wattlaw::base::error::Result;
use wattlaw::job::Job;
use wattlaw::job::model::{ModelSpec, Norm, Positions};
use wattlaw::job::parallelism::{ContextExchange, DataParallel, Schedule};
use wattlaw::job::workload::{AttentionKernel, Checkpointing, Optimizer, Precision};

use crate::script::Training;
use crate::{LaunchFile, Launcher, support, whole_steps};

/// No file of its own: the command that trains holds every argument.
pub(crate) fn files(job: &Job) -> Result<(Vec<LaunchFile>, Training)> {
    let groups =
        [shape(job)?, batch(job), numbers(job), parallelism(job)?, recomputation(job), data()];
    let lines: Vec<String> =
        groups.into_iter().filter(|group| !group.is_empty()).map(|group| group.join(" ")).collect();
    let program =
        format!("\"$MEGATRON/pretrain_gpt.py\" \\\n        {}", lines.join(" \\\n        "));
    let training = Training {
        variables: vec![
            ("MEGATRON", "the folder of Megatron-LM"),
            (
                "DATA_PATH",
                "the prefix of the data that Megatron-LM's tools/preprocess_data.py wrote",
            ),
            ("LEARNING_RATE", "the rate of the training"),
        ],
        ..Training::by_torchrun(program)
    };
    Ok((Vec::new(), training))
}

/// The model's shape.
fn shape(job: &Job) -> Result<Vec<String>> {
    let a = &job.architecture;
    if !support::has_shape(job, described(job)) {
        let found = format!("{} ({})", a.name.replace(char::is_control, " "), a.model_type.name());
        return Err(support::refusal(
            Launcher::Megatron,
            "model",
            &found,
            &[Launcher::Accelerate, Launcher::DeepSpeed],
        ));
    }
    let mut words = vec![
        format!("--num-layers {}", a.layers),
        format!("--hidden-size {}", a.hidden_size),
        format!("--ffn-hidden-size {}", a.ffn_size),
        format!("--num-attention-heads {}", a.heads),
        format!("--kv-channels {}", a.head_dim),
        format!("--max-position-embeddings {}", a.max_positions.unwrap_or(job.workload.seq_len)),
        format!("--vocab-size {}", a.vocab_size),
        format!("--make-vocab-size-divisible-by {}", support::vocab_rows(job, Launcher::Megatron)?),
    ];
    let position = match a.positions {
        Positions::Learned { .. } | Positions::LearnedAndRelative { .. } => "learned_absolute",
        Positions::Rotary => "rope",
        Positions::Relative { .. } | Positions::None => "none",
    };
    words.push(format!("--position-embedding-type {position}"));
    let norm = if a.norm == Norm::RmsNorm { "RMSNorm" } else { "LayerNorm" };
    words.push(format!("--normalization {norm}"));
    if a.kv_heads != a.heads {
        words.push(format!("--group-query-attention --num-query-groups {}", a.kv_heads));
    }
    for (is_on, word) in [
        (a.gated_ffn, "--swiglu"),
        (!a.tied_embeddings, "--untie-embeddings-and-output-weights"),
        (!a.biases.ffn, "--disable-bias-linear"),
        (a.biases.qkv && !a.biases.ffn, "--add-qkv-bias"),
        (a.qk_norm, "--qk-layernorm"),
    ] {
        if is_on {
            words.push(word.to_owned());
        }
    }
    if let Some(experts) = a.experts {
        words.push(format!(
            "--num-experts {} --moe-router-topk {} --moe-ffn-hidden-size {}",
            experts.count, experts.top_k, a.ffn_size
        ));
    }
    Ok(words)
}

/// The shape that the arguments describe.
fn described(job: &Job) -> ModelSpec {
    let a = &job.architecture;
    let spec = a.spec();
    let is_llama = a.gated_ffn || a.norm == Norm::RmsNorm;
    let family = match (a.experts, is_llama) {
        (Some(_), _) => "mixtral",
        (None, true) => "llama",
        (None, false) => "gpt2",
    };
    ModelSpec {
        family: Some(family.to_owned()),
        layers: spec.layers,
        hidden_size: spec.hidden_size,
        heads: spec.heads,
        kv_heads: spec.kv_heads,
        head_dim: spec.head_dim,
        ffn_size: spec.ffn_size,
        vocab_size: spec.vocab_size,
        max_positions: spec.max_positions,
        gated_ffn: spec.gated_ffn,
        positions: Some(match a.positions {
            Positions::Learned { .. } => wattlaw::job::model::PositionKind::Learned,
            Positions::Rotary => wattlaw::job::model::PositionKind::Rotary,
            _ => wattlaw::job::model::PositionKind::None,
        }),
        tied_embeddings: spec.tied_embeddings,
        // one argument for both
        ffn_bias: spec.ffn_bias,
        attention_output_bias: spec.ffn_bias,
        qkv_bias: spec.qkv_bias.map(|on| on || a.biases.ffn),
        qk_norm: Some(a.qk_norm),
        experts: spec.experts,
        top_k: spec.top_k,
        ..ModelSpec::default()
    }
}

fn batch(job: &Job) -> Vec<String> {
    vec![
        format!("--seq-length {}", job.workload.seq_len),
        format!("--micro-batch-size {}", job.workload.micro_batch),
        format!("--global-batch-size {}", job.global_batch()),
        format!("--train-iters {}", whole_steps(job)),
    ]
}

/// Number formats, the update rule and the kernel of attention.
fn numbers(job: &Job) -> Vec<String> {
    let work = &job.workload;
    let precision = match work.precision {
        Precision::Fp32 | Precision::Tf32 => "",
        Precision::Fp16 => "--fp16",
        Precision::Bf16 => "--bf16",
        Precision::Fp8 => "--bf16 --fp8-format hybrid",
    };
    let optimizer = match work.optimizer {
        Optimizer::Sgd => "--optimizer sgd",
        Optimizer::AdamW
        | Optimizer::PagedAdamW
        | Optimizer::Adafactor
        | Optimizer::Adam8bit
        | Optimizer::PagedAdam8bit
        | Optimizer::Lamb
        | Optimizer::Lion
        | Optimizer::Muon => "--optimizer adam",
    };
    let attention = match work.attention {
        AttentionKernel::Flash => "--attention-backend flash",
        AttentionKernel::Eager => "--attention-backend unfused",
    };
    [precision, optimizer, attention]
        .into_iter()
        .filter(|w| !w.is_empty())
        .map(str::to_owned)
        .collect()
}

fn parallelism(job: &Job) -> Result<Vec<String>> {
    let (split, layers) = (&job.parallelism, job.architecture.layers);
    let mut words = vec![
        format!("--tensor-model-parallel-size {}", split.tp),
        format!("--pipeline-model-parallel-size {}", split.pp),
    ];
    let chunks = split.pp * split.virtual_stages;
    if !layers.is_multiple_of(chunks) {
        let found = format!("{layers} layers in {chunks} pipeline stages");
        return Err(support::refusal(Launcher::Megatron, "pp", &found, &[Launcher::Torchtitan]));
    }
    if split.schedule == Schedule::Interleaved && split.pp > 1 {
        words.push(format!("--num-layers-per-virtual-pipeline-stage {}", layers / chunks));
    }
    if split.cp > 1 {
        let exchange = match split.context_exchange {
            ContextExchange::Ring => "p2p",
            ContextExchange::AllGather => "all_gather",
        };
        words.push(format!("--context-parallel-size {} --cp-comm-type {exchange}", split.cp));
    }
    if split.ep > 1 {
        words.push(format!("--expert-model-parallel-size {}", split.ep));
    }
    if split.sequence_parallel {
        words.push("--sequence-parallel".to_owned());
    }
    let fsdp = |strategy: &str| {
        format!(
            "--use-megatron-fsdp --data-parallel-sharding-strategy {strategy} --ckpt-format fsdp_dtensor"
        )
    };
    words.extend(match split.data {
        DataParallel::Single | DataParallel::Ddp => None,
        DataParallel::Zero1 => Some("--use-distributed-optimizer".to_owned()),
        DataParallel::Zero2 => Some(fsdp("optim_grads")),
        DataParallel::Fsdp | DataParallel::Hsdp => Some(fsdp("optim_grads_params")),
    });
    Ok(words)
}

fn recomputation(job: &Job) -> Vec<String> {
    let word = match job.workload.checkpointing {
        Checkpointing::None => return Vec::new(),
        Checkpointing::Selective => "--recompute-granularity selective",
        Checkpointing::Full => {
            "--recompute-granularity full --recompute-method uniform --recompute-num-layers 1"
        }
    };
    vec![word.to_owned()]
}

/// The data, as numbers of tokens, so that no tokenizer is needed.
fn data() -> Vec<String> {
    vec![
        "--data-path \"$DATA_PATH\" --tokenizer-type NullTokenizer --lr \"$LEARNING_RATE\""
            .to_owned(),
    ]
}
