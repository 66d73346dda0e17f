//! The warnings of a prediction.

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::Interval;
use super::unmeasured::Unmeasured;
use crate::base::scope::Scope;
use crate::base::words::words;
use crate::calibration::{Calibration, Laws, Outside};
use crate::cost::Cost;
use crate::job::Job;
use crate::job::model::Family;
use crate::job::parallelism::TensorScope;
use crate::job::workload::{Checkpointing, Precision};
use crate::law::roofline::{Groups, Level};

/// The kind of a warning; scripts match on its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WarningKind {
    /// A variable lies outside the range of the fitted runs.
    OutsideRange,
    /// A strategy or family without fitted runs is substituted by another.
    Substituted,
    /// The calibration has no run on this accelerator.
    UnknownGpu,
    /// The law's estimate is impossible; assumptions replace it.
    Impossible,
    /// The law has no variable for something in the job.
    NotInLaw,
    /// The job does not fit into the memory of a GPU.
    Memory,
    /// The calibration does not state what its energies cover.
    Scope,
    /// Too few held-out runs for an interval of this level.
    TooFewRuns,
    /// The calibration has no run of this strategy.
    UnseenStrategy,
    /// The calibration has times only; power is assumed.
    AssumedPower,
    /// Some energies of the calibration's runs were assumed.
    AssumedEnergy,
    /// The power limit lies outside what was measured.
    PowerLimit,
    /// A pipeline stage holds no layer.
    EmptyStage,
    /// The vocabulary's size is no multiple of 8, for which tensor cores are slow.
    OddVocabulary,
    /// A sequence is longer than the model's positions.
    LongSequence,
    /// The estimate uses more of the peak than measured runs do.
    HighMfu,
}

words!(WarningKind, "kind of warning":
    OutsideRange = "outside-range", Substituted = "substituted", UnknownGpu = "unknown-gpu", Impossible = "impossible", NotInLaw = "not-in-law", Memory = "memory", Scope = "scope", TooFewRuns = "too-few-runs", UnseenStrategy = "unseen-strategy", AssumedPower = "assumed-power", AssumedEnergy = "assumed-energy", PowerLimit = "power-limit", EmptyStage = "empty-stage", OddVocabulary = "odd-vocabulary", LongSequence = "long-sequence", HighMfu = "high-mfu");

/// How much a warning matters, the weightiest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The job cannot run, or assumptions replace the law.
    Critical,
    /// The answer is less sure, or the job is unlikely to be meant so.
    Warning,
    /// Hints, and what the figures of the answer show already.
    Info,
}

words!(Severity, "severity": Critical = "critical", Warning = "warning", Info = "info");

impl WarningKind {
    /// How much warnings of the kind matter.
    pub const fn severity(self) -> Severity {
        match self {
            Self::Impossible | Self::Memory => Severity::Critical,
            Self::OutsideRange
            | Self::Substituted
            | Self::UnknownGpu
            | Self::NotInLaw
            | Self::TooFewRuns
            | Self::UnseenStrategy
            | Self::AssumedEnergy
            | Self::PowerLimit
            | Self::EmptyStage
            | Self::LongSequence
            | Self::HighMfu => Severity::Warning,
            Self::AssumedPower | Self::Scope | Self::OddVocabulary => Severity::Info,
        }
    }

    /// Whether the confidence of an answer by a roofline law states it too, where it is `extrapolated`.
    pub(super) const fn is_in_confidence(self) -> bool {
        matches!(self, Self::OutsideRange | Self::UnknownGpu)
    }
}

/// A warning: a kind that scripts can match, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Its kind.
    pub kind: WarningKind,
    /// The sentence.
    pub text: String,
}

impl Serialize for Warning {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Warning", 3)?;
        fields.serialize_field("kind", &self.kind)?;
        fields.serialize_field("severity", &self.kind.severity())?;
        fields.serialize_field("text", &self.text)?;
        fields.end()
    }
}

impl Warning {
    pub(super) const fn substituted(text: String) -> Self {
        Self { kind: WarningKind::Substituted, text }
    }

    pub(super) fn too_few_runs(calibration: &Calibration, level: f64) -> Self {
        Self {
            kind: WarningKind::TooFewRuns,
            text: format!(
                "{} has too few held-out runs for a {:.0} % interval; the interval is unbounded",
                calibration.name,
                level * 100.0
            ),
        }
    }
}

