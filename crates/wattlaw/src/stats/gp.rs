//! Gaussian-process regression: a smooth function learned from scattered points, with its uncertainty.
//!
//! Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006: marginal likelihood and its gradient
//! equations 5.8 and 5.9, automatic relevance determination section 5.1. The process is represented by inducing points
//! (Quiñonero-Candela and Rasmussen, JMLR 6, 2005, section 5, the projected process; its predictions are those of
//! Titsias 2009), selected one after the other at the largest remaining variance (Burt et al., JMLR 21, 2020, section
//! 4). With as many points as distinct rows it is the exact process (algorithm 2.1); with fewer it is fast and small,
//! and does not contain the rows.

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::decay::decay;
use super::minimise::bfgs;
use crate::base::error::{Error, Result};

/// Jitter on the diagonal of a covariance, as a share of the variance.
const JITTER: f64 = 1e-10;

/// Remaining variance at which no more points are added, as a share of the noise variance.
const RESIDUAL_VARIANCE_SHARE: f64 = 0.01;

/// Hyperparameters of a kernel: k(x, x') = amplitude² · c(r) + noise² where x is x', r the distance in length scales,
/// c Matérn's correlation of smoothness 5/2 (equation 4.17).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// Standard deviation of the function, in the response's unit.
    pub amplitude: f64,
    /// Length scale of each input, in the inputs' units.
    pub length_scales: Vec<f64>,
    /// Standard deviation of the noise, in the response's unit.
    pub noise: f64,
}

/// A normal prior on the logarithm of a hyperparameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogPrior {
    /// The median.
    pub median: f64,
    /// Standard deviation of the logarithm.
    pub sd: f64,
}

/// Priors of all hyperparameters.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelPrior {
    /// Of the amplitude.
    pub amplitude: LogPrior,
    /// Of each length scale.
    pub length_scales: Vec<LogPrior>,
    /// Of the noise.
    pub noise: LogPrior,
}

impl KernelPrior {
    /// Amplitude, length scales and noise, in the order of the vector of logarithms.
    fn all(&self) -> impl Iterator<Item = LogPrior> {
        let ends = [self.amplitude, self.noise];
        ends.into_iter().chain(self.length_scales.iter().copied())
    }
}

impl Kernel {
    fn from_logs(logs: &[f64]) -> Self {
        Self {
            amplitude: logs[0].exp(),
            noise: logs[1].exp(),
            length_scales: logs[2..].iter().map(|l| l.exp()).collect(),
        }
    }

    fn scaled_square(&self, a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).zip(&self.length_scales).map(|((a, b), l)| ((a - b) / l).powi(2)).sum()
    }

    fn covariance(&self, a: &[f64], b: &[f64]) -> f64 {
        self.amplitude * self.amplitude * correlation(self.scaled_square(a, b))
    }

    /// The covariance of rows without noise, with jitter on the diagonal so that nearly equal rows do not make it
    /// singular.
    fn matrix(&self, rows: &[Vec<f64>]) -> DMatrix<f64> {
        let n = rows.len();
        let mut k = DMatrix::zeros(n, n);
        for j in 0..n {
            for i in j..n {
                let value = self.covariance(&rows[i], &rows[j]);
                k[(i, j)] = value;
                k[(j, i)] = value;
            }
            k[(j, j)] += JITTER * self.amplitude * self.amplitude;
        }
        k
    }

    /// Selects inducing points: up to `most` rows, each with the largest variance given the rows before it, until the
    /// remaining variance is far below the noise; without a number, all distinct rows. A pivoted Cholesky decomposition
    /// of the covariance.
    fn pick(&self, rows: &[Vec<f64>], most: Option<usize>) -> Vec<usize> {
        let mut variance = vec![self.amplitude * self.amplitude; rows.len()];
        let known = 10.0 * JITTER * self.amplitude * self.amplitude;
        let least =
            most.map_or(known, |_| known.max(RESIDUAL_VARIANCE_SHARE * self.noise * self.noise));
        let mut columns: Vec<Vec<f64>> = Vec::new();
        let mut picked = Vec::new();
        while most.is_none_or(|most| picked.len() < most.max(1)) {
            let Some((next, left)) = largest(&variance) else { break };
            if left <= least {
                break;
            }
            let root = left.sqrt();
            let column: Vec<f64> = rows
                .iter()
                .enumerate()
                .map(|(i, row)| {
                    let known: f64 = columns.iter().map(|c| c[i] * c[next]).sum();
                    (self.covariance(row, &rows[next]) - known) / root
                })
                .collect();
            for (d, c) in variance.iter_mut().zip(&column) {
                *d -= c * c;
            }
            variance[next] = 0.0;
            columns.push(column);
            picked.push(next);
        }
        picked
    }
}

