//! The one law on whole sources, configurations, chips, software and models that it was not fitted on.
//!
//! The law is fitted on all sources at once. For each group that is held out it is fitted again without the group's runs,
//! and predicts them as `wattlaw predict` does. A case takes the mean over groups of the median error of their runs, so
//! that no large table outweighs the rest.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::figure::{Checked, Figure, Measure, Target, at_most, coverage};
use super::outcome::{Outcome, Predicted};
use super::regret::{Regret, regrets};
use super::rows::SourceRow;
use super::{FOLDS, SEED};
use crate::base::error::Result;
use crate::base::words::words;
use crate::data::sources::Purpose;
use crate::law::roofline::{Groups, MAX_POINTS, Observation, RooflineFit, Workspace};
use crate::stats::inference::Reference;
use crate::stats::score::{self, finite};
use crate::stats::split;

/// Level of the intervals.
pub(super) const LEVEL: f64 = 0.95;

/// Runs of a new chip that the law chooses.
const FEW_SHOT: usize = 5;

/// The table of the fine-tuning benchmark.
const FINE_TUNING: &str = "fine_tuning/llm_fine_tuning_bench.csv";

/// The table of the study. What its BERT and GPT runs tell of one another is little, so they are reported apart.
const STUDY: &str = "multi_gpu_2026/runs.csv";

/// What a case holds out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldOut {
    /// Each source.
    Sources,
    /// A fifth of the configurations of every source.
    Configurations,
    /// Each chip.
    Chips,
    /// Each chip but five runs of each of its sources, which the law chooses.
    ChipsGivenFive,
    /// Each program.
    Programs,
    /// Each framework with all its programs.
    Frameworks,
    /// Each model of the fine-tuning benchmark.
    FineTuningModels,
}

words!(HeldOut, "case": Sources = "sources", Configurations = "configurations", Chips = "chips",
    ChipsGivenFive = "chips-given-5", Programs = "stacks", Frameworks = "frameworks",
    FineTuningModels = "fine-tuning-models");

/// The groups that a summary is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// Those whose chip and program have other runs in the fit.
    Seen,
    /// Those whose chip or program has none.
    Unseen,
    /// All.
    All,
}

type OverFigure = (Over, Figure);

const SOURCES: &[OverFigure] = &[
    (Over::Seen, at_most(Target::Duration, Measure::MeanOfMedians, 0.11, 0.07)),
    (Over::Seen, at_most(Target::Duration, Measure::MeanError, 0.20, 0.12)),
    (Over::Seen, at_most(Target::Duration, Measure::HalfWidth, 1.35, 1.2)),
    (Over::Seen, coverage(Target::Duration)),
    (Over::All, at_most(Target::Power, Measure::MeanOfMedians, 0.08, 0.04)),
    (Over::All, coverage(Target::Power)),
    (Over::All, at_most(Target::Energy, Measure::MeanOfMedians, 0.14, 0.08)),
    (Over::All, coverage(Target::Energy)),
];
const CONFIGURATIONS: &[OverFigure] = &[
    (Over::All, at_most(Target::Duration, Measure::MeanOfMedians, 0.05, 0.03)),
    (Over::All, coverage(Target::Duration)),
];
const CHIPS: &[OverFigure] = &[
    (Over::All, at_most(Target::Duration, Measure::MeanOfMedians, 0.20, 0.13)),
    (Over::All, coverage(Target::Duration)),
];
const CHIPS_GIVEN_FIVE: &[OverFigure] = &[
    (Over::All, at_most(Target::Duration, Measure::MeanOfMedians, 0.09, 0.05)),
    (Over::All, coverage(Target::Duration)),
];
const STACKS: &[OverFigure] = &[
    (Over::All, at_most(Target::Duration, Measure::MeanOfMedians, 0.20, 0.12)),
    (Over::All, at_most(Target::Duration, Measure::HalfWidth, 1.6, 1.5)),
    (Over::All, coverage(Target::Duration)),
];
const FINE_TUNING_MODELS: &[OverFigure] = &[
    (Over::All, at_most(Target::Duration, Measure::MeanOfMedians, 0.10, 0.06)),
    (Over::All, coverage(Target::Duration)),
    (Over::All, at_most(Target::Energy, Measure::MeanOfMedians, 0.09, 0.05)),
    (Over::All, coverage(Target::Energy)),
];

