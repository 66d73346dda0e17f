//! `wattlaw import`: imports measurements of other tools as one table of runs.

use std::path::PathBuf;
use std::str::FromStr;

use serde_json::json;

use wattlaw::base::error::Location;
use wattlaw::base::scope::Scope;
use wattlaw::base::units::{Joules, Seconds};
use wattlaw::data::dataset;
use wattlaw::data::dataset::ColumnMap;
use wattlaw::data::measurement::Measurement;
use wattlaw::job::catalog::Catalog;
use wattlaw_import::{Importer, Log, Measured, Options, Source};

use crate::failure::{Done, Failure};
use crate::flags::job;
use crate::format::Format;
use crate::{files, render, tables};
use wattlaw_ask::Schema;

/// Flags of `wattlaw import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Log files, optionally after the format (codecarbon, zeus, nvidia-smi, megatron, mlperf, dcgm, carbontracker,
    /// alumet, perun, energibridge, jpwr, eco2ai, transformers, wandb, tensorboard, torchtitan, nanotron, lightning, mlflow, csv).
    /// Default: the format is detected
    #[arg(required = true, value_name = "[FORMAT] FILES")]
    words: Vec<PathBuf>,
    /// Job file (TOML) of the runs; with it, --out writes a run table for fitting
    #[arg(long, value_name = "FILE")]
    job: Option<PathBuf>,
    /// Column map for a table with other column names (TOML)
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Write the runs to this table (.csv, .parquet or .arrow)
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Join all runs into one: they are its restarts or its nodes
    #[arg(long)]
    join: bool,
    /// Keep only the energy of this scope; accepted: gpu, for logs that list the GPUs separately
    #[arg(long, value_parser = gpu_scope)]
    scope: Option<Scope>,
    /// Keep only these devices, by index or UUID as in the log
    #[arg(long, value_delimiter = ',', value_name = "DEVICES")]
    devices: Vec<String>,
    /// Column names of a log without a header
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    columns: Vec<String>,
    /// Sampling interval of a log without timestamps, such as 15s
    #[arg(long, value_parser = interval, value_name = "TIME")]
    interval: Option<f64>,
    /// Number of GPUs whose lines follow each other in turn, for an nvidia-smi log without a column that names the GPU
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4096))]
    gpus_in_turn: Option<u64>,
    /// Catalogue file (TOML) whose entries override the built-in ones
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// An invalid log or job, or an output file that cannot be written.
pub fn run(args: &Args) -> Done {
    let (format, logs) = args.logs()?;
    if let Some(twice) = logs.iter().enumerate().find(|(i, path)| logs[..*i].contains(path)) {
        let name = twice.1.display();
        return Err(Failure::Usage(format!(
            "{name} is given twice; its energy would be counted twice"
        )));
    }
    let catalog = job::catalog(args.catalog.as_deref())?;
    let options = args.options()?;
    let (format, log) = read(format, logs, options)?;
    let Log { mut measured, mut findings } = log;
    if args.scope.is_some() {
        measured = measured.into_iter().map(Measured::with_gpu_energy).collect::<Result<_, _>>()?;
    }
    findings.extend(wattlaw_import::check(&measured, &catalog));
    let (energy, duration) = total(&measured);
    if args.join {
        if measured.iter().any(|m| m.start.is_none()) {
            render::note(
                "note",
                "the logs have no timestamps; the parts are assumed to have run one after another",
            );
        }
        measured = vec![wattlaw_import::join(&measured)?];
    }
    let runs = args.runs(&measured, &catalog)?;
    for finding in &findings {
        render::note("note", &finding.to_string());
    }
    if let Some(path) = &args.out {
        let table = match &runs {
            Some(runs) => dataset::to_csv(runs)?,
            None => wattlaw_import::to_csv(&measured)?,
        };
        tables::write(path, &table)?;
        render::note("note", &format!("wrote {}", path.display()));
        if runs.is_none() {
            let why =
                "the file holds measurements only; use --job to write a run table for fitting";
            render::note("note", &format!("{}: {why}", path.display()));
        }
    }
    match args.format {
        Format::Json => render::json(
            Schema::Import,
            &json!({
                "log_format": format,
                "files": logs,
                "measured": measured,
                "energy_j": energy,
                "duration_s": duration,
                "notes": findings,
            }),
        ),
        Format::Table => files::print(&table(format, &measured, energy, duration)),
    }
}

impl Args {
    /// The format, if the first argument is one, and the logs.
    fn logs(&self) -> Done<(Option<wattlaw_import::Format>, &[PathBuf])> {
        let Some((first, rest)) = self.words.split_first() else { return Ok((None, &[])) };
        let named = wattlaw_import::Format::from_str(&first.to_string_lossy());
        match (named, rest) {
            (Ok(format), rest) if !rest.is_empty() => Ok((Some(format), rest)),
            (Ok(format), _) if !first.exists() => {
                Err(Failure::Usage(format!("no log file; give the files written by {format}")))
            }
            // a first argument that is not a file may be a misspelt format
            (Err(unknown), rest)
                if !rest.is_empty() && !first.exists() && first.extension().is_none() =>
            {
                Err(Failure::usage(unknown))
            }
            _ => Ok((None, &self.words)),
        }
    }

