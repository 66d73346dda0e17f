//! Merges the records of a job's nodes into one.

use std::collections::BTreeMap;

use crate::base::error::{Error, Result};
use crate::base::units::Seconds;
use crate::record::document::{End, Measured, Record, State, Window};
use crate::record::overlap::overlaps;
use crate::record::total::totals;

/// Environment variables with the same value on all nodes of a job.
const JOB_VARIABLES: [&str; 3] = ["SLURM_JOB_ID", "TORCHELASTIC_RUN_ID", "SLURM_CLUSTER_NAME"];

/// Merges the records of a job's nodes.
///
/// Energies add up. The time is that of the slowest node, on its own clock, since nodes' clocks differ. Windows that
/// all nodes reported are cut on each node's own clock, and their energies add up too; other windows stay in the nodes'
/// records.
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
    let windows = common_windows(longest, records);
    let mut notes: Vec<String> = Vec::new();
    for record in records {
        let of = |text: &str| format!("{}: {text}", record.id);
        if let Some(holder) = &record.held_by {
            notes.push(of(&format!("its energy is in record {holder}")));
        }
        let alone = record.windows.len() - windows.len();
        if alone > 0 {
            notes.push(of(&format!("{alone} of its windows are not on all nodes")));
        }
        notes.extend(record.notes.iter().map(|note| of(note)));
    }
    let channels: Vec<Measured> = records.iter().flat_map(|r| r.channels.clone()).collect();
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
        faults: records.iter().flat_map(|r| r.faults.clone()).collect(),
        notes,
        ..first.clone()
    })
}

/// The windows of `longest` that all records have; the n-th window of a name is the same window on all nodes.
fn common_windows(longest: &Record, records: &[Record]) -> Vec<Window> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut common = Vec::new();
    for window in &longest.windows {
        let nth = seen.entry(&window.name).or_default();
        let of =
            |r: &'_ Record| r.windows.iter().filter(|w| w.name == window.name).nth(*nth).cloned();
        let all: Option<Vec<Window>> = records.iter().map(of).collect();
        *nth += 1;
        let Some(all) = all else { continue };
        common.push(Window {
            closed: all.iter().all(|w| w.closed),
            steps: all.iter().map(|w| w.steps).max().unwrap_or(0),
            tokens: all.iter().map(|w| w.tokens).fold(0.0, f64::max),
            energies: all.iter().flat_map(|w| w.energies.clone()).collect(),
            ..window.clone()
        });
    }
    common
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
