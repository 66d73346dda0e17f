//! Sweeps: controlled runs, from a space of jobs to the records that a law is fitted on.

pub mod cluster;
pub mod nodes;
pub mod plan;
pub mod runner;
pub mod sampling;
pub mod slurm;
pub mod space;
pub mod status;
pub mod store;
