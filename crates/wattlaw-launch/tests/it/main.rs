//! Launch files: read back as an equal job, refused where a framework has no configuration, and accepted by the tools themselves.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

mod accepted;
mod grid;
mod read_back;
mod refusals;
mod texts;
