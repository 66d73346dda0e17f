//! Energy that several records hold: the same device read in the same time. It is counted once.
//!
//! Reports, merges, fits and tables all use this. Records overlap where a merged record stands beside its parts, where a
//! record occurs twice, where one record's command measured another, and where two containers read one device.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::base::units::{Joules, Seconds};
use crate::record::document::{Measured, Node, Record, State};
use crate::record::total::totals;

/// Shortest common time that counts: times of day are recorded to the millisecond, so records that follow each other may
/// seem to share one.
const SHORTEST_S: f64 = 2e-3;

/// A channel whose energy another record holds too.
#[derive(Debug, Clone, PartialEq)]
pub struct Overlap {
    /// Index of the record in which the energy is not counted.
    pub record: usize,
    /// Index of the channel in it.
    pub channel: usize,
    /// Index of the record in which the energy is counted.
    pub counted_in: usize,
    /// Share of the channel's time that other records hold too, above 0 and at most 1.
    pub share: f64,
}

/// Records whose energies can be added up.
#[derive(Debug, Clone, PartialEq)]
pub struct CountedOnce {
    /// The records that count, in order.
    pub records: Vec<Counted>,
    /// What is counted once.
    pub notes: Vec<OverlapNote>,
}

/// Energy that is counted once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlapNote {
    /// A clause.
    pub text: String,
    /// Whether the energy that is counted once was estimated, by the mean power.
    pub estimated: bool,
}

/// A record that counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// The record, without energy that another one holds.
    pub record: Record,
    /// Whether energy was taken from it.
    pub reduced: bool,
}

/// The machine and record that a run was measured in: the same in a copy, and in a merged record and its part.
type RunKey = (String, String, Option<String>);

/// Finds the channels whose energy other records hold too.
///
/// Of records that hold the same energy, a merged one counts rather than its parts, then the longest, then the first.
pub fn overlaps(records: &[Record]) -> Vec<Overlap> {
    let mut counted: BTreeMap<String, Vec<(usize, Option<Span>)>> = BTreeMap::new();
    let mut found = Vec::new();
    for index in by_precedence(records) {
        let Some(record) = records.get(index) else { continue };
        for (channel, measured) in record.channels.iter().enumerate() {
            if measured.energy.is_none() {
                continue;
            }
            let span = Span::of(record, measured);
            let others = counted.entry(device(record, measured)).or_default();
            let shared = shared_with(record, span, others, records);
            others.push((index, span));
            if let Some((counted_in, share)) = shared {
                found.push(Overlap { record: index, channel, counted_in, share });
            }
        }
    }
    found.sort_by_key(|overlap| (overlap.record, overlap.channel));
    found
}

/// Makes the energies of records add up: repeated records are left out, and energy that two records hold stays in one.
///
/// A channel that another record read for part of its time keeps its energy at the mean power of the rest. The power there
/// is unknown, so its energy is uniform between zero and twice that, as in a gap of readings.
pub fn counted_once(records: &[Record]) -> CountedOnce {
    let repeated = repeats(records);
    let mut notes: Vec<OverlapNote> =
        repeated.iter().map(|(index, of)| repeat_note(records, *index, *of)).collect();
    let mut counted: Vec<Counted> =
        records.iter().map(|r| Counted { record: r.clone(), reduced: false }).collect();
    let mut shared: BTreeMap<(usize, usize), Vec<(String, f64)>> = BTreeMap::new();
    for overlap in overlaps(records).iter().filter(|o| !repeated.contains_key(&o.record)) {
        let Some(reduced) = counted.get_mut(overlap.record) else { continue };
        let Some(measured) = reduced.record.channels.get_mut(overlap.channel) else { continue };
        let name = format!("{} of {}", measured.channel.name, measured.host);
        take(measured, overlap.share);
        reduced.reduced = true;
        shared.entry((overlap.record, overlap.counted_in)).or_default().push((name, overlap.share));
    }
    for ((index, counted_in), channels) in shared {
        notes.push(share_note(records, index, counted_in, &channels));
    }
    for reduced in counted.iter_mut().filter(|c| c.reduced) {
        reduced.record.energies = totals(&reduced.record.channels);
    }
    let kept = counted.into_iter().enumerate().filter(|(index, _)| !repeated.contains_key(index));
    CountedOnce { records: kept.map(|(_, counted)| counted).collect(), notes }
}

/// Repeated records by index, each with the one that counts.
fn repeats(records: &[Record]) -> BTreeMap<usize, usize> {
    let mut kept: Vec<usize> = Vec::new();
    let mut found = BTreeMap::new();
    for index in by_precedence(records) {
        let Some(record) = records.get(index) else { continue };
        let holds = |other: &&usize| {
            records.get(**other).is_some_and(|other| {
                run_keys(record).is_subset(&run_keys(other)) && is_same_run(record, other)
            })
        };
        match kept.iter().find(holds) {
            Some(other) => {
                found.insert(index, *other);
            }
            None => kept.push(index),
        }
    }
    found
}

/// Indices of records, those that count first: merged ones, then long ones, then as given.
fn by_precedence(records: &[Record]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..records.len()).collect();
    let rank = |index: &usize| {
        records.get(*index).map_or((0, 0.0), |record| {
            (record.nodes.len(), record.duration.map_or(0.0, Seconds::value))
        })
    };
    // a stable sort keeps the given order of equals
    order.sort_by(|a, b| {
        let (a, b) = (rank(a), rank(b));
        b.0.cmp(&a.0).then(b.1.total_cmp(&a.1))
    });
    order
}