/// Factor outside the fitted range from which a job counts as extrapolated.
pub(super) const FAR: f64 = 2.0;

/// A warning for variables far outside the fitted range, with value and range of each.
pub(super) fn for_range(outside: &[Outside], calibration: &Calibration) -> Option<Warning> {
    let far: Vec<String> = outside
        .iter()
        .filter(|o| o.factor > FAR)
        .map(|o| {
            format!("{} {} ({} to {})", o.variable, plain(o.value), plain(o.min), plain(o.max))
        })
        .collect();
    (!far.is_empty()).then(|| Warning {
        kind: WarningKind::OutsideRange,
        text: format!(
            "far outside the runs of {}: {}; measure a run like it and add it with `wattlaw calibrate`",
            calibration.name,
            far.join(", ")
        ),
    })
}

/// Lowest power limit in the runs of the built-in law, as a share of TDP: 100 of 300 W on A40.
const MIN_LIMIT_SHARE: f64 = 1.0 / 3.0;

/// Warnings for properties of a job outside the law and its runs.
pub(super) fn for_job(job: &Job, calibration: &Calibration) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |kind, text| warnings.push(Warning { kind, text });
    let data = &calibration.data;
    if data.energies_assumed > 0 {
        warn(
            WarningKind::AssumedEnergy,
            format!(
                "{} of the {} runs of {} have assumed energy; energy and power here depend on that assumption",
                data.energies_assumed, data.rows, calibration.name
            ),
        );
    }
    let accelerator = &job.system.accelerator;
    match &calibration.law {
        Laws::Roofline(law) => {
            let chip = &Groups::for_job(job).chip;
            if !law.posterior.groups(Level::Chip).contains(chip) {
                warn(
                    WarningKind::UnknownGpu,
                    format!(
                        "{} has no run on {} ({chip}): its data sheet and the spread among chips give the answer; a few runs \
                         added with `wattlaw calibrate` narrow it",
                        calibration.name, accelerator.name
                    ),
                );
            } else if !law.posterior.knows_power(chip) {
                warn(
                    WarningKind::AssumedPower,
                    format!(
                        "{} has times of {chip} and no power: the data sheet and other chips give its power",
                        calibration.name
                    ),
                );
            }
        }
        Laws::Scaling(_) => {
            let (gpu, seen) = (&accelerator.name, calibration.seen("gpu"));
            if !seen.iter().any(|s| s == gpu) {
                warn(
                    WarningKind::UnknownGpu,
                    format!(
                        "{} was fitted on {} and not on {gpu}, and the interval does not cover the difference; measure some \
                         runs on it",
                        calibration.name,
                        seen.join(", ")
                    ),
                );
            }
        }
    }
    let mut left_out = Vec::new();
    let (limit, tdp) = (job.system.power_limit.value(), job.system.tdp.value());
    // the roofline law has these variables
    if matches!(calibration.law, Laws::Scaling(_)) {
        if job.workload.lora.is_some() {
            left_out.push("LoRA");
        }
        if job.workload.checkpointing != Checkpointing::None {
            left_out.push("activation checkpointing");
        }
        if limit < tdp {
            left_out.push("the power limit");
        }
        left_out.extend(Unmeasured::of(job).iter().map(|method| method.name()));
    }
    if !left_out.is_empty() {
        warn(
            WarningKind::NotInLaw,
            format!(
                "{} has no variable for {}; the prediction ignores it",
                calibration.name,
                left_out.join(" or ")
            ),
        );
    }
    if matches!(calibration.law, Laws::Roofline(_)) {
        for method in Unmeasured::of(job) {
            warn(
                WarningKind::NotInLaw,
                format!(
                    "{} has no run with {}, so the intervals are as much wider as for a program without runs; {}",
                    calibration.name,
                    method.name(),
                    method.estimated()
                ),
            );
        }
    }
    if matches!(calibration.law, Laws::Roofline(_)) {
        if limit < MIN_LIMIT_SHARE * tdp {
            warn(
                WarningKind::PowerLimit,
                format!(
                    "a power limit of {} W is {:.2} of the TDP; below a third none was measured, and many GPUs refuse it",
                    plain(limit),
                    limit / tdp
                ),
            );
        } else if limit > tdp {
            warn(
                WarningKind::PowerLimit,
                format!(
                    "a power limit of {} W is above the TDP of {} W; the prediction ignores it",
                    plain(limit),
                    plain(tdp)
                ),
            );
        }
    }
    let knows_energy = match &calibration.law {
        Laws::Scaling(laws) => laws.energy.is_some(),
        // its energy is that of the accelerators, and scopes beyond are stated
        Laws::Roofline(_) => false,
    };
    if calibration.scope == Scope::Unstated && knows_energy {
        warn(
            WarningKind::Scope,
            format!(
                "{} does not state what its energies cover (GPUs, node, facility)",
                calibration.name
            ),
        );
    }
    warnings
}

