//! The inputs of the roofline law: sums over a job's ledger, by the resource that limits each part.
//!
//! Every operation of the ledger is in exactly one sum; time and energy follow from these sums. A collective counts by
//! its sent bytes and its number; its memory traffic and kernel are part of the fitted rate and latency.

use crate::cost::{AttentionFlops, Collective, CollectiveRole, Cost, Ledger, OpKind, Phase};
use crate::job::Job;
use crate::job::parallelism::Parallelism;
use crate::job::task::Task;
use crate::job::workload::Checkpointing;

/// The inputs of the discrepancy: natural logarithms of counts, and two flags.
pub const INPUTS: [&str; 12] = [
    "log_layers",
    "log_hidden_size",
    "log_micro_tokens",
    "log_seq_len",
    "log_gpus",
    "log_tp",
    "log_pp",
    "log_grad_accum",
    "log_micro_steps",
    "sharded",
    "checkpointed",
    "log_vocab_size",
];

fn inputs(job: &Job) -> [f64; INPUTS.len()] {
    let (a, w, p) = (&job.architecture, &job.workload, &job.parallelism);
    let log = |n: u64| (n.max(1) as f64).ln();
    let flag = |yes: bool| if yes { 1.0 } else { 0.0 };
    let head = match w.task {
        Task::Classification { labels } => labels,
        _ => a.vocab_size,
    };
    [
        log(a.total_layers()),
        log(a.hidden_size),
        log(w.micro_positions()),
        log(w.positions_per_sequence()),
        log(p.gpus()),
        log(p.tp),
        log(p.pp),
        log(w.grad_accum),
        (job.steps() * w.grad_accum as f64).ln(),
        flag(p.data.shards_parameters()),
        flag(w.checkpointing != Checkpointing::None),
        log(head),
    ]
}

/// Communication of one kind, per GPU.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Communication {
    /// Bytes over links inside the node.
    pub node: f64,
    /// Bytes over the network between nodes.
    pub network: f64,
    /// Exchanges, as [`Collective::exchanges`] counts them.
    pub count: f64,
}

impl Communication {
    /// Bytes over links and network together.
    pub fn sent(&self) -> f64 {
        self.node + self.network
    }

    fn add(&mut self, collective: &Collective, count: f64) {
        self.node += collective.node_link_bytes_per_gpu().value() * count;
        self.network += collective.network_bytes_per_gpu().value() * count;
        self.count += collective.exchanges() * count;
    }
}

/// Sums of computing operations.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Work {
    /// FLOPs of matrix products except those of attention.
    pub product_flops: f64,
    /// FLOPs of attention's scores and context.
    pub attention_flops: f64,
    /// FLOPs of logits whose vocabulary size is not a multiple of eight, for which tensor cores are slower.
    pub unaligned_flops: f64,
    /// Bytes of memory traffic, without collectives.
    pub bytes: f64,
    /// Kernel launches, without collectives.
    pub kernels: f64,
}

impl Work {
    /// All FLOPs.
    pub fn flops(&self) -> f64 {
        self.product_flops + self.attention_flops + self.unaligned_flops
    }

    fn plus(self, other: Self) -> Self {
        Self {
            product_flops: self.product_flops + other.product_flops,
            attention_flops: self.attention_flops + other.attention_flops,
            unaligned_flops: self.unaligned_flops + other.unaligned_flops,
            bytes: self.bytes + other.bytes,
            kernels: self.kernels + other.kernels,
        }
    }
}

/// The inputs of the roofline law: one GPU of the busiest pipeline stage; FLOPs, bytes, bytes a second, watts.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// Forward, recomputation and backward pass of a micro-step.
    pub micro_step: Work,
    /// Whether the time is that of a whole run with start-up and end, not of one step.
    pub whole_run: bool,
    /// The inputs of the discrepancy; see [`INPUTS`].
    pub inputs: [f64; INPUTS.len()],
    /// Layers of the stage.
    pub layers: f64,
    /// Tensor-parallel communication of a micro-step.
    pub tensor_parallel: Communication,
    /// Pipeline communication of a micro-step.
    pub pipeline: Communication,
    /// FSDP communication of a micro-step: parameters gathered, gradients scattered (with ZeRO-2 gradients alone).
    pub fsdp: Communication,
    /// Communication of a step: gradient all-reduce, and ZeRO's scatters and gathers in its place.
    pub gradients: Communication,
    /// The optimizer in a step.
    pub optimizer: Work,
    /// Micro-steps of a step.
    pub micro_steps: f64,
    /// Steps of the run.
    pub steps: f64,
    /// Idle share of a pipeline, (p − 1)/(m v).
    pub bubble: f64,
    /// Accelerators.
    pub gpus: f64,
    /// Nodes.
    pub nodes: f64,
    /// Degrees and kinds.
    pub parallelism: Parallelism,
    /// Peak FLOP/s in the job's precision.
    pub peak: f64,
    /// Memory bandwidth.
    pub bandwidth: f64,
    /// Link inside the node, one direction.
    pub link: f64,
    /// Network between nodes, one direction.
    pub network: f64,
    /// Power limit of an accelerator.
    pub power_limit: f64,
    /// Thermal design power of an accelerator.
    pub tdp: f64,
}

