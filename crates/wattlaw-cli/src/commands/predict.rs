//! `wattlaw predict`: predicts energy, time, power and memory of a job.

mod jobs;

use std::path::PathBuf;
use std::str::FromStr;

use wattlaw::base::error::Location;
use wattlaw::base::scope::Scope;
use wattlaw::calibration::{Calibration, built_in, embedded};
use wattlaw::job::Job;
use wattlaw::law::roofline::clock::PowerLimit;
use wattlaw::memory::FITS_THRESHOLD;
use wattlaw::predict::{
    Breakdown, EstimateKind, Factor, Prediction, Screen, Severity, TakenDefault,
};
use wattlaw_ask::{Answer, BUILT_IN_REASON, GIVEN_REASON, Question};

use crate::failure::{Done, Failure};
use crate::flags::job::JobArgs;
use crate::format::Format;
use crate::{files, render, screen};
use jobs::{JobsArgs, Shared};

/// Flags of `wattlaw predict`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    job: JobArgs,
    /// Calibration: a file or the name of a built-in one. Default: the built-in law
    #[arg(long, value_name = "FILE|NAME")]
    calibration: Option<PathBuf>,
    /// What the energy covers: gpu, devices, codecarbon, node_dc, node_ac or facility. Default: gpu
    #[arg(long, value_parser = Scope::from_str)]
    scope: Option<Scope>,
    /// Confidence level of the intervals
    #[arg(long, default_value_t = 0.95, value_parser = crate::parse::level)]
    level: f64,
    /// Probability at which the job is said to fit in memory. At its complement or below it does not fit; in between it is tight
    #[arg(long, value_name = "SHARE", default_value_t = FITS_THRESHOLD, value_parser = crate::parse::number)]
    fits_threshold: f64,
    /// Also print parameters, FLOPs, other scopes of energy, the breakdown, every default and every note
    #[arg(short, long)]
    verbose: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    table: JobsArgs,
}

/// Runs the command.
///
/// # Errors
/// An invalid job, calibration or level.
pub fn run(args: &Args) -> Done {
    if let Some(table) = &args.table.jobs {
        return args.table.run(table, args.shared()?);
    }
    let (chosen, description) = args.job.chosen_from()?;
    if !(0.0..=1.0).contains(&args.fits_threshold) {
        return Err(Failure::Usage(format!(
            "--fits-threshold is {}, but it must lie between 0 and 1",
            args.fits_threshold
        )));
    }
    let (calibration, reason) = match &args.calibration {
        Some(path) => (named(path)?, GIVEN_REASON),
        None => (built_in()?, BUILT_IN_REASON),
    };
    let question = Question {
        calibration: &calibration,
        reason,
        scope: args.scope,
        level: args.level,
        fits_threshold: args.fits_threshold,
    };
    let answer = Answer::new(chosen, &description, &question)?;
    let Answer { chosen, prediction, .. } = &answer;
    let screen = Screen::new(&chosen.job, prediction, &chosen.defaults);
    if args.verbose {
        for warning in &prediction.warnings {
            let info = warning.kind.severity() == Severity::Info;
            render::note(if info { "note" } else { "warning" }, &warning.text);
        }
    } else {
        screen::warn(&screen);
    }
    match args.format {
        Format::Json => files::print(&answer.to_json()?),
        Format::Table if args.verbose => {
            let details = details(&chosen.job, prediction, &chosen.defaults);
            files::print(&(screen::text(&screen) + &description.sources() + &details))
        }
        Format::Table => files::print(&(screen::text(&screen) + &description.sources())),
    }
}

impl Args {
    /// What all rows of a table of jobs share.
    fn shared(&self) -> Done<Shared> {
        let mut spec = self.job.flags.spec()?;
        spec.system.gpus = self.job.gpus;
        Ok(Shared {
            law: named_or_built_in(self.calibration.as_deref())?,
            catalog: self.job.flags.catalog()?,
            spec,
            scope: self.scope,
            level: self.level,
        })
    }
}

/// The calibration that a flag names, or the built-in law.
///
/// # Errors
/// As [`named`].
pub fn named_or_built_in(path: Option<&std::path::Path>) -> Done<Calibration> {
    path.map_or_else(|| Ok(built_in()?), named)
}

