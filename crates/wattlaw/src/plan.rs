//! The plan of a run: of all ways to run a job on the machines there are, the one that takes the least energy, time, money,
//! carbon or accelerator hours.
//!
//! What is trained stays as the job says: model, data, sequence, global batch, and precision unless others are allowed.
//! Accelerators, their number and power limit, degrees of parallelism, sharding, micro-batch, checkpointing and schedule are
//! searched. Every valid configuration is decided, so the answer equals that of trying all of them, on any number of
//! threads.
//!
//! Configurations are compared by expected values: the law with every cost at its mean. An estimate has them at their medians; it
//! would prefer a configuration whose largest costs are hardly known to one that is known to be as good.

mod choice;
mod front;
mod left_out;
mod objective;
mod one_more;
mod pool;
mod power_curve;
mod ranked;
mod search;
mod space;

pub use choice::Choice;
pub use front::{ParetoFront, ParetoPoint};
pub use left_out::{LeftOut, LeftOutReason};
pub use objective::{Constraint, Limits, Objective};
pub use one_more::{Gain, OneMore};
pub use pool::{GpuCounts, Inventory, Pool};
pub use power_curve::{PowerPoint, power_curve};
pub use ranked::{Comparison, Expected, PlannedJob, compare};
pub use search::Progress;

use serde::Serialize;

use crate::base::error::{Error, Result};
use crate::base::scope::Scope;
use crate::calibration::{Calibration, Laws};
use crate::job::JobSpec;
use crate::job::catalog::Catalog;
use crate::job::workload::Precision;
use crate::memory::FITS_THRESHOLD;

use ranked::Weighed;
use search::{Entry, Found};
use space::Space;

/// What is asked of the planner.
#[derive(Debug, Clone)]
pub struct Request {
    /// The job: what is trained, and prices. Its system names the default machines.
    pub spec: JobSpec,
    /// Machines to choose from; the job's own where empty.
    pub pools: Vec<Pool>,
    /// What is minimised.
    pub objective: Objective,
    /// A second objective: the plans are those that no other plan beats in both.
    pub pareto_with: Option<Objective>,
    /// Whether fewer accelerators come before the objective.
    pub fewest_gpus: bool,
    /// Constraints that every plan meets.
    pub limits: Limits,
    /// Choices that stay as the job has them.
    pub keep: Vec<Choice>,
    /// Precisions to choose from; the job's own where empty.
    pub precisions: Vec<Precision>,
    /// Power limits to choose from, as shares of the TDP.
    pub power_limits: Vec<f64>,
    /// What the energy covers.
    pub scope: Scope,
    /// Least probability of fitting in memory.
    pub fits_threshold: f64,
    /// Level of the intervals.
    pub level: f64,
    /// Plans in the answer.
    pub top: usize,
    /// Threads of the search.
    pub threads: usize,
}

/// Power limits that are tried, as shares of the TDP: those of Zeus' measurements (You et al. 2023), from the TDP down to four tenths.
pub const POWER_LIMITS: [f64; 7] = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4];

/// Power limits that are tried at most.
const MAX_POWER_LIMITS: usize = 1000;

impl Request {
    /// A plan of the least energy of accelerators, on the job's own machines.
    pub fn new(spec: JobSpec) -> Self {
        Self {
            spec,
            pools: Vec::new(),
            objective: Objective::Energy,
            pareto_with: None,
            fewest_gpus: false,
            limits: Limits::default(),
            keep: Vec::new(),
            precisions: Vec::new(),
            power_limits: POWER_LIMITS.to_vec(),
            scope: Scope::Gpu,
            fits_threshold: FITS_THRESHOLD,
            level: 0.95,
            top: 10,
            threads: 1,
        }
    }

    /// The two quantities of the front.
    fn tradeoff(&self) -> [Objective; 2] {
        match self.pareto_with {
            Some(second) => [self.objective, second],
            None => [Objective::Energy, Objective::Time],
        }
    }

    fn check_power_limits(&self) -> Result<()> {
        let shares = &self.power_limits;
        let possible = shares.iter().all(|share| *share > 0.0 && *share <= 2.0);
        if !possible || !(1..=MAX_POWER_LIMITS).contains(&shares.len()) {
            return Err(Error::invalid(
                "power_limits",
                format!("{} shares of the TDP", shares.len()),
                format!("they must be 1 to {MAX_POWER_LIMITS} numbers above 0, at most 2"),
            ));
        }
        Ok(())
    }
}

