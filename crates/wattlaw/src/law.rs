//! Laws: what maps a job's proxies to energy and time, and how it is fitted.

pub(crate) mod baseline;
pub mod efficiency;
mod evaluate;
pub mod linear;
pub mod roofline;
pub mod scaling;
pub mod setting;

pub use evaluate::{FittedLaw, Law};
