//! Summary of a plan: number of jobs, excluded jobs and reasons, predicted time and energy, and the calibrations used.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use wattlaw::base::scope::Scope;
use wattlaw::base::units::{JOULES_PER_KWH, Joules, Seconds};
use wattlaw::predict::{EstimateKind, WarningKind};
use wattlaw_sweep::plan::{Budget, Chosen, Forecast, Turn, gpu_hours, title};
use wattlaw_sweep::space::Jobs;

use super::Args;
use crate::commands::calibrate::suggest::exclusion_notes;
use crate::failure::Done;
use crate::format::Format;
use crate::{files, render};
use wattlaw_ask::Schema;

/// Log standard deviation from which the prior uncertainty counts as unbounded: a factor above 1,000 either way.
const UNBOUNDED_LOG_SD: f64 = 7.0;

/// Data of the summary.
pub struct Summary<'a> {
    pub args: &'a Args,
    pub found: &'a Jobs,
    /// Number of jobs that can run, from which an optimal design chooses.
    pub candidates: usize,
    pub jobs: &'a [Forecast],
    pub chosen: Option<Chosen>,
    pub reference: &'a Forecast,
    pub turns: &'a [Turn],
}

/// Predicted totals of some jobs of the plan.
#[derive(Debug, Clone, Copy, Default)]
struct Total {
    jobs: usize,
    references: usize,
    seconds: f64,
    joules: f64,
    gpu_hours: f64,
}

impl Total {
    fn add(&mut self, job: &Forecast, reference: bool) {
        let time = job.duration().map_or(0.0, Seconds::value);
        self.jobs += usize::from(!reference);
        self.references += usize::from(reference);
        self.seconds += time;
        self.joules += job.energy().map_or(0.0, Joules::value);
        self.gpu_hours += gpu_hours(job.gpus(), Seconds::new(time));
    }
}

/// Basis of a prediction: the calibration, and whether its law was used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Basis<'a> {
    calibration: &'a str,
    kind: EstimateKind,
    scope: Scope,
}

