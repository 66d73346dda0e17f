//! Every file of the same content is read as the same text, and what is not read is refused in one sentence.

use std::fs::File;

use wattlaw::data::dataset::Dataset;
use wattlaw_table::{Table, run_table};

use crate::{golden, goldens};

#[test]
fn every_way_to_write_the_rows_is_read_as_the_same_text() {
    let content = std::fs::read_to_string(golden("jobs.csv")).unwrap();
    let files = goldens("jobs");
    assert_eq!(files.len(), 14, "{:?}", files.iter().map(|(name, _)| name).collect::<Vec<_>>());
    for (name, bytes) in files {
        let in_memory = Table::from_bytes(bytes.clone().into(), &name).unwrap();
        assert_eq!(in_memory.csv().unwrap(), content, "{name}");
        let of_file = Table::from_file(File::open(golden(&name)).unwrap(), &name).unwrap();
        assert_eq!(of_file.csv().unwrap(), content, "{name}");
        let stream = Table::from_stream(std::io::Cursor::new(bytes), &name);
        match name.ends_with("arrows") {
            true => assert_eq!(stream.unwrap().csv().unwrap(), content, "{name}"),
            false => {
                let error = stream.err().unwrap().to_string();
                assert!(error.contains("cannot be read from a pipe"), "{error}");
            }
        }
    }
    let text = Table::from_bytes(content.clone().into_bytes().into(), "jobs.csv").unwrap();
    assert_eq!(text.csv().unwrap(), content);
}

#[test]
fn a_table_without_rows_has_its_columns() {
    for (name, bytes) in goldens("empty") {
        let text = Table::from_bytes(bytes.into(), &name).unwrap().csv().unwrap();
        assert_eq!(
            text, "run,model,gpu,gpus,seq_len,tokens,padding_share,tied_embeddings\n",
            "{name}"
        );
    }
}

#[test]
fn runs_are_those_of_the_csv() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/runs.csv");
    let csv = Dataset::from_csv(&std::fs::read(path).unwrap(), "runs", None).unwrap();
    for (name, bytes) in goldens("runs") {
        let read = run_table(bytes, "runs", None).unwrap();
        assert_ne!(read.digest, csv.digest);
        assert_eq!(Dataset { digest: csv.digest.clone(), ..read }, csv, "{name}");
    }
}

#[test]
fn what_is_not_read_is_refused_in_one_sentence() {
    let files = goldens("refused");
    assert_eq!(files.len(), 16);
    for (name, bytes) in files {
        let error = match Table::from_bytes(bytes.into(), &name) {
            Err(error) => error.to_string(),
            Ok(table) => table.csv().unwrap_err().to_string(),
        };
        let (what, says) = match name.trim_start_matches("refused-").split_once('.').unwrap().0 {
            codec @ ("zstd" | "gzip" | "brotli") => {
                (format!("compressed by {codec}"), "write the file")
            }
            _ => ("column `odd` is of type ".to_owned(), "it must hold text, numbers or truths"),
        };
        assert!(error.starts_with(&name) && error.contains(&what), "{error}");
        assert!(error.contains(says) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn a_table_too_large_to_hold_as_text_is_refused() {
    use std::fmt::Write as _;
    use wattlaw_table::{TableFormat, Writer, typed};

    let mut text = "gpu\n".to_owned();
    for _ in 0..1000 {
        writeln!(text, "{}", "x".repeat(1000)).unwrap();
    }
    let batch = typed(&text).unwrap();
    let mut file = Vec::new();
    let mut writer = Writer::new(TableFormat::Parquet, &batch.schema(), &mut file).unwrap();
    for _ in 0..70 {
        writer.write(&batch).unwrap();
    }
    writer.finish().unwrap();
    assert!(file.len() < 1 << 20);
    let error = run_table(file, "runs.parquet", None).unwrap_err().to_string();
    assert_eq!(error, "runs.parquet: larger than 64 MiB as CSV");
}
