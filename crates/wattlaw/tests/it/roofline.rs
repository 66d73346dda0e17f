//! What must hold of the roofline law: of any job, of its groups, of an update, and of its file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex};

use crate::answers::answered;
use crate::jobs::{CATALOG, jobs};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use wattlaw::base::scope::{Covers, Scope};
use wattlaw::base::units::{Joules, Seconds};
use wattlaw::calibration::{Calibration, FitOptions, Laws, built_in};
use wattlaw::data::dataset::{Dataset, ProxyColumns};
use wattlaw::data::sources::{Purpose, Sources};
use wattlaw::job::workload::Stack;
use wattlaw::job::{Job, JobSpec};
use wattlaw::law::roofline::terms::Terms;
use wattlaw::law::roofline::{
    Answer, Groups, Level, Observation, RooflineFit, RooflineLaw, Workspace,
};
use wattlaw::memory::Recipe;
use wattlaw::predict::{Breakdown, EstimateKind, Prediction, predict};
use wattlaw::stats::score::median;
use wattlaw::validate::{CrossValidator, HoldOut, Scheme};

static BUILT_IN: LazyLock<Calibration> = LazyLock::new(|| built_in().unwrap());

fn roofline(calibration: &Calibration) -> &RooflineFit {
    match &calibration.law {
        Laws::Roofline(law) => law,
        Laws::Scaling(_) => panic!("{} is a scaling law", calibration.name),
    }
}

/// The built-in law.
pub fn law() -> &'static RooflineFit {
    roofline(&BUILT_IN)
}

/// Answers of the built-in law, each made once: a law has far fewer groups than jobs.
static ANSWERS: LazyLock<Mutex<BTreeMap<Groups, &'static Answer<'static>>>> =
    LazyLock::new(Mutex::default);

/// The built-in law for the groups of a job.
pub fn answer(job: &Job) -> &'static Answer<'static> {
    let groups = Groups::for_job(job);
    let mut known = ANSWERS.lock().unwrap();
    known.entry(groups).or_insert_with_key(|groups| Box::leak(Box::new(law().answer(groups))))
}

/// Software of random jobs: with runs of its program, of its framework alone, and without any.
const SOFTWARE: [&str; 5] =
    ["unknown", "accelerate/fms-hf-tuning", "megatron", "nanotron", "deepspeed/none"];

/// Any job on any accelerator under any software that has runs, or none; `None` where the accelerator lacks the precision.
pub fn placed() -> impl Strategy<Value = Option<Job>> {
    (jobs(), any::<Index>(), any::<Index>()).prop_map(|(mut spec, gpu, program)| {
        spec.system.gpu =
            Some((*gpu.get(&CATALOG.accelerators.names().collect::<Vec<_>>())).to_owned());
        spec.workload.framework = Some(program.get(&SOFTWARE).parse::<Stack>().unwrap());
        // a framework may lack the job's method
        spec.resolve(&CATALOG).ok().filter(|job| Recipe::for_job(job).is_ok())
    })
}

fn predicted(job: &Job) -> Prediction {
    predict(job, &BUILT_IN, "asked", None, 0.95).unwrap_or_else(|e| panic!("{e}: {job:?}"))
}

