//! The hierarchical law: one law of time and power for every job, fitted on all tables at once.
//!
//! What a job's parameters are, in logarithms and logits: those of the population, plus the deviations of its chip, of
//! its software (a framework, and a program within it), and of its kind of network. Deviations are partially pooled:
//! each has a normal prior whose spread is fitted (Gelman and Hill, Data Analysis Using Regression and
//! Multilevel/Hierarchical Models, 2007, chapter 12), so that a group with many runs has its own parameters, one with few
//! leans on the others, and one without runs has the population's, with the spread of groups in its interval.

pub mod chip;
mod conditional;
mod discrepancy;
mod fit;
mod groups;
mod law;
mod observation;
pub mod parameter;
mod physics;
mod posterior;
pub mod terms;

pub use conditional::{Conditional, Estimate, Workspace};
pub use discrepancy::{INPUTS, MAX_POINTS};
pub use fit::Fit;
pub use law::{Answer, HierarchicalLaw, LocalEstimate};
pub use observation::Observation;
pub use groups::{Groups, Level};
pub use posterior::Posterior;
