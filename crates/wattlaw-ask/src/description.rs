//! The description of a job from fields and files, with the origin of each field.

use std::collections::BTreeMap;
use std::path::Path;

use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::words::words;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::fields::fields;
use wattlaw::job::model::ModelSpec;
use wattlaw::job::{Job, JobSpec};
use wattlaw::predict::{ChosenJob, DefaultSource, Severity, TakenDefault};
use wattlaw_import::configuration::{self, Configuration, Tool, Unmodelled, model_names};

use crate::job_file::{JobFile, Open, Text};

/// Where the value of a job's field comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A flag.
    Flag,
    /// This machine, as its meters report it.
    Measured,
    /// A job file, or a framework's file.
    File,
    /// A default of the framework.
    FrameworkDefault,
    /// A default of this program, or its choice.
    WattlawDefault,
}

words!(Origin, "origin": Flag = "flag", Measured = "measured", File = "file", FrameworkDefault = "framework-default",
    WattlawDefault = "wattlaw-default");

/// What flags and files say of a job.
#[derive(Debug, Default)]
pub struct Description {
    /// Flags over files.
    pub spec: JobSpec,
    /// What the flags say.
    pub flags: JobSpec,
    /// What a job file says.
    pub file: JobSpec,
    /// What frameworks' files say.
    pub configuration: Option<Configuration>,
    /// Columns of `flags` that were read from this machine.
    pub measured: Vec<&'static str>,
    /// The name of the job file, where there is one.
    file_name: Option<String>,
    /// What was assumed in reading files, a sentence each.
    notes: Vec<String>,
}

/// What a user should know of how files were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// A warning, or what was assumed.
    pub severity: Severity,
    /// A sentence.
    pub text: String,
}

/// Columns whose values follow from another column's where nothing states them.
const FOLLOWS: [(&str, &[&str]); 6] = [
    ("grad_accum", &["global_batch"]),
    ("micro_batch", &["global_batch"]),
    ("dp", &["gpus", "strategy"]),
    ("gpus", &["dp", "tp", "cp", "pp"]),
    ("nodes", &["gpus"]),
    ("labels", &["task"]),
];