    fn options(&self) -> Done<Options> {
        let map = match &self.map {
            None => None,
            Some(path) => {
                let at = Location::file(path.display().to_string());
                Some(ColumnMap::from_toml(&files::text(path)?).map_err(|e| e.at(at))?)
            }
        };
        Ok(Options {
            devices: self.devices.clone(),
            columns: self.columns.clone(),
            interval_s: self.interval,
            gpus_in_turn: self.gpus_in_turn,
            map,
        })
    }

    /// The rows of a run table, if the job is known.
    fn runs(&self, measured: &[Measured], catalog: &Catalog) -> Done<Option<Vec<Measurement>>> {
        let Some(path) = &self.job else { return Ok(None) };
        let spec = job::read(path)?;
        let runs = measured.iter().map(|m| wattlaw_import::run(m, &spec, catalog));
        Ok(Some(runs.collect::<Result<_, _>>()?))
    }
}

/// Reads logs of one format; without a format it is detected.
///
/// # Errors
/// An invalid log, with its name and line.
pub fn read(
    format: Option<wattlaw_import::Format>,
    logs: &[PathBuf],
    options: Options,
) -> Done<(wattlaw_import::Format, Log)> {
    let by_map = options.map.is_some();
    let mut options = Some(options);
    let mut importer: Option<(wattlaw_import::Format, Importer)> = None;
    for path in logs {
        let mut input = tables::log(path)?;
        let name = path.display().to_string();
        let mut source = Source { name: &name, input: &mut input };
        let found = source.format()?;
        let format = match (format.or(importer.as_ref().map(|(f, _)| *f)), found) {
            (None, _) if by_map => wattlaw_import::Format::Csv,
            (None, Some(found)) => found,
            (None, None) => return Err(unknown(&name)),
            (Some(wanted), Some(found))
                if wanted != found && wanted != wattlaw_import::Format::Csv =>
            {
                let why = match format {
                    Some(_) => format!("the format given is {wanted}"),
                    None => format!(
                        "the previous file is a {wanted} log; import the logs of one tool at a time"
                    ),
                };
                return Err(Failure::Failed(format!("{name}: this is a {found} log, but {why}")));
            }
            (Some(wanted), _) => wanted,
        };
        let (_, reader) = importer.get_or_insert_with(|| {
            (format, Importer::new(format, options.take().unwrap_or_default()))
        });
        reader.read(&mut source)?;
    }
    let Some((format, importer)) = importer else {
        return Err(Failure::Usage("no log file was given".to_owned()));
    };
    Ok((format, importer.finish()?))
}

fn unknown(name: &str) -> Failure {
    let known: Vec<&str> = wattlaw_import::Format::ALL.iter().map(|f| f.name()).collect();
    Failure::Failed(format!(
        "{name}: unknown log format; give the format ({}), or the columns of a table with --map",
        known.join(", ")
    ))
}

/// Energy and time of all runs, summed by [`wattlaw_import::join`]; `None` if they cannot be joined.
fn total(measured: &[Measured]) -> (Option<Joules>, Option<Seconds>) {
    match measured {
        [one] => (one.energy, one.duration),
        several => wattlaw_import::join(several)
            .map_or((None, None), |whole| (whole.energy, whole.duration)),
    }
}

fn table(
    format: wattlaw_import::Format,
    measured: &[Measured],
    energy: Option<Joules>,
    duration: Option<Seconds>,
) -> String {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let row = |m: &Measured| {
        vec![
            m.run_id.clone(),
            or_dash(m.energy.map(|e| render::energy(e.value()))),
            or_dash(m.duration.map(|t| render::duration(t.value()))),
            or_dash(m.mean_power.map(|p| render::si(p.value(), "W"))),
            or_dash(m.gpus.map(|n| n.to_string()).or(m.per_gpu.then(|| "each".to_owned()))),
            m.scope.to_string(),
            m.meter.clone(),
        ]
    };
    let mut out = render::heading(&format!(
        "{format}: {}",
        if measured.len() == 1 { "1 run".to_owned() } else { format!("{} runs", measured.len()) }
    ));
    let mut rows: Vec<Vec<String>> = measured.iter().map(row).collect();
    if measured.len() > 1 {
        let (energy, time) = (
            energy.map(|e| render::energy(e.value())),
            duration.map(|t| render::duration(t.value())),
        );
        let blank = String::new;
        rows.push(vec![
            "all".into(),
            or_dash(energy),
            or_dash(time),
            blank(),
            blank(),
            blank(),
            blank(),
        ]);
    }
    out +=
        &render::table(&["run", "energy", "time", "mean power", "GPUs", "scope", "meter"], rows, 1);
    out
}

fn gpu_scope(text: &str) -> Result<Scope, String> {
    match Scope::from_str(text) {
        Ok(Scope::Gpu) => Ok(Scope::Gpu),
        _ => Err(format!("`{text}` cannot be extracted from a log; accepted: gpu")),
    }
}

/// Parses a sampling interval such as `15s` or `100ms`, in seconds.
fn interval(text: &str) -> Result<f64, String> {
    let (number, factor) = match text.trim() {
        t if t.ends_with("ms") => (&t[..t.len() - 2], 1e-3),
        t if t.ends_with('s') => (&t[..t.len() - 1], 1.0),
        t => (t, 1.0),
    };
    match crate::parse::number(number.trim()) {
        Ok(x) if (1e-6..=1e6).contains(&(x * factor)) => Ok(x * factor),
        _ => Err(format!("`{text}` is not a sampling interval; examples: 15s, 100ms")),
    }
}
