//! The fields of a job one by one: as columns of a plan, and as what varies in a space.

use crate::base::amount::Count;
use crate::base::error::{Error, Result};
use crate::job::JobSpec;
use crate::job::parallelism::{Partition, Schedule, TensorScope};
use crate::job::workload::{
    AttentionKernel, Checkpointing, Lora, LoraTarget, Optimizer, Precision,
};

/// A field of a job.
#[derive(Debug)]
pub struct Field {
    /// Its table in a job file.
    pub table: &'static str,
    /// Its name there.
    pub key: &'static str,
    /// The column that holds it in a plan.
    pub column: &'static str,
    /// The cell's text; none for a field that the job leaves open.
    pub get: fn(&JobSpec) -> Option<String>,
    /// Reads a cell that is not empty.
    pub set: fn(&mut JobSpec, &str) -> Result<()>,
    /// Makes it in one job what it is in another.
    pub copy: fn(&mut JobSpec, &JobSpec),
}

/// The columns of fields whose name in the job file is the column's, and of others under names of their own.
macro_rules! fields {
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $column:literal) => { $column };
    ($($table:ident { $($field:ident $($column:literal)?),* $(,)? })*) => {
        /// Every field but the adapters, table by table.
        const PLAIN: &[Field] = &[$($(Field {
            table: stringify!($table),
            key: stringify!($field),
            column: fields!(@name $field $($column)?),
            get: |job| job.$table.$field.as_ref().map(Cell::text),
            set: |job, text| {
                job.$table.$field = Some(Cell::read(fields!(@name $field $($column)?), text)?);
                Ok(())
            },
            copy: |job, from| job.$table.$field.clone_from(&from.$table.$field),
        }),*),*];
    };
}

fields! {
    model {
        name "model", config, family, layers, encoder_layers, hidden_size, heads, kv_heads, head_dim, ffn_size,
        vocab_size, embedding_size, max_positions, token_types, relative_buckets, gated_ffn, tied_embeddings,
        qkv_bias, attention_output_bias, ffn_bias, final_norm, pooler, experts, top_k, image_size, patch_size,
        channels, classes,
    }
    workload {
        seq_len, decoder_seq_len, padding_share, micro_batch, grad_accum, tokens, steps, epochs, examples, precision,
        optimizer, checkpointing, attention, task, labels,
    }
    parallelism {
        strategy, dp, tp, pp, tensor_scope, sequence_parallel, shard_group, schedule, virtual_stages, partition,
    }
    system {
        name "system", gpu, gpus, gpus_per_node, nodes, link_gb_per_s, network, network_gb_per_s, power_limit_w,
        host_power_w, pue, carbon_g_per_kwh, price_per_kwh, price_per_gpu_hour,
    }
}

/// The adapters, which a job file has in a table of their own; targets stand with spaces between.
const ADAPTERS: &[Field] = &[
    Field {
        table: "workload",
        key: "lora",
        column: "lora_rank",
        get: |job| job.workload.lora.as_ref().map(|lora| lora.rank.to_string()),
        set: |job, text| {
            let rank = Cell::read("lora_rank", text)?;
            job.workload.lora = Some(Lora { rank, targets: Vec::new() });
            Ok(())
        },
        copy: |job, from| job.workload.lora.clone_from(&from.workload.lora),
    },
    Field {
        table: "workload",
        key: "lora",
        column: "lora_targets",
        get: |job| {
            let targets = &job.workload.lora.as_ref()?.targets;
            let names: Vec<&str> = targets.iter().map(|target| target.name()).collect();
            (!names.is_empty()).then(|| names.join(" "))
        },
        set: |job, text| {
            let lora = job.workload.lora.as_mut().ok_or_else(|| {
                Error::missing("column `lora_rank`", "lora_targets are adapted with a rank")
            })?;
            lora.targets =
                text.split_whitespace().map(str::parse).collect::<Result<Vec<LoraTarget>>>()?;
            Ok(())
        },
        copy: |job, from| job.workload.lora.clone_from(&from.workload.lora),
    },
];

/// Every field of a job, in the order in which columns are written and cells are read.
pub fn fields() -> impl Iterator<Item = &'static Field> {
    PLAIN.iter().chain(ADAPTERS)
}

/// What a cell can hold.
trait Cell: Sized {
    /// Reads the text of a column's cell.
    fn read(column: &str, text: &str) -> Result<Self>;
    /// The text that is read back equal.
    fn text(&self) -> String;
}

fn wrong(column: &str, text: &str, expected: &str) -> Error {
    Error::invalid(format!("column `{column}`"), format!("`{text}`"), expected)
}

impl Cell for u64 {
    fn read(column: &str, text: &str) -> Result<Self> {
        // tables that were edited with pandas have 2.0 where a column has empty cells
        let whole = text.strip_suffix(".0").unwrap_or(text);
        whole.parse().map_err(|_| wrong(column, text, "it must be a whole number from 0"))
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Cell for f64 {
    fn read(column: &str, text: &str) -> Result<Self> {
        let number = text.parse().ok().filter(|x: &Self| x.is_finite());
        number.ok_or_else(|| wrong(column, text, "it must be a number"))
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Cell for bool {
    fn read(column: &str, text: &str) -> Result<Self> {
        let lower = text.to_lowercase();
        lower.parse().map_err(|_| wrong(column, text, "it must be true or false"))
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Cell for Count {
    fn read(column: &str, text: &str) -> Result<Self> {
        text.parse().map_err(|_| {
            wrong(column, text, "it must be a whole number from 1, like 300000, 10M or 1.5B")
        })
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Cell for String {
    fn read(_: &str, text: &str) -> Result<Self> {
        Ok(text.to_owned())
    }

    fn text(&self) -> String {
        self.clone()
    }
}

/// Words, whose own error says which there are.
macro_rules! cells {
    ($($word:ident),*) => {$(
        impl Cell for $word {
            fn read(_: &str, text: &str) -> Result<Self> {
                text.parse()
            }

            fn text(&self) -> String {
                self.name().to_owned()
            }
        }
    )*};
}

cells!(Precision, Optimizer, Checkpointing, AttentionKernel, TensorScope, Schedule, Partition);

#[cfg(test)]
mod tests {
    use super::*;

    /// A field that is added to a job and forgotten here would be lost between a plan and its runs.
    #[test]
    fn every_field_of_a_job_file_has_a_column() {
        let job = serde_json::to_value(JobSpec::default()).unwrap();
        let mut count = 0;
        for (table, content) in job.as_object().unwrap() {
            for key in content.as_object().unwrap().keys() {
                let found =
                    fields().filter(|field| field.table == table && field.key == key).count();
                assert_eq!(found, if key == "lora" { 2 } else { 1 }, "{table}.{key}");
                count += found;
            }
        }
        let mut columns: Vec<&str> = fields().map(|field| field.column).collect();
        columns.sort_unstable();
        columns.dedup();
        assert_eq!(columns.len(), count);
    }
}
