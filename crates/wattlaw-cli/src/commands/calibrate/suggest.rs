//! `wattlaw calibrate --suggest`: which runs of a machine would tell most, and a plan of them.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use wattlaw::base::error::Place;
use wattlaw::base::units::JOULES_PER_KWH;
use wattlaw::calibration::{Calibration, Suggested, Suggestions};
use wattlaw::job::catalog::Catalog;
use wattlaw::job::task::Task;
use wattlaw::job::{Job, JobSpec};
use wattlaw::stats::optimal::Criterion;
use wattlaw_sweep::plan::title;
use wattlaw_sweep::space::{Jobs, Space};

use crate::failure::{Done, Failure};
use crate::format::Format;
use crate::schema::Schema;
use crate::{files, render};

/// Points of a space that are looked at; of more so many are drawn.
const MOST_POINTS: usize = 10_000;

/// Jobs that do not fit that a note lists.
const LISTED: usize = 3;

/// What is asked.
pub struct Asked<'a> {
    /// Runs to choose.
    pub count: usize,
    /// The space file.
    pub space: &'a Path,
    /// Job files of what will be asked later; the space itself where there is none.
    pub jobs: &'a [PathBuf],
    /// What the choice should make small.
    pub criterion: Criterion,
    /// Seed of the draw from a large space.
    pub seed: u64,
    /// Where the plan is written.
    pub out: Option<&'a Path>,
    /// How to print.
    pub format: Format,
}

/// A chosen run, as scripts read it and, without its figures, as a row of the plan.
#[derive(Debug, Serialize)]
struct PlannedJob {
    run_id: String,
    family: &'static str,
    gpu: String,
    gpus: u64,
    gpus_per_node: u64,
    strategy: String,
    dp: u64,
    tp: u64,
    pp: u64,
    tensor_scope: String,
    layers: u64,
    hidden_size: u64,
    heads: u64,
    kv_heads: u64,
    ffn_size: u64,
    vocab_size: u64,
    seq_len: u64,
    micro_batch: u64,
    grad_accum: u64,
    task: &'static str,
    precision: String,
    checkpointing: String,
    tokens: f64,
}

impl PlannedJob {
    fn of(rank: usize, job: &Job) -> Self {
        let (a, w, p) = (&job.architecture, &job.workload, &job.parallelism);
        Self {
            run_id: format!("suggested-{rank}"),
            family: a.family().name(),
            gpu: job.system.accelerator.name.clone(),
            gpus: p.gpus(),
            gpus_per_node: job.system.gpus_per_node,
            strategy: p.strategy().to_string(),
            dp: p.dp,
            tp: p.tp,
            pp: p.pp,
            tensor_scope: p.tensor_scope.to_string(),
            layers: a.layers,
            hidden_size: a.hidden_size,
            heads: a.heads,
            kv_heads: a.kv_heads,
            ffn_size: a.ffn_size,
            vocab_size: a.vocab_size,
            seq_len: w.seq_len,
            micro_batch: w.micro_batch,
            grad_accum: w.grad_accum,
            task: match w.task {
                Task::MaskedLm => "masked-lm",
                Task::CausalLm => "causal-lm",
                Task::Classification { .. } => "classification",
            },
            precision: w.precision.to_string(),
            checkpointing: w.checkpointing.to_string(),
            tokens: job.tokens(),
        }
    }
}

/// Reads the space, chooses and prints.
///
/// # Errors
/// What is wrong with the space, a job file or the parent.
pub fn run(
    asked: &Asked<'_>,
    catalog: &Catalog,
    parent: impl FnOnce(&Job) -> Done<Calibration>,
) -> Done {
    let name = asked.space.display().to_string();
    let space = Space::from_toml(&files::text(asked.space)?)
        .map_err(|e| e.at(Place::file(name.clone())))?;
    let found = space
        .jobs(catalog, MOST_POINTS, asked.seed)
        .map_err(|e| e.at(Place::file(name.clone())))?;
    let wanted = asked.jobs.iter().map(|path| job(path, catalog)).collect::<Done<Vec<Job>>>()?;
    let candidates: Vec<&Job> = found.kept.iter().map(|c| &c.job).collect();
    let targets = if wanted.is_empty() { candidates.clone() } else { wanted.iter().collect() };
    let parent = parent(candidates[0])?;
    let suggested = parent.suggest(&candidates, &targets, asked.count, asked.criterion)?;
    let planned: Vec<(PlannedJob, &Suggested)> = suggested
        .runs
        .iter()
        .enumerate()
        .map(|(i, run)| (PlannedJob::of(i + 1, candidates[run.candidate]), run))
        .collect();
    if let Some(path) = asked.out {
        let mut plan = csv::Writer::from_writer(Vec::new());
        for (row, _) in &planned {
            plan.serialize(row).map_err(Failure::failed)?;
        }
        let bytes = plan.into_inner().map_err(Failure::failed)?;
        files::write(path, &String::from_utf8(bytes).map_err(Failure::failed)?)?;
    }
    for note in notes(&found, suggested.runs.len(), asked.count) {
        render::note("note", &note);
    }
    if let Some(path) = asked.out {
        render::note("note", &format!("wrote {}", path.display()));
    }
    match asked.format {
        Format::Json => json_report(&parent, asked, &found, &planned, &suggested),
        Format::Table => files::print(&table(&parent, &planned, &suggested)),
    }
}

