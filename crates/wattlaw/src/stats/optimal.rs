//! Optimal experimental design: a greedy Bayesian choice of measurements for a linear model with known noise.
//!
//! Before a measurement the parameters have covariance Σ. A candidate measures one or more quantities whose derivatives
//! by the parameters, over their noise, are the columns of V; the posterior covariance is Σ − ΣV(I + VᵀΣV)⁻¹VᵀΣ for any
//! measured value, so the choice needs no measurement. Source: Chaloner and Verdinelli 1995, Bayesian experimental
//! design: a review.

use nalgebra::{DMatrix, DVector};

use crate::base::words::words;

/// The criterion that a choice minimises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Criterion {
    /// The mean variance of the targets (I-optimality, also V-optimality).
    #[default]
    Targets,
    /// The volume of the parameters' ellipsoid (D-optimality), for any later prediction.
    Parameters,
}

words!(Criterion, "criterion": Targets = "i-optimal" | "i", Parameters = "d-optimal" | "d");

/// A chosen measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    /// Position of the candidate.
    pub candidate: usize,
    /// Information about the parameters beyond the choices before it, ½ ln det(I + VᵀΣV), in bits.
    pub information_bits: f64,
    /// Root mean variance of the targets after this measurement.
    pub target_sd: f64,
}

/// Candidates and targets in coordinates where the prior covariance is the identity, updated by the choices so far.
#[derive(Debug, Clone)]
pub struct Design {
    /// Derivatives over noise, `responses` columns a candidate.
    rows: DMatrix<f64>,
    responses: usize,
    /// Mean over the targets of their derivatives' outer products.
    targets: DMatrix<f64>,
    costs: Vec<f64>,
    taken: Vec<bool>,
    budget: Option<Budget>,
}

/// The price of each candidate, and the remaining budget.
#[derive(Debug, Clone)]
struct Budget {
    prices: Vec<f64>,
    left: f64,
}

impl Design {
    /// A design before any measurement.
    ///
    /// `whitening` is an upper-triangular W with WᵀW = Σ⁻¹; `candidates` holds `responses` columns of derivatives over
    /// noise for each of `costs`; `targets` a column of derivatives each.
    pub fn new(
        whitening: &DMatrix<f64>,
        mut candidates: DMatrix<f64>,
        responses: usize,
        mut targets: DMatrix<f64>,
        costs: Vec<f64>,
    ) -> Self {
        // with Σ = W⁻¹W⁻ᵀ a derivative v becomes W⁻ᵀv
        let lower = whitening.transpose();
        lower.solve_lower_triangular_unchecked_mut(&mut candidates);
        lower.solve_lower_triangular_unchecked_mut(&mut targets);
        let count = targets.ncols().max(1) as f64;
        let targets = &targets * targets.transpose() / count;
        let taken = vec![false; costs.len()];
        Self { rows: candidates, responses, targets, costs, taken, budget: None }
    }

    /// The design with other costs.
    #[must_use]
    pub fn with_costs(self, costs: Vec<f64>) -> Self {
        Self { costs, ..self }
    }

    /// The design with a budget: the prices of the choices add up to at most `total`; candidates beyond it are skipped.
    #[must_use]
    pub fn with_budget(self, prices: Vec<f64>, total: f64) -> Self {
        Self { budget: Some(Budget { prices, left: total }), ..self }
    }

    fn affordable(&self, candidate: usize) -> bool {
        self.budget.as_ref().is_none_or(|budget| budget.prices[candidate] <= budget.left)
    }

    /// Root mean variance of the targets, given the choices so far.
    pub fn target_sd(&self) -> f64 {
        self.targets.trace().max(0.0).sqrt()
    }

    /// Chooses up to `count` candidates one after the other, each with the largest gain of the criterion per cost; each
    /// candidate at most once, the first of equals.
    pub fn choose(&mut self, criterion: Criterion, count: usize) -> Vec<Chosen> {
        (0..count).map_while(|_| self.next(criterion)).collect()
    }

