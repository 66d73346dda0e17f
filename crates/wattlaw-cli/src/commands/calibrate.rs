//! `wattlaw calibrate`: adds runs of your own machines to a calibration, and suggests which runs to measure.

pub mod suggest;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::ArgPredicate;
use serde_json::json;

use wattlaw::base::error::Location;
use wattlaw::calibration::Calibration;
use wattlaw::stats::optimal::Criterion;

use crate::commands::predict::named_or_built_in;
use crate::failure::{Done, Failure};
use crate::flags::job;
use crate::flags::runs::RunsArgs;
use crate::format::Format;
use crate::parse::whole;
use crate::{files, render};
use wattlaw_ask::Schema;

/// Placeholder for the run table of a suggestion without runs.
const NO_RUNS: &str = "-";

/// Flags of `wattlaw calibrate`.
#[derive(Debug, clap::Args)]
#[command(mut_arg("runs", |runs| {
    // a suggestion needs no runs; given some, it suggests the next ones
    runs.required(false).default_value_if("suggest", ArgPredicate::IsPresent, NO_RUNS)
        .required_unless_present("suggest")
}))]
pub struct Args {
    #[command(flatten)]
    runs: RunsArgs,
    /// Roofline calibration to add the runs to: a file or the name of a built-in one. Default: the built-in law
    #[arg(long, value_name = "FILE|NAME")]
    parent: Option<PathBuf>,
    /// Write the calibration, or the suggested runs as a table (.csv, .parquet or .arrow), to this file
    #[arg(long, value_name = "FILE", required_unless_present = "suggest")]
    out: Option<PathBuf>,
    /// Suggest this many runs that reduce the uncertainty most
    #[arg(long, value_name = "RUNS", value_parser = whole::<usize>, requires = "space", help_heading = "Suggestions")]
    suggest: Option<usize>,
    /// Candidate jobs: a job file in which fields may have lists and ranges (TOML)
    #[arg(long, value_name = "FILE", requires = "suggest", help_heading = "Suggestions")]
    space: Option<PathBuf>,
    /// Job files of the target predictions. Default: all jobs of the space
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "suggest", help_heading = "Suggestions")]
    jobs: Vec<PathBuf>,
    /// Design criterion: i-optimal (uncertainty of the target predictions) or d-optimal (of the parameters)
    #[arg(long, default_value_t, value_parser = Criterion::from_str, requires = "suggest", help_heading = "Suggestions")]
    criterion: Criterion,
    /// Random seed; used to sample a space of more than 10,000 points
    #[arg(long, default_value_t = 2026, value_parser = whole::<u64>, requires = "suggest", help_heading = "Suggestions")]
    seed: u64,
    /// Name of the calibration. Default: the file name
    #[arg(long)]
    name: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// An invalid parent or table, or an output file that cannot be written.
pub fn run(args: &Args) -> Done {
    match (args.suggest, &args.space, &args.out) {
        (Some(0), ..) => Err(Failure::usage("--suggest is 0, but it must be at least 1")),
        (Some(count), Some(space), _) => args.suggest(count, space),
        (None, _, Some(out)) => adjust(args, out),
        // unreachable: the parser enforces these combinations
        _ => Err(Failure::usage("give --out, or --suggest and --space")),
    }
}

impl Args {
    fn parent(&self) -> Done<Calibration> {
        named_or_built_in(self.parent.as_deref())
    }

    fn suggest(&self, count: usize, space: &Path) -> Done {
        let request = suggest::Request {
            count,
            space,
            jobs: &self.jobs,
            criterion: self.criterion,
            seed: self.seed,
            out: self.out.as_deref(),
            format: self.format,
        };
        let catalog = job::catalog(self.runs.catalog.as_deref())?;
        suggest::run(&request, &catalog, || {
            let parent = self.parent()?;
            if self.runs.runs == [Path::new(NO_RUNS)] {
                return Ok(parent);
            }
            let (data, catalog) = self.runs.read()?;
            let name = parent.name.clone();
            let (data, _) = data.countable(&catalog);
            Ok(parent
                .adjusted(&data, &catalog, &name)
                .map_err(|e| e.at(Location::file(&*data.name)))?)
        })
    }
}

fn adjust(args: &Args, out: &Path) -> Done {
    let parent = args.parent()?;
    let (data, catalog) = args.runs.read()?;
    let (data, note) = data.countable(&catalog);
    let stem = out.file_stem().map(|s| s.to_string_lossy().into_owned());
    let name = args.name.clone().or(stem).unwrap_or_default();
    let mut adjusted =
        parent.adjusted(&data, &catalog, &name).map_err(|e| e.at(Location::file(&*data.name)))?;
    if let Some(name) = args.runs.name() {
        adjusted.data.name = name;
    }
    let mut known: Vec<String> = Vec::new();
    for run in &data.runs {
        let gpu = catalog
            .accelerator(run.gpu())
            .map_or_else(|_| run.gpu().to_owned(), |a| a.name.clone());
        if !known.contains(&gpu) {
            known.push(gpu);
        }
    }
    let report = json!({
        "name": adjusted.name,
        "parent": parent.name,
        "n": data.runs.len(),
        "gpus": known,
        "cells": adjusted
            .roofline("be adapted to runs")?
            .cells()
            .map(|(chip, program, runs)| json!({ "chip": chip, "program": program, "runs": runs }))
            .collect::<Vec<_>>(),
        "data_sha256": adjusted.data.sha256,
        "notes": note.iter().collect::<Vec<_>>(),
    });
    let text = format!(
        "added {} runs on {} to {}; use it with --calibration {}\n",
        data.runs.len(),
        known.join(", "),
        parent.name,
        out.display()
    );
    files::write(out, &adjusted.to_json()?)?;
    let configurations: BTreeSet<String> = data
        .runs
        .iter()
        .map(|run| format!("{}|{}|{}", run.config_family(), run.gpus(), run.strategy()))
        .collect();
    if configurations.len() == 1 {
        render::note(
            "note",
            "all runs have the same configuration; predictions of other configurations improve only as far as the parent correlates them",
        );
    }
    for note in data.notes.iter().chain(&note).chain(&data.defaults_note()) {
        render::note("note", note);
    }
    render::note("note", &format!("wrote {}", out.display()));
    match args.format {
        Format::Json => render::json(Schema::Calibrate, &report),
        Format::Table => files::print(&text),
    }
}
