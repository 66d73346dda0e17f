//! Laws: what maps a job's proxies to energy and time, and how it is fitted.

pub mod efficiency;
mod judged;
pub mod linear;
pub mod roofline;
pub mod scaling;
pub mod setting;
pub(crate) mod thumb;

pub use judged::{FittedLaw, Law};
