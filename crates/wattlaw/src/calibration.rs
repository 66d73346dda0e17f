//! A calibration: fitted laws of energy and time with their residuals, the fitted range, and the source of the data. It
//! is a JSON file, documented field by field in `docs/reference/calibration.md`.

mod design;
mod embedded;
mod fit;
mod range;
mod suggest;

pub use design::study_design;
pub use embedded::{BUILT_IN, built_in, embedded};
pub use fit::{FitOptions, default_formula};
pub(crate) use range::near_the_edge;
pub use range::{Outside, Range};
pub use suggest::{Suggested, Suggestions};

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::base::scope::Scope;
use crate::base::words::words;
use crate::data::dataset::ProxyColumns;
use crate::data::features::Features;
use crate::law::efficiency::BeforeRunFit;
use crate::law::roofline::RooflineFit;
use crate::law::scaling::ScalingFit;
use crate::law::setting::Setting;
use crate::stats::conformal::Conformal;

/// The schema of the file.
pub const SCHEMA: &str = "wattlaw-calibration/2";

/// The schema of 0.1.0, whose scaling laws are read.
const FIRST_SCHEMA: &str = "wattlaw-calibration/1";

/// Laws of energy and time, fitted on the runs of one table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// [`SCHEMA`].
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The program and version that fitted it.
    pub made_by: String,
    /// What the energy covers.
    pub scope: Scope,
    /// The source of the runs.
    pub data: Source,
    /// The label column whose groups were held out for the intervals, such as `config_family`.
    pub held_out_by: String,
    /// The fitted range of each variable, and the strategies, families and accelerators of the fitted runs.
    pub range: Vec<Range>,
    /// What the fit left out, and why.
    pub notes: Vec<String>,
    /// The fitted laws.
    pub law: Laws,
}

/// The laws of a calibration, by kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Laws {
    /// The study's scaling law: least squares on logarithms of proxies.
    Scaling(Box<ScalingLaws>),
    /// The roofline law: one law for every job.
    Roofline(Box<RooflineFit>),
}

/// The kinds of laws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LawKind {
    /// The study's scaling law.
    Scaling,
    /// The roofline law.
    Roofline,
}

words!(LawKind, "kind of law": Scaling = "scaling", Roofline = "roofline");

impl Laws {
    /// Its kind.
    pub const fn kind(&self) -> LawKind {
        match self {
            Self::Scaling(_) => LawKind::Scaling,
            Self::Roofline(_) => LawKind::Roofline,
        }
    }
}

/// Scaling laws before the run, and the one after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScalingLaws {
    /// The study's setting, if any.
    pub setting: Option<Setting>,
    /// The definition of the columns `log_C`, `log_M` and `log_eta`.
    pub columns: ProxyColumns,
    /// The law of ln(energy / kWh); absent where the table has no energy.
    pub energy: Option<Fitted>,
    /// The law of ln(duration / s); absent where the table has no times.
    pub duration: Option<Fitted>,
    /// Residuals of ln(mean power) of held-out runs; absent unless the table has energy and time.
    pub power_residuals: Option<Conformal>,
    /// The law with measured η, to explain finished runs; absent where the table has no baselines.
    pub after_run: Option<ScalingFit>,
}

/// The source of a calibration's runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The table's name.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Number of fitted runs.
    pub rows: usize,
    /// Number of groups; each was held out whole for the intervals.
    pub groups: usize,
    /// Publication or owner, where stated.
    pub source: Option<String>,
    /// Number of runs whose energy was assumed, wholly or in part, and not measured.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub energies_assumed: usize,
}

const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A law before the run, with its errors on held-out runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fitted {
    /// The law.
    pub law: BeforeRunFit,
    /// Absolute residuals on held-out runs, in natural logarithms.
    pub residuals: Conformal,
}

