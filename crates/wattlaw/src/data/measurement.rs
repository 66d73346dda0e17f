//! A measurement: a job, and the measured values of its run.
//!
//! Records and rows of run tables become measurements, and laws are fitted on them; `docs/reference/run-table.md`
//! documents the table.

use serde::Serialize;

use crate::base::amount::Count;
use crate::base::error::{Error, Result};
use crate::base::scope::{Covers, Scope};
use crate::base::units::{Joules, Seconds, Watts};
use crate::job::catalog::Catalog;
use crate::job::model::{Architecture, Family, ModelType};
use crate::job::parallelism::{Strategy, StrategyKind};
use crate::job::workload::{TrainingObjective, WorkloadSpec};
use crate::job::{Job, JobSpec};

/// One measured training run, or the mean of several equal runs.
///
/// Fields that the source does not state are `None`. Stated values are checked: positive, finite, and whole where they
/// are counts. The job always has a family, a shape and accelerators, so runs can be grouped by them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measurement {
    /// Line of the table; the header is line 1.
    pub line: u64,
    /// The run's name; its line where the table has none.
    pub run_id: String,
    /// The job that was run, as far as its source describes it.
    pub job: DescribedJob,
    /// Name of the training data, as in the source.
    pub dataset: Option<String>,
    /// Configured maximum sequence length.
    pub max_seq_len: Option<u64>,
    /// Mean tokens per sequence, where lengths vary or the row is a mean of runs.
    pub mean_seq_len: Option<f64>,
    /// Trained tokens; a mean where the row is a mean of runs.
    pub tokens: Option<f64>,
    /// Time.
    pub duration: Option<Seconds>,
    /// What duration and energy cover.
    pub covers: Covers,
    /// Energy.
    pub energy: Option<Joules>,
    /// Energy in kWh as in the table, so that its logarithm is not rounded twice.
    pub energy_kwh: Option<f64>,
    /// Standard deviation of the systematic error, shared by all runs on the same meter; repeats do not reduce it.
    pub energy_systematic_sd: Option<Joules>,
    /// Standard deviation of the random error, independent for each run.
    pub energy_random_sd: Option<Joules>,
    /// What the energy covers.
    pub scope: Scope,
    /// The meter of the energy.
    pub meter: Option<String>,
    /// Time of the single-GPU baseline.
    pub baseline_duration: Option<Seconds>,
    /// The study's memory proxy, where the table has it (a mean over aggregated runs).
    pub memory_proxy: Option<f64>,
    /// Epochs, where the job's amount is not in epochs; a median where the row is a mean of runs.
    pub median_epochs: Option<f64>,
    /// Number of runs averaged in this row.
    pub n_runs: Option<u64>,
    /// Peak memory of a GPU in GiB.
    pub peak_memory_gib: Option<f64>,
    /// The outcome, if the run did not finish.
    pub outcome: Option<String>,
}

/// A job as the source of a measurement describes it. It states at least family, layers, width and accelerators; they
/// are checked once.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct DescribedJob {
    spec: JobSpec,
    #[serde(skip)]
    identity: Identity,
}

/// The job fields of every measurement.
#[derive(Debug, Clone, PartialEq)]
struct Identity {
    model_type: Option<ModelType>,
    family: String,
    layers: u64,
    hidden_size: u64,
    gpu: String,
    gpus: u64,
    strategy: Strategy,
}

