//! A job with what its description leaves open chosen, and the defaults that were taken.
//!
//! A strategy or micro-batch that is not stated is the framework's default; else the least sharding, and with it the largest
//! micro-batch, whose estimated memory fits with a margin. A stated global batch is kept. Run tables and records are not
//! read so: what they leave out is unknown.

use serde::Serialize;

use crate::base::error::Result;
use crate::base::words::words;
use crate::job::catalog::Catalog;
use crate::job::fields::fields;
use crate::job::parallelism::{DataParallel, Strategy};
use crate::job::workload::{Amount, Framework};
use crate::job::{Job, JobSpec, Resolver};
use crate::memory::{Memory, Recipe};

/// Strategies from the least sharding to the most.
const STRATEGIES: [DataParallel; 3] = [DataParallel::Ddp, DataParallel::Zero1, DataParallel::Fsdp];

/// Largest chosen micro-batch: the largest of the runs that the built-in law was fitted on.
pub(crate) const MAX_MICRO_BATCH: u64 = 256;

/// Micro-batch of Hugging Face's Trainer: `per_device_train_batch_size` (transformers 5.24.0, `training_args.py`).
const TRAINER_MICRO_BATCH: u64 = 8;

/// A field of a job with a default that the answer rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DefaultField {
    /// What data-parallel ranks shard.
    Strategy,
    /// Sequences of a micro-batch.
    MicroBatch,
    /// Micro-batches of a step.
    GradAccum,
    /// Number format of products.
    Precision,
    /// Update rule.
    Optimizer,
    /// Recomputed activations.
    Checkpointing,
    /// Attention kernel.
    Attention,
    /// Software stack.
    Framework,
    /// Accelerators a node.
    GpusPerNode,
    /// Kind of the network between nodes.
    Network,
    /// Bandwidth of the network between nodes.
    NetworkGbPerS,
    /// Share of padding.
    PaddingShare,
    /// Training task.
    Task,
    /// Number format of updated weights.
    StatePrecision,
    /// Power limit of an accelerator.
    PowerLimitW,
    /// Power of a node besides its accelerators.
    HostPowerW,
}

words!(DefaultField, "field": Strategy = "strategy", MicroBatch = "micro_batch", GradAccum = "grad_accum",
    Precision = "precision", Optimizer = "optimizer", Checkpointing = "checkpointing", Attention = "attention",
    Framework = "framework", GpusPerNode = "gpus_per_node", Network = "network", NetworkGbPerS = "network_gb_per_s",
    PaddingShare = "padding_share", Task = "task", StatePrecision = "state_precision", PowerLimitW = "power_limit_w",
    HostPowerW = "host_power_w");

impl DefaultField {
    /// All, in the order of an answer.
    const ALL: [Self; 16] = [
        Self::Strategy,
        Self::MicroBatch,
        Self::GradAccum,
        Self::Precision,
        Self::Optimizer,
        Self::Checkpointing,
        Self::Attention,
        Self::Framework,
        Self::GpusPerNode,
        Self::Network,
        Self::NetworkGbPerS,
        Self::PaddingShare,
        Self::Task,
        Self::StatePrecision,
        Self::PowerLimitW,
        Self::HostPowerW,
    ];

    /// Whether a job has the field at all.
    const fn applies(self, job: &Job) -> bool {
        match self {
            Self::Strategy => job.parallelism.replicas() > 1,
            Self::GpusPerNode => job.system.gpus > 1,
            Self::Network | Self::NetworkGbPerS => job.system.nodes() > 1,
            Self::MicroBatch
            | Self::GradAccum
            | Self::Precision
            | Self::Optimizer
            | Self::Checkpointing
            | Self::Attention
            | Self::Framework
            | Self::PaddingShare
            | Self::Task
            | Self::StatePrecision
            | Self::PowerLimitW
            | Self::HostPowerW => true,
        }
    }
}

/// Where a default comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DefaultSource {
    /// The framework's own default.
    Framework,
    /// The least sharding, or the largest micro-batch, that fits in memory.
    Memory,
    /// The catalogue's entry of the accelerator.
    Accelerator,
    /// A convention of this library.
    Convention,
}

words!(DefaultSource, "source of a default": Framework = "framework", Memory = "memory", Accelerator = "accelerator",
    Convention = "convention");

/// A default that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TakenDefault {
    /// The field.
    pub field: DefaultField,
    /// Its value, as a job file has it.
    pub value: String,
    /// Where the value comes from.
    pub source: DefaultSource,
}

