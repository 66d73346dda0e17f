//! How long a fit of the roofline law takes on about 300 runs of one accelerator, with its discrepancy and without, what a
//! prediction by it costs, and how long a discrepancy of 3,000 runs takes.

use std::hint::black_box;

use criterion::Criterion;
use wattlaw::data::dataset::{Dataset, ProxyColumns};
use wattlaw::job::catalog::Catalog;
use wattlaw::law::roofline::laws::RooflineLaws;
use wattlaw::law::roofline::terms::{INPUTS, Terms};
use wattlaw::law::roofline::{MAX_POINTS, RooflineLaw};

mod runs;

/// The accelerator with the most runs in the study.
const GPU: &str = "a100-sxm4-40gb";

fn main() -> wattlaw::Result<()> {
    let catalog = Catalog::built_in()?;
    let all = runs::dataset()?.countable(&catalog).0;
    let on_one = |run: &wattlaw::data::measurement::Measurement| {
        catalog.accelerator(run.gpu()).is_ok_and(|a| a.name == GPU) && run.family() == "gpt"
    };
    let data = all.filter(on_one);
    println!("{} runs on {GPU}, {} in all", data.runs.len(), all.runs.len());
    let fit = |data: &Dataset, points: Option<usize>| -> wattlaw::Result<RooflineLaws> {
        let mut law = RooflineLaw::new(data, &catalog, true);
        law.discrepancy = points;
        law.fit_machines(&data.frame(ProxyColumns::default(), &catalog)?, "config_family")
    };

    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    criterion.bench_function("roofline/fit", |b| b.iter(|| fit(black_box(&data), None)));
    criterion.bench_function("roofline/fit with discrepancy", |b| {
        b.iter(|| fit(black_box(&data), Some(MAX_POINTS)));
    });

    // as if all runs were of one accelerator, so that one discrepancy learns from them all
    let mut law = RooflineLaw::new(&all, &catalog, true);
    law.pooled = true;
    let frame = all.frame(ProxyColumns::default(), &catalog)?;
    let pooled = law.fit_machines(&frame, "config_family")?.pooled;
    let points: Vec<usize> = pooled.points().collect();
    println!("the discrepancy of {} runs is held by {points:?} points", all.runs.len());
    let jobs: Vec<Terms> = all
        .runs
        .iter()
        .filter_map(|run| run.resolve(&catalog).ok())
        .map(|job| Terms::for_job(&job))
        .collect();
    let mut next = jobs.iter().cycle();
    criterion.bench_function("roofline/predict with an interval", |b| {
        b.iter(|| {
            next.next().map(|job| (pooled.predict(black_box(job)), pooled.half_widths(job, 0.95)))
        });
    });
    let many = repeated(&jobs, 3000);
    criterion.bench_function("roofline/discrepancy of 3,000 runs", |b| {
        b.iter(|| wattlaw::law::roofline::Discrepancy::learn(&many.0, &many.1, MAX_POINTS, None));
    });
    criterion.final_summary();
    Ok(())
}

/// The configurations of the jobs again and again, each time a little larger, with a smooth residual and what looks like
/// noise and is no chance.
fn repeated(jobs: &[Terms], rows: usize) -> (Vec<[f64; INPUTS.len()]>, Vec<f64>) {
    let mut inputs = Vec::new();
    let mut residuals = Vec::new();
    for (i, job) in jobs.iter().cycle().take(rows).enumerate() {
        let mut x = job.inputs;
        for value in &mut x[..5] {
            *value += 0.1 * (i / jobs.len()) as f64;
        }
        let noise = 0.02 * ((i * 7919 % 1009) as f64 / 1009.0 - 0.5);
        residuals.push(0.05 * (x[0] + 0.5 * x[1]).sin() + 0.03 * x[4].cos() + noise);
        inputs.push(x);
    }
    (inputs, residuals)
}
