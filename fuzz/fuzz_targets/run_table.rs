//! Run tables, and the columns that laws are fitted on.

#![no_main]

mod answer;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wattlaw::job::catalog::Catalog;
use wattlaw::data::dataset::{ProxyColumns, Dataset, Efficiency};
use wattlaw::data::proxy::ProxySet;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::built_in().unwrap());

fuzz_target!(|bytes: &[u8]| {
    let Some(data) = answer::answered(Dataset::from_csv(bytes, "runs.csv", None)) else { return };
    answer::answered(data.scope());
    answer::answered(data.frame(ProxyColumns::default(), &CATALOG));
    let counted = ProxyColumns { proxies: ProxySet::Ledger, efficiency: Efficiency::Throughput };
    // a pipeline of thousands of stages takes a while to count
    if data.runs.iter().all(|run| run.job().parallelism.pp.unwrap_or(1) <= 64) {
        answer::answered(data.frame(counted, &CATALOG));
    }
});