impl HeldOut {
    /// All cases, in printed order.
    pub const CASES: [Self; 7] = [
        Self::Sources,
        Self::Configurations,
        Self::Chips,
        Self::ChipsGivenFive,
        Self::Programs,
        Self::Frameworks,
        Self::FineTuningModels,
    ];

    /// What is held out, in words.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Sources => "each source, with all its precisions and power limits",
            Self::Configurations => {
                "five folds by configuration within every source; the sources are known"
            }
            Self::Chips => "all runs of a chip",
            Self::ChipsGivenFive => {
                "all runs of a chip but five of the source that is predicted, which the law chooses"
            }
            Self::Programs => "all runs of a program within its framework",
            Self::Frameworks => "all runs of a framework",
            Self::FineTuningModels => "a model in all sources of the fine-tuning benchmark",
        }
    }

    const fn figures(self) -> &'static [OverFigure] {
        match self {
            Self::Sources => SOURCES,
            Self::Configurations => CONFIGURATIONS,
            Self::Chips => CHIPS,
            Self::ChipsGivenFive => CHIPS_GIVEN_FIVE,
            Self::Programs | Self::Frameworks => STACKS,
            Self::FineTuningModels => FINE_TUNING_MODELS,
        }
    }

    /// The group of a row that is held out as a whole; `None` for a row that always is in the fit.
    fn group(self, row: &SourceRow) -> Option<&str> {
        match self {
            // its configurations are held out fold by fold, and reported by source
            Self::Sources | Self::Configurations => {
                (row.purpose == Purpose::Fit).then_some(&row.source)
            }
            Self::Chips | Self::ChipsGivenFive => {
                (row.purpose == Purpose::Fit).then_some(&row.observation.groups.chip)
            }
            Self::Programs => {
                (row.purpose == Purpose::Fit).then_some(&row.observation.groups.program)
            }
            Self::Frameworks => {
                (row.purpose == Purpose::Fit).then_some(&row.observation.groups.framework)
            }
            Self::FineTuningModels => (row.table == FINE_TUNING).then_some(&row.model),
        }
    }

    /// Whether a row counts in the summaries. Others are listed apart: the study's BERT and GPT, which do not tell of one
    /// another, and rows that no law is fitted on.
    fn counts(self, row: &SourceRow) -> bool {
        match self {
            Self::FineTuningModels => row.purpose == Purpose::Fit,
            Self::Sources
            | Self::Configurations
            | Self::Chips
            | Self::ChipsGivenFive
            | Self::Programs
            | Self::Frameworks => row.table != STUDY,
        }
    }
}

/// The evaluation of a case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeldOutEvaluation {
    /// The case's name.
    pub case: String,
    /// What is held out, in words.
    pub held_out: String,
    /// Scores of each held-out group.
    pub groups: Vec<GroupScore>,
    /// Scores over groups.
    pub summaries: Vec<Summary>,
    /// The runs that each fit lacks, for comparison with other programs.
    pub splits: Vec<HeldOutRows>,
    /// What plans by the law lose on the grids of these runs, by source and of all.
    pub regrets: Vec<Regret>,
    /// The targets.
    #[serde(skip)]
    pub figures: Vec<Checked>,
    /// Groups and runs left out, with reasons.
    pub notes: Vec<String>,
}

/// The runs that a fit lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldOutRows {
    /// The group, or the number of the fold.
    pub held_out: String,
    /// Lines of the tables, by source; the header is line 1.
    pub lines: BTreeMap<String, Vec<u64>>,
}

/// Scores of a held-out group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupScore {
    /// The group.
    pub held_out: String,
    /// Whether the summaries count it; others are reported apart.
    pub counts: bool,
    /// Whether chip and program of all its runs have other runs in the fit.
    pub seen: bool,
    /// Scores of all its runs.
    #[serde(flatten)]
    pub scores: Scores,
    /// Scores of its runs by source.
    pub sources: BTreeMap<String, Scores>,
}