impl Calibration {
    /// Reads a calibration file.
    ///
    /// # Errors
    /// [`Error::Syntax`] with line and column; [`Error::Invalid`] for another schema or a file without any law.
    pub fn from_json(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            schema: Option<String>,
            law: Option<Kind>,
        }
        #[derive(Deserialize)]
        struct Kind {
            kind: Option<LawKind>,
        }
        let syntax =
            |e: serde_json::Error| Error::Syntax { format: "calibration", message: e.to_string() };
        let found: Versioned = serde_json::from_str(text).map_err(syntax)?;
        match found.schema {
            Some(schema) if schema == SCHEMA => {}
            Some(schema) if schema == FIRST_SCHEMA => {
                if found.law.is_some_and(|law| law.kind == Some(LawKind::Roofline)) {
                    return Err(Error::Data(
                        "the file holds a roofline law of wattlaw 0.1.0, one for each accelerator; add its runs to the one \
                         law with `wattlaw calibrate RUNS.csv`"
                            .into(),
                    ));
                }
            }
            Some(schema) => {
                return Err(Error::invalid(
                    "schema",
                    format!("`{schema}`"),
                    format!("this version of wattlaw reads `{SCHEMA}`"),
                ));
            }
            None => {
                return Err(Error::missing(
                    "schema",
                    format!("a calibration has schema `{SCHEMA}`"),
                ));
            }
        }
        let calibration: Self = serde_json::from_str(text).map_err(syntax)?;
        if let Laws::Scaling(laws) = &calibration.law
            && laws.energy.is_none()
            && laws.duration.is_none()
        {
            return Err(Error::missing(
                "energy and duration",
                "a calibration needs a law for at least one of them",
            ));
        }
        Ok(calibration)
    }

    /// Writes the file's text, on one line: the same bytes for the same calibration.
    ///
    /// # Errors
    /// [`Error::Syntax`] if a number is not finite, which no fitted calibration holds.
    pub fn to_json(&self) -> Result<String> {
        let mut text = serde_json::to_string(self)
            .map_err(|e| Error::Syntax { format: "calibration", message: e.to_string() })?;
        text.push('\n');
        Ok(text)
    }

    /// The scope of an answer where none is asked for: the accelerators, or the scope of a scaling law's runs.
    pub const fn default_scope(&self) -> Scope {
        match self.law {
            Laws::Roofline(_) => Scope::Gpu,
            Laws::Scaling(_) => self.scope,
        }
    }

    /// The values of a label (`gpu`, `strategy`, `family`) in the fitted runs.
    pub fn seen(&self, label: &str) -> &[String] {
        range::seen(&self.range, label)
    }
}

impl ScalingLaws {
    /// An evaluator for many jobs: it looks up the half-widths of one level once.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a level that does not lie between 0 and 1.
    pub fn evaluator(&self, level: f64) -> Result<ScalingEvaluator<'_>> {
        let half = |fitted: &Option<Fitted>| -> Result<f64> {
            fitted.as_ref().map_or(Ok(f64::NAN), |f| f.residuals.half_width(level))
        };
        Ok(ScalingEvaluator {
            laws: self,
            half_energy: half(&self.energy)?,
            half_duration: half(&self.duration)?,
            half_power: self
                .power_residuals
                .as_ref()
                .map_or(Ok(f64::NAN), |r| r.half_width(level))?,
        })
    }
}

/// Scaling laws with the half-widths of one level.
#[derive(Debug, Clone, Copy)]
pub struct ScalingEvaluator<'a> {
    laws: &'a ScalingLaws,
    half_energy: f64,
    half_duration: f64,
    half_power: f64,
}

/// Predicted natural logarithms for one job, and their half-widths; NaN where there is no law.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScalingEstimate {
    /// ln(energy / kWh).
    pub log_energy_kwh: f64,
    /// ln(duration / s).
    pub log_duration_s: f64,
    /// Half-widths of energy, duration and mean power.
    pub half_widths: [f64; 3],
}

impl ScalingEvaluator<'_> {
    /// Evaluates the laws on the columns of one job, without allocating.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a strategy, family or accelerator that was not in the runs.
    pub fn estimate(&self, features: &Features) -> Result<ScalingEstimate> {
        let law = |fitted: &Option<Fitted>| -> Result<f64> {
            fitted.as_ref().map_or(Ok(f64::NAN), |f| f.law.predict_row(features))
        };
        Ok(ScalingEstimate {
            log_energy_kwh: law(&self.laws.energy)?,
            log_duration_s: law(&self.laws.duration)?,
            half_widths: [self.half_energy, self.half_duration, self.half_power],
        })
    }
}
