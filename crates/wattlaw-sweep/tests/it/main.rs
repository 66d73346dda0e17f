//! Plans, designs and what a cluster is told.

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
