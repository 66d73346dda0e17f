//! Collinearity of regressors: variance inflation and the condition number.

use nalgebra::DMatrix;

/// Variance inflation factors and condition number of a set of regressors.
#[derive(Debug, Clone, PartialEq)]
pub struct Collinearity {
    /// 1 / (1 − R²) of each regressor on the others and an intercept; at least one.
    pub variance_inflation: Vec<f64>,
    /// The largest singular value of the standardised regressors over the smallest; at least one.
    pub condition_number: f64,
}

impl Collinearity {
    /// Collinearity of the columns of `x`, each centred and scaled to unit length.
    ///
    /// With Z the standardised columns, the factors are the diagonal of the inverse correlation
    /// matrix (ZᵀZ)⁻¹ (Belsley, Kuh and Welsch, *Regression Diagnostics*, 1980, section 3.2). A
    /// factor and the condition number are infinite where a column is constant or determined by
    /// the others; without columns the condition number is one.
    pub fn new(x: &DMatrix<f64>) -> Self {
        let mut z = x.clone();
        for mut column in z.column_iter_mut() {
            let mean = column.mean();
            column.add_scalar_mut(-mean);
            let length = column.norm();
            if length > 0.0 {
                column /= length;
            }
        }
        if z.is_empty() {
            return Self { variance_inflation: Vec::new(), condition_number: 1.0 };
        }
        let k = z.ncols();
        let singular = z.singular_values();
        let inverse = (z.nrows() >= k)
            .then(|| z.qr().r().solve_upper_triangular(&DMatrix::identity(k, k)))
            .flatten();
        let variance_inflation = match inverse {
            Some(inverse) => inverse.row_iter().map(|row| row.norm_squared()).collect(),
            None => vec![f64::INFINITY; k],
        };
        let condition_number =
            if singular.len() < k { f64::INFINITY } else { singular.max() / singular.min() };
        Self { variance_inflation, condition_number }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    #[test]
    fn orthogonal_regressors_do_not_inflate() {
        let x = DMatrix::from_row_slice(4, 2, &[1.0, 7.0, 1.0, 5.0, 3.0, 7.0, 3.0, 5.0]);
        let found = Collinearity::new(&x);
        assert_relative_eq!(found.variance_inflation[0], 1.0, max_relative = 1e-14);
        assert_relative_eq!(found.condition_number, 1.0, max_relative = 1e-14);
    }

    /// Correlation 1/2: factors 1/(1 − 1/4), singular values √(1 ± 1/2).
    #[test]
    fn two_regressors_by_hand() {
        let x = DMatrix::from_row_slice(3, 2, &[1.0, 2.0, 2.0, 1.0, 3.0, 3.0]);
        let found = Collinearity::new(&x);
        assert_relative_eq!(found.variance_inflation[1], 4.0 / 3.0, max_relative = 1e-14);
        assert_relative_eq!(found.condition_number, 3.0_f64.sqrt(), max_relative = 1e-14);
    }

    #[test]
    fn empty_and_constant_regressors_are_handled() {
        assert_eq!(Collinearity::new(&DMatrix::zeros(3, 0)).condition_number, 1.0);
        assert_eq!(Collinearity::new(&DMatrix::zeros(3, 1)).variance_inflation, [f64::INFINITY]);
    }
}
