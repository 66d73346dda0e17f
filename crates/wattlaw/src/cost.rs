//! The ledger: the exact cost of a job on one GPU, operation by operation.
//!
//! Counting convention: a fused multiply-add is two FLOPs; matrix products and convolutions count, element-wise work
//! does not (it counts in bytes and kernels). Backward is twice forward, and 2.5 times in flash attention, which
//! computes the scores again: hardware FLOPs have that half, model FLOPs do not. Whether causal attention counts the
//! full square of scores or half of it is [`AttentionFlops`]; every total states the convention.

mod collective;
pub(crate) mod collectives;
mod kind;
mod layers;
mod offload;
pub(crate) mod optimizer;
mod orthogonalization;
mod reference;
mod stages;

pub use collective::{Collective, CollectiveKind, CollectiveRole, Span};
pub use kind::OpKind;
pub(crate) use stages::{EqualStages, equal_stages};

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::base::units::{Bytes, Flops};
use crate::base::words::words;
use crate::job::Job;

/// How causal attention's FLOPs are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AttentionFlops {
    /// The full square of scores, with any mask (PaLM's appendix B, PyTorch's counter with eager attention).
    #[default]
    Full,
    /// Half of the square for causal attention (Megatron-LM, fused causal kernels).
    Causal,
}

words!(AttentionFlops, "attention FLOP convention": Full = "full", Causal = "causal");

/// The phase of a step in which an operation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Forward pass of every micro-step.
    Forward,
    /// Forward pass of a frozen reference model in every micro-step.
    Reference,
    /// Recomputed forward work in the backward pass of every micro-step.
    Recompute,
    /// Backward pass of every micro-step.
    Backward,
    /// Once an optimizer step.
    Step,
}

impl Phase {
    /// The name used in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Reference => "reference",
            Self::Recompute => "recompute",
            Self::Backward => "backward",
            Self::Step => "step",
        }
    }
}

/// One line of the ledger; the numbers are for one execution on one GPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Op {
    /// The kind of operation.
    pub kind: OpKind,
    /// The phase.
    pub phase: Phase,
    /// Executions per micro-step (per step for [`Phase::Step`]).
    pub count: f64,
    /// Floating-point operations.
    pub flops: Flops,
    /// Memory read and written.
    pub bytes: Bytes,
    /// Kernels launched.
    pub kernels: f64,
}

impl Op {
    /// The name used in tables and JSON.
    pub const fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// Its communication with other GPUs, if it is a collective.
    pub const fn collective(&self) -> Option<&Collective> {
        if let OpKind::Collective(collective) = &self.kind { Some(collective) } else { None }
    }
}

impl Serialize for Op {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { kind, phase, count, flops, bytes, kernels } = self;
        let mut line = serializer.serialize_struct("Op", 7)?;
        line.serialize_field("name", kind.name())?;
        line.serialize_field("phase", phase)?;
        line.serialize_field("count", count)?;
        line.serialize_field("flops", flops)?;
        line.serialize_field("bytes", bytes)?;
        line.serialize_field("kernels", kernels)?;
        line.serialize_field("collective", &self.collective())?;
        line.end()
    }
}

/// Sums over operations.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Totals {
    /// Floating-point operations.
    pub flops: Flops,
    /// Memory traffic.
    pub bytes: Bytes,
    /// Kernel launches.
    pub kernels: f64,
    /// Bytes each GPU sends over links inside its node.
    pub node_link_bytes: Bytes,
    /// Bytes that the network adapter of each GPU sends to other nodes.
    pub network_bytes: Bytes,
}

impl Totals {
    fn add(&mut self, op: &Op, times: f64) {
        let n = op.count * times;
        self.flops += op.flops * n;
        self.bytes += op.bytes * n;
        self.kernels += op.kernels * n;
        if let Some(collective) = op.collective() {
            self.node_link_bytes += collective.node_link_bytes_per_gpu() * n;
            self.network_bytes += collective.network_bytes_per_gpu() * n;
        }
    }

    fn add_totals(&mut self, other: &Self, times: f64) {
        self.flops += other.flops * times;
        self.bytes += other.bytes * times;
        self.kernels += other.kernels * times;
        self.node_link_bytes += other.node_link_bytes * times;
        self.network_bytes += other.network_bytes * times;
    }
}

/// The operations of one GPU of one pipeline stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ledger {
    /// The pipeline stage, from 0.
    pub stage: u64,
    /// Micro-steps of an optimizer step.
    pub micro_steps: u64,
    /// The lines.
    pub ops: Vec<Op>,
}

impl Ledger {
    /// Counts one GPU of pipeline stage `stage` (from 0; clamped to the last one).
    pub fn for_stage(job: &Job, stage: u64, attention: AttentionFlops) -> Self {
        let ops = Vec::with_capacity(96);
        let mut ledger = Self { stage: 0, micro_steps: job.workload.grad_accum, ops };
        ledger.count(job, stage.min(job.parallelism.pp - 1), attention);
        ledger
    }

