//! Configurations that are no plan, by reason.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::objective::Constraint;
use super::space::{Candidate, Space};
use crate::memory::MemoryPart;

/// Why a configuration is no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOutReason {
    /// It does not fit in memory, of which this part is the largest.
    Memory(MemoryPart),
    /// It does not meet this constraint.
    Constraint(Constraint),
    /// Heads, layers, positions or micro-batches do not divide.
    Divisibility,
    /// The framework has no such method.
    Framework,
    /// Its power at the lowest clock is above the power limit.
    PowerLimit,
    /// What the law expects is impossible: faster than the peak, or above the power limit.
    ImpossibleEstimate,
}

impl LeftOutReason {
    /// The name in tables and JSON.
    pub fn name(self) -> String {
        match self {
            Self::Memory(part) => format!("memory: {part}"),
            Self::Constraint(constraint) => constraint.to_string(),
            Self::Divisibility => "divisibility".to_owned(),
            Self::Framework => "framework".to_owned(),
            Self::PowerLimit => "power limit".to_owned(),
            Self::ImpossibleEstimate => "impossible estimate".to_owned(),
        }
    }
}

impl Serialize for LeftOutReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.name())
    }
}

/// Configurations that are left out for one reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeftOut {
    /// The reason.
    pub reason: LeftOutReason,
    /// Their number.
    pub count: u64,
    /// The first of them.
    pub example: String,
}

/// Counts of configurations by reason, each with its first configuration.
#[derive(Debug, Clone, Default)]
pub(super) struct LeftOutCounts(BTreeMap<LeftOutReason, (u64, Candidate)>);

impl LeftOutCounts {
    /// Adds configurations, of which `candidate` is the first.
    pub(super) fn add(&mut self, reason: LeftOutReason, count: u64, candidate: &Candidate) {
        let entry = self.0.entry(reason).or_insert((0, *candidate));
        entry.0 += count;
        if candidate.ordinal < entry.1.ordinal {
            entry.1 = *candidate;
        }
    }

    /// Adds the counts of another thread.
    pub(super) fn merge(&mut self, other: &Self) {
        for (reason, (count, candidate)) in &other.0 {
            self.add(*reason, *count, candidate);
        }
    }

    /// The reasons, the most frequent first.
    pub(super) fn rows(&self, space: &Space<'_>) -> Vec<LeftOut> {
        let mut rows: Vec<LeftOut> = self
            .0
            .iter()
            .map(|(reason, (count, candidate))| LeftOut {
                reason: *reason,
                count: *count,
                example: space.describe(candidate),
            })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.count));
        rows
    }
}
