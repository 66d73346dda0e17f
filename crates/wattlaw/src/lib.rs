//! wattlaw predicts the energy, time and power of a Transformer training run before it runs.

pub mod audit;
pub mod base;
pub mod calibration;
pub mod cost;
pub mod data;
pub mod job;
pub mod law;
pub mod memory;
pub mod predict;
pub mod record;
pub mod stats;
pub mod validate;

pub use base::error::{Error, Result};
