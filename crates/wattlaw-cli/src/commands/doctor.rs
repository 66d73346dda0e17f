//! `wattlaw doctor`: which meters this machine offers, and what ails a log.

mod logs;

use std::path::PathBuf;

use serde::Serialize;

use wattlaw::base::units::Seconds;
use wattlaw::record::{Channel, Component, Instrument};
use wattlaw_meter::found::Found;
use wattlaw_meter::machine;
use wattlaw_meter::machine::Options;
use wattlaw_meter::select::Selection;

use crate::failure::{Done, Failure};
use crate::format::Format;
use crate::schema::Schema;
use crate::{files, render};

/// Flags of `wattlaw doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Records or logs to look through; this machine's meters when there are none
    files: Vec<PathBuf>,
    /// GPUs to look at: indices or UUIDs, such as 0,1
    #[arg(long, value_name = "GPUS")]
    gpus: Option<Selection>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What the machine offers, as JSON.
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
/// A GPU that is not there or cannot be measured.
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
        out += "this machine has no meter that can be read; `wattlaw measure --assume cpu=95W` states a power instead\n";
    } else {
        let rows = channels.iter().map(|channel| row(channel)).collect();
        out += &render::table(
            &["channel", "counts", "by", "model", "update", "averages", "error"],
            rows,
            4,
        );
    }
    for family in found {
        let said = family.notes.iter().chain(&family.absence);
        let lines: Vec<_> = said.map(|line| format!("  {line}\n")).collect();
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
    let counts = match channel.component {
        Component::Gpu => "GPU board",
        Component::Module => "module: GPU and CPU",
        Component::Cpu => "CPU package",
        Component::Dram => "memory",
        Component::Node => "whole platform",
    };
    let by = match channel.instrument {
        Instrument::Counter => "energy counter",
        Instrument::Power => "power, integrated",
        Instrument::Assumed => "assumed power",
    };
    vec![
        channel.name.clone(),
        counts.to_owned(),
        by.to_owned(),
        channel.model.clone().unwrap_or_else(|| "–".to_owned()),
        time(channel.update),
        time(channel.averaging),
        channel
            .systematic
            .map_or_else(|| "unknown".to_owned(), |s| format!("{} %", render::digits(s * 100.0))),
    ]
}
