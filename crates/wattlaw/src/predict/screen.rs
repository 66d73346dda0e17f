//! The answer on one screen: what a person reads first, as rows without any layout.
//!
//! The command line, a comparison of plans and a page render the same rows.

use super::{
    ConfidenceLabel, EstimateKind, Interval, Prediction, Severity, TakenDefault, Verdict, Warning,
};
use crate::base::scope::Scope;
use crate::calibration::LawKind;
use crate::job::Job;

/// Most lines of a screen, warnings included.
const MOST_LINES: usize = 16;

/// Most warnings on a screen.
const MOST_WARNINGS: usize = 3;

/// What a row states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// Energy at the scope of the answer.
    Energy,
    /// Time of the run.
    Time,
    /// Hours of all accelerators together.
    GpuHours,
    /// Tokens a second of all accelerators together.
    Throughput,
    /// Energy of one token.
    EnergyPerToken,
    /// Mean power of all accelerators together.
    MeanPower,
    /// Model FLOPs utilisation.
    Mfu,
    /// Peak memory of the fullest accelerator.
    Memory,
    /// Carbon of the electricity.
    Carbon,
    /// Price of accelerators and electricity.
    Price,
}

/// The unit of a row's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Joules.
    Joules,
    /// Seconds.
    Seconds,
    /// Hours of an accelerator.
    GpuHours,
    /// Tokens a second.
    TokensPerSecond,
    /// Joules a token.
    JoulesPerToken,
    /// Watts.
    Watts,
    /// A share of one.
    Share,
    /// GiB, 2³⁰ bytes.
    Gib,
    /// Grams of CO₂ equivalent.
    GramsCo2e,
    /// The currency of the prices, which the job may name.
    Currency,
}

impl Quantity {
    /// Its label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Energy => "energy",
            Self::Time => "time",
            Self::GpuHours => "GPU-hours",
            Self::Throughput => "tokens/s",
            Self::EnergyPerToken => "energy per token",
            Self::MeanPower => "mean power",
            Self::Mfu => "MFU",
            Self::Memory => "memory per GPU",
            Self::Carbon => "carbon",
            Self::Price => "price",
        }
    }

    /// The unit of its numbers.
    pub const fn unit(self) -> Unit {
        match self {
            Self::Energy => Unit::Joules,
            Self::Time => Unit::Seconds,
            Self::GpuHours => Unit::GpuHours,
            Self::Throughput => Unit::TokensPerSecond,
            Self::EnergyPerToken => Unit::JoulesPerToken,
            Self::MeanPower => Unit::Watts,
            Self::Mfu => Unit::Share,
            Self::Memory => Unit::Gib,
            Self::Carbon => Unit::GramsCo2e,
            Self::Price => Unit::Currency,
        }
    }
}

/// What stands beside the numbers of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Note {
    /// What the energy covers, and the energy of the facility where a PUE is given and the energy is not that of it.
    Covers {
        /// The scope of the energy.
        scope: Scope,
        /// Energy of the facility, in joules.
        facility_j: Option<f64>,
    },
    /// Seconds of one optimizer step, without start-up.
    StepSeconds(f64),
    /// Whether the job fits, and GiB that a process can use.
    Capacity {
        /// Whether the job fits, in a word.
        verdict: Verdict,
        /// Memory available to a process, in GiB.
        capacity_gib: f64,
    },
    /// The energy is that of the facility.
    OfFacility,
    /// Power limit of an accelerator in watts, and the time over that without it.
    PowerLimit {
        /// The limit, in watts.
        limit_w: f64,
        /// Time over the time without it.
        time_factor: f64,
    },
}

/// One line of numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// What it states.
    pub quantity: Quantity,
    /// The estimate with its interval, in the unit of the quantity.
    pub interval: Interval,
    /// What stands beside it.
    pub note: Option<Note>,
}

