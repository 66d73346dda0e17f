//! Methods of training that no fitted run has: what is estimated of them without measurements.

use crate::job::Job;
use crate::job::workload::{Offload, Quantization, TrainingObjective};

/// A method of a job that no run of the built-in law has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unmeasured {
    /// Sequences split among ranks.
    ContextParallelism,
    /// Experts split among ranks.
    ExpertParallelism,
    /// A reference model beside the trained one.
    PreferenceTuning,
    /// States in the memory of the host.
    Offload,
    /// Magnitudes of adapted weights.
    Dora,
    /// Layers without a backward pass.
    FrozenLayers,
    /// Several documents in a sequence, apart from each other.
    PackedDocuments,
    /// Frozen projections in few bits.
    QuantizedWeights,
    /// Stacks of a width each.
    SeveralStacks,
}

impl Unmeasured {
    /// Those of a job.
    pub(super) fn of(job: &Job) -> Vec<Self> {
        let p = &job.parallelism;
        let w = &job.workload;
        [
            (Self::ContextParallelism, p.cp > 1),
            (Self::ExpertParallelism, p.ep > 1),
            (Self::Offload, w.offload != Offload::None),
            (Self::Dora, w.dora),
            (Self::FrozenLayers, w.frozen_layers > 0),
            (Self::PackedDocuments, w.document_len.is_some()),
            (Self::PreferenceTuning, w.objective == TrainingObjective::Dpo),
            (Self::QuantizedWeights, w.quantization != Quantization::None),
            (Self::SeveralStacks, !job.architecture.other_stacks.is_empty()),
        ]
        .into_iter()
        .filter_map(|(method, is_used)| is_used.then_some(method))
        .collect()
    }

    /// Its name in a sentence.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ContextParallelism => "context parallelism",
            Self::ExpertParallelism => "expert parallelism",
            Self::PreferenceTuning => "preference tuning",
            Self::Offload => "states on the host",
            Self::Dora => "DoRA",
            Self::FrozenLayers => "frozen layers",
            Self::PackedDocuments => "attention within packed documents",
            Self::QuantizedWeights => "quantized weights",
            Self::SeveralStacks => "stacks of several widths",
        }
    }

    /// What an answer does about it.
    pub(super) const fn estimated(self) -> &'static str {
        match self {
            // the ratio of crates/wattlaw/tests/it/context.rs
            Self::ContextParallelism => {
                "the exchange of keys and values is estimated from physics only; 30 measured runs on two ranks took 1.03 of the estimated time (median)"
            }
            Self::ExpertParallelism => {
                "the exchange of tokens is estimated from physics only, with equal numbers of tokens for all experts"
            }
            Self::PreferenceTuning => {
                "the reference model's forward pass is counted like that of the trained one"
            }
            Self::Dora => {
                "its norms and magnitudes are counted as PEFT computes them without dropout"
            }
            Self::FrozenLayers => "they are counted with a forward pass alone",
            Self::PackedDocuments => {
                "all documents are counted with their mean length, and a mixture of lengths takes longer"
            }
            // the ratio of crates/wattlaw/tests/it/quantized.rs
            Self::QuantizedWeights => {
                "their expansion is estimated from physics only; 80 measured runs with GPTQ and fused kernels took 0.81 of the estimated time (median)"
            }
            Self::SeveralStacks => {
                "they are counted one after another, and nothing of them overlaps"
            }
            Self::Offload => {
                "transfers at 0.8 of the PCI Express rate and updates at 200 GB/s of a node's memory are assumed, and no power of its CPUs for them"
            }
        }
    }
}
