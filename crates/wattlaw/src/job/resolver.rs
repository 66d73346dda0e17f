//! Resolves many jobs: each model and accelerator is looked up once.

use std::borrow::Borrow;
use std::hash::Hash;

use rustc_hash::FxHashMap;

use super::catalog::{Catalog, SystemPreset};
use super::model::{Architecture, ModelSpec};
use super::system::Accelerator;
use super::{Job, JobSpec};
use crate::base::error::Result;

/// Answers of a look-up that are kept; tables with more different ones are of custom shapes, which are resolved quickly.
const MAX_KEPT: usize = 4096;

/// Resolves jobs as [`JobSpec::resolve`] does, and keeps what it looked up in the catalogue. Errors are kept too: to find the name
/// nearest to an unknown one takes longer than to predict a job.
#[derive(Debug)]
pub struct Resolver<'a> {
    catalog: &'a Catalog,
    architectures: FxHashMap<ModelSpec, Result<Architecture>>,
    accelerators: FxHashMap<String, Result<&'a Accelerator>>,
    systems: FxHashMap<String, Result<&'a SystemPreset>>,
}

impl<'a> Resolver<'a> {
    /// A resolver that looks names up in a catalogue.
    pub fn new(catalog: &'a Catalog) -> Self {
        Self {
            catalog,
            architectures: FxHashMap::default(),
            accelerators: FxHashMap::default(),
            systems: FxHashMap::default(),
        }
    }

    /// Looks up names, fills in defaults and checks the whole job.
    ///
    /// # Errors
    /// As [`JobSpec::resolve`].
    pub fn resolve(&mut self, spec: &JobSpec) -> Result<Job> {
        let Self { catalog, architectures, accelerators, systems } = self;
        let model = &spec.model;
        let architecture = kept(architectures, model, || catalog.architecture(model))?;
        spec.resolve_with(
            architecture,
            |name| kept(systems, name, || catalog.system(name)),
            |gpu| kept(accelerators, gpu, || catalog.accelerator(gpu)),
        )
    }
}

/// The answer of a look-up, made once for each key.
fn kept<K, Q, V>(
    known: &mut FxHashMap<K, Result<V>>,
    key: &Q,
    look_up: impl FnOnce() -> Result<V>,
) -> Result<V>
where
    K: Borrow<Q> + Eq + Hash,
    Q: ToOwned<Owned = K> + Eq + Hash + ?Sized,
    V: Clone,
{
    if let Some(answer) = known.get(key) {
        return answer.clone();
    }
    let answer = look_up();
    if known.len() == MAX_KEPT {
        known.clear();
    }
    known.insert(key.to_owned(), answer.clone());
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Error;

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

    #[test]
    fn an_unknown_name_is_searched_once() {
        let mut known: FxHashMap<String, Result<u8>> = FxHashMap::default();
        let mut searches = 0;
        for _ in 0..3 {
            let found = kept(&mut known, "h1000", || {
                searches += 1;
                Err(Error::unknown("GPU", "h1000", ["h100"]))
            });
            assert_eq!(found, Err(Error::unknown("GPU", "h1000", ["h100"])));
        }
        assert_eq!(searches, 1);
    }

    #[test]
    fn the_errors_of_unknown_models_accelerators_and_systems_are_kept() {
        let catalog = Catalog::built_in().unwrap();
        let mut resolver = Resolver::new(&catalog);
        for (model, system) in
            [("gtp2", "gpu = 'a100'"), ("gpt2", "gpu = 'h1000'"), ("gpt2", "name = 'dgx-h1000'")]
        {
            let text = format!(
                "model.name = '{model}'\nworkload = {{ steps = 5, micro_batch = 2 }}\nsystem = {{ {system} }}"
            );
            let spec = JobSpec::from_toml(&text).unwrap();
            let error = resolver.resolve(&spec).unwrap_err();
            assert_eq!(resolver.resolve(&spec), Err(error));
        }
        let unknown =
            |name: &'static str| ModelSpec { name: Some(name.into()), ..ModelSpec::default() };
        assert!(resolver.architectures[&unknown("gtp2")].is_err());
        assert!(resolver.architectures[&unknown("gpt2")].is_ok());
        assert!(resolver.accelerators["h1000"].is_err());
        assert!(resolver.systems["dgx-h1000"].is_err());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut known: FxHashMap<String, Result<usize>> = FxHashMap::default();
        for at in 0..=MAX_KEPT {
            assert_eq!(kept(&mut known, at.to_string().as_str(), || Ok(at)), Ok(at));
        }
        assert_eq!(known.len(), 1);
    }
}