/// The first screen of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Screen<'a> {
    /// The job.
    pub job: &'a Job,
    /// Whether a law or assumptions gave the estimate.
    pub kind: EstimateKind,
    /// Level of the intervals.
    pub level: f64,
    /// The numbers.
    pub rows: Vec<Row>,
    /// How far measured runs support the answer.
    pub confidence: ConfidenceLabel,
    /// The reason for it.
    pub because: &'a str,
    /// Half-width of the interval of energy, or of time without one, as a factor; infinite where it is unbounded.
    pub within_factor: Option<f64>,
    /// Defaults that the answer rests on.
    pub defaults: Vec<&'a TakenDefault>,
    /// The weightiest warnings that change what one would do.
    pub warnings: Vec<&'a Warning>,
    /// Number of such warnings that did not fit on the screen.
    pub more_warnings: usize,
}

impl<'a> Screen<'a> {
    /// The screen of a job's prediction; `defaults` are those that the job was resolved with.
    pub fn new(job: &'a Job, prediction: &'a Prediction, defaults: &'a [TakenDefault]) -> Self {
        let rows = rows(job, prediction);
        let defaults: Vec<&TakenDefault> =
            defaults.iter().filter(|taken| taken.is_shown()).collect();
        let spread = prediction.energy_j.or(prediction.duration_s);
        let mut screen = Self {
            job,
            kind: prediction.calibration.kind,
            level: prediction.level,
            rows,
            confidence: prediction.confidence.label,
            because: &prediction.confidence.text,
            within_factor: spread.map(|i| (i.upper / i.lower).sqrt()),
            defaults,
            warnings: Vec::new(),
            more_warnings: 0,
        };
        // the intervals of a scaling law do not cover what lies outside its runs
        let extrapolated = screen.confidence == ConfidenceLabel::Extrapolated
            && prediction.calibration.law == LawKind::Roofline;
        let is_said = |w: &Warning| {
            w.kind.severity() == Severity::Info || (extrapolated && w.kind.is_in_confidence())
        };
        let weighty: Vec<&Warning> = prediction.warnings.iter().filter(|w| !is_said(w)).collect();
        let shown = weighty.len().min(MOST_WARNINGS).min(MOST_LINES.saturating_sub(screen.lines()));
        screen.more_warnings = weighty.len() - shown;
        screen.warnings = weighty.into_iter().take(shown).collect();
        screen
    }

    /// Number of lines: a title, a header, the rows, the confidence, the defaults, and one a warning.
    pub fn lines(&self) -> usize {
        3 + self.rows.len() + usize::from(!self.defaults.is_empty()) + self.warnings.len()
    }
}

fn rows(job: &Job, p: &Prediction) -> Vec<Row> {
    let facility_j = p.facility_energy_j.filter(|_| p.scope != Scope::Facility);
    let facility_j = facility_j.map(|facility| facility.estimate);
    let facility = p.facility_energy_j.map(|_| Note::OfFacility);
    let step = p.step_s.map(|step| Note::StepSeconds(step.estimate));
    // a limit at the TDP or above was not asked for
    let limit = p
        .power_limit
        .filter(|limit| limit.limit_w < job.system.tdp.value())
        .map(|of| Note::PowerLimit { limit_w: of.limit_w, time_factor: of.time_factor });
    [
        (Quantity::Energy, p.energy_j, Some(Note::Covers { scope: p.scope, facility_j })),
        (Quantity::Time, p.duration_s, step),
        (Quantity::GpuHours, p.gpu_hours, None),
        (Quantity::Throughput, p.tokens_per_s, None),
        (Quantity::EnergyPerToken, p.energy_per_token_j, None),
        (Quantity::MeanPower, p.mean_power_w, limit),
        (Quantity::Mfu, p.mfu, None),
        memory(p),
        (Quantity::Carbon, p.carbon_g, facility),
        (Quantity::Price, p.cost, None),
    ]
    .into_iter()
    .filter_map(|(quantity, interval, note)| Some(Row { quantity, interval: interval?, note }))
    .collect()
}

/// The row of peak memory.
const fn memory(p: &Prediction) -> (Quantity, Option<Interval>, Option<Note>) {
    let m = &p.memory;
    let note = Note::Capacity { verdict: m.fits_word, capacity_gib: m.capacity_gib };
    (Quantity::Memory, Some(m.peak_gib), Some(note))
}
