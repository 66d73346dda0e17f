//! Properties of jobs with the methods that no fitted run has: split sequences and experts, reference models, states on the host,
//! magnitudes, frozen layers, packed documents.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use proptest::prelude::*;
use wattlaw::cost::{AttentionFlops, Cost, OpKind, Phase};
use wattlaw::job::JobSpec;
use wattlaw::job::model::ModelType;
use wattlaw::job::task::Task;
use wattlaw::job::workload::{Offload, TrainingObjective};
use wattlaw::law::roofline::terms::Terms;
use wattlaw::memory::{Memory, MemoryPart, Recipe};

use crate::jobs::{CATALOG, jobs, resolved};
use crate::properties::{near, priced};

/// A change of a job; not all jobs can have it.
type Method = fn(&mut JobSpec);

const METHODS: [Method; 9] = [
    |spec| {
        spec.parallelism.cp = Some(2);
        spec.workload.seq_len = spec.workload.seq_len.map(|n| 4 * n);
        spec.system.gpus = spec.system.gpus.map(|n| 2 * n);
        spec.system.gpus_per_node = spec.system.gpus_per_node.map(|n| 2 * n);
    },
    |spec| spec.parallelism.context_exchange = Some("all-gather".parse().unwrap()),
    |spec| spec.parallelism.ep = Some(2),
    |spec| spec.workload.objective = Some(TrainingObjective::Dpo),
    |spec| spec.workload.offload = Some(Offload::Parameters),
    |spec| spec.workload.offload = Some(Offload::Optimizer),
    |spec| spec.workload.dora = Some(true),
    |spec| spec.workload.frozen_layers = Some(1),
    |spec| spec.workload.document_len = Some(3),
];

prop_compose! {
    /// A job with those of the drawn methods that it can have.
    fn jobs_with_methods()(
        spec in jobs(),
        drawn in proptest::collection::vec(any::<bool>(), METHODS.len()),
    ) -> JobSpec {
        METHODS.iter().zip(drawn).filter(|(_, is_drawn)| *is_drawn).fold(spec, |spec, (method, _)| {
            let mut tried = spec.clone();
            method(&mut tried);
            if tried.resolve(&CATALOG).is_ok() { tried } else { spec }
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_job_is_the_job_of_its_description(spec in jobs_with_methods()) {
        let job = resolved(&spec);
        prop_assert_eq!(job.spec().resolve(&CATALOG).unwrap(), job.clone());
        prop_assert_eq!(spec.with_defaults(&job).resolve(&CATALOG).unwrap(), job);
    }

    #[test]
    fn split_sequences_are_the_same_work(spec in jobs_with_methods()) {
        let job = resolved(&spec);
        let mut alone = job.clone();
        alone.parallelism.cp = 1;
        let count = |job| Cost::count(job, AttentionFlops::Full);
        let (split, whole) = (count(&job), count(&alone));
        prop_assert_eq!(split.model_flops_per_step, whole.model_flops_per_step);
        // each rank has its own pooler and classifier of a position, norms of adapted weights, and embeddings of distances
        let repeats = matches!(job.workload.task, Task::Classification { .. })
            || job.workload.dora
            || job.architecture.model_type == ModelType::DebertaV2;
        let [split, whole] = [split, whole].map(|cost| cost.hardware_per_step.flops.value());
        prop_assert!(repeats || near(split, whole), "{split} is not {whole}");
    }

    #[test]
    fn the_laws_sums_leave_nothing_out(spec in jobs_with_methods()) {
        let job = resolved(&spec);
        let cost = Cost::count(&job, AttentionFlops::Full);
        let (ledger, x) = (cost.busiest_stage(), Terms::from_cost(&job, &cost));
        let (all, b) = (ledger.per_step(|_| true), &x.busiest);
        let m = x.micro_steps;
        let each = [&b.tensor, &b.pipeline, &b.shards, &b.context, &b.experts];
        let link = m * each.iter().map(|c| c.link).sum::<f64>() + b.step.link;
        let network = m * each.iter().map(|c| c.network).sum::<f64>() + b.step.network;
        prop_assert!(near(link, all.node_link_bytes.value()));
        prop_assert!(near(network, all.network_bytes.value()));
        let moved = ledger.per_step(|op| op.kind == OpKind::HostTransfer).bytes.value();
        prop_assert!(near(m * b.host_bytes + b.host_step_bytes, moved));
        let computed = ledger.per_step(|op| {
            op.collective().is_none() && op.kind != OpKind::HostTransfer && op.phase != Phase::Step
        });
        prop_assert!(near(m * b.bytes, computed.bytes.value()));
        prop_assert!(near(m * b.kernels, computed.kernels));
    }

    #[test]
    fn every_operation_takes_time_energy_and_memory(spec in jobs_with_methods()) {
        let job = resolved(&spec);
        let cost = Cost::count(&job, AttentionFlops::Full);
        let busiest = cost.busiest_stage().stage as usize;
        let [time_s, energy_j] = priced(&job, &cost);
        let at_once = Recipe { by_phase: false, ..Recipe::PYTORCH };
        for at in 0..cost.stages[busiest].ops.len() {
            let mut often = cost.clone();
            let op = &mut often.stages[busiest].ops[at];
            op.count *= 1e9;
            let op = *op;
            let [longer_s, more_j] = priced(&job, &often);
            prop_assert!(longer_s > 1.01 * time_s, "{op:?} takes no time");
            prop_assert!(more_j > 1.01 * energy_j, "{op:?} takes no energy");
            let memory = Memory::for_stage(&job, busiest as u64, &at_once);
            let part = memory.part(MemoryPart::for_op(&op)).value();
            // states on the host have none on the GPU
            prop_assert!(part + memory.host.value() > 0.0, "{op:?} takes no memory");
        }
    }
}
