//! Names of transformers that accelerate's and Axolotl's files share.

use wattlaw::base::error::Result;
use wattlaw::job::Job;
use wattlaw::job::model::Family;
use wattlaw::job::workload::{AttentionKernel, LoraTarget, Optimizer};

use crate::{Launcher, support};

/// The kernel of attention by transformers' name.
pub(crate) const fn kernel(attention: AttentionKernel) -> &'static str {
    match attention {
        AttentionKernel::Flash => "flash_attention_2",
        AttentionKernel::Eager => "eager",
    }
}

/// An optimizer by transformers' name.
pub(crate) const fn optimizer(optimizer: Optimizer) -> &'static str {
    match optimizer {
        Optimizer::AdamW => "adamw_torch_fused",
        Optimizer::Sgd => "sgd",
        Optimizer::Adafactor => "adafactor",
        // bitsandbytes' has no FSDP2 (Axolotl 0.19 refuses it)
        Optimizer::Adam8bit => "adamw_torch_8bit",
        Optimizer::PagedAdamW => "paged_adamw_32bit",
        Optimizer::PagedAdam8bit => "paged_adamw_8bit",
        Optimizer::Lion => "lion_32bit",
        Optimizer::Lamb => "lamb",
        Optimizer::Muon => "muon",
    }
}

/// The modules with adapters by the names that transformers gives them in models like Llama, with commas between them.
///
/// # Errors
/// A model of another family, whose modules have other names.
pub(crate) fn modules(job: &Job, launcher: Launcher) -> Result<String> {
    let name = |target: &LoraTarget| match target {
        LoraTarget::Query => "q_proj",
        LoraTarget::Key => "k_proj",
        LoraTarget::Value => "v_proj",
        LoraTarget::Output => "o_proj",
        LoraTarget::Gate => "gate_proj",
        LoraTarget::Up => "up_proj",
        LoraTarget::Down => "down_proj",
    };
    if job.architecture.family() != Family::Llama {
        let found = format!("adapters on a {} model", job.architecture.family());
        return Err(support::refusal(launcher, "lora_targets", &found, &[]));
    }
    let names: Vec<&str> =
        job.workload.lora.iter().flat_map(|lora| &lora.targets).map(name).collect();
    Ok(names.join(", "))
}
