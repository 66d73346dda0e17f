//! The law of the jobs of one chip, software and network: their parameters with a covariance, and estimates of jobs.

use nalgebra::{DVector, SMatrix, SVector};

use super::groups::Groups;
use super::parameter::{COUNT, PARAMETERS, Parameters};
use super::physics::{self, AtFullClock};
use super::terms::Terms;
use crate::base::scope::Scope;
use crate::stats::tape::{Real as _, Recorded, Tape};

/// Vector and covariance of the parameters of a job.
pub(super) type Vector = SVector<f64, COUNT>;
pub(super) type Covariance = SMatrix<f64, COUNT, COUNT>;

/// ln time and ln power of a job, with the covariance of both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// ln(time / s): of the whole run, or of a step.
    pub log_time: f64,
    /// ln(mean power of a GPU / W) in the scope.
    pub log_power: f64,
    /// Variances of both, and their covariance.
    pub variance_time: f64,
    /// Variance of `log_power`.
    pub variance_power: f64,
    /// Covariance of both.
    pub covariance: f64,
}

impl Estimate {
    /// Standard deviation of ln energy.
    pub fn energy_sd(&self) -> f64 {
        (self.variance_time + self.variance_power + 2.0 * self.covariance).max(0.0).sqrt()
    }
}

/// The law conditioned on the groups of a job.
#[derive(Debug, Clone)]
pub struct Conditional {
    /// The groups.
    pub groups: Groups,
    pub(super) parameters: Point,
    /// The parameters at which every cost is at its mean.
    mean_costs: Point,
    /// Of the logarithms and logits.
    pub(super) covariance: Box<Covariance>,
    /// Variances of ln time and ln power that the law misses: of the source, of unseen groups, and of noise.
    pub(super) missed: [f64; 2],
}

/// Variance added to each parameter, so that a covariance that is known to rounding has a root.
const RIDGE: f64 = 1e-9;

/// Memory of derivatives, reused from job to job.
#[derive(Debug, Default)]
pub struct Workspace {
    tape: Tape,
    adjoints: Vec<[f64; 2]>,
}

/// Parameters of a job, and their derivatives in their logarithms and logits.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub values: [f64; COUNT],
    slopes: [f64; COUNT],
}

/// ln time and ln power with their gradients in the parameters' logarithms and logits.
pub(super) struct Gradients {
    /// The physics that they are of.
    pub physics: physics::Estimate<f64>,
    pub values: [f64; 2],
    /// Of both, parameter by parameter.
    pub slopes: [[f64; 2]; COUNT],
}

impl Gradients {
    /// The gradient of ln time or of ln power.
    pub(super) fn of(&self, response: usize) -> Vector {
        Vector::from_fn(|k, _| self.slopes[k][response])
    }
}

impl Workspace {
    /// Evaluates the physics with derivatives.
    pub(super) fn gradients(
        &mut self,
        parameters: &Point,
        terms: &Terms,
        scope: Scope,
    ) -> Gradients {
        self.tape.restart(COUNT);
        let variables: [Recorded<'_>; COUNT] =
            std::array::from_fn(|k| self.tape.variable(k, parameters.values[k]));
        let estimate = Parameters::from(variables).estimate(terms, scope);
        let both = [estimate.time, estimate.power];
        let values = both.map(Recorded::value);
        let adjoints = self.tape.gradients(both, COUNT, &mut self.adjoints);
        let inverse = values.map(f64::recip);
        let mut slopes = [[0.0; 2]; COUNT];
        for ((slopes, adjoints), by_log) in slopes.iter_mut().zip(adjoints).zip(&parameters.slopes)
        {
            *slopes = [adjoints[0] * by_log * inverse[0], adjoints[1] * by_log * inverse[1]];
        }
        Gradients { physics: estimate.values(), values: values.map(f64::ln), slopes }
    }
}

/// Logarithms and logits of the parameters whose parts lie at `columns` of the vector of a fit.
pub(super) fn transformed(mean: &DVector<f64>, columns: &[(usize, usize)]) -> Vector {
    let mut transformed = Vector::zeros();
    for (at, k) in columns {
        transformed[*k] += mean[*at];
    }
    transformed
}

/// Parameters from logarithms and logits.
pub(super) fn parameters_of(transformed: &Vector) -> Point {
    let values = std::array::from_fn(|k| PARAMETERS[k].scale.inverse(transformed[k]));
    Point { values, slopes: std::array::from_fn(|k| PARAMETERS[k].scale.slope(values[k])) }
}

/// ln time and ln power of a job.
pub(super) fn logs(parameters: &Point, terms: &Terms, scope: Scope) -> [f64; 2] {
    let estimate = Parameters::from(parameters.values).estimate(terms, scope);
    [estimate.time.ln(), estimate.power.ln()]
}

impl Conditional {
    /// The law of parameters with these logarithms and logits and their covariance, and variances of what it misses.
    pub(super) fn new(
        groups: Groups,
        transformed: &Vector,
        covariance: Box<Covariance>,
        missed: [f64; 2],
    ) -> Self {
        let shifts = Vector::from_fn(|k, _| PARAMETERS[k].to_mean_cost(covariance[(k, k)]));
        let mean_costs = parameters_of(&(transformed + shifts));
        Self { groups, parameters: parameters_of(transformed), mean_costs, covariance, missed }
    }

