//! Ordinary least squares by orthogonal triangularisation, with classical, heteroscedasticity-
//! consistent and cluster-robust covariances.
//!
//! Columns are scaled to unit length before X = QR, and covariances are formed from Q and R
//! rather than from (XᵀX)⁻¹, which keeps about twice the digits on ill-conditioned designs.

use nalgebra::{DMatrix, DVector};

use crate::base::error::{Error, Result};
use crate::stats::cluster::Clusters;
use crate::stats::inference::{Estimate, Reference, infer};
use crate::stats::orthogonal::{Dependence, Factors, NEGLIGIBLE};

/// How the uncertainty of the estimates is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Covariance<'a> {
    /// Equal variances and independent errors: σ² (XᵀX)⁻¹.
    Classical,
    /// Unequal variances (White, 1980), without small-sample correction.
    Hc0,
    /// HC0 times n / (n − k) (MacKinnon and White, 1985).
    Hc1,
    /// Squared residuals divided by 1 − leverage (MacKinnon and White, 1985).
    Hc2,
    /// Squared residuals divided by (1 − leverage)² (MacKinnon and White, 1985).
    Hc3,
    /// Errors that are related within [clusters](Ols::clusters) of the fit (Liang and Zeger, 1986), times G / (G − 1) · (n − 1) / (n − k) as in Stata and statsmodels (CR1).
    Cluster(&'a Clusters),
    /// As [`Cluster`](Self::Cluster) with each cluster's residuals times (I − its block of the hat
    /// matrix)^(−1/2) in place of the factors, which keeps it unbiased with few or unequal clusters
    /// (CR2; Bell and McCaffrey, 2002).
    Cr2(&'a Clusters),
}

impl Covariance<'_> {
    /// Its name in files: `classical`, `hc0` … `hc3`, `cluster`, `cr2`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Classical => "classical",
            Self::Hc0 => "hc0",
            Self::Hc1 => "hc1",
            Self::Hc2 => "hc2",
            Self::Hc3 => "hc3",
            Self::Cluster(_) => "cluster",
            Self::Cr2(_) => "cr2",
        }
    }
}

/// Estimates only, for loops with many fits.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// One estimate a column; zero for an aliased one.
    pub estimates: Vec<f64>,
    /// Columns that are linear combinations of others, in order.
    pub aliased: Vec<usize>,
}

/// Solves for the estimates of `y` (one value a row) on the columns of `x`, called `names`.
///
/// # Errors
/// When shapes disagree, a value is not finite, there are fewer rows than columns, or a column is
/// zero throughout or determined by others; the error names the columns.
pub fn estimate(x: &DMatrix<f64>, y: &[f64], names: &[String]) -> Result<Vec<f64>> {
    check_shape(x, y)?;
    if x.nrows() < x.ncols() {
        return Err(too_few_rows(x.nrows(), names, x.ncols()));
    }
    let factors = Factors::new(x).map_err(|dependence| dependence.error(names))?;
    Ok(factors.solve(y).iter().copied().collect())
}

/// Solves for the estimates; columns that earlier ones determine, or beyond the number of rows, get estimate zero.
///
/// # Errors
/// When `x` and `y` differ in rows, there are none, or a value is not finite.
pub(crate) fn solve(x: &DMatrix<f64>, y: &[f64]) -> Result<Solution> {
    check_shape(x, y)?;
    let mut kept: Vec<usize> = (0..x.ncols()).collect();
    let mut aliased = Vec::new();
    loop {
        if kept.is_empty() {
            return Ok(Solution { estimates: vec![0.0; x.ncols()], aliased });
        }
        let columns = x.select_columns(&kept);
        match Factors::new(&columns) {
            Ok(factors) => {
                let mut estimates = vec![0.0; x.ncols()];
                for (j, estimate) in kept.iter().zip(factors.solve(y).iter()) {
                    estimates[*j] = *estimate;
                }
                return Ok(Solution { estimates, aliased });
            }
            Err(Dependence { column, .. }) => {
                aliased.push(kept.remove(column));
                aliased.sort_unstable();
            }
        }
    }
}

