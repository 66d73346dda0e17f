//! Flags that select a law, shared by fitting and validation.

use std::str::FromStr;

use clap::ValueEnum;

use wattlaw::law::roofline::MAX_POINTS;
use wattlaw::stats::formula::Formula;

use crate::failure::{Done, Failure};
use crate::parse::whole;

/// Flags that select a law.
#[derive(Debug, clap::Args)]
pub struct LawArgs {
    /// Kind of law
    #[arg(long = "law", value_enum, default_value_t)]
    pub kind: LawKind,
    /// Fit the roofline law without the learnt discrepancy
    #[arg(long)]
    pub no_discrepancy: bool,
    /// Maximum number of inducing points of the learnt discrepancy; fewer points make a smaller file and hide the individual runs
    #[arg(long, value_name = "N", default_value_t = MAX_POINTS, value_parser = whole::<usize>, conflicts_with = "no_discrepancy")]
    pub discrepancy_points: usize,
    /// Terms of the scaling law, such as "log_C + log_M + log_eta + strategy". Default: those of the setting
    #[arg(long, value_name = "FORMULA", value_parser = Formula::from_str)]
    pub terms: Option<Formula>,
    /// Response of the law; a roofline law predicts both
    #[arg(long, value_enum, default_value_t)]
    pub target: Target,
}

impl LawArgs {
    /// Maximum number of inducing points of the discrepancy; `None` without a discrepancy.
    pub fn discrepancy(&self) -> Option<usize> {
        (!self.no_discrepancy).then_some(self.discrepancy_points)
    }

    /// Refuses `--terms` for the roofline law.
    ///
    /// # Errors
    /// A usage error.
    pub fn without_terms(&self) -> Done {
        match self.terms {
            None => Ok(()),
            Some(_) => {
                Err(Failure::usage("--terms applies to the scaling law only; add --law scaling"))
            }
        }
    }
}

/// Laws that can be fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LawKind {
    /// Roofline law: one physical law for every job, with a learnt discrepancy near the runs
    #[default]
    Roofline,
    /// Scaling law of the study: least squares on logarithms of proxies
    Scaling,
}

/// Response of a law.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Target {
    /// ln(energy / kWh)
    #[default]
    Energy,
    /// ln(duration / s)
    Duration,
}

impl Target {
    /// Column with the logarithm of the response.
    pub const fn column(self) -> &'static str {
        match self {
            Self::Energy => "log_energy_kwh",
            Self::Duration => "log_duration_s",
        }
    }
}
