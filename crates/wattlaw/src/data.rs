//! Measured runs: run tables read and written, the columns that laws are fitted on, and runs beside their baselines.

pub mod dataset;
pub mod features;
mod from_record;
pub mod measurement;
pub mod proxy;
pub mod speedup;