/// Scores of some runs, by response.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scores {
    /// Time.
    pub duration: Option<Score>,
    /// Mean power of a GPU, in the scope of the runs.
    pub power: Option<Score>,
    /// Energy, in the scope of the runs.
    pub energy: Option<Score>,
}

/// Scores of one response. Errors are relative.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Score {
    /// Number of runs.
    pub n: usize,
    /// Median error.
    #[serde(serialize_with = "finite")]
    pub median_error: f64,
    /// Mean error.
    #[serde(serialize_with = "finite")]
    pub mean_error: f64,
    /// Median of the predicted over the measured.
    #[serde(serialize_with = "finite")]
    pub median_ratio: f64,
    /// Share of the runs inside their 95 % interval.
    #[serde(serialize_with = "finite")]
    pub coverage: f64,
    /// Median half-width of these intervals, as a factor.
    #[serde(serialize_with = "finite")]
    pub half_width_factor: f64,
    /// Median error of the baseline: 6·N·D FLOPs at 40 % of peak, and thermal design power.
    #[serde(serialize_with = "finite")]
    pub baseline_median_error: f64,
    /// Its mean error.
    #[serde(serialize_with = "finite")]
    pub baseline_mean_error: f64,
}

/// Scores over groups.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// The groups.
    pub over: Over,
    /// The response.
    pub target: Target,
    /// Number of groups.
    pub n_groups: usize,
    /// Number of runs.
    pub n_rows: usize,
    /// Mean over groups of the median error of their runs.
    #[serde(serialize_with = "finite")]
    pub mean_of_medians: f64,
    /// Mean error over all runs.
    #[serde(serialize_with = "finite")]
    pub pooled_mape: f64,
    /// Mean over groups of the share of runs inside their 95 % interval.
    #[serde(serialize_with = "finite")]
    pub coverage: f64,
    /// Median over groups of their median half-width, as a factor.
    #[serde(serialize_with = "finite")]
    pub half_width_factor: f64,
    /// `mean_of_medians` of the baseline.
    #[serde(serialize_with = "finite")]
    pub baseline_mean_of_medians: f64,
    /// `pooled_mape` of the baseline.
    #[serde(serialize_with = "finite")]
    pub baseline_pooled_mape: f64,
}

/// The law and the runs that it is held against.
#[derive(Debug)]
pub struct OneLaw<'a> {
    rows: &'a [SourceRow],
    fit: RooflineFit,
}

impl<'a> OneLaw<'a> {
    /// Fits the law on all runs that it is for.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) without any run.
    pub fn fit(rows: &'a [SourceRow]) -> Result<Self> {
        let train: Vec<&Observation> = rows
            .iter()
            .filter(|row| row.purpose == Purpose::Fit)
            .map(|row| &row.observation)
            .collect();
        Ok(Self { rows, fit: RooflineFit::fit(&train, Some(MAX_POINTS))? })
    }

    /// Evaluates a case; `progress` is called with each group or fold that is held out.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) where a fit without the held-out runs has none.
    pub fn evaluate(
        &self,
        case: HeldOut,
        progress: &mut dyn FnMut(&str),
    ) -> Result<HeldOutEvaluation> {
        let mut of_group: BTreeMap<String, Group> = BTreeMap::new();
        let mut splits = Vec::new();
        let mut notes = Vec::new();
        let mut all = Vec::new();
        for (held_out, test) in self.splits(case)? {
            progress(&held_out);
            let rows: Vec<&SourceRow> = test.iter().map(|at| &self.rows[*at]).collect();
            let predicted = self.predict(case, &test, &mut notes)?;
            if case != HeldOut::ChipsGivenFive {
                splits.push(HeldOutRows { held_out: held_out.clone(), lines: lines(&rows) });
            }
            let seen = self.seen(&test);
            for (at, predicted) in predicted {
                let row = &self.rows[at];
                let Some(name) = case.group(row) else { continue };
                let counts = case.counts(row);
                let name = if counts { name.to_owned() } else { format!("{name}, apart") };
                let group = of_group.entry(name).or_insert_with(|| Group {
                    counts,
                    seen: true,
                    predicted: Vec::new(),
                });
                group.seen &= seen.contains(&at);
                all.push((row, predicted.clone()));
                group.predicted.push(predicted);
            }
        }
        let all: Vec<(&SourceRow, &Predicted)> =
            all.iter().map(|(row, predicted)| (*row, predicted)).collect();
        let evaluation = HeldOutEvaluation::new(
            &case.to_string(),
            case.description(),
            of_group,
            splits,
            case.figures(),
            notes,
        );
        Ok(HeldOutEvaluation { regrets: regrets(&all), ..evaluation })
    }

