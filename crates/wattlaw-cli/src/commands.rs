//! The subcommands, a file each: reads, asks the libraries, prints.

pub mod audit;
pub mod calibrate;
pub mod catalog;
pub mod compare;
pub mod completions;
pub mod convert;
pub mod cost;
pub mod doctor;
pub mod efficiency;
pub mod fit;
pub mod import;
pub mod job;
pub mod launch;
pub mod man;
pub mod measure;
pub mod merge;
pub mod page;
pub mod plan;
pub mod predict;
pub mod recover;
pub mod report;
pub mod sweep;
pub mod top;
pub mod validate;
