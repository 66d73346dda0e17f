//! Tables of any format: Parquet, Arrow IPC or CSV by their first bytes, as text and as runs.

#![no_main]

mod answer;

use libfuzzer_sys::fuzz_target;
use wattlaw_table::{Table, run_table};

fuzz_target!(|bytes: &[u8]| {
    if let Some(table) = answer::answered(Table::from_bytes(bytes.to_vec().into(), "table")) {
        answer::answered(table.csv());
    }
    answer::answered(run_table(bytes.to_vec(), "table", None));
});
