//! SLURM commands, and the folder `slurm` in a folder of runs: scripts, logs and the journal of submissions.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wattlaw_meter::error::{Error, Result};
use wattlaw_meter::folder::{rfc3339, write_atomic};

use crate::plan::Plan;
use crate::slurm::{self, Entry, Queued, Submission};
use crate::status::Sweep;
use crate::store::{self, Sharing};

/// Folder name in a folder of runs.
const FOLDER: &str = "slurm";
/// File name of the journal of submissions.
const JOURNAL: &str = "submitted.jsonl";

/// Environment variables that would override options in the script.
const OVERRIDES: [&str; 4] =
    ["SBATCH_ARRAY_INX", "SBATCH_JOB_NAME", "SBATCH_CLUSTERS", "SLURM_CLUSTERS"];

/// All submissions of a folder of runs, including those whose success is unknown.
///
/// # Errors
/// The journal cannot be read.
pub fn submitted(runs: &Path) -> Result<Vec<Submission>> {
    let path = runs.join(FOLDER).join(JOURNAL);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, &e))?;
    slurm::journal(&text, &path.display().to_string()).map_err(|e| Error::Failed(e.to_string()))
}

/// The queued jobs of these submissions, by run_id.
///
/// # Errors
/// The queue cannot be read.
pub fn queued(submitted: &[Submission]) -> Result<BTreeMap<String, Queued>> {
    if submitted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names: Vec<&str> = submitted.iter().map(|s| s.name.as_str()).collect();
    let mut squeue = Command::new("squeue");
    squeue.args(["--array", "--noheader", "--format", slurm::FORMAT]);
    squeue.arg(format!("--name={}", names.join(",")));
    // user defaults (SQUEUE_*) could hide jobs
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"SQUEUE_") {
            squeue.env_remove(name);
        }
    }
    squeue.env_remove("SLURM_CLUSTERS");
    slurm::queue(&stdout_of(squeue)?, submitted).map_err(|e| Error::Failed(e.to_string()))
}

/// Checks that jobs can be submitted from this machine.
///
/// # Errors
/// sbatch is not available.
pub fn check_sbatch() -> Result<()> {
    let mut sbatch = Command::new("sbatch");
    sbatch.arg("--version");
    stdout_of(sbatch).map(|_| ())
}

/// Submits jobs of a folder of runs. A lock allows one submitting process at a time.
pub struct Submitter {
    folder: PathBuf,
    lock: File,
    /// Shared lock that excludes a local `sweep run`.
    sweep: store::Folder,
}

impl Submitter {
    /// Takes the lock and creates the folder if needed.
    ///
    /// # Errors
    /// Another process is submitting, the folder has another plan, or it cannot be written.
    pub fn open(runs: &Path, plan: &Plan) -> Result<Self> {
        let sweep = store::Folder::open(runs, plan.clone(), Sharing::Shared)?;
        let folder = runs.join(FOLDER);
        let logs = folder.join("log");
        std::fs::create_dir_all(&logs).map_err(|e| failed(&logs, &e))?;
        let path = folder.join("submit.lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| failed(&path, &e))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder, lock, sweep }),
            Err(TryLockError::WouldBlock) => Err(Error::Failed(format!(
                "{}: another `wattlaw sweep submit` is using this folder",
                runs.display()
            ))),
            Err(TryLockError::Error(e)) => Err(failed(&path, &e)),
        }
    }

    /// The current status of the sweep.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn status(&mut self) -> Result<Sweep> {
        self.sweep.status()
    }

    /// Writes an array's script and job list and submits it. Returns the script's path and SLURM's job id.
    ///
    /// The journal entry is on disk before sbatch runs. After any interruption the queue can be searched for the array's name.
    ///
    /// # Errors
    /// An error of sbatch, or a file that cannot be written.
    pub fn submit(&self, script: &slurm::Script<'_>) -> Result<(PathBuf, u64)> {
        let (name, array) = (script.name, script.array);
        let run_ids = array.run_ids();
        let (path, text) = (
            self.folder.join(format!("{name}.sh")),
            script.text().map_err(|e| Error::Failed(e.to_string()))?,
        );
        write_atomic(Path::new(&script.jobs_file()), &(run_ids.join("\n") + "\n"))?;
        write_atomic(&path, &text)?;
        self.append(&Entry::Submitting {
            at: rfc3339(jiff::Timestamp::now()),
            name: name.to_owned(),
            nodes: array.shape.nodes,
            gpus_per_node: array.shape.gpus_per_node,
            run_ids,
        })?;
        let mut sbatch = Command::new("sbatch");
        sbatch.arg("--parsable").arg(&path);
        for name in OVERRIDES {
            sbatch.env_remove(name);
        }
        // sbatch reads no input but inherits the lock: if this process is killed, nobody submits until sbatch has ended
        let lock = self.lock.try_clone().map_err(|e| failed(&self.folder, &e))?;
        sbatch.stdin(lock);
        let answer = stdout_of(sbatch)?;
        // the id is in the last line, before an optional `;cluster`; sites may print messages before it
        let number =
            answer.trim().lines().last().unwrap_or_default().split(';').next().unwrap_or_default();
        let array_job_id = number.parse().map_err(|_| {
            Error::Failed(format!("sbatch printed `{}`, which is not a job id", answer.trim()))
        })?;
        self.append(&Entry::Submitted { name: name.to_owned(), array_job_id })?;
        Ok((path, array_job_id))
    }

    /// Appends a line to the journal and syncs it to disk; removes an incomplete last line first.
    fn append(&self, entry: &Entry) -> Result<()> {
        let path = self.folder.join(JOURNAL);
        let line = entry.line().map_err(|e| Error::Failed(e.to_string()))?;
        append(&path, &line).map_err(|e| failed(&path, &e))?;
        // a new file is durable only after its folder is synced
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| failed(&self.folder, &e))
    }
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut text)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    file.set_len(whole as u64)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

/// Runs a SLURM command and returns its standard output; an error holds its messages in one line.
fn stdout_of(mut command: Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().map_err(|e| {
        Error::Failed(match e.kind() {
            ErrorKind::NotFound => format!(
                "{program}: command not found; submit jobs on a login node of the cluster (--dry-run shows the scripts)"
            ),
            _ => format!("{program}: {e}"),
        })
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let prefix = format!("{program}: error: ");
    let words: Vec<&str> = text
        .lines()
        .map(|line| line.trim().trim_start_matches(&prefix))
        .filter(|line| !line.is_empty())
        .collect();
    Err(Error::Failed(match words.is_empty() {
        true => format!("{program} failed ({}) without a message", output.status),
        false => format!("{program}: {}", words.join("; ")),
    }))
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Failed(format!("{}: {error}", path.display()))
}
