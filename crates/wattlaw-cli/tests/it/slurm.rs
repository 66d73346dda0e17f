//! `wattlaw sweep submit` on a SLURM that the test starts: jobs killed, nodes drained, the controller killed, and in the end
//! each job is done exactly once.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cluster::{Cluster, NODES};
use crate::running::limited::Limited;
use crate::running::{Ran, WATTLAW, find_program};
use serde_json::Value;

/// Trains nothing: says in `ledger` when it begins, steps and ends, waits as long as `hold/<job>` is there, and fails as long as
/// `broken/<job>` is.
const TRAINER: &str = r#"#!/bin/sh
tell() { echo "$1" >> "$WATTLAW_EVENTS"; }
log() { echo "$WATTLAW_RUN_ID ${SLURM_NODEID:-0} $1" >> "$LEDGER/ledger"; }
log begin
# as in a rendezvous, nobody goes on before all are there
touch "$LEDGER/met/$WATTLAW_RUN_ID-$SLURM_JOB_ID-${SLURM_NODEID:-0}"
until [ "$(ls "$LEDGER/met" | grep -c "^$WATTLAW_RUN_ID-$SLURM_JOB_ID-")" = "$SLURM_JOB_NUM_NODES" ]; do sleep 0.02; done
tell '{"event":"window_begin","name":"train"}'
for step in 1 2 3; do tell '{"event":"step","tokens":64}'; log step; done
while [ -e "$LEDGER/hold/$WATTLAW_RUN_ID" ]; do sleep 0.05; done
if [ -e "$LEDGER/broken/$WATTLAW_RUN_ID" ]; then echo 'error: there is no corpus' >&2; exit 3; fi
tell '{"event":"window_end","name":"train"}'
log "end $MASTER_ADDR"
"#;

const OPTIONS: &str = "[sbatch]\npartition = \"main\"\ngres = \"gpu:{gpus_per_node}\"\n";

/// A sweep on a cluster.
struct Sweep<'a>(&'a Cluster);

