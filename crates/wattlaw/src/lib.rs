//! wattlaw predicts the energy, time and power of a Transformer training run before it runs.

pub mod amount;
pub mod architecture;
pub mod catalog;
pub mod cost;
pub mod dataset;
pub mod error;
pub mod frame;
pub mod job;
pub mod parallel;
pub mod proxy;
pub mod run;
pub mod system;
mod toml_text;
pub mod units;
mod words;
pub mod workload;

pub use error::{Error, Result};
