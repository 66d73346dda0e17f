//! `wattlaw validate --suite`: reruns every accuracy figure from the measured tables and compares it with its limits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use wattlaw::data::dataset::Dataset;
use wattlaw::data::sources::Sources;
use wattlaw::job::catalog::Catalog;
use wattlaw::validate::suite::published::{Comparison, Published};
use wattlaw::validate::suite::{
    Attainment, Bound, CASES, Case, Checked, Evaluation, Fits, GroupScore, GroupedScore, HeldOut,
    HeldOutEvaluation, OneLaw, Over, SYNTHETIC, Score, SourceRow, Summary, Target, evaluate, fits,
    node_energy, published,
};

use crate::failure::{Done, Failure};
use crate::format::Format;
use crate::{files, render};
use wattlaw_ask::Schema;

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
    /// Add the runs of all sources with their jobs to the JSON, for comparison with other programs
    #[arg(long)]
    with_rows: bool,
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
            Self { suite: false, with_rows: true, .. } => {
                Err(Failure::usage("--with-rows requires --suite"))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Default, Serialize)]
struct Report {
    figures: Vec<Checked>,
    held_out: Vec<HeldOutEvaluation>,
    cases: Vec<Evaluation>,
    published: Vec<Published>,
    fits: Vec<Fits>,
    skipped: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rows: Vec<SourceRow>,
}

/// Runs the suite.
///
/// # Errors
/// An unknown case, a table that cannot be read, or a case that cannot be validated.
pub fn run(args: &SuiteArgs, format: Format) -> Done {
    let tables: Vec<&Case> = std::iter::once(&SYNTHETIC).chain(CASES).collect();
    let names = || {
        let held_out = HeldOut::CASES.into_iter().map(HeldOut::name);
        held_out
            .chain([node_energy::NAME, published::NAME])
            .chain(tables.iter().map(|case| case.name))
    };
    if let Some(unknown) = args.only_case.iter().find(|name| names().all(|n| n != *name)) {
        return Err(Failure::usage(wattlaw::Error::unknown("case", unknown, names())));
    }
    let mut suite = Suite {
        folder: args.data.as_deref().unwrap_or_else(|| Path::new(FOLDER)),
        only: &args.only_case,
        catalog: Catalog::built_in()?,
        report: Report::default(),
        absent: BTreeMap::new(),
    };
    let rows = suite.held_out()?;
    suite.report.fits = fits(&rows);
    suite.not_fitted(&rows)?;
    for case in tables {
        suite.table(case)?;
    }
    let mut report = suite.finished();
    if args.with_rows {
        report.rows = rows;
    }
    for skipped in &report.skipped {
        render::note("skipped", skipped);
    }
    match format {
        Format::Json => render::json(Schema::ValidateSuite, &report),
        Format::Table => files::print(&table(&report)),
    }
}

/// A run of the suite.
struct Suite<'a> {
    folder: &'a Path,
    /// Names of the wanted cases; empty for all.
    only: &'a [String],
    catalog: Catalog,
    report: Report,
    /// Missing files, each with the cases that need it.
    absent: BTreeMap<PathBuf, Vec<&'static str>>,
}

