//! Files that start `train.sh` on every node of a job: a batch script of SLURM, a task of SkyPilot, a TrainJob of Kubeflow.

use wattlaw::job::Job;

use crate::script::Training;
use crate::{LaunchFile, Launcher, quoted, shell};

/// The file of a launcher; none where `train.sh` is all.
pub(crate) fn file(job: &Job, launcher: Launcher, training: &Training) -> Option<LaunchFile> {
    match launcher {
        Launcher::Slurm => Some(slurm(job, training)),
        Launcher::SkyPilot => Some(skypilot(job, training)),
        Launcher::Kubeflow => Some(kubeflow(job, training)),
        Launcher::Torchrun
        | Launcher::Accelerate
        | Launcher::DeepSpeed
        | Launcher::Megatron
        | Launcher::Torchtitan
        | Launcher::Nanotron
        | Launcher::Axolotl => None,
    }
}

/// The job's name where letters, digits and dashes are allowed: at most 40, the first a letter.
fn name(job: &Job) -> String {
    let name: String = job
        .architecture
        .name
        .to_lowercase()
        .chars()
        .take(31)
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    format!("wattlaw-{}", name.trim_matches('-'))
}

/// A batch script. Options: <https://slurm.schedmd.com/sbatch.html>.
fn slurm(job: &Job, training: &Training) -> LaunchFile {
    let mut text = "#!/bin/bash\n# written by wattlaw; yours to add: partition, account and time limit, as #SBATCH lines or options of sbatch\n"
        .to_owned();
    for word in [
        format!("--job-name={}", name(job)),
        format!("--nodes={}", job.system.nodes()),
        "--ntasks-per-node=1".to_owned(),
        format!("--gpus-per-node={}", job.system.gpus_per_node),
        "--output=job-%j.out".to_owned(),
    ] {
        text += &format!("#SBATCH {word}\n");
    }
    text += "\nset -e\ncd \"$SLURM_SUBMIT_DIR\"\n";
    for (name, what) in &training.variables {
        text += &format!(": \"${{{name}:?set {name}: {what}}}\"\n");
    }
    text += shell::SLURM_RENDEZVOUS;
    text += "\n# one task a node; its number is that of the node\nsrun --kill-on-bad-exit=1 bash -c 'NODE_RANK=$SLURM_NODEID exec ./train.sh'\n";
    LaunchFile::text("job.sbatch", text)
        .with_placeholders(&["#SBATCH lines: partition, account and time limit"])
}

/// A task. Keys: SkyPilot 0.14.1 `sky/utils/schemas.py`.
fn skypilot(job: &Job, training: &Training) -> LaunchFile {
    let system = &job.system;
    let mut text = format!(
        "# written by wattlaw\nname: {}\nresources:\n  # yours to check: SkyPilot's name of {} (`sky show-gpus`)\n  accelerators: {}\n\
         num_nodes: {}\nworkdir: .\n",
        name(job),
        system.accelerator.name,
        quoted(&format!("{}:{}", sky_name(&system.accelerator.name), system.gpus_per_node)),
        system.nodes(),
    );
    if !training.variables.is_empty() {
        text += "# yours to set, here or with --env\nenvs:\n";
        for (name, what) in &training.variables {
            text += &format!("  # {what}\n  {name}: null\n");
        }
    }
    text += "# yours to add: what installs wattlaw and the framework\nsetup: |\n  true\nrun: |\n  \
             export MASTER_ADDR=$(echo \"$SKYPILOT_NODE_IPS\" | head -n 1)\n  \
             export NODE_RANK=\"$SKYPILOT_NODE_RANK\"\n  ./train.sh\n";
    LaunchFile::text("sky.yaml", text).with_placeholders(&[
        "resources.accelerators: SkyPilot's name of the GPU",
        "setup: what installs wattlaw and the framework",
    ])
}

/// SkyPilot's name of a GPU: the chip's, with the memory where it has several (`sky show-gpus`).
fn sky_name(gpu: &str) -> String {
    let words: Vec<&str> = gpu.split('-').collect();
    let chip = words.first().copied().unwrap_or(gpu).to_uppercase();
    let has = |word: &str| words.contains(&word);
    match chip.as_str() {
        "A100" if has("80gb") => "A100-80GB".to_owned(),
        "V100" if has("32gb") => "V100-32GB".to_owned(),
        _ => chip,
    }
}

/// A TrainJob. Keys: Kubeflow Trainer 8c0f5059b `pkg/apis/trainer/v1alpha1/trainjob_types.go`; its runtime for torch sets `PET_*`.
fn kubeflow(job: &Job, training: &Training) -> LaunchFile {
    let (nodes, per_node) = (job.system.nodes(), job.system.gpus_per_node);
    let mut text = format!(
        "# written by wattlaw\napiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nmetadata:\n  name: {}\nspec:\n  \
         runtimeRef:\n    name: torch-distributed\n  trainer:\n    numNodes: {nodes}\n    numProcPerNode: {per_node}\n    \
         # yours to set: an image with wattlaw, the framework, and these files in /workspace\n    image: IMAGE\n    \
         command: [\"bash\", \"-c\"]\n    args:\n      - >-\n        export NODE_RANK=\"$PET_NODE_RANK\" MASTER_ADDR=\"$PET_MASTER_ADDR\" \
         MASTER_PORT=\"$PET_MASTER_PORT\";\n        exec /workspace/train.sh\n    resourcesPerNode:\n      limits:\n        nvidia.com/gpu: {per_node}\n",
        name(job),
    );
    if !training.variables.is_empty() {
        text += "    env:\n";
        for (name, what) in &training.variables {
            text += &format!(
                "      # yours to set: {what}\n      - name: {name}\n        value: \"\"\n"
            );
        }
    }
    LaunchFile::text("trainjob.yaml", text).with_placeholders(&[
        "spec.trainer.image: an image with wattlaw, the framework, and these files in /workspace",
    ])
}
