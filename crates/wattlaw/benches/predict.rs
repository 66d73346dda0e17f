//! Predictions a second on one core: energy, time and power with intervals, for jobs that are prepared, for jobs whose
//! work is counted first, for the rows of a table, and for the one job that `benches/peers/llm_analysis_training.py` evaluates.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use wattlaw::base::scope::Scope;
use wattlaw::base::units::JOULES_PER_KWH;
use wattlaw::calibration::{
    Calibration, Laws, ScalingEstimate, ScalingEvaluator, ScalingLaws, built_in, embedded,
};
use wattlaw::cost::{AttentionFlops, Cost};
use wattlaw::data::features::Features;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::{Job, JobSpec, Resolver};
use wattlaw::law::roofline::terms::Terms;
use wattlaw::law::roofline::{Answer, Groups, RooflineFit, Workspace};
use wattlaw::predict::{ChosenJob, Estimator, Interval, predict};
use wattlaw::stats::inference::Reference;

const LEVEL: f64 = 0.95;

/// Groups of jobs whose law is kept, as a server or a sweep keeps it.
type Answers<'a> = BTreeMap<Groups, Answer<'a>>;

fn main() -> wattlaw::Result<()> {
    let catalog = Catalog::built_in()?;
    let mut criterion = Criterion::default().configure_from_args();
    for calibration in embedded()? {
        let jobs = jobs(&calibration, &catalog)?;
        println!("{}: {} different jobs", calibration.name, jobs.len());
        match &calibration.law {
            Laws::Scaling(laws) => scaling(&mut criterion, &calibration, laws, &jobs)?,
            Laws::Roofline(law) => roofline(&mut criterion, &calibration, law, &jobs)?,
        }
    }
    peer(&mut criterion, &catalog)?;
    table(&mut criterion, &catalog)?;
    criterion.final_summary();
    Ok(())
}

fn scaling(
    criterion: &mut Criterion,
    calibration: &Calibration,
    laws: &ScalingLaws,
    jobs: &[Job],
) -> wattlaw::Result<()> {
    let prepared: Vec<Features> =
        jobs.iter().map(|job| calibration.features(job, laws.columns).0).collect();
    let answering = laws.evaluator(LEVEL)?;
    for job in jobs {
        // a job that is refused is refused quickly
        let (_, intervals) = counted(&answering, laws, job)?;
        assert!(intervals.iter().all(|i| i.lower > 0.0 && i.upper.is_finite()), "{intervals:?}");
    }
    let mut group = criterion.benchmark_group(format!("predict/{}", calibration.name));
    group.throughput(Throughput::Elements(jobs.len() as u64));
    group.bench_function("prepared", |b| {
        b.iter(|| {
            for features in &prepared {
                let _ = black_box(complete(&answering, black_box(features)));
            }
        });
    });
    group.bench_function("with the ledger", |b| {
        b.iter(|| {
            for job in jobs {
                let _ = black_box(counted(&answering, laws, black_box(job)));
            }
        });
    });
    group.finish();
    Ok(())
}

