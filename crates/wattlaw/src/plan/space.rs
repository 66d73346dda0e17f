//! The space of configurations: for each kind and number of accelerators and each precision, the ways to lay the job out on
//! them.

use super::Request;
use super::choice::Choice;
use super::objective::{Constraint, Objective};
use super::pool::{GpuCounts, Pool};
use crate::base::error::{Error, Result};
use crate::base::units::Watts;
use crate::cost::{AttentionFlops, Cost};
use crate::job::catalog::Catalog;
use crate::job::parallelism::{
    ContextExchange, DataParallel, Parallelism, ParallelismSpec, Partition, Schedule, Strategy,
};
use crate::job::system::{System, SystemSpec};
use crate::job::workload::{Checkpointing, Offload, Precision, WorkloadSpec};
use crate::job::{Job, JobSpec};
use crate::law::roofline::{Answer, Groups, RooflineFit};
use crate::predict::scope::Weights;
use crate::predict::{ChosenJob, MAX_MICRO_BATCH};

/// The job on one kind and number of accelerators in one precision, with what all its configurations share.
pub(super) struct Template<'a> {
    pub job: Job,
    /// The law of its groups.
    pub answer: Answer<'a>,
    /// Time at peak FLOP/s in seconds, which no run is faster than.
    pub at_peak_s: f64,
    /// Power limits to choose from, in watts.
    pub power_limits: Vec<f64>,
    pub quantities: Quantities,
    /// Positions of the kind, the number and the precision among all of the space.
    codes: [u16; 3],
}

/// What is minimised and limited, each a sum of energy and time on the template's machines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quantities {
    pub energy: Weights,
    pub objective: Weights,
    /// The two quantities of the front.
    pub first: Weights,
    pub second: Weights,
    /// Each constraint with its limit, where there is one.
    pub constraints: [Option<(Weights, f64)>; Constraint::ALL.len()],
}

impl Quantities {
    fn new(request: &Request, system: &System) -> Result<Self> {
        let of = |objective: Objective| objective.weights(system, request.scope);
        let mut constraints = [None; Constraint::ALL.len()];
        for (kept, constraint) in constraints.iter_mut().zip(Constraint::ALL) {
            if let Some(limit) = request.limits.of(constraint) {
                *kept = Some((of(constraint.objective())?, limit));
            }
        }
        let [first, second] = request.tradeoff();
        Ok(Self {
            energy: of(Objective::Energy)?,
            objective: of(request.objective)?,
            first: of(first)?,
            second: of(second)?,
            constraints,
        })
    }
}

/// One way to lay a job out: everything but micro-batch, checkpointing and power limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// The position of its template.
    pub template: u32,
    pub parallelism: Parallelism,
    /// Ordinal of its first configuration.
    first: u64,
}

/// A configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Its position in the space; of equals the first is taken.
    pub ordinal: u64,
    pub template: u32,
    pub parallelism: Parallelism,
    pub micro_batch: u64,
    pub grad_accum: u64,
    pub checkpointing: Checkpointing,
    /// Position among the template's power limits.
    pub power_limit: u16,
}

impl Candidate {
    /// The same under another of the template's power limits; it has the first one.
    pub(super) fn with_limit(self, at: usize) -> Self {
        // there are at most a thousand
        let power_limit = u16::try_from(at).unwrap_or(u16::MAX);
        Self { ordinal: self.ordinal + at as u64, power_limit, ..self }
    }

    /// Whether an interleaved pipeline has whole rounds of micro-batches.
    pub(super) const fn divides_a_pipeline(&self) -> bool {
        match self.parallelism.schedule {
            Schedule::OneForwardOneBackward => true,
            Schedule::Interleaved => self.grad_accum.is_multiple_of(self.parallelism.pp),
        }
    }
}

/// All configurations.
pub(super) struct Space<'a> {
    pub templates: Vec<Template<'a>>,
    pub layouts: Vec<Layout>,
    /// Configurations whose heads, layers, positions or batch do not divide: their number, and the first of them.
    pub undivided: Option<(u64, Layout)>,
    pub global_batch: u64,
    /// The padding of the vocabulary that the job states.
    vocab_multiple: Option<u64>,
    micro_batch: Option<u64>,
    checkpointing: Vec<Checkpointing>,
    size: u128,
    /// Layouts in all, kept or not.
    laid_out: usize,
    /// Different numbers of accelerators, in the order in which they were met.
    counts: Vec<u64>,
    /// The kinds of accelerators, each with the most of them and the accelerators of a node.
    most: Vec<(Pool, u64, u64)>,
}