    /// The positions of the runs that are held out together, by the name of their group or fold.
    fn splits(&self, case: HeldOut) -> Result<BTreeMap<String, Vec<usize>>> {
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, row) in self.rows.iter().enumerate() {
            if let Some(group) = case.group(row) {
                groups.entry(group.to_owned()).or_default().push(at);
            }
        }
        if case != HeldOut::Configurations {
            return Ok(groups);
        }
        let mut folds: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for of_source in groups.values() {
            let labels: Vec<&str> =
                of_source.iter().map(|at| self.rows[*at].configuration.as_str()).collect();
            let configurations = split::Groups::from_labels(&labels);
            let k = FOLDS.min(configurations.count());
            for (fold, members) in
                split::shuffled_k_fold(configurations.count(), k, SEED)?.into_iter().enumerate()
            {
                let test = of_source.iter().zip(configurations.ids());
                let test = test.filter(|(_, id)| members.contains(id)).map(|(at, _)| *at);
                folds.entry(format!("fold {}", fold + 1)).or_default().extend(test);
            }
        }
        Ok(folds)
    }

    /// The runs of a test whose chip and program have runs in the fit.
    fn seen(&self, test: &[usize]) -> BTreeSet<usize> {
        let held_out: BTreeSet<usize> = test.iter().copied().collect();
        let train = || {
            let rows = self.rows.iter().enumerate();
            rows.filter(|(at, row)| row.purpose == Purpose::Fit && !held_out.contains(at))
        };
        let chips: BTreeSet<&str> =
            train().map(|(_, row)| row.observation.groups.chip.as_str()).collect();
        let programs: BTreeSet<&str> =
            train().map(|(_, row)| row.observation.groups.program.as_str()).collect();
        let seen = |at: &usize| {
            let groups = &self.rows[*at].observation.groups;
            chips.contains(groups.chip.as_str()) && programs.contains(groups.program.as_str())
        };
        held_out.iter().copied().filter(seen).collect()
    }

    /// Fits the law without the runs of a test, and predicts them.
    fn predict(
        &self,
        case: HeldOut,
        test: &[usize],
        notes: &mut Vec<String>,
    ) -> Result<Vec<(usize, Predicted)>> {
        let held_out: BTreeSet<usize> = test.iter().copied().collect();
        // for configurations the source is known, so that it has factors and discrepancies of its own
        let own = |row: &SourceRow| match case {
            HeldOut::Configurations => Observation {
                groups: Groups { source: row.source.clone(), ..row.observation.groups.clone() },
                ..row.observation.clone()
            },
            HeldOut::Sources
            | HeldOut::Chips
            | HeldOut::ChipsGivenFive
            | HeldOut::Programs
            | HeldOut::Frameworks
            | HeldOut::FineTuningModels => row.observation.clone(),
        };
        let train: Vec<Observation> = self
            .rows
            .iter()
            .enumerate()
            .filter(|(at, row)| row.purpose == Purpose::Fit && !held_out.contains(at))
            .map(|(_, row)| own(row))
            .collect();
        let law = self.fit.refit(&train.iter().collect::<Vec<_>>(), Some(MAX_POINTS))?;
        if case != HeldOut::ChipsGivenFive {
            return self.outcomes(&law, test, own);
        }
        let mut predicted = Vec::new();
        let mut by_source: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for at in test {
            by_source.entry(&self.rows[*at].source).or_default().push(*at);
        }
        for (source, of_source) in by_source {
            if of_source.len() <= FEW_SHOT {
                notes.push(format!(
                    "{source}: {} runs are too few to choose {FEW_SHOT} of them",
                    of_source.len()
                ));
                continue;
            }
            let candidates: Vec<&Observation> =
                of_source.iter().map(|at| &self.rows[*at].observation).collect();
            let chosen = law.choose(&candidates, FEW_SHOT);
            let runs: Vec<&Observation> = chosen.iter().map(|at| candidates[*at]).collect();
            let law = law.updated(&runs, source, Some(MAX_POINTS))?;
            let chosen: BTreeSet<usize> = chosen.into_iter().map(|at| of_source[at]).collect();
            let rest: Vec<usize> =
                of_source.into_iter().filter(|at| !chosen.contains(at)).collect();
            predicted.extend(self.outcomes(&law, &rest, own)?);
        }
        Ok(predicted)
    }

    fn outcomes(
        &self,
        law: &RooflineFit,
        test: &[usize],
        own: impl Fn(&SourceRow) -> Observation,
    ) -> Result<Vec<(usize, Predicted)>> {
        let quantile = Reference::Normal.half_width(LEVEL)?;
        let mut answers = BTreeMap::new();
        let mut workspace = Workspace::default();
        let predict = |at: &usize| {
            let row = &self.rows[*at];
            let run = own(row);
            let answer =
                answers.entry(run.groups.clone()).or_insert_with(|| law.answer(&run.groups));
            let estimate = answer.estimate(&run.terms, run.scope, &mut workspace).estimate;
            let found = [
                (estimate.log_time, estimate.variance_time.sqrt()),
                (estimate.log_power, estimate.variance_power.sqrt()),
                (estimate.log_time + estimate.log_power, estimate.energy_sd()),
            ];
            let energy = run.log_time.zip(run.log_power).map(|(time, power)| time + power);
            let measured = [run.log_time, run.log_power, energy];
            let baseline = row.baseline();
            let outcomes = std::array::from_fn(|k| {
                measured[k].map(|y| Outcome {
                    log_error: found[k].0 - y,
                    half_width: quantile * found[k].1,
                    baseline: baseline[k] - y,
                })
            });
            let [time, power] = answer.logs_at_mean_costs(&run.terms, run.scope);
            let log_expected = Some([time, power, time + power]);
            (*at, Predicted { source: row.source.clone(), outcomes, log_expected })
        };
        Ok(test.iter().map(predict).collect())
    }
}

