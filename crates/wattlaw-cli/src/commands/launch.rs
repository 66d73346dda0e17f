//! `wattlaw launch`: writes the files that start a job.

use std::path::{Path, PathBuf};

use wattlaw_launch::{LaunchFile, Launcher, emit};

use crate::failure::{Done, Failure};
use crate::flags::job::JobArgs;
use crate::{files, render};

/// Flags of `wattlaw launch`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "train.sh, which each node runs, starts the training under `wattlaw measure`. Manual: docs/how-to/launch.md."
)]
pub struct Args {
    #[command(flatten)]
    job: JobArgs,
    /// What to write files for, separated by commas: at most one framework (accelerate, deepspeed, megatron, torchtitan, nanotron, axolotl),
    /// and torchrun, slurm, skypilot, kubeflow
    #[arg(long, value_delimiter = ',', required = true, value_name = "NAMES")]
    emit: Vec<Launcher>,
    /// Folder of the files; it is created where it is absent
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// An invalid job, a field that the framework cannot express, or a folder that cannot be written.
pub fn run(args: &Args) -> Done {
    let job = match args.emit.iter().find_map(|launcher| launcher.framework()) {
        Some(framework) => args.job.job_of(framework)?,
        None => args.job.job()?,
    };
    write(&emit(&job, &args.emit)?, &args.output)
}

/// Writes launch files into a folder, and says what in them is the user's to set.
///
/// # Errors
/// As [`write_files`].
pub fn write(made: &[LaunchFile], output: &Path) -> Done {
    write_files(made, output)?;
    let names: Vec<&str> = made.iter().map(|file| file.name.as_str()).collect();
    render::note("note", &format!("wrote {} in {}", names.join(", "), output.display()));
    for LaunchFile { name, placeholders, .. } in made {
        for placeholder in placeholders {
            render::note("note", &format!("yours to set in {name}: {placeholder}"));
        }
    }
    Ok(())
}

/// Writes launch files into a folder, which is created where it is absent.
///
/// # Errors
/// A folder that cannot be written.
pub fn write_files(made: &[LaunchFile], output: &Path) -> Done {
    let failed = |e: std::io::Error| Failure::Failed(format!("{}: {e}", output.display()));
    std::fs::create_dir_all(output).map_err(failed)?;
    for file in made {
        let path = output.join(&file.name);
        files::write(&path, &file.text)?;
        #[cfg(unix)]
        if file.executable {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&path, mode).map_err(failed)?;
        }
    }
    Ok(())
}
