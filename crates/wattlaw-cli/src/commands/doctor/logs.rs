//! `wattlaw doctor FILES`: checks records and logs of other tools for data issues.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use wattlaw::job::catalog::Catalog;
use wattlaw_import::{self, Options, Source};
use wattlaw_meter::folder;

use crate::commands::import as logs;
use crate::failure::{Done, Failure};
use crate::format::Format;
use crate::{files, records, render};
use wattlaw_ask::Schema;

/// A finding: a data issue of a log, or a defect of a record.
#[derive(Debug, Serialize)]
struct Finding {
    line: Option<u64>,
    times: u64,
    kind: String,
    text: String,
}

/// A checked record or log with its findings.
struct CheckedFile {
    file: String,
    format: Option<String>,
    runs: usize,
    findings: Vec<Finding>,
    /// Why it could not be read.
    error: Option<String>,
}

/// `log_format` of a record.
const RECORD: &str = "record";

/// Checks each file separately and prints the findings.
///
/// # Errors
/// A file that cannot be read; the findings of the other files are printed first.
pub fn run(paths: &[PathBuf], format: Format) -> Done {
    let catalog = Catalog::built_in()?;
    let (files, left_out) = files_of(paths)?;
    let checked: Vec<CheckedFile> = files.iter().map(|path| check_file(path, &catalog)).collect();
    for path in &left_out {
        let text = format!("left out: {}: neither a record nor a log", path.display());
        render::note("note", &text);
    }
    match format {
        Format::Json => {
            let rows: Vec<_> = checked
                .iter()
                .map(|l| {
                    json!({
                        "file": l.file, "log_format": l.format, "runs": l.runs, "notes": l.findings, "error": l.error,
                    })
                })
                .collect();
            render::json(Schema::DoctorFiles, &json!({ "logs": rows }))?;
        }
        Format::Table => files::print(&checked.iter().map(text).collect::<String>())?,
    }
    match checked.iter().filter_map(|l| l.error.as_ref()).collect::<Vec<_>>().as_slice() {
        [] => Ok(()),
        [one] => Err(Failure::Failed((*one).clone())),
        several => Err(Failure::Failed(format!(
            "{} of {} files cannot be read",
            several.len(),
            checked.len()
        ))),
    }
}

/// The records and logs of paths. Beside records, as a glob of a sweep's folder gives them, what is neither is left out.
///
/// # Errors
/// A path that does not exist, or a folder that cannot be read.
fn files_of(paths: &[PathBuf]) -> Done<(Vec<PathBuf>, Vec<PathBuf>)> {
    let mut found = Vec::new();
    for path in paths {
        match records::is_place(path) {
            true => found.extend(records::places_of(path)?),
            false => found.push(path.clone()),
        }
    }
    let is_record = |path: &Path| match path.is_dir() {
        true => path.join(folder::RUN).exists(),
        false => path.file_name().is_some_and(|name| name == folder::RUN),
    };
    if !found.iter().any(|path| is_record(path)) {
        return Ok((found, Vec::new()));
    }
    Ok(found
        .into_iter()
        .partition(|path| is_record(path) || !path.exists() || (path.is_file() && is_log(path))))
}

/// Whether a file is a log of a known format.
fn is_log(path: &Path) -> bool {
    let name = path.display().to_string();
    files::open(path).is_ok_and(|mut input| {
        let mut source = Source { name: &name, input: &mut input };
        source.format().is_ok_and(|format| format.is_some())
    })
}

fn check_file(path: &Path, catalog: &Catalog) -> CheckedFile {
    let file = path.display().to_string();
    if path.is_dir() || path.file_name().is_some_and(|name| name == folder::RUN) {
        return record(path, file, catalog);
    }
    match logs::read(None, &[path.to_owned()], Options::default()) {
        Ok((format, log)) => {
            let mut findings = log.findings;
            findings.extend(wattlaw_import::check(&log.measured, catalog));
            let findings = findings
                .into_iter()
                .map(|f| Finding {
                    line: f.line,
                    times: f.times,
                    kind: f.kind.to_string(),
                    text: f.text,
                })
                .collect();
            let format = Some(format.to_string());
            CheckedFile { file, format, runs: log.measured.len(), findings, error: None }
        }
        Err(Failure::Usage(text) | Failure::Failed(text)) => unread(file, Some(text)),
        Err(Failure::PipeClosed) => unread(file, None),
    }
}

fn record(path: &Path, file: String, catalog: &Catalog) -> CheckedFile {
    match folder::read(path) {
        Ok(record) => {
            let findings = record
                .defects(catalog)
                .into_iter()
                .map(|d| Finding { line: None, times: 1, kind: d.kind.to_string(), text: d.text })
                .collect();
            CheckedFile { file, format: Some(RECORD.to_owned()), runs: 1, findings, error: None }
        }
        Err(error) => unread(file, Some(error.to_string())),
    }
}

fn unread(file: String, error: Option<String>) -> CheckedFile {
    CheckedFile { file, format: None, runs: 0, findings: Vec::new(), error }
}

fn text(checked: &CheckedFile) -> String {
    let runs =
        if checked.runs == 1 { "1 run".to_owned() } else { format!("{} runs", checked.runs) };
    let what = match (&checked.format, &checked.error) {
        (Some(format), _) => format!("{format}, {runs}"),
        (None, Some(_)) => "cannot be read".to_owned(),
        (None, None) => String::new(),
    };
    let mut out = render::heading(&format!("{}: {what}", checked.file));
    if checked.findings.is_empty() && checked.error.is_none() {
        out += "no findings\n";
    }
    let row = |f: &Finding| {
        vec![
            f.line.map_or_else(String::new, |l| l.to_string()),
            f.times.to_string(),
            f.kind.clone(),
            f.text.clone(),
        ]
    };
    if !checked.findings.is_empty() {
        out += &render::table(
            &["line", "count", "kind", "finding"],
            checked.findings.iter().map(row).collect(),
            99,
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_checked_separately() {
        let catalog = Catalog::built_in().unwrap();
        let example = |name: &str| {
            let path = format!("{}/../../examples/logs/{name}", env!("CARGO_MANIFEST_DIR"));
            check_file(&PathBuf::from(path), &catalog)
        };
        let emissions = example("emissions.csv");
        assert_eq!((emissions.format.as_deref(), emissions.runs), (Some("codecarbon"), 2));
        let shown = text(&emissions);
        for kind in ["restart", "cumulative-rows", "pue-included"] {
            assert!(shown.contains(kind), "{shown}");
        }
        let clean = text(&example("perun.csv"));
        assert!(clean.contains("perun, 1 run") && clean.ends_with("no findings\n"), "{clean}");
        let absent = example("absent.csv");
        assert!(absent.error.as_ref().is_some_and(|e| e.contains("no such file")));
        assert!(text(&absent).contains("cannot be read"));
    }
}
