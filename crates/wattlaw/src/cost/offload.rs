//! Traffic between a GPU and the host's memory, where states are kept there.
//!
//! Each micro-step's gradients go to the host, where they are summed and the weights updated; the updated weights come back
//! once a step (Ren et al. 2021, arXiv 2101.06840, section 4). Where the parameters are there too, each pass fetches them
//! before it gathers them (PyTorch, `_fsdp_param.py`, `all_gather_inputs`).

use super::collectives::gradient_bytes;
use super::optimizer::{StageParameters, trained_experts, trained_parameters};
use super::{Ledger, Op, OpKind, Phase};
use crate::base::units::{Bytes, Flops};
use crate::job::Job;
use crate::job::workload::{Framework, Offload};

/// Writes the transfers of one stage into the ledger.
pub(super) fn count(job: &Job, held: &StageParameters, ledger: &mut Ledger) {
    let (w, p) = (&job.workload, &job.parallelism);
    if w.offload == Offload::None {
        return;
    }
    let stage = ledger.stage;
    let trained = trained_parameters(job, stage, held);
    let experts = trained_experts(job, stage, held);
    let updated = p.shard(trained, experts);
    let mut push = |phase, bytes: f64| {
        ledger.ops.push(Op {
            kind: OpKind::HostTransfer,
            phase,
            count: 1.0,
            flops: Flops::ZERO,
            bytes: Bytes::new(bytes),
            kernels: 1.0,
        });
    };
    match w.offload {
        Offload::None => return,
        Offload::Optimizer => push(Phase::Step, updated * w.precision.bytes()),
        Offload::Parameters => {
            let weight = stored_weight(job);
            let (layers, of_experts, root) = match w.lora {
                Some(_) => (
                    held.layers_bytes(job) + trained * weight,
                    held.experts_bytes(job) + experts * weight,
                    w.precision.bytes() * held.root(),
                ),
                None => (
                    (held.layers - held.beside_layers) * weight,
                    held.experts * weight,
                    weight * held.root(),
                ),
            };
            push(Phase::Forward, p.shard(layers + root, of_experts));
            // the root stays gathered for the backward pass, which frozen layers have not
            let share = 1.0 - w.frozen_layers as f64 / job.architecture.total_layers() as f64;
            push(Phase::Backward, share * p.shard(layers, of_experts));
        }
    }
    push(Phase::Backward, updated * gradient_bytes(w, p.data));
}

/// Bytes of a trained weight on the host as it is fetched: DeepSpeed's are in the computing precision, PyTorch's as they are
/// updated.
const fn stored_weight(job: &Job) -> f64 {
    let w = &job.workload;
    match w.framework.framework {
        Framework::Deepspeed | Framework::MegatronDeepspeed => w.precision.bytes(),
        Framework::Accelerate
        | Framework::Fsdp2
        | Framework::LlmFoundry
        | Framework::Megatron
        | Framework::Nanotron
        | Framework::Jax
        | Framework::Pytorch
        | Framework::Unknown => w.state_precision.bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::AttentionFlops;
    use crate::cost::optimizer::stage_parameters;
    use crate::job::JobSpec;
    use crate::job::catalog::Catalog;

    fn job(workload: &str, parallelism: &str) -> Job {
        let text = format!(
            "model = {{ family = 'llama', layers = 2, hidden_size = 64, heads = 4, ffn_size = 12, vocab_size = 16 }}
             workload = {{ steps = 1, seq_len = 8, micro_batch = 1, grad_accum = 3, precision = 'bf16', {workload} }}
             parallelism = {{ {parallelism} }}
             system = {{ gpu = 'a100-sxm4-80gb', gpus = 2 }}"
        );
        JobSpec::from_toml(&text).unwrap().resolve(&Catalog::built_in().unwrap()).unwrap()
    }

    /// Bytes to and from the host in one step, by phase: forward, backward, once.
    fn moved(job: &Job) -> [f64; 3] {
        let ledger = Ledger::for_stage(job, 0, AttentionFlops::Full);
        [Phase::Forward, Phase::Backward, Phase::Step].map(|phase| {
            let transfers = |op: &Op| op.kind == OpKind::HostTransfer && op.phase == phase;
            ledger.per_step(transfers).bytes.value()
        })
    }

    /// Two ranks, each with half of the weights: gradients of 2 B in three micro-steps, weights of 2 B once. The host reads a
    /// gradient, reads and writes a weight and two moments, and writes a copy: 30 B.
    #[test]
    fn gradients_go_to_the_host_and_updated_weights_come_back() {
        let job = job("framework = 'deepspeed', offload = 'optimizer'", "strategy = 'zero2'");
        let half = trained_parameters(&job, 0, &stage_parameters(&job, 0)) / 2.0;
        assert_eq!(moved(&job), [0.0, 3.0 * half * 2.0, half * 2.0]);
        let ledger = Ledger::for_stage(&job, 0, AttentionFlops::Full);
        let update = OpKind::HostUpdate { bytes: Bytes::new(half * 30.0) };
        assert!(ledger.ops.iter().any(|op| op.kind == update && op.bytes == Bytes::ZERO));
        assert!(!ledger.ops.iter().any(|op| op.kind == OpKind::Optimizer));
    }

    /// PyTorch fetches shards of 4 B for both passes, the root's for the forward pass alone, and sends gradients of 2 B; of an
    /// embedding, an output projection and a final norm.
    #[test]
    fn parameters_on_the_host_are_fetched_for_each_pass() {
        let job = job("framework = 'fsdp2', offload = 'parameters'", "strategy = 'fsdp'");
        let half = trained_parameters(&job, 0, &stage_parameters(&job, 0)) / 2.0;
        let root = (2.0 * 16.0 * 64.0 + 64.0) / 2.0;
        let expected = [3.0 * 4.0 * half, 3.0 * (4.0 * (half - root) + 2.0 * half), 0.0];
        assert_eq!(moved(&job), expected);
        assert_eq!(moved(&self::job("framework = 'fsdp2'", "strategy = 'fsdp'")), [0.0; 3]);
    }
}
