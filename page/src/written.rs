//! A question in other writings: a job file, a command, Python, and the files that start the job.

use serde::{Deserialize, Serialize};

use wattlaw::base::error::{Error, Result};
use wattlaw::job::JobSpec;
use wattlaw::job::fields::{FieldKind, fields};
use wattlaw::job::workload::Stack;
use wattlaw_launch::{LaunchFile, Launcher, emit, shell};

use crate::problem::Problem;
use crate::question::{Question, read};
use crate::world::World;

/// A question in other writings.
#[derive(Debug, Serialize)]
struct Written {
    /// The command that answers it.
    command: String,
    /// The resolved job as a job file.
    toml: String,
    /// A program in Python.
    python: String,
}

/// A question as a command, a job file and a program in Python.
///
/// # Errors
/// What is wrong with it.
pub fn written(question: &str) -> std::result::Result<String, Problem> {
    let question: Question = read(question)?;
    let world = World::get()?;
    let chosen = question.description(&world.catalog)?.chosen(&world.catalog)?;
    let written = Written {
        command: command(&question),
        toml: chosen.job.spec().to_toml()?,
        python: python(&question, &chosen.job.spec())?,
    };
    Ok(serde_json::to_string(&written).map_err(|e| Error::Data(e.to_string()))?)
}

/// Fields that a question states, in the order of a job's fields, with their texts.
fn stated(question: &Question) -> impl Iterator<Item = (&'static str, FieldKind, &str)> {
    fields().filter_map(|field| {
        let text = question.fields.get(field.column)?.trim();
        Some((field.column, field.kind, text))
    })
}

/// The command line that gives the same answer.
fn command(question: &Question) -> String {
    let mut words = vec!["wattlaw".to_owned(), "predict".to_owned()];
    for file in &question.files {
        if file.is_models() {
            words.push("--config".to_owned());
        }
        words.push(shell::quoted(&file.name));
    }
    for (column, kind, text) in stated(question) {
        let flag = format!("--{}", column.replace('_', "-"));
        match kind {
            FieldKind::Flag => words.push(format!("{flag}={}", shell::quoted(text))),
            _ => words.extend([flag, shell::quoted(text)]),
        }
    }
    let region = question.region.as_ref().map(|region| ("--region", region.clone()));
    let scope = question.scope.map(|scope| ("--scope", scope.to_string()));
    let level = question.level.map(|level| ("--level", level.to_string()));
    for (flag, text) in [region, scope, level].into_iter().flatten() {
        words.extend([flag.to_owned(), shell::quoted(&text)]);
    }
    words.join(" ")
}

/// A program that gives the same answer by the Python package.
fn python(question: &Question, job: &JobSpec) -> Result<String> {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    if !question.files.is_empty() {
        // what files say is in the resolved job
        let toml = job.to_toml()?.replace('\\', "\\\\").replace("\"\"\"", "\\\"\\\"\\\"");
        return Ok(format!(
            "import wattlaw\n\njob = wattlaw.Job.from_toml(\"\"\"\n{toml}\"\"\")\nprint(wattlaw.predict(job))\n"
        ));
    }
    let mut lines =
        vec!["import wattlaw".to_owned(), String::new(), "answer = wattlaw.predict(".to_owned()];
    for (column, kind, value) in stated(question) {
        let value = match kind {
            FieldKind::Flag => {
                if value == "true" {
                    "True".to_owned()
                } else {
                    "False".to_owned()
                }
            }
            FieldKind::Whole | FieldKind::Number if value.parse::<f64>().is_ok() => {
                value.to_owned()
            }
            _ => text(value),
        };
        lines.push(format!("    {column}={value},"));
    }
    if let Some(region) = &question.region {
        lines.push(format!("    region={},", text(region)));
    }
    lines.extend([")".to_owned(), "print(answer)".to_owned(), String::new()]);
    Ok(lines.join("\n"))
}

/// What is to be launched.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Launched {
    question: Question,
    launchers: Vec<Launcher>,
}

/// A file to download.
#[derive(Debug, Serialize)]
struct File {
    name: String,
    text: String,
    placeholders: Vec<String>,
}

/// The files that start a question's job.
///
/// # Errors
/// What is wrong with the question; a field that the framework cannot express.
pub fn launch(request: &str) -> std::result::Result<String, Problem> {
    let Launched { question, launchers } = read(request)?;
    let world = World::get()?;
    let description = question.description(&world.catalog)?;
    let framework = launchers.iter().find_map(|launcher| launcher.framework());
    let job = description.resolved(&world.catalog, |spec, catalog| {
        let mut spec = spec.clone();
        if let Some(framework) = framework {
            spec.workload.framework.get_or_insert(Stack::of(framework));
        }
        Ok(wattlaw::predict::ChosenJob::new(&spec, catalog)?.job)
    })?;
    let files: Vec<File> = emit(&job, &launchers)?
        .into_iter()
        .map(|LaunchFile { name, text, placeholders, .. }| File { name, text, placeholders })
        .collect();
    Ok(serde_json::to_string(&files).map_err(|e| Error::Data(e.to_string()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_quotes_what_a_shell_would_read() {
        let question = r#"{"fields": {"model": "gpt2", "currency": "a b;c", "gated_ffn": "true", "power_limit_w": "300"}, "region": "FR"}"#;
        assert_eq!(
            command(&read(question).unwrap()),
            "wattlaw predict --model gpt2 --gated-ffn=true --power-limit-w 300 --currency 'a b;c' --region FR"
        );
    }

    #[test]
    fn launch_files_are_those_of_the_framework() {
        let request = r#"{"question": {"fields": {"model": "llama-3.1-8b", "steps": "1000", "seq_len": "4096", "gpu": "h100", "gpus": "16",
            "strategy": "fsdp"}}, "launchers": ["accelerate", "slurm"]}"#;
        let files: Vec<serde_json::Value> =
            serde_json::from_str(&launch(request).unwrap()).unwrap();
        let names: Vec<&str> = files.iter().map(|file| file["name"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            ["job.toml", "accelerate.yaml", "arguments.yaml", "train.sh", "job.sbatch"]
        );
    }
}
