//! The groups of a job whose parameters may deviate from the population's, and their places in the vector of a fit.

use super::parameter::{COUNT, PARAMETERS, Parameter};
use crate::base::words::words;
use crate::job::Job;

/// Number of levels.
pub const LEVELS: usize = 5;

/// A level of the hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The accelerator's chip.
    Chip,
    /// The software's framework.
    Framework,
    /// The program within a framework.
    Program,
    /// The kind of network.
    Network,
    /// The source of runs, such as a cluster.
    Source,
}

words!(Level, "level": Chip = "chip", Framework = "framework", Program = "program", Network = "network", Source = "source");

/// Shares of the spread among stacks: a quarter of the variance lies between frameworks, the rest between the programs of
/// one. Chosen on sources held out.
const BETWEEN_FRAMEWORKS: f64 = 0.5;
const WITHIN_FRAMEWORK: f64 = 0.866;

impl Level {
    /// All levels, in the order of a fit's vector.
    pub const LEVELS: [Self; LEVELS] =
        [Self::Chip, Self::Framework, Self::Program, Self::Network, Self::Source];

    /// Its position in [`LEVELS`](Self::LEVELS).
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Chip => 0,
            Self::Framework => 1,
            Self::Program => 2,
            Self::Network => 3,
            Self::Source => 4,
        }
    }

    /// Prior spread of a parameter among the groups of this level; 0 where it does not differ.
    pub(super) const fn prior_spread(self, parameter: &Parameter) -> f64 {
        let spreads = &parameter.spreads;
        match self {
            Self::Chip => spreads.chip,
            Self::Framework => spreads.stack * BETWEEN_FRAMEWORKS,
            Self::Program => spreads.stack * WITHIN_FRAMEWORK,
            Self::Network => spreads.network,
            Self::Source => spreads.source,
        }
    }

    /// The positions of the parameters that differ by it.
    pub(super) fn parameters(self) -> Vec<usize> {
        (0..COUNT).filter(|k| self.prior_spread(&PARAMETERS[*k]) > 0.0).collect()
    }
}

/// The name of a framework, program or kind of network that is not stated.
const NOT_STATED: &str = "unknown";

/// The groups of a job, by level.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Groups {
    /// The chip's name.
    pub chip: String,
    /// The framework's name.
    pub framework: String,
    /// Framework and program; the framework's name where no program is stated.
    pub program: String,
    /// The kind of network.
    pub network: String,
    /// The source of runs that the job belongs to; empty for a new one.
    pub source: String,
}

impl Groups {
    /// The groups of a job.
    pub fn for_job(job: &Job) -> Self {
        let stack = &job.workload.framework;
        Self {
            chip: super::chip::name(&job.system.accelerator).to_owned(),
            framework: stack.framework.to_string(),
            program: stack.to_string(),
            network: job.system.network_kind.to_string(),
            source: String::new(),
        }
    }

    /// The group of a level; empty where none is stated, and for a source that is new.
    ///
    /// What is not stated is no group: runs of any software would share its deviations. A program that is not stated is
    /// the source's own.
    pub fn of(&self, level: Level) -> &str {
        let stated = |name| if name == NOT_STATED { "" } else { name };
        match level {
            Level::Chip => &self.chip,
            Level::Framework => stated(&self.framework),
            Level::Program if self.program == NOT_STATED => &self.source,
            Level::Program => &self.program,
            Level::Network => stated(&self.network),
            Level::Source => &self.source,
        }
    }
}

/// Where the deviations of each group lie in the vector of a fit: the population's parameters, then level by level and
/// group by group.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    /// Names of the groups of each level, sorted.
    members: [Vec<String>; LEVELS],
    /// Parameters of each level.
    parameters: [Vec<usize>; LEVELS],
    /// Start of each level in the vector.
    starts: [usize; LEVELS],
    /// Length of the vector.
    length: usize,
}

