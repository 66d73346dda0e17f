//! The planner against trying every configuration by the whole prediction, and what it says where there is no plan.

use std::sync::LazyLock;

use approx::assert_relative_eq;
use wattlaw::base::scope::Scope;
use wattlaw::calibration::{Calibration, built_in};
use wattlaw::job::JobSpec;
use wattlaw::job::parallelism::ParallelismSpec;
use wattlaw::memory::{FITS_THRESHOLD, Memory, Recipe};
use wattlaw::plan::{
    Choice, Inventory, LeftOutReason, Limits, Objective, PlannedJob, Plans, Pool, Request, compare,
    plan, power_curve,
};
use wattlaw::predict::{EstimateKind, Estimator, predict};
use wattlaw::{Job, Result};

use crate::jobs::CATALOG;

/// Sequences of a step.
const BATCH: u64 = 16;

static BUILT_IN: LazyLock<Calibration> = LazyLock::new(|| built_in().unwrap());

fn spec(model: &str, global_batch: u64) -> JobSpec {
    JobSpec::from_toml(&format!(
        "model.name = '{model}'
         workload = {{ tokens = '1B', seq_len = 1024, global_batch = {global_batch} }}
         system = {{ price_per_gpu_hour = 2.5, price_per_kwh = 0.2, carbon_g_per_kwh = 50, pue = 1.2 }}"
    ))
    .unwrap()
}

fn pool(gpu: &str, counts: &str) -> Pool {
    let text = format!("[[system]]\ngpu = '{gpu}'\nnodes = 1");
    let mut pool = Inventory::from_toml(&text).unwrap().pools().remove(0);
    pool.counts = counts.parse().unwrap();
    pool
}

/// GPT-2 XL on two kinds of accelerators, with two power limits.
fn request() -> Request {
    Request {
        pools: vec![pool("a100-sxm4-40gb", "1,4,16"), pool("h100-sxm5-80gb", "4")],
        power_limits: vec![1.0, 0.5],
        ..Request::new(spec("gpt2-xl", BATCH))
    }
}

fn found(request: &Request) -> Result<Plans> {
    plan(request, &CATALOG, &BUILT_IN, &|_| true)
}

fn expected(plan: &PlannedJob, objective: Objective) -> f64 {
    plan.compared_by(objective).unwrap()
}

/// Every configuration of [`request`] that a job description can state, with its expected time and energy: each is resolved and
/// asked for by itself.
static EVERY_PLAN: LazyLock<Vec<(Job, f64, f64)>> = LazyLock::new(every_plan);

fn every_plan() -> Vec<(Job, f64, f64)> {
    let mut estimator = Estimator::new(&BUILT_IN);
    let mut plans = Vec::new();
    let mut try_one = |text: &str| {
        let Ok(job) = JobSpec::from_toml(text).unwrap().resolve(&CATALOG) else { return };
        let memory = Memory::with_recipe(&job, &Recipe::for_job(&job).unwrap());
        if memory.fits_probability() < FITS_THRESHOLD {
            return;
        }
        let Ok(estimate) = estimator.estimate(&job) else { return };
        if estimate.kind == EstimateKind::Fitted {
            let [time_s, energy_j] = estimator.expected(&job).unwrap();
            plans.push((job, time_s, energy_j));
        }
    };
    for (gpu, tdp, counts) in
        [("a100-sxm4-40gb", 400.0, &[1, 4, 16][..]), ("h100-sxm5-80gb", 700.0, &[4])]
    {
        for gpus in counts {
            for (layout, dp) in layouts(*gpus) {
                for micro in (1..=BATCH / dp).filter(|micro| BATCH.is_multiple_of(micro * dp)) {
                    for checkpointing in ["none", "selective", "full"] {
                        for share in [1.0, 0.5] {
                            try_one(&format!(
                                "model.name = 'gpt2-xl'
                                 workload = {{ tokens = '1B', seq_len = 1024, global_batch = {BATCH}, micro_batch = {micro},
                                               checkpointing = '{checkpointing}' }}
                                 parallelism = {{ {layout} }}
                                 system = {{ gpu = '{gpu}', gpus = {gpus}, gpus_per_node = {}, power_limit_w = {},
                                             price_per_gpu_hour = 2.5, price_per_kwh = 0.2, carbon_g_per_kwh = 50, pue = 1.2 }}",
                                gpus.min(&8),
                                tdp * share
                            ));
                        }
                    }
                }
            }
        }
    }
    plans
}

