//! What needs the parameters themselves: derivatives by the tape, and a fit that finds what made its runs.

use super::conditional::{Vector, Workspace, logs, parameters_of};
use super::fit::Fit;
use super::groups::{Groups, Level};
use super::observation::Observation;
use super::parameter::{COUNT, PARAMETERS};
use super::terms::Terms;
use crate::base::scope::{Covers, Scope};
use crate::job::JobSpec;
use crate::job::catalog::Catalog;

/// Jobs that between them take every branch of the physics: model, workload, parallelism and system.
const JOBS: [(&str, &str, &str, &str); 8] = [
    (
        "family = 'bert', layers = 4, hidden_size = 256",
        "seq_len = 64, micro_batch = 2, precision = 'fp32', attention = 'eager'",
        "",
        "gpu = 't4'",
    ),
    (
        "name = 'gpt2'",
        "seq_len = 1024, micro_batch = 8, precision = 'fp16'",
        "strategy = 'ddp'",
        "gpu = 'v100-pcie-16gb', gpus = 4",
    ),
    (
        "name = 'gpt2-medium'",
        "seq_len = 512, micro_batch = 4, precision = 'tf32', attention = 'eager'",
        "strategy = 'zero1'",
        "gpu = 'a100-sxm4-40gb', gpus = 16, gpus_per_node = 8, power_limit_w = 200",
    ),
    (
        "name = 'llama-2-7b'",
        "seq_len = 2048, micro_batch = 1, precision = 'bf16', checkpointing = 'full', grad_accum = 4",
        "strategy = 'fsdp'",
        "gpu = 'a100-sxm4-80gb', gpus = 16, gpus_per_node = 8",
    ),
    (
        "name = 'llama-2-7b'",
        "seq_len = 4096, micro_batch = 2, precision = 'fp8'",
        "strategy = 'fsdp'",
        "gpu = 'h100-sxm5-80gb', gpus = 8, power_limit_w = 350",
    ),
    (
        "family = 'gpt2', layers = 16, hidden_size = 4096, heads = 32, vocab_size = 51200",
        "seq_len = 2048, micro_batch = 1, precision = 'fp16', grad_accum = 8",
        "tp = 2, pp = 4, dp = 2",
        "gpu = 'a100-sxm4-80gb', gpus = 16, gpus_per_node = 8",
    ),
    (
        "family = 'gpt2', layers = 16, hidden_size = 4096, heads = 32, vocab_size = 51200",
        "seq_len = 2048, micro_batch = 1, precision = 'bf16', grad_accum = 8",
        "tp = 8, pp = 2",
        "gpu = 'a100-sxm4-80gb', gpus = 16, gpus_per_node = 4",
    ),
    (
        "name = 'llama-2-7b'",
        "seq_len = 1024, micro_batch = 1, precision = 'bf16', lora = { rank = 8 }, grad_accum = 2",
        "strategy = 'zero2'",
        "gpu = 'a40', gpus = 8",
    ),
];

fn terms((model, workload, parallelism, system): (&str, &str, &str, &str)) -> (Terms, Groups) {
    let text = format!(
        "model = {{ {model} }}\nworkload = {{ steps = 100, {workload} }}\n\
         parallelism = {{ {parallelism} }}\nsystem = {{ {system} }}"
    );
    let job = JobSpec::from_toml(&text).unwrap().resolve(&Catalog::built_in().unwrap()).unwrap();
    (Terms::for_job(&job), Groups::for_job(&job))
}

/// Numbers from −1 to 1 that have no pattern, and are the same in every run.
fn scattered(seed: usize) -> f64 {
    ((seed * 7919 + 104_729) % 1009) as f64 / 504.5 - 1.0
}

/// Logarithms and logits of parameters up to `sds` standard deviations of the prior from their medians.
fn parameters(seed: usize, sds: f64) -> Vector {
    Vector::from_fn(|k, _| {
        let p = &PARAMETERS[k];
        p.prior_mean() + sds * p.sd * scattered(seed * COUNT + k)
    })
}