impl Suite<'_> {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == name)
    }

    /// Notes a missing file; the folder itself where that is missing, so that a single note covers all its tables.
    fn note_absent(&mut self, table: PathBuf, case: &'static str) {
        let path = if self.folder.exists() { table } else { self.folder.to_owned() };
        self.absent.entry(path).or_default().push(case);
    }

    /// The cases of the one law on all sources; gives the runs of the sources.
    fn held_out(&mut self) -> Result<Vec<SourceRow>, Failure> {
        let cases: Vec<HeldOut> =
            HeldOut::CASES.into_iter().filter(|case| self.wants(case.name())).collect();
        if cases.is_empty() && !self.wants(node_energy::NAME) {
            return Ok(Vec::new());
        }
        let sources = Sources::built_in()?.sources;
        let path = |table: &str| self.folder.join(table);
        if let Some(absent) = sources.iter().map(|s| path(&s.table)).find(|path| !path.exists()) {
            for name in cases.iter().map(|case| case.name()).chain([node_energy::NAME]) {
                self.note_absent(absent.clone(), name);
            }
            return Ok(Vec::new());
        }
        let mut rows = Vec::new();
        for source in &sources {
            let bytes = files::bytes(&path(&source.table))?;
            rows.extend(SourceRow::read(source, &bytes, &self.catalog)?);
        }
        if !cases.is_empty() {
            render::note("fitting", &format!("{} runs of {} sources", rows.len(), sources.len()));
            let law = OneLaw::fit(&rows)?;
            for case in cases {
                let mut progress =
                    |held_out: &str| render::note("holding out", &format!("{case}: {held_out}"));
                let evaluation = law.evaluate(case, &mut progress)?;
                self.report.held_out.push(evaluation);
            }
        }
        Ok(rows)
    }

    /// Published runs and nodes at the wall, which no law is fitted on.
    fn not_fitted(&mut self, rows: &[SourceRow]) -> Done {
        let wants_nodes = self.wants(node_energy::NAME) && !rows.is_empty();
        if !self.wants(published::NAME) && !wants_nodes {
            return Ok(());
        }
        let path = self.folder.join(published::TABLE);
        if !path.exists() {
            self.note_absent(path, published::NAME);
            return Ok(());
        }
        let name = path.display().to_string();
        let published = published::evaluate(&files::bytes(&path)?, &name, &self.catalog)?;
        if wants_nodes {
            self.report.held_out.push(node_energy::evaluate(rows, &published)?);
        }
        if self.wants(published::NAME) {
            self.report.published = published;
        }
        Ok(())
    }

    /// A case on one table.
    fn table(&mut self, case: &Case) -> Done {
        if !self.wants(case.name) {
            return Ok(());
        }
        let path = self.folder.join(case.table);
        let data = if case.name == SYNTHETIC.name {
            Dataset::from_csv(RUNS, case.table, None)?
        } else if path.exists() {
            Dataset::from_csv(&files::bytes(&path)?, &path.display().to_string(), None)?
        } else {
            self.note_absent(path, case.name);
            return Ok(());
        };
        render::note("validating", case.name);
        self.report.cases.push(evaluate(case, &data, &self.catalog)?);
        Ok(())
    }

    /// The report with all figures and what was skipped.
    fn finished(self) -> Report {
        let mut report = self.report;
        let of_groups = report.held_out.iter().flat_map(|case| &case.figures);
        let of_runs = report.published.iter().filter_map(|run| run.figure.as_ref());
        let of_tables = report.cases.iter().flat_map(|case| &case.figures);
        report.figures = of_groups.chain(of_runs).chain(of_tables).cloned().collect();
        for (path, cases) in self.absent {
            report.skipped.push(format!(
                "{} does not exist; skipped: {}",
                path.display(),
                cases.join(", ")
            ));
        }
        report
    }
}

fn table(report: &Report) -> String {
    let mut out = String::new();
    for evaluation in &report.held_out {
        out += &held_out(evaluation);
        out.push('\n');
    }
    for evaluation in &report.cases {
        out += &case(evaluation);
        out.push('\n');
    }
    if !report.published.is_empty() {
        out += &whole_runs(&report.published);
        out.push('\n');
    }
    if !report.fits.is_empty() {
        out += &memory(&report.fits);
        out.push('\n');
    }
    out += &figures(report);
    out
}

/// What memory says of runs that ran, a row a source.
fn memory(fits: &[Fits]) -> String {
    let rows = fits
        .iter()
        .map(|of| {
            vec![
                of.source.clone(),
                render::whole(of.runs as u64),
                percent(of.does_not_fit),
                percent(of.more_likely_not),
                percent(of.left_out_of_plans),
            ]
        })
        .collect();
    let header = ["source", "runs", "does not fit", "below one half", "left out of plans"];
    render::heading("memory of runs that ran: each of them fitted")
        + &render::table(&header, rows, 1)
}

