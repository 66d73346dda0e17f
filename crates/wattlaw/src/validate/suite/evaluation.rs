//! Evaluates a case: the roofline law, other laws and baselines on the same runs and splits.

use serde::Serialize;

use super::Case;
use super::figure::{Checked, Figure, Measure, Target};
use crate::audit::{FindingKind, audit};
use crate::base::error::{Error, Result};
use crate::data::dataset::{Dataset, ProxyColumns};
use crate::data::measurement::{DescribedJob, Measurement};
use crate::job::catalog::Catalog;
use crate::law::Law;
use crate::law::baseline::FixedMfu;
use crate::law::efficiency::{BeforeRunLaw, measurable};
use crate::law::roofline::{Response, RooflineLaw};
use crate::law::scaling::ScalingLaw;
use crate::law::setting::Setting;
use crate::stats::frame::Frame;
use crate::stats::score::finite;
use crate::validate::{CrossValidator, Validation};

/// Printed names of laws.
const ROOFLINE: &str = "roofline";
const PHYSICS: &str = "roofline, no discrepancy";
const AFTER: &str = "scaling, after the run";
const BEFORE: &str = "scaling, before the run";
const RATED: &str = "TDP × predicted time";
const SIX_ND: &str = "6·N·D at 40 % of peak";

/// One law on one case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// Short name of the law.
    pub name: &'static str,
    /// The response.
    pub target: Target,
    /// Mean relative error over all held-out runs of all splits.
    #[serde(serialize_with = "finite")]
    pub pooled_mape: f64,
    /// All scores.
    #[serde(flatten)]
    pub found: Validation,
}

/// A split by lines of the table, for comparison with other programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestSplit {
    /// A group's label, a direction of scale, or the number of the draw.
    pub held_out: String,
    /// Number of training rows.
    pub n_train: usize,
    /// Number of test rows.
    pub n_test: usize,
    /// Lines of the test rows; the header is line 1.
    pub lines: Vec<u64>,
}

/// The evaluation of a case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// The case's name.
    pub case: &'static str,
    /// The table's path.
    pub table: &'static str,
    /// SHA-256 of its bytes.
    pub data_sha256: String,
    /// The held-out column.
    pub hold_out: &'static str,
    /// How it is held out.
    pub scheme: &'static str,
    /// Runs.
    pub n_rows: usize,
    /// Groups.
    pub n_groups: usize,
    /// Number of runs excluded as stalled.
    pub set_apart: usize,
    /// All laws, the roofline law first.
    pub laws: Vec<Score>,
    /// The targets of the roofline law.
    #[serde(skip)]
    pub figures: Vec<Checked>,
    /// The splits of the roofline law.
    pub splits: Vec<TestSplit>,
    /// Runs and laws left out, with reasons.
    pub notes: Vec<String>,
}

/// Evaluates every law that applies to a case.
///
/// # Errors
/// If no run is left, or the roofline law cannot be evaluated; failures of other laws are notes.
pub fn evaluate(case: &Case, data: &Dataset, catalog: &Catalog) -> Result<Evaluation> {
    let keeps = |run: &Measurement| {
        let named = |gpu| catalog.accelerator(run.gpu()).is_ok_and(|a| a.name == gpu);
        case.setting.is_none_or(|s| s.keeps(run.family(), run.strategy_kind()))
            && case.gpu.is_none_or(named)
    };
    let mut data = data.filter(keeps);
    for run in &mut data.runs {
        let mut job = run.job().clone();
        job.workload.attention = job.workload.attention.or(case.attention);
        run.job = DescribedJob::new(job)?;
    }
    let (data, set_apart) =
        if case.without_stalled { without_stalled(&data, catalog) } else { (data, 0) };
    let (data, note) = data.countable(catalog);
    if data.runs.is_empty() {
        return Err(Error::Data(format!("{}: no run is left for {}", data.name, case.name)));
    }
    let frame = data.frame(ProxyColumns::default(), catalog)?;
    let validator = case.validator();
    let mut evaluation = Evaluation {
        case: case.name,
        table: case.table,
        data_sha256: data.digest.clone(),
        hold_out: case.hold_out,
        scheme: case.scheme(),
        n_rows: data.runs.len(),
        n_groups: 0,
        set_apart,
        laws: Vec::new(),
        figures: Vec::new(),
        splits: Vec::new(),
        notes: note.into_iter().collect(),
    };

    let mut ours = RooflineLaw::new(&data, catalog, case.energy);
    if case.energy {
        ours.other_responses = vec![Response::Duration, Response::RatedEnergy];
    }
    evaluation.roofline(ROOFLINE, &ours, &validator, &frame)?;
    if let Some(first) = evaluation.laws.first() {
        let split = |s: &crate::validate::SplitScore| TestSplit {
            held_out: s.held_out.clone(),
            n_train: s.n_train,
            n_test: s.n_test,
            lines: s.test_rows.iter().map(|row| data.runs[*row].line).collect(),
        };
        evaluation.n_groups = first.found.n_groups;
        evaluation.splits = first.found.splits.iter().map(split).collect();
    }
    ours.discrepancy = None;
    ours.other_responses.retain(|response| *response == Response::Duration);
    evaluation.roofline(PHYSICS, &ours, &validator, &frame)?;

    let targets: &[Target] =
        if case.energy { &[Target::Energy, Target::Duration] } else { &[Target::Duration] };
    for target in targets {
        evaluation.scaling(case.setting.unwrap_or(Setting::Pooled), *target, &validator, &frame)?;
        let rule = FixedMfu::new(&data, catalog, *target == Target::Energy);
        // a baseline has no fit and therefore no interval
        evaluation.try_law(
            SIX_ND,
            *target,
            &rule,
            &CrossValidator { intervals: None, ..validator.clone() },
            &frame,
        );
    }
    evaluation.figures = case.figures.iter().filter_map(|f| evaluation.check(f)).collect();
    Ok(evaluation)
}

