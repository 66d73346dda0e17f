//! What a log says of one run, and the run that it becomes together with its job.

use serde::Serialize;

use super::data_issue::{DataIssue, Finding, Findings};
use super::timestamp::Timestamp;
use wattlaw::base::amount::Count;
use wattlaw::base::error::{Error, Place, Result};
use wattlaw::base::scope::Scope;
use wattlaw::base::units::{Joules, Seconds, Watts};
use wattlaw::data::measurement::Measurement;
use wattlaw::job::JobSpec;
use wattlaw::job::catalog::Catalog;
use wattlaw::record::{Component, Instrument};

/// What a log says of one run; what it leaves open is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// The run's name: the log's own, or one made from the file's name.
    pub run_id: String,
    /// The log.
    pub file: String,
    /// Line of the row that counts, counted from one.
    pub line: Option<u64>,
    /// When it began, by the log's clock.
    pub start: Option<Timestamp>,
    /// Time that was measured.
    #[serde(rename = "duration_s")]
    pub duration: Option<Seconds>,
    /// Energy of that time, without PUE.
    #[serde(rename = "energy_j")]
    pub energy: Option<Joules>,
    /// Mean power.
    #[serde(rename = "mean_power_w")]
    pub mean_power: Option<Watts>,
    /// What the energy covers.
    pub scope: Scope,
    /// What measured it.
    pub meter: String,
    /// How the energy came about, where the log tells.
    pub instrument: Option<Instrument>,
    /// Accelerators whose energy is in it.
    pub gpus: Option<u64>,
    /// Their model, as the log names it.
    pub gpu: Option<String>,
    /// Power limit of an accelerator.
    #[serde(rename = "power_limit_w")]
    pub power_limit: Option<Watts>,
    /// PUE that was divided out of the energy.
    pub pue: Option<f64>,
    /// Optimizer steps that the log counts.
    pub steps: Option<f64>,
    /// Sequences that the log counts.
    pub samples: Option<f64>,
    /// Whether the energy is that of one accelerator, because the log does not say how many there were.
    pub per_gpu: bool,
    /// The run that this one is a part of, and whose energy holds this one's.
    pub inside: Option<String>,
    /// The energy by part, where the log tells them apart; parts may be beside the scope.
    pub parts: Vec<Part>,
}

/// Energy of a part of a machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// Its name in the log.
    pub name: String,
    /// What it is.
    pub component: Component,
    /// Its energy.
    #[serde(rename = "energy_j")]
    pub energy: Joules,
}

impl Measured {
    /// A run of which a log says nothing yet.
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
            per_gpu: false,
            inside: None,
            parts: Vec::new(),
        }
    }

    /// Sets energy and time, and the mean power that follows from them.
    pub(super) fn set_energy_and_time(&mut self, joules: f64, seconds: f64) {
        self.energy = Some(Joules::new(joules));
        if seconds > 0.0 {
            self.duration = Some(Seconds::new(seconds));
            self.mean_power = Some(Watts::new(joules / seconds));
        }
    }

    /// Energy of the parts that are accelerators.
    pub fn gpu_energy(&self) -> Option<Joules> {
        let of_gpus = |p: &&Part| p.component == Component::Gpu;
        let any = self.parts.iter().any(|p| of_gpus(&p));
        any.then(|| self.parts.iter().filter(of_gpus).map(|p| p.energy).sum())
    }

    /// The same run with the accelerators' energy only.
    ///
    /// # Errors
    /// [`Error::Missing`] where the log does not tell it apart.
    pub fn with_gpu_energy(mut self) -> Result<Self> {
        if self.scope == Scope::Gpu {
            return Ok(self);
        }
        let energy = self.gpu_energy().ok_or_else(|| {
            Error::missing("the energy of the GPUs", "the log does not tell it from the rest")
                .at(self.place())
        })?;
        self.scope = Scope::Gpu;
        self.energy = Some(energy);
        self.mean_power = self.duration.filter(|t| *t > Seconds::ZERO).map(|t| energy / t);
        Ok(self)
    }

    /// The place in the log.
    pub fn place(&self) -> Place {
        Place { file: self.file.clone(), line: self.line }
    }

    /// When it ended, by the log's clock.
    pub(super) fn end(&self) -> Option<Timestamp> {
        Some(self.start?.minus(-self.duration?.value()))
    }
}