/// A least-squares fit.
#[derive(Debug, Clone)]
pub struct Ols {
    names: Vec<String>,
    estimates: DVector<f64>,
    fitted: Vec<f64>,
    residuals: Vec<f64>,
    leverage: Vec<f64>,
    factors: Factors,
    residual_sum_of_squares: f64,
    total_sum_of_squares: f64,
    has_constant: bool,
}

impl Ols {
    /// Fits `y` (one value a row) on the columns of `x`, which are called `names`.
    ///
    /// # Errors
    /// When shapes disagree, a value is not finite, there are not more rows than columns, or a
    /// column is zero throughout or determined by others; the error names the columns.
    pub fn fit(x: &DMatrix<f64>, y: &[f64], names: &[String]) -> Result<Self> {
        check_shape(x, y)?;
        let (n, k) = x.shape();
        if names.len() != k {
            return Err(Error::Data(format!("{k} columns have {} names", names.len())));
        }
        if n <= k {
            return Err(too_few_rows(n, names, k + 1));
        }
        let factors = Factors::new(x).map_err(|dependence| dependence.error(names))?;
        let estimates = factors.solve(y);
        let fitted = x * &estimates;
        let residuals: Vec<f64> = y.iter().zip(fitted.iter()).map(|(y, f)| y - f).collect();
        let has_constant = factors.span_a_constant();
        let centre = if has_constant { y.iter().sum::<f64>() / n as f64 } else { 0.0 };
        Ok(Self {
            names: names.to_vec(),
            residual_sum_of_squares: residuals.iter().map(|e| e * e).sum(),
            total_sum_of_squares: y.iter().map(|y| (y - centre).powi(2)).sum(),
            leverage: factors.q.row_iter().map(|row| row.norm_squared()).collect(),
            fitted: fitted.iter().copied().collect(),
            residuals,
            estimates,
            factors,
            has_constant,
        })
    }

    /// The names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// One estimate a column.
    pub fn estimates(&self) -> &[f64] {
        self.estimates.as_slice()
    }

    /// Fitted values, one per row.
    pub fn fitted(&self) -> &[f64] {
        &self.fitted
    }

    /// Observed less fitted, one value a row.
    pub fn residuals(&self) -> &[f64] {
        &self.residuals
    }

    /// The diagonal of the hat matrix X (XᵀX)⁻¹ Xᵀ, one value a row between zero and one.
    pub fn leverage(&self) -> &[f64] {
        &self.leverage
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.residuals.len()
    }

    /// Rows less columns; positive.
    pub(crate) fn residual_degrees(&self) -> usize {
        self.rows() - self.names.len()
    }

    /// R², the explained share of the response's variance: 1 − Σe² / Σ(y − ȳ)², with ȳ = 0
    /// where the columns do not span a constant; not a number when the response does not vary.
    pub fn r2(&self) -> f64 {
        1.0 - self.residual_sum_of_squares / self.total_sum_of_squares
    }

    /// R² with both sums divided by their degrees of freedom.
    pub fn adjusted_r2(&self) -> f64 {
        let total_degrees = self.rows() as f64 - f64::from(u8::from(self.has_constant));
        1.0 - (1.0 - self.r2()) * total_degrees / self.residual_degrees() as f64
    }

    /// √(Σe² / n), in the response's unit.
    pub fn rmse(&self) -> f64 {
        (self.residual_sum_of_squares / self.rows() as f64).sqrt()
    }

    /// The residual variance Σe² / (n − k), in the response's unit squared.
    pub fn sigma2(&self) -> f64 {
        self.residual_sum_of_squares / self.residual_degrees() as f64
    }

    /// Clusters of the fit's rows whose errors are related, from one group number a row.
    ///
    /// # Errors
    /// When there is not one number a row, or all rows are in one cluster.
    pub fn clusters(&self, groups: &[usize]) -> Result<Clusters> {
        Clusters::new(groups, &self.factors.q)
    }

