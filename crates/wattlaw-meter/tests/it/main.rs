//! Meters on machines that the tests make up, and on one that is there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]
#![deny(clippy::disallowed_methods)]

mod nvml;
mod real_gpu;
mod sysfs;
