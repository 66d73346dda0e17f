//! The roofline law: time and energy before the run, from the ledger, with a smooth discrepancy learned from the
//! residuals of the physics.

pub mod clock;
mod discrepancy;
pub mod fit;
mod law;
pub mod laws;
pub mod machine;
pub(crate) mod observation;
pub mod physics;
pub mod sensitivity;
pub mod terms;
pub mod transfer;

pub use discrepancy::{Discrepancy, MAX_POINTS, MAX_ROWS};
pub use law::{Response, RooflineLaw};
