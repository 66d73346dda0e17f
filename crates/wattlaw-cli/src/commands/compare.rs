//! `wattlaw compare`: named alternatives of a job side by side.

use std::path::PathBuf;
use std::str::FromStr;

use wattlaw::base::scope::Scope;
use wattlaw::calibration::{Calibration, Laws};
use wattlaw::memory::FITS_THRESHOLD;
use wattlaw::plan::{Comparison, Objective, compare, power_curve};
use wattlaw::predict::ChosenJob;

use crate::commands::predict::named_or_built_in;
use crate::failure::Done;
use crate::flags::charts::ChartFlags;
use crate::flags::job::{Alternatives, described, take_this_machine, warn};
use crate::format::Format;
use crate::html::{Page, tradeoff};
use crate::parse::level;
use crate::planned;
use crate::{files, render};
use wattlaw_ask::Schema;

/// Flags of `wattlaw compare`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A job file, or the files of a framework, as for `wattlaw predict`. Every flag of a job takes a list, such as --gpus 4,8
    #[arg(value_name = "FILES")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    alternatives: Alternatives,
    /// What the alternatives are sorted by: energy, time, cost, carbon or gpu-hours
    #[arg(long, value_name = "OBJECTIVE", default_value_t = Objective::Energy, value_parser = Objective::from_str)]
    by: Objective,
    /// Calibration: a file or the name of a built-in one. Default: the built-in law
    #[arg(long, value_name = "FILE|NAME")]
    calibration: Option<PathBuf>,
    /// What the energy covers: gpu, devices, codecarbon, node_dc, node_ac or facility
    #[arg(long, default_value_t = Scope::Gpu, value_parser = Scope::from_str)]
    scope: Scope,
    /// Confidence level of the intervals
    #[arg(long, default_value_t = 0.95, value_parser = level)]
    level: f64,
    #[command(flatten)]
    charts: ChartFlags,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The most alternatives.
const MOST: usize = 1000;

/// Runs the command.
///
/// # Errors
/// An invalid job or calibration; no alternative that is valid.
pub fn run(args: &Args) -> Done {
    args.charts.check(args.format)?;
    let calibration = named_or_built_in(args.calibration.as_deref())?;
    let catalog = args.alternatives.catalog()?;
    let combinations = args.alternatives.combinations(MOST)?;
    let mut jobs = Vec::with_capacity(combinations.len());
    let mut refused = Vec::new();
    // files may be pipes, which are read once
    let description =
        described(&args.files, combinations.first().cloned().unwrap_or_default(), &catalog)?;
    warn(&description);
    for mut flags in combinations {
        take_this_machine(&mut flags.system, &catalog)?;
        let spec = description.with_flags(flags).for_its_gpus();
        match ChosenJob::new(&spec, &catalog) {
            Ok(chosen) => jobs.push(chosen.job),
            Err(error) => refused.push(error),
        }
    }
    if jobs.is_empty()
        && let Some(error) = refused.pop()
    {
        return Err(error.into());
    }
    for error in refused {
        render::note("warning", &format!("an alternative is left out: {error}"));
    }
    let found = compare(jobs, args.by, &calibration, args.scope, args.level, FITS_THRESHOLD)?;
    match args.format {
        Format::Json => render::json(Schema::Compare, &found)?,
        Format::Table => {
            let mut out = render::heading(&heading(&found, args))
                + &planned::table(&found.rows, args.by, args.level);
            if let Some(probability) = found.first_before_second {
                out += &planned::first_before_second(probability);
            }
            files::print(&out)?;
        }
    }
    args.charts.print(&tradeoff(&found.rows, None))?;
    match args.charts.page() {
        Some(file) => files::write(file, &page(&found, args, &calibration)?),
        None => Ok(()),
    }
}

fn heading(found: &Comparison, args: &Args) -> String {
    format!("{} alternatives by {}", found.rows.len(), args.by)
}

/// The page of the alternatives.
fn page(found: &Comparison, args: &Args, calibration: &Calibration) -> Done<String> {
    let first = found.rows.first();
    let model = first.map_or("", |row| &row.job.architecture.name);
    let curve = match (first, &calibration.law) {
        (Some(first), Laws::Roofline(_)) => {
            power_curve(&first.job, calibration, args.scope, args.level)?
        }
        // the scaling law has no power limit
        _ => Vec::new(),
    };
    Page {
        title: format!("{model}: {}", heading(found, args)),
        objective: args.by,
        scope: args.scope,
        level: args.level,
        rows: &found.rows,
        first_before_second: found.first_before_second,
        front: None,
        curve: &curve,
        one_more: None,
        binding: &[],
        undone: &[],
        left_out: &[],
        calibration,
    }
    .html()
}
