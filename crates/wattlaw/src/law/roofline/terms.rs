//! The inputs of the law: sums over a job's ledger, by the resource that limits each part.
//!
//! Every operation of the ledger is in exactly one sum. Time is set by the busiest pipeline stage; energy is drawn by
//! all of them, so its sums are means over stages.

use super::discrepancy::{Configuration, INPUTS};
use crate::base::scope::Covers;
use crate::cost::{
    AttentionFlops, Collective, CollectiveRole, Cost, EqualStages, Ledger, OpKind, Phase, Span,
    equal_stages,
};
use crate::job::Job;
use crate::job::parallelism::ContextExchange;
use crate::job::system::LinkKind;
use crate::job::workload::{AttentionKernel, Precision};

/// Matrix products of one kind, per micro-step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Products {
    /// FLOPs that are computed: half the square of scores for fused causal attention.
    pub flops: f64,
    /// Σ √(FLOPs × kernels) over operations, for the saturation of small products.
    pub saturation: f64,
    /// Bytes of memory traffic.
    pub bytes: f64,
}

/// Communication of one kind per GPU.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Communication {
    /// Bytes over the link inside the node.
    pub link: f64,
    /// Bytes over the network, of one GPU's adapter: ranks of a ring that share a node share its adapters.
    pub network: f64,
    /// Bytes sent, for energy.
    pub sent: f64,
    /// Exchanges, as [`Collective::exchanges`] counts them.
    pub count: f64,
    /// Exchanges over the network.
    pub network_count: f64,
    /// Σ (ranks − 1) over exchanges.
    pub hops: f64,
}

/// Work of a micro-step on one GPU of a stage, and of a step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StageTerms {
    /// Products of the layers and heads in the job's precision, in 16 bits where that is fp8.
    pub layers: Products,
    /// Those in 8 bits.
    pub in_8_bits: Products,
    /// The product with the vocabulary.
    pub logits: Products,
    /// Attention's scores and weighted values.
    pub attention: Products,
    /// Bytes of element-wise work.
    pub elementwise_bytes: f64,
    /// All bytes of memory traffic without collectives.
    pub bytes: f64,
    /// All FLOPs as the ledger counts them.
    pub flops: f64,
    /// Kernel launches without collectives.
    pub kernels: f64,
    /// Tensor-parallel communication.
    pub tensor: Communication,
    /// Context-parallel communication.
    pub context: Communication,
    /// Expert-parallel communication.
    pub experts: Communication,
    /// FSDP communication: parameters gathered, gradients scattered (with ZeRO-2 gradients alone).
    pub shards: Communication,
    /// Pipeline communication.
    pub pipeline: Communication,
    /// Communication of a step: gradient all-reduce, and ZeRO's scatters and gathers in its place.
    pub step: Communication,
    /// Bytes of the optimizer in a step.
    pub optimizer_bytes: f64,
    /// Bytes between GPU and host in a micro-step.
    pub host_bytes: f64,
    /// The same once a step.
    pub host_step_bytes: f64,
    /// Bytes that the host's memory moves for a step's update.
    pub host_update_bytes: f64,
    /// Kernels of the optimizer in a step.
    pub optimizer_kernels: f64,
}

