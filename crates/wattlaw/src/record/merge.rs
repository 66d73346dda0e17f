//! Merges the records of a job's nodes into one.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::error::{Error, Result};
use crate::base::units::{Joules, Seconds};
use crate::record::document::{End, Measured, Part, Record, State, Window};
use crate::record::overlap::{device, overlaps};
use crate::record::total::totals;

/// Environment variables with the same value on all nodes of a job.
const JOB_VARIABLES: [&str; 3] = ["SLURM_JOB_ID", "TORCHELASTIC_RUN_ID", "SLURM_CLUSTER_NAME"];

/// Merges the records of a job's nodes.
///
/// Energies add up. The time is that of the slowest node, on its own clock, since nodes' clocks differ. Windows that
/// all nodes reported, by any record of a node, are cut on each node's own clock, and their energies add up too; other
/// windows stay in the nodes' records.
///
/// # Errors
/// [`Error::Data`] for a record that is not closed, records of different jobs or times, and a device in two records.
pub fn merge(records: &[Record]) -> Result<Record> {
    let Some(first) = records.iter().min_by(|a, b| a.started_at.cmp(&b.started_at)) else {
        return Err(Error::Data("there is no record to merge".to_owned()));
    };
    for record in records {
        record.closed()?;
        check_same_job(first, record)?;
    }
    check_same_time(records)?;
    check_devices_distinct(records)?;
    let longest = records.iter().max_by(|a, b| length(a).total_cmp(&length(b))).unwrap_or(first);
    let duration = longest.duration.unwrap_or(Seconds::ZERO);
    let devices = one_per_device(records, duration);
    let windows = common_windows(longest, records, &devices);
    let mut kept: BTreeMap<&String, usize> = BTreeMap::new();
    for window in &windows {
        *kept.entry(&window.name).or_default() += 1;
    }
    let mut notes: Vec<String> = Vec::new();
    for record in records {
        let of = |text: &str| format!("{}: {text}", record.id);
        notes.extend(record.held_clauses().iter().map(|clause| of(clause)));
        let is_alone = |(w, nth): &(&Window, usize)| kept.get(&w.name).is_none_or(|n| nth > n);
        let alone = numbered(record).filter(is_alone).count();
        if alone > 0 {
            notes.push(of(&format!("{alone} of its windows are not on all nodes")));
        }
        notes.extend(record.notes.iter().map(|note| of(note)));
    }
    let channels: Vec<Measured> = devices.into_iter().map(|merged| merged.measured).collect();
    let nodes = records.iter().flat_map(|record| {
        record.nodes.iter().map(|node| {
            let mut node = node.clone();
            node.record.get_or_insert_with(|| record.id.clone());
            node
        })
    });
    let job = records
        .iter()
        .filter_map(|r| r.job.clone())
        .reduce(|reported, more| reported.with_fallback(more));
    Ok(Record {
        id: format!("{}-merged", first.id),
        state: State::Merged,
        nodes: nodes.collect(),
        end: records
            .iter()
            .filter_map(|r| r.end)
            .find(|end| !end.well())
            .or(Some(End::Exit { code: 0 })),
        stopped: records.iter().find_map(|r| r.stopped),
        started_at: first.started_at.clone(),
        ended_at: records.iter().filter_map(|r| r.ended_at.clone()).max(),
        begin: longest.begin,
        duration: longest.duration,
        energies: totals(&channels),
        channels,
        held_by: None,
        steps: largest_count(records, "steps", |r| r.steps, &mut notes),
        tokens: largest_count(records, "tokens", |r| r.tokens, &mut notes),
        windows,
        job,
        left_out: records.iter().flat_map(|r| r.left_out.clone()).collect(),
        faults: records.iter().flat_map(|r| r.faults.clone()).collect(),
        notes,
        ..first.clone()
    })
}

/// The channels of all records, one a device: energy that was handed over from record to record adds up.
fn one_per_device(records: &[Record], duration: Seconds) -> Vec<Merged> {
    let mut merged: Vec<Merged> = Vec::new();
    for record in records {
        for measured in &record.channels {
            let device = device(record, measured);
            let of_device = merged.iter_mut().find(|m| m.device == device);
            let held = measured.held_by.is_some();
            match of_device.filter(|m| held || m.measured.held_by.is_some()) {
                Some(other) => other.add(measured, record, duration),
                None => merged.push(Merged {
                    device,
                    measured: measured.clone(),
                    counted: record.duration.unwrap_or(Seconds::ZERO) * measured.covered,
                }),
            }
        }
    }
    merged
}

/// A channel of a merged record.
struct Merged {
    device: String,
    measured: Measured,
    /// Time with readings that count.
    counted: Seconds,
}

impl Merged {
    /// Adds what another record counted of the same device.
    fn add(&mut self, more: &Measured, record: &Record, duration: Seconds) {
        self.counted += record.duration.unwrap_or(Seconds::ZERO) * more.covered;
        // the channel of the record that counted from its begin describes the device
        let (mut first, second) = match self.measured.held_by {
            Some(_) if more.held_by.is_none() => (more.clone(), self.measured.clone()),
            _ => (self.measured.clone(), more.clone()),
        };
        let sum = |a: Option<Joules>, b: Option<Joules>| match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        first.energy = sum(first.energy, second.energy);
        first.missing = sum(first.missing, second.missing);
        first.systematic_sd = sum(first.systematic_sd, second.systematic_sd);
        first.counted_from = match (first.counted_from, second.counted_from) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b).filter(|_| first.held_by.is_some()),
        };
        let (a, b) = (first.random_sd.value(), second.random_sd.value());
        first.random_sd = Joules::new(a.hypot(b));
        first.covered = match duration > Seconds::ZERO {
            true => (self.counted / duration).min(1.0),
            false => first.covered,
        };
        self.measured = first;
    }
}

