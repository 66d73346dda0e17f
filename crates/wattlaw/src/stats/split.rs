//! Splits of rows into training and test rows.
//!
//! Rows of one configuration family are correlated, so a law is evaluated on held-out families. Every splitter gives
//! the same rows as scikit-learn for the same seed, row order and group labels, so that published numbers can be
//! reproduced split by split.
//!
//! ```
//! use wattlaw::stats::split::{GroupShuffleSplit, Groups};
//!
//! let families = Groups::from_labels(&["a", "a", "b", "c"]);
//! let splits = GroupShuffleSplit::new(1, 0.3, 2026)?.split(&families)?;
//! assert_eq!((&splits[0].train[..], &splits[0].test[..]), (&[0, 1, 2][..], &[3][..]));
//! # Ok::<(), wattlaw::Error>(())
//! ```

mod folds;
mod groups;
mod pcg64;
mod redrawn;
mod scale;
mod shuffle;

pub use folds::{group_k_fold, k_fold, leave_one_group_out, shuffled_k_fold};
pub use groups::{Groups, unseen_level};
pub use redrawn::{RedrawnGroupShuffleSplit, SeededSplit};
pub use scale::{ScaleShift, scale_shift};
pub(crate) use shuffle::interval;
pub use shuffle::{GroupShuffleSplit, ShuffleSplit};

use serde::{Deserialize, Serialize};

/// A split into training and test rows, as positions from zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Positions of the training rows.
    pub train: Vec<usize>,
    /// Positions of the test rows.
    pub test: Vec<usize>,
}

impl Split {
    /// Divides `n` rows by whether `is_test` holds for their position, each part in row order.
    pub fn partition(n: usize, is_test: impl Fn(usize) -> bool) -> Self {
        let (test, train) = (0..n).partition(|&row| is_test(row));
        Self { train, test }
    }
}