/// Sums of terms in another order differ in the last digits.
fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn time_and_energy_are_positive_and_parts_add_up(job in placed(), at in any::<Index>()) {
        let Some(job) = job else { return Ok(()) };
        let found = predicted(&job);
        let (time, energy, power) =
            (found.duration_s.unwrap(), found.energy_j.unwrap(), found.mean_power_w.unwrap());
        for interval in [time, energy, power] {
            prop_assert!(0.0 < interval.lower && interval.lower < interval.estimate, "{interval:?}");
            prop_assert!(interval.estimate < interval.upper && interval.upper.is_finite(), "{interval:?}");
        }
        prop_assert!(near(energy.estimate, power.estimate * time.estimate));
        let scopes: Vec<&Scope> = found.energy_by_scope_j.keys().collect();
        let scope = **at.get(&scopes);
        match found.energy_by_scope_j[&scope] {
            Some(energy) => {
                let asked = predict(&job, &BUILT_IN, "asked", Some(scope), 0.95).unwrap();
                prop_assert_eq!((asked.scope, asked.energy_j), (scope, Some(energy)));
                let power = asked.mean_power_w.unwrap().estimate;
                prop_assert!(near(energy.estimate, power * time.estimate), "{scope}");
            }
            // no PUE was given
            None => prop_assert_eq!(scope, Scope::Facility),
        }
        if found.calibration.kind == EstimateKind::Assumed {
            return Ok(());
        }
        let Breakdown::Parts { time: t, energy: e, discrepancy } = found.breakdown else {
            panic!("a roofline law has parts")
        };
        let seconds = [
            t.device_s, t.tensor_parallel_s, t.launch_overhead_s, t.fsdp_communication_s, t.pipeline_s,
            t.gradient_all_reduce_s, t.optimizer_s, t.start_up_s,
        ];
        let joules = [e.static_j, e.waiting_j, e.compute_j, e.memory_j, e.communication_j, e.kernel_j];
        prop_assert!(seconds.iter().chain(&joules).all(|part| *part >= 0.0), "{t:?} {e:?}");
        prop_assert!(near(seconds.iter().sum(), t.total_s), "{t:?}");
        prop_assert!(near(joules.iter().sum(), e.total_j), "{e:?}");
        prop_assert!(near(t.total_s * discrepancy[0], time.estimate), "{t:?} {discrepancy:?} {time:?}");
        prop_assert!(near(e.total_j * discrepancy[1], energy.estimate), "{e:?} {discrepancy:?} {energy:?}");
        // no work without its part
        prop_assert!(t.device_s > 0.0 && t.start_up_s > 0.0 && e.compute_j > 0.0 && e.static_j > 0.0);
        if job.parallelism.gpus() == 1 {
            let communication = [t.tensor_parallel_s, t.fsdp_communication_s, t.pipeline_s, t.gradient_all_reduce_s];
            prop_assert_eq!(communication, [0.0; 4]);
            prop_assert_eq!(e.communication_j, 0.0);
        }
    }

    #[test]
    fn more_tokens_never_cost_less(job in placed(), more in 1.01..8.0_f64) {
        let Some(job) = job else { return Ok(()) };
        let of = |steps: f64| {
            let x = Terms { steps, ..Terms::for_job(&job) };
            answer(&job).logs(&x, Scope::Gpu)
        };
        let steps = Terms::for_job(&job).steps;
        let ([time, power], [longer, higher]) = (of(steps), of(more * steps));
        prop_assert!(longer > time && longer + higher > time + power);
        prop_assert!(longer <= time + more.ln() + 1e-12, "start-up is paid once");
    }

    #[test]
    fn longer_and_larger_batches_never_cost_less(job in placed(), which in 0..3_u8) {
        let Some(job) = job else { return Ok(()) };
        let mut more = job.clone();
        match which {
            0 => more.workload.seq_len *= 2,
            1 => more.workload.micro_batch *= 2,
            _ => more.workload.grad_accum *= 2,
        }
        // as many steps of more tokens each
        let of = |other: &Job| {
            let x = Terms { steps: 100.0, ..Terms::for_job(other) };
            let parts = answer(&job).parts(&x);
            [parts.time.total_s, parts.energy.total_j]
        };
        let (less, more) = (of(&job), of(&more));
        // a bubble lasts as long as the mean stage, whose share of the busiest one changes
        let slack = if job.parallelism.pp > 1 { 0.02 } else { 1e-9 };
        prop_assert!(more[0] >= less[0] * (1.0 - slack), "{less:?} {more:?}");
        prop_assert!(more[1] >= less[1] * (1.0 - slack), "{less:?} {more:?}");
    }
}

