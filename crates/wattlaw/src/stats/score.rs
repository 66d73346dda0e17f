//! Scores of predictions, and their summary over splits.
//!
//! Values are natural logarithms (of energy, say) unless a function says otherwise; `truth` and
//! `predicted` have the same length, and every score without values is NaN.

use serde::{Serialize, Serializer};

/// Coefficient of determination, `1 - Σ(y-ŷ)² / Σ(y-ȳ)²`; dimensionless, 1 at best, without a lower
/// bound.
///
/// Like scikit-learn's `r2_score`: where the truth is constant it is 1 for a perfect prediction and
/// 0 otherwise, and it is NaN for fewer than two values.
pub fn r2(truth: &[f64], predicted: &[f64]) -> f64 {
    if truth.len() < 2 {
        return f64::NAN;
    }
    let centre = mean(truth);
    let total: f64 = truth.iter().map(|y| (y - centre).powi(2)).sum();
    let left: f64 = errors(truth, predicted).map(|e| e * e).sum();
    match (total == 0.0, left == 0.0) {
        (true, true) => 1.0,
        (true, false) => 0.0,
        _ => 1.0 - left / total,
    }
}

/// Root of the mean squared error, in the unit of the values.
pub fn rmse(truth: &[f64], predicted: &[f64]) -> f64 {
    mean(&errors(truth, predicted).map(|e| e * e).collect::<Vec<f64>>()).sqrt()
}

/// Relative errors `|exp(ŷ-y) - 1|` of the quantities whose logarithms are given, one a row;
/// dimensionless.
pub(crate) fn absolute_percentage_errors(truth: &[f64], predicted: &[f64]) -> Vec<f64> {
    errors(truth, predicted).map(|e| (-e).exp_m1().abs()).collect()
}

/// The straight line `truth = intercept + slope · predicted`; slope 1 and intercept 0
/// are perfect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CalibrationLine {
    /// Slope, dimensionless; below 1 if predictions are overdispersed.
    pub slope: f64,
    /// Intercept, in the unit of the values.
    pub intercept: f64,
}

/// Regresses the truth on the prediction by least squares; slope and intercept are NaN where all
/// predictions agree.
pub(crate) fn calibration_line(truth: &[f64], predicted: &[f64]) -> CalibrationLine {
    let (y, x) = (mean(truth), mean(predicted));
    let covariance: f64 = truth.iter().zip(predicted).map(|(t, p)| (t - y) * (p - x)).sum();
    let variance: f64 = predicted.iter().map(|p| (p - x).powi(2)).sum();
    let slope = if variance > 0.0 { covariance / variance } else { f64::NAN };
    CalibrationLine { slope, intercept: y - slope * x }
}

/// Share of rows whose truth lies within `half_width` of the prediction, each row with its own;
/// between 0 and 1.
pub fn coverage(truth: &[f64], predicted: &[f64], half_width: &[f64]) -> f64 {
    let inside = errors(truth, predicted).zip(half_width).filter(|(e, w)| e.abs() <= **w).count();
    inside as f64 / truth.len() as f64
}

/// Quantile at `share` (0 to 1), interpolated linearly between sorted values as NumPy's and pandas'
/// default does.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    let part = place.fract();
    // Infinite neighbours would give NaN; and NumPy's `_lerp` starts from the nearer end.
    if below == above || part == 0.0 || below.is_infinite() {
        below
    } else if above.is_infinite() {
        above
    } else if part < 0.5 {
        below + (above - below) * part
    } else {
        above - (above - below) * (1.0 - part)
    }
}

/// Median: the middle value, or the mean of the middle two.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (n, middle) if n % 2 == 1 => sorted[middle],
        (_, middle) => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Arithmetic mean.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Median and quartiles of a score over splits; values that are not finite are written as `null`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// Median over splits.
    #[serde(serialize_with = "finite")]
    pub median: f64,
    /// Lower quartile over splits.
    #[serde(serialize_with = "finite")]
    pub q25: f64,
    /// Upper quartile over splits.
    #[serde(serialize_with = "finite")]
    pub q75: f64,
}

impl Summary {
    /// Summarises the values of one score over splits.
    pub(crate) fn from_values(values: &[f64]) -> Self {
        Self { median: median(values), q25: quantile(values, 0.25), q75: quantile(values, 0.75) }
    }
}

/// Writes a number, or `null` if it is infinite or NaN, which JSON cannot represent.
pub(crate) fn finite<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    value.is_finite().then_some(*value).serialize(serializer)
}

fn errors(truth: &[f64], predicted: &[f64]) -> impl Iterator<Item = f64> {
    truth.iter().zip(predicted).map(|(y, p)| y - p)
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    const TRUTH: [f64; 4] = [1.0, 2.0, 4.0, 7.0];
    const PREDICTED: [f64; 4] = [1.5, 1.5, 4.5, 6.0];

    #[test]
    fn scores_by_hand() {
        // ȳ = 3.5; Σ(y-ȳ)² = 21; Σe² = 0.25 · 3 + 1 = 1.75.
        assert_relative_eq!(r2(&TRUTH, &PREDICTED), 1.0 - 1.75 / 21.0);
        assert_relative_eq!(rmse(&TRUTH, &PREDICTED), (1.75_f64 / 4.0).sqrt());
        // x̄ = 3.375; Σ(x-x̄)² = 15.1875; Σ(x-x̄)(y-ȳ) = 17.25.
        let line = calibration_line(&TRUTH, &PREDICTED);
        assert_relative_eq!(line.slope, 17.25 / 15.1875);
        assert_relative_eq!(line.intercept, -1.0 / 3.0, epsilon = 1e-12);
        assert_relative_eq!(coverage(&TRUTH, &PREDICTED, &[0.5; 4]), 0.75);
    }

    #[test]
    fn percentage_errors_are_of_the_quantity_not_its_logarithm() {
        let truth = [100.0_f64.ln(), 100.0_f64.ln()];
        let errors = absolute_percentage_errors(&truth, &[110.0_f64.ln(), 80.0_f64.ln()]);
        assert_relative_eq!(errors[0], 0.1, epsilon = 1e-12);
        assert_relative_eq!(errors[1], 0.2, epsilon = 1e-12);
    }

    #[test]
    fn a_constant_truth_and_no_truth() {
        assert_eq!(r2(&[1.0, 1.0], &[1.0, 1.0]), 1.0);
        assert_eq!(r2(&[1.0, 1.0], &[1.0, 2.0]), 0.0);
        assert!(r2(&[1.0], &[1.0]).is_nan() && rmse(&[], &[]).is_nan() && median(&[]).is_nan());
        assert!(calibration_line(&TRUTH, &[2.0; 4]).slope.is_nan());
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        let values = [3.0, 1.0, 10.0, 2.0];
        assert_relative_eq!(quantile(&values, 0.25), 1.75);
        assert_relative_eq!(quantile(&values, 0.75), 4.75);
        assert_relative_eq!(quantile(&values, 0.5), median(&values));
        assert_eq!((quantile(&values, 0.0), quantile(&values, 1.0)), (1.0, 10.0));
        let open = [1.0, f64::INFINITY];
        assert_eq!((quantile(&open, 0.25), quantile(&open, 0.75)), (f64::INFINITY, f64::INFINITY));
    }

    #[test]
    fn non_finite_values_are_written_as_null() {
        let summary =
            Summary::from_values(&[1.0, 2.0, f64::INFINITY, f64::INFINITY, f64::INFINITY]);
        assert_eq!(
            serde_json::to_string(&summary).unwrap(),
            r#"{"median":null,"q25":2.0,"q75":null}"#
        );
    }
}
