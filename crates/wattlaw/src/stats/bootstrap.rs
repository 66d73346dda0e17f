//! Confidence intervals of medians: percentile intervals from a bootstrap of whole groups.
//!
//! Rows of one group are correlated, so a resample draws whole groups, as many as there are, with replacement; the
//! interval of a level lies between the quantiles of the resamples' medians that leave half of the rest on either side
//! (Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, section 13.3; whole groups: Davison and Hinkley,
//! *Bootstrap Methods and their Application*, 1997, section 3.8). Percentiles, not the bias-corrected BCa, whose
//! acceleration comes from the jackknife, which fails for medians (Efron and Tibshirani, section 11.6), and percentiles
//! are equivariant under scaling.

use rand_mt::Mt;
use serde::Serialize;

use super::score;
use crate::base::error::{Error, Result};
use crate::stats::split::{Groups, interval};

/// A median with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Median {
    /// The median, in the unit of the values.
    pub median: f64,
    /// Lower end; absent for a single group.
    pub lower: Option<f64>,
    /// Upper end; absent for a single group.
    pub upper: Option<f64>,
}

impl Median {
    /// The median and interval divided by `divisor`, which is above 0.
    #[must_use]
    pub(crate) fn divided_by(self, divisor: f64) -> Self {
        let over = |value: f64| value / divisor;
        Self { median: over(self.median), lower: self.lower.map(over), upper: self.upper.map(over) }
    }
}

/// Bootstrap of groups; the draws depend only on the seed and the number of groups.
///
/// The draws are those of `numpy.random.RandomState(seed).randint(0, groups, (resamples, groups))`, which are also the
/// draws of `scipy.stats.bootstrap` with that `random_state`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    level: f64,
    resamples: usize,
    seed: u32,
}

impl Bootstrap {
    /// Maximum number of resamples: 8 MB of medians.
    pub const MAX_RESAMPLES: usize = 1_000_000;

    /// Sets up intervals of `level` (0.95, say) from `resamples` draws.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `level` does not lie strictly between 0 and 1, or `resamples` is 0 or above
    /// [`Bootstrap::MAX_RESAMPLES`].
    pub fn new(level: f64, resamples: usize, seed: u32) -> Result<Self> {
        if !(level > 0.0 && level < 1.0) {
            return Err(Error::invalid("level", level, "it must lie between 0 and 1"));
        }
        if !(1..=Self::MAX_RESAMPLES).contains(&resamples) {
            let expected = format!("it must be from 1 to {}", Self::MAX_RESAMPLES);
            return Err(Error::invalid("resamples", resamples, expected));
        }
        Ok(Self { level, resamples, seed })
    }

    /// Fewest groups for which an interval can reach its level, even if it spans all of them.
    ///
    /// The smallest and the largest of n values contain the median with probability 1 − 2 · ½ⁿ (David and
    /// Nagaraja, *Order Statistics*, 3rd ed., section 7.1), and no resample goes beyond them: 6 groups for 95 %.
    pub(crate) fn min_groups(&self) -> usize {
        let missed = |n: &usize| 0.5f64.powi(*n as i32 - 1) <= 1.0 - self.level;
        (2..64).find(missed).unwrap_or(64)
    }

    /// The median of `values`, one per row of `groups`, with its interval; NaN without values.
    pub fn median(&self, values: &[f64], groups: &Groups) -> Median {
        let mut sorted: Vec<(f64, usize)> =
            values.iter().copied().zip(groups.ids().iter().copied()).collect();
        sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let n = groups.count();
        let median = middle(&sorted, &vec![1; n]);
        if n < 2 {
            return Median { median, lower: None, upper: None };
        }
        let mut rng = Mt::new(self.seed);
        let mut times = vec![0; n];
        let medians: Vec<f64> = (0..self.resamples)
            .map(|_| {
                times.fill(0);
                for _ in 0..n {
                    times[interval(n as u32 - 1, &mut rng)] += 1;
                }
                middle(&sorted, &times)
            })
            .collect();
        let beyond = (1.0 - self.level) / 2.0;
        let end = |share| Some(score::quantile(&medians, share));
        Median { median, lower: end(beyond), upper: end(1.0 - beyond) }
    }
}

