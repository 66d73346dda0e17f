//! The program as people and scripts run it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]
#![deny(clippy::disallowed_methods)]

mod catalogue;
mod cli;
mod cluster;
mod configurations;
mod docs;
mod import;
mod launch;
mod lora;
mod measure;
mod meters;
mod plan;
mod policy;
mod refusals;
mod running;
mod screen;
mod serving;
mod slurm;
mod structure;
mod suite;
mod sweep;
mod sweep_design;
mod tables;
mod tools;
mod tutorial;
