//! The fitted law: population and deviations with their covariance, spreads of the levels, and noise.

use std::collections::BTreeMap;

use nalgebra::{Const, DMatrix, DVector, Dyn, OMatrix};
use serde::{Deserialize, Serialize};

use super::conditional::{Conditional, Point, parameters_of, transformed};
use super::groups::{Groups, LEVELS, Layout, Level};
use super::observation::Observation;
use super::parameter::{COUNT, PARAMETERS};
use crate::base::error::{Error, Result};

/// Standard deviations of ln time and ln power that the law misses of a group without runs, by level, beside the spread of
/// its parameters.
///
/// From groups held out one at a time.
pub(crate) const fn missed_group(level: Level) -> [f64; 2] {
    match level {
        Level::Chip => [0.20, 0.10],
        Level::Framework => [0.095, 0.035],
        Level::Program => [0.095, 0.035],
        // the spread of a source's own factors is all of it
        Level::Network | Level::Source => [0.0, 0.0],
    }
}

/// Share of what the law misses of a source, and of its new chips and software, that differs from configuration to
/// configuration: a few runs do not tell it. Assumed.
pub(super) const SHARE_OF_CONFIGURATION: f64 = 0.6;

/// A fitted law.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Posterior {
    pub(super) layout: Layout,
    /// Population and deviations.
    pub(super) mean: DVector<f64>,
    /// L of the covariance L Lᵀ.
    pub(super) factor: DMatrix<f64>,
    /// Spreads of the parameters of each level, in the order of [`Layout::parameters`].
    pub(super) spreads: [Vec<f64>; LEVELS],
    /// Noise of ln time and ln power of a source.
    pub(super) noise: [f64; 2],
    /// Chips whose power was measured, sorted.
    pub(super) power_chips: Vec<String>,
    /// Variances of ln time and ln power that the law missed of each source's chips and software, before their runs were
    /// added, beside the spread of sources.
    pub(super) missed: BTreeMap<String, [f64; 2]>,
}

