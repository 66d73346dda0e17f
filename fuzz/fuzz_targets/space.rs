//! Spaces of jobs, and designs of them.

#![no_main]

mod answer;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wattlaw::job::catalog::Catalog;
use wattlaw_sweep::plan::Kind;
use wattlaw_sweep::space::Space;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::built_in().unwrap());

fuzz_target!(|text: &str| {
    let Some(space) = answer::answered(Space::from_toml(text)) else { return };
    answer::answered(space.jobs(&CATALOG, 3, 1));
    // a pipeline of thousands of stages takes a while to count, and so do thousands of jobs
    let few = space.points() <= 50 && space.sizes().len() <= 5;
    for kind in [Kind::Grid, Kind::OneFactor, Kind::LatinHypercube, Kind::Random].iter().filter(|_| few) {
        answer::answered(kind.jobs(&space, 3, 1, &CATALOG));
    }
});
