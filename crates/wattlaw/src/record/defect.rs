//! What is wrong with a record, before its energy is believed.

use serde::Serialize;

use super::document::{Measured, Record, State};
use crate::base::words::words;

/// Share of a run that may go unseen or uncertain before it is told: far below what sensors are good to (5 %), far above
/// what rounding leaves.
const NEGLIGIBLE_SHARE: f64 = 0.01;

/// A kind of defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DefectKind {
    /// It was not closed.
    Open,
    /// Its writer died.
    Recovered,
    /// The command failed, or nobody saw how it ended.
    EndedBadly,
    /// Another record holds the energy.
    HeldElsewhere,
    /// Readings failed.
    Faults,
    /// A part of the run was not seen.
    PartCovered,
    /// The run is short for the meter.
    ShortWindow,
    /// The energy is an assumption in part.
    Assumed,
    /// More power than the device is allowed.
    AboveLimit,
    /// The clock was held down.
    Throttled,
    /// What was noted when it was closed.
    Note,
}

words!(DefectKind, "kind": Open = "open", Recovered = "recovered", EndedBadly = "ended-badly",
    HeldElsewhere = "held-elsewhere", Faults = "faults", PartCovered = "part-covered",
    ShortWindow = "short-window", Assumed = "assumed", AboveLimit = "above-limit",
    Throttled = "throttled", Note = "note");

/// Something wrong with a record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Defect {
    /// Which kind.
    pub kind: DefectKind,
    /// What was found, as a clause.
    pub text: String,
}

impl Record {
    /// What is wrong with it, from the whole record to its channels.
    pub fn defects(&self) -> Vec<Defect> {
        let mut found = Vec::new();
        let mut tell = |kind, text: String| found.push(Defect { kind, text });
        match self.state {
            State::Running => tell(
                DefectKind::Open,
                "it is being written, or its writer died; `wattlaw recover` closes it then".into(),
            ),
            State::Recovered => tell(
                DefectKind::Recovered,
                "its writer died; at most the last second before that is missing".into(),
            ),
            State::Finished | State::Merged => {}
        }
        if self.end.is_some_and(|end| !end.well()) {
            tell(
                DefectKind::EndedBadly,
                format!("the command did not end well: {}", self.outcome()),
            );
        }
        if let Some(other) = &self.held_by {
            tell(DefectKind::HeldElsewhere, format!("{other} measured this machine at the time"));
        }
        if let Some(first) = self.faults.first() {
            tell(
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
            channel.defects(&mut tell);
        }
        for note in &self.notes {
            tell(DefectKind::Note, note.clone());
        }
        found
    }
}

impl Measured {
    fn defects(&self, tell: &mut impl FnMut(DefectKind, String)) {
        let name = &self.channel.name;
        if self.is_assumed() {
            tell(DefectKind::Assumed, format!("{name} is a power that was stated, not measured"));
            return;
        }
        if self.covered < 1.0 - NEGLIGIBLE_SHARE {
            tell(
                DefectKind::PartCovered,
                format!("{name} was seen {:.1} % of the time", self.covered * 100.0),
            );
        }
        if let Some(energy) = self.energy
            && self.random_sd > NEGLIGIBLE_SHARE * energy
        {
            tell(
                DefectKind::ShortWindow,
                format!(
                    "{name}: the run is short for the meter, whose steps leave {:.1} J of {:.1} J open",
                    self.random_sd.value(),
                    energy.value()
                ),
            );
        }
        if let (Some(power), Some(limit)) = (self.mean_power, &self.power_limit_w)
            && power.value() > limit.max * (1.0 + NEGLIGIBLE_SHARE)
        {
            tell(
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
            tell(
                DefectKind::Throttled,
                format!("{name}: {reason} held the clock down {:.0} % of the time", share * 100.0),
            );
        }
    }
}

/// Whether a reason holds a working device down, and is not just that nothing is to be done.
fn is_held(reason: &str) -> bool {
    !matches!(reason, "idle" | "applications_clocks" | "display_clock")
}
