//! The program as people and scripts run it.

mod cli;
mod cluster;
mod docs;
mod import;
mod measure;
mod meters;
mod refusals;
mod running;
mod slurm;
mod structure;
mod suite;
mod sweep;
mod sweep_design;
mod tutorial;
