//! wattlaw predicts the energy, time and power of a Transformer training run before it runs.

pub mod amount;
pub mod architecture;
pub mod catalog;
pub mod cost;
pub mod error;
pub mod job;
pub mod memory;
pub mod parallel;
pub mod system;
mod toml_text;
pub mod units;
mod words;
pub mod workload;

pub use error::{Error, Result};
