//! What a planner chooses.

use crate::base::words::words;
use crate::job::Job;
use crate::job::parallelism::Schedule;

/// A choice of the planner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Choice {
    /// The accelerators.
    Gpu,
    /// Their number.
    Gpus,
    /// What data-parallel ranks shard.
    Strategy,
    /// Tensor-parallel ranks.
    Tp,
    /// Pipeline stages.
    Pp,
    /// Context-parallel ranks.
    Cp,
    /// Expert-parallel ranks.
    Ep,
    /// Whether tensor parallelism splits the sequence.
    SequenceParallel,
    /// The order of micro-batches in a pipeline, with its model chunks.
    Schedule,
    /// Sequences of a micro-batch; accumulation follows.
    MicroBatch,
    /// Recomputed activations.
    Checkpointing,
    /// Number format of products.
    Precision,
    /// Power limit of an accelerator.
    PowerLimit,
}

words!(Choice, "choice": Gpu = "gpu", Gpus = "gpus", Strategy = "strategy", Tp = "tp", Pp = "pp", Cp = "cp", Ep = "ep",
    SequenceParallel = "sequence-parallel", Schedule = "schedule", MicroBatch = "micro-batch",
    Checkpointing = "checkpointing", Precision = "precision", PowerLimit = "power-limit");

impl Choice {
    /// All choices, in the order of an answer.
    pub const ALL: [Self; 13] = [
        Self::Gpu,
        Self::Gpus,
        Self::Strategy,
        Self::Tp,
        Self::Pp,
        Self::Cp,
        Self::Ep,
        Self::SequenceParallel,
        Self::Schedule,
        Self::MicroBatch,
        Self::Checkpointing,
        Self::Precision,
        Self::PowerLimit,
    ];

    /// Whether it says how a batch is laid out on accelerators.
    pub(super) const fn is_of_layout(self) -> bool {
        use Choice::{Gpus, MicroBatch, Pp, Schedule, SequenceParallel, Strategy, Tp};
        matches!(self, Gpus | Strategy | Tp | Pp | SequenceParallel | Schedule | MicroBatch)
    }

    /// The job's value in a few words.
    pub fn value(self, job: &Job) -> String {
        let (w, p) = (&job.workload, &job.parallelism);
        match self {
            Self::Gpu => job.system.accelerator.name.clone(),
            Self::Gpus => job.system.gpus.to_string(),
            Self::Strategy => p.data.to_string(),
            Self::Tp => p.tp.to_string(),
            Self::Pp => p.pp.to_string(),
            Self::Cp => p.cp.to_string(),
            Self::Ep => p.ep.to_string(),
            Self::SequenceParallel => if p.sequence_parallel { "on" } else { "off" }.to_owned(),
            Self::Schedule => match p.schedule {
                Schedule::OneForwardOneBackward => p.schedule.to_string(),
                Schedule::Interleaved => format!("{} × {}", p.schedule, p.virtual_stages),
            },
            Self::MicroBatch => w.micro_batch.to_string(),
            Self::Checkpointing => w.checkpointing.to_string(),
            Self::Precision => w.precision.to_string(),
            Self::PowerLimit => format!("{:.0} W", job.system.power_limit.value()),
        }
    }
}