/// The parallelism of each layout as a job file states it, with its data-parallel ranks; some are invalid.
fn layouts(gpus: u64) -> Vec<(String, u64)> {
    let mut layouts = Vec::new();
    for tp in (1..=gpus.min(8)).filter(|tp| gpus.is_multiple_of(*tp)) {
        for pp in (1..=gpus / tp).filter(|pp| (gpus / tp).is_multiple_of(*pp)) {
            let dp = gpus / (tp * pp);
            let group = 8 / tp;
            let strategies: &[&str] = match dp {
                1 => &[""],
                _ if gpus > 8 && group > 1 && group < dp => {
                    &["ddp", "zero1", "zero2", "fsdp", "hsdp"]
                }
                _ => &["ddp", "zero1", "zero2", "fsdp"],
            };
            for strategy in strategies {
                let strategy = match *strategy {
                    "" => String::new(),
                    name => format!("strategy = '{name}', "),
                };
                for sequence_parallel in if tp > 1 { &[false, true][..] } else { &[false] } {
                    for chunks in (1..=48).filter(|n| *n == 1 || pp > 1 && 48 % (pp * n) == 0) {
                        let schedule = if chunks > 1 { "interleaved" } else { "1f1b" };
                        let layout = format!(
                            "{strategy}dp = {dp}, tp = {tp}, pp = {pp}, sequence_parallel = {sequence_parallel},
                             schedule = '{schedule}', virtual_stages = {chunks}"
                        );
                        layouts.push((layout, dp));
                    }
                }
            }
        }
    }
    layouts
}

#[test]
fn a_plan_is_the_best_of_every_configuration() {
    let every = &*EVERY_PLAN;
    // a host draws 0.38 of its accelerators' TDP, and supplies lose 4 % (docs/concepts/energy-scopes.md)
    let cost = |(job, time, energy): &(Job, f64, f64)| {
        let host_w = 0.38 * job.system.tdp.value() * job.system.gpus as f64;
        let facility_kwh = (energy + host_w * time) / 0.96 * 1.2 / 3.6e6;
        2.5 * job.system.gpus as f64 * time / 3600.0 + 0.2 * facility_kwh
    };
    for objective in [Objective::Energy, Objective::Time, Objective::GpuHours, Objective::Cost] {
        let plans = found(&Request { objective, ..request() }).unwrap();
        assert_eq!(plans.evaluated, every.len() as u64);
        let mut sorted: Vec<(f64, &Job)> = every
            .iter()
            .map(|of| {
                let (job, time, energy) = of;
                let value = match objective {
                    Objective::Energy => *energy,
                    Objective::Time => *time,
                    Objective::GpuHours => time * job.system.gpus as f64,
                    Objective::Cost => cost(of),
                    Objective::Carbon => unreachable!("it is not listed"),
                };
                (value, job)
            })
            .collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (of, (value, _)) in plans.plans.iter().zip(&sorted) {
            let per = if objective == Objective::GpuHours { 3600.0 } else { 1.0 };
            assert_relative_eq!(expected(of, objective) * per, value, max_relative = 1e-9);
        }
        assert_eq!(plans.plans[0].job, *sorted[0].1, "{objective}");
    }
}

/// A mixture of four experts on long sequences.
fn long_mixture() -> JobSpec {
    JobSpec::from_toml(
        "model = { family = 'mixtral', layers = 4, hidden_size = 1024, heads = 8, ffn_size = 2048, vocab_size = 32000,
                   experts = 4 }
         workload = { tokens = '1B', seq_len = 16384, global_batch = 4, framework = 'megatron' }",
    )
    .unwrap()
}

