//! What one more node, or more memory, would bring.

use serde::Serialize;

use super::Request;
use super::objective::Limits;
use super::pool::{GpuCounts, Pool};
use super::search::{self, Entry, Found, MORE_MEMORY_GIB, Progress};
use super::space::Space;
use crate::job::catalog::Catalog;
use crate::law::roofline::RooflineFit;

/// The best plans with one more node and with more memory.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OneMore {
    /// With one node more than the most of any kind; null where no such number of accelerators has a plan.
    pub node: Option<Gain>,
    /// With accelerators of 20 GiB more: the best of the configurations that need it; null where none does.
    pub memory: Option<Gain>,
}

/// The best plan that uses what is added.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gain {
    /// What is added, in words.
    pub added: String,
    /// Its objective over the first plan's: below 1 it is better.
    pub objective_factor: f64,
    /// The configuration.
    pub configuration: String,
}

impl Gain {
    fn new(added: String, entry: &Entry, best: &Entry, space: &Space<'_>) -> Self {
        Self {
            added,
            objective_factor: entry.key[1] / best.key[1],
            configuration: space.describe(&entry.candidate),
        }
    }
}

impl OneMore {
    /// Searches the configurations on one node more; those that need more memory were met by the search itself.
    pub(super) fn new(
        request: &Request,
        catalog: &Catalog,
        law: &RooflineFit,
        space: &Space<'_>,
        found: &Found,
        best: &Entry,
        watch: &(dyn Fn(Progress) -> bool + Sync),
    ) -> Self {
        let memory = found
            .with_memory
            .map(|entry| Gain::new(format!("{MORE_MEMORY_GIB} GiB a GPU"), &entry, best, space));
        // a number of accelerators that nothing can be laid out on brings nothing
        let more = with_one_node_more(request, space);
        let node = Space::new(&more, catalog, law).ok().and_then(|space| {
            let found = search::run(&more, &space, watch);
            let entry = found.best.first().filter(|_| !found.stopped)?;
            let system = &space.job(&entry.candidate).system;
            let node = format!("{} × {}", system.gpus_per_node, system.accelerator.name);
            Some(Gain::new(node, entry, best, &space))
        });
        Self { node, memory }
    }
}

/// The same request with one number of accelerators a kind: a node more than the most.
fn with_one_node_more(request: &Request, space: &Space<'_>) -> Request {
    let mut more = request.clone();
    more.limits.max_gpus = None;
    more.pools = space
        .most()
        .map(|(pool, gpus, per_node)| Pool {
            counts: GpuCounts::one(gpus + per_node),
            ..pool.clone()
        })
        .collect();
    more
}

/// Times by which the accelerators are multiplied in search of a number on which the job fits.
const MULTIPLES: [u64; 9] = [2, 4, 8, 16, 32, 64, 128, 256, 512];

/// The most accelerators of that search.
const MOST_GPUS: u64 = 4096;

/// The fewest accelerators of the tried multiples on which a configuration fits in memory, in words.
pub(super) fn enough_accelerators(
    request: &Request,
    catalog: &Catalog,
    law: &RooflineFit,
    space: &Space<'_>,
    watch: &(dyn Fn(Progress) -> bool + Sync),
) -> Option<String> {
    MULTIPLES.into_iter().find_map(|multiple| {
        let mut more = request.clone();
        more.limits = Limits::default();
        more.top = 1;
        let within = space.most().filter(|(_, gpus, _)| gpus * multiple <= MOST_GPUS);
        more.pools = within
            .map(|(pool, gpus, _)| Pool { counts: GpuCounts::one(gpus * multiple), ..pool.clone() })
            .collect();
        if more.pools.is_empty() {
            return None;
        }
        // a number that nothing can be laid out on is not enough
        let space = Space::new(&more, catalog, law).ok()?;
        let found = search::run(&more, &space, watch);
        let job = space.job(&found.best.first()?.candidate);
        Some(format!("{} × {}", job.system.gpus, job.system.accelerator.name))
    })
}
