//! The catalogue: accelerators, models and systems by name, each row with its source. A user's file takes precedence
//! over the built-in rows.

mod rows;

pub use rows::{Named, Rows};

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Location, Result};
use crate::base::toml_text;
use crate::job::model::{Architecture, ModelSpec};
use crate::job::system::{Accelerator, LinkKind, SystemSpec};

/// A published model: its shape, the parameter count on its model card, and their source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "toml::Table")]
pub struct ModelPreset {
    /// Other names.
    pub aliases: Vec<String>,
    /// Parameters on the model card; checked against the shape when the catalogue is read.
    pub parameters: Option<u64>,
    /// Where the shape is from.
    pub source: String,
    /// What is unverified or disputed.
    pub notes: String,
    /// The shape.
    #[serde(flatten)]
    pub spec: ModelSpec,
}

/// The fields of a model's table besides its shape.
#[derive(Deserialize)]
struct ModelNotes {
    #[serde(default)]
    aliases: Vec<String>,
    parameters: Option<u64>,
    source: String,
    #[serde(default)]
    notes: String,
}

impl TryFrom<toml::Table> for ModelPreset {
    type Error = toml::de::Error;

    /// Splits the table, so that a misspelt field of the shape is an error; serde cannot detect it in a flattened
    /// struct.
    fn try_from(mut table: toml::Table) -> std::result::Result<Self, Self::Error> {
        let own: toml::Table = ["aliases", "parameters", "source", "notes"]
            .into_iter()
            .filter_map(|key| table.remove_entry(key))
            .collect();
        let ModelNotes { aliases, parameters, source, notes } = own.try_into()?;
        Ok(Self { aliases, parameters, source, notes, spec: table.try_into()? })
    }
}

/// A node or cluster, as sold or rented.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemPreset {
    /// Name in the catalogue.
    pub name: String,
    /// Other names.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The accelerator's name.
    pub accelerator: String,
    /// Accelerators in one node.
    pub gpus_per_node: u64,
    /// Kind of the link inside the node; the accelerator's own when absent.
    pub link: Option<LinkKind>,
    /// Link inside the node, GB/s, both directions together; the accelerator's own when absent.
    pub link_gb_per_s: Option<f64>,
    /// Name of the network between nodes.
    pub network: Option<String>,
    /// Network between nodes, GB/s a GPU in one direction.
    pub network_gb_per_s: Option<f64>,
    /// Network adapters of the node that carry its training.
    pub network_adapters: Option<u64>,
    /// Rate of one of them, GB/s in one direction.
    pub adapter_gb_per_s: Option<f64>,
    /// Mean power of the node besides its accelerators while they train, behind its power supplies, in watts, where a
    /// source states it.
    pub host_power_w: Option<f64>,
    /// Where the figures are from.
    pub source: String,
    /// What is unverified or disputed.
    #[serde(default)]
    pub notes: String,
}

impl SystemPreset {
    /// The preset as a description, a fallback for a job's own fields.
    pub fn spec(&self) -> SystemSpec {
        SystemSpec {
            name: Some(self.name.clone()),
            gpu: Some(self.accelerator.clone()),
            gpus_per_node: Some(self.gpus_per_node),
            link: self.link,
            link_gb_per_s: self.link_gb_per_s,
            network: self.network.clone(),
            // with the rate of the node the adapters are a share of, a part of the node keeps it
            network_gb_per_s: self.network_gb_per_s.or_else(|| self.adapters_rate()),
            network_adapters: self.network_adapters,
            host_power_w: self.host_power_w,
            ..SystemSpec::default()
        }
    }

    /// The share of an accelerator in the node's adapters, GB/s, where both figures are stated.
    fn adapters_rate(&self) -> Option<f64> {
        Some(
            self.network_adapters? as f64 * self.adapter_gb_per_s?
                / self.gpus_per_node.max(1) as f64,
        )
    }
}

/// Accelerators, models and systems by name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// Accelerators.
    #[serde(default, rename = "accelerator")]
    pub accelerators: Rows<Accelerator>,
    /// Models.
    #[serde(default, rename = "model")]
    pub models: Rows<ModelPreset>,
    /// Nodes and clusters.
    #[serde(default, rename = "system")]
    pub systems: Rows<SystemPreset>,
    /// Countries and grids.
    #[serde(default, rename = "region")]
    pub regions: Rows<Region>,
}

/// A country or grid, with the carbon intensity of its electricity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Name in the catalogue.
    pub name: String,
    /// Other names, such as ISO 3166 codes.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The name as it is written.
    pub title: String,
    /// Yearly mean of the carbon intensity in g CO₂e a kWh.
    pub carbon_g_per_kwh: f64,
    /// Year of the figure.
    pub year: u32,
    /// Where the figure is from; the built-in rows have one source.
    #[serde(default = "of_the_built_in_regions")]
    pub source: String,
}

