//! Names and versions of the JSON outputs.

use serde::Serialize;

use wattlaw::base::error::{Error, Result};
use wattlaw::base::one_line::is_control;

/// The schema of a JSON output. Its version increases when a field is renamed, is removed or changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Of `wattlaw audit`.
    Audit,
    /// Of `wattlaw calibrate`.
    Calibrate,
    /// Of `wattlaw calibrate suggest`.
    CalibrateSuggest,
    /// Of `wattlaw catalog`.
    Catalog,
    /// Of `wattlaw catalog show`.
    CatalogShow,
    /// Of `wattlaw compare`.
    Compare,
    /// Of `wattlaw cost`.
    Cost,
    /// Of `wattlaw doctor`.
    Doctor,
    /// Of `wattlaw doctor files`.
    DoctorFiles,
    /// Of `wattlaw efficiency`.
    Efficiency,
    /// Of `wattlaw fit`.
    Fit,
    /// Of `wattlaw import`.
    Import,
    /// Of `wattlaw plan`.
    Plan,
    /// Of `wattlaw predict`.
    Predict,
    /// Of `wattlaw report`.
    Report,
    /// Of `wattlaw sweep design`.
    SweepDesign,
    /// Of `wattlaw sweep status`.
    SweepStatus,
    /// Of `wattlaw validate`.
    Validate,
    /// Of `wattlaw validate suite`.
    ValidateSuite,
}

impl Schema {
    /// Value of the field `schema`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Audit => "wattlaw-audit/1",
            Self::Calibrate => "wattlaw-calibrate/1",
            Self::CalibrateSuggest => "wattlaw-calibrate-suggest/1",
            Self::Catalog => "wattlaw-catalog/1",
            Self::CatalogShow => "wattlaw-catalog-show/1",
            Self::Compare => "wattlaw-compare/1",
            Self::Cost => "wattlaw-cost/1",
            Self::Doctor => "wattlaw-doctor/1",
            Self::DoctorFiles => "wattlaw-doctor-files/1",
            Self::Efficiency => "wattlaw-efficiency/1",
            Self::Fit => "wattlaw-fit/1",
            Self::Import => "wattlaw-import/1",
            Self::Plan => "wattlaw-plan/1",
            Self::Predict => "wattlaw-predict/1",
            Self::Report => "wattlaw-report/1",
            Self::SweepDesign => "wattlaw-sweep-design/1",
            Self::SweepStatus => "wattlaw-sweep-status/1",
            Self::Validate => "wattlaw-validate/1",
            Self::ValidateSuite => "wattlaw-validate-suite/2",
        }
    }
}

/// A JSON output: the field `schema`, then the output's own fields.
#[derive(Debug, Serialize)]
struct Output<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    fields: &'a T,
}

/// A JSON output with its schema and a final newline; its strings hold no character that controls a terminal. The fields are a struct or
/// a map: a list has no fields, so it must be a field of one.
///
/// # Errors
/// A value that JSON cannot hold.
pub fn json(schema: Schema, fields: &impl Serialize) -> Result<String> {
    let output = Output { schema: schema.name(), fields };
    let text = serde_json::to_string_pretty(&output).map_err(|e| Error::Data(e.to_string()))?;
    Ok(escaped(&text) + "\n")
}

/// JSON whose strings hold no character that controls a terminal; serde_json leaves some as they are.
fn escaped(json: &str) -> String {
    let escape = |c: char| match is_control(c) && c != '\n' {
        true => format!("\\u{:04x}", u32::from(c)),
        false => c.to_string(),
    };
    if json.chars().any(|c| is_control(c) && c != '\n') {
        return json.chars().map(escape).collect();
    }
    json.to_owned()
}
