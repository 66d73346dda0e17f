//! A grid of jobs: model × strategy × degrees × precision × checkpointing × optimizer × batch × adapters, for a launcher.

use wattlaw::job::catalog::Catalog;
use wattlaw::job::parallelism::DataParallel;
use wattlaw::job::{Job, JobSpec};
use wattlaw_launch::{LaunchFile, Launcher, emit};

/// Launchers with a configuration of their own.
pub const FRAMEWORKS: [Launcher; 6] = [
    Launcher::Accelerate,
    Launcher::DeepSpeed,
    Launcher::Megatron,
    Launcher::Torchtitan,
    Launcher::Nanotron,
    Launcher::Axolotl,
];

pub fn job(text: &str) -> wattlaw::base::error::Result<Job> {
    JobSpec::from_toml(text)?.resolve(&Catalog::built_in()?)
}

/// The jobs that a launcher expresses, with their files; every other one is refused by name.
pub fn jobs(launcher: Launcher) -> Vec<(Job, Vec<LaunchFile>)> {
    let catalog = Catalog::built_in().unwrap();
    let framework = launcher.framework().unwrap();
    let mut frameworks = vec![framework.name()];
    if launcher == Launcher::Accelerate {
        frameworks.push("deepspeed");
    }
    let works = [
        "",
        "precision = 'fp32'\ncheckpointing = 'full'",
        "precision = 'fp16'\ngrad_accum = 3\noptimizer = 'sgd'",
        "precision = 'tf32'\nattention = 'eager'",
        "precision = 'fp8'\ngrad_accum = 8",
        "state_precision = 'bf16'\nmicro_batch = 4\ngrad_accum = 2",
        "checkpointing = 'selective'",
        "optimizer = 'adam8bit'\nlora = { rank = 8, targets = ['q', 'v', 'gate'] }",
        "quantization = 'nf4'\nlora = { rank = 16 }",
        "optimizer = 'lion'",
        "objective = 'dpo'",
        "frozen_layers = 1",
        "document_len = 256",
        "dora = true\nlora = { rank = 8 }",
        "offload = 'optimizer'",
        "offload = 'parameters'",
        "objective = 'dpo'\nlora = { rank = 8 }",
        "optimizer = 'paged-adam8bit'\nquantization = 'int8'\nlora = { rank = 16 }",
        "optimizer = 'adafactor'\ncheckpointing = 'full'\nlora = { rank = 16 }",
    ];
    let splits = [
        "",
        "tp = 2",
        "tp = 2\nsequence_parallel = false",
        "tp = 2\nsequence_parallel = true",
        "pp = 2",
        "tp = 2\npp = 2\nsequence_parallel = true",
        "pp = 2\nschedule = 'interleaved'\nvirtual_stages = 2",
        "ep = 2",
        "ep = 4\ntp = 2\nsequence_parallel = true",
        "cp = 2",
        "cp = 4\ntp = 2\nsequence_parallel = true\ncontext_exchange = 'all-gather'",
        "cp = 2\npp = 2\ncontext_exchange = 'ring'",
    ];
    let mut found = Vec::new();
    for model in ["llama-3.1-8b", "llama-2-7b", "gpt2", "mixtral-8x7b", "bert-base-uncased"] {
        for strategy in ["ddp", "zero1", "zero2", "fsdp", "hsdp"] {
            for split in splits {
                for work in works {
                    for framework in &frameworks {
                        for gpus in [4, 16] {
                            let micro =
                                if work.contains("micro_batch") { "" } else { "micro_batch = 2" };
                            let accum =
                                if work.contains("grad_accum") { "" } else { "grad_accum = 4" };
                            let text = format!(
                                "[model]\nname = '{model}'\n[workload]\nsteps = 700\nseq_len = 512\n{micro}\n{accum}\nframework = '{framework}'\n{work}\n\
                                 [parallelism]\nstrategy = '{strategy}'\n{split}\n[system]\ngpu = 'h100'\ngpus = {gpus}"
                            );
                            let spec = JobSpec::from_toml(&text).unwrap();
                            // a job that is none, such as HSDP whose group does not divide the ranks
                            let Ok(job) = spec.resolve(&catalog) else { continue };
                            let split = &job.parallelism;
                            if split.data == DataParallel::Hsdp
                                && split.shard_group == split.replicas()
                            {
                                // one group: FSDP by its other name
                                continue;
                            }
                            match emit(&job, &[launcher]) {
                                Ok(files) => found.push((job, files)),
                                Err(error) => {
                                    let error = error.to_string();
                                    assert!(
                                        error.contains("has no configuration for it; "),
                                        "{error}"
                                    );
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    found
}