/// The inputs of the law: FLOPs, bytes, bytes a second, watts.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// What the time is of: the run with its start-up and end, its steps, or one step.
    pub covers: Covers,
    /// What the inputs of the discrepancy follow from.
    pub configuration: Configuration,
    /// The busiest pipeline stage.
    pub busiest: StageTerms,
    /// The mean over pipeline stages.
    pub mean: StageTerms,
    /// Layers of the busiest stage.
    pub layers: f64,
    /// Micro-steps of a step.
    pub micro_steps: f64,
    /// Steps of the run.
    pub steps: f64,
    /// Idle share of a pipeline, (p − 1)/(m v).
    pub bubble: f64,
    /// Accelerators.
    pub gpus: f64,
    /// Accelerators of a node.
    pub gpus_per_node: f64,
    /// Nodes.
    pub nodes: f64,
    /// Whether products run in FP32 or TF32.
    pub wide: bool,
    /// Whether attention is fused.
    pub flash: bool,
    /// Whether the vocabulary is no multiple of eight on one rank in 16 bits, which slows tensor cores.
    pub odd_vocabulary: bool,
    /// Whether parameters are sharded among data-parallel ranks.
    pub sharded: bool,
    /// Whether optimizer states are replicated: gradients are all-reduced in buckets that overlap with the backward pass.
    pub replicated: bool,
    /// Whether tensor parallelism splits layers.
    pub tensor_parallel: bool,
    /// Whether context-parallel ranks exchange keys and values while attention computes.
    pub context_overlaps: bool,
    /// Whether a pipeline spans nodes.
    pub pipeline_across_nodes: bool,
    /// Whether the GPUs of a node meet over PCIe.
    pub pcie: bool,
    /// Peak FLOP/s of products in 16 bits.
    pub half_peak: f64,
    /// Peak FLOP/s of the job's products: in FP32 or TF32 their own, else in 16 bits.
    pub peak: f64,
    /// Memory bandwidth.
    pub bandwidth: f64,
    /// Link inside the node, one direction.
    pub link: f64,
    /// Network between nodes, one direction and GPU.
    pub network: f64,
    /// Link between a GPU and the host's memory, one direction.
    pub host_link: f64,
    /// Power limit of an accelerator.
    pub power_limit: f64,
    /// Thermal design power of an accelerator.
    pub tdp: f64,
    /// TDP over peak in 16 bits of the chip's largest board, J a FLOP.
    pub flop_energy: f64,
}

impl Terms {
    /// The inputs of the discrepancy; see [`INPUTS`].
    pub fn inputs(&self) -> [f64; INPUTS.len()] {
        self.configuration.inputs(self.power_limit / self.tdp)
    }

    /// Counts a job and sums its ledger.
    pub fn for_job(job: &Job) -> Self {
        let mut ledger = Ledger::for_stage(job, 0, AttentionFlops::Full);
        if job.parallelism.pp == 1 {
            let only = StageTerms::from_ledger(job, &ledger);
            return Self::new(job, 0, &only, &only, job.steps());
        }
        let of_stage = |of: &EqualStages| {
            if of.first > 0 {
                ledger.count(job, of.first, AttentionFlops::Full);
            }
            Stage::new(job, of, &ledger)
        };
        let stages: Vec<Stage> = equal_stages(job).iter().map(of_stage).collect();
        Self::from_stages(job, &stages, job.steps())
    }

    /// Sums the ledger of a counted job.
    pub fn from_cost(job: &Job, cost: &Cost) -> Self {
        let of_stage = |of: &EqualStages| Stage::new(job, of, &cost.stages[of.first as usize]);
        let stages: Vec<Stage> = equal_stages(job).iter().map(of_stage).collect();
        Self::from_stages(job, &stages, cost.steps)
    }

    /// The terms of a job with `steps` steps from those of each kind of its stages.
    fn from_stages(job: &Job, stages: &[Stage], steps: f64) -> Self {
        let (mut mean, mut busiest) = (StageTerms::default(), &stages[0]);
        let all = job.parallelism.pp as f64;
        for stage in stages {
            mean.add(&stage.terms, stage.count as f64 / all);
            if stage.flops > busiest.flops {
                busiest = stage;
            }
        }
        if let [only] = stages {
            mean = only.terms;
        }
        Self::new(job, busiest.first, &busiest.terms, &mean, steps)
    }

