//! The search: every configuration of a space is decided, by memory first and then by the law.
//!
//! Threads take layouts in turn. What each finds is merged by value and position in the space, so that the answer does not
//! depend on their number.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use super::choice::Choice;
use super::front::{ParetoFront, ParetoPoint};
use super::left_out::{LeftOutCounts, LeftOutReason};
use super::objective::Constraint;
use super::space::{Candidate, Codes, Layout, Space, Template};
use super::{Binding, Request, Undone};
use crate::base::error::Error;
use crate::base::units::{BYTES_PER_GIB, Bytes};
use crate::job::Job;
use crate::law::roofline::UnderLimits;
use crate::law::roofline::terms::Terms;
use crate::memory::{Memory, Recipe};
use crate::predict::scope::Weights;
use crate::predict::{most_power_w, plain};

/// How far a search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Layouts that are decided.
    pub done: usize,
    /// Layouts in all.
    pub total: usize,
}

/// A configuration that is a plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// What it is ranked by: accelerators where the fewest come first, else 0; then the objective.
    pub key: [f64; 2],
    pub candidate: Candidate,
    /// Expected time in seconds.
    pub time_s: f64,
    /// Expected energy in joules, at the scope that was asked for.
    pub energy: f64,
}

impl Entry {
    fn order(&self, other: &Self) -> Ordering {
        self.key[0]
            .total_cmp(&other.key[0])
            .then(self.key[1].total_cmp(&other.key[1]))
            .then(self.candidate.ordinal.cmp(&other.candidate.ordinal))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order(other)
    }
}

/// The configuration that comes nearest to fitting in memory.
#[derive(Debug, Clone, Copy)]
struct Nearest {
    memory: Memory,
    candidate: Candidate,
}

impl Nearest {
    fn excess(&self) -> f64 {
        self.memory.needed / self.memory.capacity
    }
}

/// What a search found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The best plans, the best first.
    pub best: Vec<Entry>,
    pub left_out: LeftOutCounts,
    pub evaluated: u64,
    pub searched: u64,
    pub stopped: bool,
    front: Front,
    of_choice: [ByValue; Choice::ALL.len()],
    /// The best configuration that misses this constraint alone.
    without: [Option<Entry>; Constraint::ALL.len()],
    /// The best configuration that fits with [`MORE_MEMORY_GIB`] more of memory, and not without.
    pub with_memory: Option<Entry>,
    /// The least of each constraint's quantity among the configurations that fit in memory.
    least: [Option<Least>; Constraint::ALL.len()],
    nearest: Option<Nearest>,
}

/// Memory whose worth is stated, in GiB a GPU: the step from one size of accelerators to the next (A100 of 40 and 80 GB, H100 and
/// H200) is 20 GiB or more.
pub(super) const MORE_MEMORY_GIB: f64 = 20.0;

/// The least of a constraint's quantity, and where it is.
#[derive(Debug, Clone, Copy)]
struct Least {
    value: f64,
    candidate: Candidate,
}

impl Least {
    fn order(&self, other: &Self) -> Ordering {
        let ordinals = || self.candidate.ordinal.cmp(&other.candidate.ordinal);
        self.value.total_cmp(&other.value).then_with(ordinals)
    }
}

/// Keeps the smaller of two.
fn less(kept: &mut Option<Least>, least: Least) {
    if kept.is_none_or(|kept| least.order(&kept) == Ordering::Less) {
        *kept = Some(least);
    }
}

/// Layouts that a thread takes at once.
const AT_ONCE: usize = 16;