fn job(text: &str) -> Job {
    JobSpec::from_toml(text).unwrap().resolve(&CATALOG).unwrap()
}

/// GPT and BERT jobs over shape, batch, GPUs and strategy on an accelerator.
fn grid(gpu: &str, framework: &str) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (family, layers, hidden) in [
        ("gpt2", 4, 256),
        ("bert", 6, 512),
        ("gpt2", 12, 768),
        ("bert", 16, 1024),
        ("gpt2", 24, 2048),
    ] {
        for (micro_batch, seq_len) in [(2, 512), (16, 128)] {
            for (gpus, strategy) in [(1, "single"), (2, "fsdp"), (4, "ddp"), (8, "fsdp"), (2, "tp")]
            {
                jobs.push(job(&format!(
                    "model = {{ family = '{family}', layers = {layers}, hidden_size = {hidden} }}
                     workload = {{ steps = 200, seq_len = {seq_len}, micro_batch = {micro_batch}, grad_accum = 2, \
                                   precision = 'fp16', framework = '{framework}' }}
                     parallelism = {{ strategy = '{strategy}' }}
                     system = {{ gpu = '{gpu}', gpus = {gpus} }}"
                )));
            }
        }
    }
    jobs
}

/// Noise that is the same in every run of the test: uniform, with a standard deviation of `sd`.
fn noise(at: usize, sd: f64) -> f64 {
    let uniform = ((at * 7919 + 104_729) % 1009) as f64 / 1009.0 - 0.5;
    sd * 12_f64.sqrt() * uniform
}

/// A run of each job that takes `factor` of the law's time at the law's power, but for noise.
fn simulated(law: &RooflineFit, jobs: &[Job], factor: f64) -> Vec<Observation> {
    // all jobs of a grid have the same groups
    let groups = Groups::for_job(&jobs[0]);
    let answer = law.answer(&groups);
    let of = |(at, job): (usize, &Job)| {
        let terms = Terms::for_job(job);
        let [time, power] = answer.logs(&terms, Scope::Gpu);
        Observation {
            terms,
            groups: groups.clone(),
            scope: Scope::Gpu,
            table: "simulated".to_owned(),
            log_time: Some(time + factor.ln() + noise(at, 0.01)),
            log_power: Some(power + noise(at + 1, 0.01)),
        }
    };
    jobs.iter().enumerate().map(of).collect()
}

/// Standard deviations of ln time and ln power of the jobs of some groups, by the built-in law without what runs near
/// them say.
fn sds(groups: &Groups, jobs: &[Job]) -> [Vec<f64>; 2] {
    let conditional = law().posterior.conditional(groups);
    let mut workspace = Workspace::default();
    let mut sds: [Vec<f64>; 2] = Default::default();
    for job in jobs {
        let found = conditional.estimate(&Terms::for_job(job), Scope::Gpu, &mut workspace);
        sds[0].push(found.variance_time.sqrt());
        sds[1].push(found.variance_power.sqrt());
    }
    sds
}

/// Median over jobs of how much wider their intervals are in one group than in another.
fn wider(one: &[Vec<f64>; 2], other: &[Vec<f64>; 2]) -> [f64; 2] {
    [0, 1].map(|k| {
        let ratios: Vec<f64> = one[k].iter().zip(&other[k]).map(|(a, b)| a / b).collect();
        median(&ratios)
    })
}

/// The slopes of a stack's parameters differ, so that single jobs may go the other way.
#[test]
fn an_unstated_framework_has_wider_intervals_than_a_fitted_one() {
    let jobs = grid("a100-sxm4-80gb", "unknown");
    let unstated = Groups::for_job(&jobs[0]);
    assert!(law().answer(&unstated).unseen.contains(&Level::Framework));
    let without = sds(&unstated, &jobs);
    let programs = law().posterior.groups(Level::Program);
    for program in programs {
        let framework = program.split('/').next().unwrap().to_owned();
        let stated = Groups { framework, program: program.clone(), ..unstated.clone() };
        let [time, power] = wider(&without, &sds(&stated, &jobs));
        assert!(time > 1.0 && power > 1.0, "{program}: {time} {power}");
    }
    assert!(programs.len() >= 5);
}