impl TakenDefault {
    /// Whether it is shown beside the answer; the others change it little, or other scopes of energy alone.
    pub(super) const fn is_shown(&self) -> bool {
        match self.field {
            DefaultField::Strategy
            | DefaultField::MicroBatch
            | DefaultField::GradAccum
            | DefaultField::Precision
            | DefaultField::Optimizer
            | DefaultField::Checkpointing
            | DefaultField::Attention
            | DefaultField::Framework
            | DefaultField::GpusPerNode
            | DefaultField::Network => true,
            DefaultField::NetworkGbPerS
            | DefaultField::PaddingShare
            | DefaultField::Task
            | DefaultField::StatePrecision
            | DefaultField::PowerLimitW
            | DefaultField::HostPowerW => false,
        }
    }

    /// A few words for a list of defaults.
    pub fn short(&self) -> String {
        let value = &self.value;
        match self.field {
            DefaultField::Strategy | DefaultField::Precision | DefaultField::Optimizer => {
                value.clone()
            }
            DefaultField::Checkpointing => format!("{} checkpointing", no(value)),
            DefaultField::Attention => format!("{value} attention"),
            DefaultField::GpusPerNode => format!("{value} GPUs a node"),
            DefaultField::MicroBatch
            | DefaultField::GradAccum
            | DefaultField::Framework
            | DefaultField::Network
            | DefaultField::NetworkGbPerS
            | DefaultField::PaddingShare
            | DefaultField::Task
            | DefaultField::StatePrecision
            | DefaultField::PowerLimitW
            | DefaultField::HostPowerW => format!("{} {value}", self.field),
        }
    }
}

fn no(value: &str) -> &str {
    if value == "none" { "no" } else { value }
}

/// A job whose open fields are chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct ChosenJob {
    /// The job. Its [`spec`](Job::spec) states every choice, so jobs that are compared with it keep them.
    pub job: Job,
    /// The defaults that were taken, the most important first.
    pub defaults: Vec<TakenDefault>,
}

/// Values to try for a field that is not stated, in order, and where they come from.
struct Open<T> {
    values: Vec<T>,
    source: DefaultSource,
}

impl ChosenJob {
    /// Resolves a description, choosing a strategy and a micro-batch where it states none.
    ///
    /// Where nothing fits in memory, the job has the most sharding and the smallest micro-batch.
    ///
    /// # Errors
    /// As [`JobSpec::resolve`], except for an absent micro-batch.
    pub fn new(spec: &JobSpec, catalog: &Catalog) -> Result<Self> {
        let (job, chosen) = choose(spec, &mut |spec| spec.resolve(catalog))?;
        Ok(Self { defaults: defaults(spec, &job, catalog, &chosen)?, job })
    }

    /// The job alone, of one of many descriptions.
    ///
    /// # Errors
    /// As [`ChosenJob::new`].
    pub fn job(spec: &JobSpec, resolver: &mut Resolver<'_>) -> Result<Job> {
        Ok(choose(spec, &mut |spec| resolver.resolve(spec))?.0)
    }
}

/// Resolves a description.
type Resolve<'a> = dyn FnMut(&JobSpec) -> Result<Job> + 'a;

/// A job with its open fields chosen, and which were chosen by what.
fn choose(
    spec: &JobSpec,
    resolve: &mut Resolve<'_>,
) -> Result<(Job, Vec<(DefaultField, DefaultSource)>)> {
    let open_batch = !spec.workload.states_micro_batch();
    let split = &spec.parallelism;
    let open_strategy = split.strategy.is_none() && split.shard_group.is_none();
    let mut chosen = Vec::new();
    if !open_batch && !open_strategy {
        return Ok((resolve(spec)?, chosen));
    }
    // a single sequence divides every batch
    let micro = open_batch.then_some(1);
    let smallest = resolve(&with(spec, None, micro)).or_else(|error| {
        // states on the host need ranks that share them
        let sharded = with(spec, Some(DataParallel::Fsdp), micro);
        if open_strategy { resolve(&sharded).map_err(|_| error) } else { Err(error) }
    })?;
    let strategies =
        (open_strategy && smallest.parallelism.replicas() > 1).then(|| open_strategies(&smallest));
    let batches = open_batch.then(|| open_batches(spec, &smallest));
    if let Some(open) = &strategies {
        chosen.push((DefaultField::Strategy, open.source));
    }
    if let Some(open) = &batches {
        chosen.push((DefaultField::MicroBatch, open.source));
    }
    if chosen.is_empty() {
        return Ok((smallest, chosen));
    }
    Ok((first_that_fits(spec, strategies, batches, smallest, resolve)?, chosen))
}

