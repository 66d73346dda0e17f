//! Laws: models that predict energy and time of a job, and their fits.

pub(crate) mod baseline;
pub mod efficiency;
mod evaluate;
pub mod linear;
pub mod roofline;
pub mod scaling;
pub mod setting;

pub use evaluate::{FittedLaw, Law};
