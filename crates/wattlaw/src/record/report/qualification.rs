//! What keeps a stated energy from being the energy of the runs, as far as the records show.

use serde::Serialize;

use crate::base::scope::Scope;
use crate::base::units::Joules;
use crate::base::words::words;
use crate::record::Component;
use crate::record::document::{End, Measured, Record, Sharing};
use crate::record::gpus::GpuMismatch;
use crate::record::total::components;

/// Share of a run that may be unread without a qualification.
const NEGLIGIBLE_SHARE: f64 = 0.01;

/// A kind of qualification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QualificationKind {
    /// Part of the energy that two records hold was estimated.
    Overlap,
    /// Another record counts a device for some of the time.
    HeldElsewhere,
    /// The job states other GPUs than were measured.
    GpuMismatch,
    /// A device was found but could not be measured.
    LeftOut,
    /// A record that was given has no energy.
    RecordLeftOut,
    /// A device is shared with others.
    Shared,
    /// Part of the time has no readings.
    PartCovered,
    /// The writer of the record was killed.
    Killed,
}

words!(QualificationKind, "kind": Overlap = "overlap", HeldElsewhere = "held-elsewhere", GpuMismatch = "gpu-mismatch",
    LeftOut = "left-out", RecordLeftOut = "record-left-out", Shared = "shared", PartCovered = "part-covered", Killed = "killed");

/// On which side of the stated energy that of the runs lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The runs used at least the stated energy.
    Lower,
    /// The runs used at most the stated energy.
    Upper,
}

words!(Bound, "bound": Lower = "lower", Upper = "upper");

/// A qualification of the stated energy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Qualification {
    /// The kind.
    pub kind: QualificationKind,
    /// What it makes of the stated energy; null if the energy may lie on either side.
    pub bound: Option<Bound>,
    /// Energy that is not in the stated one, in joules, estimated by the mean power of what was measured; zero if none is
    /// missing, or if nothing tells how much.
    pub missing_j: f64,
    /// A clause.
    pub text: String,
}

impl Qualification {
    /// A qualification without missing energy.
    pub(super) const fn new(kind: QualificationKind, bound: Option<Bound>, text: String) -> Self {
        Self { kind, bound, missing_j: 0.0, text }
    }
}

/// The qualifications of a record's energy of a scope.
pub(super) fn of_record(
    record: &Record,
    scope: Scope,
    mismatch: Option<&GpuMismatch>,
    others: &[Record],
) -> Vec<Qualification> {
    let in_scope = |component| components(scope).contains(&component);
    let channels: Vec<&Measured> = record
        .channels
        .iter()
        .filter(|m| in_scope(m.channel.component) && !m.is_assumed())
        .collect();
    let mut found = held(record, scope, others);
    found.extend(gpus(record, scope, mismatch));
    found.extend(unread(&channels));
    found.extend(channels.iter().filter_map(|measured| {
        let what = match measured.shared? {
            Sharing::Mig => "is partitioned (MIG)",
            Sharing::Vgpu => "is shared by virtual machines (vGPU)",
        };
        let text =
            format!("{} {what}, so its energy is that of all its users", measured.channel.name);
        Some(Qualification::new(QualificationKind::Shared, Some(Bound::Upper), text))
    }));
    if record.end == Some(End::Unseen) {
        let text = "wattlaw was killed, so the last second and the time after it are missing";
        found.push(Qualification::new(
            QualificationKind::Killed,
            Some(Bound::Lower),
            text.to_owned(),
        ));
    }
    found
}

/// Devices that count in another record, unless that record is stated too.
fn held(record: &Record, scope: Scope, others: &[Record]) -> Vec<Qualification> {
    let is_stated = |holder: &str| others.iter().any(|r| holder.rsplit('/').next() == Some(&*r.id));
    record
        .held(scope)
        .filter(|measured| !measured.held_by.as_deref().is_some_and(is_stated))
        .filter_map(|measured| record.held_clause(measured))
        .map(|text| Qualification::new(QualificationKind::HeldElsewhere, Some(Bound::Lower), text))
        .collect()
}

/// GPUs of the job that were not measured, and others that were; devices that could not be measured.
fn gpus(record: &Record, scope: Scope, mismatch: Option<&GpuMismatch>) -> Vec<Qualification> {
    let gpu = |component| matches!(component, Component::Gpu | Component::Module);
    let measured: Vec<Joules> = record.measured_gpus().filter_map(|m| m.energy).collect();
    let mean = measured.iter().map(|e| e.value()).sum::<f64>() / measured.len().max(1) as f64;
    let has_gpus = components(scope).contains(&Component::Gpu);
    let count = mismatch.and_then(|m| m.count.as_ref()).filter(|_| has_gpus);
    let absent = count.map_or(0, |count| count.stated.saturating_sub(count.measured));
    let mut found = Vec::new();
    for (clause, is_count) in mismatch.iter().flat_map(|m| m.clauses_by_kind()) {
        let bound = match count {
            Some(count) if is_count && count.measured < count.stated => Some(Bound::Lower),
            Some(_) if is_count => Some(Bound::Upper),
            _ => None,
        };
        if has_gpus {
            found.push(Qualification {
                missing_j: if is_count { absent as f64 * mean } else { 0.0 },
                ..Qualification::new(QualificationKind::GpuMismatch, bound, clause)
            });
        }
    }
    if scope == Scope::Devices && measured.is_empty() && record.states_gpu() {
        let text = "no GPU of the job was measured".to_owned();
        found.push(Qualification::new(QualificationKind::GpuMismatch, Some(Bound::Lower), text));
    }
    let outside = record.left_out.iter().filter(|l| components(scope).contains(&l.component));
    found.extend(outside.map(|left_out| Qualification {
        // GPUs that the job has and that were not measured are missing already
        missing_j: if gpu(left_out.component) && absent == 0 { mean } else { 0.0 },
        ..Qualification::new(
            QualificationKind::LeftOut,
            Some(Bound::Lower),
            format!("{} was not measured: {}", left_out.name, left_out.reason),
        )
    }));
    found
}

/// Channels without readings for part of the time.
fn unread(channels: &[&Measured]) -> Vec<Qualification> {
    let uncovered = |m: &&&Measured| m.covered < 1.0 - NEGLIGIBLE_SHARE && m.held_by.is_none();
    channels
        .iter()
        .filter(uncovered)
        .map(|measured| {
            let missing = measured.missing.unwrap_or(Joules::ZERO);
            let read = format!(
                "{} has readings in only {:.0} % of the time",
                measured.channel.name,
                100.0 * measured.covered
            );
            let (bound, text) = match (measured.energy, missing > Joules::ZERO) {
                (None, _) => {
                    (Some(Bound::Lower), format!("{} was never read", measured.channel.name))
                }
                (_, true) => (Some(Bound::Lower), format!("{read}, and none at its begin or end")),
                (_, false) => (None, read),
            };
            Qualification {
                missing_j: missing.value(),
                ..Qualification::new(QualificationKind::PartCovered, bound, text)
            }
        })
        .collect()
}
