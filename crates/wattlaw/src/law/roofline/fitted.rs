//! The law as it is fitted, stored and asked: the posterior of its parameters, and discrepancies where runs are many.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::conditional::{Conditional, Estimate, Sensitivity, Workspace, logs};
use super::discrepancy::{Discrepancy, INPUTS, Learned};
use super::fit::Fit;
use super::groups::{Groups, Level};
use super::observation::Observation;
use super::parts::Parts;
use super::physics;
use super::posterior::Posterior;
use super::terms::Terms;
use crate::base::error::Result;
use crate::base::scope::Scope;

/// A fitted roofline law.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RooflineFit {
    /// Population, deviations and their covariance.
    pub posterior: Posterior,
    /// The chips and programs of the runs, each with what the runs say beyond the physics.
    cells: Vec<Cell>,
}

/// The runs of one chip and program.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cell {
    chip: String,
    program: String,
    /// The source, where jobs of this chip and program belong to it; empty where they are new.
    source: String,
    runs: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<Discrepancy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    power: Option<Discrepancy>,
}

/// The law of the jobs of one chip, software, network and source.
#[derive(Debug, Clone)]
pub struct Answer<'a> {
    conditional: Conditional,
    cell: Option<&'a Cell>,
    /// Levels whose group of the job has no runs.
    pub unseen: Vec<Level>,
}

/// An estimate with what the runs nearby say.
#[derive(Debug, Clone, Copy)]
pub struct LocalEstimate {
    physics: physics::Estimate<f64>,
    /// ln time and ln power with variances.
    pub estimate: Estimate,
    /// Factors of the discrepancy on time and power; 1 without one.
    pub discrepancy: [f64; 2],
}

impl RooflineFit {
    /// Fits the law on runs of any number of tables, from the prior; with discrepancies of at most `points` inducing
    /// points.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) without any run, and for runs that are all equal.
    pub fn fit(runs: &[&Observation], points: Option<usize>) -> Result<Self> {
        Self::with_cells(Fit::new(runs)?.run()?, runs, points)
    }

    /// Fits the law as [`fit`](Self::fit) does, starting the search at a law of most of the same runs.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn refit(&self, runs: &[&Observation], points: Option<usize>) -> Result<Self> {
        let posterior = Fit::new(runs)?.starting_at(&self.posterior).rounds(REFIT_ROUNDS)?;
        Self::with_cells(posterior, runs, points)
    }

    fn with_cells(
        posterior: Posterior,
        runs: &[&Observation],
        points: Option<usize>,
    ) -> Result<Self> {
        let cells = Cell::learn(&posterior, runs, points)?;
        Ok(Self { posterior, cells })
    }

    /// Updates the law by the runs of one more source: they are data beside the earlier runs, not instead of them.
    ///
    /// What the law misses of the source is an unknown of its own, and jobs of the source's chips and programs belong
    /// to it.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn updated(
        &self,
        runs: &[&Observation],
        source: &str,
        points: Option<usize>,
    ) -> Result<Self> {
        let own: Vec<Observation> = runs
            .iter()
            .map(|run| Observation {
                groups: Groups { source: source.to_owned(), ..run.groups.clone() },
                ..(*run).clone()
            })
            .collect();
        let own: Vec<&Observation> = own.iter().collect();
        let posterior = Fit::updating(&own, &self.posterior)?.rounds(1)?;
        let mut cells = Cell::learn(&posterior, &own, points)?;
        // the newest source of a chip and program is found first
        cells.extend(self.cells.iter().filter(|cell| cell.source != source).cloned());
        Ok(Self { posterior, cells })
    }

    /// The law of a job's groups. A job without a source belongs to the newest one that has runs of its chip and
    /// program, or of its chip.
    pub fn answer(&self, groups: &Groups) -> Answer<'_> {
        let same = |cell: &&Cell| cell.chip == groups.chip && cell.program == groups.program;
        let mut groups = groups.clone();
        if groups.source.is_empty() {
            let known = self.cells.iter().filter(|cell| !cell.source.is_empty());
            let of_chip = known.clone().find(|cell| cell.chip == groups.chip);
            if let Some(cell) = known.clone().find(same).or(of_chip) {
                groups.source.clone_from(&cell.source);
            }
        }
        let cell = self
            .cells
            .iter()
            .filter(same)
            .find(|cell| cell.source == groups.source)
            .or_else(|| self.cells.iter().find(same));
        let unseen = Level::LEVELS
            .into_iter()
            .filter(|level| !self.posterior.knows(*level, &groups))
            .collect();
        Answer { conditional: self.posterior.conditional(&groups), cell, unseen }
    }

    /// Number of runs of each chip and program.
    pub fn cells(&self) -> impl Iterator<Item = (&str, &str, usize)> {
        self.cells.iter().map(|cell| (cell.chip.as_str(), cell.program.as_str(), cell.runs))
    }
}

/// Rounds of a fit that starts at a law of most of the same runs.
const REFIT_ROUNDS: usize = 3;