/// A node draws less than this for each of its GPUs: NVIDIA states up to 14.3 kW for a DGX B200 with eight
/// (<https://docs.nvidia.com/dgx/dgxb200-user-guide/introduction-to-dgxb200.html>).
const MAX_POWER_PER_GPU_W: f64 = 2000.0;

/// What the catalogue knows better than a log: powers that an accelerator does not reach.
pub fn check(measured: &[Measured], catalog: &Catalog) -> Vec<Finding> {
    let mut findings = Findings::default();
    for run in measured {
        if let Some(power) = run.mean_power
            && power.value() > MAX_POWER_PER_GPU_W * run.gpus.unwrap_or(8).max(8) as f64
        {
            let text = format!(
                "{:.0} kW on average are more than such a machine can draw; energy or time are in another unit, or made up",
                power.value() / 1e3
            );
            findings.add(DataIssue::PowerAboveLimit, &run.file, run.line, text);
            continue;
        }
        let known = run.gpu.as_deref().and_then(|gpu| catalog.accelerator(gpu).ok());
        let limit = match (run.power_limit, known) {
            (Some(limit), _) => Some((limit.value(), "the power limit")),
            (None, Some(gpu)) => Some((gpu.tdp_w, "the TDP")),
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
                    "run {}: {each:.0} W a GPU on average, above {which} of {limit:.0} W; other devices or jobs may be \
                     in it, or the GPU is another model",
                    run.run_id
                ),
            );
        }
    }
    findings.take()
}

/// The run that a measurement and a job come to.
///
/// # Errors
/// [`Error::At`] with the log's place where the energy or the time is absent, the energy is zero, the accelerators are
/// others or not all of the job's; and those of [`JobSpec::resolve`].
pub fn run(measured: &Measured, spec: &JobSpec, catalog: &Catalog) -> Result<Measurement> {
    attach(measured, spec, catalog).map_err(|e| e.at(measured.place()))
}

fn attach(measured: &Measured, spec: &JobSpec, catalog: &Catalog) -> Result<Measurement> {
    let mut spec = spec.clone();
    if spec.system.name.is_none() && spec.system.gpu.is_none() {
        spec.system.gpu.clone_from(&measured.gpu);
    }
    let spread = &spec.parallelism;
    let of_degrees = spread.dp.or(spread.tp).or(spread.pp).is_some();
    if spec.system.gpus.or(spec.system.nodes).is_none() && !of_degrees && !measured.per_gpu {
        spec.system.gpus = measured.gpus;
    }
    let mut run = Measurement::described(&measured.run_id, &spec, catalog)?;
    if let Some(gpu) = measured.gpu.as_deref().and_then(|gpu| catalog.accelerator(gpu).ok())
        && gpu.name != run.gpu()
    {
        return Err(Error::invalid("gpu", run.gpu(), format!("the log is of {}", gpu.name)));
    }
    if let Some(gpus) = measured.gpus
        && !measured.per_gpu
        && gpus != run.gpus()
    {
        let why = if gpus < run.gpus() {
            format!("the log has the energy of {gpus}; give the logs of all nodes and --join")
        } else {
            format!("the log has the energy of {gpus}; name those of the job with --devices")
        };
        return Err(Error::invalid("gpus", run.gpus(), why));
    }
    let each =
        measured.energy.ok_or_else(|| Error::missing("the energy", "the log does not say it"))?;
    let energy = if measured.per_gpu { each * run.gpus() as f64 } else { each };
    let zero_gpus = measured.gpu_energy().is_some_and(|e| e <= Joules::ZERO);
    if energy <= Joules::ZERO || zero_gpus {
        return Err(Error::invalid(
            "the energy of the GPUs",
            "zero",
            "a run of a table has one; the tool found no counter",
        ));
    }
    let duration = measured
        .duration
        .filter(|t| *t > Seconds::ZERO)
        .ok_or_else(|| Error::missing("the time", "the log does not say it"))?;
    run.line = measured.line.unwrap_or(0);
    run.duration = Some(duration);
    run.energy = Some(energy);
    run.energy_kwh = Some(energy.kwh());
    run.scope = measured.scope;
    run.meter = Some(measured.meter.clone());
    run.tokens = tokens(measured, &spec, catalog);
    Ok(run)
}

/// Tokens that were trained on: those that the log counts, or those of the job.
fn tokens(measured: &Measured, spec: &JobSpec, catalog: &Catalog) -> Option<f64> {
    let job = match spec.resolve(catalog) {
        Ok(job) => job,
        // a job that leaves open how much is trained says the rest by one step
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
