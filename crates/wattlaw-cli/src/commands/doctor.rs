//! `wattlaw doctor`: lists the meters of this machine, or checks records and logs.

mod logs;

use std::path::PathBuf;

use serde::Serialize;

use wattlaw::base::one_line::OneLine;
use wattlaw::base::units::Seconds;
use wattlaw::record::{Channel, Component, Instrument};
use wattlaw_meter::found::Found;
use wattlaw_meter::machine;
use wattlaw_meter::machine::Options;
use wattlaw_meter::select::Selection;

use crate::failure::{Done, Failure};
use crate::format::Format;
use crate::{files, render};
use wattlaw_ask::Schema;

/// Flags of `wattlaw doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Records or logs to check. Default: list the meters of this machine
    files: Vec<PathBuf>,
    /// GPUs to list: indices or UUIDs, such as 0,1
    #[arg(long, value_name = "GPUS")]
    gpus: Option<Selection>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// JSON output: the meters of the machine.
#[derive(Debug, Serialize)]
struct Machine<'a> {
    meters: Vec<Family<'a>>,
}

#[derive(Debug, Serialize)]
struct Family<'a> {
    family: &'a str,
    looked_for: &'a str,
    available: bool,
    absence: Option<&'a str>,
    notes: &'a [String],
    channels: &'a [Channel],
}

/// Runs the command.
///
/// # Errors
/// A selected GPU that does not exist or cannot be measured.
pub fn run(args: &Args) -> Done {
    if args.files.is_empty() { meters(args) } else { logs::run(&args.files, args.format) }
}

fn meters(args: &Args) -> Done {
    let options = Options { gpus: args.gpus.clone(), ..Options::from_env() };
    let found = machine::detect(&options).map_err(Failure::failed)?;
    match args.format {
        Format::Json => {
            render::json(Schema::Doctor, &Machine { meters: found.iter().map(family).collect() })
        }
        Format::Table => files::print(&table(&found)),
    }
}

fn family(found: &Found) -> Family<'_> {
    Family {
        family: found.family,
        looked_for: &found.looked_for,
        available: found.meter.is_some(),
        absence: found.absence.as_deref(),
        notes: &found.notes,
        channels: found.channels(),
    }
}

fn table(found: &[Found]) -> String {
    let channels: Vec<_> = found.iter().flat_map(Found::channels).collect();
    let mut out = String::new();
    if channels.is_empty() {
        out += "no readable meter on this machine; `wattlaw measure --assume cpu=95W` assumes a power instead\n";
    } else {
        let rows = channels.iter().map(|channel| row(channel)).collect();
        out += &render::table(
            &["channel", "measures", "method", "model", "update period", "averaging", "error"],
            rows,
            4,
        );
    }
    for family in found {
        let notes = family.notes.iter().chain(&family.absence);
        let lines: Vec<_> = notes.map(|line| format!("  {}\n", OneLine(line))).collect();
        if !lines.is_empty() {
            out += &format!("\n{}{}", render::heading(family.family), lines.concat());
        }
    }
    out
}

fn row(channel: &Channel) -> Vec<String> {
    let time = |time: Seconds| match time.value() {
        0.0 => "–".to_owned(),
        s if s < 1.0 => format!("{} ms", render::digits(s * 1e3)),
        s => format!("{} s", render::digits(s)),
    };
    let measures = match channel.component {
        Component::Gpu => "GPU board",
        Component::Module => "module (GPU and CPU)",
        Component::Cpu => "CPU package",
        Component::Dram => "memory",
        Component::Node => "whole platform",
    };
    let method = match channel.instrument {
        Instrument::Counter => "energy counter",
        Instrument::Power => "integrated power",
        Instrument::Assumed => "assumed power",
    };
    vec![
        channel.name.clone(),
        measures.to_owned(),
        method.to_owned(),
        channel.model.clone().unwrap_or_else(|| "–".to_owned()),
        time(channel.update),
        time(channel.averaging),
        channel
            .systematic
            .map_or_else(|| "unknown".to_owned(), |s| format!("{} %", render::digits(s * 100.0))),
    ]
}
