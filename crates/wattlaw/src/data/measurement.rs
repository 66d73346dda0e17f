//! A measurement: a job that was run, and what was measured of it.
//!
//! It goes as it is from a record or a row of a run table to the fit; `docs/reference/run-table.md` documents the table.

use serde::Serialize;

use crate::base::amount::Count;
use crate::base::error::{Error, Result};
use crate::base::scope::{Covers, Scope};
use crate::base::units::{Joules, Seconds};
use crate::job::catalog::Catalog;
use crate::job::model::{Architecture, ModelType};
use crate::job::parallelism::{Strategy, StrategyKind};
use crate::job::workload::WorkloadSpec;
use crate::job::{Job, JobSpec};

/// One measured training run, or the mean of several alike.
///
/// What a source leaves open of the job or of the measurement stays open; what it says has been checked: positive, finite,
/// whole where it counts. The job never lacks a family, a shape and accelerators, so that runs can be grouped by them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measurement {
    /// Line of the table, the header being line 1.
    pub line: u64,
    /// The run's name; its line where the table has none.
    pub run_id: String,
    /// The job that was run, as far as its source describes it.
    pub job: DescribedJob,
    /// Name of the data that were trained on, as the source has it.
    pub dataset: Option<String>,
    /// Longest sequence that was asked for.
    pub max_seq_len: Option<u64>,
    /// Tokens in a sequence where they are a mean over lengths or over several runs.
    pub mean_seq_len: Option<f64>,
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
    /// Passes over the data where the job's amount is told otherwise; a median where several runs are one row.
    pub median_epochs: Option<f64>,
    /// Runs that this row is the mean of.
    pub n_runs: Option<u64>,
    /// Peak memory of a GPU in GiB.
    pub peak_memory_gib: Option<f64>,
    /// What became of it where it did not finish.
    pub outcome: Option<String>,
}

/// A job as the source of a measurement describes it; it names at least family, layers, width, and accelerators, which are
/// checked once.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct DescribedJob {
    spec: JobSpec,
    #[serde(skip)]
    identity: Identity,
}

/// What every measurement says of its job.
#[derive(Debug, Clone, PartialEq)]
struct Identity {
    family: String,
    layers: u64,
    hidden_size: u64,
    gpu: String,
    gpus: u64,
    strategy: Strategy,
}

impl DescribedJob {
    /// Checks a description, and writes its strategy under its whole name.
    ///
    /// # Errors
    /// [`Error::Missing`] where it lacks family, layers, width, accelerator or their number.
    pub fn new(mut spec: JobSpec) -> Result<Self> {
        let (model, split, system) = (&spec.model, &spec.parallelism, &spec.system);
        let missing = |field: &str| Error::missing(field, "a measured run has it");
        let named = model.family.as_deref().ok_or_else(|| missing("family"))?;
        let gpus = system.gpus.ok_or_else(|| missing("gpus"))?;
        let identity = Identity {
            // model types are known to laws by their family, and other words by themselves
            family: match named.parse::<ModelType>() {
                Ok(model_type) => model_type.family().name().to_owned(),
                Err(_) => named.to_lowercase(),
            },
            layers: model.layers.ok_or_else(|| missing("layers"))?,
            hidden_size: model.hidden_size.ok_or_else(|| missing("hidden_size"))?,
            gpu: system.gpu.clone().ok_or_else(|| missing("gpu"))?,
            gpus,
            strategy: split.named_strategy(gpus),
        };
        spec.parallelism.strategy = Some(identity.strategy);
        Ok(Self { spec, identity })
    }

    /// The description.
    pub const fn spec(&self) -> &JobSpec {
        &self.spec
    }
}

impl Measurement {
    /// A measurement of a job with nothing measured of it yet.
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