#[test]
fn a_chip_without_runs_has_wider_intervals_than_one_with_runs() {
    let jobs = grid("a100-sxm4-80gb", "accelerate");
    let seen = Groups::for_job(&jobs[0]);
    let without = sds(&Groups { chip: "none".into(), ..seen.clone() }, &jobs);
    for chip in law().posterior.groups(Level::Chip) {
        let [time, power] =
            wider(&without, &sds(&Groups { chip: chip.clone(), ..seen.clone() }, &jobs));
        assert!(time > 1.0, "{chip}: {time}");
        assert!(power > 1.0 || !law().posterior.knows_power(chip), "{chip}: {power}");
    }
}

/// Standard deviations of ln time that the law misses of a chip without runs, and among sources.
const CHIP_MISSED: f64 = 0.20;
const SOURCE_SPREAD: f64 = 0.138;

/// Runs of 1.5 × the law's time on an accelerator without runs: the law follows there, and hardly elsewhere.
#[test]
fn an_update_by_an_unseen_chip_moves_its_predictions_and_leaves_others() {
    let law = roofline(&FITTED);
    let all = grid("b200", "megatron");
    assert!(law.answer(&Groups::for_job(&all[0])).unseen.contains(&Level::Chip));
    let few: Vec<Job> = all.iter().step_by(5).cloned().collect();
    let few = simulated(law, &few, 1.5);
    let updated = law.updated(&few.iter().collect::<Vec<_>>(), "here", None).unwrap();
    // how far each job's time moves, and its standard deviation before and after
    let moved = |jobs: &[Job]| {
        let groups = Groups::for_job(&jobs[0]);
        let answers = [law.answer(&groups), updated.answer(&groups)];
        let mut workspace = Workspace::default();
        let mut of = |job: &Job| {
            let x = Terms::for_job(job);
            let [before, after] = answers
                .each_ref()
                .map(|answer| answer.estimate(&x, Scope::Gpu, &mut workspace).estimate);
            let sds = [before, after].map(|estimate| estimate.variance_time.sqrt());
            (after.log_time - before.log_time, sds)
        };
        jobs.iter().map(&mut of).collect::<Vec<_>>()
    };
    for (here, [before, after]) in moved(&all) {
        assert!((0.6 * 1.5_f64.ln()..1.3 * 1.5_f64.ln()).contains(&here), "{here}");
        assert!(after < before, "{after} {before}");
        // few runs tell what the law misses of the chip on average, not of each configuration
        assert!(after > 0.6 * CHIP_MISSED.hypot(SOURCE_SPREAD), "{after}");
    }
    // a file keeps what the law misses
    let read = serde_json::from_str(&serde_json::to_string(&updated).unwrap()).unwrap();
    let sd = |law: &RooflineFit| {
        let answer = law.answer(&Groups::for_job(&all[0]));
        let mut workspace = Workspace::default();
        let x = Terms::for_job(&all[0]);
        answer.estimate(&x, Scope::Gpu, &mut workspace).estimate.variance_time.sqrt()
    };
    approx::assert_relative_eq!(sd(&read), sd(&updated), max_relative = 0.01);
    for (gpu, framework) in OF_FITTED {
        for (there, [sd, _]) in moved(&grid(gpu, framework)) {
            assert!(
                there.abs() < f64::max(0.35 * sd, 0.03),
                "{gpu}, {framework}: {there} with {sd}"
            );
        }
    }
    let cells = |law: &RooflineFit| law.cells().count();
    assert_eq!(cells(&updated), cells(law) + 1);
}

