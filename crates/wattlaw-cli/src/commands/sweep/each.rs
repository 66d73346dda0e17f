//! How each job of a sweep is run, from the command line: here by `sweep run`, or on a cluster as `sweep submit` passes it on.

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
    /// Run again what failed
    #[arg(long)]
    pub retry_failed: bool,
    /// Wait at most so long before each job until the machine is idle and its temperature stable; 0s does not wait
    #[arg(long, value_name = "TIME", default_value = "3min", value_parser = time)]
    pub settle: Duration,
    /// End a job that takes longer; ten times what was predicted, and half an hour at least, when absent
    #[arg(long, value_name = "TIME", value_parser = long_time)]
    pub time_limit: Option<Duration>,
    #[command(flatten)]
    pub meters: MeterArgs,
    /// Catalogue file (TOML) whose rows stand before the built-in ones
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
}

impl EachArgs {
    /// The longest time that a job may take: what is asked, or what follows from its prediction.
    pub fn limit(&self, predicted: Option<Seconds>) -> Duration {
        self.time_limit.unwrap_or_else(|| default_limit(predicted))
    }
}
