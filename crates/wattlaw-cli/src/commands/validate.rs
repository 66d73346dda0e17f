//! `wattlaw validate`: cross-validates a law on held-out runs.

mod suite;

use std::str::FromStr;

use clap::ValueEnum;
use serde::Serialize;

use wattlaw::law::Law;
use wattlaw::law::efficiency::{BeforeRunLaw, measurable};
use wattlaw::law::roofline::{Response, RooflineLaw};
use wattlaw::law::scaling::ScalingLaw;
use wattlaw::law::setting::Setting;
use wattlaw::stats::formula::Formula;
use wattlaw::stats::score::Summary;
use wattlaw::validate::{CrossValidator, HoldOut, IntervalRule, Scheme, Validation};

use crate::failure::{Done, Failure};
use crate::flags::complete;
use crate::flags::law::{LawArgs, LawKind, Target};
use crate::flags::runs::RunsArgs;
use crate::format::Format;
use crate::parse::{level, number, whole};
use crate::{files, render};
use suite::SuiteArgs;
use wattlaw_ask::Schema;

/// Flags of `wattlaw validate`: cross-validation on one table, or the accuracy suite.
#[derive(Debug, clap::Args)]
#[command(mut_arg("runs", |arg| arg.required(false).required_unless_present("suite")))]
pub struct Args {
    #[command(flatten)]
    suite: SuiteArgs,
    #[command(flatten)]
    runs: Option<RunsArgs>,
    #[command(flatten)]
    law: LawArgs,
    /// Column whose groups are held out as a whole: family, workload, architecture, gpu, gpus, strategy, model or row
    #[arg(long, default_value = "family")]
    hold_out: String,
    /// Splitting scheme: shuffle (scikit-learn's GroupShuffleSplit), study (the study's seeding), k-fold, leave-one-out, or
    /// scale-shift (train on the smaller three quarters, test on the largest quarter, and the reverse)
    #[arg(long, value_enum)]
    scheme: Option<SchemeKind>,
    /// Number of splits
    #[arg(long, default_value_t = 20, value_parser = whole::<usize>)]
    splits: usize,
    /// Fraction of the groups that is held out
    #[arg(long, default_value_t = 0.3, value_parser = number)]
    test_size: f64,
    /// Number of folds of --scheme k-fold
    #[arg(long, default_value_t = 5, value_parser = whole::<usize>)]
    folds: usize,
    /// Random seed
    #[arg(long, default_value_t = 2026, value_parser = whole::<u32>)]
    seed: u32,
    /// Confidence level of the intervals
    #[arg(long, default_value_t = 0.95, value_parser = level)]
    level: f64,
    /// Few-shot validation of the roofline law: add this many held-out runs, chosen by their configurations only
    #[arg(long, value_name = "RUNS", value_parser = whole::<usize>)]
    given: Option<usize>,
    /// Also validate the law with these terms, on the same splits (repeatable)
    #[arg(long, value_name = "FORMULA", value_parser = Formula::from_str)]
    ablation: Vec<Formula>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How groups are held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SchemeKind {
    Shuffle,
    Study,
    KFold,
    LeaveOneOut,
    ScaleShift,
}

/// JSON output: the after-run law at the top level, the before-run law in a field.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(skip)]
    kind: LawKind,
    setting: Option<Setting>,
    target: &'static str,
    scheme: &'static str,
    seed: u32,
    #[serde(flatten)]
    after_run: Validation,
    /// The law with η predicted from the configuration; absent if the law has no η.
    #[serde(skip_serializing_if = "Option::is_none")]
    before_run: Option<Validation>,
    /// Times of the roofline law; present if the target is energy.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<Validation>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ablations: Vec<Validation>,
    data_sha256: String,
}

/// Runs the command.
///
/// # Errors
/// An invalid table, column or splitting scheme.
pub fn run(args: &Args) -> Done {
    let Some(runs) = args.runs.as_ref().filter(|_| !args.suite.suite) else {
        return suite::run(&args.suite, args.format);
    };
    args.suite.check_unused()?;
    args.check()?;
    match args.law.kind {
        LawKind::Scaling => scaling(args, runs),
        LawKind::Roofline => roofline(args, runs),
    }
}

/// Validates the roofline law, which uses only what is known before a run; also its times if the table has both.
fn roofline(args: &Args, runs: &RunsArgs) -> Done {
    args.law.without_terms()?;
    if !args.ablation.is_empty() {
        return Err(Failure::usage(
            "--ablation applies to the scaling law only; add --law scaling",
        ));
    }
    let (data, catalog) = runs.read()?;
    let (data, note) = data.countable(&catalog);
    let frame = data.frame(runs.columns(), &catalog)?;
    let validator = args.validator(runs.setting.unwrap_or(Setting::Pooled), args.seed);
    if let HoldOut::Column(name) = &validator.hold_out {
        complete::known(name, "--hold-out", &frame)?;
    }
    let nothing = Formula::from_str("1")?;
    complete::every_run(&data, &frame, &nothing, args.law.target.column())?;
    let energy = args.law.target == Target::Energy;
    let mut law = RooflineLaw::new(&data, &catalog, energy);
    law.discrepancy = args.law.discrepancy();
    if energy {
        law.other_responses = vec![Response::Duration];
    }
    let (judged, mut others) = validator.validate_with_other_responses(&law, &frame)?;
    let report = Report {
        kind: LawKind::Roofline,
        setting: runs.setting,
        target: args.law.target.column(),
        scheme: scheme_name(&validator.scheme),
        seed: args.seed,
        after_run: judged,
        before_run: None,
        duration: others.pop(),
        ablations: Vec::new(),
        data_sha256: data.digest.clone(),
    };
    report.show(data.notes.iter().chain(&note), args.format)
}