/// A table of simulated runs with every column that the law needs.
fn table(jobs: &[Job], factor: f64, scope: impl Fn(usize) -> Scope) -> Dataset {
    let mut text = String::from(
        "run_id,family,gpu,gpus,strategy,layers,hidden_size,heads,seq_len,micro_batch,grad_accum,steps,precision,\
         framework,duration_s,energy_kwh,scope\n",
    );
    for (at, job) in jobs.iter().enumerate() {
        let (a, w) = (&job.architecture, &job.workload);
        let scope = scope(at);
        let [time, power] = answer(job).logs(&Terms::for_job(job), scope);
        let seconds = factor * (time + noise(at, 0.01)).exp();
        let kwh = seconds * power.exp() * job.system.gpus as f64 / 3.6e6;
        text += &format!(
            "r{at},{},{},{},{},{},{},{},{},{},{},{},{},{},{seconds},{kwh},{scope}\n",
            a.family().name(),
            job.system.accelerator.name,
            job.system.gpus,
            job.parallelism.strategy(),
            a.layers,
            a.hidden_size,
            a.heads,
            w.seq_len,
            w.micro_batch,
            w.grad_accum,
            job.steps(),
            w.precision,
            w.framework,
        );
    }
    Dataset::from_csv(text.as_bytes(), "mine.csv", None).unwrap()
}

/// Errors of ln time and ln power of the jobs of a grid against `factor` × the built-in law's time, and its power.
fn errors(calibration: &Calibration, jobs: &[Job], factor: f64, scope: Scope) -> Vec<[f64; 2]> {
    // all jobs of a grid have the same groups
    let fitted = roofline(calibration).answer(&Groups::for_job(&jobs[0]));
    let of = |job: &Job| {
        let x = Terms::for_job(job);
        let truth = answer(job).logs(&x, scope);
        let found = fitted.logs(&x, scope);
        [found[0] - truth[0] - factor.ln(), found[1] - truth[1]]
    };
    jobs.iter().map(of).collect()
}

/// Median of |error| of both responses.
fn medians(errors: &[[f64; 2]]) -> [f64; 2] {
    [0, 1].map(|k| {
        let absolute: Vec<f64> = errors.iter().map(|e| e[k].abs()).collect();
        median(&absolute)
    })
}

/// Each row has the response of its own scope.
#[test]
fn rows_of_mixed_scopes_are_fitted_and_refused_by_a_scaling_law() {
    let jobs = grid("rtx-4090", "pytorch");
    let mixed = table(&jobs, 1.0, |at| [Scope::Gpu, Scope::Codecarbon, Scope::NodeAc][at % 3]);
    let options = FitOptions::default();
    let own = Calibration::fit_roofline(&mixed, &options, &CATALOG, None).unwrap();
    for scope in [Scope::Gpu, Scope::Codecarbon, Scope::NodeAc] {
        let [time, power] = medians(&errors(&own, &jobs, 1.0, scope));
        assert!(time < 0.1 && power < 0.1, "{scope}: {time} {power}");
    }
    let added = FITTED.adjusted(&mixed, &CATALOG, "mine").unwrap();
    assert_eq!(added.data.rows, FITTED.data.rows + mixed.runs.len());
    let error = Calibration::fit(&mixed, &options, &CATALOG).unwrap_err().to_string();
    assert!(error.contains("scope") && !error.contains('\n'), "{error}");
}

#[test]
fn one_run_is_added_to_the_law() {
    let jobs = &grid("a40", "pytorch")[10..11];
    let one = FITTED.adjusted(&table(jobs, 1.2, |_| Scope::Gpu), &CATALOG, "mine").unwrap();
    assert_eq!((one.name.as_str(), one.data.rows), ("mine", FITTED.data.rows + 1));
    let [before, after] =
        [&*FITTED, &one].map(|calibration| medians(&errors(calibration, jobs, 1.2, Scope::Gpu))[0]);
    assert!(after < 0.75 * before, "{before:?} {after:?}");
    // it answers what it answered before
    let other = &grid("h100-sxm5-80gb", "megatron")[3];
    let found = predict(other, &one, "asked", None, 0.95).unwrap();
    assert!(found.energy_j.unwrap().estimate > 0.0);
}