/// Configurations that a search decides at most.
const MAX_CONFIGURATIONS: u128 = 1_000_000_000;

/// The most layouts of a space.
const MAX_LAYOUTS: usize = 5_000_000;

/// Layouts after which a space is no longer counted: seconds.
const MAX_COUNTED: usize = 2 * MAX_LAYOUTS;

/// Values of each choice that are told apart.
pub(super) type Codes = [u16; Choice::ALL.len()];

impl<'a> Space<'a> {
    /// Enumerates the space.
    ///
    /// # Errors
    /// Those of [`JobSpec::resolve`] for the job on any of the machines; [`Error::Data`] for no number of accelerators within
    /// the limits; [`Error::Invalid`] for too many layouts.
    pub(super) fn new(request: &Request, catalog: &Catalog, law: &'a RooflineFit) -> Result<Self> {
        let base = base(request, catalog)?;
        let architecture = catalog.architecture(&request.spec.model)?;
        let keep = |choice: Choice| request.keep.contains(&choice);
        let mut space = Self {
            templates: Vec::new(),
            layouts: Vec::new(),
            undivided: None,
            global_batch: base.global_batch(),
            vocab_multiple: architecture.vocab_multiple,
            micro_batch: keep(Choice::MicroBatch).then_some(base.workload.micro_batch),
            checkpointing: if keep(Choice::Checkpointing) {
                vec![base.workload.checkpointing]
            } else {
                vec![Checkpointing::None, Checkpointing::Selective, Checkpointing::Full]
            },
            size: 0,
            laid_out: 0,
            counts: Vec::new(),
            most: Vec::new(),
        };
        let pools = pools(request, &base);
        for (kind, pool) in pools.iter().enumerate() {
            for (at, precision) in precisions(request, &base).into_iter().enumerate() {
                space.add(request, catalog, law, &base, (kind, pool), (at, precision))?;
            }
        }
        if space.templates.is_empty() {
            return Err(Error::Data(
                "of the numbers of accelerators, none of the given ones is within --max-gpus and in whole nodes"
                    .to_owned(),
            ));
        }
        space.check_size(request, pools.len())?;
        Ok(space)
    }

    /// Checks that the space can be searched.
    ///
    /// # Errors
    /// [`Error::Invalid`] with its size and what makes it large.
    fn check_size(&self, request: &Request, kinds: usize) -> Result<()> {
        if self.size <= MAX_CONFIGURATIONS && self.layouts.len() <= MAX_LAYOUTS {
            return Ok(());
        }
        let limits = self.templates.iter().map(|of| of.power_limits.len()).max().unwrap_or(0);
        Err(Error::invalid(
            "the space of plans",
            if self.laid_out > MAX_COUNTED {
                format!("over {} configurations", self.size)
            } else {
                format!("{} configurations", self.size)
            },
            format!(
                "at most {MAX_CONFIGURATIONS} on {MAX_LAYOUTS} layouts are searched; of its {kinds} kinds and {} numbers of accelerators, \
                 {limits} power limits and {} precisions give fewer, or keep some choices (--keep)",
                self.counts.len(),
                request.precisions.len().max(1),
            ),
        ))
    }

    /// The kinds of accelerators, each with the most of them and the accelerators of a node.
    pub(super) fn most(&self) -> impl Iterator<Item = (&Pool, u64, u64)> {
        self.most.iter().map(|(pool, gpus, per_node)| (pool, *gpus, *per_node))
    }

