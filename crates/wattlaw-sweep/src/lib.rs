//! Sweeps: controlled experiments, from a space of jobs to records for fitting a law.

pub mod cluster;
pub mod nodes;
pub mod plan;
pub mod runner;
pub mod sampling;
pub mod slurm;
pub mod space;
pub mod status;
pub mod store;