/// Accelerators and frameworks of the fitted law.
const OF_FITTED: [(&str, &str); 3] = [
    ("a100-sxm4-80gb", "pytorch"),
    ("h100-sxm5-80gb", "megatron"),
    ("v100-sxm2-32gb", "accelerate"),
];

/// A law fitted on runs with a discrepancy, in full digits.
static FITTED: LazyLock<Calibration> = LazyLock::new(|| {
    let [most, others @ ..] = OF_FITTED.map(|(gpu, framework)| grid(gpu, framework));
    let others = others.iter().flat_map(|jobs| jobs.iter().step_by(3).cloned());
    let jobs: Vec<Job> = most.into_iter().chain(others).collect();
    let data = table(&jobs, 1.0, |at| if at % 2 == 0 { Scope::Gpu } else { Scope::Codecarbon });
    Calibration::fit_roofline(&data, &FitOptions::default(), &CATALOG, Some(6)).unwrap()
});

#[test]
fn a_law_that_is_read_back_predicts_the_same() {
    let text = FITTED.to_json().unwrap();
    let read = Calibration::from_json(&text).unwrap();
    assert_eq!(read.to_json().unwrap(), text);
    let mut workspace = Workspace::default();
    for (gpu, framework) in [("a100-sxm4-80gb", "pytorch"), ("h100-sxm5-80gb", "unknown")] {
        let jobs = grid(gpu, framework);
        let groups = Groups::for_job(&jobs[0]);
        let (written, read) = (roofline(&FITTED).answer(&groups), roofline(&read).answer(&groups));
        for job in &jobs {
            let x = Terms::for_job(job);
            let [a, b] = [&written, &read]
                .map(|answer| answer.estimate(&x, Scope::Gpu, &mut workspace).estimate);
            assert!((a.log_time - b.log_time).abs() < 0.01, "{a:?} {b:?}");
            assert!((a.log_power - b.log_power).abs() < 0.01, "{a:?} {b:?}");
            for (a, b) in [
                (a.variance_time, b.variance_time),
                (a.variance_power, b.variance_power),
                (a.energy_sd().powi(2), b.energy_sd().powi(2)),
            ] {
                assert!((a / b).sqrt().ln().abs() < 0.02, "{a} {b}");
            }
        }
    }
    // and the built-in law is written as it was read
    let text = BUILT_IN.to_json().unwrap();
    assert_eq!(Calibration::from_json(&text).unwrap().to_json().unwrap(), text);
}

/// A change to one value of a document: where it is, and what it becomes.
#[derive(Debug, Clone)]
struct Damage {
    path: Vec<Index>,
    change: u8,
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let damage = (proptest::collection::vec(any::<Index>(), 8), 0..12_u8)
        .prop_map(|(path, change)| Damage { path, change });
    proptest::collection::vec(damage, 1..3)
}