    /// Counts one GPU of another stage of the same job, in the same memory.
    pub(crate) fn count(&mut self, job: &Job, stage: u64, attention: AttentionFlops) {
        self.stage = stage;
        self.ops.clear();
        for stack in job.stacks().iter() {
            let held = optimizer::stage_parameters(stack, stage);
            layers::count(stack, attention, self);
            optimizer::count(stack, &held, self);
            orthogonalization::count(stack, self);
            collectives::count(stack, &held, self);
            offload::count(stack, &held, self);
        }
        reference::count(&job.workload, &mut self.ops);
    }

    /// Sums over the operations for which `keep` is true, for one optimizer step.
    pub fn per_step(&self, keep: impl Fn(&Op) -> bool) -> Totals {
        let mut totals = Totals::default();
        for op in self.ops.iter().filter(|op| keep(op)) {
            let times = if op.phase == Phase::Step { 1.0 } else { self.micro_steps as f64 };
            totals.add(op, times);
        }
        totals
    }

    /// FLOPs of one optimizer step.
    pub(crate) fn flops_per_step(&self) -> f64 {
        let of = |op: &Op| {
            let times = if op.phase == Phase::Step { 1.0 } else { self.micro_steps as f64 };
            (op.flops * (op.count * times)).value()
        };
        self.ops.iter().map(of).sum()
    }

    /// Sums over all operations of a micro-step; operations of [`Phase::Step`] are left out.
    pub fn per_micro_step(&self) -> Totals {
        let mut totals = Totals::default();
        for op in self.ops.iter().filter(|op| op.phase != Phase::Step) {
            totals.add(op, 1.0);
        }
        totals
    }
}

/// The cost of a job: the ledger of each pipeline stage, and totals of the run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// The convention of all FLOPs in this cost.
    pub attention_flops: AttentionFlops,
    /// One ledger a pipeline stage.
    pub stages: Vec<Ledger>,
    /// Totals of one optimizer step over all GPUs: hardware FLOPs, with recomputation and replicated work.
    pub hardware_per_step: Totals,
    /// Model FLOPs of one optimizer step: without recomputation and replicated work, independent of the parallelism.
    pub model_flops_per_step: Flops,
    /// Optimizer steps of the run.
    pub steps: f64,
}

impl Cost {
    /// Counts a job.
    ///
    /// ```
    /// # use wattlaw::job::catalog::Catalog;
    /// # use wattlaw::cost::{AttentionFlops, Cost};
    /// # use wattlaw::job::JobSpec;
    /// # let spec = JobSpec::from_toml("model.name = 'gpt2'
    /// # workload = { steps = 1, seq_len = 1024, micro_batch = 1 }
    /// # system = { gpu = 'a100-sxm4-80gb' }")?;
    /// # let job = spec.resolve(&Catalog::built_in()?)?;
    /// let cost = Cost::count(&job, AttentionFlops::Full);
    /// let six_n_d = 6.0 * 124_439_808.0 * 1024.0;
    /// assert!((cost.model_flops_per_step.value() / six_n_d - 1.0).abs() < 0.2);
    /// # Ok::<(), wattlaw::Error>(())
    /// ```
    pub fn count(job: &Job, attention: AttentionFlops) -> Self {
        let p = &job.parallelism;
        let stages: Vec<Ledger> =
            (0..p.pp).map(|stage| Ledger::for_stage(job, stage, attention)).collect();
        let mut hardware = Totals::default();
        for ledger in &stages {
            hardware.add_totals(&ledger.per_step(|_| true), (p.replicas() * p.tp) as f64);
        }
        Self {
            attention_flops: attention,
            hardware_per_step: hardware,
            model_flops_per_step: layers::model_flops_per_step(job, attention),
            steps: job.steps(),
            stages,
        }
    }

    /// Hardware FLOPs of the whole run: with recomputation and replicated work.
    pub fn hardware_flops(&self) -> Flops {
        self.hardware_per_step.flops * self.steps
    }

    /// Model FLOPs of the whole run: without recomputation and replicated work.
    pub fn model_flops(&self) -> Flops {
        self.model_flops_per_step * self.steps
    }

    /// The share of hardware FLOPs that a job with precision fp8 computes in 8 bits; the rest stays in 16 bits.
    pub fn share_in_8_bits(&self) -> f64 {
        let sum = |keep: &dyn Fn(&Op) -> bool| -> f64 {
            self.stages.iter().map(|ledger| ledger.per_step(keep).flops.value()).sum()
        };
        sum(&|op| op.kind.runs_in_8_bits()) / sum(&|_| true)
    }

    /// The first of the stages with the most hardware FLOPs, which sets the pace of the pipeline.
    pub fn busiest_stage(&self) -> &Ledger {
        let (mut busiest, mut most) = (&self.stages[0], 0.0);
        for ledger in &self.stages {
            let flops = ledger.flops_per_step();
            if flops > most {
                (busiest, most) = (ledger, flops);
            }
        }
        busiest
    }
}