    /// The covariance of the estimates, k × k.
    ///
    /// # Errors
    /// When HC2 or HC3 meets a row that alone determines an estimate (leverage one).
    pub fn covariance(&self, kind: Covariance<'_>) -> Result<DMatrix<f64>> {
        let q = &self.factors.q;
        let (n, k) = (self.rows() as f64, self.names.len() as f64);
        let meat = match kind {
            Covariance::Classical => DMatrix::identity(q.ncols(), q.ncols()) * self.sigma2(),
            Covariance::Hc0 => self.meat(|_| 1.0),
            Covariance::Hc1 => self.meat(|_| n / (n - k)),
            Covariance::Hc2 | Covariance::Hc3 => {
                if let Some(row) = self.leverage.iter().position(|h| 1.0 - h < NEGLIGIBLE) {
                    return Err(Error::Data(format!(
                        "row {} alone determines an estimate (leverage 1), so {} is not defined",
                        row + 1,
                        kind.name()
                    )));
                }
                let power = if kind == Covariance::Hc2 { 1 } else { 2 };
                self.meat(|h| (1.0 - h).powi(power).recip())
            }
            Covariance::Cluster(clusters) => {
                let g = clusters.count() as f64;
                clusters.meat(q, &self.residuals) * (g / (g - 1.0) * (n - 1.0) / (n - k))
            }
            Covariance::Cr2(clusters) => clusters.bias_reduced_meat(q, &self.residuals),
        };
        let unscaled = &self.factors.r_inverse;
        let covariance = unscaled * meat * unscaled.transpose();
        Ok((&covariance + covariance.transpose()) * 0.5)
    }

    /// The square roots of a covariance's diagonal, one a column.
    ///
    /// # Errors
    /// As for [`covariance`](Self::covariance).
    pub fn standard_errors(&self, kind: Covariance<'_>) -> Result<Vec<f64>> {
        Ok(self.covariance(kind)?.diagonal().iter().map(|v| v.max(0.0).sqrt()).collect())
    }

    /// The distribution of each estimate's statistic.
    ///
    /// It is Student's t with n − k degrees of freedom with the classical covariance and with G − 1
    /// with the cluster-robust one, as in Stata: only the G sums over clusters tell of the variance,
    /// however many rows each has. With CR2 it is Student's t with Satterthwaite's degrees of freedom,
    /// which differ between estimates (Bell and McCaffrey, 2002). With the others it is the normal
    /// distribution, as in statsmodels.
    pub fn references(&self, kind: Covariance<'_>) -> Vec<Reference> {
        let k = self.names.len();
        let students_t = |degrees| Reference::StudentsT { degrees };
        match kind {
            Covariance::Classical => vec![students_t(self.residual_degrees() as f64); k],
            Covariance::Hc0 | Covariance::Hc1 | Covariance::Hc2 | Covariance::Hc3 => {
                vec![Reference::Normal; k]
            }
            Covariance::Cluster(clusters) => vec![students_t((clusters.count() - 1) as f64); k],
            Covariance::Cr2(clusters) => {
                let degrees = clusters.degrees(&self.factors.r_inverse);
                degrees.into_iter().map(students_t).collect()
            }
        }
    }

    /// Whether one cluster alone determines each estimate, wholly or in part: its cluster-robust
    /// error then misses what differs between clusters.
    pub fn of_one_cluster(&self, clusters: &Clusters) -> Vec<bool> {
        clusters.alone(&self.factors.r_inverse)
    }

    /// Estimates with standard errors, p-values, and intervals at `level`, by the covariance's own
    /// distributions (see [`references`](Self::references)).
    ///
    /// # Errors
    /// As for [`covariance`](Self::covariance), and when the level is not between zero and one.
    pub fn infer(&self, kind: Covariance<'_>, level: f64) -> Result<Vec<Estimate>> {
        self.infer_with(kind, &self.references(kind), level)
    }

    /// As [`infer`](Self::infer), by other distributions of the statistics, one an estimate.
    ///
    /// # Errors
    /// As for [`infer`](Self::infer).
    pub fn infer_with(
        &self,
        kind: Covariance<'_>,
        references: &[Reference],
        level: f64,
    ) -> Result<Vec<Estimate>> {
        let errors = self.standard_errors(kind)?;
        infer(&self.names, self.estimates(), &errors, references, level)
    }

