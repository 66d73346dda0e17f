//! Flags that several subcommands share.

pub mod charts;
pub mod complete;
pub mod job;
pub mod law;
pub mod machine;
pub mod meters;
pub mod runs;
