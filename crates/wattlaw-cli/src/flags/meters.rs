//! Flags of measurement: which meters, how often, and which powers are assumed.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use wattlaw_meter::assumed::Assumption;
use wattlaw_meter::machine::{self, Opened, Options};
use wattlaw_meter::sampler;
use wattlaw_meter::select::Selection;

use crate::failure::{Done, Failure};
use crate::parse::time;

/// Flags of measurement.
#[derive(Debug, Args)]
pub struct MeterArgs {
    /// Time between readings, 10ms to 10s
    #[arg(long, default_value = "100ms", value_parser = sampler::interval)]
    pub interval: Duration,
    /// GPUs to measure, by index or UUID. Default: those in CUDA_VISIBLE_DEVICES, else all
    #[arg(long, value_name = "0,1", value_parser = Selection::from_str)]
    pub gpus: Option<Selection>,
    /// Assume a constant power for a component, marked as assumed in all outputs: cpu=95W (repeatable)
    #[arg(long, value_name = "COMPONENT=POWER", value_parser = Assumption::from_str)]
    pub assume: Vec<Assumption>,
    /// Idle time to measure before and after the command
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    pub idle: Duration,
    /// Record time, windows and steps even if there is no meter
    #[arg(long)]
    pub time_only: bool,
}

impl MeterArgs {
    /// Opens the meters.
    ///
    /// # Errors
    /// A component assumed twice, a GPU that does not exist, or a machine without meters unless `--time-only` is set.
    pub fn open(&self) -> Done<Opened> {
        let alike = |a: &Assumption| {
            self.assume.iter().filter(|b| a.component() == b.component()).count() > 1
        };
        if let Some(again) = self.assume.iter().find(|a| alike(a)) {
            return Err(Failure::Usage(format!(
                "--assume: {} is assumed twice",
                again.component()
            )));
        }
        let options = Options {
            gpus: self.gpus.clone(),
            assumptions: self.assume.clone(),
            ..Options::from_env()
        };
        let opened = machine::open(&options).map_err(Failure::failed)?;
        if opened.meters.is_empty() && !self.time_only {
            let reasons = opened.notes.join("; ");
            return Err(Failure::Failed(format!(
                "nothing can be measured: {reasons}; `wattlaw doctor` shows details, --assume cpu=95W assumes a power, and \
                 --time-only records without energy"
            )));
        }
        Ok(opened)
    }

    /// The same flags as arguments of a child `wattlaw measure`. GPUs are left out: the child's environment selects them.
    pub fn arguments(&self) -> Vec<String> {
        let milliseconds = |time: Duration| format!("{}ms", time.as_secs_f64() * 1e3);
        let mut words = vec![
            "--interval".to_owned(),
            milliseconds(self.interval),
            "--idle".to_owned(),
            milliseconds(self.idle),
        ];
        for assumption in &self.assume {
            words.extend(["--assume".to_owned(), assumption.to_string()]);
        }
        if self.time_only {
            words.push("--time-only".to_owned());
        }
        words
    }
}