    /// Σ w(hᵢ) eᵢ² qᵢ qᵢᵀ over rows.
    fn meat(&self, weight: impl Fn(f64) -> f64) -> DMatrix<f64> {
        let mut scores = self.factors.q.clone();
        let errors = self.residuals.iter().zip(&self.leverage);
        for (mut row, (e, h)) in scores.row_iter_mut().zip(errors) {
            row *= e * weight(*h).sqrt();
        }
        scores.transpose() * scores
    }
}

fn check_shape(x: &DMatrix<f64>, y: &[f64]) -> Result<()> {
    if x.nrows() != y.len() {
        return Err(Error::Data(format!("{} responses for {} rows", y.len(), x.nrows())));
    }
    if x.nrows() == 0 || x.ncols() == 0 {
        return Err(Error::Data("there is nothing to fit: no rows or no columns".to_owned()));
    }
    match x.iter().chain(y).find(|v| !v.is_finite()) {
        Some(value) => Err(Error::invalid("a value", value, "only finite numbers can be fitted")),
        None => Ok(()),
    }
}

fn too_few_rows(n: usize, names: &[String], needed: usize) -> Error {
    let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    Error::Data(format!(
        "{n} rows are too few for the {} columns {}; at least {needed} are needed",
        names.len(),
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    /// The line through (0, 1), (1, 3), (2, 4): slope 3/2, intercept 7/6, Σe² = 1/6.
    fn line() -> Ols {
        let x = DMatrix::from_row_slice(3, 2, &[1.0, 0.0, 1.0, 1.0, 1.0, 2.0]);
        Ols::fit(&x, &[1.0, 3.0, 4.0], &names(&["Intercept", "x"])).unwrap()
    }

    #[test]
    fn a_line_by_hand() {
        let fit = line();
        assert_relative_eq!(fit.estimates()[0], 7.0 / 6.0, max_relative = 1e-14);
        assert_relative_eq!(fit.estimates()[1], 1.5, max_relative = 1e-14);
        assert_relative_eq!(fit.sigma2(), 1.0 / 6.0, max_relative = 1e-13);
        assert_relative_eq!(fit.rmse(), (1.0_f64 / 18.0).sqrt(), max_relative = 1e-13);
        assert_relative_eq!(fit.r2(), 1.0 - (1.0 / 6.0) / (14.0 / 3.0), max_relative = 1e-14);
        assert_relative_eq!(fit.leverage()[1], 1.0 / 3.0, max_relative = 1e-14);
        let errors = fit.standard_errors(Covariance::Classical).unwrap();
        assert_relative_eq!(errors[1], (1.0_f64 / 12.0).sqrt(), max_relative = 1e-13);
    }

    #[test]
    fn clusters_of_one_row_are_hc1_but_for_the_correction() {
        let fit = line();
        let hc0 = fit.covariance(Covariance::Hc0).unwrap();
        let clusters = fit.clusters(&[9, 4, 7]).unwrap();
        let cluster = fit.covariance(Covariance::Cluster(&clusters)).unwrap();
        assert_relative_eq!(cluster, hc0 * 3.0, max_relative = 1e-12);
        assert!(fit.clusters(&[1, 1, 1]).is_err());
        assert!(fit.clusters(&[1, 2]).is_err());
    }

    #[test]
    fn the_bias_reduced_covariance_of_clusters_of_one_row_is_hc2() {
        let x = [0.0, 1.0, 2.0, 3.5, 7.0];
        let x = DMatrix::from_fn(5, 2, |i, j| if j == 0 { 1.0 } else { x[i] });
        let fit = Ols::fit(&x, &[1.0, 3.0, 4.0, 4.5, 9.0], &names(&["Intercept", "x"])).unwrap();
        let hc2 = fit.covariance(Covariance::Hc2).unwrap();
        let clusters = fit.clusters(&[0, 1, 2, 3, 4]).unwrap();
        let cr2 = fit.covariance(Covariance::Cr2(&clusters)).unwrap();
        assert_relative_eq!(cr2, hc2, max_relative = 1e-12);
    }

    /// The mean of G clusters of equal size: its variance is that of the clusters' means, so Satterthwaite's degrees
    /// of freedom are G − 1.
    #[test]
    fn a_mean_of_equal_clusters_has_one_degree_of_freedom_less_than_clusters() {
        let (groups, y) = ([0, 0, 1, 1, 2, 2], [1.0, 3.0, 4.0, 2.0, 8.0, 9.0]);
        let x = DMatrix::from_element(6, 1, 1.0);
        let fit = Ols::fit(&x, &y, &names(&["Intercept"])).unwrap();
        let clusters = fit.clusters(&groups).unwrap();
        let cr2 = fit.covariance(Covariance::Cr2(&clusters)).unwrap();
        // means 2, 3, 8.5 around 4.5: variance (6.25 + 2.25 + 16) / 2, over three of them
        assert_relative_eq!(cr2[0], 24.5 / 2.0 / 3.0, max_relative = 1e-12);
        let Reference::StudentsT { degrees } = fit.references(Covariance::Cr2(&clusters))[0] else {
            panic!("CR2 uses Student's t")
        };
        assert_relative_eq!(degrees, 2.0, max_relative = 1e-12);
        assert_eq!(fit.of_one_cluster(&clusters), [false]);
    }

    #[test]
    fn an_estimate_from_one_cluster_is_found() {
        let indicator = [0.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        let x = DMatrix::from_fn(6, 2, |i, j| if j == 0 { 1.0 } else { indicator[i] });
        let y = [1.0, 3.0, 4.0, 2.0, 8.0, 9.0];
        let fit = Ols::fit(&x, &y, &names(&["Intercept", "a"])).unwrap();
        let clusters = fit.clusters(&[0, 0, 1, 1, 2, 2]).unwrap();
        assert_eq!(fit.of_one_cluster(&clusters), [false, true]);
    }

    #[test]
    fn collinear_columns_are_named() {
        let x = DMatrix::from_row_slice(
            4,
            3,
            &[1.0, 2.0, 4.0, 1.0, 3.0, 6.0, 1.0, 5.0, 10.0, 1.0, 1.0, 2.0],
        );
        let y = [1.0, 2.0, 3.0, 5.0];
        let error = Ols::fit(&x, &y, &names(&["Intercept", "a", "b"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "column `b` is determined by `a`, so their effects cannot be separated; leave one out"
        );
        let solution = solve(&x, &y).unwrap();
        assert_eq!(solution.aliased, [2]);
        assert_eq!(solution.estimates[2], 0.0);
        let few = x.rows(0, 2).into_owned();
        let error = Ols::fit(&few, &y[..2], &names(&["Intercept", "a", "b"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "2 rows are too few for the 3 columns `Intercept`, `a`, `b`; at least 4 are needed"
        );
        let zero = DMatrix::from_row_slice(3, 2, &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        let error = Ols::fit(&zero, &y[..3], &names(&["Intercept", "a"])).unwrap_err();
        assert!(error.to_string().starts_with("column `a` is zero in every row"));
    }

    #[test]
    fn fewer_rows_than_columns_alias_the_last() {
        let x = DMatrix::from_row_slice(2, 3, &[1.0, 0.0, 3.0, 1.0, 1.0, 5.0]);
        let solution = solve(&x, &[1.0, 3.0]).unwrap();
        assert_eq!(solution.aliased, [2]);
        assert_relative_eq!(solution.estimates[1], 2.0, max_relative = 1e-14);
    }

    #[test]
    fn a_row_of_leverage_one_has_no_hc3() {
        let x = DMatrix::from_row_slice(4, 2, &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0]);
        let fit = Ols::fit(&x, &[1.0, 2.0, 3.0, 9.0], &names(&["Intercept", "a"])).unwrap();
        assert!(fit.covariance(Covariance::Hc3).unwrap_err().to_string().starts_with("row 4 "));
        assert!(fit.covariance(Covariance::Hc1).is_ok());
    }
}
