//! Configuration files of frameworks; two of one job where a line `---` parts them.

#![no_main]

mod answer;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wattlaw::job::catalog::Catalog;
use wattlaw_import::configuration::{Configuration, Tool};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::built_in().unwrap());

fuzz_target!(|text: &str| {
    let _ = Tool::detect(text);
    let files = match text.split_once("\n---\n") {
        Some((first, second)) => vec![("a", first), ("b", second)],
        None => vec![("a", text)],
    };
    if let Some(found) = answer::answered(Configuration::read(&files)) {
        let mut job = found.job;
        job.system.gpu = Some("h100".to_owned());
        answer::count(&job, &CATALOG);
    }
});
