//! Calibration files, and the prediction of a job by each.

#![no_main]

mod answer;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wattlaw::calibration::Calibration;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::{Job, JobSpec};
use wattlaw::predict::predict;

static JOB: LazyLock<Job> = LazyLock::new(|| {
    let text = "model.name = 'bert-base-uncased'\nsystem = { gpu = 't4', gpus = 4 }\n\
                workload = { tokens = '10M', seq_len = 128, micro_batch = 8 }";
    JobSpec::from_toml(text).unwrap().resolve(&Catalog::built_in().unwrap()).unwrap()
});

fuzz_target!(|text: &str| {
    let Some(calibration) = answer::answered(Calibration::from_json(text)) else { return };
    let text = calibration.to_json().unwrap();
    assert_eq!(Calibration::from_json(&text).unwrap().to_json().unwrap(), text);
    answer::answered(predict(&JOB, &calibration, "asked", None, 0.9));
});
