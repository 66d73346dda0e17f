//! Nonlinear least squares with the covariance of the parameters.
//!
//! The minimiser is MINPACK's Levenberg–Marquardt (Moré 1978) in the `levenberg-marquardt` crate; derivatives are
//! central differences. A robust loss enters as residuals whose squares are the loss, a ridge as one residual a
//! parameter, so one solver suffices.

use levenberg_marquardt::{LeastSquaresProblem, LevenbergMarquardt, TerminationReason};
use nalgebra::storage::Owned;
use nalgebra::{DMatrix, DVector, Dyn};

use crate::base::error::{Error, Result};

/// Number of restarts of a search that ran out of evaluations.
const RESTARTS: usize = 5;

/// Relative decrease of the cost below which a search that ran out of evaluations has converged.
const CONVERGED_DECREASE: f64 = 1e-6;

/// A minimum.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// The parameters.
    pub parameters: Vec<f64>,
    /// Half the sum of squared residuals there.
    pub cost: f64,
    /// The Jacobian there: residuals × parameters.
    pub jacobian: DMatrix<f64>,
    /// Evaluations of the residuals.
    pub evaluations: usize,
}

impl Solution {
    /// The inverse of JᵀJ: the parameters' covariance for residuals of variance one.
    ///
    /// # Errors
    /// [`Error::Data`] where the residuals do not determine the parameters.
    pub fn unscaled_covariance(&self) -> Result<DMatrix<f64>> {
        let information = self.jacobian.tr_mul(&self.jacobian);
        information.cholesky().map(|c| c.inverse()).ok_or_else(|| {
            Error::Data(
                "the residuals do not determine all parameters; some parameter has no effect"
                    .into(),
            )
        })
    }
}

/// Residuals of a model as a function of its parameters.
struct Problem<F> {
    residuals: F,
    at: DVector<f64>,
    evaluations: std::cell::Cell<usize>,
}

impl<F: Fn(&[f64], &mut [f64])> Problem<F> {
    fn evaluate(&self, at: &DVector<f64>, count: usize) -> Option<DVector<f64>> {
        self.evaluations.set(self.evaluations.get() + 1);
        let mut out = DVector::zeros(count);
        (self.residuals)(at.as_slice(), out.as_mut_slice());
        out.iter().all(|r| r.is_finite()).then_some(out)
    }
}

struct Sized<'a, F> {
    problem: &'a Problem<F>,
    count: usize,
    at: DVector<f64>,
}

impl<F: Fn(&[f64], &mut [f64])> LeastSquaresProblem<f64, Dyn, Dyn> for Sized<'_, F> {
    type ParameterStorage = Owned<f64, Dyn>;
    type ResidualStorage = Owned<f64, Dyn>;
    type JacobianStorage = Owned<f64, Dyn, Dyn>;

    fn set_params(&mut self, x: &DVector<f64>) {
        self.at.copy_from(x);
    }

    fn params(&self) -> DVector<f64> {
        self.at.clone()
    }

    fn residuals(&self) -> Option<DVector<f64>> {
        self.problem.evaluate(&self.at, self.count)
    }

    fn jacobian(&self) -> Option<DMatrix<f64>> {
        jacobian(self.problem, &self.at, self.count)
    }
}

/// Central differences with steps of the cube root of the machine's precision, which balances truncation and rounding.
fn jacobian<F: Fn(&[f64], &mut [f64])>(
    problem: &Problem<F>,
    at: &DVector<f64>,
    count: usize,
) -> Option<DMatrix<f64>> {
    let mut out = DMatrix::zeros(count, at.len());
    let mut moved = at.clone();
    for j in 0..at.len() {
        let step = f64::EPSILON.cbrt() * at[j].abs().max(1e-2);
        moved[j] = at[j] + step;
        let above = problem.evaluate(&moved, count)?;
        moved[j] = at[j] - step;
        let below = problem.evaluate(&moved, count)?;
        moved[j] = at[j];
        out.set_column(j, &((above - below) / (2.0 * step)));
    }
    Some(out)
}

/// Minimises the sum of squares of `count` residuals, which `residuals` writes for given parameters.
///
/// # Errors
/// [`Error::Data`] where residuals are not finite at the start, there are fewer of them than parameters, or the search
/// does not converge; the sentence says which.
pub fn minimise(
    count: usize,
    start: &[f64],
    residuals: impl Fn(&[f64], &mut [f64]),
) -> Result<Solution> {
    if count < start.len() {
        return Err(Error::Data(format!(
            "{count} residuals cannot determine {} parameters",
            start.len()
        )));
    }
    let problem = Problem {
        residuals,
        at: DVector::from_column_slice(start),
        evaluations: std::cell::Cell::new(0),
    };
    let sized = Sized { problem: &problem, count, at: problem.at.clone() };
    let search = || LevenbergMarquardt::new().with_patience(200);
    let (mut solved, mut report) = search().minimize(sized);
    for _ in 0..RESTARTS {
        if !matches!(report.termination, TerminationReason::LostPatience) {
            break;
        }
        // in a long curved valley, continue from the current point with a new trust region
        let before = report.objective_function;
        (solved, report) = search().minimize(solved);
        if before - report.objective_function <= CONVERGED_DECREASE * before {
            report.termination = TerminationReason::Converged { ftol: true, xtol: false };
        }
    }
    if !report.termination.was_successful() {
        return Err(Error::Data(format!("the fit did not converge: {:?}", report.termination)));
    }
    let jacobian = jacobian(&problem, &solved.at, count)
        .ok_or_else(|| Error::Data("the residuals are not finite at the end of the fit".into()))?;
    Ok(Solution {
        parameters: solved.at.as_slice().to_vec(),
        cost: report.objective_function,
        jacobian,
        evaluations: problem.evaluations.get(),
    })
}

