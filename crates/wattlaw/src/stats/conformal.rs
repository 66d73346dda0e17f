//! Split-conformal prediction intervals: from residuals on held-out rows, by groups of related rows.
//!
//! A new row of a new group is to lie within `prediction ± half-width`. Rows of one group are alike, so that many rows
//! of few groups tell little: the residuals of a group share one weight, and the group to come has the same weight at
//! infinity. The interval then holds at least the requested level for any law, where groups are exchangeable and rows are
//! so within their group (hierarchical conformal prediction: Lee, Barber and Willett, arXiv 2306.06342, theorem 1; the
//! pooled distribution of Dunn, Wasserman and Ramdas, JASA 2023). With one row a group it is the usual rank among rows
//! (Papadopoulos et al., 2002; Lei et al., JASA 2018, theorem 2.2).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::stats::inference::Reference;

/// Absolute residuals of calibration rows by group; they give the half-width of any level.
///
/// Residuals are in natural logarithms of the response: `exp` of a half-width is a factor. In files they are a list of
/// lists, one a group, or a plain list where each row is a group of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Conformal {
    /// Each group ascending, groups in the order of their residuals; each residual finite and not negative.
    groups: Vec<Vec<f64>>,
    /// The residuals of all groups, ascending.
    sorted: Vec<f64>,
    /// For each of `sorted` the weight up to and including it; a group has weight one.
    cumulative: Vec<f64>,
}

/// Residuals in a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    /// Each row is a group, as in files of version 0.1.0.
    Rows(Vec<f64>),
    Groups(Vec<Vec<f64>>),
}

impl Conformal {
    /// Stores the absolute values of `residuals` (truth minus prediction, on rows outside the fit), each row as a group
    /// of its own.
    ///
    /// # Errors
    /// [`Error::Data`] when there are none, or one is not finite.
    pub(crate) fn from_residuals(residuals: impl IntoIterator<Item = f64>) -> Result<Self> {
        Self::new(residuals.into_iter().map(|residual| vec![residual]).collect())
    }

    /// As [`from_residuals`](Self::from_residuals), from pairs of a row's group number and residual.
    ///
    /// # Errors
    /// As [`from_residuals`](Self::from_residuals).
    pub(crate) fn from_groups(residuals: impl IntoIterator<Item = (usize, f64)>) -> Result<Self> {
        let mut groups: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for (group, residual) in residuals {
            groups.entry(group).or_default().push(residual);
        }
        Self::new(groups.into_values().collect())
    }

    fn new(mut groups: Vec<Vec<f64>>) -> Result<Self> {
        if groups.iter().any(Vec::is_empty) || groups.is_empty() {
            return Err(Error::Data("intervals need calibration rows, and there are none".into()));
        }
        for residual in groups.iter_mut().flatten() {
            if !residual.is_finite() {
                return Err(Error::Data(format!(
                    "a residual of a calibration row is {residual}; intervals need finite ones"
                )));
            }
            *residual = residual.abs();
        }
        groups.iter_mut().for_each(|group| group.sort_unstable_by(f64::total_cmp));
        // an order that does not tell which group a residual is of
        groups.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
        let weighted = |group: &Vec<f64>| {
            let weight = 1.0 / group.len() as f64;
            group.iter().map(move |residual| (*residual, weight)).collect::<Vec<_>>()
        };
        let mut rows: Vec<(f64, f64)> = groups.iter().flat_map(weighted).collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut total = 0.0;
        let cumulative = rows.iter().map(|(_, weight)| {
            total += weight;
            total
        });
        Ok(Self {
            cumulative: cumulative.collect(),
            sorted: rows.into_iter().map(|(residual, _)| residual).collect(),
            groups,
        })
    }

    /// Absolute residuals of all groups in ascending order, in natural logarithms of the response.
    pub fn residuals(&self) -> &[f64] {
        &self.sorted
    }

    /// The number of groups.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Whether there are enough groups for an interval at `level` without an assumption on the residuals: 19 at 95 %.
    pub fn is_distribution_free(&self, level: f64) -> bool {
        self.weight(level) <= self.groups() as f64
    }

    /// Half-width of the interval at `level` (0.95, say), in natural logarithms; infinite with a single group.
    ///
    /// It is the least residual up to which the weight is `(G+1) · level` or more, with weight one for each of the `G`
    /// groups. Where the `G` groups do not reach that weight, errors are assumed to be normal: it is Student's t with
    /// `G − 1` degrees of freedom times the root mean square of the residuals, in which groups have equal weight, or the
    /// largest residual, if that is more.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `level` does not lie strictly between 0 and 1.
    pub fn half_width(&self, level: f64) -> Result<f64> {
        check(level)?;
        let weight = self.weight(level);
        match self.sorted.get(self.cumulative.partition_point(|reached| *reached < weight)) {
            Some(residual) => Ok(*residual),
            None => self.assumed_half_width(level),
        }
    }