impl Layout {
    /// The layout of these groups.
    pub(super) fn new(members: [Vec<String>; LEVELS]) -> Self {
        let members = members.map(|mut names| {
            names.sort_unstable();
            names.dedup();
            // what is not stated, and a new source, have no deviations of their own
            names.retain(|name| !name.is_empty());
            names
        });
        let parameters = Level::LEVELS.map(Level::parameters);
        let mut starts = [0; LEVELS];
        let mut length = COUNT;
        for level in 0..LEVELS {
            starts[level] = length;
            length += members[level].len() * parameters[level].len();
        }
        Self { members, parameters, starts, length }
    }

    /// The layout of the groups of runs.
    pub(super) fn of_groups<'a>(groups: impl Iterator<Item = &'a Groups> + Clone) -> Self {
        Self::new(
            Level::LEVELS
                .map(|level| groups.clone().map(|groups| groups.of(level).to_owned()).collect()),
        )
    }

    /// The layout without the groups of a level.
    pub(super) fn without(self, level: Level) -> Self {
        let mut members = self.members;
        members[level.index()].clear();
        Self::new(members)
    }

    /// A layout with the groups of both.
    pub(super) fn joined(&self, other: &Self) -> Self {
        let both = Level::LEVELS.map(|level| {
            let level = level.index();
            [self.members[level].as_slice(), other.members[level].as_slice()].concat()
        });
        Self::new(both)
    }

    pub(super) const fn length(&self) -> usize {
        self.length
    }

    pub(super) fn members(&self, level: Level) -> &[String] {
        &self.members[level.index()]
    }

    /// The positions of the parameters that differ by a level.
    pub(super) fn parameters(&self, level: Level) -> &[usize] {
        &self.parameters[level.index()]
    }

    /// Whether runs of the job's group were fitted. A program that was fitted tells of its framework, and a source that is
    /// named is known by its runs.
    pub(super) fn knows(&self, level: Level, groups: &Groups) -> bool {
        let of = |level| self.has(level, groups.of(level));
        match level {
            Level::Framework => of(level) || of(Level::Program),
            Level::Source => !groups.source.is_empty(),
            Level::Chip | Level::Program | Level::Network => of(level),
        }
    }

    /// Whether the level has this group.
    pub(super) fn has(&self, level: Level, group: &str) -> bool {
        self.find(level, group).is_some()
    }

    fn find(&self, level: Level, group: &str) -> Option<usize> {
        self.members[level.index()].binary_search_by(|name| name.as_str().cmp(group)).ok()
    }

    /// Start of a group's deviations in the vector.
    pub(super) fn start(&self, level: Level, group: &str) -> Option<usize> {
        let at = self.find(level, group)?;
        Some(self.starts[level.index()] + at * self.parameters[level.index()].len())
    }

    /// The place of a group's deviation of a parameter.
    pub(super) fn place(&self, level: Level, group: &str, parameter: &str) -> Option<usize> {
        let start = self.start(level, group)?;
        let mut parameters = self.parameters(level).iter();
        parameters.position(|k| PARAMETERS[*k].name == parameter).map(|i| start + i)
    }

    /// The place of each position of this layout in a larger one.
    pub(super) fn places_in(&self, other: &Self) -> Vec<usize> {
        let mut places: Vec<usize> = (0..COUNT).collect();
        for level in Level::LEVELS {
            for group in self.members(level) {
                // a joined layout has every group of both
                let start = other.start(level, group).unwrap_or(0);
                places.extend((0..self.parameters(level).len()).map(|i| start + i));
            }
        }
        places
    }

    /// The positions of the vector that add up to a job's parameters, each with its parameter.
    pub(super) fn columns(&self, groups: &Groups) -> Vec<(usize, usize)> {
        let mut columns: Vec<(usize, usize)> = (0..COUNT).map(|k| (k, k)).collect();
        for level in Level::LEVELS {
            if let Some(start) = self.start(level, groups.of(level)) {
                let parameters = self.parameters[level.index()].iter().enumerate();
                columns.extend(parameters.map(|(i, k)| (start + i, *k)));
            }
        }
        columns
    }
}
