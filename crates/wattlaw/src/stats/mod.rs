//! Statistics: estimates, scores and intervals.

pub mod conformal;
pub mod score;
