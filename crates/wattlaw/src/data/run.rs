//! A run: a job that was executed, and what was measured of it; one row of a run table (schema v1).
//!
//! `docs/records.md` documents the table field by field.

use serde::{Deserialize, Serialize};

use crate::base::amount::Count;
use crate::base::error::{Error, Result};
use crate::base::scope::{Covers, Scope};
use crate::base::units::{Joules, Seconds};
use crate::job::catalog::Catalog;
use crate::job::model::ModelSpec;
use crate::job::parallelism::{ParallelismSpec, TensorScope};
use crate::job::system::SystemSpec;
use crate::job::workload::{AttentionKernel, Checkpointing, Precision, WorkloadSpec};
use crate::job::{Job, JobSpec};

/// One measured training run, or the mean of several alike.
///
/// What a table leaves open is `None`; what it says has been checked: positive, finite, whole where it counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Line of the table, the header being line 1.
    pub line: u64,
    /// The run's name; its line where the table has none.
    pub run_id: String,
    /// The model's name.
    pub model: Option<String>,
    /// Model type or family.
    pub family: String,
    /// Accelerator, as the table names it.
    pub gpu: String,
    /// Accelerators.
    pub gpus: u64,
    /// Accelerators in a node.
    pub gpus_per_node: Option<u64>,
    /// The regime as the table names it, or as its degrees say: `baseline`, `fsdp`, `tp`, `ddp`, …
    pub strategy: String,
    /// Data-parallel ranks.
    pub dp: Option<u64>,
    /// Tensor-parallel ranks.
    pub tp: Option<u64>,
    /// Pipeline stages.
    pub pp: Option<u64>,
    /// What tensor parallelism split.
    pub tensor_scope: Option<TensorScope>,
    /// Layers.
    pub layers: u64,
    /// Width of the residual stream.
    pub hidden_size: u64,
    /// Query heads.
    pub heads: Option<u64>,
    /// Key and value heads.
    pub kv_heads: Option<u64>,
    /// Inner width of the feed-forward block.
    pub ffn_size: Option<u64>,
    /// Rows of the token embedding.
    pub vocab_size: Option<u64>,
    /// Longest sequence that was asked for.
    pub max_seq_len: Option<u64>,
    /// Tokens in a sequence; a mean where lengths vary.
    pub seq_len: Option<f64>,
    /// Sequences a data-parallel rank took at once.
    pub micro_batch: Option<u64>,
    /// Micro-batches a step.
    pub grad_accum: Option<u64>,
    /// What was learnt: a data set or a task.
    pub task: Option<String>,
    /// Number format.
    pub precision: Option<Precision>,
    /// Recomputation.
    pub checkpointing: Option<Checkpointing>,
    /// How attention is computed.
    pub attention: Option<AttentionKernel>,
    /// Tokens trained on; a mean where several runs are one row.
    pub tokens: Option<f64>,
    /// Time.
    pub duration: Option<Seconds>,
    /// What duration and energy are of.
    pub covers: Covers,
    /// Energy.
    pub energy: Option<Joules>,
    /// Energy as the table gave it in kWh, so that its logarithm is not rounded twice.
    pub energy_kwh: Option<f64>,
    /// Standard deviation of the error that all runs on the same meter share; repeating the run does not reduce it.
    pub energy_systematic_sd: Option<Joules>,
    /// Standard deviation of the error that each run draws anew.
    pub energy_random_sd: Option<Joules>,
    /// What the energy covers.
    pub scope: Scope,
    /// What measured the energy.
    pub meter: Option<String>,
    /// Time of the single-GPU run that this one is compared with.
    pub baseline_duration: Option<Seconds>,
    /// The study's memory proxy where the table has it (a mean over aggregated runs).
    pub memory_proxy: Option<f64>,
    /// Passes over the data; a median where several runs are one row.
    pub epochs: Option<f64>,
    /// Runs that this row is the mean of.
    pub n_runs: Option<u64>,
    /// Peak memory of a GPU in GiB.
    pub peak_memory_gib: Option<f64>,
    /// What became of it where it did not finish.
    pub outcome: Option<String>,
}

