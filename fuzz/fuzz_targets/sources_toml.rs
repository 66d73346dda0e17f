//! Lists of sources, and a table that each of them reads; a line of dashes parts list and table.

#![no_main]

mod answer;

use libfuzzer_sys::fuzz_target;
use wattlaw::data::sources::Sources;
use wattlaw::job::catalog::Catalog;

fuzz_target!(|text: &str| {
    let (list, table) = text.split_once("\n---\n").unwrap_or((text, "layers,hidden_size\n2,64\n"));
    let Some(list) = answer::answered(Sources::from_toml(list)) else { return };
    let catalog = Catalog::built_in().unwrap();
    for source in list.sources.iter().take(4) {
        answer::answered(source.read(table.as_bytes(), None, &catalog));
    }
});