/// The job of the first strategy with which a micro-batch fits, with the first such micro-batch; else that of the last ones.
fn first_that_fits(
    spec: &JobSpec,
    strategies: Option<Open<DataParallel>>,
    batches: Option<Open<u64>>,
    smallest: Job,
    resolve: &mut Resolve<'_>,
) -> Result<Job> {
    fn every<T>(open: Option<Open<T>>) -> Vec<Option<T>> {
        open.map_or_else(|| vec![None], |open| open.values.into_iter().map(Some).collect())
    }
    let batches = every(batches);
    let mut job = smallest;
    for strategy in every(strategies) {
        for batch in &batches {
            // a strategy may not have what the job asks for, nor the framework the strategy
            let Ok(tried) = resolve(&with(spec, strategy, *batch)) else { continue };
            let Ok(recipe) = Recipe::for_job(&tried) else { continue };
            if Memory::with_recipe(&tried, &recipe).fits_with_room() {
                return Ok(tried);
            }
            job = tried;
        }
    }
    Ok(job)
}

/// The description with a chosen strategy and micro-batch.
fn with(spec: &JobSpec, strategy: Option<DataParallel>, micro_batch: Option<u64>) -> JobSpec {
    let mut spec = spec.clone();
    spec.parallelism.strategy = spec.parallelism.strategy.or(strategy.map(Strategy::data));
    spec.workload.micro_batch = spec.workload.micro_batch.or(micro_batch);
    spec
}

/// Strategies of data-parallel ranks: FSDP2 shards over all ranks (torchtitan, `data_parallel_shard_degree` −1).
fn open_strategies(job: &Job) -> Open<DataParallel> {
    if job.workload.framework.framework == Framework::Fsdp2 {
        return Open { values: vec![DataParallel::Fsdp], source: DefaultSource::Framework };
    }
    Open { values: STRATEGIES.to_vec(), source: DefaultSource::Memory }
}

/// Micro-batches, the largest first: powers of two that divide a stated global batch and leave the run a whole step.
fn open_batches(spec: &JobSpec, smallest: &Job) -> Open<u64> {
    let steps = match smallest.workload.amount {
        Amount::Steps(_) => f64::INFINITY,
        Amount::Tokens(_) | Amount::Epochs { .. } => smallest.steps(),
    };
    // with a global batch, `grad_accum` of the smallest micro-batch is the sequences a rank has in a step
    let sequences = spec.workload.global_batch.map(|_| smallest.workload.grad_accum);
    let pipelined = smallest.parallelism.virtual_stages > 1;
    let possible = |micro: &u64| match sequences {
        Some(sequences) => {
            let rounds = sequences / micro;
            sequences.is_multiple_of(*micro)
                && (!pipelined || rounds.is_multiple_of(smallest.parallelism.pp))
        }
        None => *micro as f64 <= steps,
    };
    let trainer = smallest.workload.framework.framework == Framework::Accelerate;
    let most = if trainer { TRAINER_MICRO_BATCH } else { MAX_MICRO_BATCH };
    let powers = (0..).map(|power| 1_u64 << power).take_while(|micro| *micro <= most);
    let mut values: Vec<u64> = powers.filter(|micro| *micro == 1 || possible(micro)).collect();
    values.reverse();
    if trainer {
        // the Trainer does not look at the memory
        values.truncate(1);
        return Open { values, source: DefaultSource::Framework };
    }
    Open { values, source: DefaultSource::Memory }
}