impl Terms {
    /// Counts a job and sums its ledger.
    pub fn for_job(job: &Job) -> Self {
        Self::from_cost(job, &Cost::count(job, AttentionFlops::Full))
    }

    /// Sums the ledger of a counted job.
    pub fn from_cost(job: &Job, cost: &Cost) -> Self {
        let ledger = cost.busiest_stage();
        let (s, p) = (&job.system, job.parallelism);
        // NVIDIA's guide to matrix products requires multiples of 8 in half precision; a split vocabulary is padded
        let unaligned = p.tp == 1 && !job.architecture.padded_vocab().is_multiple_of(8);
        let Sums { forward, recompute, backward, step, tensor_parallel, pipeline, fsdp, gradients } =
            Sums::from_ledger(ledger, unaligned);
        // resolve() checks that the accelerator has a peak for the precision
        let peak = s.accelerator.peak(job.workload.precision).map_or(f64::NAN, |peak| peak.value());
        Self {
            micro_step: forward.plus(recompute).plus(backward),
            whole_run: true,
            inputs: inputs(job),
            layers: (p.stage_layers(&job.architecture, ledger.stage)
                + job.architecture.encoder_layers) as f64,
            tensor_parallel,
            pipeline,
            fsdp,
            gradients,
            optimizer: step,
            micro_steps: ledger.micro_steps as f64,
            steps: cost.steps,
            bubble: p.bubble(ledger.micro_steps),
            gpus: s.gpus as f64,
            nodes: s.nodes() as f64,
            parallelism: p,
            peak,
            bandwidth: s.accelerator.hbm_bandwidth().value(),
            link: s.link.bandwidth.value(),
            network: s.network.bandwidth.value(),
            power_limit: s.power_limit.value(),
            tdp: s.accelerator.tdp_w,
        }
    }
}

/// Sums over a ledger, per micro-step; `step` and `gradients` are per step.
#[derive(Default)]
struct Sums {
    forward: Work,
    recompute: Work,
    backward: Work,
    step: Work,
    tensor_parallel: Communication,
    pipeline: Communication,
    fsdp: Communication,
    gradients: Communication,
}

impl Sums {
    fn from_ledger(ledger: &Ledger, unaligned: bool) -> Self {
        let mut sums = Self::default();
        for op in &ledger.ops {
            let computes = match op.kind {
                OpKind::AttentionCore { causal: _ } => Flop::Attention,
                OpKind::Logits if unaligned => Flop::Unaligned,
                OpKind::Logits
                | OpKind::PatchProjection
                | OpKind::EmbeddingProjection
                | OpKind::QueryKeyValue
                | OpKind::Adapter
                | OpKind::AttentionOutput
                | OpKind::CrossQuery
                | OpKind::CrossKeyValue
                | OpKind::CrossOutput
                | OpKind::Router
                | OpKind::FfnUp
                | OpKind::FfnGateAndUp
                | OpKind::FfnDown
                | OpKind::MaskedLmTransform
                | OpKind::OutputProjection
                | OpKind::Pooler
                | OpKind::Classifier => Flop::Product,
                // element-wise work has no FLOPs by the ledger's convention, only bytes and kernels
                OpKind::Embedding
                | OpKind::Norm
                | OpKind::Rotary
                | OpKind::FfnActivation
                | OpKind::ExpertWeights
                | OpKind::Residual
                | OpKind::FinalNorm
                | OpKind::Loss
                | OpKind::Optimizer => Flop::Product,
                OpKind::Collective(collective) => {
                    sums.communication(op.phase, collective.role).add(&collective, op.count);
                    continue;
                }
            };
            let work = sums.work(op.phase);
            let flops = op.flops.value() * op.count;
            match computes {
                Flop::Product => work.product_flops += flops,
                Flop::Attention => work.attention_flops += flops,
                Flop::Unaligned => work.unaligned_flops += flops,
            }
            work.bytes += op.bytes.value() * op.count;
            work.kernels += op.kernels * op.count;
        }
        sums
    }

    const fn work(&mut self, phase: Phase) -> &mut Work {
        match phase {
            Phase::Forward => &mut self.forward,
            Phase::Recompute => &mut self.recompute,
            Phase::Backward => &mut self.backward,
            Phase::Step => &mut self.step,
        }
    }

    const fn communication(&mut self, phase: Phase, role: CollectiveRole) -> &mut Communication {
        match phase {
            // communication once a step is partly hidden, for every role
            Phase::Step => &mut self.gradients,
            Phase::Forward | Phase::Recompute | Phase::Backward => match role {
                CollectiveRole::TensorParallelActivations
                | CollectiveRole::TensorParallelEmbedding
                | CollectiveRole::TensorParallelLogits => &mut self.tensor_parallel,
                CollectiveRole::PipelineActivations => &mut self.pipeline,
                CollectiveRole::ParameterGather
                | CollectiveRole::GradientReduction
                | CollectiveRole::GradientReductionBetweenGroups
                | CollectiveRole::TiedEmbeddingGradients => &mut self.fsdp,
            },
        }
    }
}

/// The kind of FLOPs, each with its own rate.
enum Flop {
    Product,
    Attention,
    Unaligned,
}
