//! Flags of `sweep run` and `sweep submit` that say how each job is run.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use wattlaw::base::units::Seconds;
use wattlaw_sweep::runner::default_limit;

use crate::flags::meters::MeterArgs;
use crate::parse::{long_time, time};

/// Flags that say how each job is run.
#[derive(Debug, Args)]
pub struct EachArgs {
    /// Run failed jobs again
    #[arg(long)]
    pub retry_failed: bool,
    /// Longest wait before each job for an idle machine with a stable temperature; 0s disables the wait
    #[arg(long, value_name = "TIME", default_value = "3min", value_parser = time)]
    pub settle: Duration,
    /// Stop a job after this time. Default: ten times the predicted time, at least 30 min
    #[arg(long, value_name = "TIME", value_parser = long_time)]
    pub time_limit: Option<Duration>,
    #[command(flatten)]
    pub meters: MeterArgs,
    /// Catalogue file (TOML) whose entries override the built-in ones
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
}

impl EachArgs {
    /// The time limit of a job: the flag, or the default for its predicted time.
    pub fn limit(&self, predicted: Option<Seconds>) -> Duration {
        self.time_limit.unwrap_or_else(|| default_limit(predicted))
    }
}