impl Sweep<'_> {
    /// A plan of jobs: names with GPUs and GPUs a node.
    fn new<'a>(cluster: &'a Cluster, jobs: &[(&str, u64, u64)]) -> Sweep<'a> {
        let at = |name: &str| cluster.path().join(name);
        executable(&at("trainer"), TRAINER);
        fs::write(at("slurm.toml"), OPTIONS).unwrap();
        for folder in ["hold", "broken", "met"] {
            fs::create_dir(at(folder)).unwrap();
        }
        let mut plan =
            "run_id,family,layers,hidden_size,seq_len,micro_batch,steps,gpu,strategy,gpus,gpus_per_node\n"
                .to_owned();
        for (run_id, gpus, gpus_per_node) in jobs {
            let strategy = if *gpus == 1 { "single" } else { "fsdp" };
            plan += &format!("{run_id},bert,2,64,32,8,3,t4,{strategy},{gpus},{gpus_per_node}\n");
        }
        fs::write(at("plan.csv"), plan).unwrap();
        Sweep(cluster)
    }

    fn command(&self, flags: &str) -> Command {
        let mut command = self.0.command(WATTLAW);
        let words = "sweep submit plan.csv --scheduler slurm --out runs --options slurm.toml --time-only --settle 0s";
        command
            .args(words.split(' '))
            .args(flags.split(' ').filter(|word| !word.is_empty()))
            .arg("--")
            .arg(self.0.path().join("trainer"))
            .env("LEDGER", self.0.path());
        command
    }

    fn submit(&self, flags: &str) -> Ran {
        self.command(flags).finish().into()
    }

    /// Submits and gives the number of jobs that were.
    #[track_caller]
    fn submitted(&self, flags: &str) -> u64 {
        let ran = self.submit(flags);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        println!("{}{}", ran.stdout, ran.stderr);
        let said =
            ran.stderr.lines().find_map(|line| line.strip_prefix("note: ")?.split_once(" of "));
        said.unwrap_or_else(|| panic!("{}", ran.stderr)).0.parse().unwrap()
    }

    fn hold(&self, run_ids: &[&str]) {
        for run_id in run_ids {
            fs::write(self.0.path().join("hold").join(run_id), "").unwrap();
        }
    }

    fn release(&self, run_id: &str) {
        fs::remove_file(self.0.path().join("hold").join(run_id)).unwrap();
    }

    /// How often a job said this.
    fn said(&self, run_id: &str, what: &str) -> usize {
        let ledger = fs::read_to_string(self.0.path().join("ledger")).unwrap_or_default();
        let says = |line: &&str| {
            let words: Vec<&str> = line.split(' ').collect();
            words[0] == run_id && words[2] == what
        };
        ledger.lines().filter(says).count()
    }

    fn status(&self) -> Value {
        let output =
            self.0.command(WATTLAW).args("sweep status runs --format json".split(' ')).finish();
        let ran: Ran = output.into();
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// What the tasks printed.
    fn logs(&self) -> String {
        let folder = self.0.path().join("runs/slurm/log");
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files
            .map(|path| format!("-- {}\n{}", path.display(), fs::read_to_string(&path).unwrap()))
            .collect()
    }

    /// Number of SLURM of a job of the plan.
    fn slurm_job(&self, run_id: &str) -> String {
        let journal = fs::read_to_string(self.0.path().join("runs/slurm/submitted.jsonl")).unwrap();
        let entries: Vec<Value> =
            journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut found = None;
        for entry in entries.iter().filter(|entry| entry["event"] == "submitting") {
            let ids = entry["run_ids"].as_array().unwrap();
            let Some(index) = ids.iter().position(|id| id == run_id) else { continue };
            let answer =
                entries.iter().find(|e| e["event"] == "submitted" && e["name"] == entry["name"]);
            found = Some(format!("{}_{index}", answer.unwrap()["array_job_id"]));
        }
        found.unwrap()
    }

    /// The closed records of a job: folder and content.
    fn records(&self, run_id: &str) -> Vec<(PathBuf, Value)> {
        let folders = fs::read_dir(self.0.path().join("runs")).unwrap().map(|e| e.unwrap().path());
        let read = |folder: PathBuf| {
            let text = fs::read_to_string(folder.join("run.json")).ok()?;
            Some((folder, serde_json::from_str::<Value>(&text).unwrap()))
        };
        folders.filter_map(read).filter(|(_, record)| record["name"] == run_id).collect()
    }
}

#[test]
fn every_job_is_done_once_through_kills_a_drain_and_a_dead_controller() {
    let Some(cluster) = Cluster::start() else { return };
    let jobs = [
        ("a", 1, 1),
        ("killed", 1, 1),
        ("fails", 1, 1),
        ("b", 1, 1),
        ("c", 2, 2),
        ("d", 2, 2),
        ("e", 4, 4),
        ("f", 4, 4),
    ];
    let all = jobs.map(|(run_id, ..)| run_id);
    let sweep = Sweep::new(&cluster, &jobs);
    sweep.hold(&all);
    fs::write(cluster.path().join("broken/fails"), "").unwrap();
    assert_eq!(sweep.submitted(""), 8);
    assert_eq!(cluster.queue().len(), 8);
    assert_eq!(sweep.submitted(""), 0, "what is in the queue is not submitted again");
    assert_eq!(sweep.status()["queue"].as_object().unwrap().len(), 8);
    // eight GPUs: the four of one each and one of two at least are begun
    cluster.until("the small jobs run", |_| all[..5].iter().all(|id| sweep.said(id, "step") == 3));

    // both nodes are drained: what runs goes on, what waits waits longer
    let nodes = format!("nodename={}", NODES.join(","));
    cluster.said("scontrol", &["update", &nodes, "state=drain", "reason=test"]);
    cluster.said("scancel", &[&sweep.slurm_job("killed")]);
    cluster.until("it is killed", |_| sweep.status()["interrupted"] == 1);
    // SLURM begins a job again that it stopped itself, as it does when a node fails
    cluster.said("scontrol", &["requeue", &sweep.slurm_job("c")]);
    for run_id in ["a", "fails"] {
        sweep.release(run_id);
    }
    cluster.until("they have ended", |c| c.queue().len() == 5);

    // what ends while the controller is dead is recorded, and nothing is submitted that it may still know of
    cluster.kill_controller();
    sweep.release("b");
    cluster.until("it has ended", |_| sweep.status()["done"] == 2);
    let ran = sweep.submit("");
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.starts_with("error: squeue: ") && ran.stderr.lines().count() == 1,
        "{}",
        ran.stderr
    );
    cluster.start_controller();

    assert_eq!(sweep.submitted(""), 1, "the one that was killed, and not the one that failed");
    cluster.said("scontrol", &["update", &nodes, "state=resume"]);
    // what begins again would else wait two minutes
    let again = format!("jobid={}", sweep.slurm_job("c"));
    cluster.said("scontrol", &["update", &again, "starttime=now"]);
    for run_id in ["killed", "c", "d", "e", "f"] {
        sweep.release(run_id);
    }
    cluster.until("the queue is empty", |c| c.queue().is_empty());
    let status = sweep.status();
    assert_eq!((&status["done"], &status["failed"]), (&7.into(), &1.into()), "{status}");
    assert_eq!(sweep.submitted(""), 0);

    fs::remove_file(cluster.path().join("broken/fails")).unwrap();
    assert_eq!(sweep.submitted("--retry-failed"), 1);
    cluster.until("the queue is empty", |c| c.queue().is_empty());
    assert_eq!(sweep.status()["done"], 8);
    assert_eq!(sweep.submitted("--retry-failed"), 0);
    for run_id in all {
        let begins = if ["killed", "fails", "c"].contains(&run_id) { 2 } else { 1 };
        let said = ["begin", "step", "end"].map(|what| sweep.said(run_id, what));
        assert_eq!(said, [begins, 3 * begins, 1], "{run_id}");
        let good = |record: &Value| record["end"]["code"] == 0 && record["steps"] == 3;
        let records = sweep.records(run_id);
        assert_eq!(records.len(), begins, "{run_id}");
        assert_eq!(records.iter().filter(|(_, record)| good(record)).count(), 1, "{run_id}");
    }
}

