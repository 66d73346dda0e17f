//! Muon's orthogonalization of the momentum of each matrix, once a step.
//!
//! Five Newton–Schulz iterations in bfloat16 on a matrix X of m × n, m ≤ n (transposed where it is taller): A = X·Xᵀ,
//! B = b·A + c·A·A, X = a·X + B·X, which take 4 m² n + 2 m³ FLOPs. Source: Jordan et al. 2024, Muon
//! (kellerjordan.github.io/posts/muon); `torch.optim.Muon`, `ns_steps=5`.
//!
//! Ranks of a shard group divide the matrices among themselves (Liu et al. 2025, arXiv 2502.16982, algorithm 1); without
//! sharding each rank updates all of its own. A tensor-parallel rank orthogonalizes its block of a matrix alone
//! (Megatron-LM's default, `--muon-tp-mode blockwise`).

use super::{Ledger, Op, OpKind, Phase};
use crate::base::units::{Bytes, Flops};
use crate::job::Job;
use crate::job::model::{Architecture, ModelType};
use crate::job::parallelism::TensorScope;
use crate::job::workload::Optimizer;

/// Iterations (`torch.optim.Muon`'s `ns_steps`).
const ITERATIONS: f64 = 5.0;

/// Kernels of a matrix beside the iterations' three products: momentum, its blend with the gradient, cast, norm and
/// division.
const OTHER_KERNELS: f64 = 5.0;

/// Writes the operations into the ledger, one a shape of matrices.
pub(super) fn count(job: &Job, ledger: &mut Ledger) {
    if job.workload.optimizer != Optimizer::Muon {
        return;
    }
    let p = &job.parallelism;
    let share = if p.data.shards_optimizer() { 1.0 / p.shard_group as f64 } else { 1.0 };
    for matrix in matrices(job, ledger.stage) {
        let (m, n) = (matrix.inner.min(matrix.outer), matrix.inner.max(matrix.outer));
        // bfloat16: X is read and A written; A is read and B written; B and X are read and X is written
        let bytes = 2.0 * (3.0 * m * n + 4.0 * m * m);
        ledger.ops.push(Op {
            kind: OpKind::Orthogonalization,
            phase: Phase::Step,
            count: share * matrix.count,
            flops: Flops::new(ITERATIONS * (4.0 * m * m * n + 2.0 * m * m * m)),
            bytes: Bytes::new(ITERATIONS * bytes),
            kernels: 3.0 * ITERATIONS + OTHER_KERNELS,
        });
    }
}

/// `count` matrices of one shape.
struct Matrices {
    inner: f64,
    outer: f64,
    count: f64,
}

/// The matrices of the layers of a stage on one tensor-parallel rank.
fn matrices(job: &Job, stage: u64) -> Vec<Matrices> {
    let (a, p) = (&job.architecture, &job.parallelism);
    let tp = p.tp as f64;
    let tp_attention = if p.tensor_scope == TensorScope::Blocks { tp } else { 1.0 };
    // layers that share their weights are updated once
    let distinct = a.distinct_layers.map_or(1.0, |n| n as f64 / a.layers as f64);
    let decoders = (p.stage_layers(a, stage) - job.workload.frozen_layers) as f64 * distinct;
    let layers = decoders + a.encoder_layers as f64;
    let h = a.hidden_size as f64;
    let (q, values) =
        (a.query_width() as f64 / tp_attention, a.value_width() as f64 / tp_attention);
    let kv = (p.kv_heads_of_rank(a) * a.head_dim) as f64;
    let mut found = Vec::new();
    let mut add = |inner: f64, outer: f64, count: f64| {
        if count > 0.0 {
            found.push(Matrices { inner, outer, count });
        }
    };
    match a.latent {
        Some(latent) => {
            let rank = latent.kv_rank as f64;
            match latent.query_rank.map(|rank| rank as f64) {
                Some(rank) => {
                    add(h, rank, layers);
                    add(rank, q, layers);
                }
                None => add(h, q, layers),
            }
            add(h, rank + latent.rope_head_dim as f64, layers);
            let of_head = a.head_dim - latent.rope_head_dim + latent.value_head_dim;
            add(rank, (a.heads * of_head) as f64 / tp_attention, layers);
        }
        // one matrix, as it is stored
        None if matches!(a.kernels(), ModelType::Gpt2 | ModelType::GptNeox) => {
            add(h, q + 2.0 * kv, layers);
        }
        None => {
            add(h, q, layers);
            add(h, kv, 2.0 * layers);
        }
    }
    add(values, h, layers);
    if a.encoder_layers > 0 {
        add(h, q, decoders);
        add(h, kv, 2.0 * decoders);
        add(values, h, decoders);
    }
    // a shard group divides all experts, whichever rank holds them
    let held_by = if p.data.shards_optimizer() { 1 } else { p.ep };
    feed_forward(a, layers, tp, held_by as f64, &mut add);
    found
}