/// Decides every configuration.
pub(super) fn run(
    request: &Request,
    space: &Space<'_>,
    watch: &(dyn Fn(Progress) -> bool + Sync),
) -> Found {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let total = space.layouts.len();
    let work = || {
        let mut worker = Worker::new(request, space);
        while !stop.load(Relaxed) {
            let start = next.fetch_add(AT_ONCE, Relaxed);
            let Some(layouts) = space.layouts.get(start..total.min(start + AT_ONCE)) else { break };
            for layout in layouts {
                worker.decide(layout);
            }
            if !watch(Progress { done: total.min(start + AT_ONCE), total }) {
                stop.store(true, Relaxed);
            }
        }
        worker.finish()
    };
    let all: Vec<Found> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..request.threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        let rest = others.into_iter().filter_map(|thread| thread.join().ok());
        std::iter::once(own).chain(rest).collect()
    });
    let mut found = Found::default();
    for of_thread in all {
        found.merge(of_thread, request.top);
    }
    if let Some((count, first)) = &space.undivided {
        found.searched += count;
        found.left_out.add(LeftOutReason::Divisibility, *count, &space.example(first));
    }
    found.stopped = stop.into_inner();
    found
}

/// Decides configurations on one thread.
struct Worker<'a> {
    request: &'a Request,
    space: &'a Space<'a>,
    job: Job,
    /// The template of `job`.
    template: u32,
    heap: BinaryHeap<Entry>,
    found: Found,
}

impl<'a> Worker<'a> {
    fn new(request: &'a Request, space: &'a Space<'a>) -> Self {
        Self {
            request,
            space,
            job: space.templates[0].job.clone(),
            template: 0,
            heap: BinaryHeap::new(),
            found: Found::default(),
        }
    }

    /// Decides the configurations of a layout.
    fn decide(&mut self, layout: &Layout) {
        let space = self.space;
        let template = &space.templates[layout.template as usize];
        if self.template != layout.template {
            self.job.clone_from(&template.job);
            self.template = layout.template;
        }
        let limits = template.power_limits.len() as u64;
        for candidate in space.candidates(layout) {
            space.apply(&candidate, &mut self.job);
            self.found.searched += limits;
            let Ok(recipe) = Recipe::for_job(&self.job) else {
                self.found.left_out.add(LeftOutReason::Framework, limits, &candidate);
                continue;
            };
            if !candidate.divides_a_pipeline() {
                self.found.left_out.add(LeftOutReason::Divisibility, limits, &candidate);
                continue;
            }
            let memory = Memory::with_recipe(&self.job, &recipe);
            let fits = |of: &Memory| of.fits_probability() >= self.request.fits_threshold;
            if !fits(&memory) {
                let (part, _) = memory.largest_part();
                self.found.left_out.add(LeftOutReason::Memory(part), limits, &candidate);
                self.found.nearer(Nearest { memory, candidate });
                let more = Bytes::new(MORE_MEMORY_GIB * BYTES_PER_GIB);
                if fits(&Memory { capacity: memory.capacity + more, ..memory }) {
                    self.with_memory(template, candidate);
                }
                continue;
            }
            let terms = Terms::for_job(&self.job);
            let job = UnderLimits::new(&template.answer, &terms);
            for at in 0..template.power_limits.len() {
                self.estimate(template, &job, candidate.with_limit(at));
            }
        }
    }

    /// Keeps a configuration that would fit with more memory, where it would be the best plan of those.
    fn with_memory(&mut self, template: &Template<'_>, candidate: Candidate) {
        let terms = Terms::for_job(&self.job);
        let job = UnderLimits::new(&template.answer, &terms);
        for at in 0..template.power_limits.len() {
            let Ok(weighed) = self.weigh(template, &job, candidate.with_limit(at)) else {
                continue;
            };
            let met = |(weights, limit): &(Weights, f64)| weighed.value(*weights) <= *limit;
            if template.quantities.constraints.iter().flatten().all(met) {
                better(&mut self.found.with_memory, weighed.entry);
            }
        }
    }

