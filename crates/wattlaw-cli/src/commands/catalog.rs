//! `wattlaw catalog`: lists GPUs, models, systems and regions.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::json;

use wattlaw::job::catalog::{Catalog, ModelPreset};
use wattlaw::job::model::{Architecture, ModelType};

use crate::failure::{Done, Failure};
use crate::flags::job::catalog;
use crate::format::Format;
use crate::{files, render};
use wattlaw_ask::Schema;

/// Flags of `wattlaw catalog`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    show: Option<Show>,
    /// What to list. Default: GPUs, models and systems
    #[arg(value_enum)]
    kind: Option<Kind>,
    /// List only entries with this text in their name or an alias, such as qwen
    #[arg(requires = "kind")]
    filter: Option<String>,
    /// Catalogue file (TOML) whose entries override the built-in ones
    #[arg(long, value_name = "FILE", global = true)]
    catalog: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
}

/// Kinds of catalogue entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Accelerators
    Gpus,
    /// Models
    Models,
    /// Nodes and clusters
    Systems,
    /// Countries with the carbon intensity of their electricity
    Regions,
    /// Model types of a config.json that are read, and by which features
    Types,
}

#[derive(Debug, Subcommand)]
enum Show {
    /// Show all fields of one GPU, model, system or region
    Show {
        /// Name or alias
        name: String,
    },
}

/// A model with its resolved shape and parameter count.
#[derive(Debug, Serialize)]
struct Model<'a> {
    #[serde(flatten)]
    preset: &'a ModelPreset,
    architecture: Architecture,
    total_parameters: u64,
}

/// Runs the command.
///
/// # Errors
/// An unknown name or an invalid catalogue file.
pub fn run(args: &Args) -> Done {
    let mut catalog = catalog(args.catalog.as_deref())?;
    let filter = args.filter.as_deref().unwrap_or("").to_lowercase();
    keep_named(&mut catalog, &filter);
    match (&args.show, args.format) {
        (Some(Show::Show { name }), format) => show(&catalog, name, format),
        (None, Format::Json) => match args.kind {
            Some(Kind::Gpus) => {
                render::json(Schema::Catalog, &json!({ "accelerator": catalog.accelerators }))
            }
            Some(Kind::Models) => {
                render::json(Schema::Catalog, &json!({ "model": catalog.models }))
            }
            Some(Kind::Systems) => {
                render::json(Schema::Catalog, &json!({ "system": catalog.systems }))
            }
            Some(Kind::Regions) => {
                render::json(Schema::Catalog, &json!({ "region": catalog.regions }))
            }
            Some(Kind::Types) => render::json(Schema::Catalog, &json!({ "type": types(&filter) })),
            None => render::json(Schema::Catalog, &catalog),
        },
        (None, Format::Table) => {
            let mut out = String::new();
            let all = [Kind::Gpus, Kind::Models, Kind::Systems];
            for kind in args.kind.map_or_else(|| all.to_vec(), |kind| vec![kind]) {
                if args.kind.is_none() {
                    out += &render::heading(match kind {
                        Kind::Gpus => "GPUs",
                        Kind::Models => "models",
                        Kind::Systems => "systems",
                        Kind::Regions => "regions",
                        Kind::Types => "model types",
                    });
                }
                out += &list(&catalog, kind, &filter)?;
                if args.kind.is_none() {
                    out.push('\n');
                }
            }
            files::print(&out)
        }
    }
}

/// Leaves the entries with `filter`, in lower case, in their name or an alias.
fn keep_named(catalog: &mut Catalog, filter: &str) {
    let named = |names: &[String]| names.iter().any(|name| name.to_lowercase().contains(filter));
    catalog.accelerators.retain(named);
    catalog.models.retain(named);
    catalog.systems.retain(named);
    catalog.regions.retain(named);
}

/// A model type of a `config.json`, with its features as words.
#[derive(Debug, Serialize)]
struct TypeRow {
    name: &'static str,
    family: &'static str,
    features: Vec<String>,
}

/// The model types with `filter` in their name.
fn types(filter: &str) -> Vec<TypeRow> {
    let kept = ModelType::ALL.into_iter().filter(|t| t.name().contains(filter));
    kept.map(|t| TypeRow {
        name: t.name(),
        family: t.family().name(),
        features: t.features().words(),
    })
    .collect()
}