/// The feed-forward matrices of `layers` layers; of a mixture, those of one of `ep` parts of its experts and of its plain layers.
fn feed_forward(
    a: &Architecture,
    layers: f64,
    tp: f64,
    ep: f64,
    add: &mut impl FnMut(f64, f64, f64),
) {
    let h = a.hidden_size as f64;
    let projections = a.ffn_projections() as f64;
    let Some(experts) = a.experts else {
        add(h, a.ffn_size as f64 / tp, projections * layers);
        return;
    };
    let sparse = layers * a.expert_layers() as f64 / a.layers as f64;
    add(h, experts.count as f64, sparse);
    add(h, a.ffn_size as f64 / tp, projections * (experts.count as f64 / ep) * sparse);
    if experts.shared_ffn_size > 0 {
        add(h, experts.shared_ffn_size as f64 / tp, projections * sparse);
    }
    add(h, experts.dense_ffn_size as f64 / tp, projections * (layers - sparse));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{AttentionFlops, CollectiveRole};
    use crate::job::JobSpec;
    use crate::job::catalog::Catalog;

    fn ledger(parallelism: &str, gpus: u64) -> Ledger {
        let text = format!(
            "model = {{ family = 'llama', layers = 3, hidden_size = 64, heads = 4, kv_heads = 2, ffn_size = 96, vocab_size = 16 }}
             workload = {{ steps = 1, seq_len = 8, micro_batch = 1, optimizer = 'muon' }}
             parallelism = {{ {parallelism} }}
             system = {{ gpu = 'a100-sxm4-80gb', gpus = {gpus} }}"
        );
        let job =
            JobSpec::from_toml(&text).unwrap().resolve(&Catalog::built_in().unwrap()).unwrap();
        Ledger::for_stage(&job, 0, AttentionFlops::Full)
    }

    fn flops(ledger: &Ledger) -> f64 {
        ledger.per_step(|op| op.kind == OpKind::Orthogonalization).flops.value()
    }

    /// Three layers of two matrices of 64 × 64 (query, output), two of 64 × 32 (key, value) and three of 64 × 96; each takes
    /// 5 · (4 m² n + 2 m³) FLOPs.
    #[test]
    fn five_iterations_of_three_products_a_matrix() {
        let of = |m: f64, n: f64| 5.0 * (4.0 * m * m * n + 2.0 * m * m * m);
        let all = 3.0 * (2.0 * of(64.0, 64.0) + 2.0 * of(32.0, 64.0) + 3.0 * of(64.0, 96.0));
        assert_eq!(flops(&ledger("", 1)), all);
        // each rank updates all of them, or its share
        assert_eq!(flops(&ledger("strategy = 'ddp'", 4)), all);
        let sharded = ledger("strategy = 'zero1'", 4);
        assert_eq!(flops(&sharded), all / 4.0);
        // the momenta of 3 · (2 · 64² + 2 · 64 · 32 + 3 · 64 · 96) weights in bfloat16
        let gathered = sharded.ops.iter().filter_map(Op::collective);
        let gathered: Vec<f64> = gathered
            .filter(|c| c.role == CollectiveRole::MomentumGather)
            .map(|c| c.buffer.value())
            .collect();
        assert_eq!(gathered, [2.0 * 3.0 * (2.0 * 4096.0 + 2.0 * 2048.0 + 3.0 * 6144.0)]);
        // a block of 64 × 48 on each of two ranks
        let half = 3.0 * (2.0 * of(32.0, 64.0) + 2.0 * of(16.0, 64.0) + 3.0 * of(48.0, 64.0));
        assert_eq!(flops(&ledger("tp = 2", 2)), half);
    }
}
