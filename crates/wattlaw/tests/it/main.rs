//! What must hold of the library, as those who use it see it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

mod answers;
mod audit;
mod clock;
mod coherence;
mod context;
mod edits;
mod errors_of_others;
mod extremes;
mod few_clusters;
mod golden;
mod gp;
mod held_out;
mod jobs;
mod measurement;
mod memory_measured;
mod memory_properties;
mod memory_stacks;
mod memory_tracked;
mod methods;
mod ols;
mod plan;
mod power_limit;
mod properties;
mod published;
mod quantized;
mod readers;
mod records;
mod roofline;
mod scopes;
mod screen;
mod sources;
mod speedup;
mod splits;
mod study;
mod tables;
mod traces;
mod validation;
