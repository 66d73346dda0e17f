//! The list of job fields: job files, flags, columns of plans and run tables, and their documentation follow it.

use crate::base::amount::Count;
use crate::base::error::{Error, Result};
use crate::job::JobSpec;
use crate::job::model::PositionKind;
use crate::job::parallelism::{ContextExchange, Partition, Schedule, Strategy, TensorScope};
use crate::job::system::LinkKind;
use crate::job::workload::{
    AttentionKernel, Checkpointing, Lora, LoraTarget, Offload, Optimizer, Precision, Quantization,
    Stack, StatePrecision, TrainingObjective,
};

/// The type of a field's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// A whole number.
    Whole,
    /// A whole number that may be written as `10M`.
    Count,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// One of a few words.
    Word,
    /// Words separated by commas or spaces.
    Words,
    /// Whole numbers separated by commas or spaces.
    Wholes,
    /// Any text.
    Text,
}

impl FieldKind {
    /// Its name in the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole number",
            Self::Count => "count, such as 10M",
            Self::Number => "number",
            Self::Flag => "true or false",
            Self::Word => "word",
            Self::Words => "words",
            Self::Wholes => "whole numbers",
            Self::Text => "text",
        }
    }
}

/// A field of a job.
#[derive(Debug)]
pub struct Field {
    /// Its table in a job file.
    pub table: &'static str,
    /// Its key there.
    pub key: &'static str,
    /// The column that holds it in a plan and in a run table.
    pub column: &'static str,
    /// The type of its text.
    pub kind: FieldKind,
    /// Description, with unit, accepted words and default.
    pub about: &'static str,
    /// Its text in a job; `None` where it is absent.
    pub get: fn(&JobSpec) -> Option<String>,
    /// Reads a non-empty text into a job.
    pub set: fn(&mut JobSpec, &str) -> Result<()>,
    /// Copies the field from one job to another.
    pub copy: fn(&mut JobSpec, &JobSpec),
}

impl Field {
    /// Reads a non-empty cell of its column into a job.
    ///
    /// # Errors
    /// Those of `set`, with the column's name.
    pub fn set_from_column(&self, job: &mut JobSpec, text: &str) -> Result<()> {
        let named = |field: String| format!("column `{field}`");
        (self.set)(job, text).map_err(|error| match error {
            Error::Invalid { field, found, expected } => {
                Error::Invalid { field: named(field), found, expected }
            }
            Error::Missing { field, expected } => Error::Missing { field: named(field), expected },
            other => other,
        })
    }
}

/// The fields of a job file by table; a column has the name of the key, or of the literal after the key.
macro_rules! fields {
    (@column $field:ident) => { stringify!($field) };
    (@column $field:ident $column:literal) => { $column };
    ($($table:ident { $($field:ident $(($column:literal))? : $kind:ident $about:literal),* $(,)? })*) => {
        /// All fields except those of adapters, by table.
        const PLAIN: &[Field] = &[$($(Field {
            table: stringify!($table),
            key: stringify!($field),
            column: fields!(@column $field $($column)?),
            kind: FieldKind::$kind,
            about: $about,
            get: |job| job.$table.$field.as_ref().map(Cell::text),
            set: |job, text| {
                job.$table.$field = Some(Cell::read(fields!(@column $field $($column)?), text)?);
                Ok(())
            },
            copy: |job, from| job.$table.$field.clone_from(&from.$table.$field),
        }),*),*];
    };
}

