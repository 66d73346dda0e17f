//! What must hold of the built-in law's answers beside one another: better hardware is never slower, sweeps have no jumps,
//! more work never costs less, and intervals never narrow with distance.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use wattlaw::base::scope::Scope;
use wattlaw::calibration::{Calibration, built_in};
use wattlaw::cost::{AttentionFlops, Cost};
use wattlaw::job::system::Accelerator;
use wattlaw::job::workload::{Precision, Stack};
use wattlaw::job::{Job, JobSpec};
use wattlaw::law::roofline::terms::Terms;
use wattlaw::predict::{WarningKind, predict};

use crate::jobs::{CATALOG, jobs, resolved};
use crate::roofline::answer;

static BUILT_IN: LazyLock<Calibration> = LazyLock::new(|| built_in().unwrap());

/// Seconds of the run.
fn time_s(job: &Job) -> f64 {
    answer(job).logs(&Terms::for_job(job), Scope::Gpu)[0].exp()
}

/// Random jobs under any fitted software, or none.
fn jobs_of_stacks() -> impl Strategy<Value = JobSpec> {
    let stacks = [
        "unknown",
        "accelerate",
        "accelerate/fms-hf-tuning",
        "fsdp2",
        "jax/maxtext",
        "llm-foundry",
        "megatron",
        "megatron/nemo-2024",
        "megatron-deepspeed/2021",
        "nanotron",
        "pytorch",
        "deepspeed",
    ];
    (jobs(), select(stacks.to_vec())).prop_map(|(mut spec, stack)| {
        spec.workload.framework = Some(stack.parse::<Stack>().unwrap());
        spec
    })
}

/// The job on another accelerator, where it has the precision.
fn on(spec: &JobSpec, accelerator: &Accelerator) -> Option<Job> {
    let mut spec = spec.clone();
    spec.system.gpu = Some(accelerator.name.clone());
    // a limit of one accelerator is another's TDP
    spec.system.power_limit_w = None;
    spec.resolve(&CATALOG).ok()
}

/// Whether `a` is at least as good as `b` in every figure of the data sheet.
fn at_least_as_good(a: &Accelerator, b: &Accelerator) -> bool {
    let figures = |x: &Accelerator| {
        [
            x.fp32_tflops.unwrap_or(0.0),
            x.tf32_tflops.unwrap_or(0.0),
            x.fp16_tflops.unwrap_or(0.0),
            x.bf16_tflops.unwrap_or(0.0),
            x.fp8_tflops.unwrap_or(0.0),
            x.hbm_gib,
            x.hbm_gb_per_s,
            x.link_gb_per_s.unwrap_or(0.0),
            f64::from(x.pcie_generation),
            f64::from(x.pcie_lanes),
            x.tdp_w.unwrap_or(0.0),
        ]
    };
    a.vendor == b.vendor && figures(a).iter().zip(figures(b)).all(|(a, b)| *a >= b)
}

/// Random jobs of each property: few, since each is counted on every accelerator.
const CASES: u32 = 60;

/// Seed of the random jobs.
const SEED: u64 = 2026;

/// Slower by more than this is incoherent.
const TOLERANCE: f64 = 1.02;