#[test]
fn a_job_on_two_nodes_has_one_record() {
    let Some(cluster) = Cluster::start() else { return };
    let sweep = Sweep::new(&cluster, &[("wide", 4, 2), ("torn", 8, 4)]);
    fs::write(cluster.path().join("broken/torn"), "").unwrap();
    assert_eq!(sweep.submitted(""), 2);
    cluster.until("the queue is empty", |c| c.queue().is_empty());
    let status = sweep.status();
    assert_eq!(
        (&status["done"], &status["failed"]),
        (&1.into(), &1.into()),
        "{status}\n{}",
        sweep.logs()
    );
    assert_eq!(status["jobs"][1]["reason"], "exit 3: error: there is no corpus");

    let records = sweep.records("wide");
    let [(_, record)] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(record["state"], "merged");
    let of = |node: &Value| node["environment"]["SLURM_NODEID"].as_str().unwrap().to_owned();
    let mut nodes: Vec<String> = record["nodes"].as_array().unwrap().iter().map(of).collect();
    nodes.sort();
    assert_eq!(nodes, ["0", "1"]);
    // steps are those of the job, and not of each node
    assert_eq!((&record["steps"], &record["tokens"]), (&3.into(), &192.0.into()));
    assert_eq!(
        (&record["windows"][0]["name"], &record["windows"][0]["steps"]),
        (&"train".into(), &3.into())
    );
    // both were told of the first node to find each other by
    let ledger = fs::read_to_string(cluster.path().join("ledger")).unwrap();
    for line in ["wide 0 end one", "wide 1 end one"] {
        assert_eq!(ledger.lines().filter(|l| *l == line).count(), 1, "{line} in {ledger}");
    }
}

/// An sbatch before SLURM's: as `mode` says it kills who asked it before it asks SLURM or after, or while it takes its time.
const SBATCH: &str = r#"#!/bin/sh
if [ "$1" = --version ]; then exec SBATCH --version; fi
case $(cat "$LEDGER/mode") in
    before) kill -9 $PPID ;;
    after) SBATCH "$@" > /dev/null; kill -9 $PPID ;;
    slow) kill -9 $PPID; while [ -e "$LEDGER/hold/sbatch" ]; do sleep 0.05; done; exec SBATCH "$@" ;;
    *) exec SBATCH "$@" ;;