/// The defaults of a job: fields that its description leaves open.
fn defaults(
    spec: &JobSpec,
    job: &Job,
    catalog: &Catalog,
    chosen: &[(DefaultField, DefaultSource)],
) -> Result<Vec<TakenDefault>> {
    let mut stated = spec.clone();
    if let Some(name) = &spec.system.name {
        stated.system = stated.system.with_fallback(catalog.system(name)?.spec());
    }
    if stated.system.nodes.is_some() {
        // what a node holds follows
        stated.system.gpus_per_node = Some(job.system.gpus_per_node);
    }
    let follows = spec.workload.global_batch.is_some();
    let full = job.spec();
    let taken = DefaultField::ALL.into_iter().filter(|field| field.applies(job)).filter_map(|of| {
        let field = fields().find(|field| field.column == of.name())?;
        let has = (field.get)(&stated).is_some();
        let is_chosen = chosen.iter().find(|(field, _)| *field == of);
        let sizes = matches!(of, DefaultField::MicroBatch | DefaultField::GradAccum);
        if has || (sizes && follows && is_chosen.is_none()) {
            return None;
        }
        let source = is_chosen.map_or_else(|| usual_source(of), |(_, source)| *source);
        let value = match of {
            // a network without a name
            DefaultField::Network => job.system.network_kind.to_string(),
            DefaultField::HostPowerW => format!("{:.0}", job.system.node_host_power().value),
            DefaultField::Strategy
            | DefaultField::MicroBatch
            | DefaultField::GradAccum
            | DefaultField::Precision
            | DefaultField::Optimizer
            | DefaultField::Checkpointing
            | DefaultField::Attention
            | DefaultField::Framework
            | DefaultField::GpusPerNode
            | DefaultField::NetworkGbPerS
            | DefaultField::PaddingShare
            | DefaultField::Task
            | DefaultField::StatePrecision
            | DefaultField::PowerLimitW => (field.get)(&full)?,
        };
        Some(TakenDefault { field: of, value, source })
    });
    Ok(taken.collect())
}