    /// Adds the configurations of one kind of accelerators in one precision.
    fn add(
        &mut self,
        request: &Request,
        catalog: &Catalog,
        law: &'a RooflineFit,
        base: &Job,
        (kind, pool): (usize, &Pool),
        (at, precision): (usize, Precision),
    ) -> Result<()> {
        let keep = |choice: Choice| request.keep.contains(&choice);
        let system = with_preset(&pool.system, catalog)?;
        let per_node = system.gpus_per_node.unwrap_or(8).max(1);
        let most = request.limits.max_gpus.unwrap_or(u64::MAX);
        let counts = pool.counts.within(per_node, most)?;
        if let (Some(last), 0) = (counts.last(), at) {
            self.most.push((pool.clone(), *last, per_node.min(*last)));
        }
        for gpus in counts {
            if self.laid_out > MAX_COUNTED {
                break;
            }
            let job = on(request, catalog, &system, per_node.min(gpus), gpus, precision)?;
            let groups = Groups::for_job(&job);
            let answer = match self.templates.last() {
                Some(last) if Groups::for_job(&last.job) == groups => last.answer.clone(),
                _ => law.answer(&groups),
            };
            let tdp = job.system.tdp.value();
            let power_limits = match pool.system.power_limit_w.or(request.spec.system.power_limit_w)
            {
                Some(limit) => vec![limit],
                None if keep(Choice::PowerLimit) => vec![tdp],
                None => request.power_limits.iter().map(|share| share * tdp).collect(),
            };
            // resolve() checks that the accelerator has a peak for the precision
            let peak = job.system.accelerator.peak(precision).map_or(f64::NAN, |peak| peak.value());
            let template = u32::try_from(self.templates.len()).unwrap_or(u32::MAX);
            let count = self.counts.iter().position(|n| *n == gpus).unwrap_or_else(|| {
                self.counts.push(gpus);
                self.counts.len() - 1
            });
            let code = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
            self.templates.push(Template {
                at_peak_s: model_flops(&job, self.global_batch) / (peak * gpus as f64),
                answer,
                power_limits,
                quantities: Quantities::new(request, &job.system)?,
                codes: [code(kind), code(count), code(at)],
                job,
            });
            self.lay_out(request, base, template);
        }
        Ok(())
    }

    /// Adds the layouts of a template.
    fn lay_out(&mut self, request: &Request, base: &Job, template: u32) {
        let job = &self.templates[template as usize].job;
        let (gpus, per_node, layers) =
            (job.system.gpus, job.system.gpus_per_node, job.architecture.layers);
        let keep = |choice: Choice| request.keep.contains(&choice);
        let kept = base.parallelism;
        let framework = job.workload.framework.framework;
        let mut found = Vec::new();
        let degrees = |of: u64, choice: Choice, kept: u64| -> Vec<u64> {
            let all = divisors(of).into_iter();
            all.filter(|n| !keep(choice) || *n == kept).collect()
        };
        let splits = |replicas: u64| -> Vec<[u64; 2]> {
            let contexts = if keep(Choice::Cp) { vec![kept.cp] } else { contexts(job, replicas) };
            let experts =
                if keep(Choice::Ep) { vec![kept.ep] } else { expert_ranks(job, replicas) };
            let pairs = contexts.iter().flat_map(|cp| experts.iter().map(|ep| [*cp, *ep]));
            pairs.filter(|[cp, ep]| [cp, ep].iter().all(|n| replicas.is_multiple_of(**n))).collect()
        };
        let exchange = request
            .spec
            .parallelism
            .context_exchange
            .unwrap_or(ContextExchange::of_framework(framework));
        for tp in degrees(per_node, Choice::Tp, kept.tp) {
            let pipelines = degrees(gpus / tp, Choice::Pp, kept.pp);
            for pp in pipelines.into_iter().filter(|pp| *pp == 1 || *pp <= layers) {
                let replicas = gpus / (tp * pp);
                let all = sharding(replicas, &job.system, tp).into_iter();
                let strategies = all.filter(|(data, _)| {
                    let both = replicas > 1 && kept.replicas() > 1;
                    !(keep(Choice::Strategy) && both) || *data == kept.data
                });
                let choices = strategies
                    .flat_map(|data| splits(replicas).into_iter().map(move |split| (data, split)))
                    .filter(|((data, group), [_, ep])| {
                        !data.shards_optimizer() || group.is_multiple_of(*ep)
                    });
                for (data, [cp, ep]) in choices {
                    for sequence_parallel in [false, true] {
                        let other = keep(Choice::SequenceParallel)
                            && sequence_parallel != kept.sequence_parallel;
                        if tp == 1 && sequence_parallel || tp > 1 && other {
                            continue;
                        }
                        let plain = Parallelism {
                            dp: replicas / cp,
                            tp,
                            pp,
                            cp,
                            context_exchange: if cp > 1 { exchange } else { ContextExchange::Ring },
                            ep,
                            data: data.0,
                            shard_group: data.1,
                            tensor_scope: kept.tensor_scope,
                            sequence_parallel,
                            schedule: Schedule::OneForwardOneBackward,
                            virtual_stages: 1,
                            partition: Partition::of_framework(framework),
                        };
                        found.extend(schedules(plain, layers).filter(|p| {
                            !keep(Choice::Schedule)
                                || pp == 1
                                || (p.schedule, p.virtual_stages)
                                    == (kept.schedule, kept.virtual_stages)
                        }));
                    }
                }
            }
        }
        for parallelism in found {
            self.push(template, parallelism);
        }
    }

