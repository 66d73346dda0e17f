//! The law of the jobs of one chip, software and network: their parameters with a covariance, and estimates of jobs.

use nalgebra::{DVector, SMatrix, SVector};

use super::groups::Groups;
use super::parameter::{COUNT, PARAMETERS, Parameters};
use super::physics;
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
    pub(super) parameters: [f64; COUNT],
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
    adjoints: Vec<f64>,
}

/// ln time and ln power with their gradients in the parameters' logarithms and logits.
pub(super) struct Gradients {
    pub values: [f64; 2],
    pub slopes: [Vector; 2],
}

impl Workspace {
    /// Evaluates the physics with derivatives.
    pub(super) fn gradients(
        &mut self,
        parameters: &[f64; COUNT],
        terms: &Terms,
        scope: Scope,
    ) -> Gradients {
        self.tape.restart(COUNT);
        let variables: [Recorded<'_>; COUNT] =
            std::array::from_fn(|k| self.tape.variable(k, parameters[k]));
        let estimate = Parameters::from(variables).estimate(terms, scope);
        let values = [estimate.time.value().ln(), estimate.power.value().ln()];
        let mut slopes = [Vector::zeros(), Vector::zeros()];
        for (slope, of) in slopes.iter_mut().zip([estimate.time, estimate.power]) {
            self.tape.gradient(of, &mut self.adjoints, slope.as_mut_slice());
            for k in 0..COUNT {
                slope[k] *= PARAMETERS[k].scale.slope(parameters[k]) / of.value();
            }
        }
        Gradients { values, slopes }
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
pub(super) fn parameters_of(transformed: &Vector) -> [f64; COUNT] {
    std::array::from_fn(|k| PARAMETERS[k].scale.inverse(transformed[k]))
}

/// ln time and ln power of a job.
pub(super) fn logs(parameters: &[f64; COUNT], terms: &Terms, scope: Scope) -> [f64; 2] {
    let estimate = Parameters::from(*parameters).estimate(terms, scope);
    [estimate.time.ln(), estimate.power.ln()]
}

impl Conditional {
    /// ln time and ln power in `scope`, with variances.
    pub fn estimate(&self, terms: &Terms, scope: Scope, workspace: &mut Workspace) -> Estimate {
        let Gradients { values, slopes: [time, power] } =
            workspace.gradients(&self.parameters, terms, scope);
        let (of_time, of_power) = (*self.covariance * time, *self.covariance * power);
        Estimate {
            log_time: values[0],
            log_power: values[1],
            variance_time: time.dot(&of_time).max(0.0) + self.missed[0],
            variance_power: power.dot(&of_power).max(0.0) + self.missed[1],
            covariance: time.dot(&of_power),
        }
    }

    /// ln time and ln power in `scope` alone.
    pub fn logs(&self, terms: &Terms, scope: Scope) -> [f64; 2] {
        logs(&self.parameters, terms, scope)
    }

    /// Sensitivities to the parameters in units of their uncertainty, for any number of jobs.
    pub(super) fn sensitivity(&self) -> Sensitivity {
        // a covariance is positive definite but for rounding
        let ridge = Covariance::identity() * RIDGE;
        let root = (*self.covariance + ridge).cholesky().map_or(ridge, |c| c.l());
        Sensitivity { parameters: self.parameters, transposed_root: Box::new(root.transpose()) }
    }

    /// Parts of time and energy.
    pub(super) fn physics(&self, terms: &Terms, scope: Scope) -> physics::Estimate<f64> {
        Parameters::from(self.parameters).estimate(terms, scope)
    }
}

/// A root of the parameters' covariance, with which slopes become sensitivities.
pub(super) struct Sensitivity {
    parameters: [f64; COUNT],
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
        let Gradients { values, slopes } = workspace.gradients(&self.parameters, terms, scope);
        (slopes.map(|slope| *self.transposed_root * slope), values[0].exp())
    }
}