/// The windows that records reported, on each record's own clock; the n-th window of a name is the same window in all.
///
/// A window is kept if records of all machines reported it and it has the energy of every device. Records of one machine,
/// as of its ranks, read the same devices, so a window of any of them has their energy.
fn common_windows(longest: &Record, records: &[Record], channels: &[Merged]) -> Vec<Window> {
    let machines: BTreeSet<&str> = records.iter().flat_map(machines_of).collect();
    let by_name: Vec<BTreeMap<(&str, usize), &Window>> = records
        .iter()
        .map(|r| numbered(r).map(|(w, nth)| ((w.name.as_str(), nth), w)).collect())
        .collect();
    let mut found: BTreeSet<(&str, usize)> = BTreeSet::new();
    let mut common = Vec::new();
    for (window, nth) in [longest].into_iter().chain(records).flat_map(numbered) {
        let name = (window.name.as_str(), nth);
        if !found.insert(name) {
            continue;
        }
        let all: Vec<(&Record, &Window)> = records
            .iter()
            .zip(&by_name)
            .filter_map(|(record, windows)| Some((record, *windows.get(&name)?)))
            .collect();
        let reported: BTreeSet<&str> = all.iter().flat_map(|(r, _)| machines_of(r)).collect();
        let parts: Option<Vec<Part>> =
            channels.iter().map(|channel| part_of(channel, &all)).collect();
        let Some(energies) = parts.filter(|_| reported == machines) else { continue };
        common.push(Window {
            closed: all.iter().all(|(_, w)| w.closed),
            steps: all.iter().map(|(_, w)| w.steps).max().unwrap_or(0),
            tokens: all.iter().map(|(_, w)| w.tokens).fold(0.0, f64::max),
            energies,
            ..window.clone()
        });
    }
    common
}

/// The windows of a record, each with its number among those of its name.
fn numbered(record: &Record) -> impl Iterator<Item = (&Window, usize)> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    record.windows.iter().map(move |window| {
        let nth = seen.entry(&window.name).or_default();
        *nth += 1;
        (window, *nth)
    })
}

/// The machines of a record; containers of one machine share its boot.
fn machines_of(record: &Record) -> impl Iterator<Item = &str> {
    record.nodes.iter().map(|node| node.boot_id.as_deref().unwrap_or(&node.host))
}

/// A device's energy in a window, from the record that counts the device where that reported the window.
fn part_of(channel: &Merged, reported: &[(&Record, &Window)]) -> Option<Part> {
    let parts = reported.iter().flat_map(|(record, window)| {
        record.channels.iter().filter_map(move |measured| {
            let is_its = |p: &&Part| p.host == measured.host && p.channel == measured.channel.name;
            let part = window.energies.iter().find(is_its)?;
            (device(record, measured) == channel.device)
                .then_some((measured.held_by.is_some(), part))
        })
    });
    let (_, part) = parts.min_by_key(|(held, _)| *held)?;
    Some(Part {
        host: channel.measured.host.clone(),
        channel: channel.measured.channel.name.clone(),
        ..part.clone()
    })
}

fn length(record: &Record) -> f64 {
    record.duration.map_or(0.0, Seconds::value)
}

fn check_same_job(first: &Record, record: &Record) -> Result<()> {
    for name in JOB_VARIABLES {
        let reported = |r: &Record| r.nodes.iter().find_map(|n| n.environment.get(name).cloned());
        if let (Some(a), Some(b)) = (reported(first), reported(record))
            && a != b
        {
            return Err(Error::Data(format!(
                "records {} and {} are of different jobs: {name} is {a} and {b}",
                first.id, record.id
            )));
        }
    }
    Ok(())
}

/// Refuses records that do not overlap in time.
///
/// Times of day are RFC 3339 in UTC to the millisecond, which sort as text.
fn check_same_time(records: &[Record]) -> Result<()> {
    let last = records.iter().max_by(|a, b| a.started_at.cmp(&b.started_at));
    let ended = |r: &Record| r.ended_at.clone();
    let first = records.iter().filter(|r| ended(r).is_some()).min_by_key(|r| ended(r));
    match (first, last) {
        (Some(first), Some(last)) if ended(first).is_some_and(|end| end < last.started_at) => {
            Err(Error::Data(format!(
                "records {} and {} do not overlap in time: the first ended before the second began",
                first.id, last.id
            )))
        }
        _ => Ok(()),
    }
}

fn check_devices_distinct(records: &[Record]) -> Result<()> {
    let found = overlaps(records);
    let Some(first) = found.first() else { return Ok(()) };
    let of = |index: usize| records.get(index);
    let measured = of(first.record).and_then(|r| r.channels.get(first.channel));
    match (measured, of(first.record), of(first.counted_in)) {
        (Some(measured), Some(record), Some(other)) => Err(Error::Data(format!(
            "{} of {} is in records {} and {} at the same time; its energy would be counted twice",
            measured.channel.name, measured.host, other.id, record.id
        ))),
        _ => Ok(()),
    }
}

/// The largest of the counts that the programs reported, since ranks may report the same or fewer.
fn largest_count<T: PartialOrd + Copy + std::fmt::Display>(
    records: &[Record],
    what: &str,
    of: impl Fn(&Record) -> Option<T>,
    notes: &mut Vec<String>,
) -> Option<T> {
    let reported: Vec<T> = records.iter().filter_map(of).collect();
    let largest = reported.iter().copied().reduce(|a, b| if b > a { b } else { a });
    if let Some(largest) = largest
        && reported.iter().any(|n| *n != largest)
    {
        notes.push(format!(
            "programs reported different {what}; the largest value, {largest}, is used"
        ));
    }
    largest
}
