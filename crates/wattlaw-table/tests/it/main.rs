//! Tables that pyarrow, pandas and Polars wrote (`golden/make.py`), and what is no table.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

mod any_input;
mod jobs;
mod written;

use std::path::PathBuf;

/// A file that `golden/make.py` wrote.
fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The names and bytes of the files whose names begin with a word, besides text.
fn goldens(word: &str) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = std::fs::read_dir(golden(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(word) && !name.ends_with(".csv"))
        .map(|name| (name.clone(), std::fs::read(golden(&name)).unwrap()))
        .collect();
    found.sort();
    found
}
