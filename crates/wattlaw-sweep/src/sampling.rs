//! Sampling of grid points with a seeded generator; the same seed gives the same points on every machine.
//!
//! A grid has `sizes[i]` levels of field i; a point is one level of each field.

use std::collections::{BTreeMap, BTreeSet};

use rand_mt::Mt64;

/// Seeded random number generator (the 64-bit Mersenne Twister of Matsumoto and Nishimura, 2000).
pub struct SeededRng(Mt64);

impl SeededRng {
    /// Creates the generator from a seed.
    pub fn new(seed: u64) -> Self {
        Self(Mt64::new(seed))
    }

    /// A uniform random integer in 0..n; `n` must be positive.
    pub fn below(&mut self, n: u64) -> u64 {
        // rejection: values above the last multiple of n would bias the remainder
        let last = u64::MAX - (u64::MAX % n + 1) % n;
        loop {
            let drawn = self.0.next_u64();
            if drawn <= last {
                return drawn % n;
            }
        }
    }

    /// A uniform random number in [0, 1), in steps of 2⁻⁵³.
    fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Shuffles items uniformly (Fisher and Yates; Knuth, The Art of Computer Programming, volume 2, algorithm 3.4.2P).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// All of 0..points, or a uniform sample of `max` distinct ones, in ascending order (Floyd's algorithm: Bentley and Floyd
    /// 1987).
    pub fn sample(&mut self, points: u64, max: usize) -> Vec<u64> {
        if points <= max as u64 {
            return (0..points).collect();
        }
        let mut chosen = BTreeSet::new();
        for last in points - max as u64..points {
            let at = self.below(last + 1);
            if !chosen.insert(at) {
                chosen.insert(last);
            }
        }
        chosen.into_iter().collect()
    }
}

/// The base point (level 0 of each field), then each other level of each field with the other fields at the base.
pub(crate) fn one_factor(sizes: &[u64]) -> Vec<Vec<u64>> {
    let base = vec![0; sizes.len()];
    let mut points = vec![base.clone()];
    for (field, size) in sizes.iter().enumerate() {
        for level in 1..*size {
            let mut point = base.clone();
            point[field] = level;
            points.push(point);
        }
    }
    points
}

/// A Latin hypercube of `runs` points over discrete levels: each level of a field occurs ⌊runs/levels⌋ or ⌈runs/levels⌉ times, in
/// random combination (McKay, Beckman and Conover 1979, Technometrics 21:239; here the strata are evenly spaced quantiles from a
/// random start, mapped to levels).
///
/// Rejected points (by `accept`) and duplicates are repaired by exchanging the levels of a field between two points, which keeps the
/// counts of each field. Points that cannot be repaired stay.
pub(crate) fn latin_hypercube(
    sizes: &[u64],
    runs: usize,
    rng: &mut SeededRng,
    accept: impl Fn(&[u64]) -> bool,
) -> Vec<Vec<u64>> {
    let mut points = vec![vec![0; sizes.len()]; runs];
    for (field, size) in sizes.iter().enumerate() {
        let start = rng.unit();
        let at = |run: usize| ((run as f64 + start) * *size as f64 / runs as f64) as u64;
        let mut levels: Vec<u64> = (0..runs).map(|run| at(run).min(size - 1)).collect();
        rng.shuffle(&mut levels);
        for (point, level) in points.iter_mut().zip(levels) {
            point[field] = level;
        }
    }
    let mut cube = Hypercube::new(points, accept);
    cube.repair(sizes.len() as u64, rng);
    cube.points
}

/// Maximum number of exchanges tried per invalid point.
const MAX_EXCHANGES: usize = 100;

/// Points of a Latin hypercube under repair.
struct Hypercube<A> {
    points: Vec<Vec<u64>>,
    accept: A,
    accepted: Vec<bool>,
    /// Number of occurrences of each point.
    times: BTreeMap<Vec<u64>, usize>,
}

impl<A: Fn(&[u64]) -> bool> Hypercube<A> {
    fn new(points: Vec<Vec<u64>>, accept: A) -> Self {
        let accepted = points.iter().map(|point| accept(point)).collect();
        let mut times = BTreeMap::new();
        for point in &points {
            *times.entry(point.clone()).or_insert(0) += 1;
        }
        Self { points, accept, accepted, times }
    }

    fn is_invalid(&self, at: usize) -> bool {
        !self.accepted[at] || self.times.get(&self.points[at]).is_some_and(|times| *times > 1)
    }

