//! Logs of other tools, real ones and any input.

mod any_input;
mod logs;
mod nvidia_smi;
mod readers;