/// The largest value with its position; the first of equals.
fn largest(values: &[f64]) -> Option<(usize, f64)> {
    let mut found: Option<(usize, f64)> = None;
    for (i, value) in values.iter().enumerate() {
        if found.is_none_or(|(_, most)| *value > most) {
            found = Some((i, *value));
        }
    }
    found
}

/// (1 + √5 r + 5 r²/3) exp(−√5 r), of the squared distance r².
#[inline]
fn correlation(r2: f64) -> f64 {
    let z = (5.0 * r2).sqrt();
    (1.0 + z + z * z / 3.0) * decay(z)
}

/// −2 ∂c/∂(r²) = 5/3 (1 + √5 r) exp(−√5 r), so that ∂c/∂ ln lᵢ is this times the squared distance in input i.
fn correlation_slope(r2: f64) -> f64 {
    let z = (5.0 * r2).sqrt();
    5.0 / 3.0 * (1.0 + z) * decay(z)
}

/// A function learned from rows of inputs with one response each.
///
/// With L Lᵀ the covariance of the points, B = L⁻¹ K(points, rows) and A = I + B Bᵀ / noise²: at x, of v = L⁻¹
/// k(points, x), the mean is v · weights, weights = A⁻¹ B y / noise², and the variance amplitude² − |v|² + |R⁻¹ v|²
/// with R Rᵀ = A. The mean alone is k(points, x) · L⁻ᵀ weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "Stored", try_from = "Stored")]
pub struct Gp {
    kernel: Kernel,
    points: Vec<Vec<f64>>,
    weights: DVector<f64>,
    /// L.
    factor: DMatrix<f64>,
    /// R.
    root: DMatrix<f64>,
    /// L⁻ᵀ weights times amplitude², with zeros up to whole [`LANES`].
    mean_weights: Vec<[f64; LANES]>,
    /// The points over the length scales, input by input, with zeros up to whole [`LANES`].
    scaled: Vec<[f64; LANES]>,
}

/// Points that are added up side by side, as vector registers do.
const LANES: usize = 8;

/// Squared distances of a place from the points of a process, in its first inputs.
#[derive(Debug, Clone, Default)]
pub struct Distances {
    squares: Vec<[f64; LANES]>,
    /// Inputs that are in them.
    inputs: usize,
}

impl Gp {
    /// Conditions a process with zero prior mean on rows, with at most `most_points` inducing points; exact without a
    /// number.
    ///
    /// # Errors
    /// [`Error::Data`] for no rows, rows of unequal length, numbers that are not finite, or a covariance that is
    /// singular despite its noise.
    pub fn new(
        kernel: Kernel,
        rows: &[Vec<f64>],
        response: &[f64],
        most_points: Option<usize>,
    ) -> Result<Self> {
        check(rows, response, kernel.length_scales.len())?;
        let picked = kernel.pick(rows, most_points);
        let points: Vec<Vec<f64>> = picked.iter().map(|i| rows[*i].clone()).collect();
        let factor = points_factor(&kernel, &points)?;
        let cross = DMatrix::from_fn(points.len(), rows.len(), |i, j| {
            kernel.covariance(&points[i], &rows[j])
        });
        let b = factor.solve_lower_triangular(&cross).ok_or_else(singular)? / kernel.noise;
        let y = DVector::from_column_slice(response);
        let a = DMatrix::identity(points.len(), points.len()) + &b * b.transpose();
        let root = a.cholesky().ok_or_else(singular)?;
        let weights = root.solve(&(&b * y)) / kernel.noise;
        Self::prepared(kernel, points, weights, factor, root.unpack().map(single))
    }

