//! A question of the page: fields of a job as texts, dropped files, and what the answer covers.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use wattlaw::base::error::{Error, Result};
use wattlaw::base::scope::Scope;
use wattlaw::job::JobSpec;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::fields::fields;
use wattlaw_ask::{Description, JobFile, Text, hub_config, no_other_files};
use wattlaw_import::configuration::Tool;

/// A question, as the page writes it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Fields of the job by column, as the flags of the command line take them.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// The region whose carbon intensity is taken.
    pub region: Option<String>,
    /// What the energy covers.
    pub scope: Option<Scope>,
    /// Level of the intervals; 0.95 when absent.
    pub level: Option<f64>,
    /// Files of frameworks, or a job file, or a model's `config.json`.
    #[serde(default)]
    pub files: Vec<File>,
}

/// A dropped file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name, without a folder.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// Most bytes of all files of a question.
const MOST_BYTES: usize = 1 << 20;

/// Reads what the page wrote.
///
/// # Errors
/// [`Error::Syntax`] for a text that is no such JSON.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|e| Error::Syntax { format: "question", message: e.to_string() })
}

impl Question {
    /// The level of the intervals.
    ///
    /// # Errors
    /// A level that is not between 0 and 1.
    pub fn level(&self) -> Result<f64> {
        let level = self.level.unwrap_or(0.95);
        if level > 0.0 && level < 1.0 {
            return Ok(level);
        }
        Err(Error::invalid("level", level, "it must lie between 0 and 1"))
    }

    /// The fields as flags give them, with those of a model's `config.json`.
    ///
    /// # Errors
    /// An unknown field, a value that it does not take, an unknown region, and an invalid `config.json`.
    pub fn flags(&self, catalog: &Catalog) -> Result<JobSpec> {
        let known = || fields().filter(|field| field.column != "config");
        for name in self.fields.keys() {
            if !known().any(|field| field.column == name) {
                return Err(Error::unknown("field", name, known().map(|field| field.column)));
            }
        }
        let mut spec = JobSpec::default();
        // in their order, in which the rank of adapters is before their targets
        for field in known() {
            if let Some(text) = self.fields.get(field.column).map(|text| text.trim()) {
                if text.is_empty() {
                    return Err(Error::missing(field.column, field.about));
                }
                (field.set)(&mut spec, text)?;
            }
        }
        if let Some(name) = &self.region {
            if spec.system.carbon_g_per_kwh.is_some() {
                return Err(Error::invalid(
                    "region",
                    name,
                    "a carbon intensity is given too; give one of them",
                ));
            }
            spec.system.carbon_g_per_kwh = Some(catalog.region(name)?.carbon_g_per_kwh);
        }
        let mut flags = JobFile { spec, notes: Vec::new() };
        for file in self.files.iter().filter(|file| file.is_models()) {
            flags.fall_back(hub_config(file.text())?);
        }
        Ok(flags.spec)
    }

    /// What fields and files say of the job.
    ///
    /// # Errors
    /// Those of [`Question::flags`] and [`Description::new`]; files of more than 1 MiB.
    pub fn description(&self, catalog: &Catalog) -> Result<Description> {
        let bytes: usize = self.files.iter().map(|file| file.text.len()).sum();
        if bytes > MOST_BYTES {
            return Err(Error::invalid(
                "the size of the files",
                format!("{bytes} bytes"),
                format!("at most {MOST_BYTES} are read"),
            ));
        }
        let flags = self.flags(catalog)?;
        let files: Vec<Text<'_>> =
            self.files.iter().filter(|file| !file.is_models()).map(File::text).collect();
        Description::new(&files, flags, catalog, &no_other_files)
    }
}

impl File {
    fn text(&self) -> Text<'_> {
        Text { name: &self.name, text: &self.text }
    }

    /// Whether it is the `config.json` of a model, which the command line takes by `--config`.
    pub fn is_models(&self) -> bool {
        if Tool::detect(&self.text).is_some() {
            return false;
        }
        let read: std::result::Result<serde_json::Map<String, serde_json::Value>, _> =
            serde_json::from_str(&self.text);
        read.is_ok_and(|map| map.contains_key("model_type") || map.contains_key("architectures"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(question: &str) -> String {
        let catalog = Catalog::built_in().unwrap();
        let question: Result<Question> = read(question);
        question.and_then(|of| of.description(&catalog)).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_question_is_refused_in_a_sentence() {
        assert!(fails("{").starts_with("not valid question: "));
        assert!(fails(r#"{"fields": {"modle": "x"}}"#).starts_with("unknown field `modle`"));
        assert!(fails(r#"{"fields": {"gpus": "-1"}}"#).starts_with("gpus is `-1`"));
        assert!(fails(r#"{"fields": {"gpus": " "}}"#).starts_with("gpus is missing"));
        assert!(fails(r#"{"fields": {"config": "/etc/passwd"}}"#).starts_with("unknown field"));
        assert!(fails("{}").starts_with("no model"));
        let both = r#"{"fields": {"model": "gpt2", "carbon_g_per_kwh": "50"}, "region": "FR"}"#;
        assert!(fails(both).starts_with("region is FR, but a carbon intensity is given too"));
        let long = format!(
            r#"{{"files": [{{"name": "a.yml", "text": "{}"}}]}}"#,
            "x".repeat(MOST_BYTES + 1)
        );
        assert!(fails(&long).starts_with("the size of the files is 1048577 bytes"));
    }

    #[test]
    fn a_models_configuration_is_told_from_a_frameworks() {
        let is = |text: &str| File { name: "a.json".to_owned(), text: text.to_owned() }.is_models();
        assert!(is(r#"{"model_type": "llama", "hidden_size": 4096}"#));
        assert!(!is(r#"{"zero_optimization": {"stage": 3}, "train_micro_batch_size_per_gpu": 4}"#));
        assert!(!is("base_model: gpt2"));
    }
}