impl Report {
    /// Each validated law with its printed name.
    fn named(&self) -> impl Iterator<Item = (&str, &Validation)> {
        let first = &self.after_run;
        let name = match self.kind {
            LawKind::Roofline => &first.law,
            LawKind::Scaling => "after the run",
        };
        std::iter::once((name, first))
            .chain(self.duration.as_ref().map(|v| (v.law.as_str(), v)))
            .chain(self.before_run.as_ref().map(|v| ("before the run", v)))
            .chain(self.ablations.iter().map(|v| (v.law.as_str(), v)))
    }

    /// Prints the notes on the table and the splits, then the report.
    fn show<'a>(&self, notes: impl Iterator<Item = &'a String>, format: Format) -> Done {
        for note in notes {
            render::note("note", note);
        }
        for skipped in &self.after_run.skipped {
            render::note(
                "note",
                &format!("split {} was skipped: {}", skipped.held_out, skipped.reason),
            );
        }
        match format {
            Format::Json => render::json(Schema::Validate, self),
            Format::Table => files::print(&table(self)),
        }
    }
}

fn scaling(args: &Args, runs: &RunsArgs) -> Done {
    if args.given.is_some() {
        return Err(Failure::usage("--given applies to the roofline law only; add --law roofline"));
    }
    let (data, catalog) = runs.read()?;
    data.scope()?;
    let frame = data.frame(runs.columns(), &catalog)?;
    let setting = runs.setting.unwrap_or(Setting::Pooled);
    let formula = args.law.terms.clone().map_or_else(|| setting.formula(), Ok)?;
    complete::known_terms(&formula, &frame)?;
    for ablation in &args.ablation {
        complete::known_terms(ablation, &frame)?;
    }
    let (formula, note) = measurable(formula, &frame)?;
    let response = args.law.target.column();
    complete::every_run(&data, &frame, &formula, response)?;

    let validator = args.validator(setting, args.seed);
    if let HoldOut::Column(name) = &validator.hold_out {
        complete::known(name, "--hold-out", &frame)?;
    }
    let law = ScalingLaw::new(formula.clone(), response);
    let ablations: Vec<ScalingLaw> =
        args.ablation.iter().map(|f| ScalingLaw::new(f.clone(), response)).collect();
    let mut laws: Vec<&dyn Law> = vec![&law];
    laws.extend(ablations.iter().map(|l| l as &dyn Law));
    let mut judged = validator.validate_all(&laws, &frame)?;
    let ablations = judged.split_off(1);
    let Some(after_run) = judged.pop() else {
        return Err(Failure::Failed("internal error: no law was validated".to_owned()));
    };
    let before_run = if formula.variables().contains(&"log_eta") {
        let mut law = BeforeRunLaw::from_terms(setting, formula.clone(), response)?;
        if args.scheme == Some(SchemeKind::Study) {
            // ties between groups of equal size follow the names' order, here that of the study
            law.groups = "study_family".to_owned();
        }
        Some(validator.validate(&law, &frame)?)
    } else {
        None
    };
    let report = Report {
        kind: LawKind::Scaling,
        setting: runs.setting,
        target: response,
        scheme: scheme_name(&validator.scheme),
        seed: args.seed,
        after_run,
        before_run,
        duration: None,
        ablations,
        data_sha256: data.digest.clone(),
    };
    report.show(data.notes.iter().chain(&note), args.format)
}

impl Args {
    /// Checks numbers that are invalid for every table.
    fn check(&self) -> Done {
        let between = |flag: &str, value: f64| {
            if value > 0.0 && value < 1.0 {
                return Ok(());
            }
            Err(Failure::Usage(format!("{flag} is {value}, but it must lie between 0 and 1")))
        };
        between("--level", self.level)?;
        between("--test-size", self.test_size)?;
        for (flag, value, least) in [("--splits", self.splits, 1), ("--folds", self.folds, 2)] {
            if value < least {
                return Err(Failure::Usage(format!(
                    "{flag} is {value}, but it must be at least {least}"
                )));
            }
        }
        Ok(())
    }

