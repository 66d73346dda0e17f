//! From estimates and covariances to p-values and intervals.

use std::fmt;

use serde::{Deserialize, Serialize};
use statrs::distribution::{Continuous, ContinuousCDF, StudentsT};
use statrs::function::beta::beta_reg;
use statrs::function::erf::{erfc, erfc_inv};

use crate::base::error::{Error, Result};

/// The distribution of a statistic (estimate over standard error) if the true value is zero.
///
/// In files it is `"normal"`, or `"students_t"` with its degrees of freedom.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// The standard normal distribution, used with covariances that are robust to unequal variances.
    #[default]
    Normal,
    /// Student's t distribution, used with the classical and the cluster-robust covariances.
    StudentsT {
        /// Its degrees of freedom; positive.
        degrees: f64,
    },
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("normal"),
            Self::StudentsT { degrees } => write!(f, "t({})", (degrees * 10.0).round() / 10.0),
        }
    }
}

impl Reference {
    /// The probability of a statistic at least this far from zero on either side.
    ///
    /// It is computed in the tail, not as a difference from one, so that p-values far below
    /// 1e-16 keep their digits: erfc(|z|/√2) for the normal distribution, the regularised
    /// incomplete beta function I(ν/(ν+t²); ν/2, 1/2) for Student's t (Abramowitz and Stegun,
    /// 26.2.29 and 26.7.1 with 26.5.27).
    pub fn two_sided_p(&self, statistic: f64) -> f64 {
        if statistic.is_nan() {
            return f64::NAN;
        }
        match self {
            Self::Normal => erfc(statistic.abs() / std::f64::consts::SQRT_2),
            Self::StudentsT { .. } if statistic.is_infinite() => 0.0,
            Self::StudentsT { degrees } => {
                let (nu, t) = (*degrees, statistic);
                beta_reg(nu / 2.0, 0.5, nu / (nu + t * t))
            }
        }
    }

    /// The probability of a statistic of at most this.
    pub fn cumulative(&self, statistic: f64) -> f64 {
        let beyond = 0.5 * self.two_sided_p(statistic);
        if statistic >= 0.0 { 1.0 - beyond } else { beyond }
    }

    /// The half-width, in standard errors, of the central interval that holds `level`.
    ///
    /// # Errors
    /// When the level is not between zero and one, or the degrees of freedom are not positive.
    pub fn half_width(&self, level: f64) -> Result<f64> {
        if !(level > 0.0 && level < 1.0) {
            return Err(Error::invalid("level", level, "it must lie between 0 and 1"));
        }
        match self {
            Self::Normal => Ok(std::f64::consts::SQRT_2 * erfc_inv(1.0 - level)),
            Self::StudentsT { degrees } => {
                let students_t = StudentsT::new(0.0, 1.0, *degrees).map_err(|_| {
                    Error::invalid("degrees of freedom", degrees, "they must be positive")
                })?;
                let mut t = students_t.inverse_cdf(0.5 + level / 2.0);
                // The inverse is good to 1e-8; Newton steps on the tail bring it to rounding.
                for _ in 0..3 {
                    let step = (self.two_sided_p(t) - (1.0 - level)) / (2.0 * students_t.pdf(t));
                    if step.is_finite() {
                        t += step;
                    }
                }
                Ok(t)
            }
        }
    }
}

/// An estimate with its uncertainty.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// The column that it multiplies.
    pub term: String,
    /// The estimate, in the response's unit by the column's.
    pub estimate: f64,
    /// Its standard error, in the same unit.
    pub standard_error: f64,
    /// Estimate over standard error.
    pub statistic: f64,
    /// The distribution of the statistic if the true value were zero.
    pub reference: Reference,
    /// The probability of such a statistic or a larger one if the true value were zero.
    pub p_value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// Estimates with standard errors, p-values, and intervals at `level`; each slice has one entry an estimate.
///
/// # Errors
/// When the level is not between zero and one.
pub fn infer(
    names: &[String],
    estimates: &[f64],
    standard_errors: &[f64],
    references: &[Reference],
    level: f64,
) -> Result<Vec<Estimate>> {
    let values = names.iter().zip(estimates).zip(standard_errors).zip(references);
    values
        .map(|(((term, &estimate), &standard_error), &reference)| {
            let statistic = estimate / standard_error;
            let half_width = reference.half_width(level)?;
            Ok(Estimate {
                term: term.clone(),
                estimate,
                standard_error,
                statistic,
                reference,
                p_value: reference.two_sided_p(statistic),
                low: estimate - half_width * standard_error,
                high: estimate + half_width * standard_error,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    /// Expected values from scipy 1.17: `2 * norm.sf(13.3)`; the Cauchy quartile is one.
    #[test]
    fn tiny_p_values_keep_their_digits() {
        let p = Reference::Normal.two_sided_p(-13.3);
        assert_relative_eq!(p, 2.314_683_256_738_037e-40, max_relative = 1e-12);
        // Φ(1.96) of the textbook, to the digits of statrs' erfc
        assert_relative_eq!(
            Reference::Normal.cumulative(1.959_963_984_540_054),
            0.975,
            max_relative = 1e-10
        );
        assert_relative_eq!(
            Reference::Normal.cumulative(-1.959_963_984_540_054),
            0.025,
            max_relative = 1e-10
        );
        assert_eq!(Reference::Normal.two_sided_p(0.0), 1.0);
        assert_eq!(Reference::StudentsT { degrees: 5.0 }.two_sided_p(0.0), 1.0);
        let p = Reference::StudentsT { degrees: 1.0 }.two_sided_p(1.0);
        assert_relative_eq!(p, 0.5, max_relative = 1e-13);
    }

    #[test]
    fn a_distribution_is_named_and_read_back() {
        let t = Reference::StudentsT { degrees: 7.0 };
        assert_eq!(
            (t.to_string(), Reference::Normal.to_string()),
            ("t(7)".into(), "normal".into())
        );
        for reference in [t, Reference::Normal] {
            let json = serde_json::to_string(&reference).unwrap();
            assert_eq!(serde_json::from_str::<Reference>(&json).unwrap(), reference);
        }
    }

    #[test]
    fn half_widths_of_the_textbook() {
        let normal = Reference::Normal.half_width(0.95).unwrap();
        assert_relative_eq!(normal, 1.959_963_984_540_054, max_relative = 1e-12);
        let t = Reference::StudentsT { degrees: 10.0 }.half_width(0.95).unwrap();
        assert_relative_eq!(t, 2.228_138_851_986_274, max_relative = 1e-11);
        assert!(Reference::Normal.half_width(1.0).is_err());
        assert!(Reference::StudentsT { degrees: 0.0 }.half_width(0.9).is_err());
    }
}
