//! What a sweep on a cluster reads: any input is answered with a value or with one line.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

use crate::answers::answered;
use crate::edits::{edited_text, edits};
use proptest::prelude::*;
use wattlaw_sweep::slurm;

/// Options of a cluster.
const SLURM: &str = include_str!("../../../../examples/slurm.toml");

/// What a sweep on a cluster reads; whatever is accepted cannot break out of the lines that SLURM reads.
fn read_slurm(text: &str) -> Result<(), TestCaseError> {
    answered(slurm::journal(text, "submitted.jsonl"))?;
    answered(slurm::queue(text, &[]))?;
    let Some(options) = answered(slurm::Options::from_toml(text))? else { return Ok(()) };
    let shape = slurm::Shape { nodes: 1, gpus_per_node: 2 };
    let script = slurm::Script {
        name: "wattlaw-1f2e3d4c-1",
        array: &slurm::Array { shape, tasks: Vec::new() },
        options: &options,
        runs: text,
        wattlaw: "wattlaw",
        flags: &[],
        command: &[],
    };
    for runs in [text, "/runs"] {
        let script = slurm::Script { runs, ..script.clone() };
        if let Some(text) = answered(script.text())? {
            let head = text.split("\nset -e\n").next().unwrap_or_default();
            prop_assert!(
                head.lines().all(|line| line.is_empty() || line.starts_with('#')),
                "{head}"
            );
        }
    }
    Ok(())
}

#[test]
fn the_document_is_valid() {
    slurm::Options::from_toml(SLURM).unwrap();
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "\\PC{0,80}|[\\x00-\\x7f]{0,80}|[ \\[\\]{}=:,'\"a-z0-9.\\n]{0,80}") {
        read_slurm(&text)?;
    }

    #[test]
    fn edited_options_of_a_cluster_are_answered(edits in edits()) {
        read_slurm(&edited_text(SLURM, &edits))?;
    }
}
