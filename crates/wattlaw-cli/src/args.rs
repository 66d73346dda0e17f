//! The command line: the program and its subcommands.

use clap::{Parser, Subcommand};

use crate::commands::{
    audit, calibrate, catalog, compare, completions, convert, cost, doctor, efficiency, fit,
    import, job, launch, measure, merge, page, plan, predict, recover, report, sweep, top,
    validate,
};
use crate::man;

/// Predict the energy, time, power and memory of a Transformer training run before it starts, and calibrate the prediction on measured runs
#[derive(Debug, Parser)]
#[command(name = "wattlaw", version, about, propagate_version = true, max_term_width = 110)]
#[command(
    after_help = "Exit codes: 0 success, 1 failure, 2 usage error. NO_COLOR turns colours off."
)]
pub struct Wattlaw {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Predict energy, time, power and memory of a job before it runs
    Predict(Box<predict::Args>),
    /// Find the cheapest way to train: GPUs, parallelism, micro-batch, checkpointing and power limit
    Plan(Box<plan::Args>),
    /// Compare named alternatives of a job side by side
    Compare(Box<compare::Args>),
    /// Show the cost ledger of a job: FLOPs, bytes, kernels and communication of each operation
    Cost(Box<cost::Args>),
    /// Show a job with names resolved and all defaults written out, as JSON
    Job(Box<job::Args>),
    /// Write the job of a framework's configuration files as a job file
    Convert(Box<convert::Args>),
    /// Serve the page, which predicts, compares and plans in a browser of this machine
    Page(page::Args),
    /// Write the files that start a job, for its framework and its cluster
    Launch(Box<launch::Args>),
    /// Fit a law to a table of measured runs
    Fit(fit::Args),
    /// Cross-validate a law on held-out runs
    Validate(validate::Args),
    /// Add runs of your own machines to the built-in law, or suggest which to measure
    Calibrate(calibrate::Args),
    /// Check a table of runs for errors before fitting a law
    Audit(audit::Args),
    /// Multi-GPU scaling: throughput, efficiency and energy per token against single-GPU runs
    Efficiency(efficiency::Args),
    /// Run a command and measure its energy
    Measure(Box<measure::Args>),
    /// Close the record of a run whose wattlaw process was killed
    Recover(recover::Args),
    /// Merge the records of a job's nodes into one
    Merge(merge::Args),
    /// Design, run and monitor controlled experiments
    #[command(subcommand)]
    Sweep(sweep::Command),
    /// Report the energy of runs: meter, uncertainty, and carbon where an intensity is given
    Report(report::Args),
    /// Show live power, energy and utilisation, and the remaining energy and time of a job
    Top(top::Args),
    /// List the meters of this machine and how to enable missing ones, or check records and logs
    Doctor(doctor::Args),
    /// Import measurements of other tools: CodeCarbon, Zeus, nvidia-smi, Megatron-LM, MLPerf, DCGM and others
    Import(Box<import::Args>),
    /// List the GPUs, models and systems in the catalogue
    Catalog(catalog::Args),
    /// Print a shell completion script
    Completions(completions::Args),
    /// Write man pages, or print the command reference
    #[command(hide = true)]
    Man(man::Args),
}