/// Damages one value: of an object or array, each child is as likely.
fn damaged(value: &mut Value, path: &[Index], change: u8) {
    let (step, rest) = path.split_first().unwrap();
    // a whole list is damaged as often as what is in it
    let here = rest.is_empty() || step.index(4) == 0;
    match value {
        Value::Array(items) if !items.is_empty() && !here => {
            let at = step.index(items.len());
            damaged(&mut items[at], rest, change);
        }
        Value::Array(items) => match change % 6 {
            0 => drop(items.pop()),
            1 => items.clear(),
            2 => items.extend(items.first().cloned()),
            3 => items.reverse(),
            4 => items.insert(0, json!(0)),
            _ => *value = Value::Null,
        },
        Value::Object(fields) if !fields.is_empty() => {
            let name = fields.keys().nth(step.index(fields.len())).unwrap().clone();
            if here && change.is_multiple_of(6) {
                fields.remove(&name);
            } else {
                damaged(&mut fields[&name], rest, change);
            }
        }
        other => {
            *other = match change {
                0 => json!(0),
                1 => json!(-1),
                2 => json!(1e300),
                3 => json!(-1e300),
                4 => json!(1e-300),
                5 => json!(32_767),
                6 => json!(-32_768),
                7 => json!(u64::MAX),
                8 => json!(99.9),
                9 => json!("x"),
                10 => json!([]),
                _ => Value::Null,
            }
        }
    }
}

/// A job near the runs of the fitted law, and one unlike them.
static ASKED: LazyLock<[Job; 2]> =
    LazyLock::new(|| [grid("a100-sxm4-80gb", "pytorch").remove(7), grid("t4", "jax").remove(0)]);

static DAMAGEABLE: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&FITTED.to_json().unwrap()).unwrap());

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_damaged_file_is_answered_or_refused_in_a_sentence(damages in damages()) {
        let mut file = DAMAGEABLE.clone();
        for Damage { path, change } in &damages {
            damaged(&mut file["law"], path, *change);
        }
        let Some(read) = answered(Calibration::from_json(&file.to_string()))? else { return Ok(()) };
        let text = read.to_json().unwrap();
        prop_assert_eq!(Calibration::from_json(&text).unwrap().to_json().unwrap(), text);
        for job in &*ASKED {
            answered(predict(job, &read, "asked", None, 0.95))?;
        }
    }
}

/// The built-in file as it lies in the repository.
const FILE: &str = include_str!("../../calibrations/wattlaw-2026.json");