esac
"#;

#[test]
fn whoever_is_killed_while_submitting_nothing_is_submitted_twice() {
    let Some(cluster) = Cluster::start() else { return };
    let sweep = Sweep::new(&cluster, &[("a", 1, 1), ("b", 1, 1), ("c", 2, 2)]);
    let at = |name: &str| cluster.path().join(name);
    fs::create_dir(at("bin")).unwrap();
    executable(
        &at("bin/sbatch"),
        &SBATCH.replace("SBATCH", &find_program("sbatch").unwrap().display().to_string()),
    );
    let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap());
    let killed = |mode: &str| {
        fs::write(at("mode"), mode).unwrap();
        let output = sweep.command("").env("PATH", &path).finish();
        assert_eq!(output.status.signal(), Some(9), "{output:?}");
    };

    // what SLURM refuses is said in its words, and is not taken for submitted
    fs::write(at("slurm.toml"), OPTIONS.replace("main", "night")).unwrap();
    let ran = sweep.submit("");
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    let said = "error: sbatch: invalid partition specified: night; Batch job submission failed: Invalid partition";
    assert!(ran.stderr.starts_with(said) && ran.stderr.lines().count() == 1, "{}", ran.stderr);
    fs::write(at("slurm.toml"), OPTIONS).unwrap();

    sweep.hold(&["a", "b", "c", "sbatch"]);
    killed("before");
    assert!(cluster.queue().is_empty());
    killed("after");
    assert_eq!(cluster.queue().len(), 2, "a and b were submitted, although nobody heard so");
    killed("slow");
    let ran = sweep.submit("");
    let said = "runs: another `wattlaw sweep submit` is using this folder";
    assert!(ran.code == 1 && ran.stderr.contains(said), "an sbatch goes on: {}", ran.stderr);
    sweep.release("sbatch");
    cluster.until("sbatch has submitted c", |c| c.queue().len() == 3);
    cluster.until("it has ended", |_| sweep.submit("").code == 0);
    assert_eq!(sweep.submitted(""), 0);
    for run_id in ["a", "b", "c"] {
        sweep.release(run_id);
    }
    cluster.until("the queue is empty", |c| c.queue().is_empty());
    assert_eq!(sweep.status()["done"], 3);
    assert_eq!(["a", "b", "c"].map(|run_id| sweep.said(run_id, "begin")), [1, 1, 1]);
}

#[test]
fn what_cannot_be_submitted_is_said_in_a_sentence_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let plan =
        "run_id,family,layers,hidden_size,seq_len,micro_batch,steps,gpu\na,bert,2,64,32,8,3,t4\n";
    fs::write(at("plan.csv"), plan).unwrap();
    fs::write(at("other.csv"), plan.replace("a,bert,2", "a,bert,4")).unwrap();
    fs::write(at("empty.csv"), "run_id\n").unwrap();
    fs::write(at("wrong.toml"), "max_running = 2\n[sbatch]\nnodes = 2\n").unwrap();
    fs::create_dir_all(at("begun")).unwrap();
    fs::write(at("begun/plan.csv"), plan).unwrap();
    fs::create_dir(at("bin")).unwrap();
    executable(&at("bin/sbatch"), "#!/bin/sh\nexit 0\n");
    let run = |words: &str, path: &str| -> Ran {
        let words = format!("sweep submit {words}");
        let mut command = Command::new(WATTLAW);
        command.args(words.split(' ')).current_dir(folder.path()).env("PATH", path);
        command.finish().into()
    };
    let (none, bin) = ("/nowhere", at("bin").display().to_string());
    for (words, path, code, said) in [
        (
            "plan.csv --scheduler slurm --out runs",
            none,
            1,
            "sbatch: command not found; submit jobs on a login node",
        ),
        ("plan.csv --scheduler pbs --out runs", none, 2, "[possible values: slurm]"),
        ("plan.csv --out runs", none, 2, "were not provided: --scheduler"),
        (
            "plan.csv --scheduler slurm --out runs --options none.toml",
            none,
            1,
            "none.toml: no such file",
        ),
        (
            "plan.csv --scheduler slurm --out runs --options wrong.toml",
            none,
            1,
            "wrong.toml: not valid TOML: line 3, column 1: `nodes` cannot be set: wattlaw sets it from the job",
        ),
        (
            "plan.csv --scheduler slurm --out runs --gpus 0",
            none,
            2,
            "--gpus selects GPUs of this machine",
        ),
        ("empty.csv --scheduler slurm --out runs", none, 1, "empty.csv: the plan has no jobs"),
        (
            "other.csv --scheduler slurm --out begun",
            bin.as_str(),
            1,
            "its job a is a different job in this plan",
        ),
        (
            "other.csv --scheduler slurm --out begun --dry-run",
            none,
            1,
            "its job a is a different job in this plan",
        ),
    ] {
        let ran = run(words, path);
        assert_eq!((ran.code, ran.stderr.lines().count()), (code, 1), "{words}: {}", ran.stderr);
        assert!(
            ran.stderr.starts_with("error: ") && ran.stderr.contains(said),
            "{words}: {}",
            ran.stderr
        );
        assert!(!at("runs").exists(), "{words}");
    }
    // what would be submitted is shown anywhere
    let ran = run("plan.csv --scheduler slurm --out runs --dry-run", none);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("#SBATCH --array=0-0\n")
            && ran.stderr.contains("1 of 1 jobs would be submitted")
    );
    assert!(!at("runs").exists());
}

