//! A job from flags, a job file, or both; flags override the file.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};

use wattlaw::Error;
use wattlaw::base::error::Location;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::fields::{Field, FieldKind, fields};
use wattlaw::job::system::SystemSpec;
use wattlaw::job::workload::{Framework, Lora, Stack};
use wattlaw::job::{Job, JobSpec};
use wattlaw::predict::{ChosenJob, Severity};
use wattlaw_ask::{Description, JobFile, Remark, Text, hub_config};

use crate::failure::{Done, Failure};
use crate::flags::machine::{AUTO, this_machine};
use crate::parse::whole;
use crate::{files, render};

/// A job file or a framework's files, and the flags that override them.
#[derive(Debug, Default, Args)]
pub struct JobArgs {
    /// A job file (TOML, or the JSON of `wattlaw job`), or the files of a framework: Axolotl, LLaMA-Factory, transformers, accelerate,
    /// DeepSpeed, Megatron-LM, Megatron-Bridge, NeMo, torchtitan, nanotron, torchtune; flags override their fields
    #[arg(value_name = "FILES")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub flags: JobFlags,
    /// Total number of accelerators
    #[arg(long, value_parser = whole::<u64>, help_heading = "System")]
    pub gpus: Option<u64>,
}

/// The flags that describe a job: one for each field except the number of accelerators.
#[derive(Debug, Default)]
pub struct JobFlags {
    /// The fields given by flags, without those of a `config.json` that a flag names.
    spec: JobSpec,
    /// Catalogue file.
    catalog: Option<PathBuf>,
    /// The region whose carbon intensity is taken.
    region: Option<String>,
}

/// Flags that are not named after their field: the field's column and the flag.
const FLAG_NAMES: [(&str, &str); 2] =
    [("power_limit_w", "power-limit"), ("carbon_g_per_kwh", "carbon-intensity")];

/// Fields that the short help (`-h`) omits.
const RARE: [&str; 55] = [
    "stage_layers",
    "text_layers",
    "text_hidden_size",
    "text_heads",
    "text_ffn_size",
    "joint_size",
    "shared_ffn_size",
    "dense_layers",
    "dense_ffn_size",
    "positions",
    "encoder_positions",
    "norms_per_layer",
    "embedding_norm",
    "qk_norm",
    "layer_scale",
    "distinct_layers",
    "window",
    "window_layers",
    "query_rank",
    "kv_rank",
    "rope_head_dim",
    "value_head_dim",
    "encoder_layers",
    "head_dim",
    "embedding_size",
    "max_positions",
    "token_types",
    "relative_buckets",
    "vocab_multiple",
    "gated_ffn",
    "tied_embeddings",
    "qkv_bias",
    "attention_output_bias",
    "ffn_bias",
    "final_norm",
    "pooler",
    "image_size",
    "patch_size",
    "channels",
    "classes",
    "state_precision",
    "quantization",
    "objective",
    "dora",
    "frozen_layers",
    "document_len",
    "offload",
    "framework",
    "partition",
    "cp",
    "context_exchange",
    "ep",
    "network",
    "host_power_w",
    "shard_group",
];

/// The fields with a flag.
fn flags() -> impl Iterator<Item = &'static Field> {
    fields().filter(|field| field.column != "gpus")
}

fn heading(table: &str) -> &'static str {
    match table {
        "model" => "Model",
        "workload" => "Workload",
        "parallelism" => "Parallelism",
        _ => "System",
    }
}

