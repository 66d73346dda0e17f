//! Experimental designs: ways to choose jobs from a space.

use std::collections::BTreeSet;

use super::MAX_JOBS;
use crate::sampling::{SeededRng, latin_hypercube, one_factor, random};
use crate::space::{Jobs, Space};
use wattlaw::base::error::{Error, Result};
use wattlaw::base::words::words;
use wattlaw::job::catalog::Catalog;

/// Experimental design.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// All combinations.
    #[default]
    Grid,
    /// A base point (the first value of each field), then each other value of each field with the other fields at the base.
    OneFactor,
    /// A given number of jobs; each field's values occur about equally often.
    LatinHypercube,
    /// A given number of jobs, drawn at random.
    Random,
    /// The jobs with the most information for their cost.
    Optimal,
}

words!(Kind, "design": Grid = "grid" | "full", OneFactor = "one-factor", LatinHypercube = "latin-hypercube" | "lhs",
    Random = "random", Optimal = "optimal");

/// Maximum number of candidates of an optimal design; larger spaces are sampled.
pub const MAX_CANDIDATES: usize = 10_000;

/// Points drawn per job of a random design, because some points cannot run; and the minimum and maximum in total.
const DRAWS_PER_RUN: usize = 100;
const MIN_DRAWS: usize = 10_000;
const MAX_DRAWS: usize = 1_000_000;

impl Kind {
    /// Whether the user chooses the number of jobs, instead of the space.
    pub const fn counts_runs(self) -> bool {
        matches!(self, Self::LatinHypercube | Self::Random | Self::Optimal)
    }

    /// The jobs of a design, or the candidates of an optimal design. `runs` is ignored by the designs grid and one-factor.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a grid or a number of runs above [`MAX_JOBS`], or a Latin hypercube of more runs than the space
    /// has points; [`Error::Data`] if no job can run.
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
                format!("{points} points"),
                format!(
                    "a plan has at most {MAX_JOBS} jobs; use --design random, latin-hypercube or optimal, or give fewer values"
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
                format!("the space has only {points} points, and each is used once"),
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
