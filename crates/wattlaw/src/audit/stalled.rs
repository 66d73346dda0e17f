//! Finds stalled steps: steps that are far slower than a law fitted on their table predicts.

use super::{Finding, FindingKind};
use crate::base::scope::Covers;
use crate::data::dataset::Dataset;
use crate::job::catalog::Catalog;
use crate::law::roofline::{Observation, RooflineFit, observations};

/// Ratio of measured to predicted time above which a step counts as stalled. The law's own errors are a few per cent;
/// stalls are 50 % and more.
const STALL_FACTOR: f64 = 1.3;

/// Fewest steps for this fit.
const MIN_STEPS: usize = 60;

/// Finds steps that took more than 1.3 times the prediction of a robust law fitted on all steps of the table.
///
/// A slower step has a Cauchy's tail in the loss, so stalled steps hardly influence the law. The rule was fixed before any law was evaluated on
/// the remaining steps.
pub(super) fn steps(data: &Dataset, catalog: &Catalog) -> Vec<Finding> {
    let steps = data.filter(|r| r.covers == Covers::OneStep && r.duration.is_some());
    let (steps, _) = steps.countable(catalog);
    if steps.runs.len() < MIN_STEPS {
        return Vec::new();
    }
    let runs: Vec<Option<Observation>> =
        observations(&steps, catalog).into_iter().map(Result::ok).collect();
    let counted: Vec<&Observation> = runs.iter().flatten().collect();
    // without a fitted law there is no prediction to compare with
    let Ok(law) = RooflineFit::fit(&counted, None) else { return Vec::new() };
    steps
        .runs
        .iter()
        .zip(&runs)
        .filter_map(|(run, observation)| {
            let observation = observation.as_ref()?;
            let [log_time, _] = law.answer(&observation.groups).logs(&observation.terms, observation.scope);
            let law_s = log_time.exp();
            let factor = run.duration?.value() / law_s;
            (factor > STALL_FACTOR).then(|| {
                let detail = format!(
                    "{} s is {factor:.1} times {law_s:.3} s, the prediction of a robust law fitted on this table",
                    run.duration.map_or(0.0, |d| d.value())
                );
                Finding::new(run, FindingKind::Stalled, detail)
            })
        })
        .collect()
}
