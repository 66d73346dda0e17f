//! Statistics for fitting and evaluating laws.

pub mod bootstrap;
pub mod cluster;
pub(crate) mod collinearity;
pub mod conformal;
mod decay;
pub mod design;
pub mod formula;
pub mod frame;
pub mod gp;
pub mod inference;
pub(crate) mod minimise;
pub mod ols;
pub mod optimal;
mod orthogonal;
pub mod score;
pub mod split;
pub(crate) mod tape;
