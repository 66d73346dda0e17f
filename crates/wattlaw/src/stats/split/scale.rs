//! Extrapolation in scale: train on small configurations and test on large ones, or the other way
//! round.

use serde::{Deserialize, Serialize};

use super::{Groups, Split};
use crate::base::error::{Error, Result};
use crate::stats::score::{median, quantile};

/// The direction of an extrapolation in scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleShift {
    /// Train on the smaller three quarters of the groups, test on the largest.
    SmallToLarge,
    /// Train on the larger three quarters of the groups, test on the smallest.
    LargeToSmall,
}

/// Splits groups by the median of `scale` over their rows (for the study: ln C), with a quarter of them as test groups.
///
/// A group on the quartile itself is in training. The quartile is interpolated linearly between groups, as
/// pandas does. This is the scale-shift test of the study (arXiv 2606.23546).
///
/// # Errors
/// [`Error::Data`] when `scale` has another length than `groups` or a value that is not finite, or
/// when no group lies beyond the quartile.
pub fn scale_shift(groups: &Groups, scale: &[f64], direction: ScaleShift) -> Result<Split> {
    if scale.len() != groups.rows() {
        return Err(Error::Data(format!(
            "the scale has {} values for {} rows; one a row is needed",
            scale.len(),
            groups.rows()
        )));
    }
    if let Some(row) = scale.iter().position(|s| !s.is_finite()) {
        return Err(Error::Data(format!("the scale of row {row} is {}, not a number", scale[row])));
    }
    let mut members = vec![Vec::new(); groups.count()];
    for (&group, &value) in groups.ids().iter().zip(scale) {
        members[group].push(value);
    }
    let medians: Vec<f64> = members.iter().map(|values| median(values)).collect();
    let tested: Vec<bool> = match direction {
        ScaleShift::SmallToLarge => {
            let upper = quantile(&medians, 0.75);
            medians.iter().map(|m| *m > upper).collect()
        }
        ScaleShift::LargeToSmall => {
            let lower = quantile(&medians, 0.25);
            medians.iter().map(|m| *m < lower).collect()
        }
    };
    if !tested.contains(&true) {
        return Err(Error::Data(format!(
            "no group lies beyond the quartile of scale among {} groups; groups of more sizes are \
             needed",
            groups.count()
        )));
    }
    Ok(Split::partition(groups.rows(), |row| tested[groups.ids()[row]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_groups_tests() {
        let groups = Groups::from_labels(&["a", "b", "c", "d", "e", "e"]);
        let scale = [1.0, 2.0, 3.0, 4.0, 9.0, 1.0];
        let split = scale_shift(&groups, &scale, ScaleShift::SmallToLarge).unwrap();
        assert_eq!(split.test, [4, 5]);
        let split = scale_shift(&groups, &scale, ScaleShift::LargeToSmall).unwrap();
        assert_eq!(split.test, [0]);
    }

    #[test]
    fn groups_of_one_size_cannot_shift() {
        let groups = Groups::from_labels(&["a", "b"]);
        let error = scale_shift(&groups, &[1.0, 1.0], ScaleShift::SmallToLarge).unwrap_err();
        assert!(error.to_string().starts_with("no group lies beyond the quartile"));
        assert!(scale_shift(&groups, &[1.0], ScaleShift::SmallToLarge).is_err());
        assert!(scale_shift(&groups, &[1.0, f64::NAN], ScaleShift::SmallToLarge).is_err());
    }
}
