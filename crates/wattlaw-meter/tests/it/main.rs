//! Meters on machines that the tests make up, and on one that is there.

mod nvml;
mod real_gpu;
mod sysfs;
