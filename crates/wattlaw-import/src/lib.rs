//! Importers for logs of other measurement tools. Known data issues are handled and reported.
//!
//! One file per format. Readers find columns by the names that the tool writes, never by position. Pure: bytes in, values out; no log
//! is held in memory as a whole.

mod alumet;
mod carbontracker;
mod codecarbon;
mod columns;
pub mod configuration;
mod data_issue;
mod dcgm;
mod detect;
mod eco2ai;
mod energibridge;
mod iterations;
mod join;
mod jpwr;
mod json;
mod lightning;
mod lines;
mod measured;
mod megatron;
mod mlflow;
mod mlperf;
mod nanotron;
mod number;
mod nvidia_smi;
mod perun;
mod progress;
mod series;
mod table;
mod tensorboard;
mod timestamp;
mod torchtitan;
mod trainer_state;
mod unit;
mod wandb;
mod write;
mod zeus;

pub use data_issue::{DataIssue, Finding};
pub use join::join;
pub use lines::Source;
pub use measured::{Measured, Part, check, run};
pub use timestamp::Timestamp;
pub use write::to_csv;

use data_issue::Findings;

use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::words::words;
use wattlaw::data::dataset::ColumnMap;

/// A format that another tool writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// CodeCarbon's `emissions.csv`.
    Codecarbon,
    /// Zeus: windows, power-limit profiles, traces, sampled power.
    Zeus,
    /// `nvidia-smi --query-gpu=… --format=csv`.
    NvidiaSmi,
    /// Megatron-LM's output with `--log-energy`.
    Megatron,
    /// MLPerf Training's power logs.
    Mlperf,
    /// Scrapes of DCGM's exporter.
    Dcgm,
    /// carbontracker's logs.
    Carbontracker,
    /// Alumet's CSV.
    Alumet,
    /// perun's CSV.
    Perun,
    /// EnergiBridge's CSV.
    Energibridge,
    /// jpwr's tables.
    Jpwr,
    /// eco2AI's `emission.csv`.
    Eco2ai,
    /// The `trainer_state.json` of transformers' trainer.
    Transformers,
    /// Weights & Biases' history and system metrics, as CSV or JSON lines.
    Wandb,
    /// TensorBoard's event files.
    Tensorboard,
    /// torchtitan's output.
    Torchtitan,
    /// nanotron's output.
    Nanotron,
    /// Lightning's `metrics.csv` with the throughput monitor.
    Lightning,
    /// MLflow's folder of metrics.
    Mlflow,
    /// Any table of runs, through a column map.
    Csv,
}

words!(Format, "format": Codecarbon = "codecarbon", Zeus = "zeus", NvidiaSmi = "nvidia-smi", Megatron = "megatron",
    Mlperf = "mlperf", Dcgm = "dcgm", Carbontracker = "carbontracker", Alumet = "alumet", Perun = "perun",
    Energibridge = "energibridge", Jpwr = "jpwr", Eco2ai = "eco2ai", Transformers = "transformers",
    Wandb = "wandb", Tensorboard = "tensorboard", Torchtitan = "torchtitan", Nanotron = "nanotron",
    Lightning = "lightning", Mlflow = "mlflow", Csv = "csv");

impl Format {
    /// Every format.
    pub const ALL: [Self; 20] = [
        Self::Codecarbon,
        Self::Zeus,
        Self::NvidiaSmi,
        Self::Megatron,
        Self::Mlperf,
        Self::Dcgm,
        Self::Carbontracker,
        Self::Alumet,
        Self::Perun,
        Self::Energibridge,
        Self::Jpwr,
        Self::Eco2ai,
        Self::Transformers,
        Self::Wandb,
        Self::Tensorboard,
        Self::Torchtitan,
        Self::Nanotron,
        Self::Lightning,
        Self::Mlflow,
        Self::Csv,
    ];

    /// Detects the format of a log from its first bytes, not from its name.
    pub fn detect(head: &[u8]) -> Option<Self> {
        detect::format(head)
    }
}

