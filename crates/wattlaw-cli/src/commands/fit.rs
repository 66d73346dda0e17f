//! `wattlaw fit`: fits a law to measured runs; prints a table and writes a calibration file.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::{Map, Value, json};

use wattlaw::base::error::Location;
use wattlaw::calibration::{Calibration, FitOptions, default_formula};
use wattlaw::data::dataset::Dataset;
use wattlaw::law::efficiency::measurable;
use wattlaw::law::roofline::parameter::PARAMETERS;
use wattlaw::law::roofline::{Level, RooflineFit};
use wattlaw::law::scaling::{Coefficient, Inference, ScalingFit, ScalingLaw};
use wattlaw::stats::design::varying;

use crate::failure::{Done, Failure};
use crate::flags::complete;
use crate::flags::law::{LawArgs, LawKind, Target};
use crate::flags::runs::RunsArgs;
use crate::format::Format;
use crate::{files, render};
use wattlaw_ask::Schema;

/// Flags of `wattlaw fit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    runs: RunsArgs,
    #[command(flatten)]
    law: LawArgs,
    /// Covariance for p-values and intervals: classical, hc0, hc1, hc2, hc3, or by configuration family: cr2, cluster or
    /// cluster-normal (the study's) [default: cr2]
    #[arg(long, value_parser = Inference::from_str)]
    covariance: Option<Inference>,
    /// Write the calibration to this file; its laws use only what is known before a run
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Name of the calibration. Default: the file name
    #[arg(long, requires = "out")]
    name: Option<String>,
    /// Source of the runs, stored in the calibration
    #[arg(long, requires = "out")]
    source: Option<String>,
    /// Column whose groups are held out as a whole to compute the calibration's intervals
    #[arg(long, default_value = "config_family", requires = "out")]
    interval_groups: String,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// An invalid table or column, or an output file that cannot be written.
pub fn run(args: &Args) -> Done {
    match args.law.kind {
        LawKind::Scaling => scaling(args),
        LawKind::Roofline => roofline(args),
    }
}

impl Args {
    /// Options of the calibration.
    fn options(&self) -> FitOptions {
        let stem = self.out.as_ref().and_then(|path| path.file_stem());
        FitOptions {
            name: self
                .name
                .clone()
                .or(stem.map(|s| s.to_string_lossy().into_owned()))
                .unwrap_or_default(),
            setting: self.runs.setting,
            formula: self.law.terms.clone(),
            columns: self.runs.columns(),
            hold_out: self.interval_groups.clone(),
            source: self.source.clone(),
        }
    }

    /// Writes the calibration; the table's folder does not change its bytes.
    fn write(&self, path: &Path, mut calibration: Calibration) -> Done {
        if let Some(name) = self.runs.name() {
            calibration.data.name = name;
        }
        files::write(path, &calibration.to_json()?)
    }
}

fn roofline(args: &Args) -> Done {
    args.law.without_terms()?;
    if args.covariance.is_some() {
        return Err(Failure::usage(
            "--covariance applies to the scaling law only; add --law scaling",
        ));
    }
    let (data, catalog) = args.runs.read()?;
    let (data, note) = data.countable(&catalog);
    let calibration =
        Calibration::fit_roofline(&data, &args.options(), &catalog, args.law.discrepancy())
            .map_err(|e| e.at(Location::file(&*data.name)))?;
    let law = calibration.roofline("be fitted so")?;
    let text = roofline_table(law, data.runs.len());
    let report = roofline_report(law, args, &data, note.as_deref());
    if let Some(path) = &args.out {
        args.write(path, calibration)?;
    }
    for note in data.notes.iter().chain(&note).chain(&data.defaults_note()) {
        render::note("note", note);
    }
    if let Some(path) = &args.out {
        render::note("note", &format!("wrote {}", path.display()));
    }
    match args.format {
        Format::Json => render::json(Schema::Fit, &report),
        Format::Table => files::print(&text),
    }
}

fn roofline_report(law: &RooflineFit, args: &Args, data: &Dataset, note: Option<&str>) -> Value {
    let population: Map<String, Value> = law
        .posterior
        .population()
        .map(|(name, estimate, sd)| (name.to_owned(), json!({ "estimate": estimate, "sd": sd })))
        .collect();
    let groups: Map<String, Value> = Level::LEVELS
        .into_iter()
        .map(|level| (level.to_string(), json!(law.posterior.groups(level))))
        .collect();
    json!({
        "law": "roofline",
        "n": data.runs.len(),
        "discrepancy": !args.law.no_discrepancy,
        "population": population,
        "groups": groups,
        "data_sha256": data.digest,
        "notes": note.iter().collect::<Vec<_>>(),
    })
}

