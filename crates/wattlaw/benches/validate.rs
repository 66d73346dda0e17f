//! How long an ablation takes: sixteen sets of terms, each judged with intervals on the same twenty splits.

use std::hint::black_box;

use criterion::Criterion;
use wattlaw::law::Law;
use wattlaw::law::efficiency::BeforeRunLaw;
use wattlaw::law::scaling::ScalingLaw;
use wattlaw::law::setting::Setting;
use wattlaw::stats::formula::Formula;
use wattlaw::validate::CrossValidator;

mod runs;

const RESPONSE: &str = "log_energy_kwh";
const SEED: u32 = 2026;

/// `log_C` with each subset of the pooled law's other terms.
fn term_sets() -> wattlaw::Result<Vec<ScalingLaw>> {
    let others = ["log_M", "log_eta", "strategy", "family"];
    (0..1 << others.len())
        .map(|set| {
            let taken = others.iter().enumerate().filter(|(i, _)| set & (1 << i) != 0);
            let text = taken.fold("log_C".to_owned(), |text, (_, term)| text + " + " + term);
            Ok(ScalingLaw::new(text.parse::<Formula>()?, RESPONSE))
        })
        .collect()
}

fn main() -> wattlaw::Result<()> {
    let frame = runs::pooled()?;
    let laws = term_sets()?;
    let laws: Vec<&dyn Law> = laws.iter().map(|law| law as &dyn Law).collect();
    let before = BeforeRunLaw::for_setting(Setting::Pooled, RESPONSE)?;
    let validator = CrossValidator::new("family".into(), SEED);
    // a split that is skipped is fast
    for found in validator.validate_all(&laws, &frame)? {
        assert_eq!((found.splits.len(), found.coverage.is_some()), (20, true), "{}", found.law);
    }

    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("validate/16 term sets", |b| {
        b.iter(|| validator.validate_all(black_box(&laws), &frame));
    });
    criterion.bench_function("validate/before the run", |b| {
        b.iter(|| validator.validate(black_box(&before), &frame));
    });
    criterion.final_summary();
    Ok(())
}
