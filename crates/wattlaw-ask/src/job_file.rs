//! A job file, with the `config.json` that it names.

use std::path::Path;

use wattlaw::base::error::{Error, Location, Result};
use wattlaw::job::JobSpec;
use wattlaw::job::model::HubConfig;

/// A file that was read: its name and its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    /// Its path or its name, for messages. Its extension tells JSON from TOML.
    pub name: &'a str,
    /// What is in it.
    pub text: &'a str,
}

/// Reads a file that another one names, by its path.
pub type Open<'a> = dyn Fn(&Path) -> Result<String> + 'a;

/// Refuses any file: where there is no file system.
///
/// # Errors
/// Always.
pub fn no_other_files(path: &Path) -> Result<String> {
    Err(Error::Data(format!(
        "{} is a file of its own, which cannot be read from here; give the model's fields instead",
        path.display()
    )))
}

/// What a job file says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobFile {
    /// Its fields, with those of the `config.json` that it names.
    pub spec: JobSpec,
    /// What was assumed in reading the `config.json`, a sentence each.
    pub notes: Vec<String>,
}

impl JobFile {
    /// Reads a job file: JSON if its name ends with `.json`, otherwise TOML.
    ///
    /// # Errors
    /// An invalid file, with its location.
    pub fn new(file: Text<'_>, open: &Open<'_>) -> Result<Self> {
        let path = Path::new(file.name);
        let read = match path.extension().is_some_and(|extension| extension == "json") {
            true => JobSpec::from_json(file.text),
            false => JobSpec::from_toml(file.text),
        };
        let mut found =
            Self { spec: read.map_err(|e| e.at(Location::file(file.name)))?, notes: Vec::new() };
        if let Some(config) = found.spec.model.config.take() {
            // a relative path in a job file is relative to that file
            let path = path.parent().map_or_else(|| config.clone().into(), |dir| dir.join(&config));
            let text = open(&path)?;
            found.fall_back(hub_config(Text { name: &path.to_string_lossy(), text: &text })?);
        }
        Ok(found)
    }

    /// Takes what the job lacks from a `config.json`.
    pub fn fall_back(&mut self, config: HubConfig) {
        let model = std::mem::take(&mut self.spec.model);
        self.spec.model = model.with_fallback(config.model);
        if self.spec.workload.task.is_none() {
            self.spec.workload.task = config.task.map(str::to_owned);
        }
        self.notes.extend(config.notes);
    }
}

/// Reads a `config.json` of the Hugging Face Hub; a model without a name has that of its folder.
///
/// # Errors
/// An invalid file, with its location.
pub fn hub_config(file: Text<'_>) -> Result<HubConfig> {
    let mut config =
        HubConfig::from_json(file.text).map_err(|e| e.at(Location::file(file.name)))?;
    if config.model.name.is_none() {
        config.model.name = Path::new(file.name)
            .parent()
            .and_then(|dir| dir.file_name())
            .map(|name| name.to_string_lossy().into_owned());
    }
    Ok(config)
}
