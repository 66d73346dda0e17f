//! Clusters of related rows: their part of a robust covariance, and the degrees of freedom of its tests.
//!
//! With X = QR, the estimates are R⁻¹Qᵀy and their covariance is R⁻¹ M R⁻ᵀ. The matrix M, the "meat", is a sum over
//! clusters g of outer products of scores s_g = Q_gᵀ e_g, k numbers each, with the residuals e.

use nalgebra::{DMatrix, DVector};

use crate::base::error::{Error, Result};
use crate::stats::orthogonal::NEGLIGIBLE;

/// Fewer clusters than this are few: the lower end of the 20 to 50 that clusters of like size need, and unlike ones need
/// more (Cameron and Miller, Journal of Human Resources 2015, section VI).
pub(crate) const FEW: usize = 20;

/// The clusters of a fit's rows, with what each of them determines of the estimates.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    of_row: Vec<usize>,
    shares: Vec<Share>,
}

/// The eigenvalues λ and eigenvectors (columns) of Q_gᵀ Q_g, and (1 − λ)^(−1/2).
///
/// The nonzero eigenvalues of the cluster's block of the hat matrix, Q_g Q_gᵀ, are the same, so that powers of
/// I − Q_g Q_gᵀ need no decomposition of a matrix as large as the cluster.
#[derive(Debug, Clone, PartialEq)]
struct Share {
    values: DVector<f64>,
    vectors: DMatrix<f64>,
    /// Zero where the cluster alone determines the direction (λ = 1): residuals in it are zero whatever the errors are.
    inverse_roots: DVector<f64>,
}

/// Whether a cluster alone determines a direction of which it has this eigenvalue.
fn is_whole(value: f64) -> bool {
    1.0 - value < NEGLIGIBLE
}

impl Share {
    fn new(gram: DMatrix<f64>) -> Self {
        let eigen = gram.symmetric_eigen();
        let root = |value: f64| if is_whole(value) { 0.0 } else { (1.0 - value).sqrt().recip() };
        Self {
            inverse_roots: eigen.eigenvalues.map(root),
            values: eigen.eigenvalues,
            vectors: eigen.eigenvectors,
        }
    }
}

impl Clusters {
    /// Clusters from one group number a row of Q.
    ///
    /// # Errors
    /// When there is not one number a row, or all rows are in one cluster.
    pub(super) fn new(groups: &[usize], q: &DMatrix<f64>) -> Result<Self> {
        let rows = q.nrows();
        if groups.len() != rows {
            return Err(Error::Data(format!("{} cluster labels for {rows} rows", groups.len())));
        }
        let mut distinct = groups.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() < 2 {
            return Err(Error::Data(
                "all rows are in one cluster, but a cluster covariance needs two or more"
                    .to_owned(),
            ));
        }
        let of_row: Vec<usize> =
            groups.iter().map(|group| distinct.partition_point(|g| g < group)).collect();
        let mut grams = vec![DMatrix::zeros(q.ncols(), q.ncols()); distinct.len()];
        for (row, cluster) in q.row_iter().zip(&of_row) {
            grams[*cluster].ger(1.0, &row.transpose(), &row.transpose(), 1.0);
        }
        Ok(Self { of_row, shares: grams.into_iter().map(Share::new).collect() })
    }

    /// The number of clusters, two or more.
    pub const fn count(&self) -> usize {
        self.shares.len()
    }

    /// Scores s_g, one row a cluster.
    fn scores(&self, q: &DMatrix<f64>, residuals: &[f64]) -> DMatrix<f64> {
        let mut scores = DMatrix::zeros(self.count(), q.ncols());
        for ((row, e), cluster) in q.row_iter().zip(residuals).zip(&self.of_row) {
            let mut sum = scores.row_mut(*cluster);
            sum += row * *e;
        }
        scores
    }

    /// The meat of Liang and Zeger (Biometrika 1986), Σ s_g s_gᵀ, without correction.
    pub(super) fn meat(&self, q: &DMatrix<f64>, residuals: &[f64]) -> DMatrix<f64> {
        let scores = self.scores(q, residuals);
        scores.transpose() * scores
    }

    /// The meat of Bell and McCaffrey (Survey Methodology 2002), also called CR2: the residuals of each cluster are
    /// multiplied by (I − Q_g Q_gᵀ)^(−1/2), which makes the covariance unbiased for equal and independent errors. The
    /// inverse is a pseudo-inverse (Pustejovsky and Tipton, Journal of Business and Economic Statistics 2018).
    pub(super) fn bias_reduced_meat(&self, q: &DMatrix<f64>, residuals: &[f64]) -> DMatrix<f64> {
        let mut scores = self.scores(q, residuals);
        for (mut row, share) in scores.row_iter_mut().zip(&self.shares) {
            let along = share.vectors.tr_mul(&row.transpose());
            let adjusted = &share.vectors * along.component_mul(&share.inverse_roots);
            row.copy_from(&adjusted.transpose());
        }
        scores.transpose() * scores
    }

    /// Satterthwaite's degrees of freedom of each estimate's variance under the bias-reduced meat, for equal and
    /// independent errors (Bell and McCaffrey 2002): 2 mean² / variance of the variance's estimate.
    ///
    /// Every estimate has at least one: below, no interval is of use.
    pub(super) fn degrees(&self, r_inverse: &DMatrix<f64>) -> Vec<f64> {
        let of_estimate = |row: DVector<f64>| {
            // The variance's estimate is yᵀ P y, and P has the same nonzero eigenvalues as D = diag(v) − W Wᵀ with one
            // row of W a cluster; tr(D)² / tr(D²) follows without forming D.
            let (mut trace, mut squares) = (0.0, 0.0);
            let mut products = DMatrix::zeros(row.len(), row.len());
            for share in &self.shares {
                let along = share.vectors.tr_mul(&row);
                let scaled = along.component_mul(&share.inverse_roots);
                let v: f64 = scaled.iter().zip(&share.values).map(|(a, l)| a * a * l).sum();
                let w = &share.vectors * scaled.component_mul(&share.values);
                let w2 = w.norm_squared();
                trace += v - w2;
                squares += v * v - 2.0 * v * w2;
                products += &w * w.transpose();
            }
            let degrees = trace * trace / (squares + products.norm_squared());
            if degrees.is_finite() { degrees.max(1.0) } else { 1.0 }
        };
        r_inverse.row_iter().map(|row| of_estimate(row.transpose())).collect()
    }

    /// Whether one cluster alone determines each estimate, wholly or in part, so that its error by cluster misses what
    /// differs between clusters.
    pub(super) fn alone(&self, r_inverse: &DMatrix<f64>) -> Vec<bool> {
        let lost = |row: &DVector<f64>, share: &Share| -> f64 {
            let along = share.vectors.tr_mul(row);
            let whole = share.values.iter().zip(&along).filter(|(l, _)| is_whole(**l));
            whole.map(|(_, a)| a * a).sum()
        };
        r_inverse
            .row_iter()
            .map(|row| {
                let row = row.transpose();
                let lost: f64 = self.shares.iter().map(|share| lost(&row, share)).sum();
                lost > 1e-6 * row.norm_squared()
            })
            .collect()
    }
}
