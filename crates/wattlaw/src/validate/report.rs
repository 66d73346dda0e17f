//! What a validation found, ready to be written as JSON.

use serde::Serialize;

use super::hold_out::{HoldOut, Skipped};
use super::interval::Covered;
use crate::stats::score::{self, Summary, finite};

/// Represents how one law did on rows that it had not seen, split by split and over all splits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Validation {
    /// The law's name.
    pub law: String,
    /// The column by which rows were held out, or `row`.
    pub hold_out: String,
    /// Number of rows in the table.
    pub n_rows: usize,
    /// Number of groups in the table.
    pub n_groups: usize,
    /// Share of truths that the intervals should hold, where they were judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<f64>,
    /// Coefficient of determination of ln response.
    pub r2: Summary,
    /// Root mean squared error of ln response.
    pub rmse: Summary,
    /// Median over rows of the relative error of the response.
    pub median_ape: Summary,
    /// Mean over rows of the relative error of the response.
    pub mape: Summary,
    /// Slope of true on predicted ln response.
    pub calibration_slope: Summary,
    /// Share of rows inside their intervals; absent where no split has intervals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Summary>,
    /// Factor by which intervals reach up and down from the prediction; absent where no split has
    /// intervals, `null` where it is infinite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_width_factor: Option<Summary>,
    /// Coverage of intervals at several levels; empty where no split has intervals.
    pub levels: Vec<Covered>,
    /// Scores of each split, in the order drawn.
    pub splits: Vec<SplitScore>,
    /// Splits that could not be judged, and why.
    pub skipped: Vec<Skipped>,
}

impl Validation {
    pub(super) fn new(
        law: String,
        hold_out: &HoldOut,
        n_rows: usize,
        n_groups: usize,
        level: Option<f64>,
        splits: Vec<SplitScore>,
        skipped: Vec<Skipped>,
    ) -> Self {
        let over = |get: fn(&SplitScore) -> f64| {
            Summary::from_values(&splits.iter().map(get).collect::<Vec<f64>>())
        };
        let over_some = |get: fn(&SplitScore) -> Option<f64>| {
            let values: Vec<f64> = splits.iter().filter_map(get).collect();
            (!values.is_empty()).then(|| Summary::from_values(&values))
        };
        Self {
            law,
            hold_out: hold_out.name().to_owned(),
            n_rows,
            n_groups,
            level,
            r2: over(|s| s.r2),
            rmse: over(|s| s.rmse),
            median_ape: over(|s| s.median_ape),
            mape: over(|s| s.mape),
            calibration_slope: over(|s| s.calibration_slope),
            coverage: over_some(|s| s.coverage),
            half_width_factor: over_some(|s| s.half_width_factor),
            levels: over_levels(&splits),
            splits,
            skipped,
        }
    }
}

impl Validation {
    /// Mean relative error over all held-out rows of all splits, each row counted as often as it was held out.
    pub fn pooled_mape(&self) -> f64 {
        let rows: usize = self.splits.iter().map(|s| s.n_test).sum();
        let sum: f64 = self.splits.iter().map(|s| s.mape * s.n_test as f64).sum();
        sum / rows as f64
    }
}

/// The share of all held-out rows that lie inside their intervals, and the median of the splits' widths, level by level.
fn over_levels(splits: &[SplitScore]) -> Vec<Covered> {
    let with_intervals: Vec<&SplitScore> = splits.iter().filter(|s| !s.levels.is_empty()).collect();
    let rows: usize = with_intervals.iter().map(|s| s.n_test).sum();
    let Some(first) = with_intervals.first() else { return Vec::new() };
    let over = |at: usize, level: f64| {
        let inside: f64 =
            with_intervals.iter().map(|s| s.levels[at].coverage * s.n_test as f64).sum();
        let widths: Vec<f64> =
            with_intervals.iter().map(|s| s.levels[at].half_width_factor).collect();
        Covered { level, coverage: inside / rows as f64, half_width_factor: score::median(&widths) }
    };
    first.levels.iter().enumerate().map(|(at, covered)| over(at, covered.level)).collect()
}

/// Represents the scores of one law on one split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitScore {
    /// What was held out: a group's label, a direction of scale, or the number of the fold or draw,
    /// from zero.
    pub held_out: String,
    /// Number of training rows.
    pub n_train: usize,
    /// Names of the runs of what was held out that the law was given, in the order it chose them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub few_shot_runs: Vec<String>,
    /// Number of test rows.
    pub n_test: usize,
    /// Number of groups among the test rows.
    pub n_test_groups: usize,
    /// The test rows' positions in the frame.
    #[serde(skip)]
    pub test_rows: Vec<usize>,
    /// Coefficient of determination of ln response.
    #[serde(serialize_with = "finite")]
    pub r2: f64,
    /// Root mean squared error of ln response.
    #[serde(serialize_with = "finite")]
    pub rmse: f64,
    /// Median over test rows of the relative error of the response.
    #[serde(serialize_with = "finite")]
    pub median_ape: f64,
    /// Mean over test rows of the relative error of the response.
    #[serde(serialize_with = "finite")]
    pub mape: f64,
    /// Slope of true on predicted ln response.
    #[serde(serialize_with = "finite")]
    pub calibration_slope: f64,
    /// Intercept of true on predicted ln response.
    #[serde(serialize_with = "finite")]
    pub calibration_intercept: f64,
    /// Share of test rows inside their intervals.
    pub coverage: Option<f64>,
    /// Factor by which intervals reach up and down from the prediction, the median over test rows;
    /// may be infinite.
    pub half_width_factor: Option<f64>,
    /// The same at several levels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<Covered>,
    /// Why there are no intervals, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_interval: Option<String>,
}