    fn push(&mut self, template: u32, parallelism: Parallelism) {
        let first = u64::try_from(self.size).unwrap_or(u64::MAX);
        let layout = Layout { template, parallelism, first };
        let Template { job, power_limits, .. } = &self.templates[template as usize];
        let inner = self.checkpointing.len() * power_limits.len();
        let divides = parallelism.check(&job.architecture, &job.workload).is_ok();
        let batches = self.micro_batches(&layout);
        if divides && !batches.is_empty() {
            self.size += (inner * batches.len()) as u128;
            // a space that is too large to keep is counted on, so that its size can be said
            self.laid_out += 1;
            if self.layouts.len() <= MAX_LAYOUTS {
                self.layouts.push(layout);
            }
        } else {
            self.size += inner as u128;
            let (count, first) = self.undivided.unwrap_or((0, layout));
            self.undivided = Some((count + inner as u64, first));
        }
    }

    /// Micro-batches of a layout: divisors of the sequences that a data-parallel rank has in a step.
    pub(super) fn micro_batches(&self, layout: &Layout) -> Vec<u64> {
        let dp = layout.parallelism.dp;
        if !self.global_batch.is_multiple_of(dp) {
            return Vec::new();
        }
        let all = divisors(self.global_batch / dp).into_iter();
        all.filter(|n| self.micro_batch.map_or(*n <= MAX_MICRO_BATCH, |kept| *n == kept)).collect()
    }

    /// The configurations of a layout, with the first power limit.
    pub(super) fn candidates(&self, layout: &Layout) -> impl Iterator<Item = Candidate> {
        let limits = self.templates[layout.template as usize].power_limits.len();
        let sequences = self.global_batch / layout.parallelism.dp;
        let (template, parallelism, first) = (layout.template, layout.parallelism, layout.first);
        let batches = self.micro_batches(layout).into_iter();
        let each = batches.flat_map(|micro| self.checkpointing.iter().map(move |c| (micro, *c)));
        each.enumerate().map(move |(at, (micro_batch, checkpointing))| Candidate {
            ordinal: first + (at * limits) as u64,
            template,
            parallelism,
            micro_batch,
            grad_accum: sequences / micro_batch,
            checkpointing,
            power_limit: 0,
        })
    }

    /// A configuration of a layout that does not divide.
    pub(super) fn example(&self, layout: &Layout) -> Candidate {
        Candidate {
            ordinal: layout.first,
            template: layout.template,
            parallelism: layout.parallelism,
            micro_batch: 1,
            grad_accum: (self.global_batch / layout.parallelism.dp).max(1),
            checkpointing: self.checkpointing[0],
            power_limit: 0,
        }
    }

    /// Makes a template's job that of a configuration.
    pub(super) fn apply(&self, candidate: &Candidate, job: &mut Job) {
        let Template { power_limits, .. } = &self.templates[candidate.template as usize];
        let framework = job.workload.framework.framework;
        let padded = framework.vocab_multiple(candidate.parallelism.tp);
        job.architecture.vocab_multiple = self.vocab_multiple.or(Some(padded));
        job.parallelism = candidate.parallelism;
        job.workload.micro_batch = candidate.micro_batch;
        job.workload.grad_accum = candidate.grad_accum;
        job.workload.checkpointing = candidate.checkpointing;
        job.system.power_limit = Watts::new(power_limits[usize::from(candidate.power_limit)]);
    }

    /// The job of a configuration.
    pub(super) fn job(&self, candidate: &Candidate) -> Job {
        let mut job = self.templates[candidate.template as usize].job.clone();
        self.apply(candidate, &mut job);
        job
    }

    /// A configuration in a line.
    pub(super) fn describe(&self, candidate: &Candidate) -> String {
        let job = self.job(candidate);
        let p = &job.parallelism;
        let others: String = [("cp", p.cp), ("ep", p.ep)]
            .into_iter()
            .filter(|(_, degree)| *degree > 1)
            .map(|(name, degree)| format!(" {name} {degree}"))
            .collect();
        format!(
            "{} × {}, {}, dp {} tp {} pp {}{others}, micro_batch {}, checkpointing {}",
            job.system.gpus,
            job.system.accelerator.name,
            p.strategy(),
            p.dp,
            p.tp,
            p.pp,
            candidate.micro_batch,
            candidate.checkpointing,
        )
    }

