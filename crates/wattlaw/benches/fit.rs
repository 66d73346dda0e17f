//! How long a fit of the study's pooled law takes: estimates alone, and the whole table with all seven covariances.

use std::hint::black_box;

use criterion::Criterion;
use wattlaw::law::efficiency::BeforeRunLaw;
use wattlaw::law::scaling::ScalingLaw;
use wattlaw::law::setting::Setting;

mod runs;

const RESPONSE: &str = "log_energy_kwh";

fn main() -> wattlaw::Result<()> {
    let frame = runs::pooled()?;
    let law = ScalingLaw::new(Setting::Pooled.formula()?, RESPONSE);
    let before = BeforeRunLaw::for_setting(Setting::Pooled, RESPONSE)?;
    // a fit that fails is fast
    for c in law.fit(&frame, Some("config_family"))?.coefficients {
        println!("{}: {:.6} ± {:.6}", c.term, c.estimate, c.se_cluster.unwrap_or(f64::NAN));
    }
    before.fit(&frame)?;

    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("fit/estimates", |b| b.iter(|| law.fit_estimates(black_box(&frame))));
    criterion.bench_function("fit/all covariances", |b| {
        b.iter(|| law.fit(black_box(&frame), Some("config_family")));
    });
    criterion.bench_function("fit/before the run", |b| b.iter(|| before.fit(black_box(&frame))));
    criterion.final_summary();
    Ok(())
}