    /// With what predictions need of the points and weights.
    fn prepared(
        kernel: Kernel,
        points: Vec<Vec<f64>>,
        weights: DVector<f64>,
        factor: DMatrix<f64>,
        root: DMatrix<f64>,
    ) -> Result<Self> {
        let mean_weights = factor.tr_solve_lower_triangular(&weights).ok_or_else(singular)?;
        let variance = kernel.amplitude.powi(2);
        let mean_weights = in_lanes(mean_weights.iter().map(|weight| variance * weight));
        let scales = kernel.length_scales.iter().enumerate();
        let scaled = scales
            .flat_map(|(j, l)| in_lanes(points.iter().map(move |point| point[j] / l)))
            .collect();
        Ok(Self { scaled, kernel, points, weights, factor, root, mean_weights })
    }

    /// Chooses the hyperparameters of maximum posterior on at most `most_rows` evenly spaced rows, and conditions the
    /// process on all rows.
    ///
    /// # Errors
    /// As [`new`](Self::new), and where the likelihood is undefined near the prior.
    pub fn fit(
        rows: &[Vec<f64>],
        response: &[f64],
        prior: &KernelPrior,
        most_rows: usize,
        most_points: Option<usize>,
    ) -> Result<Self> {
        check(rows, response, prior.length_scales.len())?;
        let picked = evenly(rows.len(), most_rows);
        let some: Vec<Vec<f64>> = picked.iter().map(|i| rows[*i].clone()).collect();
        let of_some = DVector::from_iterator(picked.len(), picked.iter().map(|i| response[*i]));
        let start: Vec<f64> = prior.all().map(|p| p.median.ln()).collect();
        let found = bfgs(&start, 60, |logs| negative_log_posterior(logs, &some, &of_some, prior))
            .ok_or_else(|| {
            Error::Data("no kernel fits the residuals; all runs may be equal".into())
        })?;
        Self::new(Kernel::from_logs(&found.at), rows, response, most_points)
    }

    /// The kernel.
    pub const fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// The inducing points.
    pub fn points(&self) -> &[Vec<f64>] {
        &self.points
    }

    /// Mean and variance of the function at `x`, the noise of a new observation not included.
    pub fn predict(&self, x: &[f64]) -> (f64, f64) {
        let distances = self.distances(x);
        let mut variance = self.kernel.amplitude.powi(2);
        let squares = distances.squares.as_flattened();
        let covariances = squares.iter().map(|square| variance * correlation(*square));
        let mut v = DVector::from_iterator(self.points.len(), covariances.take(self.points.len()));
        // the diagonal of a conditioned or checked factor has no zero
        self.factor.solve_lower_triangular_mut(&mut v);
        variance -= v.norm_squared();
        self.root.solve_lower_triangular_mut(&mut v);
        (self.mean_from(&distances, &[]), (variance + v.norm_squared()).max(0.0))
    }

    /// Mean of the function at `x`, for less than [`predict`](Self::predict).
    pub fn mean(&self, x: &[f64]) -> f64 {
        self.mean_from(&self.distances(x), &[])
    }

    /// The distances of places that have these first inputs; [`mean_from`](Self::mean_from) adds those of the others.
    pub fn distances(&self, first: &[f64]) -> Distances {
        let scaled: Vec<f64> =
            first.iter().zip(&self.kernel.length_scales).map(|(x, l)| x / l).collect();
        let of_block = |block| {
            let mut squares = [0.0; LANES];
            for (j, x) in scaled.iter().enumerate() {
                self.add_squares(&mut squares, block, j, *x);
            }
            squares
        };
        let squares = (0..self.mean_weights.len()).map(of_block).collect();
        Distances { squares, inputs: first.len() }
    }

