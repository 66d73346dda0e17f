//! Measures of accuracy, and the values that they must reach.

use serde::Serialize;

use crate::stats::score::finite;

/// The response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Energy.
    Energy,
    /// Time.
    Duration,
    /// Mean power.
    Power,
}

/// A measure of accuracy on held-out runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// R² of the logarithm, the median over splits.
    R2,
    /// R² of the split that holds this out.
    R2Of(&'static str),
    /// Median relative error of a split, the median over splits.
    MedianError,
    /// Median relative error of a held-out group, the mean over groups.
    MeanOfMedians,
    /// Mean relative error over all held-out runs.
    MeanError,
    /// Half-width of 95 % intervals as a factor: the median over splits, or over groups of their medians.
    HalfWidth,
    /// Share of a group's runs inside their 95 % intervals, the mean over groups.
    Coverage,
    /// Relative error of one run.
    Error,
}

impl Measure {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::R2 => "r2",
            Self::R2Of(held_out) => held_out,
            Self::MedianError => "median_ape",
            Self::MeanOfMedians => "mean_of_medians",
            Self::MeanError => "pooled_mape",
            Self::HalfWidth => "half_width_factor",
            Self::Coverage => "coverage",
            Self::Error => "absolute_error",
        }
    }
}

/// The values of a measure that reach a target. In JSON the limit, or both limits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Bound {
    /// This value and less.
    AtMost(f64),
    /// This value and more.
    AtLeast(f64),
    /// The values from the first to the second.
    Between(f64, f64),
}

impl Bound {
    /// Whether a value reaches the target.
    pub fn has(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
            Self::Between(least, most) => (least..=most).contains(&value),
        }
    }
}

/// A required and an aimed-at value of a measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// The response.
    pub target: Target,
    /// The measure.
    pub measure: Measure,
    /// The required value.
    pub least: Bound,
    /// The aimed-at value.
    pub aim: Bound,
}

/// An error or a half-width, which may be at most this.
pub(super) const fn at_most(target: Target, measure: Measure, least: f64, aim: f64) -> Figure {
    Figure { target, measure, least: Bound::AtMost(least), aim: Bound::AtMost(aim) }
}

/// An R², which must be at least this.
pub(super) const fn at_least(target: Target, measure: Measure, least: f64, aim: f64) -> Figure {
    Figure { target, measure, least: Bound::AtLeast(least), aim: Bound::AtLeast(aim) }
}

/// The coverage of 95 % intervals.
pub(super) const fn coverage(target: Target) -> Figure {
    Figure {
        target,
        measure: Measure::Coverage,
        least: Bound::Between(0.90, 0.99),
        aim: Bound::Between(0.93, 0.98),
    }
}

/// How far a target was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Attainment {
    /// The aim.
    Aim,
    /// The floor.
    Floor,
    /// Not reached.
    No,
}

/// A target and the value found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    /// The case.
    pub case: String,
    /// What was held out.
    pub held_out: String,
    /// The response.
    pub target: Target,
    /// The measure.
    pub measure: &'static str,
    /// The floor.
    pub least: Bound,
    /// The aim.
    pub aim: Bound,
    /// The value of the roofline law.
    #[serde(serialize_with = "finite")]
    pub found: f64,
    /// How far it reaches the target.
    pub met: Attainment,
}

impl Checked {
    /// Compares a value with a target.
    pub(super) fn new(case: &str, held_out: String, figure: &Figure, found: f64) -> Self {
        let met = if figure.aim.has(found) {
            Attainment::Aim
        } else if figure.least.has(found) {
            Attainment::Floor
        } else {
            Attainment::No
        };
        Self {
            case: case.to_owned(),
            held_out,
            target: figure.target,
            measure: figure.measure.name(),
            least: figure.least,
            aim: figure.aim,
            found,
            met,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coverage_may_be_too_low_and_too_high() {
        let met =
            |found| Checked::new("sources", String::new(), &coverage(Target::Duration), found).met;
        assert_eq!(
            [0.89, 0.91, 0.95, 0.985, 1.0].map(met),
            [Attainment::No, Attainment::Floor, Attainment::Aim, Attainment::Floor, Attainment::No]
        );
    }
}
