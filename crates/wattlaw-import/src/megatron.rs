//! Megatron-LM's output, with energy where it ran with `--log-energy` (`megatron/training/training.py`, `training_log`).
//!
//! A line has the mean per iteration and GPU since the previous line; the total at the end covers all GPUs including evaluation and
//! checkpoints.

use super::data_issue::{DataIssue, Findings};
use super::iterations::{Iterations, Line};
use super::lines::{Source, text};
use super::measured::Measured;
use super::number::number_after;
use super::timestamp::Timestamp;
use super::{Reader, no_data, stem};
use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::scope::Scope;
use wattlaw::base::units::Seconds;
use wattlaw::record::Instrument;

const ENERGY: &str = "energy per GPU (J/iter/GPU):";
const TIME: &str = "elapsed time per iteration (ms):";

/// Reads Megatron-LM's output.
#[derive(Default)]
pub(super) struct Megatron {
    measured: Vec<Measured>,
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
    /// Lines with an energy, and those without.
    measured: Iterations,
    timed: Iterations,
    world: Option<u64>,
    total: Option<f64>,
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
        let joules = read(ENERGY)?;
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
        let kind = if joules.is_some() { &mut self.measured } else { &mut self.timed };
        let joules = joules.unwrap_or(0.0);
        let line = Line { number, iteration, seconds: milliseconds / 1e3, joules, batch };
        kind.push(line, file, findings);
        Ok(())
    }

    fn finish(mut self, file: &str, findings: &mut Findings) -> Result<Measured> {
        let has_energy = self.measured.lines() > 0 || self.total.is_some();
        if has_energy && self.timed.lines() > 0 {
            let without = self.timed.lines();
            let text = format!("{without} lines of iterations have no energy and were skipped");
            findings.add(DataIssue::Skipped, file, None, text);
        }
        let kind = if has_energy { &mut self.measured } else { &mut self.timed };
        kind.end(file, findings);
        let sum = &*kind;
        if sum.iterations == 0.0 && self.total.is_none() {
            return Err(no_data(file, "lines of iterations"));
        }
        let meter = if has_energy { "megatron --log-energy" } else { "megatron" };
        let mut measured = Measured::new(stem(file), file, meter);
        measured.start = self.start;
        measured.steps = (sum.iterations > 0.0).then_some(sum.iterations);
        measured.samples = sum.samples();
        measured.gpus = self.world;
        if !has_energy {
            measured.duration = (sum.seconds > 0.0).then(|| Seconds::new(sum.seconds));
            return Ok(measured);
        }
        measured.scope = Scope::Gpu;
        measured.instrument = Some(Instrument::Counter);
        match (self.world, self.total) {
            (Some(world), _) if sum.iterations > 0.0 => {
                measured.set_energy_and_time(sum.joules * world as f64, sum.seconds)
            }
            (_, Some(total)) if sum.iterations == 0.0 => measured.set_energy_and_time(total, 0.0),
            _ => {
                measured.per_gpu = true;
                measured.gpus = None;
                measured.set_energy_and_time(sum.joules, sum.seconds);
                findings.add(
                    DataIssue::AveragedOverGpus,
                    file,
                    None,
                    "the energy is that of one GPU, because the log has no `world size`; with --job it is multiplied by the number \
                     of GPUs",
                );
            }
        }
        if let (Some(total), Some(_), true) = (self.total, self.world, sum.iterations > 0.0) {
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