/// All degrees on eight accelerators with every strategy; some are invalid.
fn splits_of_eight() -> Vec<ParallelismSpec> {
    let powers = [1, 2, 4, 8];
    let pairs: Vec<[u64; 2]> = powers.iter().flat_map(|a| powers.map(|b| [*a, b])).collect();
    let degrees =
        pairs.iter().flat_map(|[tp, pp]| pairs.iter().map(|[cp, ep]| [*tp, *pp, *cp, *ep]));
    let mut splits = Vec::new();
    for [tp, pp, cp, ep] in degrees.filter(|[tp, pp, cp, _]| tp * pp * cp <= 8) {
        let is_data_parallel = tp * pp < 8;
        let strategies: &[&str] =
            if is_data_parallel { &["ddp", "zero1", "zero2", "fsdp"] } else { &["single"] };
        for strategy in strategies {
            for sequence_parallel in if tp > 1 { &[false, true][..] } else { &[false] } {
                splits.push(ParallelismSpec {
                    strategy: is_data_parallel.then(|| strategy.parse().unwrap()),
                    dp: Some(8 / (tp * pp * cp)),
                    tp: Some(tp),
                    pp: Some(pp),
                    cp: Some(cp),
                    ep: Some(ep),
                    sequence_parallel: Some(*sequence_parallel),
                    ..ParallelismSpec::default()
                });
            }
        }
    }
    splits
}

/// The planner's context- and expert-parallel ranks against every job that a description can state.
#[test]
fn sequences_and_experts_are_split_as_in_the_best_of_every_configuration() {
    let mut estimator = Estimator::new(&BUILT_IN);
    let mut every: Vec<(f64, Job)> = Vec::new();
    for split in splits_of_eight() {
        for micro in [1, 2, 4] {
            for checkpointing in ["none", "selective", "full"] {
                let mut spec = long_mixture();
                spec.parallelism = split.clone();
                (spec.system.gpu, spec.system.gpus) = (Some("h100-sxm5-80gb".into()), Some(8));
                spec.workload.micro_batch = Some(micro);
                spec.workload.checkpointing = Some(checkpointing.parse().unwrap());
                let Ok(job) = spec.resolve(&CATALOG) else { continue };
                let memory = Memory::with_recipe(&job, &Recipe::for_job(&job).unwrap());
                if memory.fits_probability() < FITS_THRESHOLD {
                    continue;
                }
                let Ok(estimate) = estimator.estimate(&job) else { continue };
                if estimate.kind == EstimateKind::Fitted {
                    every.push((estimator.expected(&job).unwrap()[0], job));
                }
            }
        }
    }
    every.sort_by(|a, b| a.0.total_cmp(&b.0));
    let request = Request {
        objective: Objective::Time,
        keep: vec![Choice::Schedule, Choice::PowerLimit],
        pools: vec![pool("h100-sxm5-80gb", "8")],
        ..Request::new(long_mixture())
    };
    let plans = found(&request).unwrap();
    assert_eq!(plans.evaluated, every.len() as u64);
    assert!(every.iter().any(|(_, job)| job.parallelism.cp == 4 && job.parallelism.ep == 4));
    for (plan, (time, _)) in plans.plans.iter().zip(&every) {
        assert_relative_eq!(expected(plan, Objective::Time), *time, max_relative = 1e-9);
    }
    assert_eq!(plans.plans[0].job, every[0].1);
    // of shorter sequences none is split
    let mut short = long_mixture();
    short.workload.seq_len = Some(2048);
    let plans = found(&Request { spec: short, top: 200, ..request }).unwrap();
    assert!(plans.plans.iter().all(|plan| plan.job.parallelism.cp == 1));
}

