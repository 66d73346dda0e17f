//! wattlaw predicts the energy, time and power of a Transformer training run before it runs.
//!
//! A [`JobSpec`] describes a job; a [`Catalog`] resolves its names and defaults, which gives a [`Job`]. A
//! [`Calibration`] holds laws fitted on measured runs; some are built in. [`predict()`] evaluates a calibration on a
//! job:
//!
//! ```
//! use wattlaw::{Calibration, Catalog, Dataset, FitOptions, JobSpec, built_in, predict};
//!
//! let catalog = Catalog::built_in()?;
//! let spec = JobSpec::from_toml(
//!     r#"
//!     model.name = "bert-base-uncased"
//!     workload = { tokens = "10M", seq_len = 128, micro_batch = 32 }
//!     parallelism.strategy = "fsdp"
//!     system = { gpu = "a100-sxm4-40gb", gpus = 4 }
//!     "#,
//! )?;
//! let job = spec.resolve(&catalog)?;
//! let prediction = predict(&job, &built_in()?, "built in", None, 0.95)?;
//! assert!(prediction.energy_j.is_some_and(|energy| energy.lower < energy.estimate));
//!
//! // fit a calibration on your own runs
//! let table = include_bytes!("../../../examples/runs.csv");
//! let runs = Dataset::from_csv(table, "runs.csv", None)?;
//! let calibration = Calibration::fit(&runs, &FitOptions::default(), &catalog)?;
//! assert!(calibration.to_json()?.contains("wattlaw-calibration"));
//! # Ok::<(), wattlaw::Error>(())
//! ```
//!
//! Pure: no clock, network, device or printing; files come in as text. The same inputs give the same bytes.

pub mod audit;
pub mod base;
pub mod calibration;
pub mod cost;
pub mod data;
pub mod job;
pub mod law;
pub mod memory;
pub mod plan;
pub mod predict;
pub mod record;
pub mod stats;
pub mod validate;

pub use base::error::{Error, Result};
pub use calibration::{Calibration, FitOptions, built_in};
pub use cost::Cost;
pub use data::dataset::Dataset;
pub use job::catalog::Catalog;
pub use job::{Job, JobSpec};
pub use memory::Memory;
pub use plan::plan;
pub use predict::{Prediction, predict};