/// Information from the user that the logs do not contain.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Accelerators to include, by index or UUID as in the log; all if empty.
    pub devices: Vec<String>,
    /// Column names of a log without a header.
    pub columns: Vec<String>,
    /// Sampling interval, s, of a log without times.
    pub interval_s: Option<f64>,
    /// Number of accelerators whose lines follow each other in turn, in a log without a column that names them.
    pub gpus_in_turn: Option<u64>,
    /// Column map of a table with other column names.
    pub map: Option<ColumnMap>,
}

impl Options {
    /// Whether a device with these names is included.
    fn includes(&self, names: &[&str]) -> bool {
        self.devices.is_empty() || self.devices.iter().any(|d| names.contains(&d.as_str()))
    }
}

/// Contents of logs.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// The runs, in the order of the logs.
    pub measured: Vec<Measured>,
    /// The data issues found.
    pub findings: Vec<Finding>,
}

/// Reads the logs of one format one after another; a run may span several files.
pub struct Importer {
    reader: Box<dyn Reader>,
    findings: Findings,
}

impl Importer {
    /// Creates the importer of a format.
    pub fn new(format: Format, options: Options) -> Self {
        let reader: Box<dyn Reader> = match format {
            Format::Codecarbon => Box::<codecarbon::Codecarbon>::default(),
            Format::Zeus => Box::new(zeus::Zeus::new(options)),
            Format::NvidiaSmi => Box::new(nvidia_smi::NvidiaSmi::new(options)),
            Format::Megatron => Box::<megatron::Megatron>::default(),
            Format::Mlperf => Box::<mlperf::Mlperf>::default(),
            Format::Dcgm => Box::new(dcgm::Dcgm::new(options)),
            Format::Carbontracker => Box::<carbontracker::Carbontracker>::default(),
            Format::Alumet => Box::<alumet::Alumet>::default(),
            Format::Perun => Box::<perun::Perun>::default(),
            Format::Energibridge => Box::<energibridge::Energibridge>::default(),
            Format::Jpwr => Box::<jpwr::Jpwr>::default(),
            Format::Eco2ai => Box::<eco2ai::Eco2ai>::default(),
            Format::Transformers => Box::<trainer_state::TrainerState>::default(),
            Format::Wandb => Box::new(wandb::Wandb::new(options)),
            Format::Tensorboard => Box::<tensorboard::Tensorboard>::default(),
            Format::Torchtitan => Box::<torchtitan::Torchtitan>::default(),
            Format::Nanotron => Box::<nanotron::Nanotron>::default(),
            Format::Lightning => Box::<lightning::Lightning>::default(),
            Format::Mlflow => Box::new(mlflow::Mlflow::new(options)),
            Format::Csv => Box::new(columns::Columns::new(options)),
        };
        Self { reader, findings: Findings::default() }
    }

    /// Reads one log.
    ///
    /// # Errors
    /// A log that is not in the tool's format or has impossible values, with file and line.
    pub fn read(&mut self, source: &mut Source<'_>) -> Result<()> {
        source.format()?;
        self.reader.read(source, &mut self.findings)
    }

    /// The runs of all logs.
    ///
    /// # Errors
    /// [`Error::Data`] if there is no run, or if parts do not belong together.
    pub fn finish(mut self) -> Result<Log> {
        let measured = self.reader.finish(&mut self.findings)?;
        Ok(Log { measured, findings: self.findings.take() })
    }
}

/// Reader of one format.
trait Reader {
    /// Reads one log.
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()>;

    /// The runs of all logs.
    fn finish(self: Box<Self>, findings: &mut Findings) -> Result<Vec<Measured>>;
}

/// The error for a log without the expected data.
fn no_data(file: &str, what: &str) -> Error {
    Error::Data(format!("the log has no {what}")).at(Location::file(file))
}

/// Default name of a run: the file name without folder and extension.
fn stem(file: &str) -> &str {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}