impl Posterior {
    /// The law of the jobs of these groups. A group without runs has the population's parameters and the spread of its
    /// level.
    pub fn conditional(&self, groups: &Groups) -> Conditional {
        let columns = self.layout.columns(groups);
        let n = self.layout.length();
        let mut factor = OMatrix::<f64, Const<COUNT>, Dyn>::zeros(n);
        for (at, k) in &columns {
            for j in 0..=*at {
                factor[(*k, j)] += self.factor[(*at, j)];
            }
        }
        let mut covariance = Box::new(&factor * factor.transpose());
        let mut missed = self.noise.map(|noise| noise.powi(2));
        if !groups.source.is_empty() {
            let of_source = self.missed.get(&groups.source).copied().unwrap_or_default();
            let among = self.among_configurations(of_source);
            missed = [0, 1].map(|k| missed[k] + among[k]);
        }
        for level in Level::LEVELS {
            if self.layout.knows(level, groups) {
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
        // times of a chip tell nothing of its power
        let timed = self.layout.has(Level::Chip, &groups.chip);
        if timed && !self.knows_power(&groups.chip) {
            missed[1] += missed_group(Level::Chip)[1].powi(2);
        }
        Conditional::new(groups.clone(), &transformed(&self.mean, &columns), covariance, missed)
    }

    /// Variances of ln time and ln power among the configurations of a source of whose chips and software the law missed
    /// these variances.
    fn among_configurations(&self, missed: [f64; 2]) -> [f64; 2] {
        let spreads = &self.spreads[Level::Source.index()];
        [0, 1].map(|k| SHARE_OF_CONFIGURATION.powi(2) * (spreads[k] * spreads[k] + missed[k]))
    }

    /// Variances of ln time and ln power that the law misses of a source beside its own spread: of the chips and the
    /// software of its runs that have no runs yet, the largest.
    pub(super) fn missed_of_source(&self, runs: &[&Observation], source: &str) -> [f64; 2] {
        let mut largest = [0.0_f64; 2];
        for run in runs.iter().filter(|run| run.groups.source == source) {
            let mut missed = [0.0; 2];
            for level in Level::LEVELS {
                if !self.layout.has(level, run.groups.of(level)) {
                    for (missed, of_group) in missed.iter_mut().zip(missed_group(level)) {
                        *missed += of_group * of_group;
                    }
                }
            }
            largest = [0, 1].map(|k| largest[k].max(missed[k]));
        }
        largest
    }

    /// The parameters of the jobs of these groups.
    pub(super) fn parameters(&self, groups: &Groups) -> Point {
        parameters_of(&transformed(&self.mean, &self.layout.columns(groups)))
    }

    /// Whether the power of this chip was measured in a run.
    pub fn knows_power(&self, chip: &str) -> bool {
        self.power_chips.iter().any(|known| known == chip)
    }

    /// Whether runs of the job's group were fitted.
    pub(super) fn knows(&self, level: Level, groups: &Groups) -> bool {
        self.layout.knows(level, groups)
    }

    /// The groups with runs of a level.
    pub fn groups(&self, level: Level) -> &[String] {
        self.layout.members(level)
    }

    /// The population's parameters: name, value, and standard deviation of its logarithm or logit.
    pub fn population(&self) -> impl Iterator<Item = (&'static str, f64, f64)> {
        (0..COUNT).map(|k| {
            let parameter = &PARAMETERS[k];
            let sd = self.factor.row(k).norm();
            (parameter.name, parameter.scale.inverse(self.mean[k]), sd)
        })
    }
}

/// Digits of the factor in a file: entries over the largest of their row, in thousandths, so that what was read is
/// written as it was.
const PARTS: f64 = 1000.0;

/// The file format of a posterior.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// Names of the parameters, in order.
    parameters: Vec<String>,
    /// Names of the groups of each level.
    groups: BTreeMap<Level, Vec<String>>,
    /// Spreads of the parameters that differ by each level.
    spreads: BTreeMap<Level, Vec<f64>>,
    /// Noise of ln time and ln power of a source.
    noise: [f64; 2],
    /// Chips whose power was measured.
    power_chips: Vec<String>,
    /// Variances that the law missed of sources; none in a law that is fitted at once.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    missed: BTreeMap<String, [f64; 2]>,
    /// Logarithms and logits of the population's parameters; then the deviations, level by level, group by group.
    mean: Vec<f64>,
    /// Standard deviations of the same.
    sd: Vec<f64>,
    /// L of the correlation L Lᵀ of the same, row by row, in thousandths of the row's largest entry, without zeros at the
    /// start of a row.
    factor: Vec<Row>,
}

/// A row of the factor: the position of its first entry, and the entries up to the diagonal.
#[derive(Serialize, Deserialize)]
struct Row(usize, Vec<i16>);

impl From<Posterior> for Stored {
    fn from(posterior: Posterior) -> Self {
        let n = posterior.layout.length();
        let sd: Vec<f64> = (0..n).map(|i| posterior.factor.row(i).norm()).collect();
        let factor = (0..n)
            .map(|i| {
                let row = posterior.factor.row(i);
                let largest = row.amax();
                let mut parts: Vec<i16> =
                    (0..=i).map(|j| (PARTS * row[j] / largest).round() as i16).collect();
                // a factor has a positive diagonal, however small
                parts[i] = parts[i].max(1);
                let first = parts.iter().position(|part| *part != 0).unwrap_or(i);
                Row(first, parts[first..].to_vec())
            })
            .collect();
        let by_level = |of: &dyn Fn(Level) -> Vec<f64>| {
            Level::LEVELS.into_iter().map(|level| (level, of(level))).collect()
        };
        Self {
            parameters: PARAMETERS.iter().map(|p| p.name.to_owned()).collect(),
            groups: Level::LEVELS
                .into_iter()
                .map(|level| (level, posterior.layout.members(level).to_vec()))
                .collect(),
            spreads: by_level(&|level| {
                posterior.spreads[level.index()].iter().map(|s| round(*s)).collect()
            }),
            noise: posterior.noise.map(round),
            power_chips: posterior.power_chips.clone(),
            missed: posterior.missed.clone(),
            mean: posterior.mean.iter().map(|x| round(*x)).collect(),
            sd: sd.into_iter().map(round).collect(),
            factor,
        }
    }
}

/// Six digits.
fn round(x: f64) -> f64 {
    format!("{x:.5e}").parse().unwrap_or(x)
}

impl TryFrom<Stored> for Posterior {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self> {
        let Stored {
            parameters,
            mut groups,
            mut spreads,
            noise,
            power_chips,
            missed,
            mean,
            sd,
            factor,
        } = stored;
        if !parameters.iter().map(String::as_str).eq(PARAMETERS.iter().map(|p| p.name)) {
            return Err(Error::invalid(
                "the law's parameters",
                format!("{} names", parameters.len()),
                "this version of wattlaw has other parameters; fit the law again",
            ));
        }
        let layout =
            Layout::new(Level::LEVELS.map(|level| groups.remove(&level).unwrap_or_default()));
        let spreads = Level::LEVELS.map(|level| spreads.remove(&level).unwrap_or_default());
        let n = layout.length();
        let positive = |x: &f64| (SMALLEST..LARGEST).contains(x);
        let whole = Level::LEVELS
            .into_iter()
            .all(|level| spreads[level.index()].len() == layout.parameters(level).len());
        let rows = factor.iter().enumerate().all(|(i, Row(first, parts))| {
            first.checked_add(parts.len()) == Some(i + 1)
                && parts.last().is_some_and(|diagonal| *diagonal > 0)
        });
        if !(whole && rows && [mean.len(), sd.len(), factor.len()] == [n; 3]) {
            return Err(Error::invalid(
                "the law's numbers",
                "of another length",
                format!("its groups have {n} of each"),
            ));
        }
        if !(mean.iter().all(|x| x.is_finite() && x.abs() < LARGEST)
            && sd.iter().chain(&noise).chain(spreads.iter().flatten()).all(positive)
            && missed.values().flatten().all(|x| (0.0..LARGEST).contains(x)))
        {
            return Err(Error::Data(format!(
                "the law's means must lie within ±{LARGEST}, and its standard deviations between {SMALLEST} and {LARGEST}"
            )));
        }
        let mut lower = DMatrix::zeros(n, n);
        for (i, Row(first, parts)) in factor.into_iter().enumerate() {
            let row: Vec<f64> = parts.into_iter().map(f64::from).collect();
            // the standard deviation is the length of the row
            let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            for (j, part) in row.into_iter().enumerate() {
                lower[(i, first + j)] = sd[i] * part / length;
            }
        }
        Ok(Self {
            layout,
            mean: DVector::from_vec(mean),
            factor: lower,
            spreads,
            noise,
            power_chips,
            missed,
        })
    }
}

/// Smallest standard deviation in a file, whose square is still far from zero.
const SMALLEST: f64 = 1e-9;

/// Largest logarithm or logit of a parameter in a file, and largest standard deviation of one.
const LARGEST: f64 = 100.0;
