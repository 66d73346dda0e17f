//! `wattlaw doctor FILES`: what is wrong in records and in logs of other tools, before their energy is believed.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use wattlaw::job::catalog::Catalog;
use wattlaw_import;
use wattlaw_import::Options;
use wattlaw_meter::folder;

use crate::commands::import as logs;
use crate::failure::{Done, Failure};
use crate::format::Format;
use crate::schema::Schema;
use crate::{files, render};

/// Something that was found: a trap of a log, or a defect of a record.
#[derive(Debug, Serialize)]
struct Told {
    line: Option<u64>,
    times: u64,
    kind: String,
    text: String,
}

/// One record or log, and what was found in it.
struct Looked {
    file: String,
    format: Option<String>,
    runs: usize,
    findings: Vec<Told>,
    /// Why it could not be read.
    error: Option<String>,
}

/// What `log_format` says of a record.
const RECORD: &str = "record";

/// Looks at each file by itself and prints what was found.
///
/// # Errors
/// One sentence where a file could not be read, after what was found in the others.
pub fn run(paths: &[PathBuf], format: Format) -> Done {
    let catalog = Catalog::built_in()?;
    let looked: Vec<Looked> = paths.iter().map(|path| look(path, &catalog)).collect();
    match format {
        Format::Json => {
            let rows: Vec<_> = looked
                .iter()
                .map(|l| {
                    json!({
                        "file": l.file, "log_format": l.format, "runs": l.runs, "notes": l.findings, "error": l.error,
                    })
                })
                .collect();
            render::json(Schema::DoctorFiles, &json!({ "logs": rows }))?;
        }
        Format::Table => files::print(&looked.iter().map(text).collect::<String>())?,
    }
    match looked.iter().filter_map(|l| l.error.as_ref()).collect::<Vec<_>>().as_slice() {
        [] => Ok(()),
        [one] => Err(Failure::Failed((*one).clone())),
        several => Err(Failure::Failed(format!(
            "{} of {} files could not be read",
            several.len(),
            looked.len()
        ))),
    }
}

fn look(path: &Path, catalog: &Catalog) -> Looked {
    let file = path.display().to_string();
    if path.is_dir() || path.file_name().is_some_and(|name| name == folder::RUN) {
        return record(path, file);
    }
    match logs::read(None, &[path.to_owned()], Options::default()) {
        Ok((format, log)) => {
            let mut findings = log.findings;
            findings.extend(wattlaw_import::check(&log.measured, catalog));
            let findings = findings
                .into_iter()
                .map(|f| Told {
                    line: f.line,
                    times: f.times,
                    kind: f.kind.to_string(),
                    text: f.text,
                })
                .collect();
            let format = Some(format.to_string());
            Looked { file, format, runs: log.measured.len(), findings, error: None }
        }
        Err(Failure::Usage(text) | Failure::Failed(text)) => unread(file, Some(text)),
        Err(Failure::Unread) => unread(file, None),
    }
}

fn record(path: &Path, file: String) -> Looked {
    match folder::read(path) {
        Ok(record) => {
            let findings = record
                .defects()
                .into_iter()
                .map(|d| Told { line: None, times: 1, kind: d.kind.to_string(), text: d.text })
                .collect();
            Looked { file, format: Some(RECORD.to_owned()), runs: 1, findings, error: None }
        }
        Err(error) => unread(file, Some(error.to_string())),
    }
}

fn unread(file: String, error: Option<String>) -> Looked {
    Looked { file, format: None, runs: 0, findings: Vec::new(), error }
}

fn text(looked: &Looked) -> String {
    let runs = if looked.runs == 1 { "1 run".to_owned() } else { format!("{} runs", looked.runs) };
    let what = match (&looked.format, &looked.error) {
        (Some(format), _) => format!("{format}, {runs}"),
        (None, Some(_)) => "it could not be read".to_owned(),
        (None, None) => String::new(),
    };
    let mut out = render::heading(&format!("{}: {what}", looked.file));
    if looked.findings.is_empty() && looked.error.is_none() {
        out += "nothing was found\n";
    }
    let row = |f: &Told| {
        vec![
            f.line.map_or_else(String::new, |l| l.to_string()),
            f.times.to_string(),
            f.kind.clone(),
            f.text.clone(),
        ]
    };
    if !looked.findings.is_empty() {
        out += &render::table(
            &["line", "times", "kind", "what"],
            looked.findings.iter().map(row).collect(),
            99,
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_log_is_told_by_itself() {
        let catalog = Catalog::built_in().unwrap();
        let example = |name: &str| {
            let path = format!("{}/../../examples/logs/{name}", env!("CARGO_MANIFEST_DIR"));
            look(&PathBuf::from(path), &catalog)
        };
        let emissions = example("emissions.csv");
        assert_eq!((emissions.format.as_deref(), emissions.runs), (Some("codecarbon"), 2));
        let shown = text(&emissions);
        for kind in ["restart", "cumulative-rows", "pue-inside"] {
            assert!(shown.contains(kind), "{shown}");
        }
        let clean = text(&example("perun.csv"));
        assert!(
            clean.contains("perun, 1 run") && clean.ends_with("nothing was found\n"),
            "{clean}"
        );
        let absent = example("absent.csv");
        assert!(absent.error.as_ref().is_some_and(|e| e.contains("there is no such file")));
        assert!(text(&absent).contains("it could not be read"));
    }
}
