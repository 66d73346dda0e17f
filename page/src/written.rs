//! A question in other writings: a job file, a command, Python, and the files that start the job.

use serde::{Deserialize, Serialize};

use wattlaw::base::error::Error;
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
        python: python(&question),
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
fn python(question: &Question) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let files: Vec<String> = question.files.iter().map(|file| text(&file.name)).collect();
    let source = match files.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        several => Some(format!("[{}]", several.join(", "))),
    };
    let fields = stated(question).map(|(column, kind, value)| {
        let value = match kind {
            FieldKind::Flag if value == "true" => "True".to_owned(),
            FieldKind::Flag => "False".to_owned(),
            FieldKind::Whole | FieldKind::Number if value.parse::<f64>().is_ok() => {
                value.to_owned()
            }
            _ => text(value),
        };
        format!("{column}={value}")
    });
    let region = question.region.as_deref().map(|region| format!("region={}", text(region)));
    let scope = question.scope.map(|scope| format!("scope={}", text(scope.name())));
    let level = question.level.map(|level| format!("level={level}"));
    let arguments = source.into_iter().chain(fields).chain(region).chain(scope).chain(level);
    let lines: String = arguments.map(|argument| format!("    {argument},\n")).collect();
    format!("import wattlaw as wl\n\nanswer = wl.predict(\n{lines})\nprint(answer)\n")
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
    fn python_names_files_and_fields() {
        let question = r#"{"fields": {"gpu": "h100", "gpus": "8", "tokens": "10M", "gated_ffn": "true"}, "level": 0.8,
            "files": [{"name": "a \"b\".yml", "text": "base_model: gpt2"}]}"#;
        assert_eq!(
            python(&read(question).unwrap()),
            "import wattlaw as wl\n\nanswer = wl.predict(\n    \"a \\\"b\\\".yml\",\n    gated_ffn=True,\n    tokens=\"10M\",\n    \
             gpu=\"h100\",\n    gpus=8,\n    level=0.8,\n)\nprint(answer)\n"
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