proptest! {
    // the same jobs on every machine
    #![proptest_config(ProptestConfig {
        cases: CASES,
        rng_seed: RngSeed::Fixed(SEED),
        ..ProptestConfig::default()
    })]

    #[test]
    fn of_two_accelerators_the_better_one_is_never_slower(spec in jobs_of_stacks()) {
        let jobs: Vec<(&Accelerator, Option<(Precision, f64)>)> = CATALOG
            .accelerators
            .all()
            .unwrap()
            .into_iter()
            .map(|a| (a, on(&spec, a).map(|job| (job.workload.precision, time_s(&job)))))
            .collect();
        for (a, of_a) in &jobs {
            for (b, of_b) in &jobs {
                let (Some((precision, time)), Some((other, slower))) = (of_a, of_b) else { continue };
                // the default precision of an older accelerator may be another
                if a.name != b.name && precision == other && at_least_as_good(a, b) {
                    prop_assert!(
                        *time <= TOLERANCE * slower,
                        "{} takes {time} s and {} takes {slower} s: {spec:?}", a.name, b.name
                    );
                }
            }
        }
    }

    #[test]
    fn more_work_never_costs_less(spec in jobs_of_stacks()) {
        let job = resolved(&spec);
        let estimate = |job: &Job| {
            let [time, power] = answer(job).logs(&Terms::for_job(job), Scope::Gpu);
            (time, time + power + (job.system.gpus as f64).ln())
        };
        let (time, energy) = estimate(&job);
        for change in [
            |j: &mut Job| j.workload.grad_accum *= 2,
            |j: &mut Job| j.workload.micro_batch *= 2,
            |j: &mut Job| j.architecture.layers += j.parallelism.pp * j.parallelism.virtual_stages,
        ] {
            let mut more = job.clone();
            change(&mut more);
            // the same number of steps with more work in each
            let steps = more.steps() / job.steps();
            let (more_time, more_energy) = estimate(&more);
            prop_assert!(more_time - steps.ln() >= time - 1e-9 || more_time >= time - 1e-9, "time");
            prop_assert!(more_energy - steps.ln() >= energy - 1e-9 || more_energy >= energy - 1e-9);
        }
    }

    #[test]
    fn no_answer_uses_more_of_the_peak_than_runs_do_without_a_warning(spec in jobs_of_stacks()) {
        let job = resolved(&spec);
        let Ok(prediction) = predict(&job, &BUILT_IN, "test", None, 0.95) else { return Ok(()) };
        let peak = job.system.accelerator.peak(job.workload.precision).unwrap().value();
        let seconds = prediction.duration_s.unwrap().estimate;
        let mfu = prediction.flops.model / (peak * job.system.gpus as f64 * seconds);
        let wide = matches!(job.workload.precision, Precision::Fp32 | Precision::Tf32);
        let warned = prediction
            .warnings
            .iter()
            .any(|w| matches!(w.kind, WarningKind::HighMfu | WarningKind::Impossible));
        prop_assert!(mfu <= if wide { 0.9 } else { 0.75 } || warned, "MFU {mfu}");
        prop_assert_eq!(prediction.scope, Scope::Gpu);
    }

    #[test]
    fn intervals_never_narrow_with_distance(
        spec in jobs_of_stacks(),
        field in select(vec!["seq_len", "micro_batch", "layers", "gpus"]),
    ) {
        let job = resolved(&spec);
        let range = BUILT_IN.range.iter().find(|r| r.variable == field).unwrap();
        let edge = range.max.unwrap();
        let mut last: Option<f64> = None;
        for doublings in 1..=3 {
            let mut far = job.clone();
            let value = (edge * f64::from(1 << doublings)) as u64;
            match field {
                "seq_len" if far.architecture.image.is_some() => return Ok(()),
                "seq_len" => (far.workload.seq_len, far.workload.decoder_seq_len) = (value, value),
                "micro_batch" => far.workload.micro_batch = value,
                "layers" => {
                    let whole = far.parallelism.pp * far.parallelism.virtual_stages;
                    far.architecture.layers = value.next_multiple_of(whole);
                }
                _ => {
                    let p = &mut far.parallelism;
                    let sharded = p.shard_group == p.dp;
                    p.dp = (value / (p.tp * p.pp)).next_multiple_of(p.shard_group.max(1));
                    if sharded {
                        p.shard_group = p.dp;
                    }
                    far.system.gpus = p.gpus();
                    // one rank has nothing to share
                    if job.parallelism.dp == 1 {
                        return Ok(());
                    }
                }
            }
            let Ok(prediction) = predict(&far, &BUILT_IN, "test", None, 0.95) else { return Ok(()) };
            let time = prediction.duration_s.unwrap();
            if prediction.warnings.iter().any(|w| w.kind == WarningKind::Impossible) {
                return Ok(());
            }
            let width = time.upper / time.lower;
            if let Some(last) = last {
                prop_assert!(width >= last * (1.0 - 1e-9), "{field}: {last} to {width}");
            }
            last = Some(width);
        }
    }
}

/// GPU-seconds per hardware FLOP of neighbours in a sweep of one variable grow by at most this factor.
const LARGEST_STEP: f64 = 1.5;

