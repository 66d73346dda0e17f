//! `wattlaw calibrate --suggest`: chooses the most informative runs to measure next.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use wattlaw::base::error::Location;
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
use crate::{files, render, tables};
use wattlaw_ask::Schema;

/// Maximum number of points of a space that are examined; larger spaces are sampled.
const MAX_POINTS: usize = 10_000;

/// Maximum number of jobs listed in a note.
const MAX_LISTED: usize = 3;

/// A request for suggestions.
pub struct Request<'a> {
    /// Number of runs to choose.
    pub count: usize,
    /// The space file.
    pub space: &'a Path,
    /// Job files of the target predictions; if empty, all jobs of the space are targets.
    pub jobs: &'a [PathBuf],
    /// Design criterion.
    pub criterion: Criterion,
    /// Seed for sampling a large space.
    pub seed: u64,
    /// Output file of the suggested runs (CSV).
    pub out: Option<&'a Path>,
    /// Output format.
    pub format: Format,
}

/// The job of a suggested run: its field `job` in JSON, and its row of the plan (CSV).
#[derive(Debug, Serialize)]
struct SuggestedJob {
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

impl SuggestedJob {
    fn new(rank: usize, job: &Job) -> Self {
        let (a, w, p) = (&job.architecture, &job.workload, &job.parallelism);
        Self {
            run_id: run_id(rank),
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
                Task::Contrastive => "contrastive",
            },
            precision: w.precision.to_string(),
            checkpointing: w.checkpointing.to_string(),
            tokens: job.tokens(),
        }
    }
}

/// Name of the suggested run with this rank, from 1.
fn run_id(rank: usize) -> String {
    format!("suggested-{rank}")
}

/// Reads the space, chooses the runs and prints them.
///
/// # Errors
/// An invalid space, job file or parent calibration.
pub fn run(
    request: &Request<'_>,
    catalog: &Catalog,
    parent: impl FnOnce() -> Done<Calibration>,
) -> Done {
    let name = request.space.display().to_string();
    let space = Space::from_toml(&files::text(request.space)?)
        .map_err(|e| e.at(Location::file(name.clone())))?;
    let found = space
        .jobs(catalog, MAX_POINTS, request.seed)
        .map_err(|e| e.at(Location::file(name.clone())))?;
    let targets =
        request.jobs.iter().map(|path| read_job(path, catalog)).collect::<Done<Vec<Job>>>()?;
    let candidates: Vec<&Job> = found.kept.iter().map(|c| &c.job).collect();
    let targets: Vec<&Job> =
        if targets.is_empty() { candidates.clone() } else { targets.iter().collect() };
    let parent = parent()?;
    let suggested = parent.suggest(&candidates, &targets, request.count, request.criterion)?;
    let planned: Vec<(SuggestedJob, &Suggested)> = suggested
        .runs
        .iter()
        .enumerate()
        .map(|(i, run)| (SuggestedJob::new(i + 1, candidates[run.candidate]), run))
        .collect();
    if let Some(path) = request.out {
        let mut plan = csv::Writer::from_writer(Vec::new());
        for (row, _) in &planned {
            plan.serialize(row).map_err(Failure::failed)?;
        }
        let bytes = plan.into_inner().map_err(Failure::failed)?;
        tables::write(path, &String::from_utf8(bytes).map_err(Failure::failed)?)?;
    }
    for note in notes(&found, suggested.runs.len(), request.count) {
        render::note("note", &note);
    }
    if let Some(path) = request.out {
        render::note("note", &format!("wrote {}", path.display()));
    }
    match request.format {
        Format::Json => json_report(&parent, request, &found, &planned, &suggested),
        Format::Table => files::print(&table(&parent, &planned, &suggested)),
    }
}

/// Reads and resolves a job file.
///
/// # Errors
/// An invalid job file, with its location.
pub fn read_job(path: &Path, catalog: &Catalog) -> Done<Job> {
    let place = || Location::file(path.display().to_string());
    let spec = JobSpec::from_toml(&files::text(path)?).map_err(|e| e.at(place()))?;
    Ok(spec.resolve(catalog).map_err(|e| e.at(place()))?)
}

fn notes(found: &Jobs, chosen: usize, count: usize) -> Vec<String> {
    let mut notes = exclusion_notes(found);
    if chosen < count {
        notes.push(format!("the space has only {chosen} jobs, fewer than the {count} requested"));
    }
    notes
}

/// Notes on the points of a space that were excluded, and why.
pub fn exclusion_notes(found: &Jobs) -> Vec<String> {
    let mut notes = Vec::new();
    if (found.examined as u64) < found.points {
        notes.push(format!(
            "{} of the {} points of the space were examined",
            found.examined, found.points
        ));
    }
    if let Some(reason) = &found.first_invalid {
        notes.push(format!(
            "{} points are not valid jobs and were excluded; the first: {reason}",
            found.invalid
        ));
    }
    if !found.too_large.is_empty() {
        let listed = found.too_large.iter().take(MAX_LISTED).map(|t| {
            format!("{} ({:.1} of {:.1} GiB per GPU)", title(&t.job), t.needed_gib, t.capacity_gib)
        });
        let listed = listed.collect::<Vec<_>>().join(", ");
        let more = if found.too_large.len() > MAX_LISTED { ", …" } else { "" };
        notes.push(format!(
            "{} jobs are predicted not to fit in memory and were excluded: {listed}{more}",
            found.too_large.len()
        ));
    }
    notes
}

fn total(planned: &[(SuggestedJob, &Suggested)]) -> (f64, f64) {
    planned.iter().fold((0.0, 0.0), |(s, j), (_, run)| (s + run.duration_s, j + run.energy_j))
}

fn json_report(
    parent: &Calibration,
    request: &Request<'_>,
    found: &Jobs,
    planned: &[(SuggestedJob, &Suggested)],
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
            "criterion": request.criterion,
            "seed": request.seed,
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
    planned: &[(SuggestedJob, &Suggested)],
    suggested: &Suggestions,
) -> String {
    let factor = |log_sd: f64| format!("×/÷{:.2}", log_sd.exp());
    let (seconds, joules) = total(planned);
    let mut out = render::heading(&format!(
        "{} runs, predicted {} and {} (calibration {})",
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
        "GPUs",
        "strategy",
        "seq_len",
        "micro_batch",
        "precision",
        "time",
        "energy",
        "uncertainty after run",
    ];
    out += &render::table(&header, rows, 4);
    out += &format!(
        "\nExpected uncertainty of the target predictions before any run: {} (1 sd)\n",
        factor(suggested.log_sd_before)
    );
    out
}
