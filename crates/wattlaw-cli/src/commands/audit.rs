//! `wattlaw audit`: checks a run table for errors before fitting.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use serde_json::json;

use wattlaw::audit::{Finding, FindingKind, audit};
use wattlaw::base::csv_text;

use crate::failure::Done;
use crate::flags::runs::RunsArgs;
use crate::format::Format;
use crate::{files, render, tables};
use wattlaw_ask::Schema;

/// Flags of `wattlaw audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    runs: RunsArgs,
    /// Report only findings of this kind (repeatable)
    #[arg(long, value_parser = FindingKind::from_str)]
    kind: Vec<FindingKind>,
    /// Write the rows with findings to this table (.csv, .parquet or .arrow), for --exclude
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// An invalid run table, or an output file that cannot be written.
pub fn run(args: &Args) -> Done {
    let (data, catalog) = args.runs.read()?;
    let mut findings = audit(&data, &catalog);
    findings.retain(|f| args.kind.is_empty() || args.kind.contains(&f.kind));
    if let Some(path) = &args.out {
        tables::write(path, &rows(&findings)?)?;
        render::note("note", &format!("wrote {}", path.display()));
    }
    for note in &data.notes {
        render::note("note", note);
    }
    match args.format {
        Format::Json => render::json(
            Schema::Audit,
            &json!({
                "runs": data.runs.len(),
                "findings": findings,
                "data_sha256": data.digest,
            }),
        ),
        Format::Table => files::print(&table(&findings, data.runs.len())),
    }
}

fn rows(findings: &[Finding]) -> Done<String> {
    let row = |f: &Finding| {
        let row = f.row.map(|r| r.to_string()).unwrap_or_default();
        vec![row, f.run_id.clone().unwrap_or_default(), f.kind.name().to_owned()]
    };
    Ok(csv_text::write(&["row", "run_id", "kind"], findings.iter().map(row))?)
}

fn table(findings: &[Finding], runs: usize) -> String {
    let mut by_kind: BTreeMap<FindingKind, usize> = BTreeMap::new();
    for finding in findings {
        *by_kind.entry(finding.kind).or_default() += 1;
    }
    if findings.is_empty() {
        return format!("no findings in {runs} runs\n");
    }
    let found = if findings.len() == 1 { "finding" } else { "findings" };
    let mut out = render::heading(&format!("{} {found} in {runs} runs", findings.len()));
    let kinds = by_kind.iter().map(|(kind, n)| vec![kind.to_string(), n.to_string()]).collect();
    out += &render::table(&["kind", "rows"], kinds, 1);
    out.push('\n');
    let rows = findings
        .iter()
        .map(|f| {
            vec![
                f.row.map_or_else(|| "table".to_owned(), |r| r.to_string()),
                f.run_id.clone().unwrap_or_default(),
                f.kind.to_string(),
                f.detail.clone(),
            ]
        })
        .collect();
    out += &render::table(&["row", "run", "kind", "detail"], rows, 99);
    out
}
