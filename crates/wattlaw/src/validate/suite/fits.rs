//! What memory says of runs that ran: each of them fitted.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rows::SourceRow;
use crate::memory::{FITS_THRESHOLD, Memory, Recipe};

/// What memory says of the runs of one source, all of which fitted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fits {
    /// The source; "all" for all of them.
    pub source: String,
    /// Number of runs whose framework has a recipe of memory.
    pub runs: usize,
    /// Share that is said not to fit: a probability of fitting of a tenth or less.
    pub does_not_fit: f64,
    /// Share whose probability of fitting is below one half.
    pub more_likely_not: f64,
    /// Share that a plan leaves out: a probability of fitting below nine tenths.
    pub left_out_of_plans: f64,
}

/// What memory says of the runs, by source and of all.
pub fn fits(rows: &[SourceRow]) -> Vec<Fits> {
    let mut by_source: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for row in rows {
        if let Ok(recipe) = Recipe::for_job(&row.job) {
            let memory = Memory::with_recipe(&row.job, &recipe);
            by_source.entry(&row.source).or_default().push(memory.fits_probability());
        }
    }
    let all: Vec<f64> = by_source.values().flatten().copied().collect();
    if all.is_empty() {
        return Vec::new();
    }
    let of_sources = by_source.iter().map(|(source, of)| Fits::new(source, of));
    std::iter::once(Fits::new("all", &all)).chain(of_sources).collect()
}

impl Fits {
    fn new(source: &str, probabilities: &[f64]) -> Self {
        let share = |wrong: &dyn Fn(f64) -> bool| {
            let count = probabilities.iter().filter(|of| wrong(**of)).count();
            count as f64 / probabilities.len() as f64
        };
        Self {
            source: source.to_owned(),
            runs: probabilities.len(),
            does_not_fit: share(&|of| of <= 1.0 - FITS_THRESHOLD),
            more_likely_not: share(&|of| of < 0.5),
            left_out_of_plans: share(&|of| of < FITS_THRESHOLD),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_probability_of_fitting() {
        let of = Fits::new("a", &[0.05, 0.4, 0.6, 0.95]);
        assert_eq!((of.runs, of.does_not_fit), (4, 0.25));
        assert_eq!((of.more_likely_not, of.left_out_of_plans), (0.5, 0.75));
        assert_eq!(fits(&[]), []);
    }
}