/// Reads a calibration file, or finds a built-in calibration by name.
pub fn named(path: &std::path::Path) -> Done<Calibration> {
    let name = path.to_string_lossy();
    let embedded = embedded()?;
    if let Some(found) = embedded.iter().find(|c| c.name == name) {
        return Ok(found.clone());
    }
    if !path.exists() && path.extension().is_none() {
        let names = embedded.iter().map(|c| c.name.as_str());
        return Err(Failure::usage(wattlaw::Error::unknown("calibration", &name, names)));
    }
    let text = files::text(path)?;
    Ok(Calibration::from_json(&text).map_err(|e| e.at(Location::file(name)))?)
}

/// What stands below the first screen.
fn details(job: &Job, p: &Prediction, defaults: &[TakenDefault]) -> String {
    let mut facts = vec![
        vec!["parameters".to_owned(), render::whole(p.parameters)],
        vec![
            "FLOPs, model / hardware".to_owned(),
            format!(
                "{} / {} (full attention)",
                render::si(p.flops.model, "FLOP"),
                render::si(p.flops.hardware, "FLOP")
            ),
        ],
    ];
    if let Some(limit) = p.power_limit
        && (limit.binds || limit.limit_w < job.system.tdp.value())
    {
        facts.push(vec!["power limit".to_owned(), power_limit(&limit)]);
    }
    let others: Vec<String> = p
        .energy_by_scope_j
        .iter()
        .filter(|(scope, _)| **scope != p.scope)
        .filter_map(|(scope, energy)| {
            Some(format!("{scope} {}", render::energy((*energy)?.estimate)))
        })
        .collect();
    if !others.is_empty() {
        facts.push(vec!["at other scopes".to_owned(), others.join(", ")]);
    }
    let calibration = &p.calibration;
    facts.push(vec![
        "calibration".to_owned(),
        match calibration.kind {
            EstimateKind::Assumed => "none: assumed values, no fitted law".to_owned(),
            EstimateKind::Fitted => {
                format!("{}, fitted on {} runs", calibration.name, calibration.rows)
            }
        },
    ]);
    facts.push(vec!["selected because".to_owned(), calibration.reason.clone()]);
    let mut out = format!("\n{}{}", render::table(&["", ""], facts, 9), breakdown(&p.breakdown));
    if !defaults.is_empty() {
        let rows = defaults
            .iter()
            .map(|taken| {
                vec![taken.field.to_string(), taken.value.clone(), taken.source.to_string()]
            })
            .collect();
        out += &format!("\n{}", render::table(&["default", "value", "source"], rows, 9));
    }
    out
}

fn power_limit(limit: &PowerLimit) -> String {
    let watts = render::si(limit.limit_w, "W");
    if limit.binds {
        format!(
            "{watts} per GPU limits the clock: clock × {}, time × {}",
            render::digits(limit.clock_share),
            render::digits(limit.time_factor)
        )
    } else {
        format!("{watts} per GPU, not reached: predicted draw {}", render::si(limit.draw_w, "W"))
    }
}

fn factor(f: &Factor) -> String {
    match f.term.as_str() {
        "Intercept" => render::energy(f.factor),
        term => format!("{} ({term})", render::digits(f.factor)),
    }
}

/// The breakdown of the estimate as text.
fn breakdown(breakdown: &Breakdown) -> String {
    match breakdown {
        Breakdown::Factors(factors) if factors.is_empty() => String::new(),
        Breakdown::Factors(factors) => {
            let factors: Vec<String> = factors.iter().map(factor).collect();
            format!("\nenergy = {}", render::wrapped(&factors, " × ", 100))
        }
        Breakdown::Parts { time, energy, discrepancy } => {
            let shares = |total: f64, parts: &[(&str, f64)]| -> Vec<String> {
                let mut parts: Vec<&(&str, f64)> =
                    parts.iter().filter(|(_, p)| p / total >= 0.005).collect();
                parts.sort_by(|a, b| b.1.total_cmp(&a.1));
                parts
                    .iter()
                    .map(|(name, part)| format!("{:.0} % {name}", 100.0 * part / total))
                    .collect()
            };
            let of_time = shares(time.total_s, &time.named());
            let of_energy = shares(energy.total_j, &energy.named());
            let learnt = if discrepancy.iter().all(|d| (d - 1.0).abs() < 1e-12) {
                String::new()
            } else {
                format!(
                    "learnt discrepancy: time × {}, energy × {}\n",
                    render::digits(discrepancy[0]),
                    render::digits(discrepancy[1])
                )
            };
            format!(
                "\ntime = {}energy = {}{learnt}",
                render::wrapped(&of_time, " + ", 100),
                render::wrapped(&of_energy, " + ", 100)
            )
        }
    }
}