impl Summary<'_> {
    /// Prints the summary: to standard output if the plan goes to a file, else to standard error.
    ///
    /// # Errors
    /// As [`files::print`].
    pub fn print(&self) -> Done {
        for note in self.notes() {
            render::note("note", &note);
        }
        if let Some(path) = &self.args.out {
            render::note("note", &format!("wrote {}", path.display()));
        }
        match (self.args.format, &self.args.out) {
            (Format::Json, _) => render::json(Schema::SweepDesign, &self.json()),
            (Format::Table, Some(_)) => files::print(&self.table()),
            (Format::Table, None) => {
                anstream::eprint!("{}", self.table());
                Ok(())
            }
        }
    }

    fn total(&self) -> Total {
        self.blocks().values().fold(Total::default(), |sum, block| Total {
            jobs: sum.jobs + block.jobs,
            references: sum.references + block.references,
            seconds: sum.seconds + block.seconds,
            joules: sum.joules + block.joules,
            gpu_hours: sum.gpu_hours + block.gpu_hours,
        })
    }

    fn blocks(&self) -> BTreeMap<u64, Total> {
        let mut blocks: BTreeMap<u64, Total> = BTreeMap::new();
        for turn in self.turns {
            let job = turn.job.map_or(self.reference, |job| &self.jobs[job]);
            blocks.entry(turn.block).or_default().add(job, turn.job.is_none());
        }
        blocks
    }

    /// Number of distinct jobs per basis.
    fn bases(&self) -> BTreeMap<Basis<'_>, usize> {
        let mut bases = BTreeMap::new();
        for job in self.jobs {
            if let Ok(estimate) = &job.estimate {
                let basis = Basis {
                    calibration: &job.calibration,
                    kind: estimate.kind,
                    scope: estimate.scope,
                };
                *bases.entry(basis).or_insert(0) += 1;
            }
        }
        bases
    }

    /// Number of distinct jobs per kind of warning, and the first warning's text.
    fn warnings(&self) -> Vec<(WarningKind, usize, &str)> {
        let mut kinds: Vec<(WarningKind, usize, &str)> = Vec::new();
        for job in self.jobs {
            let Ok(estimate) = &job.estimate else { continue };
            let mut met = Vec::new();
            for warning in &estimate.warnings {
                if met.contains(&warning.kind) {
                    continue;
                }
                met.push(warning.kind);
                match kinds.iter_mut().find(|(kind, ..)| *kind == warning.kind) {
                    Some((_, count, _)) => *count += 1,
                    None => kinds.push((warning.kind, 1, &warning.text)),
                }
            }
        }
        kinds
    }

    fn unpredicted(&self) -> Option<(usize, String)> {
        let mut without = self.jobs.iter().filter(|job| job.duration().is_none());
        let first = without.next()?;
        let why = match &first.estimate {
            Err(error) => error.to_string(),
            Ok(_) => format!("{} has no law for time", first.calibration),
        };
        Some((1 + without.count(), why))
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = exclusion_notes(self.found);
        let different = self.jobs.len();
        if let Some(runs) = self.args.runs.filter(|runs| *runs > different) {
            let why = if self.args.budget.is_some() { "fit the budget" } else { "can run" };
            notes.push(format!("only {different} jobs {why}, fewer than the {runs} requested"));
        }
        if let Some((count, why)) = self.unpredicted() {
            notes.push(format!(
                "{count} of {different} jobs have no prediction and are not in the totals; the first: {why}"
            ));
        }
        let scopes: BTreeSet<&str> = self.bases().keys().map(|b| b.scope.name()).collect();
        if scopes.len() > 1 {
            notes.push(format!(
                "the totals add energies of different scopes: {}; use --calibration to choose one calibration for all jobs",
                scopes.into_iter().collect::<Vec<_>>().join(", ")
            ));
        }
        for (_, count, text) in self.warnings() {
            notes.push(format!("{count} of {different} jobs; the first: {text}"));
        }
        notes
    }

    fn table(&self) -> String {
        let total = self.total();
        let mut out = render::heading(&format!(
            "{} jobs, {} in sequence, {} and {} GPU-h",
            total.jobs + total.references,
            render::duration(total.seconds),
            render::energy(total.joules),
            render::digits(total.gpu_hours)
        ));
        let row = |name: String, t: &Total| {
            vec![
                name,
                t.jobs.to_string(),
                t.references.to_string(),
                render::duration(t.seconds),
                render::energy(t.joules),
                render::digits(t.gpu_hours),
            ]
        };
        let rows = self.blocks().iter().map(|(block, t)| row(block.to_string(), t)).collect();
        let header = ["block", "jobs", "reference", "time", "energy", "GPU-h"];
        out += &render::table(&header, rows, 1);
        out.push('\n');
        if let Some(chosen) = &self.chosen {
            let factor = |log_sd: f64| format!("×/÷{:.3}", log_sd.exp());
            let before = if chosen.log_sd_before > UNBOUNDED_LOG_SD {
                "before: unbounded".to_owned()
            } else {
                format!("before: {}", factor(chosen.log_sd_before))
            };
            out += &format!(
                "chosen from {} jobs\n\
                 Expected uncertainty of the target predictions: {} (1 sd; {before})\n",
                self.candidates,
                factor(chosen.log_sd_after)
            );
        }
        for (basis, count) in self.bases() {
            let jobs = if count == 1 { "job" } else { "jobs" };
            let (calibration, scope) = (basis.calibration, basis.scope);
            out += &match basis.kind {
                EstimateKind::Fitted => {
                    format!("{count} {jobs} predicted with calibration {calibration}")
                }
                EstimateKind::Assumed => {
                    format!(
                        "{count} {jobs} assumed: too far from the runs of calibration {calibration}"
                    )
                }
            };
            out += &format!("; energy scope {scope}\n");
        }
        out
    }

    fn json(&self) -> Value {
        let total = self.total();
        let figures = |t: &Total| {
            json!({
                "jobs": t.jobs,
                "references": t.references,
                "duration_s": t.seconds,
                "energy_kwh": t.joules / JOULES_PER_KWH,
                "gpu_hours": t.gpu_hours,
            })
        };
        let blocks: Vec<Value> = self
            .blocks()
            .iter()
            .map(|(block, t)| {
                let mut row = figures(t);
                row["block"] = json!(block);
                row
            })
            .collect();
        let too_large: Vec<Value> = self
            .found
            .too_large
            .iter()
            .map(|t| {
                json!({
                    "job": title(&t.job),
                    "seq_len": t.job.workload.seq_len,
                    "micro_batch": t.job.workload.micro_batch,
                    "needed_gib": t.needed_gib,
                    "capacity_gib": t.capacity_gib,
                })
            })
            .collect();
        let predicted_by: Vec<Value> = self
            .bases()
            .iter()
            .map(|(basis, jobs)| {
                json!({
                    "calibration": basis.calibration,
                    "kind": basis.kind,
                    "scope": basis.scope.name(),
                    "jobs": jobs,
                })
            })
            .collect();
        let warnings: Vec<Value> = self
            .warnings()
            .iter()
            .map(|(kind, jobs, text)| json!({"kind": kind, "jobs": jobs, "text": text}))
            .collect();
        json!({
            "design": self.args.design.name(),
            "seed": self.args.seed,
            "points": self.found.points,
            "examined": self.found.examined,
            "invalid": self.found.invalid,
            "first_invalid": self.found.first_invalid,
            "too_large": too_large,
            "candidates": self.candidates,
            "different_jobs": self.jobs.len(),
            "blocks": blocks,
            "total": figures(&total),
            "reference": (total.references > 0).then(|| title(&self.reference.candidate.job)),
            "predicted_by": predicted_by,
            "unpredicted": self.unpredicted().map_or(0, |(count, _)| count),
            "log_sd_before": self.chosen.as_ref().map(|c| c.log_sd_before),
            "log_sd_after": self.chosen.as_ref().map(|c| c.log_sd_after),
            "warnings": warnings,
        })
    }
}

/// Cost of the cheapest job, as a clause of an error.
pub fn cheapest(jobs: &[Forecast], budget: Budget) -> String {
    let price = |job: &Forecast| job.price(Some(budget));
    match jobs.iter().filter_map(price).reduce(f64::min) {
        None => "the calibration predicts none of the jobs".to_owned(),
        Some(least) => match budget {
            Budget::GpuHours(_) => {
                format!("the cheapest job needs {} GPU-h", render::digits(least))
            }
            Budget::Energy(_) => format!("the cheapest job needs {}", render::energy(least)),
        },
    }
}