/// The table without stalled steps, and their number.
fn without_stalled(data: &Dataset, catalog: &Catalog) -> (Dataset, usize) {
    let stalled: Vec<Option<u64>> = audit(data, catalog)
        .into_iter()
        .filter(|finding| finding.kind == FindingKind::Stalled)
        .map(|finding| finding.row)
        .collect();
    let kept = data.filter(|run| !stalled.contains(&Some(run.line)));
    let n = data.runs.len() - kept.runs.len();
    (kept, n)
}

impl Evaluation {
    /// Evaluates a roofline law and the other responses of its fits.
    fn roofline(
        &mut self,
        name: &'static str,
        law: &RooflineLaw,
        validator: &CrossValidator,
        frame: &Frame,
    ) -> Result<()> {
        let (first, others) = validator.validate_with_other_responses(law, frame)?;
        let all = std::iter::once((law.predicts, first))
            .chain(law.other_responses.iter().copied().zip(others));
        for (response, found) in all {
            let (name, target) = match response {
                Response::Energy => (name, Target::Energy),
                Response::Duration => (name, Target::Duration),
                Response::RatedEnergy => (RATED, Target::Energy),
            };
            self.laws.push(Score { name, target, pooled_mape: found.pooled_mape(), found });
        }
        Ok(())
    }

    /// Evaluates the study's law, after the run and before it.
    fn scaling(
        &mut self,
        setting: Setting,
        target: Target,
        validator: &CrossValidator,
        frame: &Frame,
    ) -> Result<()> {
        let response = match target {
            Target::Energy => "log_energy_kwh",
            Target::Duration => "log_duration_s",
            // the study has no law of it
            Target::Power => return Ok(()),
        };
        let (formula, note) = measurable(setting.formula()?, frame)?;
        if note.is_some() {
            // without η both laws are equal
            let law = ScalingLaw::new(formula, response);
            self.try_law(BEFORE, target, &law, validator, frame);
            return Ok(());
        }
        let before = BeforeRunLaw::from_terms(setting, formula.clone(), response)?;
        self.try_law(AFTER, target, &ScalingLaw::new(formula, response), validator, frame);
        self.try_law(BEFORE, target, &before, validator, frame);
        Ok(())
    }

    /// Evaluates a law that may not apply to the case.
    fn try_law(
        &mut self,
        name: &'static str,
        target: Target,
        law: &dyn Law,
        validator: &CrossValidator,
        frame: &Frame,
    ) {
        match validator.validate(law, frame) {
            Ok(found) => {
                if let Some(skipped) = found.skipped.first() {
                    self.notes.push(format!(
                        "{name}: {} of {} splits could not be evaluated; the first because {}",
                        found.skipped.len(),
                        found.skipped.len() + found.splits.len(),
                        skipped.reason
                    ));
                }
                self.laws.push(Score { name, target, pooled_mape: found.pooled_mape(), found });
            }
            Err(error) => self.notes.push(format!("{name}: {error}")),
        }
    }

    /// The roofline law's value of a target; `None` if the case lacks the response.
    fn check(&self, figure: &Figure) -> Option<Checked> {
        let ours = |s: &&Score| s.name == ROOFLINE && s.target == figure.target;
        let score = self.laws.iter().find(ours)?;
        let found = match figure.measure {
            Measure::R2 => score.found.r2.median,
            Measure::R2Of(held_out) => {
                score.found.splits.iter().find(|s| s.held_out == held_out)?.r2
            }
            Measure::MedianError => score.found.median_ape.median,
            Measure::MeanError => score.pooled_mape,
            Measure::HalfWidth => score.found.half_width_factor.as_ref()?.median,
            // measures of single runs and of groups, which have no splits
            Measure::Error | Measure::MeanOfMedians | Measure::Coverage => return None,
        };
        let held_out = format!("{} ({})", self.hold_out, self.scheme);
        Some(Checked::new(self.case, held_out, figure, found))
    }
}
