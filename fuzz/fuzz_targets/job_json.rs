//! Resolved jobs (JSON).

#![no_main]

mod answer;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::JobSpec;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::built_in().unwrap());

fuzz_target!(|text: &str| {
    if let Some(spec) = answer::answered(JobSpec::from_json(text)) {
        answer::count(&spec, &CATALOG);
    }
});