/// The model FLOPs utilisation (MFU, attention's square in full) above which no measured run of these tables lies: in 16 or
/// 8 bits, and in FP32 and TF32, whose peak is easier to reach.
///
/// Source: the tables that the built-in law was fitted on.
const LARGEST_MFU: f64 = 0.75;
const LARGEST_WIDE_MFU: f64 = 0.9;

/// A warning for a time that uses more of the peak than any measured run.
pub(super) fn for_utilisation(
    job: &Job,
    cost: &Cost,
    duration: Option<Interval>,
) -> Option<Warning> {
    let precision = job.workload.precision;
    let peak = job.system.accelerator.peak(precision)?.value() * job.parallelism.gpus() as f64;
    let mfu = cost.model_flops().value() / (peak * duration?.estimate);
    let largest = match precision {
        Precision::Fp32 | Precision::Tf32 => LARGEST_WIDE_MFU,
        Precision::Fp16 | Precision::Bf16 | Precision::Fp8 => LARGEST_MFU,
    };
    (mfu > largest).then(|| Warning {
        kind: WarningKind::HighMfu,
        text: format!(
            "the predicted time uses {:.0} % of the peak FLOP/s; measured runs stay below {:.0} %",
            100.0 * mfu,
            100.0 * largest
        ),
    })
}

/// Warnings for properties of a job that make it slow, whatever the law.
pub(super) fn for_cost(job: &Job) -> Vec<Warning> {
    let (a, w, p) = (&job.architecture, &job.workload, &job.parallelism);
    let empty: Vec<String> = (0..p.pp)
        .filter(|stage| p.stage_layers(a, *stage) == 0)
        .map(|stage| stage.to_string())
        .collect();
    let mut warnings = Vec::new();
    if !empty.is_empty() {
        let (stages, hold) = if empty.len() == 1 { ("stage", "holds") } else { ("stages", "hold") };
        warnings.push(Warning {
            kind: WarningKind::EmptyStage,
            text: format!(
                "pipeline {stages} {} of {}, counted from 0, {hold} no layer; use partition `even`, or fewer stages",
                empty.join(", "),
                p.pp
            ),
        });
    }
    let padded = a.padded_vocab();
    let whole = p.tp == 1 || p.tensor_scope == TensorScope::Mlp;
    if whole && w.task.predicts_words() && w.precision.mixed() && !padded.is_multiple_of(8) {
        warnings.push(Warning {
            kind: WarningKind::OddVocabulary,
            text: format!(
                "a vocabulary of {padded} is no multiple of 8, which is slow on tensor cores in {}; pad it to {} with \
                 vocab_multiple = 64",
                w.precision,
                padded.next_multiple_of(64)
            ),
        });
    }
    let decodes = a.family() == Family::T5;
    let stacks = [
        (w.seq_len, a.encoder_positions.or(a.max_positions)),
        (w.decoder_seq_len, a.max_positions.filter(|_| decodes)),
    ];
    let beyond =
        stacks.into_iter().find_map(|(length, most)| Some((length, most.filter(|n| length > *n)?)));
    if let Some((length, most)) = beyond.filter(|_| a.image.is_none()) {
        warnings.push(Warning {
            kind: WarningKind::LongSequence,
            text: format!(
                "a sequence of {length} is longer than the {most} positions of {}; give max_positions = {length} if they \
                 are extended",
                a.name
            ),
        });
    }
    warnings
}