fields! {
    model {
        name ("model"): Text "Model by name (see `wattlaw catalog models`), or a name for a custom shape",
        config: Text "Hugging Face config.json of the model",
        family: Text "Model type of a custom shape (bert, gpt2, llama, mixtral, t5, vit, …)",
        layers: Whole "Layers; of the decoder in an encoder–decoder, of the image encoder beside one of texts",
        encoder_layers: Whole "Layers of the encoder of an encoder–decoder; as many as layers when absent",
        hidden_size: Whole "Width of the residual stream",
        heads: Whole "Attention heads; hidden_size / 64 when absent",
        kv_heads: Whole "Key and value heads (grouped-query attention); as many as heads when absent",
        head_dim: Whole "Width of one head; hidden_size / heads when absent",
        ffn_size: Whole "Inner width of the feed-forward block; four times hidden_size when absent",
        vocab_size: Whole "Rows of the token embedding; the model type's own when absent",
        vocab_multiple: Whole "The vocabulary is padded to a multiple of this in training, 1 for none; 128 × tp in Megatron-LM, NeMo and Megatron-DeepSpeed, tp in nanotron, 1 in others when absent",
        embedding_size: Whole "Width of the token embedding; hidden_size when absent",
        max_positions: Whole "Longest sequence of a learned position embedding, of the texts beside images",
        token_types: Whole "Rows of the segment embedding",
        relative_buckets: Whole "Distance buckets of a relative position bias",
        gated_ffn: Flag "Whether the feed-forward block has a gate",
        tied_embeddings: Flag "Whether the output projection reuses the token embedding",
        qkv_bias: Flag "Whether query, key and value projections have a bias",
        attention_output_bias: Flag "Whether the attention output projection has a bias",
        ffn_bias: Flag "Whether the feed-forward projections have a bias",
        final_norm: Flag "Whether a norm follows the last layer",
        pooler: Flag "Whether the published model has a pooling layer",
        experts: Whole "Experts a layer (mixture of experts)",
        top_k: Whole "Experts that a token visits; 2 when absent",
        shared_ffn_size: Whole "Inner width of the experts that every token visits, all together",
        dense_layers: Whole "Layers of a mixture that have a plain feed-forward block",
        dense_ffn_size: Whole "Inner width of that block; ffn_size when absent",
        positions: Word "How positions enter: learned, rotary or none (fixed, ALiBi or a relative bias); the model type's own when absent",
        encoder_positions: Whole "Longest sequence of the encoder's position embedding, where it differs from the decoder's",
        norms_per_layer: Whole "Norms of a layer, cross-attention's not included; the model type's own when absent",
        embedding_norm: Flag "Whether a norm follows the embedding",
        qk_norm: Flag "Whether queries and keys are normed",
        layer_scale: Flag "Whether a learned scale follows attention and feed-forward block",
        distinct_layers: Whole "Layers with weights of their own, where the others share them (albert)",
        window: Whole "Positions that a query of windowed attention sees; the patches of a window, such as 49 of 7 × 7, in swin",
        window_layers: Whole "Layers with windowed attention; all when absent",
        query_rank: Whole "Rank of the queries' latent (latent attention); projected directly when absent",
        kv_rank: Whole "Rank of the latent of keys and values (latent attention)",
        rope_head_dim: Whole "Rotated channels of a head (latent attention)",
        value_head_dim: Whole "Width of a head's value (latent attention)",
        image_size: Whole "Side of the square image in pixels; 224 when absent",
        patch_size: Whole "Side of a patch in pixels; 16 when absent",
        channels: Whole "Colour channels; 3 when absent",
        classes: Whole "Classes of the published classification head",
        stage_layers: Wholes "Layers of each stage of an image encoder whose stages double its width, such as 2,2,6,2 (swin)",
        text_layers: Whole "Layers of the text encoder beside an image encoder (clip, siglip); the model type's own when absent",
        text_hidden_size: Whole "Width of its residual stream; the model type's own when absent",
        text_heads: Whole "Its attention heads; the model type's own when absent",
        text_ffn_size: Whole "Inner width of its feed-forward block; four times text_hidden_size when absent",
        joint_size: Whole "Width of the space in which images and texts are compared (clip); the model type's own when absent",
    }
    workload {
        seq_len: Whole "Tokens in a sequence, padding included",
        decoder_seq_len: Whole "Tokens in a target sequence (encoder–decoder); a quarter of seq_len when absent",
        padding_share: Number "Share of positions that are padding, 0 to below 1; 0 when absent",
        document_len: Whole "Mean length of the documents packed into a sequence, where attention stays within each; attention spans the whole sequence when absent",
        micro_batch: Whole "Sequences per micro-batch of a data-parallel rank; pairs of them with objective dpo",
        grad_accum: Whole "Micro-batches an optimizer step; 1 when absent",
        global_batch: Whole "Sequences an optimizer step over all data-parallel ranks; micro_batch × grad_accum × dp when absent. Two of the three sizes give the third",
        tokens: Count "Tokens to train on, without padding, such as 10M or 1.5B",
        steps: Count "Optimizer steps, in place of tokens",
        epochs: Number "Passes over the examples, in place of tokens",
        examples: Count "Sequences in the data; pairs of them with objective dpo",
        precision: Word "Number format of products: fp32, tf32, fp16, bf16 or fp8; bf16 when absent, fp16 where the GPU has no bf16",
        optimizer: Word "Update rule: adamw, sgd, adafactor, adam8bit, lion, lamb, muon, paged-adamw or paged-adam8bit; adamw when absent. Paged states count on the GPU, and their moves to the host do not count",
        checkpointing: Word "Activation checkpointing: none, selective or full; none when absent",
        attention: Word "Attention kernel: flash or eager; flash when absent",
        task: Word "Training task: masked-lm, causal-lm, classification or contrastive (images and texts); the family's default when absent",
        labels: Whole "Labels of a classification; 2 when absent",
        dora: Flag "Whether adapted weights (lora_rank) have trained magnitudes and are normed (DoRA); false when absent",
        state_precision: Word "Number format of updated weights and optimizer states: fp32, or bf16 without a 32-bit copy; fp32 when absent",
        quantization: Word "Format of the frozen projections below adapters (lora_rank): none, nf4, gptq, int8 or fp8; none when absent",
        frozen_layers: Whole "First layers that, like the embedding, are not trained and have no backward pass; 0 when absent",
        objective: Word "What the training makes the model do: likelihood, which predicts the data, or dpo, which prefers one sequence of each pair against a frozen copy of the model; likelihood when absent",
        offload: Word "What is kept in the memory of the host: none; optimizer, whose states the CPUs update; or parameters too; none when absent",
        framework: Word "Software stack: accelerate, fsdp2, llm-foundry, megatron, megatron-deepspeed, deepspeed, nanotron, jax, pytorch or unknown, and a program within it after a slash, such as megatron/nemo-2024; unknown when absent. Time, power and memory depend on it, and so do the padding of the vocabulary, the precision of communicated gradients, full checkpointing, and the defaults of sequence parallelism and of the pipeline's partition",
    }
    parallelism {
        strategy: Word "Parallelism strategy: single, ddp, zero1, zero2, fsdp, hsdp, tp, tp-mlp, cp, pp, or several joined with +",
        dp: Whole "Data-parallel ranks; GPUs / (tp × cp × pp) when absent",
        tp: Whole "Tensor-parallel ranks; 1 when absent",
        pp: Whole "Pipeline stages; 1 when absent",
        tensor_scope: Word "What tensor parallelism splits: blocks or mlp; blocks when absent",
        sequence_parallel: Flag "Whether tensor parallelism splits the sequence between its projections; the default of the framework when absent (on for nanotron)",
        shard_group: Whole "Ranks that share one set of shards (hsdp); the GPUs of a node when absent",
        schedule: Word "Pipeline schedule: 1f1b or interleaved; 1f1b when absent",
        virtual_stages: Whole "Model chunks a pipeline stage holds (interleaved); 2 when absent",
        partition: Word "How pipeline stages divide the layers: even or cost; the default of the framework when absent (cost for nanotron, else even)",
        cp: Whole "Context-parallel ranks, each with an equal part of every sequence; 1 when absent",
        context_exchange: Word "How context-parallel ranks exchange keys and values: ring, while attention computes, or all-gather before it; the default of the framework when absent (all-gather for accelerate, fsdp2 and pytorch, else ring)",
        ep: Whole "Expert-parallel ranks, of the data- and context-parallel ones, among which the experts of each layer are split; 1 when absent",
    }
    system {
        name ("system"): Text "System by name, such as dgx-a100-80gb (see `wattlaw catalog systems`)",
        gpu: Text "Accelerator by name (see `wattlaw catalog gpus`); on the command line, auto takes those of this machine",
        gpus: Whole "Total accelerators; the product of the degrees when absent",
        gpus_per_node: Whole "Accelerators per node; when absent, the most from 8 down to 4 that fill equal nodes",
        nodes: Whole "Nodes; follows from the accelerators when absent",
        link: Word "Link inside a node: nvlink, infinity-fabric, ici, roce or pcie; the accelerator's own when absent",
        link_gb_per_s: Number "Link inside a node in GB/s a GPU, both directions together; the accelerator's own when absent",
        network: Text "Network between nodes: infiniband, ethernet, efa, omni-path, or a name with such a word in it, such as HDR InfiniBand; its kind is unknown otherwise",
        network_gb_per_s: Number "Network between nodes in GB/s a GPU, one direction; its share of the adapters when absent, else 25",
        network_adapters: Whole "Network adapters of a node, which its accelerators share evenly",
        adapter_gb_per_s: Number "Rate of a network adapter in GB/s, one direction, such as 25 for 200 Gb/s",
        power_limit_w: Number "Power limit of an accelerator in W; its TDP when absent",
        host_power_w: Number "Mean power of a node besides its accelerators in W, behind its power supplies; 0.38 of their TDP when absent",
        pue: Number "Facility energy per energy of the computers, 1 or more",
        carbon_g_per_kwh: Number "Carbon intensity of the electricity in g CO₂e a kWh",
        price_per_kwh: Number "Price of a kWh",
        price_per_gpu_hour: Number "Price of an accelerator for an hour",
        currency: Text "Currency of the prices, such as EUR; shown beside the price",
    }
}

