//! What must hold of a law that is carried over to a machine by a few runs: its limits, and what is kept in a file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

use wattlaw::calibration::Calibration;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::{Job, JobSpec};
use wattlaw::law::roofline::fit::{Estimate, Fit, Prior, Sample, fit_few};
use wattlaw::law::roofline::physics::{COUNT, Physics, RooflineParameters};
use wattlaw::law::roofline::sensitivity::derivatives;
use wattlaw::law::roofline::terms::Terms;
use wattlaw::law::roofline::transfer::posterior_sds;
use wattlaw::stats::optimal::Criterion;

const PARENT: &str = include_str!("../../calibrations/roofline-gpt-2026.json");

/// A machine that the parent has never seen.
const GPU: &str = "rtx-4090";

fn parent() -> Calibration {
    Calibration::from_json(PARENT).unwrap()
}

fn prior() -> Prior {
    let wattlaw::calibration::Laws::Roofline(laws) = parent().law else {
        panic!("no roofline law")
    };
    laws.prior(GPU)
}

fn jobs() -> Vec<Job> {
    let catalog = Catalog::built_in().unwrap();
    let mut jobs = Vec::new();
    for (layers, hidden) in [(2, 256), (6, 512), (12, 768)] {
        for micro_batch in [4, 32] {
            for (gpus, strategy) in [(1, "single"), (2, "fsdp"), (4, "fsdp"), (4, "ddp")] {
                let text = format!(
                    "model = {{ family = 'gpt2', layers = {layers}, hidden_size = {hidden} }}
                     workload = {{ steps = 200, seq_len = 128, micro_batch = {micro_batch} }}
                     parallelism = {{ strategy = '{strategy}' }}
                     system = {{ gpu = '{GPU}', gpus = {gpus} }}"
                );
                jobs.push(JobSpec::from_toml(&text).unwrap().resolve(&catalog).unwrap());
            }
        }
    }
    jobs
}

/// What a machine with these parameters measures, without noise.
fn measured<'a>(terms: &'a [Terms], logs: &[f64; COUNT]) -> Vec<Sample<'a>> {
    let physics = Physics(RooflineParameters::from_logs(logs));
    terms
        .iter()
        .map(|terms| {
            let time = physics.time(terms).total_s;
            let log_energy = Some(physics.energy(terms, time).total_j.ln());
            Sample { terms, log_duration: time.ln(), log_energy }
        })
        .collect()
}

#[test]
fn without_runs_a_new_machine_has_the_pooled_parameters() {
    let wattlaw::calibration::Laws::Roofline(laws) = parent().law else {
        panic!("no roofline law")
    };
    assert_eq!(laws.prior(GPU).mean, laws.pooled.fit.logs);
    let transfer = laws.transfer.unwrap();
    for (unseen, shared) in transfer.unseen.log_sds.iter().zip(laws.pooled.fit.log_sds) {
        assert!(*unseen > shared, "{unseen} {shared}: machines differ");
    }
}

#[test]
fn a_run_as_predicted_changes_nothing_and_no_run_widens() {
    let (prior, jobs) = (prior(), jobs());
    let terms: Vec<Terms> = jobs.iter().map(Terms::for_job).collect();
    let runs = measured(&terms, &prior.mean);
    let before =
        Fit { logs: prior.mean, log_sds: [0.0; COUNT], whitening: prior.whitening.clone() };
    let sds = |fit: &Fit| -> Vec<f64> { terms.iter().map(|x| posterior_sds(fit, x)[1]).collect() };
    let mut widest = sds(&before);
    for k in 1..=8 {
        let found = fit_few(&runs[..k], &prior).unwrap();
        for (now, was) in found.logs.iter().zip(prior.mean) {
            assert!((now - was).abs() < 1e-6, "{now} {was}");
        }
        let now = sds(&found);
        assert!(now.iter().zip(&widest).all(|(now, was)| *now <= was * (1.0 + 1e-6)));
        assert!(now[k - 1] < 0.999 * widest[k - 1], "run {k} told nothing of itself");
        widest = now;
    }
}

