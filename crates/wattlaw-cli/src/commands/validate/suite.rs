//! `wattlaw validate --suite`: reruns every accuracy figure from the measured tables and compares it with its limits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use wattlaw::data::dataset::Dataset;
use wattlaw::job::catalog::Catalog;
use wattlaw::validate::suite::published::{Comparison, Published};
use wattlaw::validate::suite::{
    Attainment, CASES, Case, Checked, Evaluation, SYNTHETIC, Score, Target, evaluate, published,
};

use crate::failure::{Done, Failure};
use crate::format::Format;
use crate::schema::Schema;
use crate::{files, render};

/// The runs of [`SYNTHETIC`], embedded in the program.
const RUNS: &[u8] = include_bytes!("../../../data/runs.csv");

/// Default folder of the measured tables.
const FOLDER: &str = "../shared/data";

/// Flags of the suite.
#[derive(Debug, clap::Args)]
pub struct SuiteArgs {
    /// Rerun every accuracy figure from the measured tables, with other laws and baselines for comparison
    #[arg(long, conflicts_with_all = ["RunsArgs", "LawArgs", "hold_out", "scheme", "splits", "test_size", "folds",
        "seed", "level", "ablation"])]
    pub suite: bool,
    /// Folder of the suite's measured tables. Default: ../shared/data
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Rerun only this case of the suite (repeatable)
    #[arg(long, value_name = "CASE")]
    only_case: Vec<String>,
}