fn numbers<'a>(value: &'a Value, out: &mut Vec<&'a serde_json::Number>) {
    match value {
        Value::Number(number) => out.push(number),
        Value::Array(items) => items.iter().for_each(|item| numbers(item, out)),
        Value::Object(fields) => fields.values().for_each(|field| numbers(field, out)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Digits of a number without its sign, point, exponent and zeros at the ends.
fn digits(number: &str) -> String {
    let mantissa = number.split(['e', 'E']).next().unwrap();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').to_owned()
}

/// Measured numbers with fewer digits than these coincide with others by chance.
const TELLING: usize = 7;

#[test]
fn the_built_in_file_is_small_and_holds_no_measured_run() {
    assert!(FILE.len() <= 1_000_000, "{} bytes", FILE.len());
    let document: Value = serde_json::from_str(FILE).unwrap();
    let mut found = Vec::new();
    numbers(&document, &mut found);
    let stored: BTreeSet<String> = found.iter().map(|number| digits(&number.to_string())).collect();
    assert!(stored.len() > 1000);
    let mut searched = 0;
    for source in Sources::built_in().unwrap().sources.iter().filter(|s| s.purpose == Purpose::Fit)
    {
        let file = format!("{}/../../../shared/data/{}", env!("CARGO_MANIFEST_DIR"), source.table);
        let Ok(table) = std::fs::read(file) else {
            println!("skipped: the measured table {} is not beside the project", source.table);
            continue;
        };
        let map = source.built_in_map().unwrap();
        for run in source.read(&table, map, &CATALOG).unwrap().runs {
            let steps = if run.covers == Covers::Steps {
                run.resolve(&CATALOG).unwrap().steps()
            } else {
                1.0
            };
            let seconds = run.duration.map(|s| s.value());
            let joules = run.energy.map(|e| e.value());
            let power = joules.zip(seconds).map(|(joules, seconds)| joules / seconds);
            let per_step = seconds.map(|s| s / steps);
            for measured in
                [seconds, per_step, joules, joules.map(|j| j / 3.6e6), power].into_iter().flatten()
            {
                for form in [measured, measured.ln()] {
                    let form = digits(&form.to_string());
                    // ln 2 is no measurement
                    if form.len() >= TELLING && digits(&measured.to_string()).len() >= 4 {
                        searched += 1;
                        assert!(!stored.contains(&form), "{}: {measured}", source.name);
                    }
                }
            }
        }
    }
    println!("{searched} measured numbers are not among the {} of the file", stored.len());
}

/// The validation's law: whole families of the study's BERT runs held out.
#[test]
fn held_out_families_are_predicted() {
    let file =
        format!("{}/../../../shared/data/multi_gpu_2026/runs.csv", env!("CARGO_MANIFEST_DIR"));
    let Ok(bytes) = std::fs::read(file) else {
        println!("skipped: the study's runs are not beside the project");
        return;
    };
    let data = Dataset::from_csv(&bytes, "runs.csv", None)
        .unwrap()
        .filter(|r| r.family() == "bert" && r.gpu().contains("2080"));
    let frame = data.frame(ProxyColumns::default(), &CATALOG).unwrap();
    let validator = CrossValidator {
        scheme: Scheme::Shuffle { n_splits: 1, test_size: 0.3, seed: 7 },
        ..CrossValidator::new(HoldOut::from("family"), 7)
    };
    let found = validator.validate(&RooflineLaw::new(&data, &CATALOG, true), &frame).unwrap();
    println!("R² {:.4}, median error {:.4}", found.r2.median, found.median_ape.median);
    assert!(found.r2.median > 0.95, "R² {}", found.r2.median);
    assert!(found.median_ape.median < 0.1, "median error {}", found.median_ape.median);
}

/// Runs whose software is not stated tell of their own source, and not of all jobs whose software is not stated.
#[test]
fn runs_of_unstated_software_leave_other_jobs_as_wide_as_before() {
    let unstated = grid("rtx-4090", "unknown");
    let runs = table(&unstated[..10], 1.2, |_| Scope::Gpu);
    let added = BUILT_IN.adjusted(&runs, &CATALOG, "mine").unwrap();
    let width = |calibration: &Calibration, job: &Job| {
        let time = predict(job, calibration, "test", None, 0.95).unwrap().duration_s.unwrap();
        time.upper / time.lower
    };
    for job in grid("a100-sxm4-80gb", "unknown").iter().take(10) {
        assert!(width(&added, job) > 0.9 * width(&BUILT_IN, job));
    }
    for job in &unstated[..10] {
        assert!(width(&added, job) < 0.8 * width(&BUILT_IN, job));
    }
}

/// What the time is of does not change how far a law is off: a table of runs without their start-up is validated as one
/// with it.
#[test]
fn runs_that_cover_their_steps_alone_are_validated_as_such() {
    let jobs = grid("t4", "pytorch");
    let mut data = table(&jobs, 1.0, |_| Scope::Gpu);
    for (run, job) in data.runs.iter_mut().zip(&jobs) {
        run.covers = Covers::Steps;
        let terms = Terms { covers: Covers::Steps, ..Terms::for_job(job) };
        let [time, power] = answer(job).logs(&terms, Scope::Gpu);
        let joules = (time + power).exp() * job.system.gpus as f64;
        run.duration = Some(Seconds::new(time.exp()));
        (run.energy, run.energy_kwh) = (Some(Joules::new(joules)), Some(joules / 3.6e6));
    }
    let frame = data.frame(ProxyColumns::default(), &CATALOG).unwrap();
    let validator = CrossValidator {
        scheme: Scheme::KFold { k: 3, seed: 7 },
        ..CrossValidator::new(HoldOut::from("row"), 7)
    };
    for energy in [false, true] {
        let law = RooflineLaw::new(&data, &CATALOG, energy);
        let found = validator.validate(&law, &frame).unwrap();
        assert!(found.median_ape.median < 0.1, "{}", found.median_ape.median);
    }
}
