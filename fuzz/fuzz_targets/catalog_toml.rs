//! Catalogue files, and a job on the first model and accelerator of each.

#![no_main]

mod answer;

use libfuzzer_sys::fuzz_target;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::JobSpec;

fuzz_target!(|text: &str| {
    let Some(catalog) = answer::answered(Catalog::from_toml(text)) else { return };
    let (Some(model), Some(gpu)) = (catalog.models.names().next(), catalog.accelerators.names().next())
    else {
        return;
    };
    let job = "workload = { steps = 1, seq_len = 64, micro_batch = 1 }\nsystem.gpus = 8";
    let mut spec = JobSpec::from_toml(job).unwrap();
    spec.model.name = Some(model.to_owned());
    spec.system.gpu = Some(gpu.to_owned());
    answer::count(&spec, &catalog);
});