    fn validator(&self, setting: Setting, seed: u32) -> CrossValidator {
        let study = self.scheme == Some(SchemeKind::Study);
        let hold_out = match (self.hold_out.as_str(), study) {
            // groups under names that sort as in the study
            ("family", true) => HoldOut::Column("study_family".to_owned()),
            ("workload", true) => HoldOut::Column("study_workload".to_owned()),
            (name, _) => HoldOut::from(name),
        };
        let (n_splits, test_size) = (self.splits, self.test_size);
        let scheme = match self.scheme {
            None => match hold_out.default_scheme(seed) {
                Scheme::Shuffle { .. } => Scheme::Shuffle { n_splits, test_size, seed },
                other => other,
            },
            Some(SchemeKind::Shuffle) => Scheme::Shuffle { n_splits, test_size, seed },
            Some(SchemeKind::Study) => {
                Scheme::Redrawn { n_splits, test_size, seed: u64::from(seed) }
            }
            Some(SchemeKind::KFold) => Scheme::KFold { k: self.folds, seed },
            Some(SchemeKind::LeaveOneOut) => Scheme::LeaveOneOut { seed },
            Some(SchemeKind::ScaleShift) => Scheme::ScaleShift { by: "log_C".to_owned(), seed },
        };
        let mut seen = Vec::new();
        if study {
            seen.push("strategy".to_owned());
            if setting == Setting::Pooled {
                seen.push("family".to_owned());
            }
        }
        let intervals =
            IntervalRule { level: self.level, clamped: study, ..IntervalRule::default() };
        CrossValidator { hold_out, scheme, seen, intervals: Some(intervals), few_shot: self.given }
    }
}

const fn scheme_name(scheme: &Scheme) -> &'static str {
    match scheme {
        Scheme::Shuffle { .. } => "shuffle",
        Scheme::Redrawn { .. } => "study",
        Scheme::KFold { .. } => "k-fold",
        Scheme::LeaveOneOut { .. } => "leave-one-out",
        Scheme::ScaleShift { .. } => "scale-shift",
    }
}

fn table(report: &Report) -> String {
    let v = &report.after_run;
    let mut out = render::heading(&format!(
        "{} runs, {} groups by {}, {} scheme; median (quartiles) over {} splits",
        v.n_rows,
        v.n_groups,
        v.hold_out,
        report.scheme,
        v.splits.len()
    ));
    let roofline = report.kind == LawKind::Roofline;
    let rows = report.named().map(|(name, v)| line(name, v)).collect();
    let coverage = format!("coverage at {:.0} %", v.level.unwrap_or(0.95) * 100.0);
    let header =
        ["law", "R²", "RMSE of ln", "median error", "mean error", "slope", &coverage, "half-width"];
    out += &render::table(&header, rows, 1);
    out += &coverages(report);
    if v.splits.len() <= 8 {
        let rows = v
            .splits
            .iter()
            .map(|s| {
                vec![
                    s.held_out.clone(),
                    s.n_train.to_string(),
                    s.n_test.to_string(),
                    format!("{:.4}", s.r2),
                    format!("{:.4}", s.rmse),
                    format!("{:.1} %", s.median_ape * 100.0),
                ]
            })
            .collect();
        out += &format!("\n{}, by split\n", if roofline { &v.law } else { "after the run" });
        out += &render::table(
            &["held out", "train", "test", "R²", "RMSE of ln", "median error"],
            rows,
            1,
        );
    }
    out
}

/// Coverage and half-width of the intervals at several levels, over all held-out runs.
fn coverages(report: &Report) -> String {
    let mut header = vec!["intervals".to_owned()];
    let mut rows = Vec::new();
    for (name, v) in report.named().filter(|(_, v)| !v.levels.is_empty()) {
        let mut row = vec![name.to_owned()];
        for covered in &v.levels {
            if rows.is_empty() {
                header.push(format!("at {} %", render::percent(covered.level)));
            }
            let factor = match covered.half_width_factor {
                f if f.is_finite() => format!("×{f:.2}"),
                _ => "×∞".to_owned(),
            };
            row.push(format!("{:.1} % ({factor})", covered.coverage * 100.0));
        }
        rows.push(row);
    }
    if rows.is_empty() {
        return String::new();
    }
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    format!("\n{}", render::table(&header, rows, 1))
}

fn line(name: &str, v: &Validation) -> Vec<String> {
    let spread = |s: &Summary, scale: f64, decimals: usize, unit: &str| {
        let show = |x: f64| match x {
            x if x.is_infinite() => "∞".to_owned(),
            x if x.is_nan() => "?".to_owned(),
            x => format!("{:.decimals$}", x * scale),
        };
        format!("{}{unit} ({}–{})", show(s.median), show(s.q25), show(s.q75))
    };
    vec![
        name.to_owned(),
        spread(&v.r2, 1.0, 4, ""),
        spread(&v.rmse, 1.0, 4, ""),
        spread(&v.median_ape, 100.0, 1, " %"),
        spread(&v.mape, 100.0, 1, " %"),
        spread(&v.calibration_slope, 1.0, 3, ""),
        v.coverage.as_ref().map_or_else(|| "–".to_owned(), |c| spread(c, 100.0, 1, " %")),
        v.half_width_factor
            .as_ref()
            .map_or_else(|| "–".to_owned(), |h| format!("×{}", spread(h, 1.0, 2, ""))),
    ]
}
