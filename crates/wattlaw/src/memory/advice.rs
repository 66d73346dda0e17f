//! Advice to make a job fit: changes, each with its estimated peak.

use std::fmt;

use serde::Serialize;

use super::{FITS_THRESHOLD, Memory, Recipe};
use crate::base::units::Bytes;
use crate::job::Job;
use crate::job::parallelism::{DataParallel, TensorScope};
use crate::job::workload::{AttentionKernel, Checkpointing, Optimizer};

/// Maximum number of GPUs in advice.
const MAX_GPUS: u64 = 4096;

/// A change to a job that lowers its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// Fused attention.
    FlashAttention,
    /// Parameters, gradients and optimizer states sharded among the existing data-parallel ranks.
    Shard,
    /// Smaller micro-batches, with more per step.
    MicroBatch {
        /// Sequences per micro-batch of a data-parallel rank.
        micro_batch: u64,
        /// Micro-batches a step.
        grad_accum: u64,
    },
    /// Every layer recomputed in the backward pass.
    FullCheckpointing,
    /// Adam with 8-bit moments.
    Adam8bit,
    /// Layers split over more GPUs.
    TensorParallel {
        /// Tensor-parallel ranks.
        tp: u64,
        /// Data-parallel ranks.
        dp: u64,
        /// GPUs in all.
        gpus: u64,
    },
    /// More GPUs, parameters, gradients and optimizer states sharded among them.
    ShardOver {
        /// GPUs in all.
        gpus: u64,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FlashAttention => write!(f, "use fused attention"),
            Self::Shard => write!(f, "shard with fsdp"),
            Self::MicroBatch { micro_batch, grad_accum } => {
                write!(f, "use micro_batch {micro_batch} with grad_accum {grad_accum}")
            }
            Self::FullCheckpointing => write!(f, "checkpoint all activations"),
            Self::Adam8bit => write!(f, "use the optimizer adam8bit"),
            Self::TensorParallel { tp, dp, gpus } => {
                write!(f, "use tp {tp} and dp {dp} on {gpus} GPUs")
            }
            Self::ShardOver { gpus } => write!(f, "shard with fsdp over {gpus} GPUs"),
        }
    }
}

/// One way to make a job fit.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Advice {
    /// The change, or changes that only fit together.
    pub changes: Vec<Change>,
    /// Peak memory of a GPU after the change.
    pub peak: Bytes,
    /// GPU memory available to a process.
    pub capacity: Bytes,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes: Vec<String> = self.changes.iter().map(ToString::to_string).collect();
        let (peak, capacity) = (self.peak.gib(), self.capacity.gib());
        write!(f, "{}: {peak:.1} of {capacity:.1} GiB a GPU", changes.join(", "))
    }
}

impl Memory {
    /// Whether the job fits with a margin for the error of the estimate: with a probability of [`FITS_THRESHOLD`].
    pub fn fits_with_room(&self) -> bool {
        self.fits_probability() >= FITS_THRESHOLD
    }

    /// Finds changes that make a job fit with a margin: every single sufficient change, or else a combination, or
    /// nothing.
    ///
    /// The peak of each is the estimate for the changed job.
    pub fn advice(job: &Job, recipe: &Recipe) -> Vec<Advice> {
        if Self::with_recipe(job, recipe).fits_with_room() {
            return Vec::new();
        }
        let tries = [
            flash_attention(job),
            shard(job),
            smaller_micro_batch(job, recipe),
            full_checkpointing(job),
            adam_8bit(job),
            tensor_parallel(job, recipe),
            shard_over(job, recipe),
        ];
        let alone: Vec<Advice> = tries
            .into_iter()
            .flatten()
            .filter_map(|change| Advice::tried(vec![change], &change.apply(job), recipe))
            .collect();
        if alone.is_empty() { together(job, recipe).into_iter().collect() } else { alone }
    }

    /// The memory of a job with every change of the advice that keeps its GPUs' model and its results: the least that it
    /// takes.
    pub fn least(job: &Job, recipe: &Recipe) -> Self {
        let mut changed = job.clone();
        for step in STEPS {
            if let Some(change) = step(&changed) {
                changed = change.apply(&changed);
            }
        }
        let gpus = changed.parallelism.gpus();
        let doublings = (MAX_GPUS / gpus.max(1)).max(1).ilog2();
        let spread = Change::ShardOver { gpus: gpus << doublings }.apply(&changed);
        Self::with_recipe(&spread, recipe)
    }
}

/// Changes that need no more GPUs and keep the results, in the order in which they are taken together.
const STEPS: [fn(&Job) -> Option<Change>; 5] =
    [flash_attention, shard, single_sequence, full_checkpointing, adam_8bit];

impl Advice {
    fn tried(changes: Vec<Change>, changed: &Job, recipe: &Recipe) -> Option<Self> {
        let memory = Memory::with_recipe(changed, recipe);
        let (peak, capacity) = (memory.peak(), memory.capacity);
        memory.fits_with_room().then_some(Self { changes, peak, capacity })
    }
}

