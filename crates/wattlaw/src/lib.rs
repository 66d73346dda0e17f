//! wattlaw predicts the energy, time and power of a Transformer training run before it runs.

pub mod error;
pub mod split;
pub mod stats;
pub mod units;

pub use error::{Error, Result};
