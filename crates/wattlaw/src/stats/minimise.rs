//! Minimises a smooth function of a few variables: BFGS with a backtracking line search.
//!
//! Source: Nocedal and Wright, Numerical Optimization, 2nd edition, algorithm 6.1 with the update 6.17; implemented
//! here to be deterministic on every machine.

use nalgebra::{DMatrix, DVector};

/// The minimum found.
#[derive(Debug, Clone, PartialEq)]
pub struct Minimum {
    /// Its position.
    pub at: Vec<f64>,
    /// Its value.
    pub value: f64,
    /// Whether the gradient converged to zero; otherwise the iterations were exhausted.
    pub converged: bool,
}

/// Searches from `start` for at most `iterations` steps; `function` returns value and gradient, or `None` where it is
/// undefined, which the search avoids.
///
/// Returns `None` if the function is undefined at the start.
pub(crate) fn bfgs(
    start: &[f64],
    iterations: usize,
    function: impl Fn(&[f64]) -> Option<(f64, Vec<f64>)>,
) -> Option<Minimum> {
    let n = start.len();
    let evaluate = |x: &DVector<f64>| {
        let (value, gradient) = function(x.as_slice())?;
        let finite = value.is_finite() && gradient.iter().all(|g| g.is_finite());
        finite.then(|| (value, DVector::from_vec(gradient)))
    };
    let mut x = DVector::from_column_slice(start);
    let (mut value, mut gradient) = evaluate(&x)?;
    let mut inverse = DMatrix::<f64>::identity(n, n);
    for iteration in 0..iterations {
        if gradient.amax() < 1e-5 * value.abs().max(1.0) {
            return Some(Minimum { at: x.as_slice().to_vec(), value, converged: true });
        }
        let mut direction = -(&inverse * &gradient);
        let mut slope = direction.dot(&gradient);
        if slope >= 0.0 {
            inverse = DMatrix::identity(n, n);
            direction = -gradient.clone();
            slope = -gradient.norm_squared();
        }
        // variables are logarithms: limit a step to a factor e²
        let mut step = (2.0 / direction.amax()).min(1.0);
        let found = loop {
            let candidate = &x + step * &direction;
            if let Some((at, slopes)) = evaluate(&candidate)
                && at <= value + 1e-4 * step * slope
            {
                break Some((candidate, at, slopes));
            }
            step *= 0.5;
            if step < 1e-10 {
                break None;
            }
        };
        let Some((next, next_value, next_gradient)) = found else {
            return Some(Minimum { at: x.as_slice().to_vec(), value, converged: true });
        };
        let s = &next - &x;
        let y = &next_gradient - &gradient;
        let curvature = s.dot(&y);
        if curvature > 1e-12 {
            if iteration == 0 {
                inverse *= curvature / y.norm_squared();
            }
            let rho = 1.0 / curvature;
            let left = DMatrix::identity(n, n) - rho * &s * y.transpose();
            inverse = &left * &inverse * left.transpose() + rho * &s * s.transpose();
        }
        let settled = (value - next_value).abs() < 1e-9 * value.abs().max(1.0);
        (x, value, gradient) = (next, next_value, next_gradient);
        if settled {
            return Some(Minimum { at: x.as_slice().to_vec(), value, converged: true });
        }
    }
    Some(Minimum { at: x.as_slice().to_vec(), value, converged: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rosenbrock's valley, lowest at (1, 1).
    fn rosenbrock(x: &[f64]) -> Option<(f64, Vec<f64>)> {
        let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
        Some((a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b]))
    }

    #[test]
    fn rosenbrock_converges_to_its_minimum() {
        let found = bfgs(&[-1.2, 1.0], 200, rosenbrock).unwrap();
        assert!(found.converged);
        approx::assert_relative_eq!(found.at[0], 1.0, max_relative = 1e-3);
        approx::assert_relative_eq!(found.at[1], 1.0, max_relative = 1e-3);
    }

    #[test]
    fn undefined_regions_are_avoided() {
        // ln x + 1/x is lowest at 1, and not defined at 0 and below
        let walled = |x: &[f64]| {
            (x[0] > 0.0).then(|| (x[0].ln() + 1.0 / x[0], vec![1.0 / x[0] - 1.0 / (x[0] * x[0])]))
        };
        let found = bfgs(&[0.1], 100, walled).unwrap();
        approx::assert_relative_eq!(found.at[0], 1.0, max_relative = 1e-3);
        assert!(bfgs(&[-1.0], 100, walled).is_none());
    }
}
