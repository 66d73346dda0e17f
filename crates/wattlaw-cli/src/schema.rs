//! Names and versions of the JSON outputs.

use serde::Serialize;

/// The schema of a JSON output. Its version increases when a field is renamed, is removed or changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    Audit,
    Calibrate,
    CalibrateSuggest,
    Catalog,
    CatalogShow,
    Compare,
    Cost,
    Doctor,
    DoctorFiles,
    Efficiency,
    Fit,
    Import,
    Plan,
    Predict,
    Report,
    SweepDesign,
    SweepStatus,
    Validate,
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
pub struct Answer<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    fields: &'a T,
}

impl<'a, T: Serialize> Answer<'a, T> {
    /// Wraps a struct or a map. A list has no fields, so it must be a field of one.
    pub const fn new(schema: Schema, fields: &'a T) -> Self {
        Self { schema: schema.name(), fields }
    }
}