/// [`STEPS`], added until the job fits.
fn together(job: &Job, recipe: &Recipe) -> Option<Advice> {
    let mut changed = job.clone();
    let mut changes = Vec::new();
    for step in STEPS {
        let Some(change) = step(&changed) else { continue };
        changed = change.apply(&changed);
        changes.push(change);
        if let Some(advice) = Advice::tried(changes.clone(), &changed, recipe) {
            return Some(advice);
        }
    }
    let change = shard_over(&changed, recipe)?;
    changed = change.apply(&changed);
    changes.retain(|kept| *kept != Change::Shard);
    changes.push(change);
    Advice::tried(changes, &changed, recipe)
}

impl Change {
    fn apply(&self, job: &Job) -> Job {
        let mut job = job.clone();
        let (w, p) = (&mut job.workload, &mut job.parallelism);
        match *self {
            Self::FlashAttention => w.attention = AttentionKernel::Flash,
            Self::Shard => (p.data, p.shard_group) = (DataParallel::Fsdp, p.replicas()),
            Self::MicroBatch { micro_batch, grad_accum } => {
                (w.micro_batch, w.grad_accum) = (micro_batch, grad_accum);
            }
            Self::FullCheckpointing => w.checkpointing = Checkpointing::Full,
            Self::Adam8bit => w.optimizer = Optimizer::Adam8bit,
            Self::TensorParallel { tp, dp, gpus } => {
                (p.tp, p.dp, job.system.gpus) = (tp, dp, gpus);
                let replicas = p.replicas();
                p.data = if replicas == 1 { DataParallel::Single } else { p.data };
                p.shard_group =
                    if p.data.shards_optimizer() { p.shard_group.min(replicas) } else { 1 };
            }
            Self::ShardOver { gpus } => {
                (p.dp, job.system.gpus) = (gpus / (p.tp * p.cp * p.pp), gpus);
                (p.data, p.shard_group) = (DataParallel::Fsdp, p.replicas());
            }
        }
        let node = job.system.gpus_per_node;
        // a node of the job's size grows with the job, up to eight GPUs
        if node < 8 && job.system.gpus > node {
            job.system.gpus_per_node = job.system.gpus.min(8);
        }
        job
    }
}

fn flash_attention(job: &Job) -> Option<Change> {
    (job.workload.attention == AttentionKernel::Eager).then_some(Change::FlashAttention)
}

fn shard(job: &Job) -> Option<Change> {
    let p = &job.parallelism;
    (p.replicas() > 1 && !p.data.shards_parameters()).then_some(Change::Shard)
}

fn full_checkpointing(job: &Job) -> Option<Change> {
    (job.workload.checkpointing != Checkpointing::Full).then_some(Change::FullCheckpointing)
}

fn adam_8bit(job: &Job) -> Option<Change> {
    (job.workload.optimizer == Optimizer::AdamW).then_some(Change::Adam8bit)
}

fn micro_batch_of(job: &Job, micro_batch: u64) -> Option<Change> {
    let w = &job.workload;
    let smaller = micro_batch < w.micro_batch && w.micro_batch.is_multiple_of(micro_batch);
    let grad_accum = w.grad_accum.checked_mul(w.micro_batch / micro_batch)?;
    smaller.then_some(Change::MicroBatch { micro_batch, grad_accum })
}

fn single_sequence(job: &Job) -> Option<Change> {
    micro_batch_of(job, 1)
}

/// The largest divisor of the micro-batch that fits.
fn smaller_micro_batch(job: &Job, recipe: &Recipe) -> Option<Change> {
    let most = job.workload.micro_batch;
    (2..=most.min(1 << 16))
        .filter(|parts| most.is_multiple_of(*parts))
        .filter_map(|parts| micro_batch_of(job, most / parts))
        .find(|change| fits(change, job, recipe))
}

/// The fewest tensor-parallel ranks inside a node that fit, replacing data-parallel ranks or in addition.
fn tensor_parallel(job: &Job, recipe: &Recipe) -> Option<Change> {
    let (a, p) = (&job.architecture, &job.parallelism);
    let most = job.system.gpus_per_node.max(8);
    (1..)
        .map(|doublings| (p.tp << doublings, 1 << doublings))
        .take_while(|(tp, _)| *tp <= most)
        .filter(|(tp, _)| a.ffn_size.is_multiple_of(*tp))
        .filter(|(tp, _)| p.tensor_scope == TensorScope::Mlp || a.heads.is_multiple_of(*tp))
        .map(|(tp, times)| {
            let dp = if p.dp.is_multiple_of(times) { p.dp / times } else { p.dp };
            Change::TensorParallel { tp, dp, gpus: tp * dp * p.cp * p.pp }
        })
        .filter(|change| change.apply(job).parallelism.replicas().is_multiple_of(p.ep))
        .find(|change| fits(change, job, recipe))
}

/// The smallest doubling of GPUs that fits with FSDP.
fn shard_over(job: &Job, recipe: &Recipe) -> Option<Change> {
    let gpus = job.parallelism.gpus();
    (1..)
        .map(|doublings| gpus.saturating_mul(1 << doublings))
        .take_while(|gpus| *gpus <= MAX_GPUS)
        .map(|gpus| Change::ShardOver { gpus })
        .find(|change| fits(change, job, recipe))
}

fn fits(change: &Change, job: &Job, recipe: &Recipe) -> bool {
    Memory::with_recipe(&change.apply(job), recipe).fits_with_room()
}