    fn repair(&mut self, fields: u64, rng: &mut SeededRng) {
        if self.points.len() < 2 || fields == 0 {
            return;
        }
        for at in 0..self.points.len() {
            for _ in 0..MAX_EXCHANGES {
                if !self.is_invalid(at) {
                    break;
                }
                let other = rng.below(self.points.len() as u64) as usize;
                let field = rng.below(fields) as usize;
                let count = |cube: &Self| {
                    usize::from(cube.is_invalid(at)) + usize::from(cube.is_invalid(other))
                };
                let before = count(self);
                self.exchange(at, other, field);
                if count(self) >= before {
                    self.exchange(at, other, field);
                }
            }
        }
    }

    fn exchange(&mut self, a: usize, b: usize, field: usize) {
        let level = self.points[a][field];
        let other = self.points[b][field];
        for (at, level) in [(a, other), (b, level)] {
            if let Some(times) = self.times.get_mut(&self.points[at]) {
                *times -= 1;
            }
            self.points[at][field] = level;
            *self.times.entry(self.points[at].clone()).or_insert(0) += 1;
            self.accepted[at] = (self.accept)(&self.points[at]);
        }
    }
}

/// Points of a grid in random order: all of them, or a sample of `max` distinct ones from a larger grid.
pub fn random(points: u64, max: usize, rng: &mut SeededRng) -> Vec<u64> {
    let mut drawn = rng.sample(points, max);
    rng.shuffle(&mut drawn);
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(points: &[Vec<u64>], field: usize, size: u64) -> Vec<usize> {
        (0..size).map(|level| points.iter().filter(|p| p[field] == level).count()).collect()
    }

    #[test]
    fn one_factor_changes_at_a_time() {
        assert_eq!(one_factor(&[3, 1, 2]), [[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 0, 1]]);
        assert_eq!(one_factor(&[]), [[0_u64; 0]]);
    }

    /// Pearson's χ² of 6,000 throws of a die lies below its 0.999 quantile for 5 degrees of freedom, 20.5.
    #[test]
    fn numbers_and_orders_are_uniform() {
        let mut rng = SeededRng::new(7);
        let mut thrown = [0.0; 6];
        (0..6000).for_each(|_| thrown[rng.below(6) as usize] += 1.0);
        let chi2: f64 = thrown.iter().map(|n: &f64| (n - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi2 < 20.5, "{thrown:?}");
        let mut orders = BTreeMap::new();
        for _ in 0..6000 {
            let mut items = [0, 1, 2];
            rng.shuffle(&mut items);
            *orders.entry(items).or_insert(0.0) += 1.0;
        }
        let chi2: f64 = orders.values().map(|n: &f64| (n - 1000.0).powi(2) / 1000.0).sum();
        assert!(orders.len() == 6 && chi2 < 20.5, "{orders:?}");
    }

    #[test]
    fn rejected_points_are_repaired_and_counts_are_kept() {
        // level 0 of the first field requires level 0 of the second, as a single-GPU strategy requires one GPU
        let runs_on = |point: &[u64]| (point[0] == 0) == (point[1] == 0);
        for seed in 0..20 {
            let points = latin_hypercube(&[3, 3, 20], 30, &mut SeededRng::new(seed), runs_on);
            assert!(points.iter().all(|p| runs_on(p)), "{seed}: {points:?}");
            assert_eq!(counts(&points, 0, 3), [10, 10, 10]);
            let mut once = points.clone();
            once.sort();
            once.dedup();
            assert_eq!(once.len(), 30);
        }
    }

    proptest! {
        #[test]
        fn each_level_of_a_hypercube_occurs_about_equally_often(
            sizes in prop::collection::vec(1..40_u64, 0..6),
            runs in 1..120_usize,
            seed: u64,
            odd: bool,
        ) {
            let accept = |point: &[u64]| !odd || point.iter().sum::<u64>() % 2 == 1;
            let points = latin_hypercube(&sizes, runs, &mut SeededRng::new(seed), accept);
            prop_assert_eq!(points.len(), runs);
            for (field, size) in sizes.iter().enumerate() {
                let least = runs / *size as usize;
                let all = counts(&points, field, *size);
                prop_assert_eq!(all.iter().sum::<usize>(), runs);
                prop_assert!(all.iter().all(|n| (least..=least + 1).contains(n)), "{:?}", all);
            }
            prop_assert_eq!(&points, &latin_hypercube(&sizes, runs, &mut SeededRng::new(seed), accept));
        }

        #[test]
        fn random_points_are_distinct_and_within_the_grid(points in 1..1_000_000_000_u64, most in 1..300_usize, seed: u64) {
            let mut drawn = random(points, most, &mut SeededRng::new(seed));
            prop_assert_eq!(drawn.len() as u64, points.min(most as u64));
            drawn.sort_unstable();
            drawn.dedup();
            prop_assert_eq!(drawn.len() as u64, points.min(most as u64));
            prop_assert!(drawn.iter().all(|at| *at < points));
        }
    }
}
