//! Logs read from text, as the program reads them from files.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses what it needs")]

use std::io::BufReader;

use wattlaw::Result;
use wattlaw_import::{DataIssue, Format, Importer, Log, Options, Source};

/// Reads files of one format, a name and its bytes each.
pub fn read_with(format: Format, options: Options, files: &[(&str, &[u8])]) -> Result<Log> {
    let mut importer = Importer::new(format, options);
    for (name, bytes) in files {
        // small blocks, so that lines and cells are cut everywhere
        let mut input = BufReader::with_capacity(4096, *bytes);
        importer.read(&mut Source { name, input: &mut input })?;
    }
    importer.finish()
}

/// Reads one file.
pub fn read(format: Format, name: &str, text: &str) -> Result<Log> {
    read_with(format, Options::default(), &[(name, text.as_bytes())])
}

/// Joules, seconds and accelerators of each run.
pub fn figures(log: &Log) -> Vec<(f64, f64, Option<u64>)> {
    let of = |m: &wattlaw_import::Measured| {
        (m.energy.map_or(-1.0, |e| e.value()), m.duration.map_or(-1.0, |t| t.value()), m.gpus)
    };
    log.measured.iter().map(of).collect()
}

/// The sentence that a file is refused with.
#[track_caller]
pub fn fails(format: Format, name: &str, text: &str) -> String {
    let error = read(format, name, text).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

/// The one finding of a kind, as a line.
#[track_caller]
pub fn told(log: &Log, kind: DataIssue) -> String {
    let found: Vec<_> = log.findings.iter().filter(|f| f.kind == kind).collect();
    assert_eq!(found.len(), 1, "{kind}: {:?}", log.findings);
    found[0].to_string()
}

/// The kinds of what was found, each once.
pub fn kinds(log: &Log) -> Vec<DataIssue> {
    let mut kinds: Vec<DataIssue> = log.findings.iter().map(|f| f.kind).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}
