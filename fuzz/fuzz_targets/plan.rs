//! Plans.

#![no_main]

mod answer;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wattlaw::job::catalog::Catalog;
use wattlaw_sweep::plan::Plan;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::built_in().unwrap());

fuzz_target!(|bytes: &[u8]| {
    let Some(plan) = answer::answered(Plan::from_csv(bytes, "plan.csv")) else { return };
    let text = plan.to_csv().expect("what was read can be written");
    assert_eq!(Plan::from_csv(text.as_bytes(), "plan.csv").as_ref(), Ok(&plan));
    answer::answered(plan.resolve(&CATALOG, "plan.csv"));
});
