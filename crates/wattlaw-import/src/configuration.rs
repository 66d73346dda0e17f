//! Configuration files of training frameworks, read as a job.
//!
//! Each framework has a file that says what its keys mean. A file's framework is found from its content. Several files may
//! describe one job: what one states, another may not contradict. A key that changes time, energy or memory and that has no
//! field in a job is reported by name. Pure: text in, values out.
//!
//! Keys and defaults were read in the sources of the frameworks: Axolotl 067b021c8, LLaMA-Factory ff6d4d12e, TRL f2cd57710,
//! transformers 5.24.0, accelerate 16cb6eb8, DeepSpeed edaa722, Megatron-LM d98e8a64dd, Megatron-Bridge 067f987df, torchtitan
//! 0.2.2, nanotron 2411b022. NeMo's and torchtune's were checked against no commit.

mod accelerate;
mod axolotl;
mod deepspeed;
mod detect;
mod entries;
mod fully_sharded;
mod harmless;
mod launcher;
mod llama_factory;
mod megatron;
mod megatron_bridge;
mod nanotron;
mod nemo;
mod reader;
mod shape;
mod statement;
mod torchtitan;
mod torchtune;
mod trainer;
mod vocabulary;

use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::words::words;
use wattlaw::job::JobSpec;
use wattlaw::job::fields::fields;

use entries::Notation;
use reader::Reader;
pub use statement::{Origin, Statement, Unmodelled};
pub use vocabulary::model_names;

/// A tool whose configuration files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tool {
    /// Axolotl's YAML.
    Axolotl,
    /// LLaMA-Factory's YAML or JSON.
    LlamaFactory,
    /// `TrainingArguments` of transformers and TRL, as YAML or JSON.
    Trainer,
    /// accelerate's YAML.
    Accelerate,
    /// DeepSpeed's JSON.
    Deepspeed,
    /// Arguments of Megatron-LM, in a script or a file of their own.
    Megatron,
    /// Megatron-Bridge's YAML.
    MegatronBridge,
    /// NeMo's YAML.
    Nemo,
    /// torchtitan's TOML.
    Torchtitan,
    /// nanotron's YAML.
    Nanotron,
    /// torchtune's YAML.
    Torchtune,
}

words!(Tool, "tool": Axolotl = "axolotl", LlamaFactory = "llama-factory", Trainer = "transformers",
    Accelerate = "accelerate", Deepspeed = "deepspeed", Megatron = "megatron", MegatronBridge = "megatron-bridge",
    Nemo = "nemo", Torchtitan = "torchtitan", Nanotron = "nanotron", Torchtune = "torchtune");

impl Tool {
    /// Every tool.
    pub const ALL: [Self; 11] = [
        Self::Axolotl,
        Self::LlamaFactory,
        Self::Trainer,
        Self::Accelerate,
        Self::Deepspeed,
        Self::Megatron,
        Self::MegatronBridge,
        Self::Nemo,
        Self::Torchtitan,
        Self::Nanotron,
        Self::Torchtune,
    ];

    /// Its name as its users write it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Axolotl => "Axolotl",
            Self::LlamaFactory => "LLaMA-Factory",
            Self::Trainer => "transformers' TrainingArguments",
            Self::Accelerate => "accelerate",
            Self::Deepspeed => "DeepSpeed",
            Self::Megatron => "Megatron-LM",
            Self::MegatronBridge => "Megatron-Bridge",
            Self::Nemo => "NeMo",
            Self::Torchtitan => "torchtitan",
            Self::Nanotron => "nanotron",
            Self::Torchtune => "torchtune",
        }
    }

    /// Whether the tool runs below a trainer, whose arguments go before its own defaults.
    const fn is_launcher(self) -> bool {
        matches!(self, Self::Accelerate | Self::Deepspeed)
    }

    /// The tool that a file is for, from its content; `None` for any other text.
    pub fn detect(text: &str) -> Option<Self> {
        let (notation, entries) = entries::read(text).ok()?;
        detect::tool(notation, &entries)
    }

    /// Reads the entries of a file, then takes the tool's own defaults.
    fn read(self, reader: &mut Reader<'_>) -> Result<()> {
        match self {
            Self::Axolotl => axolotl::read(reader),
            Self::LlamaFactory => llama_factory::read(reader),
            Self::Trainer => trainer::read(reader),
            Self::Accelerate => accelerate::read(reader),
            Self::Deepspeed => deepspeed::read(reader),
            Self::Megatron => megatron::read(reader),
            Self::MegatronBridge => megatron_bridge::read(reader),
            Self::Nemo => nemo::read(reader),
            Self::Torchtitan => torchtitan::read(reader),
            Self::Nanotron => nanotron::read(reader),
            Self::Torchtune => torchtune::read(reader),
        }
    }
}

/// What configuration files say of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    /// The tools of the files, in their order.
    pub tools: Vec<Tool>,
    /// What the files state, each field once.
    pub stated: Vec<Statement>,
    /// Defaults of the tools for what no file states, each field once.
    pub defaults: Vec<Statement>,
    /// Keys that change time, energy or memory, and that no field of the job holds.
    pub unmodelled: Vec<Unmodelled>,
    /// The job that statements and defaults describe.
    pub job: JobSpec,
}

