//! The roofline law: one hierarchical law of time and power for every job, fitted on all tables at once.
//!
//! What a job's parameters are, in logarithms and logits: those of the population, plus the deviations of its chip, of
//! its software (a framework, and a program within it), and of its kind of network. Deviations are partially pooled:
//! each has a normal prior whose spread is fitted (Gelman and Hill, Data Analysis Using Regression and
//! Multilevel/Hierarchical Models, 2007, chapter 12), so that a group with many runs has its own parameters, one with few
//! leans on the others, and one without runs has the population's, with the spread of groups in its interval.

pub mod chip;
pub mod clock;
mod conditional;
mod design;
mod discrepancy;
mod fit;
mod fitted;
mod groups;
pub(crate) mod joint;
mod law;
mod observation;
pub mod parameter;
mod parts;
mod physics;
mod posterior;
mod power;
mod smooth;
pub mod terms;
#[cfg(test)]
mod tests;
mod under_limits;

pub use conditional::{Conditional, Estimate, Workspace};
pub(crate) use design::DesignJob;
pub use design::OVERHEAD_S;
pub use discrepancy::{Configuration, INPUTS, MAX_POINTS};
pub use fit::Fit;
pub use fitted::{Answer, LocalEstimate, RooflineFit};
pub use groups::{Groups, Level};
pub(crate) use law::source_name;
pub use law::{Response, RooflineLaw, observations};
pub use observation::Observation;
pub use parts::{EnergyParts, Parts, TimeParts};
pub use posterior::Posterior;
pub(crate) use posterior::missed_group;
pub use under_limits::UnderLimits;
