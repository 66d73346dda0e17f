//! The script that each node of a job runs.

use wattlaw::job::Job;

use crate::{LaunchFile, shell};

/// The command that trains, and what of it is the user's.
pub(crate) struct Training {
    /// The program of each process and its arguments, after those of the launcher; words of a shell, several lines where long.
    pub program: String,
    /// The program that starts the processes of a node.
    pub starter: Starter,
    /// Variables that the user sets, each with what it is.
    pub variables: Vec<(&'static str, &'static str)>,
    /// What the program does that no file says, one a line.
    pub notes: Vec<String>,
}

impl Training {
    /// A program that torchrun starts and that needs nothing of the user.
    pub(crate) fn by_torchrun(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            starter: Starter::Torchrun,
            variables: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// What starts a process a GPU.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Starter {
    Torchrun,
    Accelerate,
}

/// The program that a user trains with.
pub(crate) const TRAIN_SCRIPT: (&str, &str) = ("TRAIN_SCRIPT", "the program that trains");

/// A program of which nothing is known.
pub(crate) fn any_program() -> Training {
    Training {
        variables: vec![TRAIN_SCRIPT],
        notes: vec!["job.toml says what it trains; its arguments are yours to add".to_owned()],
        ..Training::by_torchrun("\"$TRAIN_SCRIPT\"")
    }
}

/// The script: the power limit, then the training under measurement.
pub(crate) fn file(job: &Job, training: &Training) -> LaunchFile {
    let system = &job.system;
    let (nodes, per_node) = (system.nodes(), system.gpus_per_node);
    let count = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let mut text = format!(
        "#!/bin/bash\n# Trains {} on {} of {}. Run it once on each node. Written by wattlaw.\n",
        // a comment is one line
        job.architecture.name.replace(char::is_control, " "),
        count(nodes, "node"),
        count(per_node, &format!("{} GPU", system.accelerator.name)),
    );
    for note in &training.notes {
        text += &format!("# {note}\n");
    }
    text += "set -euo pipefail\ncd \"$(dirname \"$0\")\"\n\n";
    for (name, what) in &training.variables {
        text += &format!(": \"${{{name}:?set {name}: {what}}}\"\n");
    }
    if nodes > 1 {
        text += ": \"${NODE_RANK:?set NODE_RANK: the number of this node, from 0}\"\n\
                 : \"${MASTER_ADDR:?set MASTER_ADDR: the address of the node with number 0}\"\n";
    } else {
        text += "NODE_RANK=${NODE_RANK:-0}\nMASTER_ADDR=${MASTER_ADDR:-localhost}\n";
    }
    text += "MASTER_PORT=${MASTER_PORT:-29500}\n\n";
    text += &power_limit(job);
    text += "# the record in runs/ holds the job and its energy: a row for `wattlaw fit`;\n\
             # while it runs, notes compare its steps with the prediction\n";
    text += "exec wattlaw measure --plan job.toml -- \\\n    ";
    text += &match training.starter {
        Starter::Torchrun => format!(
            "torchrun --nnodes={nodes} --nproc-per-node={per_node} --node-rank=\"$NODE_RANK\" \\\n    \
             --master-addr=\"$MASTER_ADDR\" --master-port=\"$MASTER_PORT\" \\\n    "
        ),
        Starter::Accelerate => {
            "accelerate launch --config_file accelerate.yaml --machine_rank \"$NODE_RANK\" \\\n    \
             --main_process_ip \"$MASTER_ADDR\" --main_process_port \"$MASTER_PORT\" \\\n    "
                .to_owned()
        }
    };
    text += &training.program;
    text.push('\n');
    let mut file = LaunchFile::text("train.sh", text);
    file.executable = true;
    file.placeholders =
        training.variables.iter().map(|(name, what)| format!("{name}: {what}")).collect();
    file
}

/// Sets the power limit, where the job has one below the TDP.
fn power_limit(job: &Job) -> String {
    let (limit, tdp) = (job.system.power_limit.value(), job.system.tdp.value());
    if limit >= tdp {
        return String::new();
    }
    format!(
        "# the job's power limit, below the TDP of {tdp} W; to set it takes an administrator's rights\nnvidia-smi -pl {}\n\n",
        shell::quoted(&limit.to_string())
    )
}
