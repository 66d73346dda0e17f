//! The figures that wattlaw's accuracy is held to: which runs, what is held out, what must be reached.
//!
//! One line of [`CASES`] is one row of that table. [`evaluate`] draws the splits of a case and judges the roofline law on
//! them, and beside it the laws and rules that people would use without it; [`published`] answers for whole runs that
//! others measured. Tables come in from outside: they are not part of the project.

mod evaluation;
pub mod published;

pub use evaluation::{Attainment, Checked, Evaluation, Score, TestSplit, evaluate};

use serde::Serialize;

use crate::job::workload::AttentionKernel;
use crate::law::setting::Setting;
use crate::validate::{CrossValidator, HoldOut, IntervalRule, Scheme};

/// Random splits of a shuffled case, the share of groups that they hold out, and the seed of everything that is drawn.
const SPLITS: usize = 8;
const TEST_SIZE: f64 = 0.3;
const SEED: u32 = 7;
const FOLDS: usize = 5;

/// What is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Energy.
    Energy,
    /// Time.
    Duration,
}

/// How groups are held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitMethod {
    /// In random splits, as scikit-learn's `GroupShuffleSplit` draws them.
    Shuffled,
    /// In five folds.
    Folds,
    /// One after the other.
    LeftOut,
    /// The large quarter by a law of the rest, then the small quarter.
    Scale,
}

/// What is measured of a law on held-out runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// R² of the logarithm, the median over splits.
    R2,
    /// R² of the one split that holds this out.
    R2Of(&'static str),
    /// Median relative error of a split, the median over splits.
    MedianError,
    /// Mean relative error over all held-out runs.
    MeanError,
    /// Factor by which 95 % intervals reach up and down, the median over splits.
    HalfWidth,
    /// Relative error of one run.
    Error,
}

impl Measure {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::R2 => "r2",
            Self::R2Of(held_out) => held_out,
            Self::MedianError => "median_ape",
            Self::MeanError => "pooled_mape",
            Self::HalfWidth => "half_width_factor",
            Self::Error => "absolute_error",
        }
    }

    /// Whether more of it is better.
    pub const fn grows(self) -> bool {
        matches!(self, Self::R2 | Self::R2Of(_))
    }
}

/// What must be reached, and what should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Of what.
    pub target: Target,
    /// By which measure.
    pub measure: Measure,
    /// The floor.
    pub least: f64,
    /// The aim.
    pub aim: f64,
}

const fn figure(target: Target, measure: Measure, least: f64, aim: f64) -> Figure {
    Figure { target, measure, least, aim }
}

/// Runs, what is held out of them, and what is asked of our law.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// The table's path below the data folder.
    pub table: &'static str,
    /// Which runs are kept.
    pub setting: Option<Setting>,
    /// On which accelerator.
    pub gpu: Option<&'static str>,
    /// What is held out together; see [`HoldOut::from`].
    pub hold_out: &'static str,
    /// How.
    pub split_method: SplitMethod,
    /// Whether runs have energies, and not only times.
    pub energy: bool,
    /// Whether the audit's stalled steps are set apart first.
    pub without_stalled: bool,
    /// How attention was computed, where that is known and the table does not say.
    pub attention: Option<AttentionKernel>,
    /// Runs of what is held out that a law chooses and is given.
    pub few_shot: Option<usize>,
    /// What is asked.
    pub figures: &'static [Figure],
}

const A100: &str = "a100-sxm4-40gb";
const RTX_2080_TI: &str = "rtx-2080-ti";
const VTRAIN: &str = "step_time/vtrain_a100_single_node.csv";
const FOUNDRY: &str = "step_time/llm_foundry_fsdp.csv";
const NANOTRON: &str = "step_time/nanotron_h100.csv";

const GPT: &[Figure] = &[
    figure(Target::Energy, Measure::R2, 0.998, 0.9995),
    figure(Target::Energy, Measure::MedianError, 0.015, 0.01),
    figure(Target::Energy, Measure::HalfWidth, 1.06, 1.04),
    figure(Target::Duration, Measure::R2, 0.995, 0.999),
    figure(Target::Duration, Measure::MedianError, 0.02, 0.01),
];
const BERT: &[Figure] = &[
    figure(Target::Energy, Measure::R2, 0.993, 0.997),
    figure(Target::Energy, Measure::MedianError, 0.035, 0.02),
    figure(Target::Energy, Measure::HalfWidth, 1.15, 1.10),
    figure(Target::Duration, Measure::R2, 0.995, 0.999),
    figure(Target::Duration, Measure::MedianError, 0.02, 0.01),
];
const SCALE: &[Figure] = &[
    figure(Target::Energy, Measure::R2Of("small_to_large"), 0.995, 0.998),
    figure(Target::Energy, Measure::R2Of("large_to_small"), 0.92, 0.98),
];
const TRANSFER: &[Figure] = &[
    figure(Target::Energy, Measure::R2, 0.97, 0.985),
    figure(Target::Energy, Measure::MedianError, 0.08, 0.05),
];
/// The mean error of step times, at least and as aimed at.
macro_rules! mean_error {
    ($least:expr, $aim:expr) => {
        &[figure(Target::Duration, Measure::MeanError, $least, $aim)]
    };
}

/// The study's runs of one family on one accelerator.
const fn study(
    name: &'static str,
    setting: Setting,
    gpu: &'static str,
    hold_out: &'static str,
    split_method: SplitMethod,
    figures: &'static [Figure],
) -> Case {
    let table = "multi_gpu_2026/runs.csv";
    Case {
        setting: Some(setting),
        gpu: Some(gpu),
        energy: true,
        ..steps(name, table, hold_out, split_method, figures)
    }
}