impl SuiteArgs {
    /// Refuses suite flags without `--suite`, where they would have no effect.
    ///
    /// # Errors
    /// A usage error.
    pub fn check_unused(&self) -> Done {
        match self {
            Self { suite: false, data: Some(_), .. } => {
                Err(Failure::usage("--data requires --suite"))
            }
            Self { suite: false, only_case, .. } if !only_case.is_empty() => {
                Err(Failure::usage("--only-case requires --suite"))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    cases: Vec<Evaluation>,
    published: Vec<Published>,
    skipped: Vec<String>,
}

/// Runs the suite.
///
/// # Errors
/// An unknown case, a table that cannot be read, or a case that cannot be validated.
pub fn run(args: &SuiteArgs, format: Format) -> Done {
    let cases: Vec<&Case> = std::iter::once(&SYNTHETIC).chain(CASES).collect();
    let names = || cases.iter().map(|c| c.name).chain([published::NAME]);
    if let Some(unknown) = args.only_case.iter().find(|name| names().all(|n| n != *name)) {
        return Err(Failure::usage(wattlaw::Error::unknown("case", unknown, names())));
    }
    let wanted = |name: &str| args.only_case.is_empty() || args.only_case.iter().any(|n| n == name);
    let folder = args.data.as_deref().unwrap_or_else(|| Path::new(FOLDER));
    let catalog = Catalog::built_in()?;
    let mut report = Report { cases: Vec::new(), published: Vec::new(), skipped: Vec::new() };
    let mut absent: BTreeMap<PathBuf, Vec<&str>> = BTreeMap::new();
    for case in cases.into_iter().filter(|case| wanted(case.name)) {
        let path = folder.join(case.table);
        let data = if case.name == SYNTHETIC.name {
            Dataset::from_csv(RUNS, case.table, None)?
        } else if path.exists() {
            Dataset::from_csv(&files::bytes(&path)?, &path.display().to_string(), None)?
        } else {
            absent.entry(missing(folder, path)).or_default().push(case.name);
            continue;
        };
        render::note("validating", case.name);
        report.cases.push(evaluate(case, &data, &catalog)?);
    }
    if wanted(published::NAME) {
        let path = folder.join(published::TABLE);
        if path.exists() {
            let name = path.display().to_string();
            report.published = published::evaluate(&files::bytes(&path)?, &name, &catalog)?;
        } else {
            absent.entry(missing(folder, path)).or_default().push(published::NAME);
        }
    }
    for (path, cases) in absent {
        report.skipped.push(format!(
            "{} does not exist; skipped: {}",
            path.display(),
            cases.join(", ")
        ));
    }
    for skipped in &report.skipped {
        render::note("skipped", skipped);
    }
    match format {
        Format::Json => render::json(Schema::ValidateSuite, &report),
        Format::Table => files::print(&table(&report)),
    }
}

/// The folder itself if it is missing, so that a single note covers all its tables.
fn missing(folder: &Path, table: PathBuf) -> PathBuf {
    if folder.exists() { table } else { folder.to_owned() }
}

fn table(report: &Report) -> String {
    let mut out = String::new();
    for evaluation in &report.cases {
        out += &case(evaluation);
        out.push('\n');
    }
    if !report.published.is_empty() {
        out += &whole_runs(&report.published);
        out.push('\n');
    }
    out += &figures(report);
    out
}

/// The results of one case: a row per law.
fn case(evaluation: &Evaluation) -> String {
    let made_up = if evaluation.case == SYNTHETIC.name { " (synthetic, not measured)" } else { "" };
    let apart = match evaluation.set_apart {
        0 => String::new(),
        n => format!(", {n} stalled runs excluded"),
    };
    let mut out = render::heading(&format!(
        "{}{made_up}: {} runs, {} groups by {}, {} scheme{apart}",
        evaluation.case,
        evaluation.n_rows,
        evaluation.n_groups,
        evaluation.hold_out,
        evaluation.scheme
    ));
    let rows = evaluation.laws.iter().map(line).collect();
    let header = [
        "target",
        "law",
        "R²",
        "median error",
        "mean error",
        "95 % half-width",
        "coverage at 50/80/95/99 %",
    ];
    out += &render::table(&header, rows, 2);
    for note in &evaluation.notes {
        out += &format!("{note}\n");
    }
    out
}

fn line(score: &Score) -> Vec<String> {
    let v = &score.found;
    let half_width = v.half_width_factor.as_ref().map(|h| h.median);
    let covered: Vec<String> =
        v.levels.iter().map(|l| format!("{:.0}", l.coverage * 100.0)).collect();
    vec![
        target_name(score.target).to_owned(),
        score.name.to_owned(),
        format!("{:.4}", v.r2.median),
        error(v.median_ape.median),
        error(score.pooled_mape),
        half_width.map_or_else(|| "–".to_owned(), factor),
        if covered.is_empty() { "–".to_owned() } else { covered.join("/") },
    ]
}

const fn target_name(target: Target) -> &'static str {
    match target {
        Target::Energy => "energy",
        Target::Duration => "time",
    }
}

fn error(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn factor(factor: f64) -> String {
    if factor.is_finite() { format!("×{factor:.3}") } else { "×∞".to_owned() }
}

fn whole_runs(runs: &[Published]) -> String {
    let mut out = render::heading(
        "published runs, predicted as by `wattlaw predict`; no law is fitted to them",
    );
    let off = |off: &Comparison| format!("{:+.1} %", off.error * 100.0);
    let rows = runs
        .iter()
        .map(|run| {
            vec![
                run.run.clone(),
                run.scope.to_string(),
                format!("{} kWh", render::digits(run.energy_kwh.measured)),
                off(&run.energy_kwh),
                off(&run.duration_h),
                off(&run.energy_given_time_kwh),
                off(&run.rated_energy_kwh),
                off(&run.six_nd_energy_kwh),
                off(&run.six_nd_duration_h),
            ]
        })
        .collect();
    let header = [
        "run",
        "scope",
        "measured",
        "energy",
        "time",
        "energy, given time",
        "TDP × predicted time",
        "6·N·D: energy",
        "time",
    ];
    out += &render::table(&header, rows, 2);
    for run in runs {
        out += &format!("{}: calibration {}\n", run.run, run.calibration);
        for assumption in &run.assumptions {
            out += &format!("   assumed: {assumption}\n");
        }
        for warning in &run.warnings {
            out += &format!("   warning: {warning}\n");
        }
    }
    out
}

/// The figures with their floor and aim, and whether they are reached.
fn figures(report: &Report) -> String {
    let of_cases = report.cases.iter().flat_map(|c| c.figures.iter().map(|f| (c.case, f)));
    let of_runs = report.published.iter().map(|run| (run.run.as_str(), &run.figure));
    let all: Vec<(&str, &Checked)> = of_cases.chain(of_runs).collect();
    if all.is_empty() {
        return "these cases have no figures with limits\n".to_owned();
    }
    let count = |met: Attainment| all.iter().filter(|(_, f)| f.met == met).count();
    let mut out = render::heading(&format!(
        "{} figures: {} reach the aim, {} only the floor, {} neither",
        all.len(),
        count(Attainment::Aim),
        count(Attainment::Floor),
        count(Attainment::No)
    ));
    let rows = all.iter().map(|(name, f)| figure(name, f)).collect();
    out +=
        &render::table(&["case", "target", "measure", "floor", "aim", "found", "reached"], rows, 3);
    out
}

fn figure(name: &str, f: &Checked) -> Vec<String> {
    let (measure, show): (&str, fn(f64) -> String) = match f.measure {
        "r2" => ("R²", |x| format!("{x:.4}")),
        "small_to_large" => ("R² to large", |x| format!("{x:.4}")),
        "large_to_small" => ("R² to small", |x| format!("{x:.4}")),
        "median_ape" => ("median error", error),
        "pooled_mape" => ("mean error", error),
        "half_width_factor" => ("95 % half-width", factor),
        _ => ("error", error),
    };
    let reached = match f.met {
        Attainment::Aim => "aim",
        Attainment::Floor => "floor",
        Attainment::No => "no",
    };
    vec![
        name.to_owned(),
        target_name(f.target).to_owned(),
        measure.to_owned(),
        show(f.least),
        show(f.aim),
        show(f.found),
        reached.to_owned(),
    ]
}
