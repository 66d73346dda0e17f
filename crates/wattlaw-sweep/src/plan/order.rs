//! Execution order of a plan: random within blocks, with a repeated reference job.
//!
//! Randomization keeps drift during a sweep, such as a warming room, from being mistaken for an effect of the varied fields. Blocks
//! separate differences between parts of the sweep (Fisher 1935, The Design of Experiments; Montgomery, Design and Analysis of
//! Experiments, chapter 4).

use crate::sampling::SeededRng;
use wattlaw::base::error::{Error, Result};

/// Rules of the execution order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Number of repeats of each job; each repeat has its own blocks.
    pub repeats: u64,
    /// Total number of blocks, a multiple of `repeats`; default `repeats`.
    pub blocks: Option<u64>,
    /// The reference job runs first, after every this many jobs, and last.
    pub reference_every: Option<usize>,
    /// Random seed.
    pub seed: u64,
}

/// One position in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Index of the job; `None` for the reference job.
    pub job: Option<usize>,
    /// Block, from 1.
    pub block: u64,
}

/// Maximum number of jobs of a plan.
pub const MAX_JOBS: u64 = 100_000;

/// Salt of the seed, so that the order and the choice of jobs use different random streams. The value is ASCII `order`.
const ORDER_SEED_SALT: u64 = 0x6f72_6465_7200_0000;

impl Order {
    /// The execution order of `jobs` jobs.
    ///
    /// # Errors
    /// [`Error::Invalid`] for zero repeats, blocks or reference interval, for blocks that are not a multiple of the repeats or
    /// exceed the jobs, and for a plan of more than [`MAX_JOBS`].
    pub fn turns(&self, jobs: usize) -> Result<Vec<Turn>> {
        let blocks = self.blocks.unwrap_or(self.repeats);
        if self.repeats == 0 || self.reference_every == Some(0) {
            let name = if self.repeats == 0 { "repeats" } else { "reference-every" };
            return Err(Error::invalid(name, 0, "it must be a whole number of at least 1"));
        }
        let all = (jobs as u64).saturating_mul(self.repeats);
        if all > MAX_JOBS {
            return Err(Error::invalid(
                "the plan",
                format!("{all} jobs"),
                format!("a plan has at most {MAX_JOBS} jobs; give fewer values, runs or repeats"),
            ));
        }
        if blocks == 0 || !blocks.is_multiple_of(self.repeats) || blocks > all {
            return Err(Error::invalid(
                "blocks",
                blocks,
                format!(
                    "it must be a multiple of the {} repeats and at most the {all} jobs",
                    self.repeats
                ),
            ));
        }
        let blocks_per_repeat = blocks / self.repeats;
        let mut rng = SeededRng::new(self.seed ^ ORDER_SEED_SALT);
        let mut turns = Vec::with_capacity(all as usize);
        for repeat in 0..self.repeats {
            let mut order: Vec<usize> = (0..jobs).collect();
            rng.shuffle(&mut order);
            for (place, job) in order.into_iter().enumerate() {
                let block =
                    1 + repeat * blocks_per_repeat + place as u64 * blocks_per_repeat / jobs as u64;
                turns.push(Turn { job: Some(job), block });
            }
        }
        Ok(match self.reference_every {
            Some(every) => with_reference(&turns, every),
            None => turns,
        })
    }
}

fn with_reference(turns: &[Turn], every: usize) -> Vec<Turn> {
    let mut all = Vec::new();
    for some in turns.chunks(every) {
        all.push(Turn { job: None, block: some[0].block });
        all.extend(some);
    }
    all.extend(turns.last().map(|last| Turn { job: None, block: last.block }));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Order = Order { repeats: 1, blocks: None, reference_every: None, seed: 1 };

    #[test]
    fn the_reference_runs_first_at_intervals_and_last() {
        let order = Order { reference_every: Some(2), ..PLAIN };
        let at = |jobs| -> Vec<bool> {
            order.turns(jobs).unwrap().iter().map(|turn| turn.job.is_none()).collect()
        };
        assert_eq!(at(4), [true, false, false, true, false, false, true]);
        assert_eq!(at(3), [true, false, false, true, false, true]);
    }

    #[test]
    fn an_invalid_order_is_refused() {
        let fails = |order: Order, jobs| order.turns(jobs).unwrap_err().to_string();
        assert_eq!(
            fails(Order { repeats: 2, blocks: Some(3), ..PLAIN }, 4),
            "blocks is 3, but it must be a multiple of the 2 repeats and at most the 8 jobs"
        );
        assert!(fails(Order { blocks: Some(5), ..PLAIN }, 4).starts_with("blocks is 5"));
        assert!(fails(Order { repeats: 0, ..PLAIN }, 4).starts_with("repeats is 0"));
        assert!(
            fails(Order { reference_every: Some(0), ..PLAIN }, 4).contains("reference-every is 0")
        );
        assert!(fails(Order { repeats: u64::MAX, ..PLAIN }, 4).contains("at most 100000"));
    }

    proptest! {
        #[test]
        fn each_repeat_is_a_permutation_cut_into_blocks_of_about_equal_size(
            jobs in 1..60_usize,
            repeats in 1..5_u64,
            per_repeat in 1..5_u64,
            seed: u64,
        ) {
            let per_repeat = per_repeat.min(jobs as u64);
            let order = Order { repeats, blocks: Some(repeats * per_repeat), reference_every: None, seed };
            let turns = order.turns(jobs).unwrap();
            prop_assert_eq!(turns.len() as u64, jobs as u64 * repeats);
            prop_assert!(turns.windows(2).all(|w| w[0].block <= w[1].block));
            for repeat in turns.chunks(jobs) {
                let mut ran: Vec<usize> = repeat.iter().filter_map(|turn| turn.job).collect();
                ran.sort_unstable();
                prop_assert!(ran.into_iter().eq(0..jobs));
            }
            let least = jobs as u64 / per_repeat;
            for block in 1..=repeats * per_repeat {
                let size = turns.iter().filter(|turn| turn.block == block).count() as u64;
                prop_assert!((least..=least + 1).contains(&size), "{size} of {least}");
            }
            prop_assert_eq!(order.turns(jobs).unwrap(), turns);
        }
    }
}
