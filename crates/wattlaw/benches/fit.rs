//! How long a fit takes: of the study's pooled law, estimates alone and the whole table with all seven covariances; and of
//! the built-in law on all its sources.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput};
use wattlaw::calibration::Calibration;
use wattlaw::data::dataset::Dataset;
use wattlaw::data::sources::{Purpose, Sources};
use wattlaw::job::catalog::Catalog;
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
    built_in_law(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

/// The whole fit of the built-in law: runs counted, posterior and discrepancies.
fn built_in_law(criterion: &mut Criterion) -> wattlaw::Result<()> {
    let catalog = Catalog::built_in()?;
    let Some(sources) = sources(&catalog)? else { return Ok(()) };
    let runs: usize = sources.iter().map(|source| source.runs.len()).sum();
    println!("sources: {}, {runs} runs", sources.len());
    let mut group = criterion.benchmark_group("fit");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(1));
    group.throughput(Throughput::Elements(runs as u64));
    group.bench_function("built-in law", |b| {
        b.iter(|| Calibration::fit_sources("law", black_box(&sources), &catalog));
    });
    group.finish();
    Ok(())
}

/// The tables of the built-in law; `None` where they are not beside the project.
fn sources(catalog: &Catalog) -> wattlaw::Result<Option<Vec<Dataset>>> {
    let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let mut found = Vec::new();
    for source in Sources::built_in()?.sources.iter().filter(|s| s.purpose == Purpose::Fit) {
        let Ok(table) = std::fs::read(tables.join(&source.table)) else {
            println!("skipped: the fit of the built-in law; {} is not there", source.table);
            return Ok(None);
        };
        found.push(source.read(&table, source.built_in_map()?, catalog)?);
    }
    Ok(Some(found))
}