    /// Half-width at `level` as in the study: by rank among rows, whatever their group, and the largest residual where
    /// the rank is beyond.
    ///
    /// Its coverage is below the level for few rows or new groups; it exists to reproduce the study (arXiv 2606.23546).
    ///
    /// # Errors
    /// [`Error::Invalid`] when `level` does not lie strictly between 0 and 1.
    pub(crate) fn clamped_half_width(&self, level: f64) -> Result<f64> {
        check(level)?;
        let rows = self.sorted.len();
        let rank = ((rows + 1) as f64 * level - TOLERANCE).ceil() as usize;
        Ok(self.sorted[rank.clamp(1, rows) - 1])
    }

    /// The weight that residuals up to the half-width have to reach.
    fn weight(&self, level: f64) -> f64 {
        (self.groups() + 1) as f64 * level - TOLERANCE
    }

    fn assumed_half_width(&self, level: f64) -> Result<f64> {
        let groups = self.groups() as f64;
        if self.groups() < 2 {
            return Ok(f64::INFINITY);
        }
        let square =
            |group: &Vec<f64>| group.iter().map(|r| r * r).sum::<f64>() / group.len() as f64;
        let mean_square = self.groups.iter().map(square).sum::<f64>() / groups;
        let quantile = Reference::StudentsT { degrees: groups - 1.0 }.half_width(level)?;
        let largest = self.sorted.last().copied().unwrap_or(f64::INFINITY);
        Ok(largest.max(quantile * mean_square.sqrt()))
    }
}

/// Keeps a product such as 38.000000000000007 at 38, and covers rounding of the sums of weights.
const TOLERANCE: f64 = 1e-9;

fn check(level: f64) -> Result<()> {
    if level > 0.0 && level < 1.0 {
        return Ok(());
    }
    Err(Error::invalid("level", level, "it must lie between 0 and 1"))
}

impl TryFrom<Stored> for Conformal {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self> {
        match stored {
            Stored::Rows(rows) => Self::from_residuals(rows),
            Stored::Groups(groups) => Self::new(groups),
        }
    }
}