    /// Mean of the function where the other inputs are these.
    pub fn mean_from(&self, first: &Distances, others: &[f64]) -> f64 {
        let mut sums = [0.0; LANES];
        for (block, (weights, squares)) in self.mean_weights.iter().zip(&first.squares).enumerate()
        {
            let mut squares = *squares;
            for (j, x) in (first.inputs..).zip(others) {
                self.add_squares(&mut squares, block, j, x / self.kernel.length_scales[j]);
            }
            for ((sum, weight), square) in sums.iter_mut().zip(weights).zip(squares) {
                *sum += weight * correlation(square);
            }
        }
        sums.iter().sum()
    }

    /// Adds the squared distances from a block of points in input `j`, of which `x` is in units of its length scale.
    #[inline]
    fn add_squares(&self, squares: &mut [f64; LANES], block: usize, j: usize, x: f64) {
        let points = &self.scaled[j * self.mean_weights.len() + block];
        for (square, point) in squares.iter_mut().zip(points) {
            *square += (point - x) * (point - x);
        }
    }
}

/// Numbers in blocks, with zeros up to a whole one.
fn in_lanes(numbers: impl Iterator<Item = f64>) -> Vec<[f64; LANES]> {
    let mut blocks = Vec::new();
    for (at, number) in numbers.enumerate() {
        if at % LANES == 0 {
            blocks.push([0.0; LANES]);
        }
        if let Some(block) = blocks.last_mut() {
            block[at % LANES] = number;
        }
    }
    blocks
}

/// L of the points' covariance L Lᵀ.
fn points_factor(kernel: &Kernel, points: &[Vec<f64>]) -> Result<DMatrix<f64>> {
    Ok(kernel.matrix(points).cholesky().ok_or_else(singular)?.unpack())
}

fn singular() -> Error {
    Error::Data("the discrepancy's covariance is singular; all rows are equal".into())
}

/// Rounds a number of R to single precision, more than the accuracy of a standard deviation, to keep files small; the
/// written and the read process predict the same.
fn single(x: f64) -> f64 {
    f64::from(x as f32)
}

/// The file format of a process.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    kernel: Kernel,
    points: Vec<Vec<f64>>,
    weights: Vec<f64>,
    /// The lower triangle of R, row by row.
    root: Vec<f32>,
}

impl From<Gp> for Stored {
    fn from(gp: Gp) -> Self {
        let n = gp.points.len();
        Self {
            weights: gp.weights.iter().copied().collect(),
            root: (0..n)
                .flat_map(|i| (0..=i).map(move |j| (i, j)))
                .map(|at| gp.root[at] as f32)
                .collect(),
            kernel: gp.kernel,
            points: gp.points,
        }
    }
}

impl TryFrom<Stored> for Gp {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self> {
        let Stored { kernel, points, weights, root } = stored;
        let n = points.len();
        let logs = [kernel.amplitude, kernel.noise];
        if logs.iter().chain(&kernel.length_scales).any(|x| !(x.is_finite() && *x > 0.0)) {
            return Err(Error::Data("the discrepancy's kernel must have positive numbers".into()));
        }
        check(&points, &weights, kernel.length_scales.len())?;
        if root.len() != n * (n + 1) / 2 {
            return Err(Error::invalid(
                "the discrepancy's root",
                format!("{} numbers", root.len()),
                format!("{n} points have {}", n * (n + 1) / 2),
            ));
        }
        let mut lower = DMatrix::zeros(n, n);
        for ((i, j), value) in (0..n).flat_map(|i| (0..=i).map(move |j| (i, j))).zip(root) {
            lower[(i, j)] = f64::from(value);
            if i == j && !(value.is_finite() && value >= 1.0) {
                return Err(Error::invalid(
                    "the discrepancy's root",
                    value,
                    "its diagonal must have numbers of at least 1",
                ));
            }
        }
        let factor = points_factor(&kernel, &points)?;
        Self::prepared(kernel, points, DVector::from_vec(weights), factor, lower)
    }
}