    /// What the law expects of a configuration.
    ///
    /// # Errors
    /// Why it is none.
    fn weigh(
        &self,
        template: &Template<'_>,
        job: &UnderLimits<'_>,
        candidate: Candidate,
    ) -> Result<Weighed, LeftOutReason> {
        let limit_w = template.power_limits[usize::from(candidate.power_limit)];
        let gpus = template.job.system.gpus as f64;
        let [time_s, of_one_w] = job.expected(limit_w).ok_or(LeftOutReason::PowerLimit)?;
        let power_w = of_one_w * gpus;
        if time_s < template.at_peak_s || power_w > most_power_w(limit_w, &template.job.system) {
            return Err(LeftOutReason::ImpossibleEstimate);
        }
        let energy_j = power_w * time_s;
        let of = &template.quantities;
        let fewest = if self.request.fewest_gpus { gpus } else { 0.0 };
        let entry = Entry {
            key: [fewest, of.objective.value(time_s, energy_j)],
            time_s,
            energy: of.energy.value(time_s, energy_j),
            candidate,
        };
        Ok(Weighed { entry, energy_j })
    }

    /// Estimates a configuration that fits in memory, and keeps it where it is a plan.
    fn estimate(&mut self, template: &Template<'_>, job: &UnderLimits<'_>, candidate: Candidate) {
        let weighed = match self.weigh(template, job, candidate) {
            Ok(weighed) => weighed,
            Err(reason) => return self.found.left_out.add(reason, 1, &candidate),
        };
        let (of, entry) = (&template.quantities, weighed.entry);
        let mut missed = Missed::None;
        for (at, constraint) in of.constraints.iter().enumerate() {
            let Some((weights, limit)) = constraint else { continue };
            let value = weighed.value(*weights);
            less(&mut self.found.least[at], Least { value, candidate });
            if value > *limit {
                missed = missed.and(at);
            }
        }
        match missed {
            Missed::None => {}
            Missed::One(at) | Missed::Several(at) => {
                let constraint = Constraint::ALL[at];
                self.found.left_out.add(LeftOutReason::Constraint(constraint), 1, &candidate);
                if matches!(missed, Missed::One(_)) {
                    better(&mut self.found.without[at], entry);
                }
                return;
            }
        }
        self.found.evaluated += 1;
        if self.heap.len() < self.request.top {
            self.heap.push(entry);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && entry < *worst
        {
            *worst = entry;
        }
        self.found.front.add([weighed.value(of.first), weighed.value(of.second)], entry);
        for (best, code) in self.found.of_choice.iter_mut().zip(self.space.codes(&candidate)) {
            best.add(code, entry);
        }
    }

    fn finish(mut self) -> Found {
        self.found.best = self.heap.into_vec();
        self.found
    }
}

/// A configuration with its energy of the accelerators.
struct Weighed {
    entry: Entry,
    energy_j: f64,
}

impl Weighed {
    fn value(&self, weights: Weights) -> f64 {
        weights.value(self.entry.time_s, self.energy_j)
    }
}

/// The constraints that a configuration misses; the first of them.
#[derive(Clone, Copy)]
enum Missed {
    None,
    One(usize),
    Several(usize),
}

impl Missed {
    const fn and(self, constraint: usize) -> Self {
        match self {
            Self::None => Self::One(constraint),
            Self::One(first) | Self::Several(first) => Self::Several(first),
        }
    }
}

/// Keeps the better of two entries.
fn better(kept: &mut Option<Entry>, entry: Entry) {
    if kept.is_none_or(|kept| entry < kept) {
        *kept = Some(entry);
    }
}

/// Configurations that no other beats in two quantities, by rising first and so by falling second quantity.
#[derive(Debug, Default)]
struct Front(Vec<([f64; 2], Entry)>);

impl Front {
    fn add(&mut self, values: [f64; 2], entry: Entry) {
        let [first, second] = values;
        let at = self.0.partition_point(|(of, _)| of[0] < first);
        // the one before is better in the first quantity
        if at > 0 && self.0[at - 1].0[1] <= second {
            return;
        }
        if let Some((of, kept)) = self.0.get(at)
            && of[0] == first
            && (of[1] < second || (of[1] == second && *kept < entry))
        {
            return;
        }
        let beaten = self.0[at..].iter().take_while(|(of, _)| of[1] >= second).count();
        self.0.splice(at..at + beaten, [(values, entry)]);
    }
}

/// The best configuration of each value of a choice, in the order in which the values were met.
#[derive(Debug, Default)]
struct ByValue(Vec<(u16, Entry)>);

impl ByValue {
    fn add(&mut self, code: u16, entry: Entry) {
        match self.0.iter_mut().find(|(of, _)| *of == code) {
            Some((_, best)) if *best <= entry => {}
            Some((_, best)) => *best = entry,
            None => self.0.push((code, entry)),
        }
    }