impl Cell {
    /// The cells of the runs with their discrepancies.
    fn learn(
        posterior: &Posterior,
        runs: &[&Observation],
        points: Option<usize>,
    ) -> Result<Vec<Self>> {
        let mut by_cell: BTreeMap<(&str, &str, &str), Vec<&Observation>> = BTreeMap::new();
        for run in runs {
            let Groups { chip, program, source, .. } = &run.groups;
            by_cell.entry((chip, program, source)).or_default().push(run);
        }
        let mut cells = Vec::new();
        for ((chip, program, source), runs) in by_cell {
            let mut of_response = [const { (Vec::new(), Vec::new()) }; 2];
            for run in &runs {
                let logs = logs(&posterior.parameters(&run.groups), &run.terms, run.scope);
                for (k, y) in [run.log_time, run.log_power].into_iter().enumerate() {
                    if let Some(y) = y {
                        of_response[k].0.push(run.terms.inputs());
                        of_response[k].1.push(y - logs[k]);
                    }
                }
            }
            let learn = |(inputs, residuals): &(Vec<[f64; INPUTS.len()]>, Vec<f64>)| match points {
                Some(points) => Discrepancy::learn(inputs, residuals, points),
                None => Ok(None),
            };
            cells.push(Self {
                chip: chip.to_owned(),
                program: program.to_owned(),
                source: source.to_owned(),
                runs: runs.len(),
                time: learn(&of_response[0])?,
                power: learn(&of_response[1])?,
            });
        }
        Ok(cells)
    }
}

impl LocalEstimate {
    /// Parts of time and of the accelerators' energy by the physics, of an estimate of [`Scope::Gpu`] with these terms.
    pub fn parts(&self, terms: &Terms) -> Parts {
        Parts::new(terms, &self.physics)
    }
}

impl Answer<'_> {
    /// The estimate of a job in `scope`.
    pub fn estimate(
        &self,
        terms: &Terms,
        scope: Scope,
        workspace: &mut Workspace,
    ) -> LocalEstimate {
        let (mut estimate, physics) =
            self.conditional.estimate_with_physics(terms, scope, workspace);
        let mut discrepancy = [1.0; 2];
        let Some(cell) = self.cell else {
            return LocalEstimate { physics, estimate, discrepancy };
        };
        // a new source misses what it misses however near its configuration is to the runs of another
        let known = !cell.source.is_empty() && cell.source == self.conditional.groups.source;
        let mut left = [1.0; 2];
        let inputs = terms.inputs();
        for (k, of) in [&cell.time, &cell.power].into_iter().enumerate() {
            let Some(of) = of else { continue };
            let mean = if known {
                let Learned { mean, variance, nearness } = of.predict(&inputs);
                let of_physics =
                    if k == 0 { &mut estimate.variance_time } else { &mut estimate.variance_power };
                left[k] = 1.0 - nearness;
                *of_physics = left[k] * *of_physics + nearness * variance;
                mean
            } else {
                // a new source has the variance that it has
                of.mean(&inputs)
            };
            discrepancy[k] = mean.exp();
            let log = if k == 0 { &mut estimate.log_time } else { &mut estimate.log_power };
            *log += mean;
        }
        estimate.covariance *= (left[0] * left[1]).sqrt();
        LocalEstimate { physics, estimate, discrepancy }
    }

    /// How near a job is to the runs of its chip and program whose time is learned from: 1 among them, 0 far from them.
    pub fn nearness(&self, terms: &Terms) -> f64 {
        let [time, _] = self.discrepancies();
        time.map_or(0.0, |of| of.predict(&terms.inputs()).nearness)
    }

    /// ln time and ln power in `scope` alone.
    pub fn logs(&self, terms: &Terms, scope: Scope) -> [f64; 2] {
        self.with_discrepancy(self.conditional.logs(terms, scope), terms)
    }

    /// ln of the expected time and ln of the expected power in `scope`: with every cost at its mean, where [`logs`](Self::logs) has it
    /// at its median.
    ///
    /// A sum of costs that are known to a factor has a mean above its median, the more so the less is known of its largest ones.
    pub fn logs_at_mean_costs(&self, terms: &Terms, scope: Scope) -> [f64; 2] {
        self.with_discrepancy(self.conditional.logs_at_mean_costs(terms, scope), terms)
    }

    /// ln time and ln power by the physics, with the means of the discrepancies.
    fn with_discrepancy(&self, mut logs: [f64; 2], terms: &Terms) -> [f64; 2] {
        for (log, of) in logs.iter_mut().zip(self.discrepancies()) {
            *log += of.map_or(0.0, |of| of.mean(&terms.inputs()));
        }
        logs
    }

    /// The discrepancies of time and power.
    pub(super) fn discrepancies(&self) -> [Option<&Discrepancy>; 2] {
        self.cell.map_or([None; 2], |cell| [cell.time.as_ref(), cell.power.as_ref()])
    }

    /// The law without the discrepancy.
    pub(super) const fn conditional(&self) -> &Conditional {
        &self.conditional
    }

    /// Parts of time and of the accelerators' energy, by the physics.
    pub fn parts(&self, terms: &Terms) -> Parts {
        Parts::new(terms, &self.conditional.physics(terms, Scope::Gpu))
    }

    /// Sensitivities of the jobs' ln time and ln power to the parameters, in units of their uncertainty.
    pub(super) fn sensitivity(&self) -> Sensitivity {
        self.conditional.sensitivity()
    }
}