    /// Positions of the choices' values: equal for equal values.
    pub(super) fn codes(&self, candidate: &Candidate) -> Codes {
        let [kind, count, precision] = self.templates[candidate.template as usize].codes;
        let p = &candidate.parallelism;
        let power = |n: u64| u16::try_from(n).unwrap_or(u16::MAX);
        let checkpointing = match candidate.checkpointing {
            Checkpointing::None => 0,
            Checkpointing::Selective => 1,
            Checkpointing::Full => 2,
        };
        let data = match p.data {
            DataParallel::Single => 0,
            DataParallel::Ddp => 1,
            DataParallel::Zero1 => 2,
            DataParallel::Zero2 => 3,
            DataParallel::Fsdp => 4,
            DataParallel::Hsdp => 5,
        };
        [
            kind,
            count,
            data,
            power(p.tp),
            power(p.pp),
            power(p.cp),
            power(p.ep),
            u16::from(p.sequence_parallel),
            power(p.virtual_stages),
            power(candidate.micro_batch),
            checkpointing,
            precision,
            candidate.power_limit,
        ]
    }
}

/// The job as `predict` would run it, which gives the global batch and the kept choices.
///
/// # Errors
/// [`Error::Missing`] where neither the global batch nor the number of accelerators is stated; those of [`ChosenJob::new`].
fn base(request: &Request, catalog: &Catalog) -> Result<Job> {
    let mut spec = request.spec.clone();
    if let Some(pool) = request.pools.first()
        && spec.system.gpu.is_none()
        && spec.system.name.is_none()
    {
        spec.system.gpu.clone_from(&pool.system.gpu);
        spec.system.name.clone_from(&pool.system.name);
    }
    let placed =
        spec.system.gpus.or(spec.system.nodes).is_some() || spec.parallelism.implied_gpus() > 1;
    if !placed && spec.workload.global_batch.is_none() {
        return Err(Error::missing(
            "global_batch",
            "a plan keeps the sequences of an optimizer step: state them, or the job's own number of GPUs",
        ));
    }
    if placed {
        let chosen = ChosenJob::new(&spec, catalog);
        // a batch that the job's own layout cannot share out is no obstacle where the layout is chosen
        let stated = spec.workload.global_batch.is_some() && spec.system.gpus.is_some();
        if !stated || request.keep.iter().any(|of| of.is_of_layout()) {
            return Ok(chosen?.job);
        }
        if let Ok(chosen) = chosen {
            return Ok(chosen.job);
        }
        (spec.workload.micro_batch, spec.workload.grad_accum) = (None, None);
    }
    (spec.system.gpus, spec.system.nodes) = (None, None);
    spec.parallelism = ParallelismSpec {
        tensor_scope: spec.parallelism.tensor_scope,
        ..ParallelismSpec::default()
    };
    Ok(ChosenJob::new(&spec, catalog)?.job)
}

fn pools(request: &Request, base: &Job) -> Vec<Pool> {
    if !request.pools.is_empty() {
        return request.pools.clone();
    }
    let own = &request.spec.system;
    let gpus = own.gpus.unwrap_or(base.system.gpus);
    let system = SystemSpec { gpus: None, nodes: None, ..own.clone() };
    vec![Pool { system, counts: GpuCounts::one(gpus) }]
}

fn precisions(request: &Request, base: &Job) -> Vec<Precision> {
    match request.precisions.as_slice() {
        [] => vec![base.workload.precision],
        several => several.to_vec(),
    }
}

fn with_preset(system: &SystemSpec, catalog: &Catalog) -> Result<SystemSpec> {
    match &system.name {
        Some(name) => Ok(system.clone().with_fallback(catalog.system(name)?.spec())),
        None => Ok(system.clone()),
    }
}

/// The job on a number of accelerators of a kind, with one sequence a rank.
fn on(
    request: &Request,
    catalog: &Catalog,
    system: &SystemSpec,
    per_node: u64,
    gpus: u64,
    precision: Precision,
) -> Result<Job> {
    let own = &request.spec.system;
    let prices = SystemSpec {
        pue: own.pue,
        carbon_g_per_kwh: own.carbon_g_per_kwh,
        price_per_kwh: own.price_per_kwh,
        price_per_gpu_hour: own.price_per_gpu_hour,
        currency: own.currency.clone(),
        power_limit_w: own.power_limit_w,
        ..SystemSpec::default()
    };
    let here =
        SystemSpec { gpus: Some(gpus), gpus_per_node: Some(per_node), ..SystemSpec::default() };
    // states on the host are shared by ranks; the layouts have their own strategies
    let on_host = request.spec.workload.offload.is_some_and(|offload| offload != Offload::None);
    let data = if on_host { DataParallel::Fsdp } else { DataParallel::Ddp };
    let strategy = (gpus > 1).then(|| Strategy::data(data));
    JobSpec {
        model: request.spec.model.clone(),
        workload: WorkloadSpec {
            micro_batch: Some(1),
            grad_accum: Some(1),
            global_batch: None,
            precision: Some(precision),
            ..request.spec.workload.clone()
        },
        parallelism: ParallelismSpec { strategy, ..ParallelismSpec::default() },
        system: here.with_fallback(system.clone()).with_fallback(prices),
    }
    .resolve(catalog)
}