/// Jobs of large models, whose GPUs work and do not wait for launches: halving a job that waits for launches doubles its
/// time per FLOP, and rightly so.
const LARGE: [&str; 4] = [
    "model.name = 'llama-3-8b'\nworkload = { steps = 100, seq_len = 4096, micro_batch = 1, grad_accum = 8 }\n\
     parallelism = { strategy = 'fsdp' }\nsystem = { gpu = 'GPU', gpus = 64 }",
    "model.name = 'llama-2-7b'\nworkload = { steps = 100, seq_len = 4096, micro_batch = 2, grad_accum = 8, checkpointing = 'full' }\n\
     parallelism = { strategy = 'zero1', tp = 2 }\nsystem = { gpu = 'GPU', gpus = 64 }",
    "model.name = 'llama-2-70b'\nworkload = { steps = 100, seq_len = 4096, micro_batch = 1, grad_accum = 32 }\n\
     parallelism = { strategy = 'zero1', tp = 8, pp = 4 }\nsystem = { gpu = 'GPU', gpus = 128 }",
    "model.name = 'opt-6.7b'\nworkload = { steps = 100, seq_len = 2048, micro_batch = 4, grad_accum = 4, attention = 'eager' }\n\
     parallelism = { strategy = 'ddp' }\nsystem = { gpu = 'GPU', gpus = 32 }",
];

#[test]
fn sweeps_of_large_jobs_have_no_jumps() {
    for text in LARGE {
        for gpu in ["a100-sxm4-80gb", "h100-sxm5-80gb", "h200-sxm-141gb", "b200-180gb"] {
            for stack in
                ["unknown", "accelerate", "fsdp2", "megatron/nemo-2024", "nanotron", "llm-foundry"]
            {
                let mut spec = JobSpec::from_toml(&text.replace("GPU", gpu)).unwrap();
                spec.workload.framework = Some(stack.parse().unwrap());
                for field in ["gpus", "micro_batch", "grad_accum", "seq_len"] {
                    sweep(&spec, field);
                }
            }
        }
    }
}

/// Doubles a variable five times.
fn sweep(spec: &JobSpec, field: &str) {
    let mut last: Option<(f64, f64)> = None;
    for doublings in 0..=5 {
        let mut spec = spec.clone();
        let times = 1_u64 << doublings;
        let scaled = |value: &mut Option<u64>| *value = value.map(|value| value * times);
        match field {
            "gpus" => scaled(&mut spec.system.gpus),
            "micro_batch" => scaled(&mut spec.workload.micro_batch),
            "grad_accum" => scaled(&mut spec.workload.grad_accum),
            _ => scaled(&mut spec.workload.seq_len),
        }
        let job = resolved(&spec);
        let time = time_s(&job);
        let flops = Cost::count(&job, AttentionFlops::Full).hardware_flops().value();
        let per_flop = time * job.system.gpus as f64 / flops;
        if let Some((last, last_time)) = last {
            let rise = per_flop / last;
            assert!(rise <= LARGEST_STEP, "{field} × {times}: {rise} in {spec:?}");
            // work that waits for a network or a host gets cheaper per FLOP by as much as it grows, and no more
            if field == "gpus" {
                assert!(rise >= 1.0 / LARGEST_STEP, "{field} × {times}: {rise} in {spec:?}");
            } else {
                assert!(
                    time >= last_time,
                    "{field} × {times}: {last_time} s, then {time} s in {spec:?}"
                );
            }
        }
        last = Some((per_flop, time));
    }
}

/// The README's job on faster and faster accelerators.
#[test]
fn the_same_job_takes_less_on_each_better_accelerator() {
    let text = include_str!("../../../../examples/job.toml");
    let spec = JobSpec::from_toml(text).unwrap();
    let times: Vec<f64> = ["a100-sxm4-40gb", "a100-sxm4-80gb", "h100-sxm5-80gb", "h200-sxm-141gb"]
        .iter()
        .map(|gpu| time_s(&on(&spec, CATALOG.accelerator(gpu).unwrap()).unwrap()))
        .collect();
    for pair in times.windows(2) {
        assert!(pair[1] <= pair[0] && pair[1] > 0.3 * pair[0], "{times:?}");
    }
}
