//! Measured runs: reading and writing run tables, the columns for fitting laws, and multi-GPU scaling.

pub mod dataset;
pub mod features;
mod from_record;
pub mod measurement;
pub mod proxy;
pub mod sources;
pub mod speedup;
