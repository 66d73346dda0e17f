//! Which runs tell most: the sensitivities of candidate runs and of target predictions to what is uncertain.

use nalgebra::{DMatrix, DVector};

use super::conditional::{Sensitivity, Workspace};
use super::discrepancy::INPUTS;
use super::fitted::RooflineFit;
use super::groups::Groups;
use super::observation::Observation;
use super::parameter::COUNT;
use super::terms::Terms;
use crate::base::scope::Scope;
use crate::stats::optimal::{Criterion, Design};

/// Time to queue, load and compile a run, in seconds; part of its price. Assumed.
pub const OVERHEAD_S: f64 = 60.0;

/// Standard deviation of ln time and ln power of a run of one machine about the law with its discrepancy. Assumed:
/// repeats differ by 0.5 %, and the discrepancy resolves a few per cent.
const NOISE: f64 = 0.03;

/// Time and mean power, in that order.
const RESPONSES: usize = 2;

/// A job of a design.
pub(crate) struct DesignJob<'a> {
    pub terms: &'a Terms,
    pub groups: &'a Groups,
}

impl RooflineFit {
    /// The positions of the candidates to run first, to predict all of them.
    pub(crate) fn choose(&self, candidates: &[&Observation], count: usize) -> Vec<usize> {
        let jobs: Vec<DesignJob<'_>> = candidates
            .iter()
            .map(|run| DesignJob { terms: &run.terms, groups: &run.groups })
            .collect();
        let mut design = self.design(&jobs, &jobs);
        design.choose(Criterion::Targets, count).iter().map(|c| c.candidate).collect()
    }

    /// The experimental design of `candidates` for predictions of ln T and ln E of `targets`.
    ///
    /// What is uncertain is the whole vector of the law's parameters for the jobs' groups, and a discrepancy that is linear
    /// in the configuration.
    pub(crate) fn design(&self, candidates: &[DesignJob<'_>], targets: &[DesignJob<'_>]) -> Design {
        let mut sensitivities = Sensitivities::new(self, candidates, targets);
        let mut rows = DMatrix::zeros(sensitivities.size(), candidates.len() * RESPONSES);
        let mut costs = Vec::new();
        for (i, job) in candidates.iter().enumerate() {
            let ([time, power], seconds) = sensitivities.of(job);
            rows.set_column(i * RESPONSES, &(time / NOISE));
            rows.set_column(i * RESPONSES + 1, &(power / NOISE));
            costs.push(seconds + OVERHEAD_S);
        }
        let mut wanted = DMatrix::zeros(sensitivities.size(), targets.len() * RESPONSES);
        for (i, job) in targets.iter().enumerate() {
            let ([time, power], _) = sensitivities.of(job);
            wanted.set_column(i * RESPONSES + 1, &(&time + power));
            wanted.set_column(i * RESPONSES, &time);
        }
        // sensitivities are in units of standard deviations already
        let whitening = DMatrix::identity(sensitivities.size(), sensitivities.size());
        Design::new(&whitening, rows, RESPONSES, wanted, costs)
    }
}

/// Sensitivities in units of the uncertainty: to the parameters of each group of jobs, and to the coefficients of a
/// discrepancy that is linear in the inputs.
struct Sensitivities<'a> {
    /// The distinct groups of all jobs, sorted, each with its law.
    groups: Vec<(&'a Groups, Sensitivity)>,
    workspace: Workspace,
    mean: Vec<f64>,
    scale: Vec<f64>,
}

impl<'a> Sensitivities<'a> {
    fn new(law: &RooflineFit, candidates: &[DesignJob<'a>], targets: &[DesignJob<'a>]) -> Self {
        let all = || candidates.iter().chain(targets);
        let mut groups: Vec<&Groups> = all().map(|job| job.groups).collect();
        groups.sort_unstable();
        groups.dedup();
        let groups = groups.into_iter().map(|of| (of, law.answer(of).sensitivity())).collect();
        let n = targets.len().max(1) as f64;
        let inputs: Vec<_> = targets.iter().map(|job| job.terms.inputs()).collect();
        let mean: Vec<f64> =
            (0..INPUTS.len()).map(|j| inputs.iter().map(|of| of[j]).sum::<f64>() / n).collect();
        let scale = (0..INPUTS.len())
            .map(|j| {
                let squares = inputs.iter().map(|of| (of[j] - mean[j]).powi(2));
                let variance = squares.sum::<f64>() / n;
                if variance > 1e-18 { NOISE / variance.sqrt() } else { 0.0 }
            })
            .collect();
        Self { groups, workspace: Workspace::default(), mean, scale }
    }

    /// Parameters of each group, and coefficients of each response.
    fn size(&self) -> usize {
        self.groups.len() * COUNT + RESPONSES * self.mean.len()
    }

    /// Sensitivities of ln T and ln P of a job, and its predicted time.
    fn of(&mut self, job: &DesignJob<'_>) -> ([DVector<f64>; RESPONSES], f64) {
        let size = self.size();
        // every job's groups are among them
        let group = self.groups.binary_search_by_key(&job.groups, |(of, _)| *of).unwrap_or(0);
        let (slopes, seconds) = self.groups[group].1.of(job.terms, Scope::Gpu, &mut self.workspace);
        let at = group * COUNT;
        let coefficients = self.groups.len() * COUNT;
        let inputs = job.terms.inputs();
        let rows = std::array::from_fn(|response| {
            let mut row = DVector::zeros(size);
            row.rows_mut(at, COUNT).copy_from(&slopes[response]);
            for j in 0..self.mean.len() {
                row[coefficients + response * self.mean.len() + j] =
                    (inputs[j] - self.mean[j]) * self.scale[j];
            }
            row
        });
        (rows, seconds)
    }
}
