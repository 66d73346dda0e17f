//! A run measured by another tool, and its conversion to a measurement with a job.

use serde::Serialize;

use super::data_issue::{DataIssue, Finding, Findings};
use super::timestamp::Timestamp;
use wattlaw::base::amount::Count;
use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::scope::Scope;
use wattlaw::base::units::{Joules, Seconds, Watts};
use wattlaw::data::measurement::Measurement;
use wattlaw::job::JobSpec;
use wattlaw::job::catalog::Catalog;
use wattlaw::record::{Component, Instrument};

/// A run in a log; values that the log does not state are `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Name of the run: from the log, else from the file name.
    pub run_id: String,
    /// Log file.
    pub file: String,
    /// Line of the used row, counted from 1.
    pub line: Option<u64>,
    /// Start time by the log's clock.
    pub start: Option<Timestamp>,
    /// Measured time, s.
    #[serde(rename = "duration_s")]
    pub duration: Option<Seconds>,
    /// Energy of that time without PUE, J.
    #[serde(rename = "energy_j")]
    pub energy: Option<Joules>,
    /// Mean power, W.
    #[serde(rename = "mean_power_w")]
    pub mean_power: Option<Watts>,
    /// Energy scope.
    pub scope: Scope,
    /// Meter.
    pub meter: String,
    /// Method of measurement, if the log states it.
    pub instrument: Option<Instrument>,
    /// Number of accelerators included in the energy.
    pub gpus: Option<u64>,
    /// Accelerator model, as named in the log.
    pub gpu: Option<String>,
    /// Power limit per accelerator, W.
    #[serde(rename = "power_limit_w")]
    pub power_limit: Option<Watts>,
    /// PUE that was removed from the energy.
    pub pue: Option<f64>,
    /// Number of optimizer steps in the log.
    pub steps: Option<f64>,
    /// Number of sequences in the log.
    pub samples: Option<f64>,
    /// Number of tokens in the log.
    pub tokens: Option<f64>,
    /// Whether the energy is per accelerator, because the log does not state their number.
    pub per_gpu: bool,
    /// The run that contains this one, including its energy.
    pub inside: Option<String>,
    /// Energy by part, if the log states it; parts may be outside the scope.
    pub parts: Vec<Part>,
}

/// Energy of a part of a machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// Name in the log.
    pub name: String,
    /// Component.
    pub component: Component,
    /// Energy, J.
    #[serde(rename = "energy_j")]
    pub energy: Joules,
}

impl Measured {
    /// A run without measured values.
    pub(super) fn new(run_id: impl Into<String>, file: &str, meter: impl Into<String>) -> Self {
        Self {
            run_id: run_id.into(),
            file: file.to_owned(),
            line: None,
            start: None,
            duration: None,
            energy: None,
            mean_power: None,
            scope: Scope::Unstated,
            meter: meter.into(),
            instrument: None,
            gpus: None,
            gpu: None,
            power_limit: None,
            pue: None,
            steps: None,
            samples: None,
            tokens: None,
            per_gpu: false,
            inside: None,
            parts: Vec::new(),
        }
    }

    /// Sets energy (J) and time (s), and the resulting mean power.
    pub(super) fn set_energy_and_time(&mut self, joules: f64, seconds: f64) {
        self.energy = Some(Joules::new(joules));
        if seconds > 0.0 {
            self.duration = Some(Seconds::new(seconds));
            self.mean_power = Some(Watts::new(joules / seconds));
        }
    }

    /// Energy of the accelerator parts, J.
    pub fn gpu_energy(&self) -> Option<Joules> {
        let of_gpus = |p: &&Part| p.component == Component::Gpu;
        let any = self.parts.iter().any(|p| of_gpus(&p));
        any.then(|| self.parts.iter().filter(of_gpus).map(|p| p.energy).sum())
    }

    /// The same run with only the accelerators' energy.
    ///
    /// # Errors
    /// [`Error::Missing`] if the log does not list it separately.
    pub fn with_gpu_energy(mut self) -> Result<Self> {
        if self.scope == Scope::Gpu {
            return Ok(self);
        }
        let energy = self.gpu_energy().ok_or_else(|| {
            Error::missing("the energy of the GPUs", "the log does not list it separately")
                .at(self.place())
        })?;
        self.scope = Scope::Gpu;
        self.energy = Some(energy);
        self.mean_power = self.duration.filter(|t| *t > Seconds::ZERO).map(|t| energy / t);
        Ok(self)
    }

    /// Location in the log.
    pub fn place(&self) -> Location {
        Location { file: self.file.clone(), line: self.line }
    }

    /// End time by the log's clock.
    pub(super) fn end(&self) -> Option<Timestamp> {
        Some(self.start?.minus(-self.duration?.value()))
    }
}

/// Upper bound of a node's power per GPU: NVIDIA states up to 14.3 kW for a DGX B200 with eight
/// (<https://docs.nvidia.com/dgx/dgxb200-user-guide/introduction-to-dgxb200.html>).
const MAX_POWER_PER_GPU_W: f64 = 2000.0;

