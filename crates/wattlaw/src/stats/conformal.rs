//! Split-conformal prediction intervals: from residuals on held-out rows.
//!
//! Where rows are exchangeable, `prediction ± half-width` contains the truth with at least the requested probability
//! for any law (Papadopoulos et al., 2002; Lei et al., JASA 2018, theorem 2.2).

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};

/// Absolute residuals of calibration rows; they give the half-width of any level.
///
/// Residuals are in natural logarithms of the response: `exp` of a half-width is a factor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct Conformal {
    /// Ascending; each finite and not negative.
    sorted: Vec<f64>,
}

impl Conformal {
    /// Stores the absolute values of `residuals` (truth minus prediction, on rows outside the fit).
    ///
    /// # Errors
    /// [`Error::Data`] when there are none, or one is not finite.
    pub(crate) fn from_residuals(residuals: impl IntoIterator<Item = f64>) -> Result<Self> {
        let mut sorted: Vec<f64> = residuals.into_iter().map(f64::abs).collect();
        if sorted.is_empty() {
            return Err(Error::Data("intervals need calibration rows, and there are none".into()));
        }
        if let Some(row) = sorted.iter().position(|r| !r.is_finite()) {
            return Err(Error::Data(format!(
                "the residual of calibration row {row} is {}; intervals need finite ones",
                sorted[row]
            )));
        }
        sorted.sort_unstable_by(f64::total_cmp);
        Ok(Self { sorted })
    }

    /// Absolute residuals in ascending order, in natural logarithms of the response.
    pub fn residuals(&self) -> &[f64] {
        &self.sorted
    }

    /// Half-width of the interval at `level` (0.95, say), in natural logarithms; infinite if there are too few
    /// residuals for the level.
    ///
    /// It is the residual of rank `⌈(n+1) · level⌉`; if the rank is above `n`, no finite interval has the level (95 %
    /// needs 19 residuals).
    ///
    /// # Errors
    /// [`Error::Invalid`] when `level` does not lie strictly between 0 and 1.
    pub fn half_width(&self, level: f64) -> Result<f64> {
        Ok(self.sorted.get(self.rank(level)? - 1).copied().unwrap_or(f64::INFINITY))
    }

    /// Half-width at `level` as in the study: the largest residual where [`half_width`](Self::half_width) is infinite.
    ///
    /// Its coverage is below the level for few residuals; it exists to reproduce the study (arXiv
    /// 2606.23546).
    ///
    /// # Errors
    /// [`Error::Invalid`] when `level` does not lie strictly between 0 and 1.
    pub(crate) fn clamped_half_width(&self, level: f64) -> Result<f64> {
        Ok(self.sorted[self.rank(level)?.min(self.sorted.len()) - 1])
    }

    fn rank(&self, level: f64) -> Result<usize> {
        if !(level > 0.0 && level < 1.0) {
            return Err(Error::invalid("level", level, "it must lie between 0 and 1"));
        }
        // The tolerance keeps a product such as 38.000000000000007 at rank 38.
        let rank = ((self.sorted.len() + 1) as f64 * level - 1e-9).ceil();
        Ok((rank as usize).max(1))
    }
}

impl TryFrom<Vec<f64>> for Conformal {
    type Error = Error;

    fn try_from(residuals: Vec<f64>) -> Result<Self> {
        Self::from_residuals(residuals)
    }
}

impl From<Conformal> for Vec<f64> {
    fn from(conformal: Conformal) -> Self {
        conformal.sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_counts_the_row_to_come() {
        // n = 39: ⌈40 · 0.95⌉ = 38, so the second largest; ⌈40 · 0.5⌉ = 20.
        let conformal = Conformal::from_residuals((1..=39).map(|i| -f64::from(i))).unwrap();
        assert_eq!(conformal.half_width(0.95).unwrap(), 38.0);
        assert_eq!(conformal.half_width(0.5).unwrap(), 20.0);
    }

    #[test]
    fn too_few_rows_give_no_finite_interval() {
        let conformal = Conformal::from_residuals((1..=18).map(f64::from)).unwrap();
        assert_eq!(conformal.half_width(0.95).unwrap(), f64::INFINITY);
        assert_eq!(conformal.clamped_half_width(0.95).unwrap(), 18.0);
        let conformal = Conformal::from_residuals((1..=19).map(f64::from)).unwrap();
        assert_eq!(conformal.half_width(0.95).unwrap(), 19.0);
    }

    #[test]
    fn invalid_values_are_refused() {
        assert!(Conformal::from_residuals([]).is_err());
        assert!(Conformal::from_residuals([1.0, f64::NAN]).is_err());
        let conformal = Conformal::from_residuals([1.0]).unwrap();
        assert!(conformal.half_width(1.0).is_err() && conformal.half_width(0.0).is_err());
        assert!(serde_json::from_str::<Conformal>("[]").is_err());
        assert_eq!(serde_json::from_str::<Conformal>("[2.0,1.0]").unwrap().residuals(), [1.0, 2.0]);
    }

    /// On exchangeable rows the level is kept on average: simulated with a fixed generator.
    #[test]
    fn coverage_equals_the_level() {
        let mut rng = rand_mt::Mt::new(1);
        let mut draw = || f64::from(rng.next_u32()) / f64::from(u32::MAX);
        let mut inside = 0;
        for _ in 0..2000 {
            let calibration: Vec<f64> = (0..29).map(|_| draw()).collect();
            let width = Conformal::from_residuals(calibration).unwrap().half_width(0.9).unwrap();
            inside += usize::from(draw() <= width);
        }
        // 0.9 of 2,000 with a standard error of 13.
        assert!((1760..=1840).contains(&inside), "{inside}");
    }
}
