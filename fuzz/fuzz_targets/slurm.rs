//! What a sweep on a cluster reads: options, what was submitted, what a queue printed.

#![no_main]

mod answer;

use libfuzzer_sys::fuzz_target;
use wattlaw_sweep::slurm::{Array, Options, Script, Shape, journal, queue};

fuzz_target!(|text: &str| {
    let submitted = answer::answered(journal(text, "submitted.jsonl")).unwrap_or_default();
    answer::answered(queue(text, &submitted));
    let Some(options) = answer::answered(Options::from_toml(text)) else { return };
    let array = Array { shape: Shape { nodes: 2, gpus_per_node: 4 }, tasks: Vec::new() };
    let (runs, wattlaw, flags, command) = (text, "wattlaw", &[], &[]);
    let script = Script {
        name: "wattlaw-1",
        array: &array,
        options: &options,
        runs,
        wattlaw,
        flags,
        command,
    };
    if let Some(text) = answer::answered(script.text()) {
        let head = text.split("\nset -e\n").next().unwrap_or_default();
        assert!(head.lines().all(|line| line.is_empty() || line.starts_with('#')), "{head}");
    }
});
