//! What the roofline law asks of a job: its ledger, added up by what limits each part.

use crate::cost::{AttentionFlops, Cost, Ledger, Op, Phase, Span};
use crate::job::Job;
use crate::job::parallelism::Parallelism;
use crate::job::task::Task;
use crate::job::workload::Checkpointing;

/// What the discrepancy is a smooth function of: natural logarithms of counts, and two flags.
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

/// Bytes that a GPU sends in one kind of exchange, and how many exchanges there are.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Exchange {
    /// Bytes over links inside the node.
    pub node: f64,
    /// Bytes over the network between nodes.
    pub network: f64,
    /// Exchanges.
    pub count: f64,
}

/// Sums of one direction of the work: forward, backward, or recomputation.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Work {
    /// FLOPs of matrix products but attention's.
    pub product_flops: f64,
    /// FLOPs of attention's scores and context.
    pub attention_flops: f64,
    /// FLOPs of an output map whose vocabulary is no multiple of eight, which tensor cores do not take in full.
    pub unaligned_flops: f64,
    /// Bytes of memory traffic, exchanges apart.
    pub bytes: f64,
    /// Kernel launches, exchanges apart.
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

/// A job as the roofline law sees it: one GPU of the busiest pipeline stage; FLOPs, bytes, bytes a second, watts.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// Forward, recomputation and backward pass of a micro-step.
    pub micro_step: Work,
    /// Whether the time is that of a run, with its start and end, and not of one step within it.
    pub whole_run: bool,
    /// What the discrepancy is a smooth function of; see [`INPUTS`].
    pub inputs: [f64; INPUTS.len()],
    /// Layers of the stage.
    pub layers: f64,
    /// Tensor-parallel exchanges of a micro-step.
    pub tensor: Exchange,
    /// Pipeline exchanges of a micro-step.
    pub pipeline: Exchange,
    /// Data-parallel exchanges of a micro-step: gathers and scatters of shards.
    pub sharding: Exchange,
    /// Data-parallel exchanges of a step.
    pub step: Exchange,
    /// Memory traffic of the optimizer in a step.
    pub optimizer_bytes: f64,
    /// Kernels of the optimizer in a step.
    pub optimizer_kernels: f64,
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
    /// Adds up a job's ledger.
    pub fn of(job: &Job) -> Self {
        Self::of_cost(job, &Cost::count(job, AttentionFlops::Full))
    }

    /// Adds up a ledger that was counted.
    pub fn of_cost(job: &Job, cost: &Cost) -> Self {
        let ledger = cost.busiest_stage();
        let (s, p) = (&job.system, job.parallelism);
        // NVIDIA's guide to matrix products asks for multiples of 8 in half precision; a split vocabulary is padded
        let unaligned = p.tp == 1 && !job.architecture.vocab_size.is_multiple_of(8);
        let forward = work(ledger, Phase::Forward, unaligned);
        let recompute = work(ledger, Phase::Recompute, unaligned);
        let micro_step = forward.plus(recompute).plus(work(ledger, Phase::Backward, unaligned));
        let optimizer = ledger.ops.iter().find(|op| op.name == "optimizer");
        // a checked job has a peak for its precision
        let peak = s.accelerator.peak(job.workload.precision).map_or(f64::NAN, |peak| peak.value());
        Self {
            micro_step,
            whole_run: true,
            inputs: inputs(job),
            layers: (p.stage_layers(&job.architecture, ledger.stage)
                + job.architecture.encoder_layers) as f64,
            tensor: exchange(ledger, false, |name| {
                matches!(name, "tensor parallel" | "embedding" | "logits")
            }),
            pipeline: exchange(ledger, false, |name| name == "pipeline"),
            sharding: exchange(ledger, false, |name| matches!(name, "gradients" | "parameters")),
            step: exchange(ledger, true, |_| true),
            optimizer_bytes: optimizer.map_or(0.0, |op| op.bytes.value()),
            optimizer_kernels: optimizer.map_or(0.0, |op| op.kernels),
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

fn work(ledger: &Ledger, phase: Phase, unaligned: bool) -> Work {
    let mut sum = Work::default();
    for op in ledger.ops.iter().filter(|op| op.phase == phase && op.collective.is_none()) {
        let flops = op.flops.value() * op.count;
        if op.name == "attention core" {
            sum.attention_flops += flops;
        } else if op.name == "logits" && unaligned {
            sum.unaligned_flops += flops;
        } else {
            sum.product_flops += flops;
        }
        sum.bytes += op.bytes.value() * op.count;
        sum.kernels += op.kernels * op.count;
    }
    sum
}

fn exchange(ledger: &Ledger, once_a_step: bool, named: impl Fn(&str) -> bool) -> Exchange {
    let mut sum = Exchange::default();
    let wanted = |op: &&Op| (op.phase == Phase::Step) == once_a_step && named(op.name);
    for op in ledger.ops.iter().filter(wanted) {
        let Some(collective) = &op.collective else { continue };
        let sent = collective.sent_per_gpu().value() * op.count;
        match collective.span {
            Span::Node => sum.node += sent,
            Span::Network => sum.network += sent,
        }
        sum.count += op.count;
    }
    sum
}
