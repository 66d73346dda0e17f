//! The roofline law of one machine: its parameters, its discrepancies, and its residuals on held-out runs.

use super::discrepancy::Discrepancy;
use super::fit::{self, Fit, Prior, Sample};
use super::observation::{MIN_DISCREPANCY_RUNS, Observation, SPREADS};
use super::physics::Physics;
use super::terms::Terms;
use super::transfer::{Transfer, posterior_sds};
use serde::{Deserialize, Serialize};

use crate::base::error::Result;
use crate::base::scope::Covers;
use crate::job::Job;
use crate::job::parallelism::StrategyKind;
use crate::stats::conformal::Conformal;
use crate::stats::split::group_k_fold;

/// Number of folds of whole groups for residuals of held-out runs.
const FOLDS: usize = 5;

/// Fewest held-out runs of a strategy for a residual distribution of its own.
const MIN_STRATEGY_RUNS: usize = 40;

/// Time and energy, in that order.
const RESPONSES: usize = 2;

/// A fitted machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Its parameters.
    #[serde(rename = "parameters")]
    pub fit: Fit,
    /// Discrepancies of time and energy.
    discrepancies: [Option<Discrepancy>; RESPONSES],
    /// Residual distributions of time, energy and mean power.
    spreads: [Option<Spread>; SPREADS],
    /// Whether it was adapted to a few runs, so its residuals are in units of the posterior's standard deviation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adjusted: bool,
    /// What its runs and its predictions cover: whole runs, or steps only if no run includes its start-up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub covers: Covers,
}

fn is_default(covers: &Covers) -> bool {
    *covers == Covers::default()
}

fn covered(runs: &[Observation<'_>]) -> Covers {
    if runs.iter().any(|run| run.terms.whole_run) { Covers::Run } else { Covers::Steps }
}

/// Absolute residuals on held-out runs, in units of the predicted standard deviation, by strategy and overall.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spread {
    // the name in files of version 0.1.0
    #[serde(rename = "by_regime")]
    by_strategy: Vec<(StrategyKind, Conformal)>,
    all: Conformal,
}

impl Spread {
    /// The residuals of a strategy's runs; those of FSDP for a sharded strategy without runs, or else of all runs.
    fn for_strategy(&self, strategy: StrategyKind) -> &Conformal {
        let own = |kind| self.by_strategy.iter().find(|(k, _)| *k == kind).map(|(_, c)| c);
        let sharded = || strategy.is_sharded().then(|| own(StrategyKind::Fsdp)).flatten();
        own(strategy).or_else(sharded).unwrap_or(&self.all)
    }
}

