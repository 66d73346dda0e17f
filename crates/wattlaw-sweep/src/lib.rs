//! Sweeps: controlled runs, from a space of jobs to the records that a law is fitted on.

pub mod plan;
pub mod sampling;
pub mod slurm;
pub mod space;
pub mod status;
pub mod store;