fn of_the_built_in_regions() -> String {
    "Our World in Data (Ember; Energy Institute), CC BY 4.0".to_owned()
}

impl Named for Region {
    fn names(&self) -> Vec<String> {
        named(&self.name, &self.aliases)
    }
}

impl Named for Accelerator {
    fn names(&self) -> Vec<String> {
        named(&self.name, &self.aliases)
    }
}

impl Named for ModelPreset {
    fn names(&self) -> Vec<String> {
        named(self.spec.name.as_deref().unwrap_or(""), &self.aliases)
    }
}

impl Named for SystemPreset {
    fn names(&self) -> Vec<String> {
        named(&self.name, &self.aliases)
    }
}

fn named(name: &str, aliases: &[String]) -> Vec<String> {
    std::iter::once(name).chain(aliases.iter().map(String::as_str)).map(str::to_owned).collect()
}

impl Catalog {
    /// The built-in catalogue. Its rows are parsed when they are asked for.
    ///
    /// # Errors
    /// None in a released build.
    pub fn built_in() -> Result<Self> {
        Ok(Self {
            accelerators: Rows::indexed(
                include_str!("../../catalog/accelerators.toml"),
                "accelerator",
            ),
            models: Rows::indexed(include_str!("../../catalog/models.toml"), "model"),
            systems: Rows::indexed(include_str!("../../catalog/systems.toml"), "system"),
            regions: Rows::indexed(include_str!("../../catalog/regions.toml"), "region"),
        })
    }

    /// Reads a catalogue file: any number of `[[accelerator]]`, `[[model]]` and `[[system]]` tables.
    ///
    /// # Errors
    /// [`Error::Syntax`] with line and column; [`Error::Invalid`] or [`Error::Missing`] for a row with impossible
    /// values, or whose parameter count differs from that of its shape.
    pub fn from_toml(text: &str) -> Result<Self> {
        let catalog: Self = toml_text::parse(text)?;
        catalog.check()?;
        Ok(catalog)
    }

    /// The union of both catalogues; this one's rows take precedence.
    #[must_use]
    pub fn with_fallback(mut self, base: Self) -> Self {
        // the first row found wins, so this catalogue's come before the base's
        self.accelerators.extend(base.accelerators);
        self.models.extend(base.models);
        self.systems.extend(base.systems);
        self.regions.extend(base.regions);
        self
    }

    /// Checks every row.
    ///
    /// # Errors
    /// The error of the first invalid row, with its name.
    pub fn check(&self) -> Result<()> {
        for accelerator in self.accelerators.all()? {
            accelerator
                .check()
                .map_err(|e| e.at(Location::file(format!("accelerator {}", accelerator.name))))?;
        }
        for model in self.models.all()? {
            let name = model.spec.name.as_deref().unwrap_or("without a name");
            check_model(model).map_err(|e| e.at(Location::file(format!("model {name}"))))?;
        }
        for system in self.systems.all()? {
            let stated = SystemSpec {
                network_gb_per_s: system.network_gb_per_s,
                network_adapters: system.network_adapters,
                adapter_gb_per_s: system.adapter_gb_per_s,
                ..SystemSpec::default()
            };
            stated
                .network_rate(system.gpus_per_node)
                .map_err(|e| e.at(Location::file(format!("system {}", system.name))))?;
        }
        for region in self.regions.all()? {
            let grams = region.carbon_g_per_kwh;
            if !(grams.is_finite() && grams >= 0.0) {
                return Err(Error::invalid(
                    "carbon_g_per_kwh",
                    grams,
                    "it must be a number from 0",
                )
                .at(Location::file(format!("region {}", region.name))));
            }
        }
        Ok(())
    }

    /// The accelerator with a name or alias; case, spaces and dashes do not matter.
    ///
    /// # Errors
    /// [`Error::Unknown`], with the nearest name.
    pub fn accelerator(&self, name: &str) -> Result<&Accelerator> {
        self.accelerators.find("GPU", name)
    }

    /// The model preset with a name or alias.
    ///
    /// # Errors
    /// [`Error::Unknown`], with the nearest name.
    pub fn model(&self, name: &str) -> Result<&ModelPreset> {
        self.models.find("model", name)
    }

    /// The system preset with a name or alias.
    ///
    /// # Errors
    /// [`Error::Unknown`], with the nearest name.
    pub fn system(&self, name: &str) -> Result<&SystemPreset> {
        self.systems.find("system", name)
    }

    /// The region with a name or alias.
    ///
    /// # Errors
    /// [`Error::Unknown`], with the nearest name.
    pub fn region(&self, name: &str) -> Result<&Region> {
        self.regions.find("region", name)
    }