/// Median of sorted values, each weighted by the number of draws of its group.
fn middle(sorted: &[(f64, usize)], times: &[usize]) -> f64 {
    let total: usize = sorted.iter().map(|(_, group)| times[*group]).sum();
    let at = |rank: usize| {
        let mut passed = 0;
        let found = sorted.iter().find(|(_, group)| {
            passed += times[*group];
            passed > rank
        });
        found.map_or(f64::NAN, |(value, _)| *value)
    };
    match total {
        0 => f64::NAN,
        odd if odd % 2 == 1 => at(odd / 2),
        even => f64::midpoint(at(even / 2 - 1), at(even / 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bootstrap(level: f64) -> Bootstrap {
        Bootstrap::new(level, 4000, 7).unwrap()
    }

    fn groups(labels: impl IntoIterator<Item = i32>) -> Groups {
        Groups::from_labels(&labels.into_iter().map(|l| format!("{l:03}")).collect::<Vec<_>>())
    }

    #[test]
    fn values_are_weighted_by_the_draws_of_their_group() {
        let sorted = [(1.0, 0), (2.0, 1), (5.0, 0), (9.0, 2)];
        assert_eq!(middle(&sorted, &[1, 1, 1]), 3.5);
        // 1 1 5 5 9
        assert_eq!(middle(&sorted, &[2, 0, 1]), 5.0);
        // 2 2 2
        assert_eq!(middle(&sorted, &[0, 3, 0]), 2.0);
        assert!(middle(&sorted, &[0, 0, 0]).is_nan());
    }

    #[test]
    fn one_group_has_a_median_and_no_interval() {
        let found = bootstrap(0.95).median(&[3.0, 1.0], &groups([0, 0]));
        assert_eq!(found, Median { median: 2.0, lower: None, upper: None });
        assert!(bootstrap(0.95).median(&[], &groups([])).median.is_nan());
    }

    /// Of two groups a resample has both with probability ½ and either alone with ¼.
    #[test]
    fn two_groups_by_hand() {
        let found = bootstrap(0.4).median(&[1.0, 2.0], &groups([0, 1]));
        assert_eq!((found.median, found.lower, found.upper), (1.5, Some(1.5), Some(1.5)));
        let found = bootstrap(0.6).median(&[1.0, 2.0], &groups([0, 1]));
        assert_eq!((found.median, found.lower, found.upper), (1.5, Some(1.0), Some(2.0)));
    }

    /// The bootstrap distribution of a median of odd n is exact: it is at most the k-th value with the probability
    /// that at least (n + 1)/2 of n draws fall among the first k (Efron 1979, section 3).
    #[test]
    fn the_interval_is_that_of_the_exact_distribution() {
        let values: Vec<f64> = (1..=13).map(f64::from).collect();
        let bootstrap = Bootstrap::new(0.95, 100_000, 1).unwrap();
        let found = bootstrap.median(&values, &Groups::single_rows(13));
        let choose = |n: i32, k: i32| (0..k).map(|i| f64::from(n - i) / f64::from(i + 1)).product();
        let at_most = |k: i32| -> f64 {
            let p = f64::from(k) / 13.0;
            let draws = |m: i32| {
                let ways: f64 = choose(13, m);
                ways * p.powi(m) * (1.0 - p).powi(13 - m)
            };
            (7..=13).map(draws).sum()
        };
        let exact = |share: f64| (1..=13).find(|k| at_most(*k) >= share).map(f64::from);
        assert_eq!((found.lower, found.upper), (exact(0.025), exact(0.975)));
    }

    #[test]
    fn rows_of_one_group_are_drawn_together() {
        // the same rows, single or in equal pairs: a pair has the information of one row
        let values: Vec<f64> = (0..40).map(|i| f64::from(i / 2)).collect();
        let width = |groups: Groups| {
            let found = bootstrap(0.95).median(&values, &groups);
            found.upper.unwrap() - found.lower.unwrap()
        };
        let (alone, paired) = (width(groups(0..40)), width(groups((0..40).map(|i| i / 2))));
        assert!(paired > 1.2 * alone, "{paired} {alone}");
    }

    #[test]
    fn a_level_needs_enough_groups() {
        let fewest = |level| bootstrap(level).min_groups();
        assert_eq!((fewest(0.5), fewest(0.9), fewest(0.95), fewest(0.99)), (2, 5, 6, 8));
    }

    #[test]
    fn invalid_values_are_refused() {
        for level in [0.0, 1.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Bootstrap::new(level, 100, 1).is_err(), "{level}");
        }
        for resamples in [0, 1_000_001] {
            assert!(Bootstrap::new(0.9, resamples, 1).is_err(), "{resamples}");
        }
        assert!(Bootstrap::new(0.9, 1_000_000, 1).is_ok());
    }
}