/// Model FLOPs of the whole run, which do not depend on its layout.
fn model_flops(job: &Job, global_batch: u64) -> f64 {
    let mut alone = Job { parallelism: Parallelism::SINGLE, ..job.clone() };
    alone.workload.micro_batch = global_batch;
    alone.workload.grad_accum = 1;
    Cost::count(&alone, AttentionFlops::Full).model_flops().value()
}

/// A parallelism with every schedule of its pipeline.
fn schedules(plain: Parallelism, layers: u64) -> impl Iterator<Item = Parallelism> {
    let chunked = plain.pp > 1 && layers.is_multiple_of(plain.pp);
    let chunks = if chunked { divisors(layers / plain.pp) } else { Vec::new() };
    let interleaved =
        chunks.into_iter().filter(|chunks| *chunks > 1).map(move |chunks| Parallelism {
            schedule: Schedule::Interleaved,
            virtual_stages: chunks,
            partition: Partition::Even,
            ..plain
        });
    std::iter::once(plain).chain(interleaved)
}

/// Positions of a sequence from which context parallelism is tried: shorter ones have micro-batches to split. Assumed; the
/// frameworks' own recipes begin to split sequences at 8,192 (Llama 3.1 70B in NVIDIA's DGX Cloud benchmarks).
const LONG_SEQUENCE: u64 = 8192;

/// The most context-parallel ranks that are tried: Llama 3 was trained with 16 (Grattafiori et al. 2024, table 4).
const MAX_CONTEXT: u64 = 16;

/// Context-parallel ranks to choose from.
fn contexts(job: &Job, replicas: u64) -> Vec<u64> {
    let (a, seq_len) = (&job.architecture, job.workload.seq_len);
    if seq_len < LONG_SEQUENCE || a.encoder_layers > 0 || a.image.is_some() {
        return vec![1];
    }
    let chunks = if a.causal() { 2 } else { 1 };
    let all = divisors(replicas).into_iter().filter(|cp| *cp <= MAX_CONTEXT);
    all.filter(|cp| *cp == 1 || seq_len.is_multiple_of(chunks * cp)).collect()
}

/// Expert-parallel ranks to choose from.
fn expert_ranks(job: &Job, replicas: u64) -> Vec<u64> {
    let count = job.architecture.experts.map_or(1, |experts| experts.count);
    divisors(count).into_iter().filter(|ep| replicas.is_multiple_of(*ep)).collect()
}

/// What the ranks can shard that hold the same weights, each with its shard group.
fn sharding(replicas: u64, system: &System, tp: u64) -> Vec<(DataParallel, u64)> {
    use DataParallel::{Ddp, Fsdp, Hsdp, Single, Zero1, Zero2};
    if replicas == 1 {
        return vec![(Single, 1)];
    }
    let mut kinds = vec![(Ddp, 1), (Zero1, replicas), (Zero2, replicas), (Fsdp, replicas)];
    let group = (system.gpus_per_node / tp).clamp(1, replicas);
    if system.nodes() > 1 && group > 1 && group < replicas && replicas.is_multiple_of(group) {
        kinds.push((Hsdp, group));
    }
    kinds
}

/// The divisors of a positive number in rising order.
fn divisors(n: u64) -> Vec<u64> {
    let mut small = Vec::new();
    let mut large = Vec::new();
    for d in (1..).take_while(|d| d * d <= n) {
        if n.is_multiple_of(d) {
            small.push(d);
            if d * d < n {
                large.push(n / d);
            }
        }
    }
    small.extend(large.into_iter().rev());
    small
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divisors_rise_and_are_complete() {
        assert_eq!(divisors(1), [1]);
        assert_eq!(divisors(36), [1, 2, 3, 4, 6, 9, 12, 18, 36]);
        assert_eq!(divisors(7), [1, 7]);
    }
}