/// `n` positions, or `most` of them evenly spaced.
fn evenly(n: usize, most: usize) -> Vec<usize> {
    if n <= most { (0..n).collect() } else { (0..most).map(|i| i * n / most).collect() }
}

fn check(rows: &[Vec<f64>], response: &[f64], inputs: usize) -> Result<()> {
    if rows.is_empty() || rows.len() != response.len() {
        return Err(Error::Data(format!(
            "{} rows of inputs have {} responses",
            rows.len(),
            response.len()
        )));
    }
    if rows.iter().any(|r| r.len() != inputs || r.iter().any(|x| !x.is_finite())) {
        return Err(Error::Data(format!("each row must have {inputs} finite inputs")));
    }
    if response.iter().any(|y| !y.is_finite()) {
        return Err(Error::Data("each response must be a finite number".into()));
    }
    Ok(())
}

/// −ln p(y | X, θ) − ln p(θ) up to constants, and its gradient, at the logarithms θ of the hyperparameters.
fn negative_log_posterior(
    logs: &[f64],
    rows: &[Vec<f64>],
    y: &DVector<f64>,
    prior: &KernelPrior,
) -> Option<(f64, Vec<f64>)> {
    let kernel = Kernel::from_logs(logs);
    let n = rows.len();
    let mut covariance = kernel.matrix(rows);
    for i in 0..n {
        covariance[(i, i)] += kernel.noise * kernel.noise;
    }
    let factor = covariance.cholesky()?;
    let weights = factor.solve(y);
    let log_determinant: f64 = factor.l_dirty().diagonal().iter().map(|d| d.ln()).sum();
    let mut value = 0.5 * y.dot(&weights) + log_determinant;
    let inverse = factor.inverse();
    let mut gradient = vec![0.0; logs.len()];
    let variance = kernel.amplitude * kernel.amplitude;
    for j in 0..n {
        for i in j..n {
            // ½ tr((K⁻¹ − α αᵀ) ∂K): off the diagonal twice, once for each triangle
            let twice = if i == j { 0.5 } else { 1.0 };
            let sensitivity = twice * (inverse[(i, j)] - weights[i] * weights[j]);
            let r2 = kernel.scaled_square(&rows[i], &rows[j]);
            gradient[0] += sensitivity * 2.0 * variance * correlation(r2);
            if i == j {
                gradient[1] += sensitivity * 2.0 * kernel.noise * kernel.noise;
            } else {
                let slope = sensitivity * variance * correlation_slope(r2);
                for ((g, (a, b)), l) in gradient[2..]
                    .iter_mut()
                    .zip(rows[i].iter().zip(&rows[j]))
                    .zip(&kernel.length_scales)
                {
                    *g += slope * ((a - b) / l).powi(2);
                }
            }
        }
    }
    for ((g, log), prior) in gradient.iter_mut().zip(logs).zip(prior.all()) {
        let z = (log - prior.median.ln()) / prior.sd;
        value += 0.5 * z * z;
        *g += z / prior.sd;
    }
    Some((value, gradient))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prior(inputs: usize) -> KernelPrior {
        KernelPrior {
            amplitude: LogPrior { median: 1.0, sd: 1.0 },
            length_scales: vec![LogPrior { median: 1.0, sd: 1.0 }; inputs],
            noise: LogPrior { median: 0.1, sd: 1.0 },
        }
    }

    /// A smooth function of the first input; the second is idle.
    fn rows() -> (Vec<Vec<f64>>, Vec<f64>) {
        let rows: Vec<Vec<f64>> =
            (0..40).map(|i| vec![f64::from(i) * 0.15, f64::from((i * 7) % 11) * 0.3]).collect();
        let y = rows.iter().map(|r| r[0].sin()).collect();
        (rows, y)
    }

    #[test]
    fn the_gradient_matches_finite_differences() {
        let (rows, y) = rows();
        let y = DVector::from_vec(y);
        let at = [0.1, -1.5, 0.3, 0.7];
        let of = |logs: &[f64]| negative_log_posterior(logs, &rows, &y, &prior(2)).unwrap();
        let (_, gradient) = of(&at);
        for j in 0..4 {
            let (mut above, mut below) = (at, at);
            above[j] += 1e-5;
            below[j] -= 1e-5;
            let difference = (of(&above).0 - of(&below).0) / 2e-5;
            approx::assert_relative_eq!(
                gradient[j],
                difference,
                max_relative = 1e-5,
                epsilon = 1e-6
            );
        }
    }

    #[test]
    fn a_smooth_function_is_learnt_and_an_idle_input_gets_a_long_scale() {
        let (rows, y) = rows();
        let gp = Gp::fit(&rows, &y, &prior(2), 400, None).unwrap();
        let scales = &gp.kernel().length_scales;
        assert!(scales[1] > 1.5 * scales[0], "{scales:?}");
        let (mean, variance) = gp.predict(&[2.0, 1.0]);
        assert!((mean - 2f64.sin()).abs() < 0.02, "{mean}");
        assert!(variance.sqrt() < 0.1);
    }

    #[test]
    fn far_from_the_data_it_fades_to_the_prior() {
        let (rows, y) = rows();
        let gp = Gp::fit(&rows, &y, &prior(2), 400, None).unwrap();
        let (mean, variance) = gp.predict(&[1000.0, 1.0]);
        assert!(mean.abs() < 1e-6);
        approx::assert_relative_eq!(variance, gp.kernel().amplitude.powi(2), max_relative = 1e-6);
    }

    #[test]
    fn invalid_rows_are_refused() {
        assert!(Gp::fit(&[], &[], &prior(1), 10, None).is_err());
        assert!(Gp::fit(&[vec![f64::NAN]], &[1.0], &prior(1), 10, None).is_err());
        assert!(Gp::fit(&[vec![1.0, 2.0]], &[1.0], &prior(1), 10, None).is_err());
        // equal rows are no harm, and one point holds them
        let gp = Gp::fit(&vec![vec![1.0]; 5], &[1.0; 5], &prior(1), 10, None).unwrap();
        assert_eq!(gp.points().len(), 1);
    }

    #[test]
    fn few_points_hold_a_smooth_function() {
        let (rows, y) = rows();
        let kernel = Kernel { amplitude: 1.0, length_scales: vec![2.0, 20.0], noise: 0.05 };
        let exact = Gp::new(kernel.clone(), &rows, &y, None).unwrap();
        let sparse = Gp::new(kernel, &rows, &y, Some(14)).unwrap();
        assert_eq!((exact.points().len(), sparse.points().len()), (40, 14));
        for x in [[0.4, 0.1], [2.2, 2.0], [5.0, 1.0]] {
            let ((m, v), (n, w)) = (exact.predict(&x), sparse.predict(&x));
            assert_eq!((m, n), (exact.mean(&x), sparse.mean(&x)));
            assert!((m - n).abs() < 0.01, "{m} {n}");
            // fewer points know no more
            assert!(w >= v * 0.999 && w < 2.0 * v + 1e-3, "{v} {w}");
        }
    }

    #[test]
    fn a_read_process_predicts_as_the_written_one() {
        let (rows, y) = rows();
        let gp = Gp::fit(&rows, &y, &prior(2), 400, Some(20)).unwrap();
        let text = serde_json::to_string(&gp).unwrap();
        let read: Gp = serde_json::from_str(&text).unwrap();
        assert_eq!(read, gp);
        for (from, to) in [("\"root\":[1.", "\"root\":[0."), ("\"noise\":0", "\"noise\":-0")] {
            if text.contains(from) {
                assert!(serde_json::from_str::<Gp>(&text.replace(from, to)).is_err(), "{from}");
            }
        }
        assert!(serde_json::from_str::<Gp>(&text.replace("\"root\":[", "\"root\":[1.0,")).is_err());
    }
}
