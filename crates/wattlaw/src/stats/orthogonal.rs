//! A design matrix as orthonormal columns times a triangle, and linearly dependent columns.

use nalgebra::{DMatrix, DVector};

use crate::base::error::Error;

/// A column lies in the span of earlier ones if less than this fraction of its length is orthogonal to it: far above
/// rounding (1e-16), far below any real near-collinearity (2e-5 for NIST's Longley).
pub(crate) const NEGLIGIBLE: f64 = 1e-10;

/// Weights below this in a combination of unit columns are rounding errors.
const NOTABLE_WEIGHT: f64 = 1e-6;

/// The factorisation X = Q R diag(lengths).
#[derive(Debug, Clone)]
pub(crate) struct Factors {
    /// n × k, orthonormal columns.
    pub(crate) q: DMatrix<f64>,
    /// (R diag(lengths))⁻¹, k × k.
    pub(crate) r_inverse: DMatrix<f64>,
}

/// The first column in the span of earlier ones, and the earlier columns that determine it.
pub(crate) struct Dependence {
    pub(crate) column: usize,
    on: Vec<usize>,
}

impl Factors {
    pub(crate) fn new(x: &DMatrix<f64>) -> std::result::Result<Self, Dependence> {
        let lengths: Vec<f64> = x.column_iter().map(|c| c.norm()).collect();
        if let Some(column) = lengths.iter().position(|l| *l == 0.0) {
            return Err(Dependence { column, on: Vec::new() });
        }
        let mut scaled = x.clone();
        for (mut column, length) in scaled.column_iter_mut().zip(&lengths) {
            column /= *length;
        }
        let qr = scaled.qr();
        let r = qr.r();
        let dependent = (0..r.nrows()).find(|j| r[(*j, *j)].abs() < NEGLIGIBLE);
        // With fewer rows than columns the first column beyond the rows must depend on them.
        let beyond = (r.nrows() < r.ncols()).then_some(r.nrows());
        if let Some(column) = dependent.or(beyond) {
            let leading = r.view((0, 0), (column, column)).into_owned();
            let weights = leading
                .solve_upper_triangular(&r.view((0, column), (column, 1)).into_owned())
                .unwrap_or_else(|| DMatrix::zeros(column, 1));
            let on = (0..column).filter(|i| weights[*i].abs() > NOTABLE_WEIGHT).collect();
            return Err(Dependence { column, on });
        }
        let k = r.ncols();
        let mut r_inverse = r
            .solve_upper_triangular(&DMatrix::identity(k, k))
            .ok_or(Dependence { column: 0, on: Vec::new() })?;
        for (mut row, length) in r_inverse.row_iter_mut().zip(&lengths) {
            row /= *length;
        }
        Ok(Self { q: qr.q(), r_inverse })
    }

    pub(crate) fn solve(&self, y: &[f64]) -> DVector<f64> {
        let rotated = self.q.tr_mul(&DVector::from_column_slice(y));
        &self.r_inverse * rotated
    }

    /// Whether a combination of the columns is the same in every row.
    pub(crate) fn span_a_constant(&self) -> bool {
        let n = self.q.nrows() as f64;
        let ones = DVector::from_element(self.q.nrows(), 1.0 / n.sqrt());
        let within = self.q.tr_mul(&ones).norm_squared();
        1.0 - within < NEGLIGIBLE
    }
}

impl Dependence {
    pub(crate) fn error(&self, names: &[String]) -> Error {
        let name = |i: &usize| names.get(*i).map_or_else(String::new, |n| format!("`{n}`"));
        if self.on.is_empty() {
            return Error::Data(format!(
                "column {} is zero in every row, so no effect of it can be estimated; leave it out",
                name(&self.column)
            ));
        }
        let on: Vec<String> = self.on.iter().map(name).collect();
        Error::Data(format!(
            "column {} is determined by {}, so their effects cannot be separated; leave one out",
            name(&self.column),
            on.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    #[test]
    fn the_factors_multiply_to_the_matrix() {
        let x = DMatrix::from_row_slice(4, 2, &[1.0, 2e6, 1.0, 3e6, 1.0, 5e6, 1.0, 7e6]);
        let Ok(factors) = Factors::new(&x) else { panic!("the columns are independent") };
        assert_relative_eq!(factors.q.tr_mul(&factors.q), DMatrix::identity(2, 2), epsilon = 1e-14);
        assert_relative_eq!(&x * &factors.r_inverse, factors.q, epsilon = 1e-13);
        assert!(factors.span_a_constant());
    }

    #[test]
    fn the_first_dependent_column_is_found_with_what_it_depends_on() {
        let x = DMatrix::from_row_slice(
            4,
            4,
            &[
                1.0, 2.0, 9.0, 3.0, //
                1.0, 3.0, 4.0, 4.0, //
                1.0, 5.0, 4.0, 6.0, //
                1.0, 7.0, 2.0, 8.0,
            ],
        );
        let Err(dependence) = Factors::new(&x) else { panic!("the last is the sum of two") };
        assert_eq!((dependence.column, dependence.on), (3, vec![0, 1]));
    }
}
