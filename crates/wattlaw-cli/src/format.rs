//! Output formats.

use clap::ValueEnum;

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Text tables
    #[default]
    Table,
    /// JSON: stable names, full precision
    Json,
}