/// Step times that others published.
const fn steps(
    name: &'static str,
    table: &'static str,
    hold_out: &'static str,
    split_method: SplitMethod,
    figures: &'static [Figure],
) -> Case {
    Case {
        name,
        table,
        setting: None,
        gpu: None,
        hold_out,
        split_method,
        energy: false,
        without_stalled: false,
        attention: None,
        few_shot: None,
        figures,
    }
}

/// The same without steps that stalled.
const fn unstalled(case: Case) -> Case {
    Case { without_stalled: true, ..case }
}

/// The same of a program from before fused attention: vTrain profiled Megatron-DeepSpeed (Bang et al. 2023).
const fn eager(case: Case) -> Case {
    Case { attention: Some(AttentionKernel::Eager), ..case }
}

/// Every case that needs a table of measured runs, in the order that it is printed.
pub const CASES: &[Case] = &[
    study("gpt-a100-families", Setting::Gpt, A100, "family", SplitMethod::Shuffled, GPT),
    study("gpt-a100-architectures", Setting::Gpt, A100, "architecture", SplitMethod::Shuffled, GPT),
    study("gpt-2080ti-families", Setting::Gpt, RTX_2080_TI, "family", SplitMethod::Shuffled, GPT),
    study(
        "gpt-2080ti-architectures",
        Setting::Gpt,
        RTX_2080_TI,
        "architecture",
        SplitMethod::Shuffled,
        GPT,
    ),
    study(
        "bert-2080ti-families",
        Setting::Bert,
        RTX_2080_TI,
        "family",
        SplitMethod::Shuffled,
        BERT,
    ),
    study(
        "bert-2080ti-architectures",
        Setting::Bert,
        RTX_2080_TI,
        "architecture",
        SplitMethod::Shuffled,
        BERT,
    ),
    study("gpt-a100-scale", Setting::Gpt, A100, "family", SplitMethod::Scale, SCALE),
    study("gpt-2080ti-scale", Setting::Gpt, RTX_2080_TI, "family", SplitMethod::Scale, SCALE),
    Case {
        gpu: None,
        few_shot: Some(5),
        ..study("gpt-gpus-given-5", Setting::Gpt, A100, "gpu", SplitMethod::LeftOut, TRANSFER)
    },
    eager(steps("vtrain-folds", VTRAIN, "row", SplitMethod::Folds, mean_error!(0.01, 0.002))),
    eager(steps("vtrain-gpus", VTRAIN, "gpus", SplitMethod::LeftOut, mean_error!(0.05, 0.02))),
    eager(steps("vtrain-tp", VTRAIN, "tp", SplitMethod::LeftOut, mean_error!(0.10, 0.05))),
    eager(steps(
        "vtrain-widths",
        VTRAIN,
        "hidden_size",
        SplitMethod::LeftOut,
        mean_error!(0.08, 0.04),
    )),
    steps("foundry-folds", FOUNDRY, "row", SplitMethod::Folds, mean_error!(0.08, 0.05)),
    steps("foundry-models", FOUNDRY, "model", SplitMethod::LeftOut, mean_error!(0.10, 0.07)),
    unstalled(steps(
        "nanotron-folds",
        NANOTRON,
        "row",
        SplitMethod::Folds,
        mean_error!(0.07, 0.04),
    )),
    unstalled(steps(
        "nanotron-models",
        NANOTRON,
        "model",
        SplitMethod::LeftOut,
        mean_error!(0.10, 0.06),
    )),
    unstalled(steps(
        "nanotron-gpus",
        NANOTRON,
        "gpus",
        SplitMethod::LeftOut,
        mean_error!(0.12, 0.08),
    )),
];

/// A small case of made-up runs that needs no measured table: it shows that everything runs, and nothing of accuracy.
pub const SYNTHETIC: Case = Case {
    energy: true,
    ..steps("made-up", "examples/runs.csv", "family", SplitMethod::Scale, &[])
};

impl Case {
    /// How its laws are judged.
    pub fn validator(&self) -> CrossValidator {
        let scheme = match self.split_method {
            SplitMethod::Shuffled => {
                Scheme::Shuffle { n_splits: SPLITS, test_size: TEST_SIZE, seed: SEED }
            }
            SplitMethod::Folds => Scheme::KFold { k: FOLDS, seed: SEED },
            SplitMethod::LeftOut => Scheme::LeaveOneOut { seed: SEED },
            SplitMethod::Scale => Scheme::ScaleShift { by: "log_C".to_owned(), seed: SEED },
        };
        CrossValidator {
            hold_out: HoldOut::from(self.hold_out),
            scheme,
            seen: Vec::new(),
            intervals: Some(IntervalRule::default()),
            few_shot: self.few_shot,
        }
    }

    /// How groups are held out, in words.
    pub const fn scheme(&self) -> &'static str {
        match self.split_method {
            SplitMethod::Shuffled => "8 shuffles",
            SplitMethod::Folds => "5 folds",
            SplitMethod::LeftOut => "each left out",
            SplitMethod::Scale => "largest and smallest quarter",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aims_are_harder_than_floors_and_names_are_told_apart() {
        for (i, case) in CASES.iter().enumerate() {
            assert!(CASES[..i].iter().all(|other| other.name != case.name), "{}", case.name);
            assert!(!case.figures.is_empty(), "{}", case.name);
            for f in case.figures {
                assert_eq!(f.aim > f.least, f.measure.grows(), "{} {:?}", case.name, f);
            }
        }
    }
}
