//! Which law, of what, on which terms: the flags that fitting and judging share.

use std::str::FromStr;

use clap::ValueEnum;

use wattlaw::law::roofline::MAX_POINTS;
use wattlaw::stats::formula::Formula;

use crate::failure::{Done, Failure};
use crate::parse::whole;

/// Flags that name a law.
#[derive(Debug, clap::Args)]
pub struct LawArgs {
    /// Kind of law
    #[arg(long = "law", value_enum, default_value_t)]
    pub kind: LawKind,
    /// Leave out what the roofline law's physics misses
    #[arg(long)]
    pub no_discrepancy: bool,
    /// The most points that hold what the physics misses; fewer make a smaller file, from which no run can be read back
    #[arg(long, value_name = "N", default_value_t = MAX_POINTS, value_parser = whole::<usize>, conflicts_with = "no_discrepancy")]
    pub discrepancy_points: usize,
    /// Share one set of roofline parameters among all GPU models
    #[arg(long)]
    pub pooled: bool,
    /// Terms of the law, as "log_C + log_M + log_eta + strategy"; the setting's when absent
    #[arg(long, value_name = "FORMULA", value_parser = Formula::from_str)]
    pub terms: Option<Formula>,
    /// What the law explains; a fitted roofline law explains both
    #[arg(long, value_enum, default_value_t)]
    pub target: Target,
}

impl LawArgs {
    /// The most points of a discrepancy, where one is asked for.
    pub fn discrepancy(&self) -> Option<usize> {
        (!self.no_discrepancy).then_some(self.discrepancy_points)
    }

    /// Refuses terms for a law that has none.
    ///
    /// # Errors
    /// Wrong usage.
    pub fn without_terms(&self) -> Done {
        match self.terms {
            None => Ok(()),
            Some(_) => Err(Failure::usage(
                "--terms are of the scaling law; the roofline law has parameters of its own",
            )),
        }
    }
}

/// Laws that can be fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LawKind {
    /// The study's: least squares on logarithms of proxies
    #[default]
    Scaling,
    /// The structural one: parameters of each GPU model, with a learnt discrepancy
    Roofline,
}

/// What a law explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Target {
    /// ln(energy / kWh)
    #[default]
    Energy,
    /// ln(duration / s)
    Duration,
}

impl Target {
    /// The column of the logarithm.
    pub const fn column(self) -> &'static str {
        match self {
            Self::Energy => "log_energy_kwh",
            Self::Duration => "log_duration_s",
        }
    }
}
