//! Hugging Face `config.json`.

#![no_main]

mod answer;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(model) = answer::answered(wattlaw::job::model::from_config_json(text)) {
        answer::answered(model.resolve()).map(|architecture| architecture.parameters());
    }
});
