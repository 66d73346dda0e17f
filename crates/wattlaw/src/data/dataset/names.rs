//! Names of the columns of run tables, and what other tables call them.

use crate::job::fields::{Field, fields};

/// Columns of a run table beside those of the job (schema 2).
const MEASURED: [&str; 21] = [
    "run_id",
    "dataset",
    "max_seq_len",
    "global_batch",
    "tokens_done",
    "duration_s",
    "step_time_s",
    "covers",
    "energy_j",
    "energy_kwh",
    "mean_power_w",
    "mean_gpu_power_w",
    "energy_systematic_sd_j",
    "energy_random_sd_j",
    "scope",
    "meter",
    "baseline_duration_s",
    "memory_proxy",
    "n_runs",
    "peak_memory_gib",
    "outcome",
];

/// Aliases of columns in other tables.
const ALIASES: [(&str, &[&str]); 16] = [
    ("model", &["model_name"]),
    ("family", &["arch"]),
    ("hidden_size", &["hidden"]),
    ("ffn_size", &["ff"]),
    ("vocab_size", &["vocab"]),
    ("strategy", &["dp_kind"]),
    ("dp", &["data_parallel"]),
    ("tp", &["tensor_parallel"]),
    ("pp", &["pipeline_parallel"]),
    ("micro_batch", &["batch_size"]),
    ("global_batch", &["global_batch_seqs"]),
    ("checkpointing", &["activation_checkpointing"]),
    ("energy_j", &["energy_j_per_step"]),
    ("mean_gpu_power_w", &["power_w_per_gpu"]),
    ("epochs", &["median_epochs"]),
    ("peak_memory_gib", &["peak_memory_gb"]),
];

/// Every column of run tables: the measured values and the fields of a job.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    MEASURED.into_iter().chain(job_columns().map(|field| field.column))
}

/// The fields of a job that are columns of run tables.
///
/// The global batch is none: the column of that name gives the tokens of a step, and may be a mean.
pub fn job_columns() -> impl Iterator<Item = &'static Field> {
    fields().filter(|field| field.column != "global_batch")
}

/// The names that other tables give to a column.
pub(super) fn aliases(column: &str) -> &'static [&'static str] {
    ALIASES.iter().find(|(name, _)| *name == column).map_or(&[], |(_, others)| others)
}