/// Checks mean powers against the limits of the catalogue.
pub fn check(measured: &[Measured], catalog: &Catalog) -> Vec<Finding> {
    let mut findings = Findings::default();
    for run in measured {
        if let Some(power) = run.mean_power
            && power.value() > MAX_POWER_PER_GPU_W * run.gpus.unwrap_or(8).max(8) as f64
        {
            let text = format!(
                "a mean power of {:.0} kW is impossible for such a machine; check the units of energy and time",
                power.value() / 1e3
            );
            findings.add(DataIssue::PowerAboveLimit, &run.file, run.line, text);
            continue;
        }
        let known = run.gpu.as_deref().and_then(|gpu| catalog.accelerator(gpu).ok());
        let limit = match (run.power_limit, known) {
            (Some(limit), _) => Some((limit.value(), "the power limit")),
            (None, Some(gpu)) => gpu.tdp_w.map(|tdp| (tdp, "the TDP")),
            _ => None,
        };
        let energy = if run.scope == Scope::Gpu { run.energy } else { run.gpu_energy() };
        let (Some((limit, which)), Some(energy), Some(time)) = (limit, energy, run.duration) else {
            continue;
        };
        let gpus = if run.per_gpu { 1 } else { run.gpus.unwrap_or(1).max(1) };
        let each = energy.value() / time.value() / gpus as f64;
        if each > 1.02 * limit {
            findings.add(
                DataIssue::PowerAboveLimit,
                &run.file,
                run.line,
                format!(
                    "run {}: mean power of {each:.0} W per GPU, above {which} of {limit:.0} W; the energy may include other \
                     devices or jobs, or the GPU model is wrong",
                    run.run_id
                ),
            );
        }
    }
    findings.take()
}

/// Combines a measured run and a job to a measurement.
///
/// # Errors
/// [`Error::At`] with the log's location if the time is missing, or energy and steps are, the energy is zero, or the accelerators differ from the job's;
/// and the errors of [`JobSpec::resolve`].
pub fn run(measured: &Measured, spec: &JobSpec, catalog: &Catalog) -> Result<Measurement> {
    attach(measured, spec, catalog).map_err(|e| e.at(measured.place()))
}

fn attach(measured: &Measured, spec: &JobSpec, catalog: &Catalog) -> Result<Measurement> {
    let mut spec = spec.clone();
    if spec.system.name.is_none() && spec.system.gpu.is_none() {
        spec.system.gpu.clone_from(&measured.gpu);
    }
    let parallelism = &spec.parallelism;
    let has_degrees =
        parallelism.dp.or(parallelism.tp).or(parallelism.cp).or(parallelism.pp).is_some();
    if spec.system.gpus.or(spec.system.nodes).is_none() && !has_degrees && !measured.per_gpu {
        spec.system.gpus = measured.gpus;
    }
    let mut run = Measurement::described(&measured.run_id, &spec, catalog)?;
    if let Some(gpu) = measured.gpu.as_deref().and_then(|gpu| catalog.accelerator(gpu).ok())
        && gpu.name != run.gpu()
    {
        return Err(Error::invalid("gpu", run.gpu(), format!("the log states {}", gpu.name)));
    }
    if let Some(gpus) = measured.gpus
        && !measured.per_gpu
        && gpus != run.gpus()
    {
        let why = if gpus < run.gpus() {
            format!("the log covers {gpus}; give the logs of all nodes and use --join")
        } else {
            format!("the log covers {gpus}; select those of the job with --devices")
        };
        return Err(Error::invalid("gpus", run.gpus(), why));
    }
    let each = match measured.energy {
        // a log of training alone has the time of its steps, which a law is fitted to as well
        None if measured.steps.or(measured.samples).or(measured.tokens).is_some() => None,
        None => return Err(Error::missing("the energy", "the log does not state it")),
        energy => energy,
    };
    let energy = each.map(|e| if measured.per_gpu { e * run.gpus() as f64 } else { e });
    let zero_gpus = measured.gpu_energy().is_some_and(|e| e <= Joules::ZERO);
    if energy.is_some_and(|e| e <= Joules::ZERO) || zero_gpus {
        return Err(Error::invalid(
            "the energy of the GPUs",
            "zero",
            "it must be positive; the tool found no counter",
        ));
    }
    let duration = measured
        .duration
        .filter(|t| *t > Seconds::ZERO)
        .ok_or_else(|| Error::missing("the time", "the log does not state it"))?;
    run.line = measured.line.unwrap_or(0);
    run.duration = Some(duration);
    run.energy = energy;
    run.energy_kwh = energy.map(Joules::kwh);
    run.scope = measured.scope;
    run.meter = Some(measured.meter.clone());
    run.tokens = tokens(measured, &spec, catalog);
    Ok(run)
}

/// Number of training tokens: from the log, else from the job.
fn tokens(measured: &Measured, spec: &JobSpec, catalog: &Catalog) -> Option<f64> {
    if measured.tokens.is_some() {
        return measured.tokens;
    }
    let job = match spec.resolve(catalog) {
        Ok(job) => job,
        // a job without a length is resolved with one step, to get its tokens per step
        Err(_) => {
            let mut one = spec.clone();
            (one.workload.tokens, one.workload.steps) = (None, Some(Count::new(1)));
            (one.workload.epochs, one.workload.examples) = (None, None);
            one.resolve(catalog)
                .ok()
                .filter(|_| measured.samples.is_some() || measured.steps.is_some())?
        }
    };
    let data = 1.0 - job.workload.padding_share;
    let counted = match (measured.samples, measured.steps) {
        (Some(n), _) => n * job.workload.positions_per_sequence() as f64 * data,
        (None, Some(n)) => n * job.workload.positions_per_step(job.parallelism.dp) * data,
        (None, None) => return Some(job.tokens()),
    };
    Some(counted)
}