fn list(catalog: &Catalog, kind: Kind, filter: &str) -> Done<String> {
    let optional = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), render::digits);
    Ok(match kind {
        Kind::Gpus => {
            let rows = catalog
                .accelerators
                .all()?
                .into_iter()
                .map(|a| {
                    vec![
                        a.name.clone(),
                        a.architecture.clone(),
                        a.fp16_tflops.map_or_else(String::new, render::digits),
                        optional(a.bf16_tflops),
                        optional(a.fp8_tflops),
                        render::digits(a.hbm_gib),
                        render::digits(a.hbm_gb_per_s),
                        a.link.to_string(),
                        a.tdp_w.map_or_else(String::new, render::digits),
                    ]
                })
                .collect();
            let header = [
                "name",
                "architecture",
                "fp16 TFLOP/s",
                "bf16",
                "fp8",
                "GiB",
                "GB/s",
                "link",
                "TDP W",
            ];
            render::table(&header, rows, 2)
        }
        Kind::Models => {
            let mut rows = Vec::new();
            for model in catalog.models.all()? {
                let a = model.spec.resolve()?;
                rows.push(vec![
                    a.name.clone(),
                    a.model_type.name().to_owned(),
                    a.total_layers().to_string(),
                    a.hidden_size.to_string(),
                    a.heads.to_string(),
                    a.ffn_size.to_string(),
                    a.vocab_size.to_string(),
                    render::whole(a.parameters().total),
                ]);
            }
            render::table(
                &["name", "type", "layers", "hidden", "heads", "ffn", "vocabulary", "parameters"],
                rows,
                2,
            )
        }
        Kind::Types => {
            let rows = types(filter)
                .into_iter()
                .map(|t| vec![t.name.to_owned(), t.family.to_owned(), t.features.join(", ")])
                .collect();
            render::table(&["type", "family", "features"], rows, 3)
        }
        Kind::Regions => {
            let rows = catalog
                .regions
                .all()?
                .into_iter()
                .map(|r| {
                    vec![
                        r.title.clone(),
                        r.aliases.join(", "),
                        render::digits(r.carbon_g_per_kwh),
                        r.year.to_string(),
                    ]
                })
                .collect();
            render::table(&["name", "codes", "g CO₂e a kWh", "year"], rows, 2)
        }
        Kind::Systems => {
            let rows = catalog
                .systems
                .all()?
                .into_iter()
                .map(|s| {
                    vec![
                        s.name.clone(),
                        s.accelerator.clone(),
                        s.gpus_per_node.to_string(),
                        s.network.clone().unwrap_or_else(|| "–".to_owned()),
                        optional(s.network_gb_per_s),
                        s.network_adapters.map_or_else(|| "–".to_owned(), |n| n.to_string()),
                        optional(s.host_power_w),
                    ]
                })
                .collect();
            let header =
                ["name", "GPU", "GPUs per node", "network", "GB/s per GPU", "adapters", "host W"];
            render::table(&header, rows, 2)
        }
    })
}

fn show(catalog: &Catalog, name: &str, format: Format) -> Done {
    let value = if let Ok(accelerator) = catalog.accelerator(name) {
        serde_json::to_value(accelerator)
    } else if let Ok(preset) = catalog.model(name) {
        let architecture = preset.spec.resolve()?;
        let total_parameters = architecture.parameters().total;
        serde_json::to_value(Model { preset, architecture, total_parameters })
    } else if let Ok(system) = catalog.system(name) {
        serde_json::to_value(system)
    } else if let Ok(region) = catalog.region(name) {
        serde_json::to_value(region)
    } else {
        let names = catalog
            .accelerators
            .names()
            .chain(catalog.models.names())
            .chain(catalog.systems.names())
            .chain(catalog.regions.names());
        return Err(Failure::usage(wattlaw::Error::unknown("name", name, names)));
    }
    .map_err(Failure::failed)?;
    if format == Format::Json {
        return render::json(Schema::CatalogShow, &value);
    }
    let mut rows = Vec::new();
    flatten("", &value, &mut rows);
    files::print(&render::table(&["", ""], rows, 9))
}

/// One row per value; nested names are joined by dots, absent values are omitted.
fn flatten(name: &str, value: &serde_json::Value, rows: &mut Vec<Vec<String>>) {
    match value {
        serde_json::Value::Null => {}
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(&name, value, rows);
            }
        }
        serde_json::Value::Array(items) if items.is_empty() => {}
        serde_json::Value::String(text) if text.is_empty() => {}
        serde_json::Value::Array(items) => {
            let items: Vec<String> = items
                .iter()
                .map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned))
                .collect();
            rows.push(vec![name.to_owned(), items.join(", ")]);
        }
        serde_json::Value::String(text) => rows.push(vec![name.to_owned(), text.clone()]),
        other => rows.push(vec![name.to_owned(), other.to_string()]),
    }
}
