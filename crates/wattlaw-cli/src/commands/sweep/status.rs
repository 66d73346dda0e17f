//! `wattlaw sweep status`: progress of a sweep.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;
use wattlaw_sweep::cluster;
use wattlaw_sweep::slurm::Queued;
use wattlaw_sweep::status::{JobReport, JobStatus, Remaining, Sweep, Usage};
use wattlaw_sweep::store::read_sweep;

use crate::failure::{Done, Failure};
use crate::format::Format;
use crate::{files, render};
use wattlaw_ask::Schema;

/// Flags of `wattlaw sweep status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the sweep (the --out of `sweep run` or `sweep submit`)
    #[arg(value_name = "RUNS", default_value = "runs")]
    folder: PathBuf,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// A folder without a sweep, or a record that cannot be read.
pub fn run(args: &Args) -> Done {
    // read the queue before the records: a job that has left the queue has a record by then
    let queue = queue_of(&args.folder)?;
    let sweep = read_sweep(&args.folder).map_err(Failure::failed)?;
    match args.format {
        Format::Json => render::json(
            Schema::SweepStatus,
            &json!({
                "waiting": sweep.count(JobStatus::Waiting),
                "running": sweep.count(JobStatus::Running),
                "done": sweep.count(JobStatus::Done),
                "incomplete": sweep.count(JobStatus::Incomplete),
                "failed": sweep.count(JobStatus::Failed),
                "interrupted": sweep.count(JobStatus::Interrupted),
                "usage": sweep.usage(),
                "remaining": sweep.remaining(),
                "reference_drift": sweep.drift(),
                "queue": queue,
                "jobs": sweep.jobs,
            }),
        ),
        Format::Table => files::print(&(table(&sweep) + &queue.map_or_else(String::new, queued))),
    }
}

/// The queue entries of a folder of runs. `None` if nothing was submitted, or if the queue cannot be read; the latter is noted.
fn queue_of(runs: &Path) -> Done<Option<BTreeMap<String, Queued>>> {
    let submitted = cluster::submitted(runs).map_err(Failure::failed)?;
    if submitted.is_empty() {
        return Ok(None);
    }
    Ok(cluster::queued(&submitted)
        .inspect_err(|why| {
            render::note("note", &format!("the queue cannot be read: {why}"));
        })
        .ok())
}

fn table(sweep: &Sweep) -> String {
    let mut out = render::heading(&format!("{}; {}", counts(sweep), used(&sweep.usage())));
    let rows = sweep.jobs.iter().map(row).collect();
    let header = ["job", "status", "attempts", "time", "energy", "tokens/s", "time / predicted"];
    out += &render::table(&header, rows, 2);
    let failed: Vec<String> = sweep
        .jobs
        .iter()
        .filter_map(|job| {
            Some(render::lines(&format!("{}: {}\n", job.run_id, job.reason.as_ref()?)))
        })
        .collect();
    if !failed.is_empty() {
        out += &format!("\n{}{}", render::heading("failures"), failed.concat());
    }
    if let Some(drift) = sweep.drift() {
        out += &format!(
            "\nreference job: throughput varies by {} % (coefficient of variation)\n",
            render::digits(drift * 100.0)
        );
    }
    let left = sweep.remaining();
    if left.jobs > 0 {
        out += &format!("\nremaining: {}\n", remaining(&left));
    }
    out
}

/// Jobs in the cluster's queue by state and reason: `queue: 2 RUNNING, 5 PENDING (Resources)`.
fn queued(queue: BTreeMap<String, Queued>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for job in queue.into_values() {
        let why = job.reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        *counts.entry(job.state + &why).or_default() += 1;
    }
    let states: Vec<String> = counts.iter().map(|(state, n)| format!("{n} {state}")).collect();
    match states.is_empty() {
        true => "\nqueue: empty\n".to_owned(),
        false => format!("\nqueue: {}\n", states.join(", ")),
    }
}

fn row(job: &JobReport) -> Vec<String> {
    let shown = |text: Option<String>| text.unwrap_or_default();
    let assumed = if job.energy_assumed { " assumed" } else { "" };
    let off = job
        .duration
        .zip(job.predicted_duration)
        .map(|(took, predicted)| format!("×{}", render::digits(took / predicted)));
    vec![
        job.run_id.clone(),
        job.status.to_string(),
        job.attempts.to_string(),
        shown(job.duration.map(|t| render::duration(t.value()))),
        shown(job.energy.map(|e| render::energy(e.value()) + assumed)),
        shown(job.tokens_per_s.map(render::digits)),
        shown(off),
    ]
}

/// Number of jobs by status: `9 of 12 jobs done, 1 failed`.
pub fn counts(sweep: &Sweep) -> String {
    let mut text = format!("{} of {} jobs done", sweep.count(JobStatus::Done), sweep.jobs.len());
    for status in
        [JobStatus::Incomplete, JobStatus::Failed, JobStatus::Interrupted, JobStatus::Running]
    {
        let n = sweep.count(status);
        if n > 0 {
            text += &format!(", {n} {status}");
        }
    }
    text
}

/// Time and energy of the finished jobs.
pub fn used(usage: &Usage) -> String {
    let assumed = if usage.energy_assumed { ", partly or fully assumed" } else { "" };
    let mut text = render::duration(usage.time.value());
    if usage.energy.value() > 0.0 {
        text += &format!(" and {}{assumed}", render::energy(usage.energy.value()));
    }
    text
}

/// Remaining jobs, time and energy: `3 jobs, about 4 min 10 s and 1.2 kWh`.
pub fn remaining(left: &Remaining) -> String {
    let mut text = match left.jobs {
        1 => "1 job".to_owned(),
        n => format!("{n} jobs"),
    };
    if let Some(time) = left.time {
        text += &format!(", about {}", render::duration(time.value()));
        if let Some(energy) = left.energy {
            text += &format!(" and {}", render::energy(energy.value()));
        }
    }
    text
}