/// Lines of the tables of some runs, by source.
fn lines(rows: &[&SourceRow]) -> BTreeMap<String, Vec<u64>> {
    let mut lines: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for row in rows {
        lines.entry(row.source.clone()).or_default().push(row.line);
    }
    lines
}

/// The predictions of a held-out group.
pub(super) struct Group {
    pub counts: bool,
    pub seen: bool,
    pub predicted: Vec<Predicted>,
}

impl HeldOutEvaluation {
    /// Scores groups, and compares them with the figures of their case.
    pub(super) fn new(
        case: &str,
        held_out: &str,
        of_group: BTreeMap<String, Group>,
        splits: Vec<HeldOutRows>,
        figures: &[OverFigure],
        notes: Vec<String>,
    ) -> Self {
        let groups: Vec<GroupScore> = of_group
            .iter()
            .map(|(name, group)| {
                let mut sources: BTreeMap<&str, Vec<&Predicted>> = BTreeMap::new();
                for predicted in &group.predicted {
                    sources.entry(&predicted.source).or_default().push(predicted);
                }
                GroupScore {
                    held_out: name.clone(),
                    counts: group.counts,
                    seen: group.seen,
                    scores: Scores::new(&group.predicted.iter().collect::<Vec<_>>()),
                    sources: sources
                        .into_iter()
                        .map(|(source, runs)| (source.to_owned(), Scores::new(&runs)))
                        .collect(),
                }
            })
            .collect();
        let mut summaries = Vec::new();
        for over in [Over::Seen, Over::Unseen, Over::All] {
            for target in [Target::Duration, Target::Power, Target::Energy] {
                summaries.extend(Summary::new(over, target, &groups));
            }
        }
        let check = |(over, figure): &OverFigure| {
            let is = |s: &&Summary| s.over == *over && s.target == figure.target;
            let summary = summaries.iter().find(is)?;
            let found = match figure.measure {
                Measure::MeanOfMedians => summary.mean_of_medians,
                Measure::MeanError => summary.pooled_mape,
                Measure::HalfWidth => summary.half_width_factor,
                Measure::Coverage => summary.coverage,
                // measures of splits and of single runs
                Measure::R2 | Measure::R2Of(_) | Measure::MedianError | Measure::Error => {
                    return None;
                }
            };
            let held_out = match over {
                Over::Seen => format!("{held_out}; those whose chip and program are seen"),
                Over::Unseen => format!("{held_out}; those whose chip or program is not seen"),
                Over::All => held_out.to_owned(),
            };
            Some(Checked::new(case, held_out, figure, found))
        };
        let figures = figures.iter().filter_map(check).collect();
        Self {
            case: case.to_owned(),
            held_out: held_out.to_owned(),
            groups,
            summaries,
            splits,
            regrets: Vec::new(),
            figures,
            notes,
        }
    }
}

