//! The program `wattlaw`, run inside the interpreter.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the program with its words, of which the first is its name, and returns the exit code.
#[pyfunction]
#[pyo3(signature = (words, /))]
pub fn run(py: Python<'_>, words: Vec<OsString>) -> u8 {
    py.detach(|| wattlaw_cli::run(words))
}