fn run_keys(record: &Record) -> BTreeSet<RunKey> {
    let of = |node: &Node| {
        let id = node.record.clone().unwrap_or_else(|| record.id.clone());
        (id, node.host.clone(), node.boot_id.clone())
    };
    record.nodes.iter().map(of).collect()
}

/// Whether one record holds the run of the other: a copy of it, or merged from it.
fn is_same_run(a: &Record, b: &Record) -> bool {
    let merged = [a, b].iter().any(|r| r.state == State::Merged);
    !run_keys(a).is_disjoint(&run_keys(b)) && (merged || a.started_at == b.started_at)
}

/// The counted record that holds most of a span of a record's channel, and the share of the span that all counted ones hold.
fn shared_with(
    record: &Record,
    span: Option<Span>,
    counted: &[(usize, Option<Span>)],
    records: &[Record],
) -> Option<(usize, f64)> {
    let is_part = |other: usize| records.get(other).is_some_and(|o| is_same_run(record, o));
    // the clocks of merged nodes differ, so a part is known by its name; without times nothing shows that they differ
    let whole = counted
        .iter()
        .find(|(other, theirs)| is_part(*other) || span.is_none() || theirs.is_none());
    if let Some((other, _)) = whole {
        return Some((*other, 1.0));
    }
    let span = span?;
    let mut common: Vec<(usize, Span)> = counted
        .iter()
        .filter_map(|(other, theirs)| Some((*other, span.common(theirs.as_ref()?)?)))
        .collect();
    let longest = common.iter().max_by(|a, b| a.1.length().total_cmp(&b.1.length()))?.0;
    common.sort_by(|a, b| a.1.from.total_cmp(&b.1.from));
    let (mut until, mut held) = (f64::NEG_INFINITY, 0.0);
    for (_, part) in &common {
        held += (part.to - part.from.max(until)).max(0.0);
        until = until.max(part.to);
    }
    (held > SHORTEST_S).then(|| (longest, (held / span.length()).min(1.0)))
}

/// A stretch of time of day, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    from: f64,
    to: f64,
}

impl Span {
    /// The part of the command's time in which a channel was read; `None` where the record states no time.
    fn of(record: &Record, measured: &Measured) -> Option<Self> {
        let started: Timestamp = record.started_at.parse().ok()?;
        let zero = started.as_duration().as_secs_f64();
        let begin = record.begin.unwrap_or(Seconds::ZERO);
        let end = begin + record.duration?;
        let opened = measured.gaps.iter().filter(|gap| gap.from <= begin).map(|gap| gap.to);
        let closed = measured.gaps.iter().filter(|gap| gap.to >= end).map(|gap| gap.from);
        let begin = measured.counted_from.unwrap_or(begin).max(begin);
        let from = opened.fold(begin, Seconds::max);
        let to = closed.fold(end, Seconds::min);
        (to > from).then(|| Self { from: zero + from.value(), to: zero + to.value() })
    }

    fn common(&self, other: &Self) -> Option<Self> {
        let (from, to) = (self.from.max(other.from), self.to.min(other.to));
        (to > from).then_some(Self { from, to })
    }

    fn length(&self) -> f64 {
        self.to - self.from
    }
}

/// A globally unique name of a device: a GPU's UUID, or else the machine and the path.
pub(super) fn device(record: &Record, measured: &Measured) -> String {
    let channel = &measured.channel;
    if channel.device.starts_with("GPU-") {
        return channel.device.clone();
    }
    let node = record.nodes.iter().find(|node| node.host == measured.host);
    // containers of one machine have different host names and the same boot id
    let machine =
        node.and_then(|node| node.boot_id.clone()).unwrap_or_else(|| measured.host.clone());
    format!("{machine} {} {}", channel.component, channel.device)
}

/// Takes a share of a channel's energy away.
fn take(measured: &mut Measured, share: f64) {
    let Some(energy) = measured.energy else { return };
    let taken = energy * share;
    let unknown = if share < 1.0 { taken.value() / 3f64.sqrt() } else { 0.0 };
    measured.energy = Some(energy - taken);
    measured.systematic_sd = measured.systematic_sd.map(|sd| sd * (1.0 - share));
    let random = if share < 1.0 { measured.random_sd.value() } else { 0.0 };
    measured.random_sd = Joules::new(random.hypot(unknown));
}

fn repeat_note(records: &[Record], index: usize, of: usize) -> OverlapNote {
    let (id, other) = (id(records, index), id(records, of));
    let text = match id == other {
        true => format!("record {id} occurs twice; it is counted once"),
        false => {
            format!("record {id} is part of the merged record {other}; its energy is counted once")
        }
    };
    OverlapNote { text, estimated: false }
}

fn share_note(
    records: &[Record],
    index: usize,
    counted_in: usize,
    channels: &[(String, f64)],
) -> OverlapNote {
    let names: Vec<&str> = channels.iter().map(|(name, _)| name.as_str()).collect();
    let (id, other) = (id(records, index), id(records, counted_in));
    let both =
        format!("records {other} and {id} measured {} at the same time", names.join(" and "));
    let share = channels.iter().map(|(_, share)| *share).fold(0.0, f64::max);
    let estimated = channels.iter().any(|(_, share)| *share < 1.0);
    let text = match estimated {
        false => format!("{both}; its energy is counted once, in {other}"),
        true => format!(
            "{both} for {:.0} % of the time of {id}; that part, estimated by the mean power, is counted once, in {other}",
            100.0 * share
        ),
    };
    OverlapNote { text, estimated }
}

fn id(records: &[Record], index: usize) -> &str {
    records.get(index).map_or("", |record| record.id.as_str())
}