    /// The terms of a job with `steps` steps whose busiest stage is this one.
    fn new(job: &Job, stage: u64, busiest: &StageTerms, mean: &StageTerms, steps: f64) -> Self {
        let (s, w, p) = (&job.system, &job.workload, &job.parallelism);
        let micro_steps = w.grad_accum;
        let flash = w.attention == AttentionKernel::Flash;
        let accelerator = &s.accelerator;
        let half_peak = accelerator.half_peak().value();
        let wide = matches!(w.precision, Precision::Fp32 | Precision::Tf32);
        // resolve() checks that the accelerator has a peak for the precision
        let own_peak = accelerator.peak(w.precision).map_or(f64::NAN, |peak| peak.value());
        Self {
            covers: Covers::Run,
            configuration: Configuration::new(job),
            busiest: *busiest,
            mean: *mean,
            layers: (p.stage_layers(&job.architecture, stage)
                + job.architecture.encoder_layers
                + job.architecture.layers_of_other_stacks()) as f64,
            micro_steps: micro_steps as f64,
            steps,
            bubble: p.bubble(micro_steps),
            gpus: s.gpus as f64,
            gpus_per_node: s.gpus_per_node as f64,
            nodes: s.nodes() as f64,
            wide,
            flash,
            odd_vocabulary: !wide
                && p.tp == 1
                && !job.architecture.padded_vocab().is_multiple_of(8),
            sharded: p.data.shards_parameters() && p.replicas() > 1,
            replicated: !p.data.shards_optimizer(),
            tensor_parallel: p.tp > 1,
            context_overlaps: p.context_exchange == ContextExchange::Ring,
            pipeline_across_nodes: p.pp > 1 && s.nodes() > 1,
            pcie: s.link.kind == LinkKind::Pcie,
            half_peak,
            peak: if wide { own_peak } else { half_peak },
            bandwidth: accelerator.hbm_bandwidth().value(),
            link: s.link.bandwidth.value(),
            network: s.network.bandwidth.value(),
            host_link: accelerator.host_link().value(),
            power_limit: s.power_limit.value(),
            tdp: s.tdp.value(),
            flop_energy: super::chip::flop_energy(accelerator, s.tdp),
        }
    }
}

/// A kind of pipeline stages.
struct Stage {
    /// The first of them, from 0.
    first: u64,
    /// Their number.
    count: u64,
    /// FLOPs of one in a step.
    flops: f64,
    terms: StageTerms,
}

impl Stage {
    fn new(job: &Job, of: &EqualStages, ledger: &Ledger) -> Self {
        let terms = StageTerms::from_ledger(job, ledger);
        Self { first: of.first, count: of.count, flops: ledger.flops_per_step(), terms }
    }
}

impl StageTerms {
    /// Adds a share of another stage's.
    fn add(&mut self, other: &Self, share: f64) {
        self.layers.add(&other.layers, share);
        self.in_8_bits.add(&other.in_8_bits, share);
        self.logits.add(&other.logits, share);
        self.attention.add(&other.attention, share);
        self.elementwise_bytes += other.elementwise_bytes * share;
        self.bytes += other.bytes * share;
        self.flops += other.flops * share;
        self.kernels += other.kernels * share;
        self.tensor.add(&other.tensor, share);
        self.context.add(&other.context, share);
        self.experts.add(&other.experts, share);
        self.shards.add(&other.shards, share);
        self.pipeline.add(&other.pipeline, share);
        self.step.add(&other.step, share);
        self.optimizer_bytes += other.optimizer_bytes * share;
        self.host_bytes += other.host_bytes * share;
        self.host_step_bytes += other.host_step_bytes * share;
        self.host_update_bytes += other.host_update_bytes * share;
        self.optimizer_kernels += other.optimizer_kernels * share;
    }

    fn from_ledger(job: &Job, ledger: &Ledger) -> Self {
        let mut terms = Self::default();
        terms.add_ledger(job, ledger);
        terms
    }