#[test]
fn many_runs_determine_the_machine() {
    let (prior, jobs) = (prior(), jobs());
    let terms: Vec<Terms> = jobs.iter().map(Terms::for_job).collect();
    // a third slower to launch, a quarter more efficient, and so on, within what machines differ by
    let mut truth = prior.mean;
    for (i, log) in truth.iter_mut().enumerate() {
        *log += 0.3 * ((i * 7 % 5) as f64 / 2.0 - 1.0);
    }
    let runs = measured(&terms, &truth);
    let worst = |fit: &[f64; COUNT]| -> f64 {
        let found = measured(&terms, fit);
        let off = runs.iter().zip(&found).map(|(a, b)| {
            let energy = a.log_energy.unwrap() - b.log_energy.unwrap();
            energy.abs().max((a.log_duration - b.log_duration).abs())
        });
        off.fold(0.0, f64::max)
    };
    let before = worst(&prior.mean);
    let few = worst(&fit_few(&runs[..5], &prior).unwrap().logs);
    let all = worst(&fit_few(&runs, &prior).unwrap().logs);
    assert!(before > 0.1 && few < before && all < 0.02, "{before} {few} {all}");
}

#[test]
fn a_covariance_survives_a_file_and_a_file_without_one_is_read_as_independent() {
    let wattlaw::calibration::Laws::Roofline(laws) = parent().law else {
        panic!("no roofline law")
    };
    let fit = laws.transfer.unwrap().unseen;
    let text = serde_json::to_string(&fit).unwrap();
    let read: Fit = serde_json::from_str(&text).unwrap();
    let gradient = derivatives(&fit.logs, &Terms::for_job(&jobs()[3]))[0];
    approx::assert_relative_eq!(
        read.variance(&gradient),
        fit.variance(&gradient),
        max_relative = 1e-4
    );
    let mut estimates: Vec<Estimate> = fit.clone().into();
    for estimate in &mut estimates {
        estimate.whitening.clear();
    }
    let alone = Fit::try_from(estimates.clone()).unwrap();
    let sum: f64 = gradient.iter().zip(fit.log_sds).map(|(g, sd)| (g * sd).powi(2)).sum();
    approx::assert_relative_eq!(alone.variance(&gradient), sum, max_relative = 1e-9);
    estimates[3].whitening = vec![1.0];
    let error = Fit::try_from(estimates).unwrap_err().to_string();
    assert!(error.contains("whitening of parameter"), "{error}");
}

#[test]
fn suggested_runs_narrow_predictions_and_cover_strategies() {
    let jobs = jobs();
    let jobs: Vec<&Job> = jobs.iter().collect();
    for criterion in [Criterion::Targets, Criterion::Parameters] {
        let found = parent().suggest(&jobs, &jobs, 5, criterion).unwrap();
        let mut sd = found.log_sd_before;
        for run in &found.runs {
            assert!(run.target_log_sd < sd && run.information_bits > 0.0);
            assert!(run.duration_s > 0.0 && run.energy_j > 0.0);
            sd = run.target_log_sd;
        }
        assert!(sd < 0.6 * found.log_sd_before, "{sd} of {}", found.log_sd_before);
        let mut gpus: Vec<u64> =
            found.runs.iter().map(|r| jobs[r.candidate].parallelism.gpus()).collect();
        gpus.sort_unstable();
        gpus.dedup();
        assert!(gpus.len() > 1, "{gpus:?}");
    }
}

/// The first runs chosen tell more than runs taken in order.
#[test]
fn chosen_runs_reduce_uncertainty_more_than_the_first_ones() {
    let jobs = jobs();
    let jobs: Vec<&Job> = jobs.iter().collect();
    let chosen = parent().suggest(&jobs, &jobs, 4, Criterion::Targets).unwrap();
    let first = parent().suggest(&jobs[..4], &jobs, 4, Criterion::Targets).unwrap();
    assert!(chosen.runs[3].target_log_sd < 0.95 * first.runs[3].target_log_sd);
}
