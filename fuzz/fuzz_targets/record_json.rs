//! Records, and what is made of them.

#![no_main]

mod answer;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wattlaw::job::catalog::Catalog;
use wattlaw::record::document::Record;
use wattlaw::record::merge::merge;
use wattlaw::record::report::{UserMetadata, Statement};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::built_in().unwrap());

fuzz_target!(|text: &str| {
    let Some(record) = answer::answered(Record::from_json(text)) else { return };
    let written = record.to_json().unwrap();
    assert_eq!(Record::from_json(&written).unwrap().to_json().unwrap(), written);
    let mut other = record.clone();
    other.id.push('2');
    answer::answered(merge(&[record.clone(), other]));
    // a pipeline of thousands of stages takes a while to count
    if record.job.as_ref().is_some_and(|job| job.parallelism.pp.unwrap_or(1) > 64) {
        return;
    }
    answer::answered(record.to_measurement(None, &CATALOG));
    let said = UserMetadata { intensity_g_per_kwh: Some(400.0), ..UserMetadata::default() };
    if let Some(statement) = answer::answered(Statement::from_records(&[record], &said, &CATALOG)) {
        assert!(!statement.markdown().is_empty());
    }
});
