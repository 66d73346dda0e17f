//! Predictions a second on one core: energy, time and power with intervals, for jobs that are prepared, for jobs whose
//! work is counted first, and for the one job that `benches/peers/llm_analysis_training.py` evaluates.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use wattlaw::base::units::JOULES_PER_KWH;
use wattlaw::calibration::{
    Calibration, Laws, ScalingEstimate, ScalingEvaluator, ScalingLaws, embedded,
};
use wattlaw::cost::{AttentionFlops, Cost};
use wattlaw::data::features::Features;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::{Job, JobSpec};
use wattlaw::law::roofline::laws::RooflineLaws;
use wattlaw::law::roofline::machine::Machine;
use wattlaw::law::roofline::terms::Terms;
use wattlaw::predict::{Interval, predict};

const LEVEL: f64 = 0.95;

fn main() -> wattlaw::Result<()> {
    let catalog = Catalog::built_in()?;
    let mut criterion = Criterion::default().configure_from_args();
    for calibration in embedded()? {
        let jobs = jobs(&calibration, &catalog)?;
        println!("{}: {} different jobs", calibration.name, jobs.len());
        match &calibration.law {
            Laws::Scaling(laws) => scaling(&mut criterion, &calibration, laws, &jobs)?,
            Laws::Roofline(laws) => roofline(&mut criterion, &calibration, laws, &jobs),
        }
    }
    peer(&mut criterion, &catalog)?;
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

/// Time and energy with their spreads by the physics of the job's accelerator.
fn roofline(
    criterion: &mut Criterion,
    calibration: &Calibration,
    laws: &RooflineLaws,
    jobs: &[Job],
) {
    let prepared: Vec<(&Machine, Terms)> = jobs
        .iter()
        .map(|job| (laws.machine(&job.system.accelerator.name).0, Terms::for_job(job)))
        .collect();
    let answer = |machine: &Machine, terms: &Terms| {
        (machine.predict(terms), machine.half_widths(terms, LEVEL))
    };
    let mut group = criterion.benchmark_group(format!("predict/{}", calibration.name));
    group.throughput(Throughput::Elements(jobs.len() as u64));
    group.bench_function("prepared", |b| {
        b.iter(|| {
            for (machine, terms) in &prepared {
                let _ = black_box(answer(machine, black_box(terms)));
            }
        });
    });
    group.bench_function("with the ledger", |b| {
        b.iter(|| {
            for job in jobs {
                let machine = laws.machine(&job.system.accelerator.name).0;
                let _ = black_box(answer(machine, &Terms::for_job(black_box(job))));
            }
        });
    });
    group.finish();
}

/// OPT-1.3B on eight A100 with FSDP, from the resolved job: counted and answered, and the whole of `wattlaw predict`.
fn peer(criterion: &mut Criterion, catalog: &Catalog) -> wattlaw::Result<()> {
    let job = job("opt-1.3b", "a100-sxm4-40gb", 8, 1, catalog)?;
    for calibration in embedded()?.iter().filter(|c| c.name == "gpt-2026") {
        let Laws::Scaling(laws) = &calibration.law else { continue };
        let answering = laws.evaluator(LEVEL)?;
        criterion.bench_function("predict/opt-1.3b with the ledger", |b| {
            b.iter(|| counted(&answering, laws, black_box(&job)));
        });
        criterion.bench_function("predict/opt-1.3b with all that is printed", |b| {
            b.iter(|| predict(black_box(&job), calibration, "it was named", LEVEL));
        });
    }
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