/// The job of a file.
///
/// # Errors
/// What is wrong in it.
pub fn job(path: &Path, catalog: &Catalog) -> Done<Job> {
    let place = || Place::file(path.display().to_string());
    let spec = JobSpec::from_toml(&files::text(path)?).map_err(|e| e.at(place()))?;
    Ok(spec.resolve(catalog).map_err(|e| e.at(place()))?)
}

fn notes(found: &Jobs, chosen: usize, count: usize) -> Vec<String> {
    let mut notes = left_out(found);
    if chosen < count {
        notes.push(format!("the space has {chosen} jobs only, fewer than the {count} asked for"));
    }
    notes
}

/// What became of the points of a space that are no jobs to run.
pub fn left_out(found: &Jobs) -> Vec<String> {
    let mut notes = Vec::new();
    if (found.examined as u64) < found.points {
        notes.push(format!(
            "{} of the space's {} points were looked at",
            found.examined, found.points
        ));
    }
    if let Some(reason) = &found.first_invalid {
        notes.push(format!(
            "{} points are no jobs and were left out, the first because {reason}",
            found.invalid
        ));
    }
    if !found.too_large.is_empty() {
        let listed = found.too_large.iter().take(LISTED).map(|t| {
            format!("{} ({:.1} GiB a GPU of {:.1})", title(&t.job), t.needed_gib, t.capacity_gib)
        });
        let listed = listed.collect::<Vec<_>>().join(", ");
        let more = if found.too_large.len() > LISTED { ", …" } else { "" };
        notes.push(format!(
            "{} jobs are predicted not to fit in memory and were left out: {listed}{more}",
            found.too_large.len()
        ));
    }
    notes
}

fn total(planned: &[(PlannedJob, &Suggested)]) -> (f64, f64) {
    planned.iter().fold((0.0, 0.0), |(s, j), (_, run)| (s + run.duration_s, j + run.energy_j))
}

fn json_report(
    parent: &Calibration,
    asked: &Asked<'_>,
    found: &Jobs,
    planned: &[(PlannedJob, &Suggested)],
    suggested: &Suggestions,
) -> Done {
    let rows = planned
        .iter()
        .enumerate()
        .map(|(i, (job, run))| {
            json!({
                "rank": i + 1,
                "job": job,
                "duration_s": run.duration_s,
                "energy_kwh": run.energy_j / JOULES_PER_KWH,
                "information_bits": run.information_bits,
                "target_log_sd": run.target_log_sd,
            })
        })
        .collect::<Vec<_>>();
    let (seconds, joules) = total(planned);
    render::json(
        Schema::CalibrateSuggest,
        &json!({
            "parent": parent.name,
            "criterion": asked.criterion,
            "seed": asked.seed,
            "points": found.points,
            "examined": found.examined,
            "invalid": found.invalid,
            "too_large": found.too_large.len(),
            "candidates": found.kept.len(),
            "log_sd_before": suggested.log_sd_before,
            "runs": rows,
            "total_duration_s": seconds,
            "total_energy_kwh": joules / JOULES_PER_KWH,
        }),
    )
}

fn table(
    parent: &Calibration,
    planned: &[(PlannedJob, &Suggested)],
    suggested: &Suggestions,
) -> String {
    let factor = |log_sd: f64| format!("×/÷{:.2}", log_sd.exp());
    let (seconds, joules) = total(planned);
    let mut out = render::heading(&format!(
        "{} runs, {} and {} by {}",
        planned.len(),
        render::duration(seconds),
        render::energy(joules),
        parent.name
    ));
    let rows = planned
        .iter()
        .enumerate()
        .map(|(i, (job, run))| {
            vec![
                (i + 1).to_string(),
                format!("{} {}×{}", job.family, job.layers, job.hidden_size),
                format!("{} × {}", job.gpus, job.gpu),
                job.strategy.clone(),
                job.seq_len.to_string(),
                job.micro_batch.to_string(),
                job.precision.clone(),
                render::duration(run.duration_s),
                render::energy(run.energy_j),
                factor(run.target_log_sd),
            ]
        })
        .collect();
    let header = [
        "run",
        "model",
        "on",
        "strategy",
        "seq_len",
        "micro_batch",
        "precision",
        "time",
        "energy",
        "doubt after it",
    ];
    out += &render::table(&header, rows, 4);
    out += &format!(
        "\nbefore any of them the jobs' time and energy are in doubt by {}, one standard deviation\n",
        factor(suggested.log_sd_before)
    );
    out
}