/// A residual whose square is the soft-L1 loss 2 s² (√(1 + (r/s)²) − 1): quadratic within the scale s, linear beyond.
///
/// Source: scipy `least_squares`, loss `soft_l1`; the square root makes it a residual again.
pub fn soft_l1(residual: f64, scale: f64) -> f64 {
    let z = (residual / scale).powi(2);
    // 2 (√(1+z) − 1) = 2 z / (√(1+z) + 1), without cancellation near zero
    let loss = 2.0 * z / ((1.0 + z).sqrt() + 1.0);
    residual.signum() * scale * loss.sqrt()
}

/// A residual whose square is the Cauchy loss s² ln(1 + (r/s)²): far outliers have little weight.
///
/// Source: scipy `least_squares`, loss `cauchy`.
pub fn cauchy(residual: f64, scale: f64) -> f64 {
    residual.signum() * scale * (residual / scale).powi(2).ln_1p().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NIST StRD nonlinear regression, Misra1a (lower difficulty): y = b1 (1 − exp(−b2 x)).
    /// Source: <https://www.itl.nist.gov/div898/strd/nls/data/misra1a.shtml>
    #[test]
    fn misra1a_meets_its_certified_values_from_both_starts() {
        let x = [
            77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1,
            689.1, 760.0,
        ];
        let y = [
            10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.40,
            75.47, 81.78,
        ];
        for start in [[500.0, 1e-4], [250.0, 5e-4]] {
            let model = |b: &[f64], out: &mut [f64]| {
                for ((x, y), r) in x.iter().zip(&y).zip(out) {
                    *r = b[0] * (1.0 - (-b[1] * x).exp()) - y;
                }
            };
            let found = minimise(14, &start, model).unwrap();
            approx::assert_relative_eq!(
                found.parameters[0],
                2.389_421_291_8e2,
                max_relative = 1e-6
            );
            approx::assert_relative_eq!(
                found.parameters[1],
                5.501_564_318_1e-4,
                max_relative = 1e-6
            );
            approx::assert_relative_eq!(2.0 * found.cost, 1.245_513_889_4e-1, max_relative = 1e-6);
            let sd =
                (2.0 * found.cost / 12.0 * found.unscaled_covariance().unwrap()[(0, 0)]).sqrt();
            approx::assert_relative_eq!(sd, 2.707_007_524_1, max_relative = 1e-4);
        }
    }

    /// NIST StRD, MGH09 (higher difficulty): y = b1 (x² + b2 x) / (x² + b3 x + b4).
    /// Source: <https://www.itl.nist.gov/div898/strd/nls/data/mgh09.shtml>
    #[test]
    fn mgh09_meets_its_certified_values() {
        let x = [4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625];
        let y =
            [0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246];
        let model = |b: &[f64], out: &mut [f64]| {
            for ((x, y), r) in x.iter().zip(&y).zip(out) {
                *r = b[0] * (x * x + b[1] * x) / (x * x + b[2] * x + b[3]) - y;
            }
        };
        let found = minimise(11, &[0.25, 0.39, 0.415, 0.39], model).unwrap();
        let certified =
            [1.928_069_345_8e-1, 1.912_823_287_3e-1, 1.230_565_069_3e-1, 1.360_623_307_0e-1];
        for (found, certified) in found.parameters.iter().zip(certified) {
            approx::assert_relative_eq!(*found, certified, max_relative = 1e-5);
        }
        approx::assert_relative_eq!(2.0 * found.cost, 3.075_056_038_5e-4, max_relative = 1e-8);
    }

    #[test]
    fn a_non_finite_start_is_an_error() {
        let error =
            minimise(3, &[1.0, 2.0, 3.0, 4.0], |_, out| out.fill(0.0)).unwrap_err().to_string();
        assert_eq!(error, "3 residuals cannot determine 4 parameters");
        assert!(minimise(3, &[1.0], |_, out| out.fill(f64::NAN)).is_err());
    }

    #[test]
    fn robust_losses_are_quadratic_near_zero_and_slow_beyond() {
        for loss in [soft_l1, cauchy] {
            approx::assert_relative_eq!(loss(1e-6, 0.1), 1e-6, max_relative = 1e-9);
            assert!(loss(10.0, 0.1) < 2.0 && loss(-10.0, 0.1) > -2.0);
            assert_eq!(loss(0.0, 0.1), 0.0);
        }
    }
}
