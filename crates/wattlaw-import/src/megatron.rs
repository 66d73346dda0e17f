//! Megatron-LM's output with `--log-energy` (`megatron/training/training.py`, `training_log`).
//!
//! A line has the mean per iteration and GPU since the previous line; the total at the end covers all GPUs including evaluation and
//! checkpoints.

use super::data_issue::{DataIssue, Findings};
use super::lines::{Source, text};
use super::measured::Measured;
use super::number::number_after;
use super::timestamp::Timestamp;
use super::{Reader, no_data, stem};
use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::scope::Scope;
use wattlaw::record::Instrument;

const ENERGY: &str = "energy per GPU (J/iter/GPU):";
const TIME: &str = "elapsed time per iteration (ms):";

/// Reads Megatron-LM's output.
#[derive(Default)]
pub(super) struct Megatron {
    measured: Vec<Measured>,
}

/// A log line of iterations.
struct Line {
    number: u64,
    iteration: f64,
    seconds: f64,
    joules: f64,
    batch: Option<f64>,
}

impl Reader for Megatron {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        let mut log = Log::default();
        source.lines(|number, line| log.line(file, number, line, findings))?;
        self.measured.push(log.finish(file, findings)?);
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut Findings) -> Result<Vec<Measured>> {
        Ok(self.measured)
    }
}

#[derive(Default)]
struct Log {
    start: Option<Timestamp>,
    /// The last line, and the first one while its number of iterations is unknown.
    last: Option<(u64, f64)>,
    first: Option<Line>,
    iterations: f64,
    samples: f64,
    all_samples: bool,
    seconds: f64,
    joules: f64,
    world: Option<u64>,
    total: Option<f64>,
    without_energy: u64,
    lines: u64,
    /// Number of added lines.
    spans: u64,
}

impl Log {
    fn line(
        &mut self,
        file: &str,
        number: u64,
        line: &[u8],
        findings: &mut Findings,
    ) -> Result<()> {
        let place = |e: Error| e.at(Location::line(file, number));
        // most lines are unrelated and may have any bytes
        let ours = |label: &str| memchr::memmem::find(line, label.as_bytes()).is_some();
        let (iterates, total, world) = (
            ours(TIME),
            ours("Total training energy (GPU):"),
            ours("world size:") || ours("world_size ."),
        );
        if !iterates && !total && !world {
            return Ok(());
        }
        let line = text(line).map_err(place)?;
        if world {
            // `using world size: 8, data-parallel size: 8, …`, and the list of arguments: `world_size .... 8`
            let found = line
                .split_once("using world size:")
                .or_else(|| {
                    line.split_once("world_size .").map(|(a, b)| (a, b.trim_start_matches('.')))
                })
                .and_then(|(_, rest)| rest.trim().split([',', ' ']).next()?.parse().ok());
            self.world = self.world.or(found);
        }
        if total {
            let label = "Total training energy (GPU):";
            let megajoules = number_after(line, label).map_err(place)?.unwrap_or(0.0);
            if !(0.0..=1e12).contains(&megajoules) {
                return Err(place(Error::invalid(
                    label.trim_end_matches(':'),
                    megajoules,
                    "it must be positive",
                )));
            }
            self.total = Some(self.total.unwrap_or(0.0) + megajoules * 1e6);
        }
        if iterates {
            self.iterations_of(file, number, line, findings).map_err(place)?;
        }
        Ok(())
    }