const fn usual_source(field: DefaultField) -> DefaultSource {
    match field {
        DefaultField::Precision | DefaultField::PowerLimitW => DefaultSource::Accelerator,
        DefaultField::Strategy
        | DefaultField::MicroBatch
        | DefaultField::GradAccum
        | DefaultField::Optimizer
        | DefaultField::Checkpointing
        | DefaultField::Attention
        | DefaultField::Framework
        | DefaultField::GpusPerNode
        | DefaultField::Network
        | DefaultField::NetworkGbPerS
        | DefaultField::PaddingShare
        | DefaultField::Task
        | DefaultField::StatePrecision
        | DefaultField::HostPowerW => DefaultSource::Convention,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::built_in;

    fn choose(text: &str) -> ChosenJob {
        let spec = JobSpec::from_toml(text).unwrap();
        ChosenJob::new(&spec, &Catalog::built_in().unwrap()).unwrap()
    }

    /// What was chosen: strategy, micro-batch, accumulation, global batch.
    fn sizes(text: &str) -> (String, u64, u64, u64) {
        let job = choose(text).job;
        let w = &job.workload;
        let strategy = job.parallelism.strategy().to_string();
        (strategy, w.micro_batch, w.grad_accum, job.global_batch())
    }

    fn job(model: &str, workload: &str, gpus: u64, parallelism: &str) -> String {
        format!(
            "model.name = '{model}'
             workload = {{ tokens = '1B', seq_len = 1024{workload} }}
             parallelism = {{ {parallelism} }}
             system = {{ gpu = 'a100-sxm4-40gb', gpus = {gpus} }}"
        )
    }

    #[test]
    fn the_least_sharding_and_the_largest_micro_batch_that_fit_are_chosen() {
        let (strategy, micro, ..) = sizes(&job("gpt2", "", 1, ""));
        assert_eq!(strategy, "single");
        assert!(micro.is_power_of_two());
        let fits = |strategy: &str, micro: u64| {
            let spec = job(
                "gpt2-xl",
                &format!(", micro_batch = {micro}"),
                4,
                &format!("strategy = '{strategy}'"),
            );
            Memory::for_job(&choose(&spec).job).fits_with_room()
        };
        let (strategy, micro, ..) = sizes(&job("gpt2-xl", "", 4, ""));
        assert!(fits(&strategy, micro) && !fits(&strategy, 2 * micro), "{strategy} {micro}");
        let before = STRATEGIES.iter().take_while(|s| s.name() != strategy);
        assert!(before.into_iter().all(|less| !fits(less.name(), 1)));
        // no strategy fits: the most sharding
        let (strategy, micro, ..) = sizes(&job("llama-2-70b", "", 4, ""));
        assert_eq!((strategy.as_str(), micro), ("fsdp", 1));
    }

    #[test]
    fn states_on_the_host_are_shared_by_ranks() {
        let chosen = |offload: &str, gpus| {
            sizes(&job("gpt2", &format!(", offload = '{offload}'"), gpus, "")).0
        };
        assert_eq!(chosen("optimizer", 4), "zero1");
        assert_eq!(chosen("parameters", 4), "fsdp");
        assert_eq!(chosen("optimizer", 1), "single");
        assert_eq!(chosen("none", 4), "ddp");
    }

    #[test]
    fn what_is_stated_is_kept() {
        let (strategy, micro, accum, global) =
            sizes(&job("gpt2", ", global_batch = 48", 4, "strategy = 'zero2'"));
        assert_eq!((strategy.as_str(), global), ("zero2", 48));
        assert_eq!((micro, accum), (4, 3));
        let (strategy, micro, accum, _) = sizes(&job("gpt2", ", micro_batch = 3", 4, ""));
        assert_eq!((strategy.as_str(), micro, accum), ("ddp", 3, 1));
        let (_, micro, accum, _) =
            sizes(&job("gpt2", ", global_batch = 48, grad_accum = 2", 4, ""));
        assert_eq!((micro, accum), (6, 2));
        let spec = JobSpec::from_toml(&job("gpt2", ", global_batch = 50", 4, "")).unwrap();
        let error = ChosenJob::new(&spec, &Catalog::built_in().unwrap()).unwrap_err().to_string();
        assert_eq!(
            error,
            "global_batch is 50, but it must be a multiple of dp 4, such as 48 or 52"
        );
    }

    #[test]
    fn a_framework_has_its_own_defaults() {
        let trainer = choose(&job("gpt2", ", framework = 'accelerate'", 4, ""));
        assert_eq!(trainer.job.workload.micro_batch, 8);
        assert_eq!(trainer.defaults[1].source, DefaultSource::Framework);
        let sharded = choose(&job("gpt2", ", framework = 'fsdp2'", 4, ""));
        assert_eq!(sharded.defaults[0].value, "fsdp");
        assert_eq!(sharded.defaults[0].source, DefaultSource::Framework);
        assert_eq!(sharded.defaults[1].source, DefaultSource::Memory);
    }

    #[test]
    fn a_strategy_that_a_framework_lacks_is_not_chosen() {
        // nothing that nanotron has fits, and FSDP it does not have
        let (strategy, micro, ..) = sizes(&job("llama-2-70b", ", framework = 'nanotron'", 4, ""));
        assert_eq!((strategy.as_str(), micro), ("zero1", 1));
    }

    #[test]
    fn a_run_has_at_least_a_step() {
        let text = job("gpt2", "", 4, "").replace("1B", "16384");
        // 16 sequences on four ranks
        assert_eq!(sizes(&text).1, 4);
    }

    #[test]
    fn the_chosen_job_is_that_of_its_description() {
        let chosen = choose(&job("gpt2-xl", ", global_batch = 32", 4, ""));
        let again = chosen.job.spec().resolve(&Catalog::built_in().unwrap()).unwrap();
        assert_eq!(again, chosen.job);
        let spec = chosen.job.spec();
        let stated = ChosenJob::new(&spec, &Catalog::built_in().unwrap()).unwrap();
        assert_eq!(stated.job, chosen.job);
        // no description states what a host draws, so that it stays a default
        let fields: Vec<DefaultField> = stated.defaults.iter().map(|taken| taken.field).collect();
        assert_eq!(fields, [DefaultField::HostPowerW]);
    }

    #[test]
    fn defaults_are_named_with_their_source() {
        let text = job("gpt2", ", micro_batch = 4, grad_accum = 2, optimizer = 'sgd'", 2, "");
        let of: Vec<String> = choose(&text).defaults.iter().map(TakenDefault::short).collect();
        assert_eq!(
            of[..7],
            [
                "ddp",
                "bf16",
                "no checkpointing",
                "flash attention",
                "framework unknown",
                "2 GPUs a node",
                "padding_share 0"
            ]
        );
    }

    /// Each size is accepted alone, and their product is beyond 64 bits.
    #[test]
    fn sizes_beyond_a_machine_word_are_no_overflow() {
        let huge = 1_u64 << 24;
        let text = job("gpt2", &format!(", micro_batch = {huge}, grad_accum = {huge}"), huge, "");
        assert_eq!(choose(&text).job.global_batch(), u64::MAX);
    }

    #[test]
    fn the_largest_micro_batch_is_that_of_the_fitted_runs() {
        let range = built_in().unwrap().range;
        let of = range.iter().find(|range| range.variable == "micro_batch").unwrap();
        assert_eq!(of.max, Some(MAX_MICRO_BATCH as f64));
    }
}
