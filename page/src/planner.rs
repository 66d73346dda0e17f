//! The planner's request of the page, and its answer.

use serde::Deserialize;

use wattlaw::base::error::{Error, Result};
use wattlaw::base::scope::Scope;
use wattlaw::job::workload::{Precision, Stack};
use wattlaw::plan::{GpuCounts, Limits, Objective, Progress, Request};
use wattlaw_ask::{Schema, json, pools};
use wattlaw_launch::Launcher;

use crate::problem::Problem;
use crate::question::{Question, read};
use crate::world::World;

/// What the page asks of the planner.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// What is trained. Its accelerator and their number are the machines where the next two are absent.
    question: Question,
    /// Accelerators to choose from.
    #[serde(default)]
    gpus: Vec<String>,
    /// Numbers of them, such as `8..64`.
    counts: Option<String>,
    /// What is minimised.
    objective: Objective,
    /// A second objective.
    pareto_with: Option<Objective>,
    deadline_s: Option<f64>,
    budget: Option<f64>,
    max_energy_j: Option<f64>,
    max_carbon_g: Option<f64>,
    #[serde(default)]
    precisions: Vec<Precision>,
    /// The launcher whose framework the plans have.
    launcher: Option<Launcher>,
    /// Plans in the answer.
    top: Option<usize>,
}

/// Plans in an answer at most: each is a whole prediction.
const MOST_PLANS: usize = 100;

/// The best plans: the JSON of `wattlaw plan --format json` without its seconds.
///
/// # Errors
/// What is wrong with the request; no plan.
pub fn plan(
    request: &str,
    watch: &(dyn Fn(Progress) -> bool + Sync),
) -> std::result::Result<String, Problem> {
    let asked: Asked = read(request)?;
    let world = World::get()?;
    let request = asked.request(world)?;
    let plans = wattlaw::plan(&request, &world.catalog, &world.law, watch)?;
    Ok(json(Schema::Plan, &plans)?)
}

impl Asked {
    fn request(&self, world: &World) -> Result<Request> {
        let mut spec = self.question.description(&world.catalog)?.for_its_gpus();
        if let Some(framework) = self.launcher.and_then(Launcher::framework) {
            spec.workload.framework.get_or_insert(Stack::of(framework));
        }
        let counts = self.counts.as_ref().map(|text| text.parse::<GpuCounts>()).transpose()?;
        let gpus: Vec<&str> = self.gpus.iter().map(String::as_str).collect();
        if let [one] = gpus.as_slice() {
            spec.system.gpu = Some((*one).to_owned());
            spec.system.name = None;
        }
        let top = self.top.unwrap_or(10);
        if !(1..=MOST_PLANS).contains(&top) {
            return Err(Error::invalid(
                "the number of plans",
                top,
                format!("it must be 1 to {MOST_PLANS}"),
            ));
        }
        Ok(Request {
            pools: pools(&spec, &gpus, counts.as_ref()),
            objective: self.objective,
            pareto_with: self.pareto_with.filter(|second| *second != self.objective),
            limits: Limits {
                deadline_s: self.deadline_s,
                budget: self.budget,
                max_energy_j: self.max_energy_j,
                max_carbon_g: self.max_carbon_g,
                max_gpus: None,
            },
            precisions: self.precisions.clone(),
            scope: self.question.scope.unwrap_or(Scope::Gpu),
            level: self.question.level()?,
            top,
            ..Request::new(spec)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_its_configurations() {
        let asked = r#"{"question": {"fields": {"model": "gpt2", "seq_len": "1024", "tokens": "1B", "global_batch": "512"}},
            "gpus": ["a100", "h100"], "counts": "1..8", "objective": "energy", "pareto_with": "time", "top": 5}"#;
        let watched = std::sync::atomic::AtomicUsize::new(0);
        let answer = plan(asked, &|_| {
            watched.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            true
        })
        .unwrap();
        let plans: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(plans["schema"], "wattlaw-plan/1");
        assert!(plans["plans"].as_array().unwrap().len() > 1);
        assert!(watched.into_inner() > 0);
    }

    #[test]
    fn wrong_requests_are_refused_in_a_sentence() {
        let fails = |rest: &str| {
            let asked = format!(
                r#"{{"question": {{"fields": {{"model": "gpt2", "tokens": "1B", "seq_len": "1024", "gpu": "a100", "gpus": "8"}}}}, "objective": "energy", {rest}}}"#
            );
            plan(&asked, &|_| true).unwrap_err().sentence
        };
        assert!(fails(r#""top": 0"#).starts_with("the number of plans is 0"));
        assert!(fails(r#""counts": "8..1""#).starts_with("gpus is `8..1`"));
        assert!(fails(r#""gpus": ["h1000"]"#).starts_with("unknown GPU `h1000`"));
    }
}
