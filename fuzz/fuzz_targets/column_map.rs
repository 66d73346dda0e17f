//! Column maps, and a table read by them; a line of dashes parts map and table.

#![no_main]

mod answer;

use libfuzzer_sys::fuzz_target;
use wattlaw::data::dataset::{ColumnMap, Dataset};

fuzz_target!(|text: &str| {
    let (map, table) = text.split_once("\n---\n").unwrap_or((text, "layers,hidden_size\n2,64\n"));
    if let Some(map) = answer::answered(ColumnMap::from_toml(map)) {
        answer::answered(Dataset::from_csv(table.as_bytes(), "runs.csv", Some(&map)));
    }
});