/// Formats a number: whole numbers in full, others with three digits, large ones with a suffix as in flags (`8.24M`).
pub(crate) fn plain(value: f64) -> String {
    let suffixes = [(1e12, "T"), (1e9, "B"), (1e6, "M")];
    match suffixes.iter().find(|(size, _)| value >= *size) {
        _ if !(0.01..1e15).contains(&value) => format!("{value:.2e}"),
        Some((size, suffix)) => format!("{}{suffix}", plain(value / size)),
        None if value.fract() == 0.0 || value >= 100.0 => format!("{value:.0}"),
        None => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobSpec;
    use crate::job::catalog::Catalog;

    /// A Llama of 4 layers and a vocabulary of 131,072, in a pipeline of 4 by cost.
    #[test]
    fn stages_without_layers_are_named() {
        let warned = |parallelism: &str| {
            let text = format!(
                "model = {{ family = 'llama', layers = 4, hidden_size = 1024, heads = 8, ffn_size = 2048, vocab_size = 131072 }}
                 workload = {{ steps = 1, seq_len = 64, micro_batch = 1, grad_accum = 4 }}
                 parallelism = {{ {parallelism} }}
                 system = {{ gpu = 'a100-sxm4-80gb', gpus = 4 }}"
            );
            let job = JobSpec::from_toml(&text).unwrap().resolve(&Catalog::built_in().unwrap());
            for_cost(&job.unwrap())
        };
        let warnings = warned("pp = 4, partition = 'cost'");
        assert_eq!(warnings[0].kind, WarningKind::EmptyStage);
        assert_eq!(
            warnings[0].text,
            "pipeline stages 1, 2, 3 of 4, counted from 0, hold no layer; use partition `even`, or fewer stages"
        );
        assert_eq!(warned("pp = 4"), []);
    }

    #[test]
    fn an_odd_vocabulary_is_slow_in_half_precision_on_one_tensor_rank() {
        let warned = |model: &str, workload: &str, parallelism: &str| {
            let text = format!(
                "model = {{ name = 'gpt2' {model} }}
                 workload = {{ steps = 1, seq_len = 64, micro_batch = 1 {workload} }}
                 parallelism = {{ {parallelism} }}
                 system = {{ gpu = 'a100-sxm4-80gb', gpus = 2 }}"
            );
            let job = JobSpec::from_toml(&text).unwrap().resolve(&Catalog::built_in().unwrap());
            for_cost(&job.unwrap())
        };
        let warnings = warned("", "", "");
        assert_eq!(warnings[0].kind, WarningKind::OddVocabulary);
        assert_eq!(
            warnings[0].text,
            "a vocabulary of 50257 is no multiple of 8, which is slow on tensor cores in bf16; pad it to 50304 with vocab_multiple = 64"
        );
        assert_eq!(warned("", ", framework = 'megatron'", ""), []);
        assert_eq!(warned(", vocab_multiple = 1", ", framework = 'megatron'", ""), warnings);
        assert_eq!(warned(", vocab_multiple = 8", "", ""), []);
        assert_eq!(warned("", ", precision = 'tf32'", ""), []);
        assert_eq!(warned("", ", task = 'classification'", ""), []);
        assert_eq!(warned("", "", "tp = 2"), []);
    }

    #[test]
    fn a_sequence_beyond_the_models_positions_is_warned_of() {
        let warned = |model: &str, seq_len: u64| {
            let text = format!(
                "model = {{ {model} }}
                 workload = {{ steps = 1, seq_len = {seq_len}, micro_batch = 1, precision = 'tf32' }}
                 system = {{ gpu = 'a100-sxm4-80gb' }}"
            );
            let job = JobSpec::from_toml(&text).unwrap().resolve(&Catalog::built_in().unwrap());
            for_cost(&job.unwrap())
        };
        let long = warned("name = 'gpt2', max_positions = 1024", 2048);
        assert_eq!(long[0].kind, WarningKind::LongSequence);
        assert_eq!(
            long[0].text,
            "a sequence of 2048 is longer than the 1024 positions of gpt2 (changed); give max_positions = 2048 if they are extended"
        );
        assert_eq!(warned("name = 'gpt2', max_positions = 1024", 1024), []);
        // a custom shape has its type's table of positions; rotary ones have no end that is known
        assert_eq!(warned("family = 'gpt2', layers = 2, hidden_size = 64", 2048).len(), 1);
        assert_eq!(warned("family = 'llama', layers = 2, hidden_size = 64", 1 << 20), []);
    }

    #[test]
    fn numbers_are_readable() {
        let shown = [0.001, 1.213, 87.66, 2048.0, 631_766.0, 8_243_312.0, 1e7, 1.5e9].map(plain);
        assert_eq!(shown, ["1.00e-3", "1.21", "87.66", "2048", "631766", "8.24M", "10M", "1.50B"]);
    }
}
