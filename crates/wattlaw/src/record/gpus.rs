//! The GPUs of the job held against those that were measured.

use crate::job::JobSpec;
use crate::job::catalog::Catalog;
use crate::record::Component;
use crate::record::document::{Measured, Record};

/// What the job states of its GPUs and the meters contradict.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GpuMismatch {
    /// Number of GPUs, if the job states another one than was measured.
    pub count: Option<Contradiction<u64>>,
    /// Catalogue name of the GPU, if the job states another one than the driver.
    pub model: Option<Contradiction<String>>,
}

/// A value that the job states, and the measured one, which counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction<T> {
    /// As the job states it.
    pub stated: T,
    /// As it was measured.
    pub measured: T,
}

impl GpuMismatch {
    /// The contradictions, a clause each.
    pub fn clauses(&self) -> Vec<String> {
        self.clauses_by_kind().into_iter().map(|(clause, _)| clause).collect()
    }

    /// The contradictions, a clause each, with whether it is of the number of GPUs.
    pub(super) fn clauses_by_kind(&self) -> Vec<(String, bool)> {
        let count = self.count.as_ref().map(|count| {
            let were = if count.measured == 1 { "was" } else { "were" };
            format!(
                "the job has {} GPUs, but {} {were} measured, so the energy is that of {}",
                count.stated, count.measured, count.measured
            )
        });
        let model = self.model.as_ref().map(|model| {
            format!(
                "the job states the GPU {}, but the driver states {}, which counts",
                model.stated, model.measured
            )
        });
        let count = count.map(|clause| (clause, true));
        count.into_iter().chain(model.map(|clause| (clause, false))).collect()
    }
}

impl Record {
    /// The GPUs that have an energy: their channels, those of modules included.
    pub fn measured_gpus(&self) -> impl Iterator<Item = &Measured> {
        let gpu = [Component::Gpu, Component::Module];
        self.channels.iter().filter(move |measured| {
            gpu.contains(&measured.channel.component)
                && measured.energy.is_some()
                && !measured.is_assumed()
        })
    }

    /// What the job states of its GPUs and the meters contradict; `None` where no GPU was measured or all agree.
    pub fn gpu_mismatch(&self, catalog: &Catalog) -> Option<GpuMismatch> {
        let job = self.job.as_ref()?;
        let measured = self.measured_gpus().count() as u64;
        if measured == 0 {
            return None;
        }
        let count = stated_gpus(job).filter(|stated| *stated != measured);
        let model = self.measured_model(catalog).zip(stated_model(job, catalog));
        let found = GpuMismatch {
            count: count.map(|stated| Contradiction { stated, measured }),
            model: model
                .filter(|(measured, stated)| measured != stated)
                .map(|(measured, stated)| Contradiction { stated, measured }),
        };
        (found != GpuMismatch::default()).then_some(found)
    }

    /// Whether the job names a GPU, by itself or by its system.
    pub(super) fn states_gpu(&self) -> bool {
        self.job.as_ref().is_some_and(|j| j.system.gpu.is_some() || j.system.name.is_some())
    }

    /// Catalogue name of the measured GPUs; `None` where the driver states none that the catalogue knows.
    pub(crate) fn measured_model(&self, catalog: &Catalog) -> Option<String> {
        let known =
            |m: &Measured| Some(catalog.accelerator(m.channel.model.as_ref()?).ok()?.name.clone());
        self.measured_gpus().find_map(known)
    }
}

/// The number of GPUs that a job states, by itself or by its nodes or degrees.
fn stated_gpus(job: &JobSpec) -> Option<u64> {
    let system = &job.system;
    let of_nodes = system.nodes.zip(system.gpus_per_node).map(|(n, each)| n.saturating_mul(each));
    let implied = Some(job.parallelism.implied_gpus()).filter(|n| *n > 1);
    system.gpus.or(of_nodes).or(implied)
}

/// Catalogue name of the GPU that a job states, by itself or by its system.
fn stated_model(job: &JobSpec, catalog: &Catalog) -> Option<String> {
    let system = || catalog.system(job.system.name.as_ref()?).ok();
    let stated = job.system.gpu.clone().or_else(|| Some(system()?.accelerator.clone()))?;
    catalog.accelerator(&stated).ok().map(|accelerator| accelerator.name.clone())
}
