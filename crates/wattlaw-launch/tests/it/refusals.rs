//! What a framework cannot express is one sentence with who can.

use wattlaw_launch::{Launcher, emit};

use crate::grid::job;

fn fails(work: &str, split: &str, launchers: &[Launcher]) -> String {
    let text = format!(
        "[model]\nname = 'llama-3.1-8b'\n[workload]\nsteps = 10\nseq_len = 512\nmicro_batch = 1\n{work}\n[parallelism]\n{split}\n\
         [system]\ngpu = 'h100'\ngpus = 4"
    );
    emit(&job(&text).unwrap(), launchers).unwrap_err().to_string()
}

#[test]
fn a_field_without_a_key_is_refused_with_who_has_one() {
    assert_eq!(
        fails(
            "framework = 'megatron'\nlora = { rank = 8 }",
            "strategy = 'ddp'",
            &[Launcher::Megatron]
        ),
        "lora_rank is 8, but Megatron-LM has no configuration for it; accelerate and Axolotl can"
    );
    assert_eq!(
        fails("framework = 'fsdp2'", "strategy = 'zero1'", &[Launcher::Torchtitan]),
        "strategy is zero1, but torchtitan has no configuration for it; DeepSpeed, Megatron-LM and nanotron can"
    );
    assert_eq!(
        fails("framework = 'accelerate'", "strategy = 'tp-mlp'", &[Launcher::Axolotl]),
        "tensor_scope is mlp, but Axolotl has no configuration for it; and so can none of the other frameworks"
    );
}

#[test]
fn a_job_of_another_framework_is_refused() {
    assert_eq!(
        fails(
            "framework = 'megatron'",
            "strategy = 'fsdp'",
            &[Launcher::Slurm, Launcher::Accelerate]
        ),
        "framework is megatron, but accelerate trains jobs of framework accelerate"
    );
    assert_eq!(
        fails(
            "framework = 'accelerate'",
            "strategy = 'fsdp'",
            &[Launcher::Axolotl, Launcher::Accelerate]
        ),
        "the list of launchers is axolotl, accelerate, but one framework trains a job; name one of them"
    );
}
