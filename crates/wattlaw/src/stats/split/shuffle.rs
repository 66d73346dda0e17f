//! Random splits by row or by whole group, equal to scikit-learn's `ShuffleSplit`
//! and `GroupShuffleSplit`.

use rand_mt::Mt;

use super::{Groups, Split};
use crate::base::error::{Error, Result};

/// Draws train and test rows at random, each split on its own; equal to scikit-learn's
/// `ShuffleSplit`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShuffleSplit {
    n_splits: usize,
    test_size: f64,
    seed: u32,
}

impl ShuffleSplit {
    /// Sets up `n_splits` splits that each test the share `test_size` of the rows.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `n_splits` is zero or `test_size` does not lie strictly between 0
    /// and 1.
    pub fn new(n_splits: usize, test_size: f64, seed: u32) -> Result<Self> {
        if n_splits == 0 {
            return Err(Error::invalid("n_splits", n_splits, "it must be at least 1"));
        }
        if !(test_size > 0.0 && test_size < 1.0) {
            return Err(Error::invalid("test_size", test_size, "it must lie between 0 and 1"));
        }
        Ok(Self { n_splits, test_size, seed })
    }

    /// Splits `n` rows; positions come in the drawn order, as scikit-learn gives them.
    ///
    /// # Errors
    /// [`Error::Data`] when so few rows leave none to train on.
    pub fn split(&self, n: usize) -> Result<Vec<Split>> {
        let n_test = test_count(n, self.test_size, "row")?;
        let mut rng = Mt::new(self.seed);
        let draw = |_| {
            let mut test = permutation(n, &mut rng);
            let train = test.split_off(n_test);
            Split { train, test }
        };
        Ok((0..self.n_splits).map(draw).collect())
    }
}

/// Draws whole groups at random into train and test parts; equal to scikit-learn's
/// `GroupShuffleSplit`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupShuffleSplit(ShuffleSplit);

impl GroupShuffleSplit {
    /// Sets up `n_splits` splits that each test the share `test_size` of the groups.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `n_splits` is zero or `test_size` does not lie strictly between 0
    /// and 1.
    pub fn new(n_splits: usize, test_size: f64, seed: u32) -> Result<Self> {
        Ok(Self(ShuffleSplit::new(n_splits, test_size, seed)?))
    }

    /// Splits the rows of `groups`, each part in row order.
    ///
    /// # Errors
    /// [`Error::Data`] when so few groups leave none to train on.
    pub fn split(&self, groups: &Groups) -> Result<Vec<Split>> {
        let n_test = test_count(groups.count(), self.0.test_size, "group")?;
        let mut rng = Mt::new(self.0.seed);
        let draw = |_| {
            let mut tested = vec![false; groups.count()];
            for &group in &permutation(groups.count(), &mut rng)[..n_test] {
                tested[group] = true;
            }
            Split::partition(groups.rows(), |row| tested[groups.ids()[row]])
        };
        Ok((0..self.0.n_splits).map(draw).collect())
    }
}

/// Number of `n` units to test: the share rounded up, as scikit-learn's `_validate_shuffle_split`
/// rounds it.
fn test_count(n: usize, test_size: f64, unit: &str) -> Result<usize> {
    let n_test = (test_size * n as f64).ceil() as usize;
    if n_test >= n {
        let units = if n == 1 { unit.to_owned() } else { format!("{unit}s") };
        return Err(Error::Data(format!(
            "{n} {units} with test_size {test_size} leave none to train on; \
             more {unit}s or a smaller test_size are needed"
        )));
    }
    Ok(n_test)
}

/// Permutes `0..n` as the legacy `numpy.random.RandomState.permutation` does.
///
/// Fisher-Yates from the end; each bounded draw masks a 32-bit word and rejects what is too large
/// (`random_interval` in numpy/random/src/distributions/distributions.c; `RandomState.shuffle` in
/// numpy/random/mtrand.pyx).
pub(super) fn permutation(n: usize, rng: &mut Mt) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, interval(last as u32, rng));
    }
    order
}

/// Draws a whole number from 0 to `max`, which is above 0.
pub(crate) fn interval(max: u32, rng: &mut Mt) -> usize {
    let mask = u32::MAX >> max.leading_zeros();
    loop {
        let value = rng.next_u32() & mask;
        if value <= max {
            return value as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutation_is_that_of_numpy() {
        // numpy.random.RandomState(2026).permutation(10), twice, with NumPy 2.4.
        let mut rng = Mt::new(2026);
        assert_eq!(permutation(10, &mut rng), PERMUTATIONS[0]);
        assert_eq!(permutation(10, &mut rng), PERMUTATIONS[1]);
        assert!(permutation(0, &mut rng).is_empty());
        assert_eq!(permutation(1, &mut rng), [0]);
    }

    const PERMUTATIONS: [[usize; 10]; 2] =
        [[7, 3, 9, 8, 4, 5, 0, 2, 6, 1], [9, 4, 7, 8, 1, 0, 3, 5, 6, 2]];

    #[test]
    fn whole_groups_move_together() {
        let labels: Vec<String> = (0..60).map(|row| format!("g{}", row % 7)).collect();
        let groups = Groups::from_labels(&labels);
        for split in GroupShuffleSplit::new(5, 0.3, 1).unwrap().split(&groups).unwrap() {
            assert_eq!(split.train.len() + split.test.len(), 60);
            assert!(
                split.train.iter().all(|t| split.test.iter().all(|e| labels[*t] != labels[*e]))
            );
        }
    }

    #[test]
    fn impossible_shares_are_refused() {
        for share in [0.0, 1.0, -0.1, f64::NAN] {
            let error = ShuffleSplit::new(1, share, 0).unwrap_err().to_string();
            assert!(error.ends_with("it must lie between 0 and 1"), "{error}");
        }
        assert!(GroupShuffleSplit::new(0, 0.3, 0).is_err());
        let error = ShuffleSplit::new(1, 0.3, 0).unwrap().split(1).unwrap_err();
        assert!(error.to_string().starts_with("1 row with test_size 0.3 leave none"));
    }
}