impl DescribedJob {
    /// Checks a description, and replaces its strategy by the full name.
    ///
    /// # Errors
    /// [`Error::Missing`] where it lacks family, layers, width, accelerator or their number.
    pub fn new(mut spec: JobSpec) -> Result<Self> {
        let (model, split, system) = (&spec.model, &spec.parallelism, &spec.system);
        let missing = |field: &str| Error::missing(field, "a measured run has it");
        let named = model.family.as_deref().ok_or_else(|| missing("family"))?;
        let gpus = system.gpus.ok_or_else(|| missing("gpus"))?;
        let model_type = named.parse::<ModelType>().ok();
        let identity = Identity {
            model_type,
            // laws know model types by their family; other names stay as they are
            family: match model_type {
                Some(model_type) => model_type.family().name().to_owned(),
                None => named.to_lowercase(),
            },
            layers: model.layers.ok_or_else(|| missing("layers"))?,
            hidden_size: model.hidden_size.ok_or_else(|| missing("hidden_size"))?,
            gpu: system.gpu.clone().ok_or_else(|| missing("gpu"))?,
            gpus,
            strategy: split.named_strategy(gpus),
        };
        if spec.workload.global_batch.is_some() {
            spec.workload = spec.workload.with_batch(split.degrees(gpus)?.dp)?;
        }
        spec.parallelism.strategy = Some(identity.strategy);
        Ok(Self { spec, identity })
    }

    /// The description.
    pub const fn spec(&self) -> &JobSpec {
        &self.spec
    }
}

impl Measurement {
    /// A measurement of a job without measured values.
    ///
    /// # Errors
    /// As [`DescribedJob::new`].
    pub fn new(run_id: impl Into<String>, job: JobSpec) -> Result<Self> {
        Ok(Self {
            line: 0,
            run_id: run_id.into(),
            job: DescribedJob::new(job)?,
            dataset: None,
            max_seq_len: None,
            mean_seq_len: None,
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
            median_epochs: None,
            n_runs: None,
            peak_memory_gib: None,
            outcome: None,
        })
    }

    /// A measurement without measured values, of a job with model and accelerator looked up and defaults filled in. The
    /// amount of training may be absent.
    ///
    /// # Errors
    /// Those of [`JobSpec::resolve`], except for an absent amount, sequence length or micro-batch.
    pub fn described(run_id: &str, spec: &JobSpec, catalog: &Catalog) -> Result<Self> {
        let architecture = catalog.architecture(&spec.model)?;
        let job = with_tokens(spec, 1, &architecture).resolve(catalog)?;
        let mut filled = spec.with_defaults(&job);
        filled.model.name = Some(architecture.name);
        filled.system.gpu = Some(job.system.accelerator.name.clone());
        let (stated, workload) = (&spec.workload, &mut filled.workload);
        // placeholders for absent values are not defaults
        if !stated.states_micro_batch() {
            (workload.micro_batch, workload.grad_accum) = (None, stated.grad_accum);
        }
        if stated.seq_len.is_none() && job.architecture.image.is_none() {
            (workload.seq_len, workload.decoder_seq_len) = (None, stated.decoder_seq_len);
        }
        Self::new(run_id, filled)
    }

    /// The job, as far as its source describes it.
    pub const fn job(&self) -> &JobSpec {
        self.job.spec()
    }

    /// The model's name.
    pub fn model(&self) -> Option<&str> {
        self.job().model.name.as_deref()
    }

    /// The family of the model; the source's name where it is no model type.
    pub fn family(&self) -> &str {
        &self.job.identity.family
    }

    /// Layers; of the decoder in an encoder–decoder.
    pub const fn layers(&self) -> u64 {
        self.job.identity.layers
    }

    /// Layers of all stacks together, as [`Architecture::total_layers`] counts them.
    pub fn total_layers(&self) -> u64 {
        let decoder = self.layers();
        match self.job.identity.model_type.map(ModelType::family) {
            Some(Family::T5) => decoder + self.job().model.encoder_layers.unwrap_or(decoder),
            Some(Family::Vit) => decoder + self.job().model.text_layers.unwrap_or(0),
            _ => decoder,
        }
    }

    /// Width of the residual stream.
    pub const fn hidden_size(&self) -> u64 {
        self.job.identity.hidden_size
    }

    /// The accelerator, as the source names it.
    pub fn gpu(&self) -> &str {
        &self.job.identity.gpu
    }

    /// Total number of accelerators.
    pub const fn gpus(&self) -> u64 {
        self.job.identity.gpus
    }

    /// The job's strategy.
    pub const fn strategy(&self) -> Strategy {
        self.job.identity.strategy
    }

