//! `wattlaw report`: reports the energy of runs.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;
use wattlaw::base::scope::Scope;
use wattlaw::base::units::Joules;
use wattlaw::data::dataset::to_csv;
use wattlaw::job::catalog::Catalog;
use wattlaw::record::document::{Record, Total};
use wattlaw::record::overlap::{CountedOnce, counted_once};
use wattlaw::record::report::{Statement, UserMetadata};

use crate::failure::{Done, Failure};
use crate::flags::job;
use crate::parse::number;
use crate::records::{self, Gathered};
use crate::{files, render, tables};
use wattlaw_ask::Schema;

/// Flags of `wattlaw report`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Missing information is omitted: carbon intensity, PUE and location have no defaults. The job of a record may \
    set carbon_g_per_kwh and pue."
)]
pub struct Args {
    /// Record folders or their run.json, or folders that hold some; energies are summed
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Carbon intensity of the electricity, g CO₂e per kWh
    #[arg(long, value_name = "G_PER_KWH", value_parser = number)]
    intensity: Option<f64>,
    /// Power usage effectiveness: facility energy / IT energy
    #[arg(long, value_parser = number)]
    pue: Option<f64>,
    /// Energy scope to report: gpu, devices or node_dc. Default: the widest that was measured
    #[arg(long, value_parser = Scope::from_str)]
    scope: Option<Scope>,
    /// Location of the run, for a model card
    #[arg(long)]
    location: Option<String>,
    /// Type of training, for a model card
    #[arg(long, value_parser = ["pre-training", "fine-tuning"])]
    training_type: Option<String>,
    /// Also write a run table (.csv, .parquet or .arrow) for fit, calibrate and audit to this file
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Catalogue file (TOML) whose entries override the built-in ones
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
}

/// Output format of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// Markdown
    #[default]
    Md,
    /// JSON: stable names, full precision
    Json,
}

/// Runs the command.
///
/// # Errors
/// No path holds a closed record with energy, or an invalid flag.
pub fn run(args: &Args) -> Done {
    let catalog = job::catalog(args.catalog.as_deref())?;
    let gathered = records::gather(&args.runs)?;
    gathered.note_left_out();
    let Gathered { records, left_out } = gathered;
    let said = UserMetadata {
        scope: args.scope,
        intensity_g_per_kwh: args.intensity,
        pue: args.pue,
        location: args.location.clone(),
        training_type: args.training_type.clone(),
        left_out: left_out.len(),
    };
    let statement = Statement::from_records(&records, &said, &catalog).map_err(|e| match e {
        wattlaw::Error::Invalid { .. } => Failure::usage(e),
        _ => Failure::failed(e),
    })?;
    if let Some(path) = &args.table {
        write_table(path, &records, args.scope, &catalog)?;
    }
    match args.format {
        Format::Json => render::json(Schema::Report, &statement),
        Format::Md => files::print(&render::lines(&statement.markdown())),
    }
}

/// Writes the runs that rows of a run table can hold; notes the others.
///
/// # Errors
/// No record is a run, or the file cannot be written.
fn write_table(path: &Path, records: &[Record], scope: Option<Scope>, catalog: &Catalog) -> Done {
    let CountedOnce { records: counted, notes } = counted_once(records);
    for note in &notes {
        render::note("note", &note.text);
    }
    let (mut rows, mut first) = (Vec::new(), None);
    for record in counted.iter().filter(|c| !c.reduced).map(|counted| &counted.record) {
        match record.to_measurement(scope, catalog) {
            Ok(row) => rows.push(row),
            Err(error) => {
                let id = &record.id;
                let text = format!("record {id} cannot be written to a run table: {error}");
                first.get_or_insert(text);
            }
        }
    }
    match first {
        Some(text) if rows.is_empty() => return Err(Failure::Failed(text)),
        Some(text) => {
            let left_out = counted.len() - rows.len();
            render::note("note", &format!("{left_out} records were left out of the table; {text}"));
        }
        None => {}
    }
    tables::write(path, &to_csv(&rows)?)?;
    render::note("note", &format!("wrote {}", path.display()));
    Ok(())
}

/// Energy in one line: scope, assumed part, standard deviation, mean power.
pub fn energy(total: &Total, seconds: f64) -> String {
    let mut text = format!("{} ({})", render::energy(total.energy.value()), total.scope);
    if total.all_assumed() {
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
