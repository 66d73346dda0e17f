//! Writes measured runs without a job as a table.

use super::measured::Measured;
use wattlaw::base::csv_text;
use wattlaw::base::error::Result;
use wattlaw::base::units::{Joules, Seconds, Watts};

type Column = (&'static str, fn(&Measured) -> String);

const COLUMNS: [Column; 18] = [
    ("run_id", |m| m.run_id.clone()),
    ("start", |m| cell(m.start)),
    ("duration_s", |m| cell(m.duration.map(Seconds::value))),
    ("energy_j", |m| cell(m.energy.map(Joules::value))),
    ("mean_power_w", |m| cell(m.mean_power.map(Watts::value))),
    ("scope", |m| m.scope.to_string()),
    ("meter", |m| m.meter.clone()),
    ("instrument", |m| cell(m.instrument)),
    ("gpu", |m| cell(m.gpu.as_ref())),
    ("gpus", |m| cell(m.gpus)),
    ("power_limit_w", |m| cell(m.power_limit.map(Watts::value))),
    ("pue", |m| cell(m.pue)),
    ("steps", |m| cell(m.steps)),
    ("samples", |m| cell(m.samples)),
    ("tokens", |m| cell(m.tokens)),
    ("per_gpu", |m| m.per_gpu.to_string()),
    ("inside", |m| cell(m.inside.as_ref())),
    ("file", |m| m.file.clone()),
];

/// Writes measured runs as a CSV table. It has no job columns, so it cannot be used for fitting.
///
/// # Errors
/// None for the output of an importer.
pub fn to_csv(measured: &[Measured]) -> Result<String> {
    let header = COLUMNS.map(|(name, _)| name);
    let rows = measured.iter().map(|run| COLUMNS.iter().map(|(_, cell)| cell(run)).collect());
    csv_text::write(&header, rows)
}

fn cell(value: Option<impl ToString>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}
