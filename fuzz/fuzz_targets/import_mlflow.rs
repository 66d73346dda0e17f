#![no_main]

mod importing;

use libfuzzer_sys::fuzz_target;
use wattlaw_import::Format;

fuzz_target!(|bytes: &[u8]| importing::answered(Format::Mlflow, bytes));
