//! Resolves many jobs: each model and accelerator is looked up once.

use rustc_hash::FxHashMap;

use super::catalog::Catalog;
use super::model::{Architecture, ModelSpec};
use super::system::Accelerator;
use super::{Job, JobSpec};
use crate::base::error::Result;

/// Models that are kept; tables with more different ones are of custom shapes, which are resolved quickly.
const MAX_MODELS: usize = 4096;

/// Resolves jobs as [`JobSpec::resolve`] does, and keeps what it looked up in the catalogue.
#[derive(Debug)]
pub struct Resolver<'a> {
    catalog: &'a Catalog,
    architectures: FxHashMap<ModelSpec, Architecture>,
    accelerators: FxHashMap<String, &'a Accelerator>,
}

impl<'a> Resolver<'a> {
    /// A resolver that looks names up in a catalogue.
    pub fn new(catalog: &'a Catalog) -> Self {
        Self { catalog, architectures: FxHashMap::default(), accelerators: FxHashMap::default() }
    }

    /// Looks up names, fills in defaults and checks the whole job.
    ///
    /// # Errors
    /// As [`JobSpec::resolve`].
    pub fn resolve(&mut self, spec: &JobSpec) -> Result<Job> {
        let Self { catalog, architectures, accelerators } = self;
        let architecture = match architectures.get(&spec.model) {
            Some(known) => known.clone(),
            None => {
                let found = catalog.architecture(&spec.model)?;
                if architectures.len() == MAX_MODELS {
                    architectures.clear();
                }
                architectures.insert(spec.model.clone(), found.clone());
                found
            }
        };
        spec.resolve_with(architecture, catalog, |gpu| match accelerators.get(gpu) {
            Some(known) => Ok(*known),
            None => {
                let found = catalog.accelerator(gpu)?;
                accelerators.insert(gpu.to_owned(), found);
                Ok(found)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_gives_the_jobs_and_errors_that_each_description_gives_alone() {
        let catalog = Catalog::built_in().unwrap();
        let mut resolver = Resolver::new(&catalog);
        let spec = |model: &str, gpu: &str, tp: u64| {
            let text = format!(
                "model = {{ {model} }}\nworkload = {{ steps = 5, seq_len = 64, micro_batch = 2, framework = 'megatron' }}\n\
                 parallelism.tp = {tp}\nsystem = {{ gpu = '{gpu}', gpus = 2 }}"
            );
            JobSpec::from_toml(&text).unwrap()
        };
        for model in
            ["name = 'gpt2'", "name = 'gpt2', layers = 3", "name = 'gpt3'", "name = 'gpt2'"]
        {
            for gpu in ["a100", "A100", "b100", "h100"] {
                for tp in [1, 2, 3] {
                    let spec = spec(model, gpu, tp);
                    assert_eq!(
                        resolver.resolve(&spec),
                        spec.resolve(&catalog),
                        "{model} {gpu} {tp}"
                    );
                }
            }
        }
    }
}