impl Configuration {
    /// Reads the files of one job, each a name and a text.
    ///
    /// # Errors
    /// Bad syntax, a file of no known tool, a value of the wrong type, and files that contradict each other or name a file
    /// that is not among them; with file, line and key.
    pub fn read(files: &[(&str, &str)]) -> Result<Self> {
        let mut found = Self {
            tools: Vec::new(),
            stated: Vec::new(),
            defaults: Vec::new(),
            unmodelled: Vec::new(),
            job: JobSpec::default(),
        };
        let mut defaults = Vec::new();
        for (file, text) in files {
            let whole = |e: Error| e.at(Location::file(*file));
            let (notation, entries) = entries::read(text).map_err(whole)?;
            let Some(tool) = detect::tool(notation, &entries) else {
                return Err(whole(unknown_file(notation)));
            };
            let mut reader = Reader::new(tool, file, entries);
            tool.read(&mut reader)?;
            reader.check_references(files)?;
            let (stated, taken, unmodelled) = reader.finish();
            for statement in stated {
                found.add(statement)?;
            }
            defaults.extend(taken);
            found.unmodelled.extend(unmodelled);
            found.tools.push(tool);
        }
        if found.states("steps") {
            // steps go before passes over examples
            found.stated.retain(|statement| statement.column != "examples");
        }
        // what is below a trainer is told by its arguments
        let has_trainer = found.tools.iter().any(|tool| !tool.is_launcher());
        for default in defaults {
            if !(has_trainer && default.tool.is_launcher()) {
                found.add_default(default);
            }
        }
        found.describe()?;
        Ok(found)
    }

    /// Adds a statement, which may repeat another and may not contradict it.
    fn add(&mut self, statement: Statement) -> Result<()> {
        let Some(other) = self.stated.iter_mut().find(|other| other.column == statement.column)
        else {
            self.stated.push(statement);
            return Ok(());
        };
        if other.value.eq_ignore_ascii_case(&statement.value) {
            return Ok(());
        }
        if statement.column == "framework" {
            // DeepSpeed's engine runs below the other tools
            if statement.value == "deepspeed" {
                *other = statement;
            }
            return Ok(());
        }
        let expected = format!("{} says {}; give one of them", other.at(), other.value);
        Err(Error::invalid(statement.named(), &statement.value, expected).at(statement.place))
    }

    /// Adds a default where its field is open.
    fn add_default(&mut self, default: Statement) {
        let is_amount = |column: &str| ["tokens", "steps", "epochs"].contains(&column);
        let is_open = |of: &Statement| {
            of.column != default.column && !(is_amount(of.column) && is_amount(default.column))
        };
        let all = || self.stated.iter().chain(&self.defaults);
        // a stated global batch gives the accumulation
        let follows = default.column == "grad_accum" && self.states("global_batch");
        // targets are those of adapters
        let applies = default.column != "lora_targets" || all().any(|of| of.column == "lora_rank");
        if all().all(is_open) && !follows && applies {
            self.defaults.push(default);
        }
    }

    fn states(&self, column: &str) -> bool {
        self.stated.iter().any(|statement| statement.column == column)
    }

    /// Sets the fields of the job, in the order in which a job lists them, so that a LoRA rank is before its targets.
    fn describe(&mut self) -> Result<()> {
        let position = |of: &Statement| fields().position(|field| field.column == of.column);
        self.stated.sort_by_key(position);
        self.defaults.sort_by_key(position);
        let mut all: Vec<&Statement> = self.stated.iter().chain(&self.defaults).collect();
        all.sort_by_key(|statement| position(statement));
        for statement in all {
            statement.set(&mut self.job)?;
        }
        Ok(())
    }

    /// The statement that gives the value of a job's column, and where it comes from; `None` where neither a file nor a
    /// tool's default gives it.
    pub fn origin(&self, column: &str) -> Option<(Origin, &Statement)> {
        let of = |all: &'_ [Statement]| all.iter().position(|one| one.column == column);
        of(&self.stated)
            .map(|at| (Origin::File, &self.stated[at]))
            .or_else(|| of(&self.defaults).map(|at| (Origin::FrameworkDefault, &self.defaults[at])))
    }

    /// The error of a job that these files describe: at the line of the key that states the wrong field, and with its name.
    #[must_use]
    pub fn placed(&self, error: Error) -> Error {
        let first = self.stated.first().map(|statement| Location::file(&statement.place.file));
        let degrees = ["dp", "tp", "pp"];
        let statement = match &error {
            Error::Invalid { field, .. } => self.stated.iter().find(|statement| {
                *field == statement.column
                    || (field == "dp × tp × pp" && degrees.contains(&statement.column))
            }),
            _ => None,
        };
        match (error, statement) {
            (Error::Invalid { field, found, expected }, Some(statement)) => {
                let field = if field == statement.column { statement.named() } else { field };
                Error::Invalid { field, found, expected }.at(statement.place.clone())
            }
            (error, _) => match first {
                Some(place) => error.at(place),
                None => error,
            },
        }
    }
}

/// The error for a file of no known tool.
fn unknown_file(notation: Notation) -> Error {
    let titles: Vec<&str> = Tool::ALL.into_iter().map(Tool::title).collect();
    let notation = match notation {
        Notation::Yaml => "YAML",
        Notation::Json => "JSON",
        Notation::Toml => "TOML",
        Notation::Arguments => "a script",
    };
    Error::Data(format!(
        "{notation} of no known framework; files of {} are read, and wattlaw's own job files",
        titles.join(", ")
    ))
}
