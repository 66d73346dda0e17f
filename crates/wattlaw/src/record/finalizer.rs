//! Finalizes a record: computes `run.json` from the files written while the command ran.
//!
//! Closing by the writer and recovery after a kill use the same code.

use std::collections::BTreeMap;

use crate::base::units::{Joules, Seconds};
use crate::record::accumulator::{ChannelAccumulator, Held};
use crate::record::document::{End, Fault, Measured, Record, State, Window};
use crate::record::event::{Entry, Event};
use crate::record::reading::{HEADER, Reading};
use crate::record::total::totals;
use crate::record::windows::{Span, Spans};

/// Maximum numbers of notes and faults; the gaps of channels include all faults.
const MAX_NOTES: usize = 50;
const MAX_FAULTS: usize = 1000;

/// Accumulates readings into a record.
#[derive(Debug)]
pub struct Finalizer {
    record: Record,
    spans: Spans,
    channels: Vec<ChannelAccumulator>,
    begin: Option<Seconds>,
    end: Option<(Seconds, End)>,
    /// The time of the last line.
    last: Seconds,
    unreadable: u64,
}

impl Finalizer {
    /// Starts from the opened record and its events.
    pub fn new(mut record: Record, mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|a, b| a.at.value().total_cmp(&b.at.value()));
        let mut begin = None;
        let mut end = None;
        let mut taken_over: BTreeMap<String, Seconds> = BTreeMap::new();
        for entry in &entries {
            match &entry.event {
                Event::CommandBegin => begin = begin.or(Some(entry.at)),
                Event::CommandEnd { end: how } => end = end.or(Some((entry.at, *how))),
                Event::Stopped { stop } => record.stopped = record.stopped.or(Some(*stop)),
                Event::Job { job } => {
                    let known = record.job.take().unwrap_or_default();
                    record.job = Some((**job).clone().with_fallback(known));
                }
                Event::Fault { channel, reason } if record.faults.len() < MAX_FAULTS => {
                    record.faults.push(Fault {
                        at: entry.at,
                        channel: channel.clone(),
                        reason: reason.clone(),
                    });
                }
                Event::TakenOver { channel } => {
                    taken_over.entry(channel.clone()).or_insert(entry.at);
                }
                Event::Note { text } => note(&mut record, text.clone()),
                _ => {}
            }
        }
        let spans = Spans::from_entries(&entries, record.window_steps);
        let mut marks: Vec<Seconds> = spans
            .spans
            .iter()
            .flat_map(|span| [Some(span.from), span.to])
            .chain([Some(Seconds::ZERO), begin, end.map(|(at, _)| at)])
            .flatten()
            .chain(taken_over.values().copied())
            .collect();
        marks.sort_by(|a, b| a.value().total_cmp(&b.value()));
        marks.dedup();
        let command =
            (begin.unwrap_or(Seconds::ZERO), end.map_or(Seconds::new(f64::INFINITY), |(at, _)| at));
        let channels = record
            .channels
            .iter()
            .map(|measured| {
                ChannelAccumulator::new(
                    measured.channel.clone(),
                    record.interval,
                    marks.clone(),
                    command,
                    measured.held_by.clone().map(|by| Held {
                        by,
                        until: taken_over.get(&measured.channel.name).copied(),
                    }),
                )
            })
            .collect();
        let last = entries.last().map_or(Seconds::ZERO, |entry| entry.at);
        Self { record, spans, channels, begin, end, last, unreadable: 0 }
    }

    /// Adds a line of `trace.csv`, without its end.
    pub fn line(&mut self, line: &str) {
        let followed = Reading::parse(line).and_then(|reading| {
            let index = self.channels.iter().position(|c| c.channel().name == reading.channel)?;
            Some((index, reading))
        });
        match followed {
            Some((index, reading)) => {
                self.last = self.last.max(reading.at);
                if let Some(channel) = self.channels.get_mut(index) {
                    channel.push(reading.at, reading.sample);
                }
            }
            None if line == HEADER || line.is_empty() => {}
            None => self.unreadable += 1,
        }
    }

    /// The closed record; the caller sets the wall-clock time at which the command ended.
    pub fn close(mut self, state: State) -> Record {
        let last = self.last;
        let begin = self.begin.unwrap_or(Seconds::ZERO);
        let end = self.end.map_or(last, |(at, _)| at).max(begin);
        let host = self.record.nodes.first().map(|n| n.host.clone()).unwrap_or_default();
        for channel in &mut self.channels {
            channel.finish(end, last.max(end));
        }
        let idle = self.record.idle > Seconds::ZERO;
        let before = (idle && self.begin.is_some()).then_some((Seconds::ZERO, begin));
        let after = (idle && self.end.is_some()).then_some((end, last.max(end)));
        let record = &mut self.record;
        record.state = state;
        record.begin = self.begin;
        record.end = Some(self.end.map_or(End::Unseen, |(_, how)| how));
        record.duration = Some(end - begin);
        record.channels = self
            .channels
            .iter()
            .zip(&record.channels)
            .map(|(channel, opened)| Measured {
                shared: opened.shared,
                ..channel.measured(&host, [before, after])
            })
            .collect();
        record.energies = totals(&record.channels);
        record.steps = self.spans.steps;
        record.tokens = self.spans.tokens;
        record.windows =
            self.spans.spans.iter().map(|span| window(span, &self.channels, &host, end)).collect();
        self.note_anomalies();
        self.record
    }

    fn note_anomalies(&mut self) {
        let counted = [
            (self.unreadable, "of trace.csv could not be read and were left out", "lines"),
            (
                self.spans.left_out,
                "exceeded the limits of number or depth and were left out",
                "windows",
            ),
            (self.spans.stray_ends, "had no open window", "window ends"),
        ];
        for (n, what, things) in counted {
            if n > 0 {
                note(&mut self.record, format!("{n} {things} {what}"));
            }
        }
        let disagreements: Vec<String> =
            self.record.channels.iter().filter_map(disagreement).collect();
        for text in disagreements {
            note(&mut self.record, text);
        }
    }
}

/// A note if a counter and its own integrated power differ by more than 10 % and more than the counter's quantisation.
fn disagreement(channel: &Measured) -> Option<String> {
    let (integrated, energy) = (channel.integrated?, channel.energy?);
    let apart = Joules::new((integrated - energy).value().abs());
    (apart > energy * 0.1 + channel.random_sd * 3.0).then(|| {
        format!(
            "{}: the counter says {:.0} J and integrated power {:.0} J",
            channel.channel.name,
            energy.value(),
            integrated.value()
        )
    })
}

fn note(record: &mut Record, text: String) {
    if record.notes.len() < MAX_NOTES {
        record.notes.push(text);
    }
}

fn window(span: &Span, channels: &[ChannelAccumulator], host: &str, end: Seconds) -> Window {
    let to = span.to.unwrap_or(end).max(span.from);
    Window {
        name: span.name.clone(),
        inside: span.inside.clone(),
        from: span.from,
        to,
        closed: span.to.is_some(),
        steps: span.steps,
        tokens: span.tokens,
        energies: channels.iter().filter_map(|c| c.part(host, span.from, to)).collect(),
    }
}
