//! Tables of jobs in any format have the same predictions, to the last bit.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use wattlaw::Catalog;
use wattlaw::calibration::built_in;
use wattlaw::job::JobSpec;
use wattlaw_table::{Jobs, Predicted, Question, RowErrors, Table, TableFormat, Writer};

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

/// The answers of rows of a text, as text, which gives each number back to the last bit.
fn answers(csv: &str) -> Vec<String> {
    let table = Table::from_bytes(csv.as_bytes().to_vec().into(), "t.csv").unwrap();
    let shared = JobSpec::default();
    let question = Question { shared, threads: 1, prefix: "p_".to_owned(), ..question() };
    let jobs = Jobs::new(question, &table.schema(), &[]).unwrap();
    let given = table.schema().fields().len();
    let mut text = Vec::new();
    let mut writer = Writer::new(TableFormat::Csv, &jobs.schema(), &mut text).unwrap();
    for batch in Predicted::new(jobs, table) {
        writer.write(&batch.unwrap()).unwrap();
    }
    writer.finish().unwrap();
    let cells = |line: &str| line.splitn(given + 1, ',').last().unwrap().to_owned();
    String::from_utf8(text).unwrap().lines().skip(1).map(cells).collect()
}

#[test]
fn rows_that_differ_in_the_amount_alone_are_answered_as_each_alone() {
    let header = "model,gpu,gpus,strategy,seq_len,micro_batch,tokens,steps,epochs,examples\n";
    let rows = [
        "gpt2,a100,8,fsdp,1024,4,1B,,,\n",
        "gpt2,a100,8,fsdp,1024,4,3M,,,\n",
        "gpt2,a100,8,fsdp,1024,4,,7,,\n",
        "gpt2,a100,8,fsdp,1024,4,,,2.5,1000\n",
        // a wrong amount of a known job
        "gpt2,a100,8,fsdp,1024,4,0,,,\n",
        "gpt2,a100,8,fsdp,1024,4,1B,7,,\n",
        "gpt2,a100,8,fsdp,1024,4,,,,\n",
        "gpt2,a100,8,fsdp,1024,4,many,,,\n",
        "gpt2,a100,8,fsdp,1024,4,5M,,,\n",
        // cells whose texts joined are those of the row after them
        "gpt2,a100,1,,1024,4,1B,,,\n",
        "gpt2,a100,11,,024,4,1B,,,\n",
        // the micro-batch and the strategy are open
        "gpt2,a100,8,,1024,,1B,,,\n",
        "gpt2,a100,8,,1024,,1M,,,\n",
        "gpt2,a100,8,,1024,,,1,,\n",
        "gpt2,a100,8,,1024,2,1B,,,\n",
        "gpt2,a100,8,,1024,2,1M,,,\n",
        "gtp2,a100,8,fsdp,1024,4,1B,,,\n",
        "gtp2,a100,8,fsdp,1024,4,2B,,,\n",
    ];
    let together = answers(&format!("{header}{}", rows.concat()));
    assert_eq!(together.len(), rows.len());
    for (row, found) in rows.iter().zip(&together) {
        assert_eq!(&answers(&format!("{header}{row}"))[0], found, "{row}");
    }
    let different: std::collections::BTreeSet<&String> = together.iter().collect();
    assert_eq!(different.len(), rows.len() - 1, "the last two alone are the same");
}
