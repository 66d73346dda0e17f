//! The ways to take jobs from a space.

use std::collections::BTreeSet;

use super::MAX_JOBS;
use crate::sampling::{SeededRng, latin_hypercube, one_factor, random};
use crate::space::{Jobs, Space};
use wattlaw::base::error::{Error, Result};
use wattlaw::base::words::words;
use wattlaw::job::catalog::Catalog;

/// How jobs are taken from a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// All combinations.
    #[default]
    Grid,
    /// A base, the first value of each field, and each other value of each field with the others at the base.
    OneFactor,
    /// So many, each field's values about equally often.
    LatinHypercube,
    /// So many, drawn by chance.
    Random,
    /// Those from which a law learns most for what they cost.
    Optimal,
}

words!(Kind, "design": Grid = "grid" | "full", OneFactor = "one-factor", LatinHypercube = "latin-hypercube" | "lhs",
    Random = "random", Optimal = "optimal");

/// Points of a space that an optimal design is chosen from; of more so many are drawn.
pub const MAX_CANDIDATES: usize = 10_000;

/// Points that are looked at for each job of a random design, as long as they are no jobs that can run; and the fewest
/// and most in all.
const DRAWS_PER_RUN: usize = 100;
const MIN_DRAWS: usize = 10_000;
const MAX_DRAWS: usize = 1_000_000;

impl Kind {
    /// Whether the number of jobs is asked for, and not given by the space.
    pub const fn counts_runs(self) -> bool {
        matches!(self, Self::LatinHypercube | Self::Random | Self::Optimal)
    }

    /// The jobs of a design of `runs`, which a grid and one factor at a time do not look at; of an optimal one the
    /// candidates.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a grid or a number of runs above [`MAX_JOBS`], and for a Latin hypercube of more runs than
    /// the space has points; [`Error::Data`] where no job can run.
    pub fn jobs(self, space: &Space, runs: usize, seed: u64, catalog: &Catalog) -> Result<Jobs> {
        let points = space.points();
        let all = |points: Vec<u64>| space.examine(points, usize::MAX, catalog);
        if self.counts_runs() && !(1..=MAX_JOBS).contains(&(runs as u64)) {
            let expected = format!("it must be a whole number from 1 to {MAX_JOBS}");
            return Err(Error::invalid("runs", runs, expected));
        }
        match self {
            Self::Grid if points > MAX_JOBS => Err(Error::invalid(
                "the grid",
                format!("of {points} points"),
                format!(
                    "at most {MAX_JOBS} are planned at once; draw some with --design random, latin-hypercube or optimal, \
                     or give fewer values"
                ),
            )),
            Self::Grid => all((0..points).collect()),
            Self::OneFactor => {
                let levels = one_factor(&space.sizes());
                all(levels.iter().map(|levels| space.point(levels)).collect())
            }
            Self::LatinHypercube if runs as u64 > points => Err(Error::invalid(
                "runs",
                runs,
                format!("the space has {points} points only, and each stands once"),
            )),
            Self::LatinHypercube => {
                let can_run = |levels: &[u64]| space.can_run(space.point(levels), catalog);
                let levels =
                    latin_hypercube(&space.sizes(), runs, &mut SeededRng::new(seed), can_run);
                let mut met = BTreeSet::new();
                let points = levels.iter().map(|levels| space.point(levels));
                all(points.filter(|point| met.insert(*point)).collect())
            }
            Self::Random => {
                let draws = runs.saturating_mul(DRAWS_PER_RUN).clamp(MIN_DRAWS, MAX_DRAWS);
                let points = random(points, draws, &mut SeededRng::new(seed));
                space.examine(points, runs, catalog)
            }
            Self::Optimal => space.jobs(catalog, MAX_CANDIDATES, seed),
        }
    }
}
