//! nanotron's output (`nanotron/trainer.py`, `train_step_logs`): `iteration: 5 / 100 | … | time_per_iteration_ms: 1.2K | …`, and
//! `elapsed_time_per_iteration_ms` in older versions.
//!
//! Figures are rounded to three digits and have the suffixes of `human_format`. A line has the time of its own iteration, and
//! iterations 1, 1 + n, 1 + 2n, … have one (`iteration_step_info_interval` of the configuration).

use super::data_issue::{DataIssue, Findings};
use super::iterations::{Iterations, Line};
use super::lines::{Source, text};
use super::measured::Measured;
use super::number::{number, shortened};
use super::progress::count;
use super::{Reader, no_data, stem};
use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::units::Seconds;

const TIME: &str = "time_per_iteration_ms:";

/// Reads nanotron's output.
#[derive(Default)]
pub(super) struct Nanotron {
    measured: Vec<Measured>,
}

impl Reader for Nanotron {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        let mut sum = Iterations::default();
        source.lines(|number, line| {
            if memchr::memmem::find(line, TIME.as_bytes()).is_none() {
                return Ok(());
            }
            let place = |e: Error| e.at(Location::line(file, number));
            let line = text(line).map_err(place)?;
            let iteration = figure(line, "iteration:").map_err(place)?.ok_or_else(|| {
                place(Error::missing("iteration", "nanotron writes it before the first `|`"))
            })?;
            let milliseconds = figure(line, TIME).map_err(place)?.unwrap_or(0.0);
            let seconds = milliseconds / 1e3;
            sum.push(Line { number, iteration, seconds, joules: 0.0, batch: None }, file, findings);
            Ok(())
        })?;
        sum.end(file, findings);
        if sum.iterations > sum.lines() as f64 {
            let text = "each line has the time of its own iteration; the iterations in between are assumed to take as long";
            findings.add(DataIssue::Assumed, file, None, text);
        }
        if sum.iterations <= 0.0 || sum.seconds <= 0.0 {
            return Err(no_data(file, "lines with `time_per_iteration_ms:`"));
        }
        let text = "nanotron writes times to three digits, so they are known to 0.5 %";
        findings.add(DataIssue::Assumed, file, None, text);
        let mut measured = Measured::new(stem(file), file, "nanotron");
        measured.duration = Some(Seconds::new(sum.seconds));
        measured.steps = Some(sum.iterations);
        self.measured.push(measured);
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut Findings) -> Result<Vec<Measured>> {
        Ok(self.measured)
    }
}

/// The number after a label: `1.2K` is 1200; `None` without the label.
fn figure(line: &str, label: &str) -> Result<Option<f64>> {
    let Some((_, rest)) = line.split_once(label) else { return Ok(None) };
    let word = rest.trim_start().split([' ', '|', '/']).next().unwrap_or_default();
    let suffixes = [("K", 1e3), ("M", 1e6), ("G", 1e9), ("B", 1e9), ("T", 1e12), ("P", 1e15)];
    let (digits, factor) = suffixes
        .iter()
        .find_map(|(suffix, factor)| Some((word.strip_suffix(suffix)?, *factor)))
        .unwrap_or((word, 1.0));
    let what = label.trim_end_matches(':');
    let x = number(digits, what)? * factor;
    match count(x) {
        Some(x) => Ok(Some(x)),
        None => Err(Error::invalid(what, shortened(word), "it must be a number from 0")),
    }
}
