//! What files, objects and fields say of a job, for Python.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use wattlaw::base::error::Error;
use wattlaw::base::scope::Scope;
use wattlaw::job::JobSpec;
use wattlaw::job::catalog::Catalog;
use wattlaw_ask::{JobFile, Question, Text, hub_config};

use crate::answer::Answer;
use crate::calibration::Calibration;
use crate::error::{file_error, raised};
use crate::fields::job_spec;
use crate::files::open;

/// A file or an object: its name, and its text where it is no file on disk.
type Part = (String, Option<String>);

/// What files, objects and fields say of a job.
#[pyclass(frozen, module = "wattlaw._core")]
pub struct Description {
    pub description: wattlaw_ask::Description,
    pub catalog: Arc<Catalog>,
    /// What was assumed in reading a model's configuration and a region, a sentence each.
    notes: Vec<String>,
}

/// The catalogue with the entries of a user's file before the built-in ones, which are read once in a process.
pub fn catalog(own: Option<PathBuf>) -> PyResult<Arc<Catalog>> {
    static BUILT_IN: OnceLock<Arc<Catalog>> = OnceLock::new();
    if let Some(path) = own {
        return wattlaw_cli::catalog(Some(&path)).map(Arc::new).map_err(file_error);
    }
    if let Some(catalog) = BUILT_IN.get() {
        return Ok(Arc::clone(catalog));
    }
    let catalog = Arc::new(Catalog::built_in().map_err(raised)?);
    Ok(Arc::clone(BUILT_IN.get_or_init(|| catalog)))
}

/// A job from the text of a job file's tables in JSON, with or without the schema of `wattlaw job`.
fn tables(json: &str) -> wattlaw::Result<JobSpec> {
    let syntax = |e: serde_json::Error| Error::Syntax { format: "job", message: e.to_string() };
    let value: serde_json::Value = serde_json::from_str(json).map_err(syntax)?;
    if value.get("schema").is_some() {
        return JobSpec::from_json(json);
    }
    // through a value, since lines and columns of this text say nothing to a user
    serde_json::from_value(value).map_err(syntax)
}

#[pymethods]
impl Description {
    /// Describes a job.
    ///
    /// `parts` are files and objects of frameworks, `config` the name and JSON of a model's configuration, `stated` the tables of a
    /// job file as JSON, `base` a description that all others override, `fields` values by column, which override the rest.
    #[new]
    #[pyo3(signature = (*, parts, config, stated, base, fields, catalog, region))]
    fn new(
        parts: Vec<Part>,
        config: Option<(String, String)>,
        stated: Option<String>,
        base: Option<PyRef<'_, Self>>,
        fields: &Bound<'_, PyDict>,
        catalog: Option<PathBuf>,
        region: Option<String>,
    ) -> PyResult<Self> {
        let catalog = match (&catalog, &base) {
            (None, Some(base)) => Arc::clone(&base.catalog),
            _ => self::catalog(catalog)?,
        };
        let mut flags = job_spec(fields)?;
        if let Some(json) = stated {
            flags = flags.with_fallback(tables(&json).map_err(raised)?);
        }
        let mut notes = base.as_ref().map_or_else(Vec::new, |base| base.notes.clone());
        if let Some(name) = region {
            let found = catalog.region(&name).map_err(raised)?;
            flags.system.carbon_g_per_kwh.get_or_insert(found.carbon_g_per_kwh);
            notes.push(format!(
                "{}: {} g CO₂e a kWh, mean of {}; {}",
                found.title, found.carbon_g_per_kwh, found.year, found.source
            ));
        }
        let named = flags.model.config.take().map(|path| {
            let text = wattlaw_cli::text(path.as_ref()).map_err(file_error)?;
            Ok::<_, PyErr>((path, text))
        });
        let mut file = JobFile { spec: flags, notes: Vec::new() };
        for (name, text) in named.transpose()?.into_iter().chain(config) {
            file.fall_back(hub_config(Text { name: &name, text: &text }).map_err(raised)?);
        }
        let JobFile { spec: mut flags, notes: assumed } = file;
        notes.extend(assumed);
        let measured =
            wattlaw_cli::take_this_machine(&mut flags.system, &catalog).map_err(file_error)?;
        let mut texts = Vec::new();
        for (name, text) in parts {
            let text = match text {
                Some(text) => text,
                None => wattlaw_cli::text(name.as_ref()).map_err(file_error)?,
            };
            texts.push((name, text));
        }
        let texts: Vec<Text<'_>> = texts.iter().map(|(name, text)| Text { name, text }).collect();
        let mut description = match base {
            Some(base) if texts.is_empty() => {
                let flags = flags.with_fallback(base.description.flags.clone());
                base.description.with_flags(flags)
            }
            _ => wattlaw_ask::Description::new(&texts, flags, &catalog, &open).map_err(raised)?,
        };
        description.measured.extend(measured);
        Ok(Self { description, catalog, notes })
    }

    /// Predicts the job.
    #[pyo3(signature = (calibration, scope, level, fits_threshold, /))]
    fn predict(
        &self,
        py: Python<'_>,
        calibration: &Calibration,
        scope: Option<String>,
        level: f64,
        fits_threshold: f64,
    ) -> PyResult<Answer> {
        let scope = scope.map(|name| name.parse::<Scope>()).transpose().map_err(raised)?;
        let question = Question {
            calibration: &calibration.law,
            reason: calibration.reason,
            scope,
            level,
            fits_threshold,
        };
        let remarks = self.remarks();
        py.detach(|| {
            let chosen = self.description.chosen(&self.catalog)?;
            let answer = wattlaw_ask::Answer::new(chosen, &self.description, &question)?;
            Answer::new(answer, Arc::clone(&calibration.law), remarks)
        })
        .map_err(raised)
    }

    /// The job with every default written out, as `wattlaw job` prints it; what memory decides is decided.
    fn job_json(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.description.chosen(&self.catalog)?.job.to_json()).map_err(raised)
    }

    /// The same as a job file (TOML).
    fn job_toml(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.description.chosen(&self.catalog)?.job.spec().to_toml()).map_err(raised)
    }

    /// What a user should know of how files and objects were read, a sentence each.
    fn remarks(&self) -> Vec<String> {
        let read = self.description.remarks().into_iter().map(|remark| remark.text);
        self.notes.iter().cloned().chain(read).collect()
    }
}