    /// The kind of parallelism with the most communication; laws group runs by it.
    pub const fn strategy_kind(&self) -> StrategyKind {
        self.job.identity.strategy.kind()
    }

    /// Tokens in a sequence, padding included; a mean where lengths vary.
    pub fn seq_len(&self) -> Option<f64> {
        self.mean_seq_len.or(self.job().workload.seq_len.map(|n| n as f64))
    }

    /// Sequences per micro-batch of a data-parallel rank.
    pub const fn micro_batch(&self) -> Option<u64> {
        self.job().workload.micro_batch
    }

    /// The shape, for grouping: layers × hidden size.
    pub fn architecture(&self) -> String {
        format!("{}x{}", self.layers(), self.hidden_size())
    }

    /// The configuration family: everything known before the run except GPU count and strategy, joined by `|`. A family
    /// is never split between training and test.
    ///
    /// The columns and their order are the study's (`family_key` of its reference values).
    pub fn config_family(&self) -> String {
        format!("{}|{}", self.gpu(), self.workload_family())
    }

    /// The configuration family without the accelerator.
    pub fn workload_family(&self) -> String {
        self.workload_key().join("|")
    }

    /// The workload family with a key that sorts like the study's, so that seeded splits of sorted groups equal the
    /// study's: the shape comes before lengths and batches.
    pub fn study_workload(&self) -> String {
        let [family, max_len, batch, seq, accum, layers, hidden, heads, ffn, task, precision] =
            self.workload_key();
        [family, layers, hidden, heads, ffn, max_len, batch, seq, accum, task, precision].join(",")
    }

    fn workload_key(&self) -> [String; 11] {
        let count = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
        let (model, workload) = (&self.job().model, &self.job().workload);
        [
            self.family().to_owned(),
            count(self.max_seq_len),
            count(workload.micro_batch),
            self.seq_len().map(|s| s.to_string()).unwrap_or_default(),
            count(workload.grad_accum),
            self.layers().to_string(),
            self.hidden_size().to_string(),
            count(model.heads),
            count(model.ffn_size),
            self.data_or_task().unwrap_or_default().to_owned(),
            workload.precision.map(|p| p.to_string()).unwrap_or_default(),
        ]
    }

    /// The data's name, or else the task.
    pub(crate) fn data_or_task(&self) -> Option<&str> {
        self.dataset.as_deref().or(self.job().workload.task.as_deref())
    }

    /// Sequences that one data-parallel rank computes in a micro-step.
    pub(crate) fn micro_sequences(&self) -> Option<u64> {
        let objective = self.job().workload.objective.unwrap_or(TrainingObjective::Likelihood);
        Some(self.micro_batch()? * objective.sequences_per_example())
    }

    /// Micro-steps of one data-parallel rank in the whole run, where the source states them.
    pub fn micro_steps(&self) -> Option<f64> {
        let ranks = match (self.job().parallelism.dp, self.strategy_kind()) {
            (Some(dp), _) => dp,
            (None, StrategyKind::Tensor | StrategyKind::Pipeline) => 1,
            (None, _) => self.gpus(),
        };
        let micro_step = self.micro_sequences()? as f64 * self.positions_per_sequence()?;
        Some(self.positions()? / (micro_step * ranks as f64))
    }

    /// Positions computed in the whole run: trained tokens and padding, as [`Job::positions`] counts them.
    pub fn positions(&self) -> Option<f64> {
        let padding_share = self.job().workload.padding_share.unwrap_or(0.0);
        Some(self.tokens? / (1.0 - padding_share))
    }

    /// Positions of one sequence, encoder and decoder together, as [`Workload::positions_per_sequence`] counts them; a mean
    /// where lengths vary.
    ///
    /// [`Workload::positions_per_sequence`]: crate::job::workload::Workload::positions_per_sequence
    pub fn positions_per_sequence(&self) -> Option<f64> {
        let seq_len = self.seq_len()?;
        let decoder = match self.job.identity.model_type.map(ModelType::family) {
            Some(Family::T5) => {
                let stated = self.job().workload.decoder_seq_len.map(|n| n as f64);
                stated.unwrap_or((seq_len / 4.0).floor().max(1.0))
            }
            _ => 0.0,
        };
        Some(seq_len + decoder)
    }

