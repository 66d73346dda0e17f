//! wattlaw predicts the energy, time and power of a Transformer training run before it runs.

pub mod amount;
pub mod architecture;
pub mod error;
pub mod parallel;
pub mod system;
pub mod units;
mod words;
pub mod workload;

pub use error::{Error, Result};
