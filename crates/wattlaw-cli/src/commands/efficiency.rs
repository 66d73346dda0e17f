//! `wattlaw efficiency`: multi-GPU scaling of throughput and energy.

use serde_json::json;

use wattlaw::data::speedup::{Speedup, Speedups};
use wattlaw::stats::bootstrap::{Bootstrap, Median};

use crate::failure::{Done, Failure};
use crate::flags::runs::RunsArgs;
use crate::format::Format;
use crate::parse::{level, whole};
use crate::{files, render};
use wattlaw_ask::Schema;

/// Flags of `wattlaw efficiency`.
#[derive(Debug, clap::Args)]
// the comparison is at equal work and fits no law, so these flags have no effect
#[command(mut_arg("efficiency", |arg| arg.hide(true)), mut_arg("proxies", |arg| arg.hide(true)))]
pub struct Args {
    #[command(flatten)]
    runs: RunsArgs,
    /// Confidence level of the intervals
    #[arg(long, default_value_t = 0.95, value_parser = level)]
    level: f64,
    /// Number of bootstrap resamples
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = whole::<usize>)]
    resamples: usize,
    /// Random seed
    #[arg(long, default_value_t = 2026, value_parser = whole::<u32>)]
    seed: u32,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// An invalid table, or a table in which no run has a single-GPU baseline.
pub fn run(args: &Args) -> Done {
    let bootstrap = Bootstrap::new(args.level, args.resamples, args.seed)
        .map_err(|e| Failure::Usage(format!("--{e}")))?;
    let (data, _) = args.runs.read()?;
    let found = Speedups::from_dataset(&data, &bootstrap)?;
    for note in data.notes.iter().chain(&found.notes) {
        render::note("note", note);
    }
    match args.format {
        Format::Json => render::json(Schema::Efficiency, &json!({ "rows": found.rows })),
        Format::Table => files::print(&table(&found.rows, args.level)),
    }
}

fn table(rows: &[Speedup], level: f64) -> String {
    let pairs: usize = rows.iter().map(|row| row.n_pairs).sum();
    let heading = render::heading(&format!(
        "{pairs} runs against their single-GPU baselines: median [{} % interval]",
        render::percent(level)
    ));
    let header = [
        "gpu",
        "family",
        "strategy",
        "gpus",
        "pairs",
        "throughput gain",
        "efficiency",
        "energy per token",
    ];
    let cells = |row: &Speedup| {
        vec![
            row.gpu.clone(),
            row.family.clone(),
            row.strategy.to_string(),
            row.gpus.to_string(),
            row.n_pairs.to_string(),
            shown(&row.throughput_gain, "", |gain| format!("{gain:.2}")),
            shown(&row.efficiency, " %", |share| format!("{:.1}", 100.0 * share)),
            row.energy_per_token_change_pct
                .map_or_else(String::new, |change| shown(&change, " %", |c| format!("{c:+.1}"))),
        ]
    };
    heading + &render::table(&header, rows.iter().map(cells).collect(), 3)
}

/// A median with its interval, if it has one.
fn shown(found: &Median, unit: &str, number: impl Fn(f64) -> String) -> String {
    let median = format!("{}{unit}", number(found.median));
    match (found.lower, found.upper) {
        (Some(lower), Some(upper)) => format!("{median} [{}, {}]", number(lower), number(upper)),
        _ => median,
    }
}