fn flag(field: &'static Field) -> Arg {
    let own = field.column.replace('_', "-");
    let named = FLAG_NAMES.iter().find(|(column, _)| *column == field.column);
    let long = named.map_or_else(|| own.clone(), |(_, name)| (*name).to_owned());
    let value = match field.kind {
        FieldKind::Text if field.column == "config" => "FILE".to_owned(),
        FieldKind::Words => "WORDS".to_owned(),
        FieldKind::Wholes => "NUMBERS".to_owned(),
        _ => field.column.to_uppercase(),
    };
    let arg = Arg::new(field.column)
        .long(long)
        .help(field.about)
        .help_heading(heading(field.table))
        .value_name(value)
        .hide_short_help(RARE.contains(&field.column))
        .value_parser(move |text: &str| check(field, text));
    let arg = if named.is_some() { arg.alias(own) } else { arg };
    match field.kind {
        FieldKind::Flag => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        FieldKind::Words => arg.requires("lora_rank"),
        FieldKind::Whole
        | FieldKind::Wholes
        | FieldKind::Count
        | FieldKind::Number
        | FieldKind::Word
        | FieldKind::Text => arg,
    }
}

/// Checks the text of one field.
fn check(field: &Field, text: &str) -> Result<String, String> {
    let mut alone = JobSpec::default();
    // LoRA targets are only valid with a rank
    alone.workload.lora = Some(Lora { rank: 1, targets: Vec::new() });
    match (field.set)(&mut alone, text) {
        Ok(()) => Ok(text.to_owned()),
        Err(Error::Invalid { found, expected, .. }) => {
            Err(format!("{found} is not accepted; {expected}"))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn catalog_flag() -> Arg {
    Arg::new("catalog")
        .long("catalog")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Catalogue file (TOML) whose GPUs, models and systems override the built-in ones")
}

impl Args for JobFlags {
    fn augment_args(command: Command) -> Command {
        let region = Arg::new("region")
            .long("region")
            .value_name("REGION")
            .help_heading("System")
            .conflicts_with("carbon_g_per_kwh")
            .help(
                "Country of the electricity, such as FR: sets the carbon intensity (see `wattlaw catalog regions`)",
            );
        // the name of several trainers' flags, which means one of two
        let batch_size = Arg::new("batch_size").long("batch-size").hide(true).value_parser(
            |_: &str| -> Result<String, String> {
                Err("give --micro-batch (sequences of a GPU at once) or --global-batch (sequences of all GPUs in a step)"
                    .to_owned())
            },
        );
        command.args(flags().map(flag)).args([catalog_flag(), region, batch_size])
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for JobFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut found = Self::default();
        found.update_from_arg_matches(matches)?;
        Ok(found)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for field in flags() {
            if let Some(text) = matches.get_one::<String>(field.column) {
                let refused =
                    |e: Error| clap::Error::raw(ErrorKind::ValueValidation, e.to_string());
                (field.set)(&mut self.spec, text).map_err(refused)?;
            }
        }
        self.catalog = matches.get_one::<PathBuf>("catalog").cloned();
        self.region = matches.get_one::<String>("region").cloned();
        Ok(())
    }
}

/// Fields of a job with several values each: flags that take lists such as `--gpus 4,8`.
#[derive(Debug, Default)]
pub struct Alternatives {
    /// Fields with their values.
    values: Vec<(&'static Field, Vec<String>)>,
    /// Catalogue file.
    catalog: Option<PathBuf>,
}

/// The fields that take a list.
fn lists() -> impl Iterator<Item = &'static Field> {
    fields().filter(|field| {
        !matches!(field.kind, FieldKind::Words | FieldKind::Wholes) && field.column != "config"
    })
}

impl Args for Alternatives {
    fn augment_args(command: Command) -> Command {
        let list = |field: &'static Field| {
            flag(field)
                .value_parser(move |text: &str| {
                    let each = text.split(',').map(|value| check(field, value.trim()));
                    each.collect::<Result<Vec<String>, String>>()
                })
                .value_name(format!("{},…", field.column.to_uppercase()))
        };
        command.args(lists().map(list)).arg(catalog_flag())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Alternatives {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut found = Self::default();
        found.update_from_arg_matches(matches)?;
        Ok(found)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.values = lists()
            .filter_map(|field| {
                Some((field, matches.get_one::<Vec<String>>(field.column)?.clone()))
            })
            .collect();
        self.catalog = matches.get_one::<PathBuf>("catalog").cloned();
        Ok(())
    }
}

impl Alternatives {
    /// The catalogue; the user's entries override the built-in ones.
    ///
    /// # Errors
    /// An invalid catalogue file.
    pub fn catalog(&self) -> Done<Catalog> {
        catalog(self.catalog.as_deref())
    }

    /// Every combination of the values, the first field slowest; at most `most`.
    ///
    /// # Errors
    /// A usage error for more combinations.
    pub fn combinations(&self, most: usize) -> Done<Vec<JobSpec>> {
        let count = self.values.iter().fold(1_usize, |all, (_, of)| all.saturating_mul(of.len()));
        if count > most {
            return Err(Failure::Usage(format!(
                "{count} combinations of the alternatives, but at most {most} are compared"
            )));
        }
        let mut specs = vec![JobSpec::default()];
        for (field, values) in &self.values {
            let mut longer = Vec::with_capacity(specs.len() * values.len());
            for spec in &specs {
                for value in values {
                    let mut spec = spec.clone();
                    (field.set)(&mut spec, value).map_err(Failure::usage)?;
                    longer.push(spec);
                }
            }
            specs = longer;
        }
        Ok(specs)
    }
}

impl JobArgs {
    /// The job, resolved.
    ///
    /// # Errors
    /// An invalid file is a failure (exit code 1); invalid flags without a file are a usage error (2).
    pub fn job(&self) -> Done<Job> {
        Ok(self.resolved(JobSpec::resolve)?.0)
    }

    /// The job, of a framework where flags and files name none.
    ///
    /// # Errors
    /// As [`JobArgs::job`].
    pub fn job_of(&self, framework: Framework) -> Done<Job> {
        let resolve = |spec: &JobSpec, catalog: &Catalog| {
            let mut spec = spec.clone();
            spec.workload.framework.get_or_insert(Stack::of(framework));
            spec.resolve(catalog)
        };
        Ok(self.resolved(resolve)?.0)
    }

    /// The job, with a strategy and micro-batch that are not stated chosen by the memory that they need.
    ///
    /// # Errors
    /// As [`JobArgs::job`].
    pub fn chosen(&self) -> Done<ChosenJob> {
        Ok(self.chosen_from()?.0)
    }

    /// The job as [`JobArgs::chosen`] has it, with what it was described by.
    ///
    /// # Errors
    /// As [`JobArgs::job`].
    pub fn chosen_from(&self) -> Done<(ChosenJob, Description)> {
        self.resolved(ChosenJob::new)
    }

    fn resolved<T>(
        &self,
        resolve: impl Fn(&JobSpec, &Catalog) -> wattlaw::Result<T>,
    ) -> Done<(T, Description)> {
        let catalog = self.flags.catalog()?;
        let description = self.description(&catalog)?;
        warn(&description);
        let found = description.resolved(&catalog, resolve).map_err(|e| failure(&self.files, e))?;
        Ok((found, description))
    }

    /// What flags and files say of the job. Each file is read once: it may be a pipe.
    ///
    /// # Errors
    /// An invalid file; no file and no model.
    pub fn description(&self, catalog: &Catalog) -> Done<Description> {
        let mut flags = self.flags.spec()?;
        flags.system.gpus = self.gpus;
        described(&self.files, flags, catalog)
    }
}

/// An error of a job without a file is one of its flags.
fn failure(files: &[PathBuf], error: Error) -> Failure {
    if files.is_empty() { Failure::usage(error) } else { error.into() }
}

/// What files and fields from flags say of a job. Each file is read once: it may be a pipe.
///
/// # Errors
/// An invalid file; no file and no model.
pub fn described(files: &[PathBuf], mut flags: JobSpec, catalog: &Catalog) -> Done<Description> {
    let measured = take_this_machine(&mut flags.system, catalog)?;
    let read = files.iter().map(|path| Ok((path.to_string_lossy(), crate::files::text(path)?)));
    let read = read.collect::<Done<Vec<_>>>()?;
    let texts: Vec<Text<'_>> = read.iter().map(|(name, text)| Text { name, text }).collect();
    let description = Description::new(&texts, flags, catalog, &open);
    let mut description = description.map_err(|e| failure(files, e))?;
    description.measured = measured;
    Ok(description)
}

/// Prints what a user should know of how the files were read.
pub fn warn(description: &Description) {
    for Remark { severity, text } in description.remarks() {
        render::note(if severity == Severity::Info { "note" } else { "warning" }, &text);
    }
}

/// Reads a job file (JSON if its name ends with `.json`, otherwise TOML) and the `config.json` that it names.
///
/// # Errors
/// An invalid file, with its location.
pub fn read(path: &Path) -> Done<JobSpec> {
    let (name, text) = (path.to_string_lossy(), files::text(path)?);
    let JobFile { spec, notes } = JobFile::new(Text { name: &name, text: &text }, &open)?;
    notes.iter().for_each(|note| render::note("note", note));
    Ok(spec)
}

/// Reads a file that a job file names.
fn open(path: &Path) -> wattlaw::Result<String> {
    files::text(path).map_err(|failure| Error::Data(failure.to_string()))
}

impl JobFlags {
    /// The catalogue; the user's entries override the built-in ones.
    ///
    /// # Errors
    /// An invalid catalogue file.
    pub fn catalog(&self) -> Done<Catalog> {
        catalog(self.catalog.as_deref())
    }

    /// The fields given by flags, including those of a `config.json` that a flag names.
    ///
    /// # Errors
    /// An invalid `config.json`.
    pub fn spec(&self) -> Done<JobSpec> {
        let mut spec = self.spec.clone();
        if let Some(path) = spec.model.config.take() {
            let text = files::text(Path::new(&path))?;
            let mut file = JobFile { spec, notes: Vec::new() };
            file.fall_back(hub_config(Text { name: &path, text: &text })?);
            file.notes.iter().for_each(|note| render::note("note", note));
            spec = file.spec;
        }
        if let Some(name) = &self.region {
            let catalog = self.catalog()?;
            let region = catalog.region(name).map_err(Failure::usage)?;
            spec.system.carbon_g_per_kwh = Some(region.carbon_g_per_kwh);
            let (title, grams, year) = (&region.title, region.carbon_g_per_kwh, region.year);
            let source = &region.source;
            render::note(
                "note",
                &format!("{title}: {grams} g CO₂e a kWh, mean of {year}; {source}"),
            );
        }
        Ok(spec)
    }
}

/// Puts this machine's GPUs in place of `--gpu auto`, and returns the columns that were measured.
///
/// # Errors
/// No GPU that is read, GPUs of several models, or a model that is not in the catalogue.
pub fn take_this_machine(system: &mut SystemSpec, catalog: &Catalog) -> Done<Vec<&'static str>> {
    if system.gpu.as_deref() != Some(AUTO) {
        return Ok(Vec::new());
    }
    system.gpu = None;
    let stated = JobSpec { system: system.clone(), ..JobSpec::default() };
    let found = JobSpec { system: this_machine(catalog)?, ..JobSpec::default() };
    let is_new = |field: &&Field| (field.get)(&found).is_some() && (field.get)(&stated).is_none();
    let measured = fields().filter(is_new).map(|field| field.column).collect();
    *system = stated.system.with_fallback(found.system);
    // a part of the machine is one node
    if system.gpus < system.gpus_per_node {
        system.gpus_per_node = system.gpus;
    }
    Ok(measured)
}

/// The built-in catalogue; a user's file overrides its entries.
///
/// # Errors
/// An invalid file, with its location.
pub fn catalog(overlay: Option<&Path>) -> Done<Catalog> {
    let built_in = Catalog::built_in()?;
    match overlay {
        None => Ok(built_in),
        Some(path) => {
            let own = Catalog::from_toml(&files::text(path)?)
                .map_err(|e| e.at(Location::file(path.display().to_string())))?;
            Ok(own.with_fallback(built_in))
        }
    }
}
