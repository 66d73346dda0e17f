//! Writes measured runs without a job as a table.

use super::measured::Measured;
use wattlaw::base::error::{Error, Result};
use wattlaw::base::units::{Joules, Seconds, Watts};

type Column = (&'static str, fn(&Measured) -> String);

const COLUMNS: [Column; 17] = [
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
    ("per_gpu", |m| m.per_gpu.to_string()),
    ("inside", |m| cell(m.inside.as_ref())),
    ("file", |m| m.file.clone()),
];

/// Writes measured runs as a CSV table. It has no job columns, so it cannot be used for fitting.
///
/// # Errors
/// None for the output of an importer.
pub fn to_csv(measured: &[Measured]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |e: csv::Error| Error::Data(e.to_string());
    writer.write_record(COLUMNS.iter().map(|(name, _)| *name)).map_err(failed)?;
    for run in measured {
        writer.write_record(COLUMNS.iter().map(|(_, cell)| cell(run))).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|e| Error::Data(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| Error::Data(e.to_string()))
}

fn cell(value: Option<impl ToString>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}
