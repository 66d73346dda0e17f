//! Files that start a job: configuration files of training frameworks, and what starts them on the nodes of a cluster.
//!
//! A framework has a file here that writes its configuration, and so has a way to start processes on nodes. Pure: a job in, text out.
//! What a framework cannot express is refused before anything is written; what wattlaw does not know, such as the path of the data, is a
//! placeholder that [`LaunchFile::placeholders`] names.

mod accelerate;
mod axolotl;
mod cluster;
mod deepspeed;
mod hugging_face;
mod launcher;
mod megatron;
mod nanotron;
mod script;
pub mod shell;
mod support;
mod torchtitan;

pub use launcher::Launcher;

use wattlaw::base::error::{Error, Result};
use wattlaw::job::Job;

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchFile {
    /// Its name; all files of a job lie in one folder.
    pub name: String,
    /// Its content.
    pub text: String,
    /// Whether it is a program to execute.
    pub executable: bool,
    /// What its user must set in it, each as a clause that begins with the name.
    pub placeholders: Vec<String>,
}

impl LaunchFile {
    fn text(name: &str, text: String) -> Self {
        Self { name: name.to_owned(), text, executable: false, placeholders: Vec::new() }
    }

    fn with_placeholders(self, of: &[&str]) -> Self {
        Self { placeholders: of.iter().map(|&clause| clause.to_owned()).collect(), ..self }
    }
}

/// Writes the files that start a job: `job.toml`, the framework's configuration, `train.sh`, which each node runs, and the files of
/// the clusters among the launchers.
///
/// # Errors
/// [`Error::Invalid`] for a field of the job that the framework cannot express, with who can, for a job of another framework, and
/// for several frameworks at once.
///
/// ```
/// use wattlaw::job::{JobSpec, catalog::Catalog};
/// use wattlaw_launch::{Launcher, emit};
///
/// let job = JobSpec::from_toml(
///     r#"
///     model = { name = "llama-3.1-8b" }
///     workload = { steps = 1000, seq_len = 4096, micro_batch = 1, framework = "accelerate" }
///     parallelism = { strategy = "fsdp" }
///     system = { gpu = "h100", gpus = 16 }
///     "#,
/// )?
/// .resolve(&Catalog::built_in()?)?;
/// let files = emit(&job, &[Launcher::Accelerate, Launcher::Slurm])?;
/// let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
/// assert_eq!(names, ["job.toml", "accelerate.yaml", "arguments.yaml", "train.sh", "job.sbatch"]);
/// # Ok::<(), wattlaw::Error>(())
/// ```
pub fn emit(job: &Job, launchers: &[Launcher]) -> Result<Vec<LaunchFile>> {
    let of_frameworks: Vec<Launcher> =
        launchers.iter().copied().filter(|launcher| launcher.framework().is_some()).collect();
    let framework = match of_frameworks.as_slice() {
        [] => None,
        [first, rest @ ..] if rest.iter().all(|other| other == first) => Some(*first),
        all => {
            let names: Vec<&str> = all.iter().map(|launcher| launcher.name()).collect();
            return Err(Error::invalid(
                "the list of launchers",
                names.join(", "),
                "one framework trains a job; name one of them",
            ));
        }
    };
    let (configuration, command) = match framework {
        None => (Vec::new(), script::any_program()),
        Some(launcher) => {
            support::check(job, launcher)?;
            match launcher {
                Launcher::Accelerate => accelerate::files(job)?,
                Launcher::DeepSpeed => deepspeed::files(job)?,
                Launcher::Megatron => megatron::files(job)?,
                Launcher::Torchtitan => torchtitan::files(job)?,
                Launcher::Nanotron => nanotron::files(job)?,
                Launcher::Axolotl => axolotl::files(job)?,
                Launcher::Torchrun | Launcher::Slurm | Launcher::SkyPilot | Launcher::Kubeflow => {
                    (Vec::new(), script::any_program())
                }
            }
        }
    };
    let mut files = vec![LaunchFile::text("job.toml", job.spec().to_toml()?)];
    files.extend(configuration);
    files.push(script::file(job, &command));
    let mut clusters: Vec<Launcher> = Vec::new();
    for launcher in launchers {
        if !clusters.contains(launcher) {
            clusters.push(*launcher);
            files.extend(cluster::file(job, *launcher, &command));
        }
    }
    Ok(files)
}

/// The optimizer steps of a job as a whole number, rounded up.
fn whole_steps(job: &Job) -> u64 {
    job.steps().ceil() as u64
}

/// A text in quotes, as YAML, JSON and TOML read it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