impl Machine {
    /// Fits a machine on its runs; `discrepancy` is the maximum number of inducing points, or `None`.
    ///
    /// # Errors
    /// As [`fit::fit`] and the discrepancy.
    pub fn fit(
        runs: &[Observation<'_>],
        prior: &Prior,
        discrepancy: Option<usize>,
    ) -> Result<Self> {
        let mut machine = Self::without_spread(runs, prior, discrepancy, None)?;
        machine.spreads = machine.held_out(runs, prior, discrepancy)?;
        Ok(machine)
    }

    /// Adapts the prior of an unseen machine to a few runs of it; intervals are those of the posterior, scaled by the
    /// residuals of held-out machines.
    ///
    /// # Errors
    /// As [`fit::fit`].
    pub fn adjusted(runs: &[Observation<'_>], transfer: &Transfer, prior: &Prior) -> Result<Self> {
        let fit = transfer.adjusted(runs, prior)?;
        let spreads = transfer
            .spreads
            .clone()
            .map(|spread| spread.map(|all| Spread { by_strategy: Vec::new(), all }));
        let discrepancies = transfer.discrepancies.clone();
        Ok(Self { fit, discrepancies, spreads, adjusted: true, covers: covered(runs) })
    }

    fn without_spread(
        runs: &[Observation<'_>],
        prior: &Prior,
        discrepancy: Option<usize>,
        like: Option<&Self>,
    ) -> Result<Self> {
        let samples: Vec<Sample<'_>> = runs.iter().map(Observation::sample).collect();
        let fit = fit::fit(&samples, prior, like.map(|m| &m.fit.logs))?;
        let mut machine = Self {
            fit,
            discrepancies: [None, None],
            spreads: [None, None, None],
            adjusted: false,
            covers: covered(runs),
        };
        if let Some(points) = discrepancy
            && runs.len() >= MIN_DISCREPANCY_RUNS
        {
            for which in 0..RESPONSES {
                let known: Vec<&Observation<'_>> =
                    runs.iter().filter(|r| r.response(which).is_some()).collect();
                if known.len() < MIN_DISCREPANCY_RUNS {
                    continue;
                }
                let inputs: Vec<_> = known.iter().map(|r| r.terms.inputs).collect();
                let residuals: Vec<f64> = known
                    .iter()
                    .map(|r| r.response(which).unwrap_or(0.0) - machine.physics(r.terms)[which])
                    .collect();
                let like = like.and_then(|m| m.discrepancies[which].as_ref());
                machine.discrepancies[which] =
                    Some(Discrepancy::learn(&inputs, &residuals, points, like)?);
            }
        }
        Ok(machine)
    }

    /// Numbers of inducing points of the discrepancies of time and energy.
    pub fn points(&self) -> impl Iterator<Item = usize> {
        self.discrepancies.iter().flatten().map(Discrepancy::points)
    }

    /// The inputs of the law for a job; without start-up if no run of the machine includes it.
    pub(crate) fn terms_for(&self, job: &Job) -> Terms {
        Terms { whole_run: self.covers == Covers::Run, ..Terms::for_job(job) }
    }

    /// ln(time / s) and ln(energy / J) from the physics only.
    pub fn physics(&self, terms: &Terms) -> [f64; RESPONSES] {
        Physics(self.fit.parameters()).logs(terms)
    }

    /// ln(time / s) and ln(energy / J), each with the standard deviation of a new run (1 without a discrepancy, so
    /// residuals are not scaled).
    pub fn predict(&self, terms: &Terms) -> [(f64, f64); RESPONSES] {
        let physics = self.physics(terms);
        let mut out = [(0.0, 1.0); RESPONSES];
        for which in 0..RESPONSES {
            let (mean, sd) =
                self.discrepancies[which].as_ref().map_or((0.0, 1.0), |d| d.predict(&terms.inputs));
            out[which] = (physics[which] + mean, sd);
        }
        out
    }

    /// Whether the machine was fitted on energies, not only on times.
    pub(crate) const fn knows_energy(&self) -> bool {
        self.spreads[1].is_some()
    }

    /// Half-widths of the intervals of ln(time), ln(energy) and ln(mean power) at a level; infinite if no run was held
    /// out.
    ///
    /// # Errors
    /// As [`Conformal::half_width`].
    pub fn half_widths(&self, terms: &Terms, level: f64) -> Result<[f64; SPREADS]> {
        self.half_widths_of(terms, self.predict(terms), level)
    }

    /// Half-widths of a [prediction](Self::predict).
    ///
    /// # Errors
    /// As [`Conformal::half_width`].
    pub(crate) fn half_widths_of(
        &self,
        terms: &Terms,
        predicted: [(f64, f64); RESPONSES],
        level: f64,
    ) -> Result<[f64; SPREADS]> {
        let [(_, time_sd), (_, energy_sd)] = predicted;
        let mut out = [f64::INFINITY; SPREADS];
        let sds = if self.adjusted {
            posterior_sds(&self.fit, terms)
        } else {
            [time_sd, energy_sd, time_sd.hypot(energy_sd)]
        };
        for ((out, spread), sd) in out.iter_mut().zip(&self.spreads).zip(sds) {
            if let Some(spread) = spread {
                *out = sd
                    * spread.for_strategy(terms.parallelism.strategy().kind()).half_width(level)?;
            }
        }
        Ok(out)
    }

    /// Residual of each run under a machine fitted without its group, divided by the predicted standard deviation.
    fn held_out(
        &self,
        runs: &[Observation<'_>],
        prior: &Prior,
        discrepancy: Option<usize>,
    ) -> Result<[Option<Spread>; SPREADS]> {
        let groups: Vec<usize> = runs.iter().map(|r| r.group).collect();
        let distinct = groups.iter().max().map_or(0, |g| g + 1);
        if distinct < 2 {
            return Ok([None, None, None]);
        }
        let mut sizes: [Vec<(StrategyKind, f64)>; SPREADS] = [Vec::new(), Vec::new(), Vec::new()];
        for test in group_k_fold(&groups, distinct.min(FOLDS)) {
            let train: Vec<Observation<'_>> = runs
                .iter()
                .enumerate()
                .filter(|(i, _)| test.binary_search(i).is_err())
                .map(|(_, r)| r.clone())
                .collect();
            let machine = Self::without_spread(&train, prior, discrepancy, Some(self))?;
            for run in test.iter().map(|i| &runs[*i]) {
                let [(time, time_sd), (energy, energy_sd)] = machine.predict(run.terms);
                let strategy = run.terms.parallelism.strategy().kind();
                let off = run.log_duration - time;
                sizes[0].push((strategy, off / time_sd));
                if let Some(log_energy) = run.log_energy {
                    sizes[1].push((strategy, (log_energy - energy) / energy_sd));
                    // common errors of time and energy cancel in their ratio, but both standard deviations grow far
                    // from the runs
                    sizes[2]
                        .push((strategy, (log_energy - energy - off) / time_sd.hypot(energy_sd)));
                }
            }
        }
        let [time, energy, power] = sizes;
        Ok([spread(&time)?, spread(&energy)?, spread(&power)?])
    }
}

fn spread(sizes: &[(StrategyKind, f64)]) -> Result<Option<Spread>> {
    if sizes.is_empty() {
        return Ok(None);
    }
    let mut kinds: Vec<StrategyKind> = sizes.iter().map(|(kind, _)| *kind).collect();
    // sorted by name, the order in files
    kinds.sort_unstable_by_key(|kind| kind.name());
    kinds.dedup();
    let mut by_strategy = Vec::new();
    for kind in kinds {
        let own: Vec<f64> = sizes.iter().filter(|(k, _)| *k == kind).map(|(_, z)| *z).collect();
        if own.len() >= MIN_STRATEGY_RUNS {
            by_strategy.push((kind, rounded(own)?));
        }
    }
    let all = rounded(sizes.iter().map(|(_, z)| *z))?;
    Ok(Some(Spread { by_strategy, all }))
}

/// Rounds residuals to six decimals, more than their accuracy, to keep files small.
fn rounded(residuals: impl IntoIterator<Item = f64>) -> Result<Conformal> {
    Conformal::from_residuals(residuals.into_iter().map(|r| (r * 1e6).round() / 1e6))
}