/// The fields of adapters, a table of their own in job files.
const ADAPTERS: &[Field] = &[
    Field {
        table: "workload",
        key: "lora",
        column: "lora_rank",
        kind: FieldKind::Whole,
        about: "Train adapters of this rank on frozen weights (LoRA)",
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
        kind: FieldKind::Words,
        about: "Adapted projections: q, k, v, o, gate, up, down, or all-linear for all of them; q and v when absent",
        get: |job| {
            let targets = &job.workload.lora.as_ref()?.targets;
            let names: Vec<&str> = targets.iter().map(|target| target.name()).collect();
            (!names.is_empty()).then(|| names.join(" "))
        },
        set: |job, text| {
            let lora = job.workload.lora.as_mut().ok_or_else(|| {
                Error::missing("lora_rank", "lora_targets are adapted with a rank")
            })?;
            let names = text.split(|c: char| c == ',' || c.is_whitespace());
            let names = names.filter(|name| !name.is_empty());
            lora.targets = LoraTarget::list(names)?;
            Ok(())
        },
        copy: |job, from| job.workload.lora.clone_from(&from.workload.lora),
    },
];

/// All fields of a job, in the order of columns.
pub fn fields() -> impl Iterator<Item = &'static Field> {
    PLAIN.iter().chain(ADAPTERS)
}