impl Run {
    /// The run that a job describes, with nothing measured of it yet: what the description leaves open stays open,
    /// the tokens that are done included.
    ///
    /// # Errors
    /// Those of [`Catalog::architecture`] where no shape is given, and [`Error::Missing`] without an accelerator; a
    /// parallelism that cannot be is refused as in [`JobSpec::resolve`].
    pub fn described(run_id: &str, spec: &JobSpec, catalog: &Catalog) -> Result<Self> {
        let architecture = catalog.architecture(&spec.model)?;
        let workload = &spec.workload;
        // the shape of parallelism does not depend on how much is trained, which may not be known yet
        let job = JobSpec {
            workload: WorkloadSpec {
                tokens: Some(Count::new(1)),
                steps: None,
                epochs: None,
                examples: None,
                seq_len: workload.seq_len.or(Some(1)).filter(|_| architecture.image.is_none()),
                micro_batch: workload.micro_batch.or(Some(1)),
                ..workload.clone()
            },
            ..spec.clone()
        }
        .resolve(catalog)?;
        let (system, split) = (&job.system, &job.parallelism);
        Ok(Self {
            line: 0,
            run_id: run_id.to_owned(),
            model: Some(architecture.name.clone()),
            family: architecture.family().name().to_owned(),
            gpu: system.accelerator.name.clone(),
            gpus: system.gpus,
            gpus_per_node: Some(system.gpus_per_node),
            strategy: strategy(
                (split.dp > 1).then(|| split.data.name()),
                system.gpus,
                Some(split.tp),
                Some(split.pp),
            ),
            dp: Some(split.dp),
            tp: Some(split.tp),
            pp: Some(split.pp),
            tensor_scope: (split.tp > 1).then_some(split.tensor_scope),
            layers: architecture.layers,
            hidden_size: architecture.hidden_size,
            heads: Some(architecture.heads),
            kv_heads: Some(architecture.kv_heads),
            ffn_size: Some(architecture.ffn_size),
            vocab_size: Some(architecture.vocab_size).filter(|n| *n > 0),
            max_seq_len: None,
            seq_len: workload.seq_len.map(|n| n as f64),
            micro_batch: workload.micro_batch,
            grad_accum: Some(job.workload.grad_accum).filter(|_| workload.micro_batch.is_some()),
            task: Some(job.workload.task.name().to_owned()),
            precision: Some(job.workload.precision),
            checkpointing: Some(job.workload.checkpointing),
            attention: Some(job.workload.attention),
            tokens: None,
            duration: None,
            covers: Covers::Run,
            energy: None,
            energy_kwh: None,
            energy_systematic_sd: None,
            energy_random_sd: None,
            scope: Scope::Unstated,
            meter: None,
            baseline_duration: None,
            memory_proxy: None,
            epochs: None,
            n_runs: None,
            peak_memory_gib: None,
            outcome: None,
        })
    }

    /// The shape, for grouping: layers × hidden size.
    pub fn architecture(&self) -> String {
        format!("{}x{}", self.layers, self.hidden_size)
    }

    /// Everything known before the run but GPU count and strategy, joined by `|`: runs that share it are one
    /// configuration family and are never split between training and test.
    ///
    /// The columns and their order are the study's (`family_key` of its reference figures).
    pub fn config_family(&self) -> String {
        format!("{}|{}", self.gpu, self.workload_family())
    }

    /// The same without the accelerator.
    pub fn workload_family(&self) -> String {
        self.workload_key().join("|")
    }

    /// The workload family under a name that sorts as the study's own key does, so that seeded splits of sorted groups
    /// are the study's: there the shape stands before lengths and batches.
    pub fn study_workload(&self) -> String {
        let [family, max_len, batch, seq, accum, layers, hidden, heads, ffn, task, precision] =
            self.workload_key();
        [family, layers, hidden, heads, ffn, max_len, batch, seq, accum, task, precision].join(",")
    }

    fn workload_key(&self) -> [String; 11] {
        let count = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
        [
            self.family.clone(),
            count(self.max_seq_len),
            count(self.micro_batch),
            self.seq_len.map(|s| s.to_string()).unwrap_or_default(),
            count(self.grad_accum),
            self.layers.to_string(),
            self.hidden_size.to_string(),
            count(self.heads),
            count(self.ffn_size),
            self.task.clone().unwrap_or_default(),
            self.precision.map(|p| p.to_string()).unwrap_or_default(),
        ]
    }

    /// Micro-steps that one data-parallel rank took in the whole run, where the table tells.
    pub fn micro_steps(&self) -> Option<f64> {
        let ranks = match (self.dp, self.strategy.as_str()) {
            (Some(dp), _) => dp,
            (None, "tp" | "pp") => 1,
            (None, _) => self.gpus,
        };
        Some(self.tokens? / (self.micro_batch? as f64 * self.seq_len? * ranks as f64))
    }

