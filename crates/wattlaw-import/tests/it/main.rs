//! Logs of other tools, real ones and any input.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

mod any_input;
mod configurations;
mod logs;
mod nvidia_smi;
mod readers;
mod regressions;
mod training;
