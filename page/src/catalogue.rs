//! What the form's lists hold: models, accelerators and regions, and the words that fields take.

use std::collections::BTreeMap;

use serde::Serialize;

use wattlaw::base::error::Error;
use wattlaw::job::fields::fields;
use wattlaw_launch::Launcher;

use crate::problem::Problem;
use crate::world::World;

#[derive(Debug, Serialize)]
struct Catalogue<'a> {
    /// Names alone: to read every model takes longer than an answer.
    models: Vec<&'a str>,
    gpus: Vec<&'a str>,
    regions: Vec<Region<'a>>,
    fields: Vec<Field>,
    words: BTreeMap<&'static str, &'static [&'static str]>,
    launchers: Vec<Launch>,
}

#[derive(Debug, Serialize)]
struct Region<'a> {
    name: &'a str,
    title: &'a str,
    carbon_g_per_kwh: f64,
    year: u32,
    source: &'a str,
}

#[derive(Debug, Serialize)]
struct Field {
    column: &'static str,
    about: &'static str,
}

#[derive(Debug, Serialize)]
struct Launch {
    name: &'static str,
    title: &'static str,
    /// Whether it is of a framework, of which a job has one.
    framework: bool,
}

/// The words that fields take, in the order of the form.
const WORDS: [(&str, &[&str]); 8] = [
    ("precision", &["bf16", "fp16", "fp8", "tf32", "fp32"]),
    ("checkpointing", &["none", "selective", "full"]),
    (
        "optimizer",
        &[
            "adamw",
            "sgd",
            "adafactor",
            "adam8bit",
            "lion",
            "lamb",
            "muon",
            "paged-adamw",
            "paged-adam8bit",
        ],
    ),
    (
        "framework",
        &[
            "accelerate",
            "fsdp2",
            "llm-foundry",
            "megatron",
            "megatron-deepspeed",
            "deepspeed",
            "nanotron",
            "jax",
            "pytorch",
        ],
    ),
    ("attention", &["flash", "eager"]),
    ("quantization", &["none", "nf4", "gptq", "int8", "fp8"]),
    ("scope", &["gpu", "devices", "node_dc", "node_ac", "facility", "codecarbon"]),
    ("objective", &["energy", "time", "cost", "carbon", "gpu-hours"]),
];

/// The lists, as JSON.
///
/// # Errors
/// A catalogue that cannot be read, which the library's tests rule out.
pub fn catalogue() -> Result<String, Problem> {
    let catalog = &World::get()?.catalog;
    let regions = catalog.regions.all()?;
    let lists = Catalogue {
        models: catalog.models.names().collect(),
        gpus: catalog.accelerators.names().collect(),
        regions: regions
            .iter()
            .map(|region| Region {
                name: &region.name,
                title: &region.title,
                carbon_g_per_kwh: region.carbon_g_per_kwh,
                year: region.year,
                source: &region.source,
            })
            .collect(),
        fields: fields()
            .filter(|field| field.column != "config")
            .map(|field| Field { column: field.column, about: field.about })
            .collect(),
        words: BTreeMap::from(WORDS),
        launchers: Launcher::ALL
            .into_iter()
            .map(|launcher| Launch {
                name: launcher.name(),
                title: launcher.title(),
                framework: launcher.framework().is_some(),
            })
            .collect(),
    };
    Ok(serde_json::to_string(&lists).map_err(|e| Error::Data(e.to_string()))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattlaw::base::scope::Scope;
    use wattlaw::job::JobSpec;
    use wattlaw::plan::Objective;

    #[test]
    fn the_forms_words_are_the_fields_own() {
        for (name, words) in WORDS {
            for word in words {
                match name {
                    "scope" => assert!(word.parse::<Scope>().is_ok(), "{word}"),
                    "objective" => assert!(word.parse::<Objective>().is_ok(), "{word}"),
                    _ => {
                        let field = fields().find(|field| field.column == name).unwrap();
                        (field.set)(&mut JobSpec::default(), word).unwrap();
                    }
                }
            }
        }
    }
}
