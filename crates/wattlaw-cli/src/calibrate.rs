//! `wattlaw calibrate`: a calibration adjusted to a few runs of your own machines.

use std::path::PathBuf;

use serde_json::json;

use wattlaw::calibration::Laws;
use wattlaw::error::Place;

use crate::args::Format;
use crate::failure::{Done, Failure};
use crate::predict::named;
use crate::runs_args::RunsArgs;
use crate::{files, screen};

/// Flags of `wattlaw calibrate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    runs: RunsArgs,
    /// Roofline calibration to start from: a file, or a built-in one by name
    #[arg(long, value_name = "FILE|NAME")]
    parent: PathBuf,
    /// Write the adjusted calibration to this file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Its name; the file's name when absent
    #[arg(long)]
    name: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// What is wrong with the parent, the table or the file to be written.
pub fn run(args: &Args) -> Done {
    let parent = named(&args.parent)?;
    let (data, catalog) = args.runs.read()?;
    let (data, note) = data.countable(&catalog);
    let stem = args.out.file_stem().map(|s| s.to_string_lossy().into_owned());
    let name = args.name.clone().or(stem).unwrap_or_default();
    let mut adjusted =
        parent.adjusted(&data, &catalog, &name).map_err(|e| e.at(Place::file(&*data.name)))?;
    if let Some(file) = args.runs.runs.file_name() {
        adjusted.data.name = file.to_string_lossy().into_owned();
    }
    let Laws::Roofline(laws) = &adjusted.law else {
        return Err(Failure::Failed("the calibration is of another kind".to_owned()));
    };
    let mut known: Vec<String> = Vec::new();
    for run in &data.runs {
        let gpu =
            catalog.accelerator(&run.gpu).map_or_else(|_| run.gpu.clone(), |a| a.name.clone());
        if !known.contains(&gpu) {
            known.push(gpu);
        }
    }
    let report = json!({
        "name": adjusted.name,
        "parent": parent.name,
        "n": data.runs.len(),
        "gpus": known,
        "machines": laws.machines.keys().collect::<Vec<_>>(),
        "data_sha256": adjusted.data.sha256,
        "notes": note.iter().collect::<Vec<_>>(),
    });
    let text = format!(
        "{} adjusted to {} runs on {}; predict with --calibration {}\n",
        parent.name,
        data.runs.len(),
        known.join(", "),
        args.out.display()
    );
    files::write(&args.out, &adjusted.to_json()?)?;
    for note in data.notes.iter().chain(&note) {
        screen::note("note", note);
    }
    screen::note("note", &format!("wrote {}", args.out.display()));
    match args.format {
        Format::Json => screen::json(&report),
        Format::Table => files::print(&text),
    }
}