    /// The best configuration with another value.
    fn best_without(&self, code: u16) -> Option<Entry> {
        self.0.iter().filter(|(of, _)| *of != code).map(|(_, entry)| *entry).min()
    }
}

impl Found {
    fn nearer(&mut self, other: Nearest) {
        let (excess, ordinal) = (other.excess(), other.candidate.ordinal);
        let closer = self.nearest.is_none_or(|kept| {
            let (of_kept, first) = (kept.excess(), kept.candidate.ordinal);
            excess.total_cmp(&of_kept).then(ordinal.cmp(&first)) == Ordering::Less
        });
        if closer {
            self.nearest = Some(other);
        }
    }

    /// Adds what another thread found; the best plans are cut to the first `top`.
    fn merge(&mut self, other: Self, top: usize) {
        self.best.extend(other.best);
        self.best.sort_unstable();
        self.best.truncate(top);
        self.left_out.merge(&other.left_out);
        self.evaluated += other.evaluated;
        self.searched += other.searched;
        for (values, entry) in other.front.0 {
            self.front.add(values, entry);
        }
        for (best, others) in self.of_choice.iter_mut().zip(other.of_choice) {
            for (code, entry) in others.0 {
                best.add(code, entry);
            }
        }
        for (kept, entry) in self.without.iter_mut().zip(other.without) {
            if let Some(entry) = entry {
                better(kept, entry);
            }
        }
        if let Some(entry) = other.with_memory {
            better(&mut self.with_memory, entry);
        }
        for (kept, least) in self.least.iter_mut().zip(other.least) {
            if let Some(least) = least {
                less(kept, least);
            }
        }
        if let Some(nearest) = other.nearest {
            self.nearer(nearest);
        }
    }

    /// The configurations that no other beats in two quantities, by rising first one.
    pub(super) fn pareto(&self, request: &Request, space: &Space<'_>) -> ParetoFront {
        let points = thinned(&self.front.0, MAX_POINTS).into_iter().map(|(values, entry)| {
            ParetoPoint { values, configuration: space.describe(&entry.candidate) }
        });
        ParetoFront { objectives: request.tradeoff(), points: points.collect() }
    }

    /// The plans of the answer: the best, or the front where two objectives were asked for.
    pub(super) fn listed(&self, request: &Request) -> Vec<Entry> {
        match request.pareto_with {
            None => self.best.clone(),
            Some(_) => {
                thinned(&self.front.0, request.top).into_iter().map(|(_, entry)| entry).collect()
            }
        }
    }

    /// Whether no configuration beats this one in both quantities.
    pub(super) fn on_front(&self, entry: &Entry) -> bool {
        self.front.0.iter().any(|(_, of)| of.candidate.ordinal == entry.candidate.ordinal)
    }

    /// The constraints that keep a better configuration out than the best plan.
    pub(super) fn binding(&self, best: &Entry) -> Vec<Binding> {
        let pairs = Constraint::ALL.into_iter().zip(&self.without);
        pairs
            .filter_map(|(constraint, without)| {
                let other = without.filter(|other| other < best)?;
                let objective_factor = other.key[1] / best.key[1];
                Some(Binding { constraint, objective_factor })
            })
            .collect()
    }

