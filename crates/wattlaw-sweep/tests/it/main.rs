//! Plans, designs and what a cluster is told.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

mod design;
mod plan;
mod readers;

#[allow(dead_code, reason = "shared with the tests of wattlaw")]
#[path = "../../../wattlaw/tests/it/answers.rs"]
mod answers;
#[allow(dead_code, reason = "shared with the tests of wattlaw")]
#[path = "../../../wattlaw/tests/it/edits.rs"]
mod edits;
#[allow(dead_code, reason = "shared with the tests of wattlaw")]
#[path = "../../../wattlaw/tests/it/jobs.rs"]
mod jobs;
