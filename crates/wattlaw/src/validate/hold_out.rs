//! What is held out together, and in which scheme.

use serde::Serialize;

use crate::base::error::{Error, Result};
use crate::stats::frame::Frame;
use crate::stats::split::{
    GroupShuffleSplit, Groups, RedrawnGroupShuffleSplit, ScaleShift, Split, group_k_fold,
    leave_one_group_out, scale_shift, shuffled_k_fold, unseen_level,
};

/// What is held out together: rows with the same value of a column, or single rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldOut {
    /// Rows with the same value of this column, of labels or numbers.
    Column(String),
    /// Single rows.
    Row,
}

impl HoldOut {
    /// The column's name, or `row`.
    pub fn name(&self) -> &str {
        match self {
            Self::Column(name) => name,
            Self::Row => "row",
        }
    }

    /// The default scheme: one group after the other for `gpu`, `strategy` and counts such as `gpus` or `tp`,
    /// which have few groups; for all else 20 random splits that test 30 % of the groups, as many and as large as
    /// the study's.
    pub fn default_scheme(&self, seed: u32) -> Scheme {
        match self.name() {
            "gpu" | "gpus" | "strategy" | "dp" | "tp" | "pp" | "layers" | "hidden_size" => {
                Scheme::LeaveOneOut { seed }
            }
            _ => Scheme::Shuffle { n_splits: 20, test_size: 0.3, seed },
        }
    }

    /// The group of every row of `frame`.
    ///
    /// # Errors
    /// When the column is absent.
    pub fn groups(&self, frame: &Frame) -> Result<Groups> {
        match self {
            Self::Row => Ok(Groups::single_rows(frame.rows())),
            Self::Column(name) => Ok(Groups::from_labels(&frame.as_labels(name)?)),
        }
    }
}

impl From<&str> for HoldOut {
    /// Reads the short names `family` (column `config_family`), `workload` (column
    /// `workload_family`) and `row`; any other name is that of a column.
    fn from(name: &str) -> Self {
        match name {
            "row" => Self::Row,
            "family" => Self::Column("config_family".to_owned()),
            "workload" => Self::Column("workload_family".to_owned()),
            column => Self::Column(column.to_owned()),
        }
    }
}

/// How groups are held out; the same seed gives the same splits on every machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Scheme {
    /// Random groups, as scikit-learn's `GroupShuffleSplit` draws them; a split with a test level that training lacks
    /// is skipped and reported.
    Shuffle {
        /// Number of splits.
        n_splits: usize,
        /// Share of test groups, between 0 and 1.
        test_size: f64,
        /// Seed of the draws.
        seed: u32,
    },
    /// Random groups, as in the study: a split with a test level that training lacks is redrawn.
    Redrawn {
        /// Number of splits.
        n_splits: usize,
        /// Share of test groups, between 0 and 1.
        test_size: f64,
        /// Seed of the draws.
        seed: u64,
    },
    /// Every group in one of `k` balanced folds.
    KFold {
        /// Number of folds.
        k: usize,
        /// Seed of the shuffle of single rows, and of calibration groups; groups are assigned deterministically.
        seed: u32,
    },
    /// One group after the other.
    LeaveOneOut {
        /// Seed of the draws of calibration groups.
        seed: u32,
    },
    /// The largest quarter of the groups, and then the smallest quarter.
    ScaleShift {
        /// Column of numbers with the scale of a row (for the study: ln C).
        by: String,
        /// Seed of the draws of calibration groups.
        seed: u32,
    },
}

/// One split, what it holds out, and the seed from which its calibration groups are drawn.
pub(super) struct Draw {
    pub held_out: String,
    pub seed: u32,
    pub split: Split,
}

impl Scheme {
    pub(super) fn draw(
        &self,
        frame: &Frame,
        groups: &Groups,
        seen: &[String],
    ) -> Result<(Vec<Draw>, Vec<Skipped>)> {
        let columns = seen.iter().map(|c| Ok((c.as_str(), frame.label(c)?)));
        let columns: Vec<(&str, &[String])> = columns.collect::<Result<_>>()?;
        let unseen = |split: &Split| {
            columns.iter().find_map(|(name, labels)| Some((*name, unseen_level(labels, split)?)))
        };
        let mut skipped = Vec::new();
        let drawn = self.all(frame, groups, |split| unseen(split).is_none())?;
        let kept = drawn.into_iter().filter_map(|draw| match unseen(&draw.split) {
            None => Some(draw),
            Some((column, level)) => {
                let reason = format!(
                    "no training row has `{level}` in column `{column}`, but test rows have"
                );
                skipped.push(Skipped { held_out: draw.held_out, reason });
                None
            }
        });
        Ok((kept.collect(), skipped))
    }

    /// All splits of the scheme; only redrawn splits call `accept`.
    fn all(
        &self,
        frame: &Frame,
        groups: &Groups,
        accept: impl Fn(&Split) -> bool,
    ) -> Result<Vec<Draw>> {
        match self {
            Self::Shuffle { n_splits, test_size, seed } => {
                let splits = GroupShuffleSplit::new(*n_splits, *test_size, *seed)?.split(groups)?;
                Ok(numbered(splits, *seed))
            }
            Self::Redrawn { n_splits, test_size, seed } => {
                let splitter = RedrawnGroupShuffleSplit::new(*n_splits, *test_size, *seed)?;
                let draw = |(i, s): (usize, crate::stats::split::SeededSplit)| Draw {
                    held_out: i.to_string(),
                    seed: s.seed,
                    split: s.split,
                };
                Ok(splitter.split(groups, accept)?.into_iter().enumerate().map(draw).collect())
            }
            Self::KFold { k, seed } => {
                let n = groups.count();
                if *k < 2 || *k > n {
                    let expected = format!("it must lie between 2 and the {n} groups");
                    return Err(Error::invalid("k", k, expected));
                }
                let folds = if n == groups.rows() {
                    shuffled_k_fold(n, *k, *seed)?
                } else {
                    group_k_fold(groups.ids(), *k)
                };
                let split = |fold: Vec<usize>| {
                    Split::partition(groups.rows(), |row| fold.binary_search(&row).is_ok())
                };
                Ok(numbered(folds.into_iter().map(split), *seed))
            }
            Self::LeaveOneOut { seed } => {
                let splits = leave_one_group_out(groups)?.into_iter().zip(groups.labels());
                Ok(splits
                    .map(|(split, label)| Draw { held_out: label.clone(), seed: *seed, split })
                    .collect())
            }
            Self::ScaleShift { by, seed } => {
                let scale = frame.number(by)?;
                let shift = |direction, name: &str| {
                    let split = scale_shift(groups, scale, direction)?;
                    Ok(Draw { held_out: name.to_owned(), seed: *seed, split })
                };
                Ok(vec![
                    shift(ScaleShift::SmallToLarge, "small_to_large")?,
                    shift(ScaleShift::LargeToSmall, "large_to_small")?,
                ])
            }
        }
    }
}

fn numbered(splits: impl IntoIterator<Item = Split>, seed: u32) -> Vec<Draw> {
    let draw = |(i, split): (usize, Split)| Draw {
        held_out: i.to_string(),
        seed: seed.wrapping_add(i as u32),
        split,
    };
    splits.into_iter().enumerate().map(draw).collect()
}

/// A split that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// What would have been held out, as in [`SplitScore::held_out`](super::SplitScore::held_out).
    pub held_out: String,
    /// The reason, as a sentence.
    pub reason: String,
}
