//! `wattlaw predict`: predicts energy, time, power and memory of a job.

use std::path::PathBuf;
use std::str::FromStr;

use wattlaw::base::error::Location;
use wattlaw::base::scope::Scope;
use wattlaw::calibration::{Calibration, built_in, embedded};
use wattlaw::job::Job;
use wattlaw::law::roofline::clock::PowerLimit;
use wattlaw::predict::{Breakdown, EstimateKind, Factor, Interval, Prediction, predict};

use crate::failure::{Done, Failure};
use crate::flags::job::JobArgs;
use crate::format::Format;
use crate::schema::Schema;
use crate::{files, render};

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
    #[arg(long, default_value_t = 0.95, value_parser = crate::parse::number)]
    level: f64,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// An invalid job, calibration or level.
pub fn run(args: &Args) -> Done {
    let job = args.job.job()?;
    if !(args.level > 0.0 && args.level < 1.0) {
        return Err(Failure::Usage(format!(
            "--level is {}, but it must lie between 0 and 1",
            args.level
        )));
    }
    let (calibration, reason) = match &args.calibration {
        Some(path) => (named(path)?, "it was given by --calibration"),
        None => (built_in()?, BUILT_IN_REASON),
    };
    let prediction = predict(&job, &calibration, reason, args.scope, args.level)?;
    for warning in &prediction.warnings {
        render::note("warning", &warning.text);
    }
    match args.format {
        Format::Json => render::json(Schema::Predict, &prediction),
        Format::Table => files::print(&table(&job, &prediction)),
    }
}

/// Why the built-in law is selected.
pub const BUILT_IN_REASON: &str = "it is built in and answers any job";

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

fn table(job: &Job, p: &Prediction) -> String {
    let gpus = job.parallelism.gpus();
    let mut out = render::heading(&format!(
        "{} on {gpus} × {}, {}",
        job.architecture.name,
        job.system.accelerator.name,
        job.parallelism.strategy()
    ));
    let assumed = p.calibration.kind == EstimateKind::Assumed;
    let level = if assumed {
        "assumed range".to_owned()
    } else {
        format!("{} % interval", render::percent(p.level))
    };
    let mut rows = Vec::new();
    let mut interval = |name: &str, value: Option<Interval>, show: &dyn Fn(f64) -> String| {
        if let Some(i) = value {
            rows.push(vec![
                name.to_owned(),
                show(i.estimate),
                format!("{} to {}", show(i.lower), show(i.upper)),
            ]);
        }
    };
    interval("energy", p.energy_j, &render::energy);
    interval("time", p.duration_s, &render::duration);
    interval("mean power", p.mean_power_w, &|w| render::si(w, "W"));
    interval("memory per GPU", Some(p.memory.peak_gib), &|gib| {
        format!("{} GiB", render::digits(gib))
    });
    interval("energy per token", p.energy_per_token_j, &render::small_energy);
    interval("facility energy", p.facility_energy_j, &render::energy);
    interval("carbon", p.carbon_g, &|g| render::si(g, "g CO₂e"));
    interval("price", p.cost, &render::digits);
    out += &render::table(&["", "estimate", &level], rows, 1);
    out.push('\n');
    let mut facts = vec![
        vec!["parameters".to_owned(), render::whole(p.parameters)],
        vec![
            "tokens".to_owned(),
            format!("{} in {} steps", render::count(p.tokens), render::count(p.steps)),
        ],
        vec![
            "FLOPs, model / hardware".to_owned(),
            format!(
                "{} / {} (full attention)",
                render::si(p.flops.model, "FLOP"),
                render::si(p.flops.hardware, "FLOP")
            ),
        ],
    ];
    facts.push(vec![
        "fits in memory".to_owned(),
        format!(
            "{}, {:.1} GiB available per GPU",
            if p.memory.fits { "yes" } else { "no" },
            p.memory.capacity_gib
        ),
    ]);
    if let Some(limit) = p.power_limit
        && (limit.binds || limit.limit_w < job.system.accelerator.tdp_w)
    {
        facts.push(vec!["power limit".to_owned(), power_limit(&limit)]);
    }
    facts.push(vec!["energy covers".to_owned(), covers(p.scope).to_owned()]);
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
    facts.push(vec![
        "confidence".to_owned(),
        format!("{}: {}", p.confidence.label, p.confidence.text),
    ]);
    let calibration = &p.calibration;
    facts.push(vec![
        "calibration".to_owned(),
        if assumed {
            "none: assumed values, no fitted law".to_owned()
        } else {
            format!("{}, fitted on {} runs", calibration.name, calibration.rows)
        },
    ]);
    facts.push(vec!["selected because".to_owned(), calibration.reason.clone()]);
    out += &render::table(&["", ""], facts, 9);
    out += &breakdown(&p.breakdown);
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

const fn covers(scope: Scope) -> &'static str {
    match scope {
        Scope::Gpu => "GPUs",
        Scope::Devices => "GPUs, CPU packages and memory (counters)",
        Scope::NodeDc => "nodes, DC side of the power supplies",
        Scope::NodeAc => "nodes, AC side of the power supplies",
        Scope::Facility => "facility",
        Scope::Codecarbon => "GPUs (counters), CPU and memory (CodeCarbon's model)",
        Scope::Unstated => "not stated by the calibration",
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
            let of_time = shares(
                time.total_s,
                &[
                    ("device", time.device_s),
                    ("tensor parallelism", time.tensor_parallel_s),
                    ("launch overhead", time.launch_overhead_s),
                    ("FSDP communication", time.fsdp_communication_s),
                    ("pipeline", time.pipeline_s),
                    ("gradient all-reduce", time.gradient_all_reduce_s),
                    ("optimizer", time.optimizer_s),
                    ("start-up", time.start_up_s),
                ],
            );
            let of_energy = shares(
                energy.total_j,
                &[
                    ("static power", energy.static_j),
                    ("busy waiting", energy.waiting_j),
                    ("FLOPs", energy.compute_j),
                    ("memory", energy.memory_j),
                    ("communication", energy.communication_j),
                    ("kernels", energy.kernel_j),
                ],
            );
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