/// The population's parameters, each with its standard deviation.
fn roofline_table(law: &RooflineFit, runs: usize) -> String {
    let rows = law
        .posterior
        .population()
        .zip(&PARAMETERS)
        .map(|((name, estimate, sd), parameter)| {
            vec![
                name.to_owned(),
                render::digits(estimate),
                format!("{sd:.2}"),
                parameter.about.to_owned(),
            ]
        })
        .collect();
    let mut out = render::heading(&format!(
        "roofline law fitted to {runs} runs: the population's parameters, with standard deviations of their logarithms or \
         logits"
    ));
    out += &render::table(&["parameter", "estimate", "sd", "meaning"], rows, 99);
    out
}

fn scaling(args: &Args) -> Done {
    let (data, catalog) = args.runs.read()?;
    data.scope()?;
    let frame = data.frame(args.runs.columns(), &catalog)?;
    let terms = args.law.terms.clone().map_or_else(|| default_formula(args.runs.setting), Ok)?;
    complete::known_terms(&terms, &frame)?;
    complete::known(&args.interval_groups, "--interval-groups", &frame)?;
    let (terms, unmeasured) = measurable(terms, &frame)?;
    let (formula, mut notes) = match &args.law.terms {
        Some(_) => (terms, Vec::new()),
        None => varying(&terms, &frame)?,
    };
    notes.extend(unmeasured);
    let response = args.law.target.column();
    complete::every_run(&data, &frame, &formula, response)?;
    let law = ScalingLaw::new(formula.clone(), response);
    let fit = law.fit_reporting(
        &frame,
        Some("config_family"),
        Some(args.covariance.unwrap_or(Inference::Cr2)),
    )?;
    notes.extend(fit.notes.iter().cloned());
    if let Some(path) = &args.out {
        for other in [Target::Energy.column(), Target::Duration.column()] {
            if frame.number(other)?.iter().any(|x| x.is_finite()) {
                complete::every_run(&data, &frame, &formula, other)?;
            }
        }
        args.write(path, Calibration::fit(&data, &args.options(), &catalog)?)?;
    }
    // notes come after everything that can fail, so that an error is a single sentence
    for note in data.notes.iter().chain(&notes) {
        render::note("note", note);
    }
    if let Some(path) = &args.out {
        render::note("note", &format!("wrote {}", path.display()));
    }
    match args.format {
        Format::Json => render::json(Schema::Fit, &report(&law, &fit, &data.digest, &notes)),
        Format::Table => files::print(&table(&law, &fit)),
    }
}

fn report(law: &ScalingLaw, fit: &ScalingFit, digest: &str, notes: &[String]) -> Value {
    let vif: Map<String, Value> =
        fit.vif.iter().map(|v| (v.term.clone(), json!(v.factor))).collect();
    json!({
        "law": "scaling",
        "response": law.response,
        "formula": law.formula.to_string(),
        "covariance": fit.covariance,
        "n": fit.n,
        "clusters": fit.clusters,
        "r2": fit.r2,
        "adjusted_r2": fit.adjusted_r2,
        "rmse": fit.rmse,
        "coefficients": fit.coefficients,
        "vif": vif,
        "condition_number": fit.condition_number,
        "data_sha256": digest,
        "notes": notes,
    })
}

fn table(law: &ScalingLaw, fit: &ScalingFit) -> String {
    let mut out = render::heading(&format!("{} ~ {}", law.response, law.formula));
    let clusters =
        fit.clusters.map(|c| format!(" in {c} configuration families")).unwrap_or_default();
    out += &format!(
        "{} runs{clusters}; R² {:.4}, RMSE of the logarithm {:.4}; condition number {:.2}\n\n",
        fit.n, fit.r2, fit.rmse, fit.condition_number
    );
    let se = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), |x| format!("{x:.4}"));
    let row = |c: &Coefficient| {
        let vif = fit.vif.iter().find(|v| v.term == c.term);
        vec![
            c.term.clone(),
            format!("{:.4}", c.estimate),
            format!("{:.4}", c.se_classical),
            se(c.se_hc3),
            se(c.se_cluster),
            se(c.se_cr2),
            c.distribution.to_string(),
            p_value(c.p_value),
            format!("{:.4} to {:.4}", c.low, c.high),
            vif.map_or_else(String::new, |v| format!("{:.2}", v.factor)),
        ]
    };
    let interval = format!("95 % ({})", fit.covariance);
    let header = [
        "term",
        "estimate",
        "se classical",
        "se hc3",
        "se cluster",
        "se cr2",
        "by",
        "p",
        &interval,
        "VIF",
    ];
    out += &render::table(&header, fit.coefficients.iter().map(row).collect(), 1);
    out
}

fn p_value(p: f64) -> String {
    if p < 1e-300 {
        "<1e-300".to_owned()
    } else if p < 1e-4 {
        format!("{p:.1e}")
    } else {
        format!("{p:.4}")
    }
}
