//! Group splits as in the study: one seed per split, and a new draw for a rejected split.

use super::pcg64::Pcg64;
use super::{GroupShuffleSplit, Groups, Split};
use crate::base::error::{Error, Result};

/// Draws whole groups at random, and redraws rejected splits.
///
/// Each attempt is one scikit-learn `GroupShuffleSplit` whose `random_state` is the next
/// `integers(0, 2**31 - 1)` of `numpy.random.default_rng(seed)`; splits that the caller rejects (for example with a
/// strategy in the test rows only) are dropped. This reproduces the splits of the study (arXiv 2606.23546).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RedrawnGroupShuffleSplit {
    n_splits: usize,
    test_size: f64,
    seed: u64,
}

/// An accepted split and its seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeededSplit {
    /// The `random_state` of its `GroupShuffleSplit`.
    pub seed: u32,
    /// Rows that train and test, each in row order.
    pub split: Split,
}

impl RedrawnGroupShuffleSplit {
    /// Maximum number of draws, as in the study.
    pub const MAX_ATTEMPTS: usize = 1000;

    /// Sets up `n_splits` splits that each test the share `test_size` of the groups.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `n_splits` is zero or `test_size` does not lie strictly between 0
    /// and 1.
    pub fn new(n_splits: usize, test_size: f64, seed: u64) -> Result<Self> {
        GroupShuffleSplit::new(n_splits, test_size, 0)?;
        Ok(Self { n_splits, test_size, seed })
    }

    /// Splits the rows of `groups`, keeping the splits for which `accept` is true.
    ///
    /// # Errors
    /// [`Error::Data`] when so few groups leave none to train on, or when too few of
    /// [`MAX_ATTEMPTS`](Self::MAX_ATTEMPTS) draws are accepted.
    pub fn split(
        &self,
        groups: &Groups,
        accept: impl Fn(&Split) -> bool,
    ) -> Result<Vec<SeededSplit>> {
        let mut rng = Pcg64::new(self.seed);
        let mut kept = Vec::with_capacity(self.n_splits);
        for _ in 0..Self::MAX_ATTEMPTS {
            let seed = rng.below(i32::MAX as u32);
            let drawn = GroupShuffleSplit::new(1, self.test_size, seed)?.split(groups)?;
            kept.extend(drawn.into_iter().filter(&accept).map(|split| SeededSplit { seed, split }));
            if kept.len() == self.n_splits {
                return Ok(kept);
            }
        }
        Err(Error::Data(format!(
            "only {} of {} splits were found in {} draws whose test rows hold no level \
             that their training rows lack; fewer splits, a smaller test_size or more groups \
             of each level are needed",
            kept.len(),
            self.n_splits,
            Self::MAX_ATTEMPTS
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::split::unseen_level;

    #[test]
    fn refused_splits_are_drawn_again() {
        let labels = ["a", "b", "c", "d", "e", "f"];
        let strategy = ["baseline", "baseline", "fsdp", "fsdp", "tp", "tp"];
        let groups = Groups::from_labels(&labels);
        let splitter = RedrawnGroupShuffleSplit::new(10, 0.5, 3).unwrap();
        let all = splitter.split(&groups, |_| true).unwrap();
        let valid = splitter.split(&groups, |s| unseen_level(&strategy, s).is_none()).unwrap();
        assert_eq!((all.len(), valid.len()), (10, 10));
        assert_ne!(all, valid);
        assert!(valid.iter().all(|s| unseen_level(&strategy, &s.split).is_none()));
    }

    #[test]
    fn too_few_accepted_draws_are_an_error() {
        let groups = Groups::from_labels(&["a", "b"]);
        let error = RedrawnGroupShuffleSplit::new(2, 0.5, 3)
            .unwrap()
            .split(&groups, |_| false)
            .unwrap_err();
        assert!(error.to_string().starts_with("only 0 of 2 splits were found in 1000 draws"));
    }
}