#[test]
fn a_script_hands_on_every_word_as_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let header = "run_id,family,layers,hidden_size,seq_len,micro_batch,steps,gpu,strategy,gpus,gpus_per_node\n";
    let rows = "a,bert,2,64,32,8,3,t4,fsdp,4,2\nb-2,bert,4,64,32,8,3,t4,fsdp,4,2\n";
    fs::write(at("plan.csv"), format!("{header}{rows}")).unwrap();
    fs::create_dir(at("bin")).unwrap();
    executable(&at("bin/scontrol"), "#!/bin/sh\necho node7\necho node8\n");
    executable(
        &at("bin/wattlaw"),
        "#!/bin/sh\nprintf '%s\\0' \"$MASTER_ADDR:$MASTER_PORT\" \"$@\"\n",
    );
    let words = [
        "it's",
        "$HOME `id` \"x\" \\n",
        "two\nlines",
        "",
        "{job}",
        "{a,b}",
        "*",
        "~",
        "é #1",
        "a=b",
    ];
    let mut submit = Command::new(WATTLAW);
    submit
        .args("sweep submit plan.csv --scheduler slurm --dry-run --out".split(' '))
        .arg("my runs");
    submit.arg("--").args(words).current_dir(folder.path());
    let ran: Ran = submit.finish().into();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let script = ran.stdout.replace(&format!("exec {WATTLAW} "), "exec wattlaw ");
    assert_ne!(script, ran.stdout);
    let output = script.lines().find(|line| line.starts_with("#SBATCH --output=")).unwrap();
    let log = at("my runs").canonicalize().unwrap_or(at("my runs")).join("slurm/log/%A_%a.out");
    assert_eq!(output, format!("#SBATCH --output=\"{}\"", log.display()));
    // the list of jobs that a submission would have written
    let name = script.lines().find_map(|line| line.strip_prefix("#SBATCH --job-name=")).unwrap();
    fs::create_dir_all(at("my runs/slurm")).unwrap();
    fs::write(at("my runs/slurm").join(format!("{name}.jobs")), "a\nb-2\n").unwrap();
    let told = Command::new("bash")
        .args(["-c", &script])
        .env("PATH", format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap()))
        .env("SLURM_ARRAY_TASK_ID", "1")
        .env("SLURM_JOB_ID", "123456")
        .env("SLURM_JOB_NODELIST", "node[7-8]")
        .finish();
    let text = String::from_utf8(told.stdout).unwrap();
    let told: Vec<&str> = text.strip_suffix('\0').unwrap().split('\0').collect();
    assert_eq!(told[0], "node7:23456");
    let only = told.iter().position(|word| *word == "--only").unwrap();
    assert_eq!(told[only + 1], "b-2");
    let dashes = told.iter().position(|word| *word == "--").unwrap();
    assert_eq!(told[dashes + 1..], words);
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
