//! torchtitan's output (`torchtitan/components/metrics.py`): lines with a time, `step:` and `tps:`, of one rank or of several.
//!
//! `tps` is of one device and of the steps since the line before; the time between two lines is that of their stamps.

use super::data_issue::Findings;
use super::lines::{Source, text};
use super::measured::Measured;
use super::number::number;
use super::progress::{Progress, count};
use super::timestamp::Timestamp;
use super::{Reader, no_data, stem};
use wattlaw::base::error::{Error, Location, Result};

/// Reads torchtitan's output.
#[derive(Default)]
pub(super) struct Torchtitan {
    measured: Vec<Measured>,
}

impl Reader for Torchtitan {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        let (mut progress, mut gpus, mut start) = (Progress::default(), None, None);
        source.lines(|number, line| {
            let has = |words: &str| memchr::memmem::find(line, words.as_bytes()).is_some();
            let (steps, mesh) = (has("step:") && has("tps:"), has("device mesh with"));
            if !steps && !mesh {
                return Ok(());
            }
            let place = |e: Error| e.at(Location::line(file, number));
            let line = plain(text(line).map_err(place)?);
            if mesh {
                gpus = gpus.or(devices(&line));
            }
            if !steps {
                return Ok(());
            }
            let step = step(&line).map_err(place)?;
            let at = stamp(&line).ok_or_else(|| {
                place(Error::missing("the time of the line", "torchtitan's logger writes it"))
            })?;
            start = start.or(Some(at));
            progress.push(at.nanos(), step, None, (file, Some(number)), findings);
            Ok(())
        })?;
        if progress.steps() <= 0.0 || progress.seconds() <= 0.0 {
            return Err(no_data(file, "two lines with `step:` and `tps:`"));
        }
        let mut measured = Measured::new(stem(file), file, "torchtitan");
        progress.fill(&mut measured);
        measured.start = start;
        measured.gpus = gpus;
        self.measured.push(measured);
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut Findings) -> Result<Vec<Measured>> {
        Ok(self.measured)
    }
}

/// A line without the codes of colours.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        out.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    out + rest
}

fn step(line: &str) -> Result<f64> {
    let word = line.split_once("step:").and_then(|(_, rest)| rest.split_whitespace().next());
    let word = word.unwrap_or_default().replace(',', "");
    let step = number(&word, "step")?;
    count(step).ok_or_else(|| Error::invalid("step", step, "it must be a number from 0"))
}

/// The first time in a line: `2026-03-01 11:00:00,123`.
fn stamp(line: &str) -> Option<Timestamp> {
    let at = line
        .as_bytes()
        .windows(3)
        .position(|w| w[0] == b'-' && w[1..].iter().all(u8::is_ascii_digit))?;
    let from = line.get(at.checked_sub(4)?..)?;
    let end = from.match_indices(' ').nth(1).map_or(from.len(), |(end, _)| end);
    Timestamp::parse(&from[..end].replace(',', "."))
}

/// The number of devices of `Building 2-D device mesh with ['pp', 'dp_shard'], [2, 4]`.
fn devices(line: &str) -> Option<u64> {
    let (_, sizes) = line.rsplit_once('[')?;
    let (sizes, _) = sizes.split_once(']')?;
    sizes
        .split(',')
        .try_fold(1_u64, |all, size| all.checked_mul(size.trim().parse().ok()?))
        .filter(|n| *n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_times_and_meshes_are_read() {
        let line = "[rank0]:[titan] 2026-03-01 11:00:00,250 - root - INFO - \u{1b}[31mstep: 10 \u{1b}[32m loss: 8.1";
        assert_eq!(step(&plain(line)).unwrap(), 10.0);
        assert_eq!(stamp(line).unwrap().to_string(), "2026-03-01T11:00:00.250");
        assert_eq!(devices("Building 2-D device mesh with ['pp', 'dp_shard'], [2, 4]"), Some(8));
        assert_eq!(devices("Building device mesh with [x]"), None);
    }
}
