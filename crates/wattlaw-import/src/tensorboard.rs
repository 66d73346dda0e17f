//! TensorBoard's event files: records of TFRecord (`tensorflow/core/lib/io/record_writer.h`) that each hold an `Event`
//! (`tensorboard/compat/proto/event.proto`).
//!
//! A record is its length (u64, little endian), a checksum of that, the bytes, and a checksum of those; checksums are not checked.
//! Scalars have a step and a wall time; steps and times are those of the tag with the most steps. The files of a folder are of one
//! run: a restart begins another file.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};

use prost::Message;

use super::data_issue::{DataIssue, Findings};
use super::lines::{Source, unreadable};
use super::measured::Measured;
use super::progress::{Progress, count, nanos};
use super::{Reader, no_data, stem};
use wattlaw::base::error::{Error, Location, Result};

/// Longest record that may be one of scalars, in bytes; longer ones are images or graphs and are passed over.
const MAX_SCALARS_BYTES: u64 = 1 << 20;

/// Longest record, in bytes: protocol buffers have at most 2 GiB.
const MAX_RECORD_BYTES: u64 = 1 << 31;

/// Most tags of a run; further ones are not looked at.
const MAX_TAGS: usize = 1024;

/// Tag of the tokens so far that transformers' trainer writes.
const TOKENS: &str = "train/num_input_tokens_seen";

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<SummaryValue>,
}

/// A value of a tag: a plain number, or a tensor that this reader leaves alone.
#[derive(Clone, PartialEq, Message)]
struct SummaryValue {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// Whether a file begins with the record of the file's version: `brain.Event:2`.
pub(super) fn is_event_file(head: &[u8]) -> bool {
    head.get(..64.min(head.len()))
        .is_some_and(|head| memchr::memmem::find(head, b"brain.Event:").is_some())
        && head.get(4..8) == Some(&[0; 4])
}

/// Reads event files.
#[derive(Default)]
pub(super) struct Tensorboard {
    runs: Vec<Run>,
}

struct Run {
    folder: String,
    file: String,
    tags: BTreeMap<String, Progress>,
    /// Step and number of tokens of the first and the last record that has them.
    tokens: Option<[(f64, f64); 2]>,
}

impl Reader for Tensorboard {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        let at = match self.runs.iter().position(|run| run.folder == folder) {
            Some(at) => at,
            None => {
                let (folder, file) = (folder.to_owned(), file.to_owned());
                self.runs.push(Run { folder, file, tags: BTreeMap::new(), tokens: None });
                self.runs.len() - 1
            }
        };
        let Some(run) = self.runs.get_mut(at) else { return Ok(()) };
        let mut records = 0_u64;
        while let Some(record) = next(source, findings)? {
            records += 1;
            // records that are too long have no bytes here
            if let Some(bytes) = record {
                let event = Event::decode(bytes.as_slice()).map_err(|e| {
                    let message = format!("record {records}: {e}");
                    Error::Syntax { format: "event file", message }.at(Location::file(file))
                })?;
                run.event(event, file, findings)?;
            }
        }
        if records == 0 {
            return Err(no_data(file, "events of TensorBoard"));
        }
        Ok(())
    }

    fn finish(self: Box<Self>, findings: &mut Findings) -> Result<Vec<Measured>> {
        let several = self.runs.len() > 1;
        let mut found = Vec::new();
        for run in self.runs {
            let (file, folder) = (run.file.clone(), run.folder.clone());
            match run.measured() {
                Some(measured) => found.push(measured),
                // `add_scalars` and profilers write folders beside the run's
                None if several => findings.add(
                    DataIssue::Skipped,
                    &file,
                    None,
                    format!("the folder {folder} has no scalar at two steps and was skipped"),
                ),
                None => return Err(no_data(&file, "scalar at two steps")),
            }
        }
        match found.is_empty() {
            true => Err(Error::Data("no file has a scalar at two steps".to_owned())),
            false => Ok(found),
        }
    }
}

/// The bytes of the next record; none inside for one that is too long for scalars; `None` at the end, also at that of a file that was cut off.
fn next(source: &mut Source<'_>, findings: &mut Findings) -> Result<Option<Option<Vec<u8>>>> {
    let file = source.name;
    let mut head = [0_u8; 12];
    let mut filled = 0;
    while filled < head.len() {
        match source.input.read(&mut head[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(unreadable(file, &e)),
        }
    }
    if filled == 0 {
        return Ok(None);
    }
    let mut cut = || {
        let text = "the last record is incomplete and was skipped";
        findings.add(DataIssue::Skipped, file, None, text);
        Ok(None)
    };
    if filled < head.len() {
        return cut();
    }
    let [a, b, c, d, e, f, g, h, ..] = head;
    let length = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    if length > MAX_RECORD_BYTES {
        let message = format!("a record of {length} bytes is impossible");
        return Err(Error::Syntax { format: "event file", message }.at(Location::file(file)));
    }
    // with the checksum after it
    let mut rest = (&mut *source.input).take(length + 4);
    if length > MAX_SCALARS_BYTES {
        let passed = std::io::copy(&mut rest, &mut std::io::sink());
        let passed = passed.map_err(|e| unreadable(file, &e))?;
        return if passed < length + 4 { cut() } else { Ok(Some(None)) };
    }
    let mut bytes = Vec::new();
    rest.read_to_end(&mut bytes).map_err(|e| unreadable(file, &e))?;
    if (bytes.len() as u64) < length + 4 {
        return cut();
    }
    bytes.truncate(bytes.len() - 4);
    Ok(Some(Some(bytes)))
}

impl Run {
    fn event(&mut self, event: Event, file: &str, findings: &mut Findings) -> Result<()> {
        let Some(summary) = event.summary else { return Ok(()) };
        let place = || Location::file(file);
        let at = nanos(event.wall_time).ok_or_else(|| {
            let expected = "it must be seconds since 1970";
            Error::invalid("wall_time", event.wall_time, expected).at(place())
        })?;
        let step = count(event.step as f64).ok_or_else(|| {
            Error::invalid("step", event.step, "it must be a number from 0").at(place())
        })?;
        for value in summary.value {
            if value.tag == TOKENS
                && let Some(tokens) = value.simple_value.and_then(|x| count(f64::from(x)))
            {
                let now = (step, tokens);
                self.tokens = Some(self.tokens.map_or([now, now], |[first, _]| [first, now]));
            }
            if self.tags.len() >= MAX_TAGS && !self.tags.contains_key(&value.tag) {
                continue;
            }
            let progress = self.tags.entry(value.tag).or_default();
            progress.push(at, step, None, (file, None), findings);
        }
        Ok(())
    }

    fn measured(self) -> Option<Measured> {
        let most = |a: &&Progress, b: &&Progress| {
            a.steps().total_cmp(&b.steps()).then(b.seconds().total_cmp(&a.seconds()))
        };
        let progress = self.tags.values().max_by(most)?;
        if progress.steps() <= 0.0 || progress.seconds() <= 0.0 {
            return None;
        }
        let name = self.folder.rsplit('/').next().filter(|n| !n.is_empty());
        let mut measured =
            Measured::new(name.unwrap_or_else(|| stem(&self.file)), &self.file, "tensorboard");
        progress.fill(&mut measured);
        measured.start = progress.start();
        if let Some([(first, before), (last, after)]) = self.tokens
            && last - first == progress.steps()
            && after > before
        {
            measured.tokens = Some(after - before);
        }
        Some(measured)
    }
}