    /// Epochs.
    pub fn epochs(&self) -> Option<f64> {
        self.median_epochs.or(self.job().workload.epochs)
    }

    /// Mean power a GPU: energy over time and GPUs, where both were measured. It has the energy's scope, so a host in that
    /// scope is divided among the GPUs.
    pub fn mean_power_per_gpu(&self) -> Option<Watts> {
        let total = self.energy? / self.duration?;
        Some(total * (1.0 / self.gpus() as f64))
    }

    /// Whether the whole energy is assumed: a stated power times the time.
    pub(crate) fn energy_is_assumed(&self) -> bool {
        self.meter
            .as_ref()
            .is_some_and(|meter| meter.split_whitespace().all(|word| word.ends_with(":assumed")))
    }

    /// Whether this is a run on one GPU, a baseline for others.
    pub(crate) const fn is_baseline(&self) -> bool {
        self.gpus() == 1
    }

    /// The job with the trained tokens as its amount, so that its cost can be counted.
    ///
    /// Without a micro-batch in the source, it is one sequence.
    ///
    /// # Errors
    /// [`Error::Missing`] where tokens and the job's own amount are absent, or the sequence length of a text model is;
    /// and those of [`JobSpec::resolve`].
    pub fn resolve(&self, catalog: &Catalog) -> Result<Job> {
        let workload = &self.job().workload;
        let micro_batch = workload.micro_batch.or(Some(1));
        let spec = JobSpec {
            workload: WorkloadSpec { micro_batch, ..workload.clone() },
            ..self.job().clone()
        };
        let architecture = catalog.architecture(&spec.model)?;
        if workload.seq_len.is_none() && architecture.image.is_none() {
            return Err(Error::missing(
                "seq_len",
                "the cost of a run cannot be counted without it",
            ));
        }
        let stated_amounts =
            [workload.tokens.is_some(), workload.steps.is_some(), workload.epochs.is_some()];
        match self.tokens {
            Some(tokens) => {
                let whole = (tokens.round() as u64).max(1);
                with_tokens(&spec, whole, &architecture).resolve(catalog)
            }
            None if stated_amounts.contains(&true) => spec.resolve(catalog),
            None => Err(Error::missing("tokens", "the cost of a run cannot be counted without it")),
        }
    }
}

/// The description with `tokens` as its amount; an absent size becomes one sequence of one token.
fn with_tokens(spec: &JobSpec, tokens: u64, architecture: &Architecture) -> JobSpec {
    let workload = &spec.workload;
    JobSpec {
        workload: WorkloadSpec {
            tokens: Some(Count::new(tokens)),
            steps: None,
            epochs: None,
            examples: None,
            // an image's patches are its sequence
            seq_len: workload.seq_len.or(Some(1).filter(|_| architecture.image.is_none())),
            micro_batch: workload
                .micro_batch
                .or(Some(1).filter(|_| !workload.states_micro_batch())),
            ..workload.clone()
        },
        ..spec.clone()
    }
}

/// The task of a table's word: a task's name, or a data set with a known task.
///
/// The GLUE benchmark's data sets are classifications (Wang et al. 2019, table 1); for other data sets the task is the
/// family's default.
pub(crate) fn task_name(word: &str) -> Option<String> {
    const GLUE: [&str; 9] = ["sst2", "cola", "mrpc", "qqp", "mnli", "qnli", "rte", "wnli", "stsb"];
    let plain = word.to_lowercase().replace(['-', '_'], "");
    if GLUE.contains(&plain.as_str()) {
        return Some("classification".to_owned());
    }
    ["masked-lm", "causal-lm", "classification", "contrastive"]
        .into_iter()
        .find(|t| t.replace('-', "") == plain)
        .map(str::to_owned)
}
