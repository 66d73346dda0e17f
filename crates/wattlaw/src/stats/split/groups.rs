//! Group labels as small numbers, in the order in which NumPy sorts them.

use super::Split;

/// The group of every row as a number, counted from zero in the sorted order of the labels.
///
/// The order is that of `numpy.unique` on Python strings: by code point, which is also the byte
/// order of UTF-8. A seed selects groups by this number, so the same labels give the same splits as in scikit-learn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    ids: Vec<usize>,
    labels: Vec<String>,
}

impl Groups {
    /// Numbers the groups of rows by the sorted order of their labels.
    pub fn from_labels<S: AsRef<str>>(labels: &[S]) -> Self {
        let mut unique: Vec<&str> = labels.iter().map(AsRef::as_ref).collect();
        unique.sort_unstable();
        unique.dedup();
        let ids = labels.iter().map(|l| unique.partition_point(|u| *u < l.as_ref())).collect();
        Self { ids, labels: unique.into_iter().map(str::to_owned).collect() }
    }

    /// Puts each of `n` rows into a group of its own, in row order.
    pub(crate) fn single_rows(n: usize) -> Self {
        let width = n.to_string().len();
        Self { ids: (0..n).collect(), labels: (0..n).map(|row| format!("{row:0width$}")).collect() }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Number of distinct groups.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// Group number of every row, each below [`count`](Self::count).
    pub fn ids(&self) -> &[usize] {
        &self.ids
    }

    /// Distinct labels in sorted order; a group's number is its position here.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Groups of the rows at `positions` alone, renumbered among the remaining labels.
    ///
    /// Positions beyond the last row are ignored.
    #[must_use]
    pub fn subset(&self, positions: &[usize]) -> Self {
        let old: Vec<usize> = positions.iter().filter_map(|&p| self.ids.get(p).copied()).collect();
        let mut kept = old.clone();
        kept.sort_unstable();
        kept.dedup();
        let ids = old.iter().map(|id| kept.partition_point(|k| k < id)).collect();
        let labels = kept.iter().filter_map(|&id| self.labels.get(id).cloned()).collect();
        Self { ids, labels }
    }
}

/// The first label in row order that occurs in the test rows of `split` and not in its training rows.
///
/// A law with an indicator for that label has no coefficient for it.
pub fn unseen_level<'a, S: AsRef<str>>(labels: &'a [S], split: &Split) -> Option<&'a str> {
    let label = |&row: &usize| labels.get(row).map(AsRef::as_ref);
    let seen: std::collections::HashSet<&str> = split.train.iter().filter_map(label).collect();
    split.test.iter().filter_map(label).find(|l| !seen.contains(l))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_sorted_labels() {
        let groups = Groups::from_labels(&["b", "a|10", "a|1", "b", "é", "Z"]);
        assert_eq!(groups.labels(), ["Z", "a|1", "a|10", "b", "é"]);
        assert_eq!(groups.ids(), [3, 2, 1, 3, 4, 0]);
    }

    #[test]
    fn a_subset_is_numbered_anew() {
        let groups = Groups::from_labels(&["c", "a", "b", "c"]);
        let part = groups.subset(&[0, 3, 2]);
        assert_eq!(part.ids(), [1, 1, 0]);
        assert_eq!(part.labels(), ["b", "c"]);
    }

    #[test]
    fn an_unseen_level_is_named() {
        let labels = ["baseline", "fsdp", "tp", "fsdp"];
        let split = Split { train: vec![0, 1], test: vec![2, 3] };
        assert_eq!(unseen_level(&labels, &split), Some("tp"));
        let split = Split { train: vec![0, 1, 2], test: vec![3] };
        assert_eq!(unseen_level(&labels, &split), None);
    }
}