    /// Resolves a model description; its own fields take precedence over those of the preset it names.
    ///
    /// # Errors
    /// [`Error::Unknown`] for an unknown name without a shape, and those of
    /// [`ModelSpec::resolve`].
    pub fn architecture(&self, spec: &ModelSpec) -> Result<Architecture> {
        let preset = match &spec.name {
            // with a complete shape the name need not be a preset
            Some(name)
                if !(spec.family.is_some()
                    && spec.layers.is_some()
                    && spec.hidden_size.is_some()) =>
            {
                Some(self.model(name)?)
            }
            _ => None,
        };
        match preset {
            Some(preset) => {
                let mut base = preset.spec.clone();
                if spec.describes_a_shape() {
                    base.name = base.name.map(|n| format!("{n} (changed)"));
                }
                ModelSpec { name: None, ..spec.clone() }.with_fallback(base).resolve()
            }
            None => spec.resolve(),
        }
    }
}

fn check_model(model: &ModelPreset) -> Result<()> {
    if model.spec.name.is_none() {
        return Err(Error::missing("name", "every model of a catalogue needs one"));
    }
    let counted = model.spec.resolve()?.parameters().total;
    match model.parameters {
        Some(stated) if stated != counted => {
            Err(Error::invalid("parameters", stated, format!("its shape has {counted}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::rows::plain;
    use super::*;

    #[test]
    fn every_built_in_row_is_checked_and_no_name_stands_twice() {
        let catalog = Catalog::built_in().unwrap();
        catalog.check().unwrap();
        assert!(
            catalog.accelerators.len() >= 26
                && catalog.models.len() >= 280
                && catalog.systems.len() >= 10
        );
        for system in catalog.systems.all().unwrap() {
            catalog.accelerator(&system.accelerator).unwrap();
            assert!(!system.source.is_empty());
        }
        let unique = |names: Vec<String>| {
            let mut set = BTreeSet::new();
            for name in names {
                assert!(set.insert(plain(&name)), "{name} stands twice");
            }
        };
        let (accelerators, models) =
            (catalog.accelerators.all().unwrap(), catalog.models.all().unwrap());
        unique(accelerators.iter().flat_map(|a| a.names()).collect());
        unique(models.iter().flat_map(|m| m.names()).collect());
        unique(catalog.regions.all().unwrap().iter().flat_map(|r| r.names()).collect());
        for row in accelerators {
            assert!(!row.source.is_empty(), "{} has no source", row.name);
        }
    }

    #[test]
    fn names_are_found_in_the_spelling_of_tools() {
        let catalog = Catalog::built_in().unwrap();
        for (printed, name) in [
            ("NVIDIA A100-SXM4-40GB", "a100-sxm4-40gb"),
            ("NVIDIA GeForce RTX 2080 Ti", "rtx-2080-ti"),
            ("Tesla T4", "t4"),
            ("tesla v100-pcie-16gb", "v100-pcie-16gb"),
        ] {
            assert_eq!(catalog.accelerator(printed).unwrap().name, name);
        }
        let error = catalog.accelerator("a100-sxm4-40g").unwrap_err().to_string();
        assert_eq!(error, "unknown GPU `a100-sxm4-40g`; did you mean `a100-sxm4-40gb`?");
    }

    #[test]
    fn a_region_is_found_by_its_code() {
        let catalog = Catalog::built_in().unwrap();
        let france = catalog.region("FR").unwrap();
        assert_eq!((france.title.as_str(), france.year), ("France", 2023));
        assert_eq!(catalog.region("fra").unwrap(), france);
        assert!(france.carbon_g_per_kwh < 100.0);
        assert!(catalog.regions.len() > 200);
        assert_eq!(
            catalog.region("Frence").unwrap_err().to_string(),
            "unknown region `Frence`; did you mean `france`?"
        );
    }

    #[test]
    fn a_users_row_takes_precedence() {
        let own = Catalog::from_toml(
            "[[model]]\nname = 'gpt2'\nfamily = 'gpt2'\nlayers = 2\nhidden_size = 64\nsource = 'mine'\n",
        )
        .unwrap();
        let catalog = own.with_fallback(Catalog::built_in().unwrap());
        assert_eq!(catalog.model("gpt2").unwrap().spec.layers, Some(2));
        assert_eq!(catalog.model("gpt2-xl").unwrap().spec.layers, Some(48));
    }

    #[test]
    fn a_damaged_row_is_refused() {
        let fails = |text: &str| Catalog::from_toml(text).unwrap_err().to_string();
        let row =
            "[[model]]\nname = 'm'\nfamily = 'gpt2'\nlayers = 2\nhidden_size = 64\nsource = 's'\n";
        assert!(fails(&format!("{row}hiden = 3\n")).contains("unknown field `hiden`"));
        assert!(
            fails(&format!("{row}parameters = 5\n")).contains("parameters is 5, but its shape has")
        );
        assert!(fails("[[accelerator]]\nname = 'x'\n").contains("missing field"));
    }
}
