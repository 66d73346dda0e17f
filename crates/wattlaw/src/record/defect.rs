//! Defects of a record.

use serde::Serialize;

use super::document::{Measured, Record, State};
use super::gpus::GpuMismatch;
use crate::base::units::Seconds;
use crate::base::words::words;
use crate::job::catalog::Catalog;

/// Share of a run that may be unread or uncertain without a defect: well below the error of sensors (5 %), well above
/// rounding.
const NEGLIGIBLE_SHARE: f64 = 0.01;

/// A kind of defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DefectKind {
    /// The record was not closed.
    Open,
    /// The writer died.
    Recovered,
    /// The command failed, or its end was not observed.
    EndedBadly,
    /// The command ended well after fewer steps or tokens than planned.
    Incomplete,
    /// Another record holds the energy.
    HeldElsewhere,
    /// Readings failed.
    Faults,
    /// Part of the run has no readings.
    PartCovered,
    /// The run is too short for the meter.
    ShortWindow,
    /// The job states other GPUs than were measured.
    GpuMismatch,
    /// Part of the energy is assumed.
    Assumed,
    /// The power is above the device's limit.
    AboveLimit,
    /// The clock was throttled.
    Throttled,
    /// A note of the finalizer.
    Note,
}

words!(DefectKind, "kind": Open = "open", Recovered = "recovered", EndedBadly = "ended-badly", Incomplete = "incomplete",
    HeldElsewhere = "held-elsewhere", Faults = "faults", PartCovered = "part-covered",
    ShortWindow = "short-window", GpuMismatch = "gpu-mismatch", Assumed = "assumed", AboveLimit = "above-limit",
    Throttled = "throttled", Note = "note");

/// A defect of a record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Defect {
    /// The kind.
    pub kind: DefectKind,
    /// Description, as a clause.
    pub text: String,
}

impl Record {
    /// The defects: first those of the whole record, then those of channels.
    pub fn defects(&self, catalog: &Catalog) -> Vec<Defect> {
        let mut found = Vec::new();
        let mut report = |kind, text: String| found.push(Defect { kind, text });
        match self.state {
            State::Running => report(
                DefectKind::Open,
                "the record is being written, or its writer died; if so, `wattlaw recover` closes it".into(),
            ),
            State::Recovered => report(
                DefectKind::Recovered,
                "the writer died; at most the last second is missing".into(),
            ),
            State::Finished | State::Merged => {}
        }
        if self.end.is_some_and(|end| !end.well()) {
            report(DefectKind::EndedBadly, format!("the command failed: {}", self.outcome()));
        }
        if let Some((done, planned)) = self.unfinished().filter(|_| self.ended_well()) {
            report(
                DefectKind::Incomplete,
                format!("the program reported {done} of {planned} planned steps or tokens"),
            );
        }
        for clause in self.held_clauses() {
            report(DefectKind::HeldElsewhere, clause);
        }
        for clause in self.gpu_mismatch(catalog).iter().flat_map(GpuMismatch::clauses) {
            report(DefectKind::GpuMismatch, clause);
        }
        if let Some(first) = self.faults.first() {
            report(
                DefectKind::Faults,
                format!(
                    "{} faults, the first: {}: {}",
                    self.faults.len(),
                    first.channel,
                    first.reason
                ),
            );
        }
        for channel in &self.channels {
            channel.defects(&mut report);
        }
        for note in &self.notes {
            report(DefectKind::Note, note.clone());
        }
        found
    }
}

impl Record {
    /// What other records counted in the time of this one, a clause each.
    pub(super) fn held_clauses(&self) -> Vec<String> {
        let of_channels: Vec<String> =
            self.channels.iter().filter_map(|measured| self.held_clause(measured)).collect();
        match (&self.held_by, of_channels.is_empty()) {
            // a record of before channels said so
            (Some(by), true) => vec![format!("record {by} measured this machine at the same time")],
            _ => of_channels,
        }
    }

    /// What another record counted of a channel, as a clause.
    pub(super) fn held_clause(&self, measured: &Measured) -> Option<String> {
        let (name, by) = (&measured.channel.name, measured.held_by.as_ref()?);
        Some(match measured.counted_from {
            None => {
                format!("the energy of {name} counts in record {by}, which ran at the same time")
            }
            Some(from) => format!(
                "the energy of {name} counts in record {by} for the first {:.1} s",
                (from - self.begin.unwrap_or(Seconds::ZERO)).value()
            ),
        })
    }
}

impl Measured {
    fn defects(&self, report: &mut impl FnMut(DefectKind, String)) {
        let name = &self.channel.name;
        if self.is_assumed() {
            report(DefectKind::Assumed, format!("{name} is a stated power, not measured"));
            return;
        }
        if self.held_by.is_none() && self.covered < 1.0 - NEGLIGIBLE_SHARE {
            report(
                DefectKind::PartCovered,
                format!("{name} has readings in {:.1} % of the time", self.covered * 100.0),
            );
        }
        if let Some(energy) = self.energy
            && self.random_sd > NEGLIGIBLE_SHARE * energy
        {
            report(
                DefectKind::ShortWindow,
                format!(
                    "{name}: the run is too short for the meter, whose resolution leaves {:.1} J of {:.1} J uncertain",
                    self.random_sd.value(),
                    energy.value()
                ),
            );
        }
        if let (Some(power), Some(limit)) = (self.mean_power, &self.power_limit_w)
            && power.value() > limit.max * (1.0 + NEGLIGIBLE_SHARE)
        {
            report(
                DefectKind::AboveLimit,
                format!(
                    "{name} drew {:.0} W on average under a limit of {:.0} W",
                    power.value(),
                    limit.max
                ),
            );
        }
        for (reason, share) in
            self.throttle.iter().filter(|(r, s)| **s > NEGLIGIBLE_SHARE && is_held(r))
        {
            report(
                DefectKind::Throttled,
                format!("{name}: {reason} throttled the clock {:.0} % of the time", share * 100.0),
            );
        }
    }
}

/// Whether a reason throttles a busy device; idle clocks and configured clocks do not count.
fn is_held(reason: &str) -> bool {
    !matches!(reason, "idle" | "applications_clocks" | "display_clock")
}