/// A type that a cell can hold.
trait Cell: Sized {
    /// Reads the text of a field.
    fn read(name: &str, text: &str) -> Result<Self>;
    /// The text; reading it back gives an equal value.
    fn text(&self) -> String;
}

fn wrong(name: &str, text: &str, expected: &str) -> Error {
    Error::invalid(name, format!("`{text}`"), expected)
}

/// Fields in which `k` means 1,024: lengths of sequences and contexts. In numbers of sequences it means 1,000.
const LENGTHS: [&str; 6] =
    ["document_len", "seq_len", "decoder_seq_len", "max_positions", "encoder_positions", "window"];

impl Cell for u64 {
    fn read(name: &str, text: &str) -> Result<Self> {
        let unit = match name {
            name if LENGTHS.contains(&name) => Some(1024),
            "global_batch" | "micro_batch" => Some(1000),
            _ => None,
        };
        let in_units = unit.zip(text.strip_suffix(['k', 'K']));
        let number = match in_units {
            Some((unit, thousands)) => {
                thousands.trim_end().parse::<Self>().ok().and_then(|n| n.checked_mul(unit))
            }
            // pandas writes 2 as 2.0 in a column with empty cells
            None => text.strip_suffix(".0").unwrap_or(text).parse().ok(),
        };
        let expected = match unit {
            Some(1024) => "it must be a whole number from 0, such as 2048 or 2k",
            _ => "it must be a whole number from 0",
        };
        number.ok_or_else(|| wrong(name, text, expected))
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Cell for Vec<u64> {
    fn read(name: &str, text: &str) -> Result<Self> {
        let numbers = text.split(|c: char| c == ',' || c.is_whitespace());
        let numbers = numbers.filter(|number| !number.is_empty());
        let read: std::result::Result<Self, _> = numbers.map(str::parse).collect();
        read.map_err(|_| wrong(name, text, "it must be whole numbers, such as 2,2,6,2"))
    }

    fn text(&self) -> String {
        self.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
    }
}

impl Cell for f64 {
    fn read(name: &str, text: &str) -> Result<Self> {
        // users write a power with its unit
        let plain = match name.ends_with("_w") {
            true => text.trim_end_matches(['W', 'w']).trim_end(),
            false => text,
        };
        let number = plain.parse().ok().filter(|x: &Self| x.is_finite());
        let expected = match name.ends_with("_w") {
            true => "it must be a power in watts, such as 250 or 250W",
            false => "it must be a number",
        };
        number.ok_or_else(|| wrong(name, text, expected))
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Cell for bool {
    fn read(name: &str, text: &str) -> Result<Self> {
        match text.to_lowercase().as_str() {
            "true" | "1" | "1.0" => Ok(true),
            "false" | "0" | "0.0" => Ok(false),
            _ => Err(wrong(name, text, "it must be true or false")),
        }
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Cell for Count {
    fn read(name: &str, text: &str) -> Result<Self> {
        text.parse().map_err(|_| {
            wrong(name, text, "it must be a whole number from 1, like 300000, 10M or 1.5B")
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

/// Enums; their own error lists the accepted words.
macro_rules! cells {
    ($($word:ident),* $(,)?) => {$(
        impl Cell for $word {
            fn read(_: &str, text: &str) -> Result<Self> {
                text.parse()
            }

            fn text(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

cells!(
    PositionKind,
    Precision,
    Optimizer,
    Checkpointing,
    AttentionKernel,
    ContextExchange,
    TensorScope,
    Schedule,
    Partition,
    Strategy,
    StatePrecision,
    Quantization,
    TrainingObjective,
    Offload,
    Stack,
    LinkKind,
);

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
        assert_eq!(fields().count(), count, "a field of the list is none of the job file");
    }

    #[test]
    fn a_wrong_text_is_refused_with_the_fields_name() {
        let fails = |column: &str, text: &str| {
            let field = fields().find(|field| field.column == column).unwrap();
            (field.set)(&mut JobSpec::default(), text).unwrap_err().to_string()
        };
        assert_eq!(fails("gpus", "-1"), "gpus is `-1`, but it must be a whole number from 0");
        assert!(fails("strategy", "xyz").starts_with("unknown strategy `xyz`; accepted: `single`"));
        assert!(fails("lora_targets", "q").starts_with("lora_rank is missing"));
        let set = |text: &str| {
            let mut job = JobSpec::default();
            job.workload.lora = Some(Lora { rank: 8, targets: Vec::new() });
            let field = fields().find(|field| field.column == "lora_targets").unwrap();
            (field.set)(&mut job, text).unwrap();
            job.workload.lora.unwrap().targets
        };
        assert_eq!(set("all-linear"), LoraTarget::ALL);
        assert_eq!(set("q, down"), [LoraTarget::Query, LoraTarget::Down]);
        let written = "workload.lora = { rank = 8, targets = ['all-linear'] }";
        let lora = JobSpec::from_toml(written).unwrap().workload.lora.unwrap();
        assert_eq!(lora.targets, LoraTarget::ALL);
        let mut job = JobSpec::default();
        let limit = fields().find(|field| field.column == "power_limit_w").unwrap();
        (limit.set)(&mut job, "250 W").unwrap();
        assert_eq!(job.system.power_limit_w, Some(250.0));
    }

    #[test]
    fn k_is_1024_in_lengths_and_1000_in_numbers_of_sequences() {
        let read = |column: &str, text: &str| {
            let mut job = JobSpec::default();
            let field = fields().find(|field| field.column == column).unwrap();
            (field.set)(&mut job, text).map(|()| (field.get)(&job).unwrap())
        };
        assert_eq!(read("seq_len", "2k").unwrap(), "2048");
        assert_eq!(read("seq_len", "128 K").unwrap(), "131072");
        assert_eq!(read("global_batch", "1k").unwrap(), "1000");
        for (column, text) in
            [("vocab_size", "32k"), ("seq_len", "k"), ("seq_len", "99999999999999999999k")]
        {
            assert!(read(column, text).is_err(), "{column} {text}");
        }
    }
}