    fn next(&mut self, criterion: Criterion) -> Option<Chosen> {
        let seen = match criterion {
            Criterion::Targets => &self.targets * &self.rows,
            Criterion::Parameters => DMatrix::zeros(0, 0),
        };
        let mut best: Option<(f64, usize)> = None;
        let free = |c: &usize| !self.taken[*c] && self.affordable(*c);
        for candidate in (0..self.costs.len()).filter(free) {
            let at = candidate * self.responses;
            let own = self.rows.columns(at, self.responses);
            let spread = own.tr_mul(&own) + DMatrix::identity(self.responses, self.responses);
            let Some(cholesky) = spread.cholesky() else { continue };
            let gain = match criterion {
                Criterion::Targets => {
                    let reduced = own.tr_mul(&seen.columns(at, self.responses));
                    cholesky.solve(&reduced).trace()
                }
                Criterion::Parameters => cholesky.l_dirty().diagonal().map(f64::ln).sum(),
            };
            let worth = gain / self.costs[candidate];
            if worth.is_finite() && best.is_none_or(|(most, _)| worth > most) {
                best = Some((worth, candidate));
            }
        }
        let (_, candidate) = best?;
        self.taken[candidate] = true;
        if let Some(budget) = &mut self.budget {
            budget.left -= budget.prices[candidate];
        }
        let information_bits = self.measure(candidate);
        Some(Chosen { candidate, information_bits, target_sd: self.target_sd() })
    }

    /// Updates the design as if the candidate were measured: I + vvᵀ has the inverse square root I − d·vvᵀ, by which
    /// all derivatives are multiplied, a rank-one update for each response; returns the information in bits.
    fn measure(&mut self, candidate: usize) -> f64 {
        let mut bits = 0.0;
        for response in 0..self.responses {
            let v: DVector<f64> =
                self.rows.column(candidate * self.responses + response).into_owned();
            let size = v.norm_squared();
            if size <= 0.0 {
                continue;
            }
            bits += 0.5 * size.ln_1p() / std::f64::consts::LN_2;
            let d = (1.0 - 1.0 / (1.0 + size).sqrt()) / size;
            let along = self.rows.tr_mul(&v);
            self.rows.ger(-d, &v, &along, 1.0);
            let mv = &self.targets * &v;
            let vmv = v.dot(&mv);
            self.targets.ger(-d, &mv, &v, 1.0);
            self.targets.ger(-d, &v, &mv, 1.0);
            self.targets.ger(d * d * vmv, &v, &v, 1.0);
        }
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model with a level and a slope: the ends are most informative, and the variance follows from the normal
    /// equations.
    fn line(costs: Vec<f64>) -> Design {
        let x = [-1.0, -0.5, 0.0, 0.5, 1.0];
        let rows = DMatrix::from_fn(2, 5, |i, j| if i == 0 { 10.0 } else { 10.0 * x[j] });
        let targets = DMatrix::from_fn(2, 2, |i, j| if i == 0 { 1.0 } else { [-1.0, 1.0][j] });
        Design::new(&DMatrix::identity(2, 2), rows, 1, targets, costs)
    }

    #[test]
    fn the_ends_of_a_line_are_measured_and_the_variance_is_that_of_the_normal_equations() {
        for criterion in [Criterion::Targets, Criterion::Parameters] {
            let mut design = line(vec![1.0; 5]);
            approx::assert_relative_eq!(design.target_sd(), 2f64.sqrt(), max_relative = 1e-12);
            let chosen = design.choose(criterion, 2);
            let mut ends: Vec<usize> = chosen.iter().map(|c| c.candidate).collect();
            ends.sort_unstable();
            assert_eq!(ends, [0, 4]);
            // information 1 + 2/0.1² for level and slope each, which are independent
            let variance = 2.0 / 201.0;
            approx::assert_relative_eq!(
                chosen[1].target_sd,
                f64::sqrt(variance),
                max_relative = 1e-12
            );
            let bits: f64 = chosen.iter().map(|c| c.information_bits).sum();
            approx::assert_relative_eq!(bits, 201f64.log2(), max_relative = 1e-12);
        }
    }

    #[test]
    fn measurements_never_widen_and_never_repeat() {
        let mut design = line(vec![1.0; 5]);
        let mut before = design.target_sd();
        let chosen = design.choose(Criterion::Targets, 9);
        assert_eq!(chosen.len(), 5);
        for choice in chosen {
            assert!(choice.target_sd < before && choice.information_bits > 0.0);
            before = choice.target_sd;
        }
    }

    #[test]
    fn cheap_measurements_come_first() {
        let chosen = line(vec![9.0, 1.0, 1.0, 1.0, 9.0]).choose(Criterion::Targets, 2);
        assert!(chosen.iter().all(|c| [1, 2, 3].contains(&c.candidate)), "{chosen:?}");
    }
}
