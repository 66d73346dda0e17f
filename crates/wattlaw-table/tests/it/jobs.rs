//! Tables of jobs in any format have the same predictions, to the last bit.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use wattlaw::Catalog;
use wattlaw::calibration::built_in;
use wattlaw::job::JobSpec;
use wattlaw_table::{Jobs, Predicted, Question, RowErrors, Table};

use crate::{golden, goldens};

fn question() -> Question {
    let mut shared = JobSpec::default();
    shared.workload.micro_batch = Some(4);
    Question {
        law: Arc::new(built_in().unwrap()),
        catalog: Arc::new(Catalog::built_in().unwrap()),
        shared,
        scope: None,
        level: 0.9,
        threads: 2,
        prefix: "predicted_".to_owned(),
    }
}

fn predicted(bytes: Vec<u8>, name: &str) -> Vec<RecordBatch> {
    let table = Table::from_bytes(bytes.into(), name).unwrap();
    let jobs = Jobs::new(question(), &table.schema(), &["run".to_owned()]).unwrap();
    Predicted::new(jobs, table).map(Result::unwrap).collect()
}

/// The energies, as bits.
fn energies(batches: &[RecordBatch]) -> Vec<Option<u64>> {
    let column = |of: &RecordBatch| of.column_by_name("predicted_energy_j").unwrap().clone();
    let columns: Vec<_> = batches.iter().map(column).collect();
    let values = columns.iter().flat_map(|of| of.as_primitive::<Float64Type>().iter());
    values.map(|value| value.map(f64::to_bits)).collect()
}

#[test]
fn rows_have_the_same_predictions_in_every_format() {
    let of_csv = predicted(std::fs::read(golden("jobs.csv")).unwrap(), "jobs.csv");
    let expected = energies(&of_csv);
    assert_eq!(expected.len(), 8);
    assert!(expected.iter().flatten().count() >= 3, "{expected:?}");
    for (name, bytes) in goldens("jobs") {
        assert_eq!(energies(&predicted(bytes, &name)), expected, "{name}");
    }
    let mut errors = RowErrors::new("predicted_");
    of_csv.iter().for_each(|batch| errors.count(batch));
    assert_eq!((errors.rows(), errors.wrong() + expected.iter().flatten().count()), (8, 8));
    assert_eq!(errors.first().unwrap().0, 3, "{:?}", errors.first());
}

#[test]
fn a_column_that_is_no_field_is_refused() {
    let table =
        Table::from_file(std::fs::File::open(golden("jobs.parquet")).unwrap(), "t").unwrap();
    let error = Jobs::new(question(), &table.schema(), &[]).unwrap_err().to_string();
    assert!(error.starts_with("unknown column `run`"), "{error}");
}