#[test]
fn states_on_the_host_are_planned_where_ranks_share_them() {
    let mut spec = spec("gpt2-xl", BATCH);
    spec.workload.offload = Some("optimizer".parse().unwrap());
    let plans = found(&Request { spec, top: 200, ..request() }).unwrap();
    assert!(!plans.plans.is_empty());
    for PlannedJob { job, .. } in &plans.plans {
        let strategy = job.parallelism.data.name();
        assert!(job.parallelism.replicas() == 1 || strategy != "ddp", "{strategy}");
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let one = found(&request()).unwrap();
    for threads in [2, 3, 8] {
        assert_eq!(found(&Request { threads, ..request() }).unwrap(), one);
    }
}

#[test]
fn every_plan_is_the_job_of_its_description() {
    let plans = found(&Request { top: 50, ..request() }).unwrap();
    assert_eq!(plans.plans.len(), 50);
    for PlannedJob { job, .. } in &plans.plans {
        assert_eq!(job.spec().resolve(&CATALOG).unwrap(), *job);
        assert_eq!(job.global_batch(), BATCH);
    }
    let best: f64 = plans.plans.iter().map(|plan| plan.probability_best.unwrap()).sum();
    assert_relative_eq!(best, 1.0, max_relative = 1e-9);
}

#[test]
fn the_front_is_not_beaten() {
    let request = Request { pareto_with: Some(Objective::Time), top: 500, ..request() };
    let front = found(&request).unwrap();
    assert_eq!(front.pareto, (1..=front.plans.len()).collect::<Vec<_>>());
    let every = &*EVERY_PLAN;
    let beaten = |time: f64, energy: f64| {
        every.iter().any(|(_, t, e)| *t < time * (1.0 - 1e-9) && *e < energy * (1.0 - 1e-9))
    };
    for of in &front.plans {
        assert!(!beaten(expected(of, Objective::Time), expected(of, Objective::Energy)));
    }
    let unbeaten = every.iter().filter(|(_, time, energy)| {
        !every.iter().any(|(_, t, e)| (t <= time && e < energy) || (t < time && e <= energy))
    });
    // equal configurations stand once in the front
    let mut distinct: Vec<u64> = unbeaten.map(|(_, time, _)| time.to_bits()).collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert!(
        front.plans.len().abs_diff(distinct.len()) <= distinct.len() / 50 + 1,
        "{} {}",
        front.plans.len(),
        distinct.len()
    );
}

#[test]
fn limits_hold_and_say_when_they_bind() {
    let free = found(&Request { objective: Objective::Energy, ..request() }).unwrap();
    let time = expected(&free.plans[0], Objective::Time);
    let limits = Limits { deadline_s: Some(time / 1.2), ..Limits::default() };
    let bound = found(&Request { limits, ..request() }).unwrap();
    assert!(bound.plans.iter().all(|plan| expected(plan, Objective::Time) <= time / 1.2));
    assert_eq!(bound.binding.len(), 1);
    let energy = |plans: &Plans| expected(&plans.plans[0], Objective::Energy);
    assert_relative_eq!(
        bound.binding[0].objective_factor,
        energy(&free) / energy(&bound),
        max_relative = 1e-9
    );
    assert!(bound.left_out.iter().any(|row| row.reason.name() == "deadline"));
    let few =
        found(&Request { limits: Limits { max_gpus: Some(4), ..Limits::default() }, ..request() })
            .unwrap();
    assert!(few.plans.iter().all(|plan| plan.job.system.gpus <= 4));
    let fewest = found(&Request { fewest_gpus: true, ..request() }).unwrap();
    let every = &*EVERY_PLAN;
    let least = every.iter().map(|(job, ..)| job.system.gpus).min();
    assert_eq!(Some(fewest.plans[0].job.system.gpus), least);
}

#[test]
fn kept_choices_stay_and_undone_ones_differ() {
    let mut spec = spec("gpt2-xl", BATCH);
    spec.workload.micro_batch = Some(2);
    spec.workload.checkpointing = Some("full".parse().unwrap());
    let keep = vec![Choice::MicroBatch, Choice::Checkpointing, Choice::PowerLimit];
    let plans = found(&Request { keep, spec, ..request() }).unwrap();
    for PlannedJob { job, .. } in &plans.plans {
        assert_eq!(job.workload.micro_batch, 2);
        assert_eq!(job.workload.checkpointing.to_string(), "full");
        assert_eq!(job.system.power_limit.value(), job.system.tdp.value());
    }
    for undone in &plans.best_undone {
        assert_ne!(undone.value, undone.instead, "{}", undone.choice);
        assert!(undone.energy_factor >= 1.0);
    }
    let kept = [Choice::MicroBatch, Choice::Checkpointing, Choice::PowerLimit];
    assert!(plans.best_undone.iter().all(|undone| !kept.contains(&undone.choice)));
}

#[test]
fn what_cannot_be_planned_is_a_sentence() {
    let sentence = |request: Request| found(&request).unwrap_err().to_string();
    let large = Request { pools: vec![pool("t4", "1")], ..Request::new(spec("llama-2-70b", 8)) };
    assert!(sentence(large).starts_with("no plan fits in memory: the nearest (1 × t4"));
    let limits = Limits { deadline_s: Some(1.0), ..Limits::default() };
    assert!(sentence(Request { limits, ..request() }).starts_with("--deadline is 1"));
    let limits = Limits { deadline_s: Some(-1.0), ..Limits::default() };
    assert!(sentence(Request { limits, ..request() }).contains("positive number"));
    let limits = Limits { max_gpus: Some(2), ..Limits::default() };
    let few = Request { limits, pools: vec![pool("t4", "4,8")], ..request() };
    assert!(sentence(few).contains("none of the given ones is within --max-gpus"));
    let wide = Request { pools: vec![pool("t4", "8..100000")], ..request() };
    assert!(sentence(wide).contains("a range has at most 4096 nodes"));
    let none = Request { power_limits: Vec::new(), ..request() };
    assert!(sentence(none).starts_with("power_limits is 0 shares"));
    let mut open = spec("gpt2-xl", BATCH);
    open.workload.global_batch = None;
    assert!(sentence(Request { spec: open, ..request() }).starts_with("global_batch is missing"));
    let mut no_price = spec("gpt2-xl", BATCH);
    (no_price.system.price_per_gpu_hour, no_price.system.price_per_kwh) = (None, None);
    let cost = Request { spec: no_price, objective: Objective::Cost, ..request() };
    assert!(sentence(cost).starts_with("price_per_gpu_hour is missing"));
    let odd = Request { pools: vec![pool("t4", "7")], ..Request::new(spec("gpt2", 48)) };
    let reason = found(&odd).unwrap().left_out;
    assert!(reason.iter().any(|row| row.reason == LeftOutReason::Divisibility));
}

#[test]
fn one_node_more_brings_what_a_search_with_it_finds() {
    let own = Request {
        objective: Objective::Time,
        pools: vec![pool("a100-sxm4-40gb", "8")],
        ..request()
    };
    let first = found(&own).unwrap();
    let more = found(&Request { pools: vec![pool("a100-sxm4-40gb", "16")], ..own }).unwrap();
    let time = |plans: &Plans| expected(&plans.plans[0], Objective::Time);
    let gain = first.one_more.as_ref().unwrap().node.clone().unwrap();
    assert_eq!(gain.added, "8 × a100-sxm4-40gb");
    assert_relative_eq!(gain.objective_factor, time(&more) / time(&first), max_relative = 1e-12);
    assert!(gain.objective_factor < 1.0 && gain.configuration.starts_with("16 × "));
}

/// An A100 of 40 GB with 40 GB more is one of 80 GB, whose memory is faster too.
#[test]
fn more_memory_brings_the_best_of_what_did_not_fit() {
    let on = |gpu: &str| {
        found(&Request {
            pools: vec![pool(gpu, "2")],
            power_limits: vec![1.0],
            ..Request::new(spec("gpt2-xl", BATCH))
        })
        .unwrap()
    };
    let (small, large) = (on("a100-sxm4-40gb"), on("a100-sxm4-80gb"));
    let energy = |plans: &Plans| expected(&plans.plans[0], Objective::Energy);
    let gain = small.one_more.as_ref().unwrap().memory.clone().unwrap();
    assert_eq!(gain.added, "20 GiB a GPU");
    assert!(gain.objective_factor < 1.0, "{gain:?}");
    // with 20 GiB more it is no better than with 37
    let ratio = energy(&large) / energy(&small);
    assert!(gain.objective_factor > ratio - 0.05, "{gain:?} {ratio}");
    // what fits already needs no more
    let tiny =
        Request { pools: vec![pool("h100-sxm5-80gb", "1")], ..Request::new(spec("gpt2", 1)) };
    assert_eq!(found(&tiny).unwrap().one_more.unwrap().memory, None);
}

#[test]
fn the_front_of_an_answer_holds_the_first_plan() {
    let plans = found(&request()).unwrap();
    assert_eq!(plans.front.objectives, [Objective::Energy, Objective::Time]);
    let points = &plans.front.points;
    assert!(points.len() > 1);
    assert!(points.is_sorted_by(|a, b| a.values[0] < b.values[0] && a.values[1] > b.values[1]));
    let first = expected(&plans.plans[0], Objective::Energy);
    assert_relative_eq!(points[0].values[0], first, max_relative = 1e-9);
}

/// An estimate is a median, and costs that are known to a factor have means above their medians: the more so for software without
/// runs.
#[test]
fn what_is_expected_is_above_the_estimate_by_what_is_not_known() {
    let above = |framework: &str| {
        let mut spec = spec("gpt2-xl", BATCH);
        spec.workload.framework = Some(framework.parse().unwrap());
        let own = Request { pools: vec![pool("a100-sxm4-80gb", "8")], spec, ..request() };
        let plan = found(&own).unwrap().plans.remove(0);
        let of = plan.expected.unwrap();
        assert_eq!(
            (of.duration_s, of.energy_j),
            (expected(&plan, Objective::Time), expected(&plan, Objective::Energy))
        );
        assert!(of.cost.unwrap() > plan.cost.unwrap().estimate);
        (
            of.duration_s / plan.duration_s.unwrap().estimate,
            of.energy_j / plan.energy_j.unwrap().estimate,
        )
    };
    let (known, unknown) = (above("megatron-deepspeed/2021"), above("unknown"));
    assert!(1.0 < known.0 && known.0 < unknown.0 && unknown.0 < 1.6, "{known:?} {unknown:?}");
    assert!(1.0 < known.1 && known.1 < unknown.1 && unknown.1 < 1.6, "{known:?} {unknown:?}");
}

/// The limit of the plan is the best one of the curve, and time never rises with the limit.
#[test]
fn a_power_curve_goes_through_the_plan() {
    let request = Request {
        pools: vec![pool("a100-sxm4-80gb", "1")],
        power_limits: vec![0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
        ..Request::new(spec("gpt2-xl", BATCH))
    };
    let best = found(&request).unwrap().plans.remove(0);
    let curve = power_curve(&best.job, &BUILT_IN, Scope::Gpu, 0.95).unwrap();
    let limit_w = best.job.system.power_limit.value();
    let at = curve.iter().find(|point| (point.limit_w - limit_w).abs() < 1e-9).unwrap();
    assert_eq!(Some(at.energy_j), best.energy_j);
    assert_eq!(Some(at.duration_s), best.duration_s);
    assert!(curve.is_sorted_by(|a, b| a.duration_s.estimate >= b.duration_s.estimate));
    let least = curve.iter().map(|point| point.energy_j.estimate).fold(f64::INFINITY, f64::min);
    // the curve is twice as fine as the plan's choice of limits
    assert!(at.energy_j.estimate <= 1.02 * least);
}

#[test]
fn a_batch_that_the_own_layout_cannot_share_is_laid_out_otherwise() {
    let mut own = spec("gpt2-xl", 4);
    own.system.gpu = Some("a100-sxm4-80gb".to_owned());
    own.system.gpus = Some(8);
    let plans = found(&Request::new(own.clone())).unwrap();
    assert_eq!(plans.global_batch, 4);
    for plan in &plans.plans {
        assert_eq!(plan.job.system.gpus, 8);
        assert!(plan.job.parallelism.dp <= 4);
    }
    // a layout that is kept is one that must be possible
    let kept = Request { keep: vec![Choice::Tp], ..Request::new(own) };
    assert!(found(&kept).is_err());
}

#[test]
fn a_space_that_is_too_large_says_how_large_and_what_to_fix() {
    let request = Request {
        pools: vec![pool("a100-sxm4-80gb", "8..512"), pool("h100-sxm5-80gb", "8..512")],
        power_limits: vec![1.0; 1000],
        ..Request::new(spec("gpt2-xl", 720_720))
    };
    // a space that is not refused would be searched for an hour
    let refused = plan(&request, &CATALOG, &BUILT_IN, &|_| false);
    let sentence = refused.unwrap_err().to_string();
    let size: u64 = sentence
        .strip_prefix("the space of plans is ")
        .and_then(|rest| rest.split(' ').next()?.parse().ok())
        .unwrap();
    assert!(size > 1_000_000_000, "{sentence}");
    assert!(
        sentence.contains("of its 2 kinds and 64 numbers of accelerators, 1000 power limits and 1 precisions give fewer"),
        "{sentence}"
    );
}

#[test]
fn what_does_not_fit_says_what_would() {
    let request =
        Request { pools: vec![pool("t4", "1")], ..Request::new(spec("llama-2-7b", BATCH)) };
    let sentence = found(&request).unwrap_err().to_string();
    assert!(sentence.contains("GiB more a GPU or 16 × t4 would do"), "{sentence}");
    assert!(sentence.contains("of which optimizer"), "{sentence}");
    // it is so
    let enough = Request { pools: vec![pool("t4", "16")], ..request.clone() };
    assert!(found(&enough).is_ok());
    let half = Request { pools: vec![pool("t4", "8")], ..request };
    assert!(found(&half).is_err());
}

#[test]
fn a_stopped_search_has_the_best_so_far() {
    let stopped = plan(&request(), &CATALOG, &BUILT_IN, &|progress| progress.done < 16);
    let stopped = stopped.unwrap();
    assert!(stopped.stopped && stopped.searched < found(&request()).unwrap().searched);
}

/// One job and the same job again are equal to the law; one with half the power limit is not.
#[test]
fn what_alternatives_share_cancels() {
    let calibration = &*BUILT_IN;
    let job = |gpu: &str, limit: f64| {
        let text = format!(
            "model.name = 'gpt2-xl'
             workload = {{ tokens = '1B', seq_len = 1024, micro_batch = 4 }}
             system = {{ gpu = '{gpu}', power_limit_w = {limit} }}"
        );
        JobSpec::from_toml(&text).unwrap().resolve(&CATALOG).unwrap()
    };
    let sure = |jobs: Vec<Job>| {
        let found = compare(jobs, Objective::Time, calibration, Scope::Gpu, 0.95, FITS_THRESHOLD);
        found.unwrap().first_before_second.unwrap()
    };
    // the same chip and software: only the clock differs
    assert!(sure(vec![job("a100-sxm4-80gb", 400.0), job("a100-sxm4-80gb", 200.0)]) > 0.95);
    // each alone is known within a factor, so that marginal intervals overlap
    let wide = predict(&job("a100-sxm4-80gb", 200.0), calibration, "", None, 0.95).unwrap();
    let full = predict(&job("a100-sxm4-80gb", 400.0), calibration, "", None, 0.95).unwrap();
    assert!(full.duration_s.unwrap().upper > wide.duration_s.unwrap().lower);
}
