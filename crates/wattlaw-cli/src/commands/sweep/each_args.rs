//! How each job of a sweep is run, from the command line: here by `sweep run`, or on a cluster as `sweep submit` passes it on.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use wattlaw::base::units::Seconds;

use crate::flags::meters::MeterArgs;
use crate::parse::{long_time, time};

/// A job may take so many times what was predicted for it, and so long at least, where no limit is given. Assumed: far above
/// what predictions are off by.
const LIMIT_FACTOR: f64 = 10.0;
const LEAST_LIMIT: Duration = Duration::from_secs(1800);

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
        let predicted = predicted.map_or(0.0, |time| time.value() * LIMIT_FACTOR);
        let by_prediction = Duration::try_from_secs_f64(predicted).unwrap_or(LEAST_LIMIT);
        self.time_limit.unwrap_or(by_prediction.max(LEAST_LIMIT))
    }
}