    /// ln time and ln power in `scope`, with variances.
    pub fn estimate(&self, terms: &Terms, scope: Scope, workspace: &mut Workspace) -> Estimate {
        self.estimate_with_physics(terms, scope, workspace).0
    }

    /// The same, with the physics that it follows from.
    pub(super) fn estimate_with_physics(
        &self,
        terms: &Terms,
        scope: Scope,
        workspace: &mut Workspace,
    ) -> (Estimate, physics::Estimate<f64>) {
        let Gradients { physics, values, slopes } =
            workspace.gradients(&self.parameters, terms, scope);
        let [time, power, both] = self.variances(&slopes);
        let estimate = Estimate {
            log_time: values[0],
            log_power: values[1],
            variance_time: time.max(0.0) + self.missed[0],
            variance_power: power.max(0.0) + self.missed[1],
            covariance: both,
        };
        (estimate, physics)
    }

    /// Variances of two sums of the parameters' logarithms and logits with these slopes, and their covariance.
    fn variances(&self, slopes: &[[f64; 2]; COUNT]) -> [f64; 3] {
        let (mut time, mut power, mut both) = (0.0, 0.0, 0.0);
        // many of a job's parameters are those of what it does not do
        let mut active = [(0, [0.0; 2]); COUNT.next_multiple_of(4)];
        let mut count = 0_usize;
        for (k, of) in slopes.iter().enumerate() {
            if *of == [0.0; 2] {
                continue;
            }
            let column = &self.covariance.data.0[k];
            // several sums at once, as a processor adds in pipelines; the slopes after the last active one are zero
            let mut sums = [[0.0; 2]; 4];
            let (fours, _) = active.as_chunks::<4>();
            for four in &fours[..count.div_ceil(4)] {
                for (sum, (l, of)) in sums.iter_mut().zip(four) {
                    *sum = plus(*sum, column[*l], *of);
                }
            }
            let [a, b, c, d] = sums;
            let sum = plus(plus(a, 1.0, b), 1.0, plus(c, 1.0, d));
            let variance = column[k];
            time += of[0] * (2.0 * sum[0] + variance * of[0]);
            power += of[1] * (2.0 * sum[1] + variance * of[1]);
            both += of[0] * (sum[1] + variance * of[1]) + of[1] * sum[0];
            active[count] = (k, *of);
            count += 1;
        }
        [time, power, both]
    }

    /// ln time and ln power in `scope` alone.
    pub fn logs(&self, terms: &Terms, scope: Scope) -> [f64; 2] {
        logs(&self.parameters, terms, scope)
    }

    /// The same with every cost at its mean.
    pub(super) fn logs_at_mean_costs(&self, terms: &Terms, scope: Scope) -> [f64; 2] {
        logs(&self.mean_costs, terms, scope)
    }

    /// Sensitivities to the parameters in units of their uncertainty, for any number of jobs.
    pub(super) fn sensitivity(&self) -> Sensitivity {
        // a covariance is positive definite but for rounding
        let ridge = Covariance::identity() * RIDGE;
        let root = (*self.covariance + ridge).cholesky().map_or(ridge, |c| c.l());
        let transposed_root = Box::new(root.transpose());
        Sensitivity { parameters: self.parameters.clone(), transposed_root }
    }

    /// A job without a power limit, with every cost at its mean.
    pub(super) fn at_full_clock(&self, terms: &Terms) -> AtFullClock<f64> {
        Parameters::from(self.mean_costs.values).at_full_clock(terms)
    }

    /// Time and power under a limit in watts, with every cost at its mean.
    pub(super) fn under_limit(
        &self,
        terms: &Terms,
        full: &AtFullClock<f64>,
        limit_w: f64,
        scope: Scope,
    ) -> physics::Estimate<f64> {
        Parameters::from(self.mean_costs.values).under_limit(terms, full, limit_w, scope)
    }

    /// Time and power with their parts.
    pub(super) fn physics(&self, terms: &Terms, scope: Scope) -> physics::Estimate<f64> {
        Parameters::from(self.parameters.values).estimate(terms, scope)
    }
}

fn plus(sum: [f64; 2], factor: f64, of: [f64; 2]) -> [f64; 2] {
    [sum[0] + factor * of[0], sum[1] + factor * of[1]]
}

/// A root of the parameters' covariance, with which slopes become sensitivities.
pub(super) struct Sensitivity {
    parameters: Point,
    transposed_root: Box<Covariance>,
}

impl Sensitivity {
    /// Sensitivities of a job's ln time and ln power, and its time in seconds.
    pub(super) fn of(
        &self,
        terms: &Terms,
        scope: Scope,
        workspace: &mut Workspace,
    ) -> ([Vector; 2], f64) {
        let gradients = workspace.gradients(&self.parameters, terms, scope);
        let of = |response| self.transposed_root.as_ref() * gradients.of(response);
        ([of(0), of(1)], gradients.values[0].exp())
    }
}
