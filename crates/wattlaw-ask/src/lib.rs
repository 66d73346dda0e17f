//! A question about a training job, and its answer as JSON: what the command line, the Python package and the page share.
//!
//! A [`Description`] is what files and fields say of a job, with the origin of each field. An [`Answer`] is the prediction of
//! the job, and its text is the same on every surface, byte for byte. Pure: files come in as named texts.
//!
//! ```
//! use wattlaw::{Catalog, JobSpec, built_in};
//! use wattlaw_ask::{Answer, Description, Question, Text};
//!
//! let axolotl = "base_model: meta-llama/Llama-3.1-8B\nadapter: qlora\nload_in_4bit: true\nlora_r: 16\nlora_target_linear: true\n\
//!     sequence_len: 2048\nmicro_batch_size: 2\nmax_steps: 1000\n";
//! let flags = JobSpec::from_toml("system = { gpu = \"h100-sxm5-80gb\", gpus = 8 }")?;
//! let catalog = Catalog::built_in()?;
//! let files = [Text { name: "axolotl.yml", text: axolotl }];
//! let description = Description::new(&files, flags, &catalog, &wattlaw_ask::no_other_files)?;
//! let chosen = description.chosen(&catalog)?;
//! let answer = Answer::new(chosen, &description, &Question::of(&built_in()?))?;
//! assert!(answer.to_json()?.contains("\"schema\": \"wattlaw-predict/1\""));
//! # Ok::<(), wattlaw::Error>(())
//! ```

mod answer;
mod description;
mod job_file;
mod plan;
mod schema;

pub use answer::{Answer, BUILT_IN_REASON, GIVEN_REASON, Question};
pub use description::{Description, Origin, Remark};
pub use job_file::{JobFile, Open, Text, hub_config, no_other_files};
pub use plan::{plans_json, pools};
pub use schema::{Schema, json};