/// The results of a case of the one law: a row per held-out group, and one per summary.
fn held_out(evaluation: &HeldOutEvaluation) -> String {
    let mut out = render::heading(&format!(
        "{}: held out is {}; the one law on all other sources",
        evaluation.case, evaluation.held_out
    ));
    let rows = evaluation.groups.iter().map(group).collect();
    let header = [
        "held out",
        "runs",
        "time: median error",
        "mean",
        "coverage",
        "half-width",
        "power: median error",
        "coverage",
        "energy: median error",
        "coverage",
        "6·N·D: time",
        "energy",
    ];
    out += &render::table(&header, rows, 1);
    out.push('\n');
    let rows = evaluation.summaries.iter().map(summary).collect();
    let header = [
        "over groups",
        "target",
        "groups",
        "runs",
        "mean of medians",
        "mean over runs",
        "coverage",
        "95 % half-width",
        "6·N·D: mean of medians",
    ];
    out += &render::table(&header, rows, 2);
    for note in &evaluation.notes {
        out += &format!("{note}\n");
    }
    out
}

fn summary(summary: &Summary) -> Vec<String> {
    let over = match summary.over {
        Over::Seen => "chip and program seen",
        Over::Unseen => "chip or program not seen",
        Over::All => "all",
    };
    vec![
        over.to_owned(),
        target_name(summary.target).to_owned(),
        summary.n_groups.to_string(),
        summary.n_rows.to_string(),
        percent(summary.mean_of_medians),
        percent(summary.pooled_mape),
        percent(summary.coverage),
        factor(summary.half_width_factor),
        percent(summary.baseline_mean_of_medians),
    ]
}

fn group(group: &GroupScore) -> Vec<String> {
    let mark = match (group.counts, group.seen) {
        (false, _) => " (apart)",
        (true, false) => " (unseen)",
        (true, true) => "",
    };
    let scores = &group.scores;
    let n = [scores.duration, scores.power].iter().flatten().map(|s| s.n).max().unwrap_or(0);
    let show = |score: Option<GroupedScore>, of: &dyn Fn(&GroupedScore) -> String| {
        score.as_ref().map_or_else(|| "–".to_owned(), of)
    };
    let covered = |s: &GroupedScore| percent(s.coverage);
    let median = |s: &GroupedScore| percent(s.median_error);
    let baseline = |s: &GroupedScore| percent(s.baseline_median_error);
    vec![
        format!("{}{mark}", group.held_out),
        n.to_string(),
        show(scores.duration, &median),
        show(scores.duration, &|s| percent(s.mean_error)),
        show(scores.duration, &covered),
        show(scores.duration, &|s| factor(s.half_width_factor)),
        show(scores.power, &median),
        show(scores.power, &covered),
        show(scores.energy, &median),
        show(scores.energy, &covered),
        show(scores.duration, &baseline),
        show(scores.energy, &baseline),
    ]
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
        Target::Power => "power",
    }
}

fn error(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
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
    let all = &report.figures;
    if all.is_empty() {
        return "these cases have no figures with limits\n".to_owned();
    }
    let count = |met: Attainment| all.iter().filter(|f| f.met == met).count();
    let mut out = render::heading(&format!(
        "{} figures: {} reach the aim, {} only the floor, {} neither",
        all.len(),
        count(Attainment::Aim),
        count(Attainment::Floor),
        count(Attainment::No)
    ));
    let rows = all.iter().map(figure).collect();
    out +=
        &render::table(&["case", "target", "measure", "floor", "aim", "found", "reached"], rows, 3);
    out
}

fn figure(f: &Checked) -> Vec<String> {
    let (measure, show): (&str, fn(f64) -> String) = match f.measure {
        "r2" => ("R²", |x| format!("{x:.4}")),
        "small_to_large" => ("R² to large", |x| format!("{x:.4}")),
        "large_to_small" => ("R² to small", |x| format!("{x:.4}")),
        "median_ape" => ("median error", error),
        "mean_of_medians" => ("mean of median errors", error),
        "pooled_mape" => ("mean error", error),
        "coverage" => ("coverage at 95 %", percent),
        "half_width_factor" => ("95 % half-width", factor),
        _ => ("error", error),
    };
    let reached = match f.met {
        Attainment::Aim => "aim",
        Attainment::Floor => "floor",
        Attainment::No => "no",
    };
    let limit = |bound: Bound| match bound {
        Bound::AtMost(limit) | Bound::AtLeast(limit) => show(limit),
        Bound::Between(least, most) => format!("{:.0}–{}", least * 100.0, show(most)),
    };
    vec![
        f.case.clone(),
        target_name(f.target).to_owned(),
        measure.to_owned(),
        limit(f.least),
        limit(f.aim),
        show(f.found),
        reached.to_owned(),
    ]
}
