//! The accuracy suite: runs, held-out groups and targets of each case.
//!
//! [`OneLaw`] fits the law on all sources and holds out whole ones, chips, software and models, a [`HeldOut`] a case.
//! [`node_energy`] and [`published`] predict runs that no law is fitted on. The other cases fit the law on one table
//! alone: one line of [`CASES`] is one of them, and [`evaluate`] draws its splits and evaluates the roofline law, other
//! laws and baselines on them. The tables are inputs, not part of the project.

mod evaluation;
mod figure;
mod fits;
mod held_out;
pub mod node_energy;
mod outcome;
pub mod published;
mod regret;
mod rows;

pub use evaluation::{Evaluation, Score, TestSplit, evaluate};
pub use figure::{Attainment, Bound, Checked, Figure, Measure, Target};
pub use fits::{Fits, fits};
pub use held_out::{
    GroupScore, HeldOut, HeldOutEvaluation, HeldOutRows, OneLaw, Over, Score as GroupedScore,
    Scores, Summary,
};
pub use rows::SourceRow;

use figure::{at_least, at_most};

use crate::job::workload::AttentionKernel;
use crate::law::setting::Setting;
use crate::validate::{CrossValidator, HoldOut, IntervalRule, Scheme};

/// Random splits of a shuffled case, the share of groups that they hold out, and the seed of all draws.
const SPLITS: usize = 8;
const TEST_SIZE: f64 = 0.3;
const SEED: u32 = 7;
/// Folds of the configurations of every source.
const FOLDS: usize = 5;

/// How groups are held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitMethod {
    /// In random splits, as scikit-learn's `GroupShuffleSplit` draws them.
    Shuffled,
    /// One group after the other.
    LeftOut,
    /// The largest quarter, then the smallest quarter.
    Scale,
}

/// A case: runs, held-out groups, and targets of the roofline law.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// The table's path below the data folder.
    pub table: &'static str,
    /// Selects the runs.
    pub setting: Option<Setting>,
    /// Selects the accelerator.
    pub gpu: Option<&'static str>,
    /// What is held out together; see [`HoldOut::from`].
    pub hold_out: &'static str,
    /// How groups are held out.
    pub split_method: SplitMethod,
    /// Whether runs have energies, not only times.
    pub energy: bool,
    /// Whether steps that the audit finds stalled are excluded.
    pub without_stalled: bool,
    /// The attention kernel, where known and not in the table.
    pub attention: Option<AttentionKernel>,
    /// Number of few-shot runs.
    pub few_shot: Option<usize>,
    /// The targets.
    pub figures: &'static [Figure],
}

const A100: &str = "a100-sxm4-40gb";
const RTX_2080_TI: &str = "rtx-2080-ti";
const VTRAIN: &str = "step_time/vtrain_a100_single_node.csv";
const FOUNDRY: &str = "step_time/llm_foundry_fsdp.csv";
const NANOTRON: &str = "step_time/nanotron_h100.csv";

const GPT: &[Figure] = &[
    at_least(Target::Energy, Measure::R2, 0.998, 0.9995),
    at_most(Target::Energy, Measure::MedianError, 0.015, 0.01),
    at_most(Target::Energy, Measure::HalfWidth, 1.06, 1.04),
    at_least(Target::Duration, Measure::R2, 0.995, 0.999),
    at_most(Target::Duration, Measure::MedianError, 0.02, 0.01),
];
const BERT: &[Figure] = &[
    at_least(Target::Energy, Measure::R2, 0.993, 0.997),
    at_most(Target::Energy, Measure::MedianError, 0.035, 0.02),
    at_most(Target::Energy, Measure::HalfWidth, 1.15, 1.10),
    at_least(Target::Duration, Measure::R2, 0.995, 0.999),
    at_most(Target::Duration, Measure::MedianError, 0.02, 0.01),
];
const SCALE: &[Figure] = &[
    at_least(Target::Energy, Measure::R2Of("small_to_large"), 0.995, 0.998),
    at_least(Target::Energy, Measure::R2Of("large_to_small"), 0.92, 0.98),
];
const TRANSFER: &[Figure] = &[
    at_least(Target::Energy, Measure::R2, 0.97, 0.985),
    at_most(Target::Energy, Measure::MedianError, 0.08, 0.05),
];
/// Targets of the mean error of step times: required and aimed-at.
macro_rules! mean_error {
    ($least:expr, $aim:expr) => {
        &[at_most(Target::Duration, Measure::MeanError, $least, $aim)]
    };
}

/// A case on the study's runs of one family on one accelerator.
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

/// A case on published step times.
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

/// The case without stalled steps.
const fn unstalled(case: Case) -> Case {
    Case { without_stalled: true, ..case }
}

/// The case with eager attention: vTrain profiled Megatron-DeepSpeed (Bang et al. 2023).
const fn eager(case: Case) -> Case {
    Case { attention: Some(AttentionKernel::Eager), ..case }
}

/// All cases on measured tables, in printed order.
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
    eager(steps("vtrain-gpus", VTRAIN, "gpus", SplitMethod::LeftOut, mean_error!(0.05, 0.02))),
    eager(steps("vtrain-tp", VTRAIN, "tp", SplitMethod::LeftOut, mean_error!(0.10, 0.05))),
    eager(steps(
        "vtrain-widths",
        VTRAIN,
        "hidden_size",
        SplitMethod::LeftOut,
        mean_error!(0.08, 0.04),
    )),
    steps("foundry-models", FOUNDRY, "model", SplitMethod::LeftOut, mean_error!(0.10, 0.07)),
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

/// A small case of synthetic runs, to test that the suite runs; it says nothing about accuracy.
pub const SYNTHETIC: Case = Case {
    energy: true,
    ..steps("made-up", "examples/runs.csv", "family", SplitMethod::Scale, &[])
};

impl Case {
    /// The cross-validation of its laws.
    pub fn validator(&self) -> CrossValidator {
        let scheme = match self.split_method {
            SplitMethod::Shuffled => {
                Scheme::Shuffle { n_splits: SPLITS, test_size: TEST_SIZE, seed: SEED }
            }
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
            SplitMethod::LeftOut => "each left out",
            SplitMethod::Scale => "largest and smallest quarter",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aims_exceed_floors_and_names_are_unique() {
        for (i, case) in CASES.iter().enumerate() {
            assert!(CASES[..i].iter().all(|other| other.name != case.name), "{}", case.name);
            assert!(!case.figures.is_empty(), "{}", case.name);
            for f in case.figures {
                match (f.least, f.aim) {
                    (Bound::AtLeast(least), Bound::AtLeast(aim)) => assert!(aim > least, "{f:?}"),
                    (Bound::AtMost(least), Bound::AtMost(aim)) => assert!(aim < least, "{f:?}"),
                    (least, aim) => panic!("{least:?} and {aim:?} of {}", case.name),
                }
            }
        }
    }
}
