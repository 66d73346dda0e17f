//! How results are printed.

use clap::ValueEnum;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For reading
    #[default]
    Table,
    /// For scripts: stable names, full precision
    Json,
}
