//! The results of a cross-validation, as written to JSON.

use serde::Serialize;

use super::hold_out::{HoldOut, Skipped};
use super::interval::Covered;
use crate::stats::score::{self, Summary, finite};

/// Scores of one law on held-out rows, by split and over all splits.
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
    /// Level of the intervals, if they were evaluated.
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
    /// Share of rows inside their intervals; absent if no split has intervals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Summary>,
    /// Half-width of intervals as a factor on the prediction; absent if no split has intervals, `null` if infinite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_width_factor: Option<Summary>,
    /// Coverage of intervals at several levels; empty if no split has intervals.
    pub levels: Vec<Covered>,
    /// Scores of each split, in the order drawn.
    pub splits: Vec<SplitScore>,
    /// Splits that could not be evaluated, with reasons.
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
    /// Mean relative error over all held-out rows of all splits, each row counted for each time it was held out.
    pub fn pooled_mape(&self) -> f64 {
        let rows: usize = self.splits.iter().map(|s| s.n_test).sum();
        let sum: f64 = self.splits.iter().map(|s| s.mape * s.n_test as f64).sum();
        sum / rows as f64
    }
}

/// Share of all held-out rows inside their intervals, and the median of the splits' widths, by level.
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

/// Scores of one law on one split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitScore {
    /// What was held out: a group's label, a direction of scale, or the number of the fold or draw,
    /// from zero.
    pub held_out: String,
    /// Number of training rows.
    pub n_train: usize,
    /// Names of the few-shot runs, in the order of choice.
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
    /// Half-width of intervals as a factor on the prediction, the median over test rows; may be infinite.
    pub half_width_factor: Option<f64>,
    /// Width and coverage at several levels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<Covered>,
    /// The reason for missing intervals, if they were requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_interval: Option<String>,
}