/// Time, energy and power with intervals by the roofline law.
fn roofline(
    criterion: &mut Criterion,
    calibration: &Calibration,
    law: &RooflineFit,
    jobs: &[Job],
) -> wattlaw::Result<()> {
    let quantile = Reference::Normal.half_width(LEVEL)?;
    let mut answers = Answers::new();
    for job in jobs {
        let groups = Groups::for_job(job);
        answers.entry(groups).or_insert_with_key(|groups| law.answer(groups));
    }
    let prepared: Vec<(&Answer<'_>, Terms)> = jobs
        .iter()
        .filter_map(|job| Some((answers.get(&Groups::for_job(job))?, Terms::for_job(job))))
        .collect();
    let mut workspace = Workspace::default();
    for (answer, terms) in &prepared {
        let found = intervals(answer, terms, quantile, &mut workspace);
        assert!(found.iter().all(|i| i.lower > 0.0 && i.upper.is_finite()), "{found:?}");
    }
    let mut group = criterion.benchmark_group(format!("predict/{}", calibration.name));
    group.throughput(Throughput::Elements(jobs.len() as u64));
    group.bench_function("prepared", |b| {
        b.iter(|| {
            for (answer, terms) in &prepared {
                black_box(intervals(answer, black_box(terms), quantile, &mut workspace));
            }
        });
    });
    group.bench_function("with the ledger", |b| {
        b.iter(|| {
            for job in jobs {
                let terms = Terms::for_job(black_box(job));
                if let Some(answer) = answers.get(&Groups::for_job(job)) {
                    black_box(intervals(answer, &terms, quantile, &mut workspace));
                }
            }
        });
    });
    group.throughput(Throughput::Elements(answers.len() as u64));
    group.bench_function("the law of one chip, software and network", |b| {
        b.iter(|| {
            for groups in answers.keys() {
                black_box(law.answer(black_box(groups)));
            }
        });
    });
    group.finish();
    Ok(())
}

/// Energy in joules, time in seconds and mean power in watts of all accelerators, with intervals.
fn intervals(
    answer: &Answer<'_>,
    terms: &Terms,
    quantile: f64,
    workspace: &mut Workspace,
) -> [Interval; 3] {
    let found = answer.estimate(terms, Scope::Gpu, workspace).estimate;
    let log_power = found.log_power + terms.gpus.ln();
    [
        Interval::from_log(found.log_time + log_power, quantile * found.energy_sd()),
        Interval::from_log(found.log_time, quantile * found.variance_time.sqrt()),
        Interval::from_log(log_power, quantile * found.variance_power.sqrt()),
    ]
}

/// OPT-1.3B on eight A100 with FSDP, from the resolved job: counted and answered, and the whole of `wattlaw predict`.
fn peer(criterion: &mut Criterion, catalog: &Catalog) -> wattlaw::Result<()> {
    let job = job("opt-1.3b", "a100-sxm4-40gb", 8, 1, catalog)?;
    for calibration in &embedded()? {
        let name = &calibration.name;
        match &calibration.law {
            Laws::Scaling(laws) if name == "gpt-2026" => {
                let answering = laws.evaluator(LEVEL)?;
                criterion.bench_function("predict/opt-1.3b with the ledger", |b| {
                    b.iter(|| counted(&answering, laws, black_box(&job)));
                });
            }
            Laws::Scaling(_) => continue,
            Laws::Roofline(_) => {}
        }
        criterion.bench_function(
            &format!("predict/opt-1.3b with all that is printed, {name}"),
            |b| {
                b.iter(|| predict(black_box(&job), calibration, "it was named", None, LEVEL));
            },
        );
    }
    Ok(())
}

/// Descriptions as those of the rows of a table, resolved and answered with intervals and memory, as the Python package does.
fn table(criterion: &mut Criterion, catalog: &Catalog) -> wattlaw::Result<()> {
    let mut specs = Vec::new();
    for model in ["llama-3.1-8b", "mistral-7b-v0.1"] {
        for gpu in ["a100-sxm4-80gb", "h100-sxm5-80gb"] {
            for (nodes, gpus) in [(1, 2), (1, 8), (2, 8), (4, 32)] {
                for (micro_batch, seq_len) in [(1, 512), (2, 2048), (8, 4096)] {
                    specs.push(JobSpec::from_toml(&format!(
                        "model.name = '{model}'
                        workload = {{ tokens = '100M', seq_len = {seq_len}, micro_batch = {micro_batch} }}
                        system = {{ gpu = '{gpu}', gpus = {gpus}, nodes = {nodes} }}
                        parallelism.strategy = 'fsdp'"
                    ))?);
                }
            }
        }
    }
    let calibration = built_in()?;
    let (mut estimator, mut resolver) = (Estimator::new(&calibration), Resolver::new(catalog));
    let mut group = criterion.benchmark_group("predict/table");
    group.throughput(Throughput::Elements(specs.len() as u64));
    group.bench_function("resolved", |b| {
        b.iter(|| {
            for spec in &specs {
                let _ = black_box(ChosenJob::job(black_box(spec), &mut resolver));
            }
        });
    });
    group.bench_function("answered", |b| {
        b.iter(|| {
            for spec in &specs {
                let answer = ChosenJob::job(black_box(spec), &mut resolver)
                    .and_then(|job| estimator.intervals(&job, None, LEVEL));
                assert!(black_box(answer).is_ok());
            }
        });
    });
    group.finish();
    Ok(())
}

/// Energy in joules, time in seconds and mean power in watts, with intervals, as `predict` makes them.
fn complete(
    answering: &ScalingEvaluator<'_>,
    features: &Features,
) -> wattlaw::Result<[Interval; 3]> {
    let ScalingEstimate { log_energy_kwh, log_duration_s, half_widths } =
        answering.estimate(features)?;
    let [energy, duration, power] = half_widths;
    Ok([
        Interval::from_log(log_energy_kwh, energy).scaled(JOULES_PER_KWH),
        Interval::from_log(log_duration_s, duration),
        Interval::from_log(log_energy_kwh - log_duration_s, power).scaled(JOULES_PER_KWH),
    ])
}

fn counted(
    answering: &ScalingEvaluator<'_>,
    laws: &ScalingLaws,
    job: &Job,
) -> wattlaw::Result<(Cost, [Interval; 3])> {
    let cost = Cost::count(job, AttentionFlops::Full);
    let features = Features::for_job(job, laws.columns);
    Ok((cost, complete(answering, &features)?))
}

/// Every model of the calibration's families on every accelerator it has seen, on one to eight GPUs.
fn jobs(calibration: &Calibration, catalog: &Catalog) -> wattlaw::Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for model in [
        "bert-base-uncased",
        "bert-large-uncased",
        "gpt2",
        "gpt2-medium",
        "gpt2-xl",
        "opt-1.3b",
        "llama-2-7b",
    ] {
        for gpu in calibration.seen("gpu") {
            for gpus in [1, 2, 4, 8] {
                for micro_batch in [8, 16, 32] {
                    let job = job(model, gpu, gpus, micro_batch, catalog)?;
                    let family = job.architecture.family().name().to_owned();
                    if calibration.seen("family").contains(&family) {
                        jobs.push(job);
                    }
                }
            }
        }
    }
    Ok(jobs)
}

fn job(
    model: &str,
    gpu: &str,
    gpus: u64,
    micro_batch: u64,
    catalog: &Catalog,
) -> wattlaw::Result<Job> {
    let strategy = if gpus > 1 { "parallelism.strategy = 'fsdp'" } else { "" };
    let toml = format!(
        "model.name = '{model}'
        workload = {{ tokens = '1B', seq_len = 512, micro_batch = {micro_batch} }}
        system = {{ gpu = '{gpu}', gpus = {gpus} }}
        {strategy}"
    );
    JobSpec::from_toml(&toml)?.resolve(catalog)
}