impl Description {
    /// Reads what files and flags say of a job: a job file, or any number of frameworks' files. `open` reads the `config.json` that a
    /// job file names.
    ///
    /// # Errors
    /// An invalid file; no file and no model.
    pub fn new(
        files: &[Text<'_>],
        flags: JobSpec,
        catalog: &Catalog,
        open: &Open<'_>,
    ) -> Result<Self> {
        match files {
            [] if flags.model == ModelSpec::default() => Err(Error::Data(
                "no model; give a job file, --model NAME (see `wattlaw catalog models`), --config FILE, or a shape (--family, \
                 --layers, --hidden-size)"
                    .to_owned(),
            )),
            [] => Ok(Self { spec: flags.clone(), flags, ..Self::default() }),
            [file] if !is_configuration(*file) => {
                let JobFile { spec: said, notes } = JobFile::new(*file, open)?;
                let spec = flags.clone().with_fallback(said.clone());
                let file_name = Some(file.name.to_owned());
                Ok(Self { spec, flags, file: said, file_name, notes, ..Self::default() })
            }
            files => {
                let is_job = |file: &&Text<'_>| JobSpec::from_toml(file.text).is_ok();
                if let Some(file) = files.iter().find(is_job) {
                    return Err(Error::Data(
                        "a job file is given alone; `wattlaw convert` makes one of a framework's files".to_owned(),
                    )
                    .at(Location::file(file.name)));
                }
                let named: Vec<(&str, &str)> = files.iter().map(|of| (of.name, of.text)).collect();
                Self::of_configuration(flags, Configuration::read(&named)?, catalog)
            }
        }
    }

    /// Puts flags over a framework's files, whose model is looked up in the catalogue.
    ///
    /// # Errors
    /// A model that is not in the catalogue, with the file, line and key that name it.
    fn of_configuration(
        flags: JobSpec,
        configuration: Configuration,
        catalog: &Catalog,
    ) -> Result<Self> {
        let mut base = configuration.job.clone();
        if flags.model.family.is_some() || flags.model.name.is_some() {
            // another model than the files'
            base.model = ModelSpec::default();
        } else if let Some(name) = base.model.name.clone() {
            base.model.name = Some(known_model(&name, &configuration, catalog)?);
        }
        let spec = flags.clone().with_fallback(base);
        let configuration = Some(configuration);
        Ok(Self { spec, flags, configuration, ..Self::default() })
    }

    /// The same files under other flags.
    #[must_use]
    pub fn with_flags(&self, flags: JobSpec) -> Self {
        let base = match &self.configuration {
            // a configuration's model was looked up in the first description
            Some(configuration) => {
                JobSpec { model: self.spec.model.clone(), ..configuration.job.clone() }
            }
            None => self.file.clone(),
        };
        Self {
            spec: flags.clone().with_fallback(base),
            flags,
            file: self.file.clone(),
            measured: self.measured.clone(),
            configuration: self.configuration.clone(),
            file_name: self.file_name.clone(),
            notes: self.notes.clone(),
        }
    }

    /// The description for the stated number of GPUs, on one of which frameworks shard nothing.
    pub fn for_its_gpus(&self) -> JobSpec {
        let mut spec = self.spec.clone();
        let parallelism = &spec.parallelism;
        let degrees = [parallelism.dp, parallelism.tp, parallelism.pp, parallelism.cp];
        let stated = spec.system.gpus;
        let one = stated.unwrap_or_else(|| degrees.into_iter().flatten().product()) == 1;
        let origin = self.configuration.as_ref().and_then(|of| of.origin("strategy"));
        let is_default =
            origin.is_some_and(|(from, _)| from == configuration::Origin::FrameworkDefault);
        let by_file = origin.is_some() && self.flags.parallelism.strategy.is_none();
        if one && by_file && (stated.is_some() || is_default) {
            spec.parallelism.strategy = None;
        }
        spec
    }

    /// Resolves the description for its number of GPUs; an error says which file it is of.
    ///
    /// # Errors
    /// Those of `resolve`.
    pub fn resolved<T>(
        &self,
        catalog: &Catalog,
        resolve: impl Fn(&JobSpec, &Catalog) -> Result<T>,
    ) -> Result<T> {
        let found = resolve(&self.for_its_gpus(), catalog);
        match (&self.configuration, &self.file_name) {
            (Some(configuration), _) => found.map_err(|e| configuration.placed(e)),
            (None, Some(name)) => found.map_err(|e| e.at(Location::file(name))),
            (None, None) => found,
        }
    }

    /// The job, with a strategy and micro-batch that are not stated chosen by the memory that they need.
    ///
    /// # Errors
    /// Fields that are invalid together or by themselves; a name that is not in the catalogue.
    pub fn chosen(&self, catalog: &Catalog) -> Result<ChosenJob> {
        self.resolved(catalog, ChosenJob::new)
    }

    /// What was assumed in reading files, then the keys that the prediction leaves out, those with one reason together.
    pub fn remarks(&self) -> Vec<Remark> {
        let note = |text: &String| Remark { severity: Severity::Info, text: text.clone() };
        let mut remarks: Vec<Remark> = self.notes.iter().map(note).collect();
        let mut reasons: Vec<(&str, &str, Vec<String>)> = Vec::new();
        for Unmodelled { file, line, key, value, reason } in self.unmodelled() {
            let line = line.map_or_else(String::new, |line| format!(" (line {line})"));
            let set = if value.is_empty() { String::new() } else { format!(" = {}", short(value)) };
            let named = format!("{key}{set}{line}");
            match reasons.iter_mut().find(|(of, why, _)| of == file && why == reason) {
                Some((.., keys)) => keys.push(named),
                None => reasons.push((file, reason, vec![named])),
            }
        }
        remarks.extend(reasons.into_iter().map(|(file, reason, keys)| Remark {
            severity: Severity::Warning,
            text: format!("{file}: {}: {reason}", keys.join(", ")),
        }));
        remarks
    }

    /// Keys of frameworks' files that the prediction leaves out.
    pub fn unmodelled(&self) -> &[Unmodelled] {
        self.configuration.as_ref().map_or(&[], |of| &of.unmodelled)
    }

    /// The origin of each field of a resolved job, by column.
    pub fn origins(&self, job: &Job, defaults: &[TakenDefault]) -> BTreeMap<&'static str, Origin> {
        let full = job.spec();
        let held = fields().filter(|field| (field.get)(&full).is_some());
        held.map(|field| {
            let by_default = || {
                let taken = defaults.iter().find(|taken| taken.field.name() == field.column);
                match taken.map(|taken| taken.source) {
                    Some(DefaultSource::Framework) => Origin::FrameworkDefault,
                    _ => Origin::WattlawDefault,
                }
            };
            let follows = || {
                let (_, from) = FOLLOWS.iter().find(|(column, _)| *column == field.column)?;
                from.iter().find_map(|column| self.stated(column))
            };
            // the shape is that of the named model, and the node that of the named system
            let by_name = || match field.table {
                "model" if field.column != "vocab_multiple" => {
                    self.stated("model").or_else(|| self.stated("config"))
                }
                "system" => self.stated("system"),
                _ => None,
            };
            let origin = self.stated(field.column).or_else(follows).or_else(by_name);
            (field.column, origin.unwrap_or_else(by_default))
        })
        .collect()
    }