    fn add_ledger(&mut self, job: &Job, ledger: &Ledger) {
        let flash = job.workload.attention == AttentionKernel::Flash;
        let fp8 = job.workload.precision == Precision::Fp8;
        // apart from the other sums, so that they need not be read again for each operation
        let (mut all_flops, mut all_bytes, mut all_kernels) =
            (self.flops, self.bytes, self.kernels);
        for op in &ledger.ops {
            // products of the update are spread over the micro-steps, whose sum is a step's
            let count = match (op.kind, op.phase) {
                (OpKind::Orthogonalization, Phase::Step) => op.count / ledger.micro_steps as f64,
                _ => op.count,
            };
            let (flops, bytes) = (op.flops.value() * count, op.bytes.value() * count);
            let saturation = || (op.flops.value() * op.kernels).sqrt() * count;
            let products = match op.kind {
                OpKind::Collective(collective) => {
                    self.communication(op.phase, collective.role)
                        .add_collective(&collective, count);
                    continue;
                }
                OpKind::Optimizer => {
                    self.optimizer_bytes += bytes;
                    self.optimizer_kernels += op.kernels * count;
                    continue;
                }
                OpKind::HostTransfer => {
                    match op.phase {
                        Phase::Step => self.host_step_bytes += bytes,
                        Phase::Forward | Phase::Reference | Phase::Recompute | Phase::Backward => {
                            self.host_bytes += bytes;
                        }
                    }
                    continue;
                }
                OpKind::HostUpdate { bytes } => {
                    self.host_update_bytes += bytes.value() * count;
                    continue;
                }
                OpKind::AttentionCore { causal } => {
                    // a fused kernel skips the blocks that the mask hides
                    self.attention.flops += if causal && flash { flops / 2.0 } else { flops };
                    self.attention.saturation += saturation();
                    self.attention.bytes += bytes;
                    None
                }
                OpKind::Logits => Some(&mut self.logits),
                kind if fp8 && kind.runs_in_8_bits() => Some(&mut self.in_8_bits),
                OpKind::PatchProjection
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
                | OpKind::Orthogonalization
                | OpKind::Classifier => Some(&mut self.layers),
                // element-wise work has no FLOPs by the ledger's convention, only bytes and kernels
                OpKind::Embedding
                | OpKind::Norm
                | OpKind::Magnitude
                | OpKind::Rotary
                | OpKind::WindowPartition
                | OpKind::FfnActivation
                | OpKind::ExpertWeights
                | OpKind::Dequantization
                | OpKind::Residual
                | OpKind::FinalNorm
                | OpKind::Loss => {
                    self.elementwise_bytes += bytes;
                    None
                }
            };
            if let Some(products) = products {
                products.flops += flops;
                products.saturation += saturation();
                products.bytes += bytes;
            }
            all_flops += flops;
            all_bytes += bytes;
            all_kernels += op.kernels * count;
        }
        (self.flops, self.bytes, self.kernels) = (all_flops, all_bytes, all_kernels);
    }

    const fn communication(&mut self, phase: Phase, role: CollectiveRole) -> &mut Communication {
        match role {
            CollectiveRole::TensorParallelActivations
            | CollectiveRole::TensorParallelEmbedding
            | CollectiveRole::TensorParallelLogits => &mut self.tensor,
            CollectiveRole::ContextParallelKeysAndValues => &mut self.context,
            CollectiveRole::ExpertParallelTokens => &mut self.experts,
            CollectiveRole::PipelineActivations => &mut self.pipeline,
            CollectiveRole::TiedEmbeddingGradients => &mut self.step,
            CollectiveRole::ParameterGather
            | CollectiveRole::MomentumGather
            | CollectiveRole::GradientReduction
            | CollectiveRole::GradientReductionBetweenGroups => match phase {
                // communication once a step is partly hidden
                Phase::Step => &mut self.step,
                Phase::Forward | Phase::Reference | Phase::Recompute | Phase::Backward => {
                    &mut self.shards
                }
            },
        }
    }
}

impl Products {
    fn add(&mut self, other: &Self, share: f64) {
        self.flops += other.flops * share;
        self.saturation += other.saturation * share;
        self.bytes += other.bytes * share;
    }
}

impl Communication {
    fn add(&mut self, other: &Self, share: f64) {
        self.link += other.link * share;
        self.network += other.network * share;
        self.sent += other.sent * share;
        self.count += other.count * share;
        self.network_count += other.network_count * share;
        self.hops += other.hops * share;
    }

    fn add_collective(&mut self, collective: &Collective, count: f64) {
        let exchanges = collective.exchanges() * count;
        self.link += collective.node_link_bytes_per_gpu().value() * count;
        self.network += collective.network_bytes_per_gpu().value() * count;
        self.sent += collective.sent_per_gpu().value() * count;
        self.count += exchanges;
        self.hops += exchanges * (collective.ranks as f64 - 1.0);
        match collective.span {
            Span::Node => {}
            Span::Network => self.network_count += exchanges,
        }
    }
}
