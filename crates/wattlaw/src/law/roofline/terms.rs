//! What the roofline law asks of a job: its ledger, added up by what limits each part.

use crate::cost::{AttentionFlops, Cost, Ledger, Op, Phase, Span};
use crate::job::Job;
use crate::parallel::Parallelism;

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
    /// Bytes of memory traffic, exchanges apart.
    pub bytes: f64,
    /// Kernel launches, exchanges apart.
    pub kernels: f64,
}

impl Work {
    /// All FLOPs.
    pub fn flops(&self) -> f64 {
        self.product_flops + self.attention_flops
    }

    fn plus(self, other: Self) -> Self {
        Self {
            product_flops: self.product_flops + other.product_flops,
            attention_flops: self.attention_flops + other.attention_flops,
            bytes: self.bytes + other.bytes,
            kernels: self.kernels + other.kernels,
        }
    }
}

/// A job as the roofline law sees it: one GPU of the busiest pipeline stage; FLOPs, bytes, bytes a second, watts.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// Forward pass of a micro-step.
    pub forward: Work,
    /// Forward, recomputation and backward pass of a micro-step.
    pub micro_step: Work,
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
        let forward = work(ledger, Phase::Forward);
        let micro_step =
            forward.plus(work(ledger, Phase::Recompute)).plus(work(ledger, Phase::Backward));
        let (s, p) = (&job.system, job.parallelism);
        let optimizer = ledger.ops.iter().find(|op| op.name == "optimizer");
        // a checked job has a peak for its precision
        let peak = s.accelerator.peak(job.workload.precision).map_or(f64::NAN, |peak| peak.value());
        Self {
            forward,
            micro_step,
            layers: (p.stage_layers(&job.architecture, ledger.stage) + job.architecture.encoder_layers) as f64,
            tensor: exchange(ledger, false, |name| matches!(name, "tensor parallel" | "embedding" | "logits")),
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

fn work(ledger: &Ledger, phase: Phase) -> Work {
    let mut sum = Work::default();
    for op in ledger.ops.iter().filter(|op| op.phase == phase && op.collective.is_none()) {
        let flops = op.flops.value() * op.count;
        if op.name == "attention core" {
            sum.attention_flops += flops;
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
