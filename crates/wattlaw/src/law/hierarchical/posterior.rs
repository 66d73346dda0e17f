//! The fitted law: population and deviations with their covariance, spreads of the levels, and noise.

use nalgebra::{DMatrix, DVector};

use super::conditional::{Conditional, Covariance, Vector, parameters_of};
use super::groups::{Groups, Layout, Level};
use super::parameter::{COUNT, PARAMETERS};

/// Standard deviations of ln time and ln power that the law misses of a source without runs.
///
/// From sources held out one at a time.
pub(super) const MISSED_SOURCE: [f64; 2] = [0.13, 0.07];

/// The same beside it of a group without runs, by level.
const fn missed_group(level: Level) -> [f64; 2] {
    match level {
        Level::Chip => [0.16, 0.10],
        Level::Framework => [0.10, 0.035],
        Level::Program => [0.10, 0.035],
        Level::Network => [0.0, 0.0],
    }
}

/// Noise of a run over the noise of its source's runs, so that intervals also hold where runs scatter more. Assumed.
const NOISE_FACTOR: f64 = 1.5;

/// A fitted law.
#[derive(Debug, Clone)]
pub struct Posterior {
    pub(super) layout: Layout,
    /// Population and deviations.
    pub(super) mean: DVector<f64>,
    pub(super) covariance: DMatrix<f64>,
    /// Spreads of the parameters of each level, in the order of [`Layout::parameters`].
    pub(super) spreads: [Vec<f64>; 4],
    /// Noise of ln time and ln power of a source.
    pub(super) noise: [f64; 2],
}

impl Posterior {
    /// The law of the jobs of these groups. A group without runs has the population's parameters and the spread of its
    /// level.
    pub fn conditional(&self, groups: &Groups) -> Conditional {
        let columns = self.layout.columns(groups);
        let mut transformed = Vector::zeros();
        let mut covariance = Box::new(Covariance::zeros());
        for (at, k) in &columns {
            transformed[*k] += self.mean[*at];
            for (other, l) in &columns {
                covariance[(*k, *l)] += self.covariance[(*at, *other)];
            }
        }
        let mut missed = [0, 1].map(|response| {
            MISSED_SOURCE[response].powi(2) + (NOISE_FACTOR * self.noise[response]).powi(2)
        });
        for level in Level::LEVELS {
            if self.layout.has(level, groups.of(level)) {
                continue;
            }
            for (spread, k) in self.spreads[level.index()].iter().zip(self.layout.parameters(level))
            {
                covariance[(*k, *k)] += spread * spread;
            }
            for (missed, of_group) in missed.iter_mut().zip(missed_group(level)) {
                *missed += of_group * of_group;
            }
        }
        Conditional {
            groups: groups.clone(),
            parameters: parameters_of(&transformed),
            transformed,
            covariance,
            missed,
        }
    }

    /// The groups with runs of a level.
    pub fn groups(&self, level: Level) -> &[String] {
        self.layout.members(level)
    }

    /// The population's parameters: name, value, and standard deviation of its logarithm or logit.
    pub fn population(&self) -> impl Iterator<Item = (&'static str, f64, f64)> {
        (0..COUNT).map(|k| {
            let parameter = &PARAMETERS[k];
            let sd = self.covariance[(k, k)].max(0.0).sqrt();
            (parameter.name, parameter.scale.inverse(self.mean[k]), sd)
        })
    }
}
