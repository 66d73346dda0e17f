//! A SLURM of its own for a test: munged, slurmctld and two slurmd on this machine, in a folder that goes when it ends.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::cell::RefCell;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use crate::running::find_program;
use crate::running::limited::{LIMIT, Limited, start};
use crate::running::place::apart;

/// One cluster at a time: there are few processors to share.
static ONE: Mutex<()> = Mutex::new(());

/// The nodes, both this machine, which SLURM is told has four processors and four GPUs in each.
pub const NODES: [&str; 2] = ["one", "two"];

/// A running cluster.
pub struct Cluster {
    daemons: RefCell<Vec<(&'static str, Child)>>,
    folder: TempDir,
    _one: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Starts one, or says why that cannot be done here.
    pub fn start() -> Option<Self> {
        if let Some(why) = obstacle() {
            println!("skipped: {why}");
            return None;
        }
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        configure(folder.path());
        let cluster = Self { daemons: RefCell::default(), folder, _one: one };
        cluster.start_munged();
        cluster.start_controller();
        for node in NODES {
            cluster.daemon(node, "slurmd", &["-D", "-N", node]);
        }
        cluster.until("nodes are idle", |c| {
            c.said("sinfo", &["--noheader", "--format=%T"]).trim() == "idle"
        });
        Some(cluster)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A command that finds this cluster, in the folder.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        // of a job in which we may be ourselves
        for (name, _) in std::env::vars_os() {
            if ["SLURM", "SBATCH", "SQUEUE"]
                .iter()
                .any(|of| name.as_encoded_bytes().starts_with(of.as_bytes()))
            {
                command.env_remove(name);
            }
        }
        apart(&mut command, self.path());
        command.env("SLURM_CONF", self.path().join("slurm.conf"));
        command
    }

    /// What a command of SLURM's prints, whether it succeeds or not.
    pub fn said(&self, program: &str, words: &[&str]) -> String {
        let output = self.command(program).args(words).finish();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    }

    /// The queue: index and state of each task, sorted.
    pub fn queue(&self) -> Vec<String> {
        let said = self.said("squeue", &["--array", "--noheader", "--format=%K %T"]);
        let mut lines: Vec<String> = said.lines().map(|line| line.trim().to_owned()).collect();
        lines.sort();
        lines
    }

    /// Waits for something to become so.
    #[track_caller]
    pub fn until(&self, what: &str, mut so: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !so(self) {
            assert!(
                start.elapsed() < LIMIT,
                "still not so: {what}\n{}\n{}",
                self.said("squeue", &["--array"]),
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn start_controller(&self) {
        self.daemon("controller", "slurmctld", &["-D"]);
        self.until("the controller answers", |c| c.said("scontrol", &["ping"]).contains("is UP"));
    }

    /// Kills the controller, as a machine that fails does, once its state is on the disk: what it does not know to have ended it
    /// would begin again.
    pub fn kill_controller(&self) {
        let saved =
            || fs::metadata(self.path().join("state/job_state")).and_then(|m| m.modified()).ok();
        let now = SystemTime::now();
        // a change makes it be saved
        let job = self.said("squeue", &["--noheader", "--format=%A"]);
        let job = format!("jobid={}", job.lines().next().unwrap());
        self.said("scontrol", &["update", &job, "comment=saved"]);
        self.until("the state is saved", |_| saved().is_some_and(|at| at > now));
        let mut daemons = self.daemons.borrow_mut();
        let at = daemons.iter().position(|(name, _)| *name == "controller").unwrap();
        let (_, mut child) = daemons.remove(at);
        child.kill().unwrap();
        child.finish();
    }

    fn start_munged(&self) {
        let at = |name: &str| self.path().join(name).display().to_string();
        let words = [
            ("--key-file", "munge.key"),
            ("--socket", "munge.sock"),
            ("--pid-file", "munged.pid"),
            ("--log-file", "munged.log"),
            ("--seed-file", "munged.seed"),
        ]
        .map(|(flag, name)| format!("{flag}={}", at(name)));
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        words.extend(["--foreground", "--force"]);
        self.daemon("munged", "munged", &words);
        self.until("munged listens", |c| c.path().join("munge.sock").exists());
    }

    fn daemon(&self, name: &'static str, program: &str, words: &[&str]) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path().join(format!("{name}.out")))
            .unwrap();
        let mut command = self.command(find_program(program).unwrap());
        let child = start(command.args(words).stdout(log.try_clone().unwrap()).stderr(log));
        self.daemons.borrow_mut().push((name, child));
    }

    fn logs(&self) -> String {
        let mut text = String::new();
        for name in ["munged", "controller", "one", "two"] {
            let log =
                fs::read_to_string(self.path().join(format!("{name}.out"))).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            text += &format!("-- {name}\n{}\n", lines[lines.len().saturating_sub(12)..].join("\n"));
        }
        text
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // steps are children of nobody, and end when their jobs are cancelled
        self.said("scancel", &["--signal=KILL", "--full", "--user=root"]);
        self.said("scancel", &["--user=root"]);
        let start = Instant::now();
        while !self.queue().is_empty() && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(100));
        }
        for (_, mut child) in self.daemons.take().into_iter().rev() {
            let _ = child.kill();
            child.finish();
        }
    }
}

fn obstacle() -> Option<String> {
    let missing =
        ["munged", "slurmctld", "slurmd", "sbatch"].into_iter().find(|p| find_program(p).is_none());
    if let Some(program) = missing {
        return Some(format!("there is no {program} (Debian: slurm-wlm and munge)"));
    }
    let id = Command::new("id").arg("-u").finish().stdout;
    (id != b"0\n").then(|| "a SLURM of its own is started as root only".to_owned())
}

fn configure(folder: &Path) {
    let at = |name: &str| folder.join(name).display().to_string();
    fs::write(at("munge.key"), [7; 64]).unwrap();
    Command::new("chmod").args(["600", &at("munge.key")]).finish();
    for name in ["state", "spool-one", "spool-two"] {
        fs::create_dir(at(name)).unwrap();
    }
    for gpu in 0..4 {
        fs::write(at(&format!("gpu{gpu}")), "").unwrap();
    }
    let host = Command::new("uname").arg("-n").finish().stdout;
    let host = String::from_utf8(host).unwrap();
    let host = host.trim().split('.').next().unwrap();
    // held until all are chosen, so that they differ
    let free: Vec<TcpListener> =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports: Vec<u16> = free.iter().map(|l| l.local_addr().unwrap().port()).collect();
    let mut text = format!(
        "ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={}
StateSaveLocation={}
SlurmdSpoolDir={}
SlurmctldPidFile={}
SlurmdPidFile={}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
MinJobAge=2
MessageTimeout=3
KillWait=2
ReturnToService=2
MailProg=/bin/true
GresTypes=gpu
",
        ports[0],
        at("munge.sock"),
        at("state"),
        at("spool-%n"),
        at("slurmctld.pid"),
        at("slurmd-%n.pid"),
    );
    for (node, port) in NODES.iter().zip(&ports[1..]) {
        text += &format!(
            "NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 Gres=gpu:4\n"
        );
    }
    text += "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n";
    fs::write(at("slurm.conf"), text).unwrap();
    fs::write(at("gres.conf"), format!("Name=gpu File={}/gpu[0-3]\n", folder.display())).unwrap();
}
