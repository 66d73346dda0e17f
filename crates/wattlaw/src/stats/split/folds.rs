//! Folds: every row is a test row exactly once.

use rand_mt::Mt;

use super::shuffle::permutation;
use super::{Groups, Split};
use crate::base::error::{Error, Result};

/// Divides rows into `k` balanced folds of whole groups; returns the rows of each fold in row order.
///
/// Groups are assigned from the largest to the smallest, each to the smallest fold so far; among equals, the group with
/// the larger number comes first. This is `GroupKFold` of scikit-learn 1.9, which sorts stably and then reverses; in
/// older versions the order of equally large groups depends on the processor. Folds are at most as many as the distinct
/// `groups`, and at least one.
pub fn group_k_fold(groups: &[usize], k: usize) -> Vec<Vec<usize>> {
    let mut unique = groups.to_vec();
    unique.sort_unstable();
    unique.dedup();
    let dense: Vec<usize> = groups.iter().map(|g| unique.partition_point(|u| u < g)).collect();
    let mut size = vec![0_usize; unique.len()];
    for &group in &dense {
        size[group] += 1;
    }
    let mut order: Vec<usize> = (0..unique.len()).collect();
    order.sort_by_key(|&group| size[group]);
    let k = k.min(unique.len()).max(1);
    let mut weight = vec![0_usize; k];
    let mut fold_of = vec![0_usize; unique.len()];
    for &group in order.iter().rev() {
        let lightest = (0..k).min_by_key(|&fold| weight[fold]).unwrap_or(0);
        weight[lightest] += size[group];
        fold_of[group] = lightest;
    }
    let mut folds = vec![Vec::new(); k];
    for (row, &group) in dense.iter().enumerate() {
        folds[fold_of[group]].push(row);
    }
    folds
}

/// Divides `n` rows into `k` contiguous folds, as scikit-learn's `KFold` does; gives the rows of
/// each fold.
///
/// # Errors
/// [`Error::Invalid`] when `k` is below 2 or above `n`.
pub fn k_fold(n: usize, k: usize) -> Result<Vec<Vec<usize>>> {
    fold(&(0..n).collect::<Vec<usize>>(), k)
}

/// Divides `n` rows into `k` random folds, as scikit-learn's `KFold(shuffle=True,
/// random_state=seed)` does; gives the rows of each fold in row order.
///
/// # Errors
/// [`Error::Invalid`] when `k` is below 2 or above `n`.
pub fn shuffled_k_fold(n: usize, k: usize, seed: u32) -> Result<Vec<Vec<usize>>> {
    let mut folds = fold(&permutation(n, &mut Mt::new(seed)), k)?;
    folds.iter_mut().for_each(|rows| rows.sort_unstable());
    Ok(folds)
}

/// Cuts `rows` into `k` contiguous parts; the first ones are longer by one if they cannot all be equal.
fn fold(rows: &[usize], k: usize) -> Result<Vec<Vec<usize>>> {
    let n = rows.len();
    if k < 2 || k > n {
        return Err(Error::invalid("k", k, format!("it must lie between 2 and the {n} rows")));
    }
    let start = |fold: usize| fold * (n / k) + fold.min(n % k);
    Ok((0..k).map(|i| rows[start(i)..start(i + 1)].to_vec()).collect())
}

/// Holds out every group once; one split per group, in the order of
/// [`Groups::labels`].
///
/// # Errors
/// [`Error::Data`] when there are fewer than two groups.
pub fn leave_one_group_out(groups: &Groups) -> Result<Vec<Split>> {
    if groups.count() < 2 {
        return Err(Error::Data(format!(
            "leaving one group out needs two groups or more, and the rows hold {}",
            groups.count()
        )));
    }
    Ok((0..groups.count())
        .map(|left| Split::partition(groups.rows(), |row| groups.ids()[row] == left))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_groups_are_assigned_from_the_last() {
        assert_eq!(group_k_fold(&[0, 1, 2, 3], 2), [[1, 3], [0, 2]]);
        assert_eq!(group_k_fold(&[7, 7, 7, 2, 9], 2), [vec![0, 1, 2], vec![3, 4]]);
    }

    #[test]
    fn folds_are_at_most_as_many_as_groups() {
        assert_eq!(group_k_fold(&[4, 4, 5], 5), [vec![0, 1], vec![2]]);
        assert_eq!(group_k_fold(&[], 5), [Vec::<usize>::new()]);
    }

    #[test]
    fn uneven_folds_put_the_longer_ones_first() {
        assert_eq!(k_fold(5, 2).unwrap(), [vec![0, 1, 2], vec![3, 4]]);
        assert!(k_fold(5, 1).is_err());
        assert_eq!(
            k_fold(5, 6).unwrap_err().to_string(),
            "k is 6, but it must lie between 2 and the 5 rows"
        );
    }

    #[test]
    fn each_group_is_left_out_once() {
        let splits = leave_one_group_out(&Groups::from_labels(&["b", "a", "b"])).unwrap();
        assert_eq!(splits[0], Split { train: vec![0, 2], test: vec![1] });
        assert_eq!(splits[1], Split { train: vec![1], test: vec![0, 2] });
        assert!(leave_one_group_out(&Groups::from_labels(&["a", "a"])).is_err());
    }
}
