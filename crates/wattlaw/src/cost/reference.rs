//! The forward pass of a frozen reference model, which preference tuning compares with.
//!
//! Every micro-step runs it on the same sequences, without a backward pass (Rafailov et al. 2023, arXiv 2305.18290, equation
//! 7). Below adapters it is the base without them (TRL, `DPOTrainer.null_ref_context`).

use super::{Op, OpKind, Phase};
use crate::job::workload::{TrainingObjective, Workload};

/// Repeats the forward pass that `ops` hold, as the reference model's.
pub(super) fn count(w: &Workload, ops: &mut Vec<Op>) {
    match w.objective {
        TrainingObjective::Likelihood => {}
        TrainingObjective::Dpo => {
            let of_adapter = |op: &Op| matches!(op.kind, OpKind::Adapter | OpKind::Magnitude);
            let is_repeated = |op: &&Op| op.phase == Phase::Forward && !of_adapter(op);
            let repeated: Vec<Op> = ops
                .iter()
                .filter(is_repeated)
                .map(|op| Op { phase: Phase::Reference, ..*op })
                .collect();
            ops.extend(repeated);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{AttentionFlops, Cost, Totals};
    use crate::job::JobSpec;
    use crate::job::catalog::Catalog;

    fn count(workload: &str) -> Cost {
        let text = format!(
            "model = {{ family = 'llama', layers = 2, hidden_size = 64, heads = 4, ffn_size = 12, vocab_size = 16 }}
             workload = {{ steps = 1, seq_len = 8, precision = 'bf16', attention = 'eager', {workload} }}
             parallelism.strategy = 'fsdp'
             system = {{ gpu = 'a100-sxm4-80gb', gpus = 2 }}"
        );
        let job = JobSpec::from_toml(&text).unwrap().resolve(&Catalog::built_in().unwrap());
        Cost::count(&job.unwrap(), AttentionFlops::Full)
    }

    fn of(cost: &Cost, phase: Phase) -> Totals {
        cost.stages[0].per_step(|op| op.phase == phase)
    }

    /// Two pairs are four sequences: forward, backward and the reference's forward pass, 4 / 3 of plain training's FLOPs.
    #[test]
    fn pairs_are_passed_forward_through_both_models() {
        let plain = count("micro_batch = 4");
        let pairs = count("micro_batch = 2, objective = 'dpo'");
        assert_eq!(of(&pairs, Phase::Forward), of(&plain, Phase::Forward));
        assert_eq!(of(&pairs, Phase::Backward), of(&plain, Phase::Backward));
        assert_eq!(of(&pairs, Phase::Reference), of(&plain, Phase::Forward));
        let [plain, pairs] = [plain, pairs].map(|cost| cost.model_flops_per_step.value());
        assert_eq!(pairs / plain, 4.0 / 3.0);
    }

    /// Below adapters the reference is the base: the adapters' products are left out, and the base is gathered again.
    #[test]
    fn the_reference_below_adapters_is_the_base() {
        let lora = "lora = { rank = 4 }";
        let pairs = count(&format!("micro_batch = 2, objective = 'dpo', {lora}"));
        let base = count(&format!("micro_batch = 4, {lora}"));
        let without =
            base.stages[0].per_step(|op| op.phase == Phase::Forward && op.kind != OpKind::Adapter);
        assert_eq!(of(&pairs, Phase::Reference), without);
        assert!(without.node_link_bytes.value() > 0.0);
    }
}
