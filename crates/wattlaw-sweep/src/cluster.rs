//! SLURM's commands and the folder `slurm` in a folder of runs: scripts, logs, and what was submitted.

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

/// The folder in a folder of runs.
const FOLDER: &str = "slurm";
/// The file in it that says what was submitted.
const JOURNAL: &str = "submitted.jsonl";

/// Variables that would stand before what a script says of itself.
const OVERRIDES: [&str; 4] =
    ["SBATCH_ARRAY_INX", "SBATCH_JOB_NAME", "SBATCH_CLUSTERS", "SLURM_CLUSTERS"];

/// What was submitted of a folder of runs, as far as it may have been.
///
/// # Errors
/// A journal that cannot be read.
pub fn submitted(runs: &Path) -> Result<Vec<Submission>> {
    let path = runs.join(FOLDER).join(JOURNAL);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, &e))?;
    slurm::journal(&text, &path.display().to_string()).map_err(|e| Error::Failed(e.to_string()))
}

/// The jobs of these submissions that wait or run, as the queue has them.
///
/// # Errors
/// A queue that cannot be asked.
pub fn queued(submitted: &[Submission]) -> Result<BTreeMap<String, Queued>> {
    if submitted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names: Vec<&str> = submitted.iter().map(|s| s.name.as_str()).collect();
    let mut squeue = Command::new("squeue");
    squeue.args(["--array", "--noheader", "--format", slurm::FORMAT]);
    squeue.arg(format!("--name={}", names.join(",")));
    // defaults of the user's that would leave jobs out
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"SQUEUE_") {
            squeue.env_remove(name);
        }
    }
    squeue.env_remove("SLURM_CLUSTERS");
    slurm::queue(&stdout_of(squeue)?, submitted).map_err(|e| Error::Failed(e.to_string()))
}

/// Whether jobs can be submitted from here.
///
/// # Errors
/// That there is no sbatch.
pub fn check_sbatch() -> Result<()> {
    let mut sbatch = Command::new("sbatch");
    sbatch.arg("--version");
    stdout_of(sbatch).map(|_| ())
}

/// The right to submit jobs of a folder of runs, which one process has at a time.
pub struct Submitter {
    folder: PathBuf,
    lock: File,
    /// Keeps a sweep that runs jobs here one after the other from beginning.
    sweep: store::Folder,
}

impl Submitter {
    /// Takes it, and makes the folder where there is none.
    ///
    /// # Errors
    /// That another process has it, a folder of another plan, or a folder that cannot be written to.
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
                "{}: another `wattlaw sweep submit` is at work on it",
                runs.display()
            ))),
            Err(TryLockError::Error(e)) => Err(failed(&path, &e)),
        }
    }

    /// The sweep as its records tell.
    ///
    /// # Errors
    /// A record that cannot be read.
    pub fn status(&mut self) -> Result<Sweep> {
        self.sweep.status()
    }

    /// Writes an array's script and list of jobs, and submits it; gives the script's path and the number that SLURM gave.
    ///
    /// What is to be submitted is on the disk before sbatch is asked: whatever is killed then, and whether sbatch's answer
    /// comes or not, the queue can be asked for the name.
    ///
    /// # Errors
    /// What sbatch said, or a disk that takes nothing.
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
        // sbatch reads no input, but holds the lock by it: where we are killed, nobody submits until it has ended
        let lock = self.lock.try_clone().map_err(|e| failed(&self.folder, &e))?;
        sbatch.stdin(lock);
        let answer = stdout_of(sbatch)?;
        // the last line; a cluster's name may stand behind the number, and what a site has to say before
        let number =
            answer.trim().lines().last().unwrap_or_default().split(';').next().unwrap_or_default();
        let array_job_id = number.parse().map_err(|_| {
            Error::Failed(format!("sbatch said `{}`, which is no number of a job", answer.trim()))
        })?;
        self.append(&Entry::Submitted { name: name.to_owned(), array_job_id })?;
        Ok((path, array_job_id))
    }

    /// Appends a line to the journal and brings it to the disk; a line that was torn is cut.
    fn append(&self, entry: &Entry) -> Result<()> {
        let path = self.folder.join(JOURNAL);
        let line = entry.line().map_err(|e| Error::Failed(e.to_string()))?;
        append(&path, &line).map_err(|e| failed(&path, &e))?;
        // a file that is new is on the disk once its folder is
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

/// What a command of SLURM's printed, having succeeded; else its own words in one line.
fn stdout_of(mut command: Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().map_err(|e| {
        Error::Failed(match e.kind() {
            ErrorKind::NotFound => format!(
                "{program}: there is no such command; jobs are submitted where SLURM is, on a login node of the cluster \
                 (--dry-run shows what would be submitted)"
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
        true => format!("{program} failed ({}) and said nothing", output.status),
        false => format!("{program}: {}", words.join("; ")),
    }))
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Failed(format!("{}: {error}", path.display()))
}
