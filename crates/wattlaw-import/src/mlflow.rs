//! MLflow's folder of metrics (`mlruns/EXPERIMENT/RUN/metrics/`, `FileStore`): a file a metric, a line `TIME_MS VALUE STEP` each.
//!
//! With system metrics `system/gpu_N_power_usage_watts` has the power of each GPU. Files of one folder form one run.

use super::data_issue::Findings;
use super::lines::{Source, text};
use super::measured::Measured;
use super::number::{number, shortened};
use super::progress::{Gpus, Progress, count};
use super::timestamp::Timestamp;
use super::{Options, Reader, no_data, stem};
use wattlaw::base::error::{Error, Location, Result};

/// Reads metrics.
pub(super) struct Mlflow {
    options: Options,
    runs: Vec<Run>,
}

struct Run {
    folder: String,
    file: String,
    /// Steps of the metric with the most.
    progress: Progress,
    gpus: Gpus,
}

impl Mlflow {
    pub(super) const fn new(options: Options) -> Self {
        Self { options, runs: Vec::new() }
    }
}

/// Whether a line is one of a metric's file.
pub(super) fn is_line(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|line| {
        let words: Vec<&str> = line.split(' ').take(4).collect();
        matches!(words[..], [time, value, step] if time.len() == 13
            && time.bytes().all(|b| b.is_ascii_digit())
            && value.parse::<f64>().is_ok()
            && step.parse::<i64>().is_ok())
    })
}

/// The folder of a run and the name of a metric in it.
fn place_of(file: &str) -> (&str, &str) {
    if let Some(at) = file.rfind("/metrics/") {
        return (&file[..at], &file[at + "/metrics/".len()..]);
    }
    if let Some(metric) = file.strip_prefix("metrics/") {
        return ("", metric);
    }
    file.rsplit_once('/').unwrap_or(("", file))
}

/// The GPU of a metric of power: `system/gpu_0_power_usage_watts`.
fn gpu_of(metric: &str) -> Option<&str> {
    let name = metric.rsplit('/').next()?;
    let gpu = name.strip_prefix("gpu_")?.strip_suffix("_power_usage_watts")?;
    gpu.bytes().all(|b| b.is_ascii_digit()).then_some(gpu)
}

impl Reader for Mlflow {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        let (folder, metric) = place_of(file);
        let at = match self.runs.iter().position(|run| run.folder == folder) {
            Some(at) => at,
            None => {
                self.runs.push(Run {
                    folder: folder.to_owned(),
                    file: file.to_owned(),
                    progress: Progress::default(),
                    gpus: Gpus::default(),
                });
                self.runs.len() - 1
            }
        };
        let Some(run) = self.runs.get_mut(at) else { return Ok(()) };
        let gpu = gpu_of(metric);
        let wanted = gpu.is_none_or(|gpu| self.options.includes(&[gpu]));
        // the steps of system metrics are those of the monitor
        let steps = !metric.starts_with("system/");
        let mut progress = Progress::default();
        let lines = source.lines(|number, line| {
            if line.trim_ascii().is_empty() {
                return Ok(());
            }
            let at = Location::line(file, number);
            let (ns, value, step) =
                text(line).and_then(metric_line).map_err(|e| e.at(at.clone()))?;
            match (gpu, value) {
                (Some(gpu), Some(watts)) if wanted => {
                    run.gpus.push(gpu, ns, watts, (file, Some(number)), findings)?;
                }
                _ if steps => progress.push(ns, step, None, (file, Some(number)), findings),
                _ => {}
            }
            Ok(())
        })?;
        if lines == 0 {
            return Err(no_data(file, "lines of a metric"));
        }
        if progress.steps() > run.progress.steps() {
            run.progress = progress;
        }
        Ok(())
    }

    fn finish(self: Box<Self>, findings: &mut Findings) -> Result<Vec<Measured>> {
        self.runs.into_iter().map(|run| run.measured(findings)).collect()
    }
}

impl Run {
    fn measured(self, findings: &mut Findings) -> Result<Measured> {
        let name = self.folder.rsplit('/').next().filter(|n| !n.is_empty());
        let mut measured =
            Measured::new(name.unwrap_or_else(|| stem(&self.file)), &self.file, "mlflow");
        self.progress.fill(&mut measured);
        measured.start = self.progress.start();
        self.gpus.fill(&mut measured, findings);
        if measured.duration.is_none() {
            return Err(no_data(&self.file, "two steps of a metric, nor power of a GPU"));
        }
        Ok(measured)
    }
}

/// Time, ns, value (`None` if it is not finite) and step of a line.
fn metric_line(line: &str) -> Result<(i64, Option<f64>, f64)> {
    let words: Vec<&str> = line.split_whitespace().take(4).collect();
    let [time, value, step] = words[..] else {
        let found = format!("`{}`", shortened(line));
        return Err(Error::invalid("the line", found, "it must be `TIME_MS VALUE STEP`"));
    };
    let at = Timestamp::from_epoch_ms(number(time, "the time")?).ok_or_else(|| {
        Error::invalid("the time", shortened(time), "it must be milliseconds since 1970")
    })?;
    let step = number(step, "the step")?;
    let step = count(step).ok_or_else(|| Error::invalid("the step", step, "it must be from 0"))?;
    Ok((at.nanos(), value.parse().ok().filter(|x: &f64| x.is_finite()), step))
}