impl Scores {
    fn new(runs: &[&Predicted]) -> Self {
        let of = |k: usize| {
            let outcomes: Vec<Outcome> = runs.iter().filter_map(|run| run.outcomes[k]).collect();
            (!outcomes.is_empty()).then(|| Score::new(&outcomes))
        };
        Self { duration: of(0), power: of(1), energy: of(2) }
    }

    const fn of(&self, target: Target) -> Option<&Score> {
        match target {
            Target::Duration => self.duration.as_ref(),
            Target::Power => self.power.as_ref(),
            Target::Energy => self.energy.as_ref(),
        }
    }
}

impl Score {
    fn new(outcomes: &[Outcome]) -> Self {
        let list = |of: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(of).collect::<Vec<f64>>();
        let errors = list(&|o| o.log_error.exp_m1().abs());
        let baseline = list(&|o| o.baseline.exp_m1().abs());
        Self {
            n: outcomes.len(),
            median_error: score::median(&errors),
            mean_error: score::mean(&errors),
            median_ratio: score::median(&list(&|o| o.log_error)).exp(),
            coverage: score::mean(&list(&|o| {
                f64::from(u8::from(o.log_error.abs() <= o.half_width))
            })),
            half_width_factor: score::median(&list(&|o| o.half_width)).exp(),
            baseline_median_error: score::median(&baseline),
            baseline_mean_error: score::mean(&baseline),
        }
    }
}

impl Summary {
    /// `None` where no group has the response.
    fn new(over: Over, target: Target, groups: &[GroupScore]) -> Option<Self> {
        let scores: Vec<&Score> = groups
            .iter()
            .filter(|group| {
                group.counts
                    && match over {
                        Over::Seen => group.seen,
                        Over::Unseen => !group.seen,
                        Over::All => true,
                    }
            })
            .filter_map(|group| group.scores.of(target))
            .collect();
        if scores.is_empty() {
            return None;
        }
        let n_rows: usize = scores.iter().map(|s| s.n).sum();
        let mean =
            |of: fn(&Score) -> f64| scores.iter().map(|s| of(s)).sum::<f64>() / scores.len() as f64;
        let over_rows = |of: fn(&Score) -> f64| {
            scores.iter().map(|s| of(s) * s.n as f64).sum::<f64>() / n_rows as f64
        };
        Some(Self {
            over,
            target,
            n_groups: scores.len(),
            n_rows,
            mean_of_medians: mean(|s| s.median_error),
            pooled_mape: over_rows(|s| s.mean_error),
            coverage: mean(|s| s.coverage),
            half_width_factor: score::median(
                &scores.iter().map(|s| s.half_width_factor).collect::<Vec<f64>>(),
            ),
            baseline_mean_of_medians: mean(|s| s.baseline_median_error),
            baseline_pooled_mape: over_rows(|s| s.baseline_mean_error),
        })
    }
}