    /// A measurement of a job whose model and accelerator are looked up and whose defaults are written out. What is trained
    /// and how much of it may stay open.
    ///
    /// # Errors
    /// Those of [`JobSpec::resolve`] but for an amount, a sequence length and a micro-batch that are absent.
    pub fn described(run_id: &str, spec: &JobSpec, catalog: &Catalog) -> Result<Self> {
        let architecture = catalog.architecture(&spec.model)?;
        let job = with_tokens(spec, 1, &architecture).resolve(catalog)?;
        let mut filled = spec.with_defaults(&job);
        filled.model.name = Some(architecture.name);
        filled.system.gpu = Some(job.system.accelerator.name.clone());
        let (said, workload) = (&spec.workload, &mut filled.workload);
        // what stood in for an absent figure was no default
        if said.micro_batch.is_none() {
            (workload.micro_batch, workload.grad_accum) = (None, said.grad_accum);
        }
        if said.seq_len.is_none() && job.architecture.image.is_none() {
            (workload.seq_len, workload.decoder_seq_len) = (None, said.decoder_seq_len);
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

    /// The family that laws know the model by; another word where the source's is no model type.
    pub fn family(&self) -> &str {
        &self.job.identity.family
    }

    /// Layers; of the decoder in an encoder–decoder.
    pub const fn layers(&self) -> u64 {
        self.job.identity.layers
    }

    /// Width of the residual stream.
    pub const fn hidden_size(&self) -> u64 {
        self.job.identity.hidden_size
    }

    /// The accelerator, as the source names it.
    pub fn gpu(&self) -> &str {
        &self.job.identity.gpu
    }

    /// Accelerators in all.
    pub const fn gpus(&self) -> u64 {
        self.job.identity.gpus
    }

    /// How the job was spread, by kind.
    pub const fn strategy(&self) -> Strategy {
        self.job.identity.strategy
    }

    /// The kind of parallelism that moves the most bytes, by which laws group runs.
    pub const fn strategy_kind(&self) -> StrategyKind {
        self.job.identity.strategy.kind()
    }

    /// Tokens in a sequence, padding included; a mean where lengths vary.
    pub fn seq_len(&self) -> Option<f64> {
        self.mean_seq_len.or(self.job().workload.seq_len.map(|n| n as f64))
    }

    /// Sequences that a data-parallel rank took at once.
    pub const fn micro_batch(&self) -> Option<u64> {
        self.job().workload.micro_batch
    }

    /// The shape, for grouping: layers × hidden size.
    pub fn architecture(&self) -> String {
        format!("{}x{}", self.layers(), self.hidden_size())
    }

    /// Everything known before the run but GPU count and strategy, joined by `|`: runs that share it are one
    /// configuration family and are never split between training and test.
    ///
    /// The columns and their order are the study's (`family_key` of its reference figures).
    pub fn config_family(&self) -> String {
        format!("{}|{}", self.gpu(), self.workload_family())
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

    /// What was learnt: the data's name, or else the task.
    pub fn data_or_task(&self) -> Option<&str> {
        self.dataset.as_deref().or(self.job().workload.task.as_deref())
    }

    /// Micro-steps that one data-parallel rank took in the whole run, where the source tells.
    pub fn micro_steps(&self) -> Option<f64> {
        let ranks = match (self.job().parallelism.dp, self.strategy_kind()) {
            (Some(dp), _) => dp,
            (None, StrategyKind::Tensor | StrategyKind::Pipeline) => 1,
            (None, _) => self.gpus(),
        };
        Some(self.tokens? / (self.micro_batch()? as f64 * self.seq_len()? * ranks as f64))
    }

    /// Passes over the data.
    pub fn epochs(&self) -> Option<f64> {
        self.median_epochs.or(self.job().workload.epochs)
    }

    /// Whether nothing of the energy was measured: a power that was stated, times the time.
    pub fn energy_is_assumed(&self) -> bool {
        self.meter
            .as_ref()
            .is_some_and(|meter| meter.split_whitespace().all(|word| word.ends_with(":assumed")))
    }

    /// Whether this is a run on one GPU that others can be compared with.
    pub const fn is_baseline(&self) -> bool {
        self.gpus() == 1
    }

    /// The job that was run, with as many tokens as were trained on, so that its cost can be counted.
    ///
    /// A source that says no micro-batch is taken to train one sequence at a time.
    ///
    /// # Errors
    /// [`Error::Missing`] where tokens and the job's own amount are absent, or the sequence length of a text model is; and
    /// those of [`JobSpec::resolve`].
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
        let said = [workload.tokens.is_some(), workload.steps.is_some(), workload.epochs.is_some()];
        match self.tokens {
            Some(tokens) => {
                let whole = (tokens.round() as u64).max(1);
                with_tokens(&spec, whole, &architecture).resolve(catalog)
            }
            None if said.contains(&true) => spec.resolve(catalog),
            None => Err(Error::missing("tokens", "the cost of a run cannot be counted without it")),
        }
    }
}

/// A description that trains on so many tokens, with one sequence of one token where it says no size.
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
            micro_batch: workload.micro_batch.or(Some(1)),
            ..workload.clone()
        },
        ..spec.clone()
    }
}

/// The task that a table's word stands for, where it is a task's name or a data set known for one.
///
/// The GLUE benchmark's data sets are classifications (Wang et al. 2019, table 1); other data sets leave the family's
/// own task.
pub(crate) fn task_name(word: &str) -> Option<String> {
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