    /// Whether nothing of the energy was measured: a power that was stated, times the time.
    pub fn energy_is_assumed(&self) -> bool {
        self.meter
            .as_ref()
            .is_some_and(|meter| meter.split_whitespace().all(|word| word.ends_with(":assumed")))
    }

    /// Whether this is a run on one GPU that others can be compared with.
    pub fn is_baseline(&self) -> bool {
        self.gpus == 1
    }

    /// The job that was run, so that its cost can be counted.
    ///
    /// Tables say less than job files: an absent vocabulary is the family's own, a half-precision run without a
    /// sequence length cannot be counted, and `tp` without degrees is the study's, which split the MLP only.
    ///
    /// # Errors
    /// [`Error::Missing`] where tokens, sequence length or micro-batch are absent, and those of [`JobSpec::resolve`].
    pub fn job(&self, catalog: &Catalog) -> Result<Job> {
        let seq_len = self.seq_len.ok_or_else(|| {
            Error::missing("seq_len", "the cost of a run cannot be counted without it")
        })?;
        let tokens = self.tokens.ok_or_else(|| {
            Error::missing("tokens", "the cost of a run cannot be counted without it")
        })?;
        let tensor = self.strategy == "tp" && self.tp.is_none();
        let strategy = match self.strategy.as_str() {
            "tp" if tensor => "tp-mlp",
            "tp" | "pp" => "ddp",
            other => other,
        };
        let split = self.tp.unwrap_or(1).saturating_mul(self.pp.unwrap_or(1));
        let alone = self.gpus == 1 || split == self.gpus;
        JobSpec {
            model: ModelSpec {
                family: Some(self.family.clone()),
                layers: Some(self.layers),
                hidden_size: Some(self.hidden_size),
                heads: self.heads,
                kv_heads: self.kv_heads,
                ffn_size: self.ffn_size,
                vocab_size: self.vocab_size,
                max_positions: self.max_seq_len.map(|n| n.max(512)),
                ..ModelSpec::default()
            },
            workload: WorkloadSpec {
                tokens: Some(Count::new((tokens.round() as u64).max(1))),
                seq_len: Some((seq_len.round() as u64).max(1)),
                micro_batch: Some(self.micro_batch.unwrap_or(1)),
                grad_accum: self.grad_accum,
                precision: self.precision,
                checkpointing: self.checkpointing,
                attention: self.attention,
                task: self.task.as_deref().and_then(task_name),
                ..WorkloadSpec::default()
            },
            parallelism: ParallelismSpec {
                strategy: (!alone).then(|| strategy.to_owned()),
                dp: self.dp,
                tp: self.tp,
                pp: self.pp,
                tensor_scope: self.tensor_scope,
                ..ParallelismSpec::default()
            },
            system: SystemSpec {
                gpu: Some(self.gpu.clone()),
                gpus: Some(self.gpus),
                gpus_per_node: self.gpus_per_node,
                ..SystemSpec::default()
            },
        }
        .resolve(catalog)
    }
}

/// The regime a run belongs to: what moves most, as in [`crate::job::parallelism::Parallelism::regime`].
pub(crate) fn strategy(named: Option<&str>, gpus: u64, tp: Option<u64>, pp: Option<u64>) -> String {
    if gpus == 1 {
        return "baseline".to_owned();
    }
    if tp.is_some_and(|n| n > 1) {
        return "tp".to_owned();
    }
    match named.map(|n| n.to_lowercase().replace('_', "-")) {
        Some(name) if matches!(name.as_str(), "ddp" | "dp") && pp.is_some_and(|n| n > 1) => {
            "pp".to_owned()
        }
        Some(name) if name == "tp-mlp" || name == "tensor" => "tp".to_owned(),
        Some(name) => name,
        None if pp.is_some_and(|n| n > 1) => "pp".to_owned(),
        None => "ddp".to_owned(),
    }
}

/// The task that a table's word stands for, where it is a task's name or a data set known for one.
///
/// The GLUE benchmark's data sets are classifications (Wang et al. 2019, table 1); other data sets leave the family's
/// own task.
fn task_name(word: &str) -> Option<String> {
    const GLUE: [&str; 9] = ["sst2", "cola", "mrpc", "qqp", "mnli", "qnli", "rte", "wnli", "stsb"];
    let plain = word.to_lowercase().replace(['-', '_'], "");
    if GLUE.contains(&plain.as_str()) {
        return Some("classification".to_owned());
    }
    ["masked-lm", "causal-lm", "classification"]
        .into_iter()
        .find(|t| t.replace('-', "") == plain)
        .map(str::to_owned)
}