impl From<Conformal> for Stored {
    fn from(conformal: Conformal) -> Self {
        if conformal.groups() == conformal.sorted.len() {
            Self::Rows(conformal.sorted)
        } else {
            Self::Groups(conformal.groups)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_counts_the_row_to_come() {
        // n = 39: ⌈40 · 0.95⌉ = 38, so the second largest; ⌈40 · 0.5⌉ = 20.
        let conformal = Conformal::from_residuals((1..=39).map(|i| -f64::from(i))).unwrap();
        assert_eq!(conformal.half_width(0.95).unwrap(), 38.0);
        assert_eq!(conformal.half_width(0.5).unwrap(), 20.0);
    }

    #[test]
    fn a_group_has_one_weight_whatever_its_rows() {
        // Groups {1 … 100}, {200}, {300}, {400}: (4 + 1) · 0.6 = 3 is reached with the third group.
        let large = (1..=100).map(|i| (7, f64::from(i)));
        let conformal =
            Conformal::from_groups(large.chain([(1, -300.0), (5, 400.0), (2, 200.0)])).unwrap();
        assert_eq!((conformal.groups(), conformal.residuals().len()), (4, 103));
        assert_eq!(conformal.half_width(0.6).unwrap(), 300.0);
        // 5 · 0.1 = 0.5 is half of the large group
        assert_eq!(conformal.half_width(0.1).unwrap(), 50.0);
        assert!(conformal.is_distribution_free(0.8) && !conformal.is_distribution_free(0.81));
        // by rows: 104 · 0.6 = 62.4
        assert_eq!(conformal.clamped_half_width(0.6).unwrap(), 63.0);
    }

    /// 3.182446305284263 is the 97.5 % quantile of Student's t with three degrees of freedom, by scipy.
    #[test]
    fn too_few_groups_assume_normal_errors() {
        let rows = [(0, 3.0), (0, 1.0), (1, 1.0), (2, 0.0), (3, 2.0)];
        let conformal = Conformal::from_groups(rows).unwrap();
        // mean squares 5, 1, 0, 4
        let expected = 3.182_446_305_284_263 * 2.5_f64.sqrt();
        approx::assert_relative_eq!(
            conformal.half_width(0.95).unwrap(),
            expected,
            max_relative = 1e-9
        );
        // the quantile at 81 %, 1.67, times 1.58 is less than the largest residual
        assert_eq!(conformal.half_width(0.81).unwrap(), 3.0);
        let one = Conformal::from_groups([(3, 1.0), (3, 2.0)]).unwrap();
        assert_eq!(one.half_width(0.95).unwrap(), f64::INFINITY);
        let conformal = Conformal::from_residuals((1..=19).map(f64::from)).unwrap();
        assert_eq!(conformal.half_width(0.95).unwrap(), 19.0);
        let conformal = Conformal::from_residuals((1..=18).map(f64::from)).unwrap();
        assert_eq!(conformal.clamped_half_width(0.95).unwrap(), 18.0);
    }

    #[test]
    fn invalid_values_are_refused() {
        assert!(Conformal::from_residuals([]).is_err());
        assert!(Conformal::from_residuals([1.0, f64::NAN]).is_err());
        let conformal = Conformal::from_residuals([1.0]).unwrap();
        assert!(conformal.half_width(1.0).is_err() && conformal.half_width(0.0).is_err());
        for bad in ["[]", "[[1.0],[]]", "[[]]", "[1.0,[2.0]]"] {
            assert!(serde_json::from_str::<Conformal>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_have_groups_or_rows() {
        let rows: Conformal = serde_json::from_str("[2.0,1.0]").unwrap();
        assert_eq!((rows.residuals(), rows.groups()), (&[1.0, 2.0][..], 2));
        assert_eq!(serde_json::to_string(&rows).unwrap(), "[1.0,2.0]");
        let groups = Conformal::from_groups([(0, 0.5), (1, 0.1), (0, -0.25)]).unwrap();
        let text = serde_json::to_string(&groups).unwrap();
        assert_eq!(text, "[[0.1],[0.25,0.5]]");
        assert_eq!(serde_json::from_str::<Conformal>(&text).unwrap(), groups);
    }

    /// Standard normal numbers by Box and Muller's transform.
    fn normal(rng: &mut rand_mt::Mt) -> f64 {
        let mut uniform = || (f64::from(rng.next_u32()) + 0.5) / 2f64.powi(32);
        (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()
    }

    /// A group of 1 to some 300 residuals, half of the groups below 5, with an offset of its own. The residuals of
    /// smaller groups are larger.
    fn group(rng: &mut rand_mt::Mt) -> Vec<f64> {
        let rows = (1.5 + 1.5 * normal(rng)).exp().clamp(1.0, 300.0) as usize;
        let offset = normal(rng) * if rows < 20 { 0.15 } else { 0.05 };
        (0..rows).map(|_| offset + 0.1 * normal(rng)).collect()
    }

    /// The mean share of a new group's rows inside 95 % intervals: by groups, and by rows as in the study.
    fn coverage_of_new_groups(groups: usize, seed: u32) -> [f64; 2] {
        const TABLES: usize = 1500;
        let mut rng = rand_mt::Mt::new(seed);
        let mut covered = [0.0; 2];
        for _ in 0..TABLES {
            let rows: Vec<(usize, f64)> = (0..groups)
                .flat_map(|g| group(&mut rng).into_iter().map(move |residual| (g, residual)))
                .collect();
            let conformal = Conformal::from_groups(rows).unwrap();
            let new = group(&mut rng);
            let widths =
                [conformal.half_width(0.95).unwrap(), conformal.clamped_half_width(0.95).unwrap()];
            for (covered, width) in covered.iter_mut().zip(widths) {
                *covered +=
                    new.iter().filter(|r| r.abs() <= width).count() as f64 / new.len() as f64;
            }
        }
        covered.map(|c| c / TABLES as f64)
    }

    /// The standard error of each share is about 0.5 %.
    #[test]
    fn new_groups_are_covered() {
        for (groups, seed) in [(10, 1), (15, 2), (19, 3), (25, 4), (40, 5)] {
            let [by_group, by_row] = coverage_of_new_groups(groups, seed);
            println!("{groups} groups: {by_group:.3} by group, {by_row:.3} by row");
            assert!((0.94..0.995).contains(&by_group), "{groups} groups: {by_group}");
            assert!(by_row < 0.92, "{groups} groups: {by_row}");
        }
    }

    /// On exchangeable rows the level is kept on average: simulated with a fixed generator.
    #[test]
    fn coverage_equals_the_level() {
        let mut rng = rand_mt::Mt::new(1);
        let mut draw = || f64::from(rng.next_u32()) / f64::from(u32::MAX);
        let mut inside = 0;
        for _ in 0..2000 {
            let calibration: Vec<f64> = (0..29).map(|_| draw()).collect();
            let width = Conformal::from_residuals(calibration).unwrap().half_width(0.9).unwrap();
            inside += usize::from(draw() <= width);
        }
        // 0.9 of 2,000 with a standard error of 13.
        assert!((1760..=1840).contains(&inside), "{inside}");
    }
}
