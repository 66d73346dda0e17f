//! The machine of a record.

use std::collections::BTreeMap;

use wattlaw::record::document::Node;

/// Environment variables that are recorded: ranks and jobs of torchrun, SLURM and MPI, and visible devices.
///
/// They are listed one by one, because others with the same prefixes hold secrets (`SLURM_JWT`).
const ENVIRONMENT_VARIABLES: [&str; 40] = [
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "NODE_RANK",
    "GROUP_RANK",
    "GROUP_WORLD_SIZE",
    "ROLE_RANK",
    "ROLE_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_RESTART_COUNT",
    "OMPI_COMM_WORLD_RANK",
    "OMPI_COMM_WORLD_SIZE",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "PMI_RANK",
    "PMI_SIZE",
    "SLURM_CLUSTER_NAME",
    "SLURM_JOB_ID",
    "SLURM_JOB_NAME",
    "SLURM_JOB_PARTITION",
    "SLURM_JOB_NODELIST",
    "SLURM_JOB_NUM_NODES",
    "SLURM_JOB_CPUS_PER_NODE",
    "SLURM_JOB_GPUS",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_STEP_ID",
    "SLURM_STEP_GPUS",
    "SLURM_NNODES",
    "SLURM_NTASKS",
    "SLURM_NODEID",
    "SLURM_PROCID",
    "SLURM_LOCALID",
    "SLURM_RESTART_COUNT",
];

/// This machine.
pub fn current() -> Node {
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let environment: BTreeMap<String, String> = ENVIRONMENT_VARIABLES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .collect();
    Node {
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        boot_id: boot_id.map(|id| id.trim().to_owned()),
        record: None,
        environment,
    }
}