    /// The origin of a column that flags, files or a framework's defaults state.
    fn stated(&self, column: &str) -> Option<Origin> {
        let field = fields().find(|field| field.column == column)?;
        let has = |spec: &JobSpec| (field.get)(spec).is_some();
        if has(&self.flags) {
            let is_measured = self.measured.contains(&column);
            return Some(if is_measured { Origin::Measured } else { Origin::Flag });
        }
        if !has(&self.spec) {
            return None;
        }
        if has(&self.file) {
            return Some(Origin::File);
        }
        let (origin, _) = self.configuration.as_ref()?.origin(column)?;
        Some(match origin {
            configuration::Origin::File => Origin::File,
            configuration::Origin::FrameworkDefault => Origin::FrameworkDefault,
        })
    }

    /// Lines that say what came from frameworks' files and what from their defaults; empty without such files.
    pub fn sources(&self) -> String {
        let Some(configuration) = &self.configuration else { return String::new() };
        let is_used = |column: &str| {
            let field = fields().find(|field| field.column == column);
            field.is_some_and(|field| {
                (field.get)(&self.flags).is_none() && (field.get)(&self.spec).is_some()
            })
        };
        let mut out = String::new();
        let mut files: Vec<&str> = Vec::new();
        for statement in &configuration.stated {
            if !files.contains(&statement.place.file.as_str()) {
                files.push(&statement.place.file);
            }
        }
        for file in files {
            let of =
                configuration.stated.iter().filter(|s| s.place.file == file && is_used(s.column));
            let said: Vec<String> = of.map(|s| format!("{} {}", s.column, s.value)).collect();
            if !said.is_empty() {
                out += &format!("from {file}: {}\n", said.join(", "));
            }
        }
        for tool in &configuration.tools {
            let of = configuration.defaults.iter().filter(|s| s.tool == *tool && is_used(s.column));
            let taken: Vec<String> = of.map(|s| format!("{} {}", s.column, s.value)).collect();
            if !taken.is_empty() {
                out += &format!("by default of {}: {}\n", tool.title(), taken.join(", "));
            }
        }
        out
    }
}

/// A value for a message.
fn short(value: &str) -> String {
    const MOST: usize = 60;
    match value.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &value[..at]),
        None => value.to_owned(),
    }
}

/// Whether a file is a framework's, and no job file, from its content; a file that is neither is taken as its name says.
fn is_configuration(file: Text<'_>) -> bool {
    let is_job = || {
        let extension = Path::new(file.name).extension().and_then(|extension| extension.to_str());
        match extension {
            Some("toml") => true,
            Some("json") => file.text.contains("\"schema\""),
            _ => JobSpec::from_toml(file.text).is_ok(),
        }
    };
    Tool::detect(file.text).is_some() || !is_job()
}

/// The catalogue's name of a model that a file names.
fn known_model(name: &str, configuration: &Configuration, catalog: &Catalog) -> Result<String> {
    let names = model_names(name);
    if let Some(known) = names.into_iter().find(|name| catalog.model(name).is_ok()) {
        return Ok(known);
    }
    let (place, key) = match configuration.origin("model") {
        Some((_, statement)) => (statement.place.clone(), statement.key.as_str()),
        None => Default::default(),
    };
    Err(Error::Data(format!(
        "{key} is `{name}`, which is no model of the catalogue; give --model NAME (see `wattlaw catalog models`), or \
         --config with its config.json"
    ))
    .at(place))
}