    fn iterations_of(
        &mut self,
        file: &str,
        number: u64,
        line: &str,
        findings: &mut Findings,
    ) -> Result<()> {
        self.lines += 1;
        let read = |label: &str| -> Result<Option<f64>> {
            let value = number_after(line, label)?;
            match value {
                Some(x) if !(0.0..=1e15).contains(&x) => Err(Error::invalid(
                    label.trim_end_matches(':'),
                    x,
                    "it must be a number from 0",
                )),
                _ => Ok(value),
            }
        };
        let Some(joules) = read(ENERGY)? else {
            self.without_energy += 1;
            return Ok(());
        };
        let iteration = read("iteration ")?.ok_or_else(|| {
            Error::missing("iteration", "Megatron writes it before the first `|`")
        })?;
        let milliseconds = read(TIME)?.unwrap_or(0.0);
        let batch = read("global batch size:")?;
        if self.start.is_none() {
            let stamp = line
                .split_once('[')
                .and_then(|(_, rest)| rest.split_once(']'))
                .and_then(|(t, _)| Timestamp::parse(t));
            self.start = stamp;
        }
        let line = Line { number, iteration, seconds: milliseconds / 1e3, joules, batch };
        match self.last {
            None => self.first = Some(line),
            Some((_, last)) if iteration == last => {
                findings.add(
                    DataIssue::DoubleCounted,
                    file,
                    Some(number),
                    "repeated iteration; it was counted once",
                );
            }
            Some((_, last)) if iteration < last => {
                findings.add(
                    DataIssue::Restart,
                    file,
                    Some(number),
                    "training resumed from an earlier checkpoint; iterations that ran twice used energy twice and are counted \
                     twice",
                );
                // the number of iterations of this line is unknown: use the usual number
                let usual = self.usual();
                self.add(&line, usual.unwrap_or(1.0));
            }
            Some((_, last)) => {
                let span = iteration - last;
                if let Some(first) = self.first.take() {
                    // the first line covers all iterations since the start or the checkpoint
                    self.add(&first, span.min(first.iteration.max(1.0)));
                }
                self.add(&line, span);
            }
        }
        self.last = Some((number, iteration));
        Ok(())
    }

    /// Usual number of iterations per line.
    fn usual(&self) -> Option<f64> {
        (self.spans > 0).then(|| (self.iterations / self.spans as f64).round().max(1.0))
    }

    fn add(&mut self, line: &Line, iterations: f64) {
        self.all_samples = line.batch.is_some() && (self.all_samples || self.iterations == 0.0);
        self.iterations += iterations;
        self.spans += 1;
        self.samples += iterations * line.batch.unwrap_or(0.0);
        self.seconds += iterations * line.seconds;
        self.joules += iterations * line.joules;
    }

    fn finish(mut self, file: &str, findings: &mut Findings) -> Result<Measured> {
        if let Some(first) = self.first.take() {
            // with a single line the number of its iterations is unknown
            findings.add(
                DataIssue::Assumed,
                file,
                Some(first.number),
                "there is only one line of iterations; it is assumed to cover one iteration",
            );
            self.add(&first, 1.0);
        }
        if self.iterations == 0.0 && self.total.is_none() {
            return Err(if self.lines > 0 {
                Error::missing(ENERGY.trim_end_matches(':'), "Megatron writes it with --log-energy")
                    .at(Location::file(file))
            } else {
                no_data(file, "lines of iterations")
            });
        }
        if self.without_energy > 0 {
            findings.add(
                DataIssue::Skipped,
                file,
                None,
                format!(
                    "{} lines of iterations have no energy and were skipped",
                    self.without_energy
                ),
            );
        }
        let mut measured = Measured::new(stem(file), file, "megatron --log-energy");
        measured.scope = Scope::Gpu;
        measured.instrument = Some(Instrument::Counter);
        measured.start = self.start;
        measured.steps = (self.iterations > 0.0).then_some(self.iterations);
        measured.samples = self.all_samples.then_some(self.samples);
        measured.gpus = self.world;
        match (self.world, self.total) {
            (Some(world), _) if self.iterations > 0.0 => {
                measured.set_energy_and_time(self.joules * world as f64, self.seconds)
            }
            (_, Some(total)) if self.iterations == 0.0 => measured.set_energy_and_time(total, 0.0),
            _ => {
                measured.per_gpu = true;
                measured.gpus = None;
                measured.set_energy_and_time(self.joules, self.seconds);
                findings.add(
                    DataIssue::AveragedOverGpus,
                    file,
                    None,
                    "the energy is that of one GPU, because the log has no `world size`; with --job it is multiplied by the number \
                     of GPUs",
                );
            }
        }
        if let (Some(total), Some(_), true) = (self.total, self.world, self.iterations > 0.0) {
            let energy = measured.energy.map_or(0.0, |e| e.value());
            findings.add(
                DataIssue::Mismatch,
                file,
                None,
                format!(
                    "the iterations sum to {:.4} MJ; the total at the end is {:.4} MJ including evaluation and checkpoints; the \
                     sum of the iterations is used",
                    energy / 1e6,
                    total / 1e6
                ),
            );
        }
        Ok(measured)
    }
}
