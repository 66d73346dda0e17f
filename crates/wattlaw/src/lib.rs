//! wattlaw predicts the energy, time and power of a Transformer training run before it runs.

pub mod amount;
pub mod architecture;
pub mod audit;
pub mod calibration;
pub mod catalog;
pub mod cost;
pub mod dataset;
pub mod design;
pub mod error;
pub mod features;
pub mod formula;
pub mod frame;
pub mod import;
pub mod job;
pub mod law;
pub mod memory;
pub mod parallel;
pub mod predict;
pub mod proxy;
pub mod record;
pub mod report;
pub mod run;
pub mod space;
pub mod speedup;
pub mod split;
pub mod stats;
pub mod suite;
pub mod system;
mod toml_text;
pub mod units;
pub mod validate;
mod words;
pub mod workload;

pub use error::{Error, Result};
