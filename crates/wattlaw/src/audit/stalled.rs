//! Steps that stalled: far slower than what the rest of their table says of them.

use super::{Finding, FindingKind};
use crate::base::scope::Covers;
use crate::data::dataset::{Dataset, ProxyColumns};
use crate::job::catalog::Catalog;
use crate::law::roofline::RooflineLaw;
use crate::law::roofline::terms::Terms;

/// A step that takes this many times what the law says is no scatter of the law: its own errors are a few hundredths,
/// and stalls are by half and more.
const STALL_FACTOR: f64 = 1.3;

/// The fewest steps that a law is fitted on for this.
const MIN_STEPS: usize = 60;

/// Steps of a table of step times that took more than 1.3 times what a robust law, fitted on all of them, gives.
///
/// The loss is Cauchy's, so that stalled steps hardly move the law that they are judged by; the rule was fixed before
/// any law was judged on what it leaves.
pub(super) fn steps(data: &Dataset, catalog: &Catalog) -> Vec<Finding> {
    let steps = data.filter(|r| r.covers == Covers::OneStep && r.duration.is_some());
    let (steps, _) = steps.countable(catalog);
    if steps.runs.len() < MIN_STEPS {
        return Vec::new();
    }
    let mut law = RooflineLaw::new(&steps, catalog, false);
    law.discrepancy = None;
    let fitted = steps
        .frame(ProxyColumns::default(), catalog)
        .and_then(|frame| law.fit_machines(&frame, "config_family"));
    // a table that no law can be fitted on has no outliers of it
    let Ok(laws) = fitted else { return Vec::new() };
    steps
        .runs
        .iter()
        .filter_map(|run| {
            let job = run.resolve(catalog).ok()?;
            let terms = Terms { whole_run: false, ..Terms::for_job(&job) };
            let (machine, _) = laws.machine(&job.system.accelerator.name);
            let law_s = machine.physics(&terms)[0].exp();
            let factor = run.duration?.value() / law_s;
            (factor > STALL_FACTOR).then(|| {
                let detail = format!(
                    "{} s are {factor:.1} times the {law_s:.3} s that a robust law of this table gives for the step",
                    run.duration.map_or(0.0, |d| d.value())
                );
                Finding::new(run, FindingKind::Stalled, detail)
            })
        })
        .collect()
}
