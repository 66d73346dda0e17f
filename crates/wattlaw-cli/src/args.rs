//! The command line as it is typed.

use clap::{Parser, Subcommand};

use crate::commands::{
    audit, calibrate, catalog, completions, cost, doctor, efficiency, fit, import, job, measure,
    merge, predict, recover, report, sweep, top, validate,
};
use crate::man;

/// Predicts the energy, time and power of a Transformer training run before it runs, and fits itself to runs that ran.
#[derive(Debug, Parser)]
#[command(name = "wattlaw", version, about, propagate_version = true, max_term_width = 110)]
#[command(
    after_help = "Exit codes: 0 done, 1 could not be done, 2 wrong usage. Colours follow NO_COLOR."
)]
pub struct Wattlaw {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Energy, time, power and memory of a job, before it runs
    Predict(Box<predict::Args>),
    /// The ledger of a job: FLOPs, bytes, kernels and communication, operation by operation
    Cost(Box<cost::Args>),
    /// A job with names looked up and every default written out, as JSON
    Job(Box<job::Args>),
    /// Fit a law on a table of measured runs
    Fit(fit::Args),
    /// Judge a law on runs it has not seen
    Validate(validate::Args),
    /// Adjust a roofline calibration to a few runs of your own machines
    Calibrate(calibrate::Args),
    /// Find what is wrong in a table of runs, before a law is fitted on it
    Audit(audit::Args),
    /// What more GPUs gave: throughput, efficiency and energy per token beside single-GPU runs
    Efficiency(efficiency::Args),
    /// Run a command and measure its energy
    Measure(Box<measure::Args>),
    /// Close the record of a run whose wattlaw was killed
    Recover(recover::Args),
    /// Make one record of those of a job's nodes
    Merge(merge::Args),
    /// Design controlled runs, run them one by one, and see how far they are
    #[command(subcommand)]
    Sweep(sweep::Command),
    /// Say what runs used: energy, meter, uncertainty, and what follows from it
    Report(report::Args),
    /// Power, energy and utilisation as they are now, and what is left of a job
    Top(top::Args),
    /// Which meters this machine offers, and how to get those it lacks
    Doctor(doctor::Args),
    /// Read what other tools measured: CodeCarbon, Zeus, nvidia-smi, Megatron-LM, MLPerf, DCGM and others
    Import(Box<import::Args>),
    /// GPUs, models and systems that are known by name
    Catalog(catalog::Args),
    /// Print a shell's completion script
    Completions(completions::Args),
    /// Write man pages, or print the command reference
    #[command(hide = true)]
    Man(man::Args),
}
