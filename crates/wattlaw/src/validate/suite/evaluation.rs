//! What came of a case: our law, and what people would use without it, on the same runs and splits.

use serde::Serialize;

use super::{Case, Figure, Measure, Target};
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

/// The names under which laws are printed.
const ROOFLINE: &str = "roofline";
const PHYSICS: &str = "roofline, no discrepancy";
const AFTER: &str = "scaling, after the run";
const BEFORE: &str = "scaling, before the run";
const RATED: &str = "TDP × predicted time";
const SIX_ND: &str = "6·N·D at 40 % of peak";

/// One law on one case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// The law, in short.
    pub name: &'static str,
    /// What it explains.
    pub target: Target,
    /// Mean relative error over all held-out runs of all splits.
    #[serde(serialize_with = "finite")]
    pub pooled_mape: f64,
    /// All else.
    #[serde(flatten)]
    pub found: Validation,
}

/// How far a figure was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Attainment {
    /// The aim.
    Aim,
    /// The floor.
    Floor,
    /// Neither.
    No,
}

/// A figure and what was found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Checked {
    /// Of what.
    pub target: Target,
    /// By which measure.
    pub measure: &'static str,
    /// The floor.
    pub least: f64,
    /// The aim.
    pub aim: f64,
    /// What our law reached.
    #[serde(serialize_with = "finite")]
    pub found: f64,
    /// How far that goes.
    pub met: Attainment,
}

/// What a split holds out, by lines of the table, so that other programs can check theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestSplit {
    /// A group's label, a direction of scale, or the number of the draw.
    pub held_out: String,
    /// Rows that train.
    pub n_train: usize,
    /// Rows that test.
    pub n_test: usize,
    /// Their lines, the header being 1.
    pub lines: Vec<u64>,
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// The case's name.
    pub case: &'static str,
    /// The table's path.
    pub table: &'static str,
    /// SHA-256 of its bytes.
    pub data_sha256: String,
    /// Column that is held out by.
    pub hold_out: &'static str,
    /// How it is held out.
    pub scheme: &'static str,
    /// Runs.
    pub n_rows: usize,
    /// Groups.
    pub n_groups: usize,
    /// Runs that the audit set apart as stalled.
    pub set_apart: usize,
    /// Each law, ours first.
    pub laws: Vec<Score>,
    /// What was asked of ours.
    pub figures: Vec<Checked>,
    /// The splits of our law.
    pub splits: Vec<TestSplit>,
    /// Runs and laws that were left out, and why.
    pub notes: Vec<String>,
}

/// Judges every law that applies to a case.
///
/// # Errors
/// Where no run is left, or our own law cannot be judged; that another cannot is a note.
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
    if let Some(groups) = validator.hold_out.interval_groups() {
        groups.clone_into(&mut ours.interval_groups);
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
        // nothing is fitted, so that there is nothing to draw an interval from
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

/// A table without the steps that the audit finds stalled, and how many those are.
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
    /// Judges a roofline law and what else its fits answer.
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

    /// Judges the study's law, after the run and before it.
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
        };
        let (formula, note) = measurable(setting.formula()?, frame)?;
        if note.is_some() {
            // without η there is no difference between after and before
            let law = ScalingLaw::new(formula, response);
            self.try_law(BEFORE, target, &law, validator, frame);
            return Ok(());
        }
        let before = BeforeRunLaw::from_terms(setting, formula.clone(), response)?;
        self.try_law(AFTER, target, &ScalingLaw::new(formula, response), validator, frame);
        self.try_law(BEFORE, target, &before, validator, frame);
        Ok(())
    }

    /// Judges a law that may not suit the case.
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
                        "{name}: {} of {} splits could not be judged, the first because {}",
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

    /// What our law reached of a figure; none where the case lacks its target.
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
            // of single runs, which have no splits
            Measure::Error => return None,
        };
        Some(Checked::new(figure, found))
    }
}

impl Checked {
    /// Holds what was found against a figure.
    pub(super) fn new(figure: &Figure, found: f64) -> Self {
        let reaches = |bar: f64| {
            if figure.measure.grows() { found >= bar } else { found <= bar }
        };
        let met = if reaches(figure.aim) {
            Attainment::Aim
        } else if reaches(figure.least) {
            Attainment::Floor
        } else {
            Attainment::No
        };
        Self {
            target: figure.target,
            measure: figure.measure.name(),
            least: figure.least,
            aim: figure.aim,
            found,
            met,
        }
    }
}
