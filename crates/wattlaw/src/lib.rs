//! wattlaw predicts the energy, time and power of a Transformer training run before it runs.

pub mod design;
pub mod error;
pub mod formula;
pub mod frame;
pub mod law;
pub mod split;
pub mod stats;
pub mod units;
pub mod validate;

pub use error::{Error, Result};
