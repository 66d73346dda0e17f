//! `wattlaw report`: says what runs used.

use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use wattlaw::base::scope::Scope;
use wattlaw::base::units::Joules;
use wattlaw::data::dataset::to_csv;
use wattlaw::record::document::{Record, Total};
use wattlaw::record::report::{Statement, UserMetadata};
use wattlaw_meter::folder;

use crate::failure::{Done, Failure};
use crate::flags::job;
use crate::parse::number;
use crate::schema::Schema;
use crate::{files, render};

/// Flags of `wattlaw report`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What nobody said is left out: there is no default for carbon intensity, PUE or location. A record's job may \
    give carbon_g_per_kwh and pue."
)]
pub struct Args {
    /// Folders of records, or their run.json; their energies are added up
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Carbon intensity of the electricity in g CO₂e a kWh
    #[arg(long, value_name = "G_PER_KWH", value_parser = number)]
    intensity: Option<f64>,
    /// Facility energy per energy of the computers
    #[arg(long, value_parser = number)]
    pue: Option<f64>,
    /// Energies to speak of: gpu, devices or node_dc; the narrowest when absent
    #[arg(long, value_parser = Scope::from_str)]
    scope: Option<Scope>,
    /// Where it ran, for a model card
    #[arg(long)]
    location: Option<String>,
    /// What was done, for a model card
    #[arg(long, value_parser = ["pre-training", "fine-tuning"])]
    training_type: Option<String>,
    /// Also write the runs to this file as a run table (CSV), for fit, calibrate and audit
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Catalogue file (TOML) whose rows stand before the built-in ones
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
}

/// How to print a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// Markdown
    #[default]
    Md,
    /// For scripts: stable names, full precision
    Json,
}

/// Runs the command.
///
/// # Errors
/// What is no record, is not closed, or has no energy; what is wrong in a flag.
pub fn run(args: &Args) -> Done {
    let catalog = job::catalog(args.catalog.as_deref())?;
    let records = read(&args.runs)?;
    let said = UserMetadata {
        scope: args.scope,
        intensity_g_per_kwh: args.intensity,
        pue: args.pue,
        location: args.location.clone(),
        training_type: args.training_type.clone(),
    };
    let statement = Statement::from_records(&records, &said, &catalog).map_err(|e| match e {
        wattlaw::Error::Invalid { .. } => Failure::usage(e),
        _ => Failure::failed(e),
    })?;
    if let Some(path) = &args.table {
        let rows = records.iter().map(|record| {
            record.to_measurement(args.scope, &catalog).map_err(|e| {
                Failure::Failed(format!("record {} is no row of a run table: {e}", record.id))
            })
        });
        files::write(path, &to_csv(&rows.collect::<Done<Vec<_>>>()?)?)?;
        render::note("note", &format!("wrote {}", path.display()));
    }
    match args.format {
        Format::Json => render::json(Schema::Report, &statement),
        Format::Md => files::print(&statement.markdown()),
    }
}

/// Reads records.
///
/// # Errors
/// What is none, with its place.
pub fn read(paths: &[PathBuf]) -> Done<Vec<Record>> {
    paths.iter().map(|path| folder::read(path).map_err(Failure::failed)).collect()
}

/// Energy in a line: what it covers, its assumed part, its standard deviation, its mean power.
pub fn energy(total: &Total, seconds: f64) -> String {
    let mut text = format!("{} ({})", render::energy(total.energy.value()), total.scope);
    if total.assumed >= total.energy {
        text += ", all of it assumed";
    } else if total.assumed > Joules::ZERO {
        text += &format!(", {} of it assumed", render::energy(total.assumed.value()));
    }
    if let Some(sd) = total.sd() {
        text += &format!(", σ {}", render::energy(sd.value()));
    }
    if seconds > 0.0 {
        text += &format!(", mean {}", render::si(total.energy.value() / seconds, "W"));
    }
    text
}
