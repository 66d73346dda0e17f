//! The configurations that no other beats in two quantities.

use serde::Serialize;

use super::objective::Objective;

/// Configurations that no other beats in two quantities, at most 200 of them at even distances.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParetoFront {
    /// The two quantities: those that were asked for, else energy and time.
    pub objectives: [Objective; 2],
    /// The configurations, by rising first quantity.
    pub points: Vec<ParetoPoint>,
}

/// A configuration of the front.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParetoPoint {
    /// Expected values of the two quantities: J, s, the currency, g CO₂e or h.
    pub values: [f64; 2],
    /// The configuration in a line.
    pub configuration: String,
}