/// The answer of the planner.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plans {
    /// What was minimised.
    pub objective: Objective,
    /// The plans, the best first.
    pub plans: Vec<PlannedJob>,
    /// Ranks of the plans that no configuration beats in time and energy, or in the two objectives that were asked for.
    pub pareto: Vec<usize>,
    /// The configurations that no other beats in those two objectives, listed above or not.
    pub front: ParetoFront,
    /// Probability that the first plan is better than the second, from the joint uncertainty of the law; null with one plan.
    pub first_before_second: Option<f64>,
    /// Configurations that are no plan, by reason.
    pub left_out: Vec<LeftOut>,
    /// Constraints without which another configuration would be first, with its objective relative to the first plan's.
    pub binding: Vec<Binding>,
    /// What one more node, or more memory, would bring; null where the search was stopped.
    pub one_more: Option<OneMore>,
    /// Configurations that are plans: valid, within memory and constraints.
    pub evaluated: u64,
    /// Configurations that were decided.
    pub searched: u64,
    /// Whether the search ended before every configuration was decided.
    pub stopped: bool,
    /// For each choice, the best plan with another value of it than the first plan's.
    pub best_undone: Vec<Undone>,
    /// Sequences of an optimizer step, the same in every plan.
    pub global_batch: u64,
}

/// The best plan without one choice of the first plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Undone {
    /// The choice.
    pub choice: Choice,
    /// The first plan's value.
    pub value: String,
    /// The value of the best plan with another one.
    pub instead: String,
    /// Expected energy over that of the first plan.
    pub energy_factor: f64,
    /// Expected time over that of the first plan.
    pub time_factor: f64,
}

/// A constraint that keeps a better configuration out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Binding {
    /// The constraint.
    pub constraint: Constraint,
    /// The expected objective of the best configuration without it, over that of the first plan.
    pub objective_factor: f64,
}

/// Finds the best plans by a calibration with a roofline law.
///
/// `watch` is told of the progress and says whether the search goes on; a search that is stopped answers with the best plans so
/// far.
///
/// # Errors
/// [`Error::Invalid`] for a calibration with another law, a space of too many configurations, and limits that contradict each
/// other; [`Error::Data`] where no configuration is a plan, with what the nearest one takes; those of
/// [`JobSpec::resolve`].
pub fn plan(
    request: &Request,
    catalog: &Catalog,
    calibration: &Calibration,
    watch: &(dyn Fn(Progress) -> bool + Sync),
) -> Result<Plans> {
    let Laws::Roofline(law) = &calibration.law else {
        return Err(Error::invalid(
            "calibration",
            format!("`{}`", calibration.name),
            "a plan needs a roofline law, which predicts every strategy and power limit",
        ));
    };
    request.limits.check()?;
    request.check_power_limits()?;
    let space = Space::new(request, catalog, law)?;
    let found = search::run(request, &space, watch);
    let Some(best) = found.best.first().copied() else {
        let enough = found
            .is_short_of_memory()
            .then(|| one_more::enough_accelerators(request, catalog, law, &space, watch))
            .flatten();
        return Err(found.nothing(request, &space, enough));
    };
    let one_more =
        (!found.stopped).then(|| OneMore::new(request, catalog, law, &space, &found, &best, watch));
    answer(request, &space, calibration, found, best, one_more)
}

/// The answer from what was found.
fn answer(
    request: &Request,
    space: &Space<'_>,
    calibration: &Calibration,
    found: Found,
    best: Entry,
    one_more: Option<OneMore>,
) -> Result<Plans> {
    let listed = found.listed(request);
    let weighed = listed
        .iter()
        .map(|entry| {
            let job = space.job(&entry.candidate);
            Weighed::new(job, request.objective, calibration, request.scope, request.level)
        })
        .collect::<Result<Vec<_>>>()?;
    let Comparison { rows: plans, first_before_second } =
        ranked::rank(weighed, calibration, request.fits_threshold);
    let pareto = (1..)
        .zip(&listed)
        .filter(|(_, entry)| found.on_front(entry))
        .map(|(rank, _)| rank)
        .collect();
    Ok(Plans {
        objective: request.objective,
        plans,
        pareto,
        first_before_second,
        front: found.pareto(request, space),
        one_more,
        binding: found.binding(&best),
        best_undone: found.undone(&best, space),
        left_out: found.left_out.rows(space),
        evaluated: found.evaluated,
        searched: found.searched,
        stopped: found.stopped,
        global_batch: space.global_batch,
    })
}