#[test]
fn derivatives_by_the_tape_are_those_of_finite_differences() {
    let mut workspace = Workspace::default();
    let mut seen = [false; COUNT];
    for (at, job) in JOBS.into_iter().enumerate() {
        let (mut x, _) = terms(job);
        for (scope, covers) in [
            (Scope::Gpu, Covers::Run),
            (Scope::Codecarbon, Covers::OneStep),
            (Scope::NodeAc, Covers::Run),
            (Scope::NodeDc, Covers::Steps),
        ] {
            x.covers = covers;
            let at_place = parameters(at, 1.0);
            let gradients = workspace.gradients(&parameters_of(&at_place), &x, scope);
            assert_eq!(gradients.values, logs(&parameters_of(&at_place), &x, scope));
            for k in 0..COUNT {
                let moved = |by: f64| {
                    let mut place = at_place;
                    place[k] += by;
                    logs(&parameters_of(&place), &x, scope)
                };
                const STEP: f64 = 1e-5;
                let (more, less) = (moved(STEP), moved(-STEP));
                for response in 0..2 {
                    let difference = (more[response] - less[response]) / (2.0 * STEP);
                    let slope = gradients.slopes[k][response];
                    assert!(
                        (slope - difference).abs() < 1e-6 + 1e-4 * difference.abs(),
                        "job {at}, {}: {slope} is not {difference}",
                        PARAMETERS[k].name
                    );
                    seen[k] |= slope.abs() > 1e-9;
                }
            }
        }
    }
    // no parameter is without effect in all of the jobs
    let without: Vec<&str> = (0..COUNT).filter(|k| !seen[*k]).map(|k| PARAMETERS[k].name).collect();
    assert_eq!(without, [""; 0]);
}

/// Runs of one chip and program that known parameters made, with noise of 2 %.
fn simulated(truth: &Vector) -> Vec<Observation> {
    let mut runs = Vec::new();
    let parameters = parameters_of(truth);
    for (shape, layers, hidden) in [("gpt2", 4, 256), ("bert", 8, 768), ("gpt2", 24, 2048)] {
        for (seq_len, micro_batch) in [(128, 1), (128, 16), (1024, 4)] {
            for (parallelism, gpus) in [("", 1), ("strategy = 'fsdp'", 8), ("tp = 4", 4)] {
                for precision in ["fp16", "fp32"] {
                    let (model, workload, system) = (
                        format!("family = '{shape}', layers = {layers}, hidden_size = {hidden}"),
                        format!(
                            "seq_len = {seq_len}, micro_batch = {micro_batch}, precision = '{precision}', \
                             framework = 'pytorch'"
                        ),
                        format!("gpu = 'a100-sxm4-80gb', gpus = {gpus}"),
                    );
                    let (terms, groups) = terms((&model, &workload, parallelism, &system));
                    let [time, power] = logs(&parameters, &terms, Scope::Gpu);
                    let at = runs.len();
                    let noise = |seed: usize| 0.02 * 3_f64.sqrt() * scattered(seed);
                    runs.push(Observation {
                        terms,
                        groups,
                        scope: Scope::Gpu,
                        // a table counts as some runs at most
                        table: format!("table {}", at % 2),
                        log_time: Some(time + noise(2 * at)),
                        log_power: Some(power + noise(2 * at + 1)),
                    });
                }
            }
        }
    }
    runs
}

/// What made the runs is found within the fit's own standard deviations, and where the runs tell, they are small.
#[test]
fn a_fit_finds_what_made_its_runs_within_its_standard_deviations() {
    let truth = parameters(17, 0.7);
    let runs = simulated(&truth);
    let observations: Vec<&Observation> = runs.iter().collect();
    let found = Fit::new(&observations).unwrap().run().unwrap().conditional(&runs[0].groups);
    let (mut squares, mut told) = (0.0, 0);
    for (k, p) in PARAMETERS.iter().enumerate() {
        let sd = found.covariance[(k, k)].sqrt();
        let off = (p.scale.transformed(found.parameters.values[k]) - truth[k]) / sd;
        assert!(off.abs() < 3.5, "{}: {off} standard deviations of {sd} off", p.name);
        squares += off * off / COUNT as f64;
        let prior = Level::LEVELS
            .into_iter()
            .map(|level| level.prior_spread(p).powi(2))
            .fold(p.sd.powi(2), |sum, variance| sum + variance)
            .sqrt();
        told += usize::from(sd < 0.5 * prior);
    }
    assert!(squares < 1.5, "mean square of {squares}");
    assert!(told >= 8, "the runs tell only {told} parameters");
    let off: Vec<[f64; 2]> = runs
        .iter()
        .map(|run| {
            let fitted = found.logs(&run.terms, Scope::Gpu);
            let made = logs(&parameters_of(&truth), &run.terms, Scope::Gpu);
            [0, 1].map(|k| (fitted[k] - made[k]).abs())
        })
        .collect();
    for k in 0..2 {
        let mean = off.iter().map(|off| off[k]).sum::<f64>() / off.len() as f64;
        assert!(mean < 0.02, "response {k} is off by {mean} in the mean");
    }
}