    /// For each choice with several values, the best plan with another value than the first plan's.
    pub(super) fn undone(&self, best: &Entry, space: &Space<'_>) -> Vec<Undone> {
        let codes: Codes = space.codes(&best.candidate);
        let job = space.job(&best.candidate);
        let choices = Choice::ALL.into_iter().zip(&self.of_choice).zip(codes);
        choices
            .filter_map(|((choice, values), code)| {
                let other = values.best_without(code)?;
                Some(Undone {
                    choice,
                    value: choice.value(&job),
                    instead: choice.value(&space.job(&other.candidate)),
                    energy_factor: other.energy / best.energy,
                    time_factor: other.time_s / best.time_s,
                })
            })
            .collect()
    }

    /// Whether there is no plan because nothing fits in memory.
    pub(super) fn is_short_of_memory(&self) -> bool {
        let none = self.best.is_empty() && self.least.iter().all(Option::is_none);
        none && self.nearest.is_some() && !self.stopped
    }

    /// Why a search found no plan. `enough` is what of the same kind of accelerators would fit, where it is known.
    pub(super) fn nothing(
        &self,
        request: &Request,
        space: &Space<'_>,
        enough: Option<String>,
    ) -> Error {
        let missed = Constraint::ALL.into_iter().zip(&self.least).find_map(|(constraint, least)| {
            let (limit, least) = (request.limits.of(constraint)?, (*least)?);
            (least.value > limit).then(|| {
                let unit = constraint.unit();
                let (limit, value) = (plain(limit), plain(least.value));
                format!(
                    "--{constraint} is {limit} {unit}, but the least expected of any plan is {value} {unit} ({})",
                    space.describe(&least.candidate)
                )
            })
        });
        if let Some(sentence) = missed {
            return Error::Data(sentence);
        }
        if self.least.iter().any(Option::is_some) {
            return Error::Data(
                "each constraint can be met, but no plan meets all of them; loosen one".to_owned(),
            );
        }
        match &self.nearest {
            Some(nearest) => Error::Data(nearest.sentence(request, space, enough)),
            None => {
                let rows = self.left_out.rows(space);
                let reasons: Vec<String> = rows
                    .iter()
                    .map(|row| format!("{} × {}", row.count, row.reason.name()))
                    .collect();
                Error::Data(format!("no configuration is valid: {}", reasons.join(", ")))
            }
        }
    }
}

impl Nearest {
    /// What the nearest configuration lacks, and what would do.
    fn sentence(&self, request: &Request, space: &Space<'_>, enough: Option<String>) -> String {
        let memory = &self.memory;
        let (needed, capacity) = (memory.needed.gib(), memory.capacity.gib());
        let (part, bytes) = memory.largest_part();
        let short = memory.capacity_for(request.fits_threshold).gib() - capacity;
        let mut ways = vec![format!("{short:.1} GiB more a GPU")];
        ways.extend(enough);
        // at an even chance or better it is the threshold that keeps it out
        if memory.fits {
            ways.push("a lower --fits-threshold".to_owned());
        }
        let ways = ways.join(" or ");
        format!(
            "no plan fits in memory: the nearest ({}) needs {needed:.1} GiB a GPU, of which {part} {:.1} GiB, and {capacity:.1} GiB \
             are available; {ways} would do",
            space.describe(&self.candidate),
            bytes.gib(),
        )
    }
}

/// The most points of the front in an answer.
const MAX_POINTS: usize = 200;

/// At most `most` entries of a front, at even distances with both ends.
fn thinned(front: &[([f64; 2], Entry)], most: usize) -> Vec<([f64; 2], Entry)> {
    let last = front.len().saturating_sub(1);
    if front.len() <= most {
        return front.to_vec();
    }
    let gaps = most.saturating_sub(1).max(1);
    (0..most).map(|at| front[at * last / gaps]).collect()
}
