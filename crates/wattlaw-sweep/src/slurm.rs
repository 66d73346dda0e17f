//! A sweep on a SLURM cluster: job arrays, their scripts, the journal of submissions and the queue, all as text.
//!
//! Pure: nothing here runs a command or reads a file. A job array is submitted under a unique name, which is written to the journal
//! first. After an interruption the queue can be searched for the name.

mod journal;
mod options;
mod queue;
mod script;

pub use journal::{Entry, Submission, journal};
pub use options::Options;
pub use queue::{FORMAT, Queued, queue};
pub use script::Script;

use sha2::{Digest, Sha256};

use wattlaw::base::units::Seconds;

/// Number of nodes of a job, and GPUs per node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// Number of nodes.
    pub nodes: u64,
    /// GPUs per node.
    pub gpus_per_node: u64,
}

/// A job to submit.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Name of the job in the plan.
    pub run_id: String,
    /// Nodes and GPUs of the job.
    pub shape: Shape,
    /// Time limit of the task, s, including all overhead.
    pub longest: Seconds,
}

/// A job array: tasks of one shape, in the plan's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Nodes and GPUs of each task.
    pub shape: Shape,
    /// The tasks, by array index.
    pub tasks: Vec<Task>,
}

/// Groups tasks into arrays: one per shape, the smallest shape first, each of at most `max` tasks.
pub fn arrays(mut tasks: Vec<Task>, max: usize) -> Vec<Array> {
    // a stable sort keeps the plan's order within a shape
    tasks.sort_by_key(|task| task.shape);
    tasks
        .chunk_by(|a, b| a.shape == b.shape)
        .flat_map(|of_shape| of_shape.chunks(max.max(1)))
        .map(|tasks| Array { shape: tasks[0].shape, tasks: tasks.to_vec() })
        .collect()
}

impl Array {
    /// Names of the tasks, by index.
    pub fn run_ids(&self) -> Vec<String> {
        self.tasks.iter().map(|task| task.run_id.clone()).collect()
    }

    /// Largest time limit of its tasks.
    fn longest(&self) -> Seconds {
        self.tasks.iter().map(|task| task.longest).fold(Seconds::ZERO, Seconds::max)
    }
}

impl std::fmt::Display for Array {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        write!(
            f,
            "{} on {} of {}",
            count(self.tasks.len() as u64, "job"),
            count(self.shape.nodes, "node"),
            count(self.shape.gpus_per_node, "GPU")
        )
    }
}

/// A unique name of an array: a digest of the folder of runs, and the array's number in that folder.
pub fn name(runs: &str, number: usize) -> String {
    let digest = Sha256::digest(runs.as_bytes());
    let folder: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("wattlaw-{folder}-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(run_id: &str, nodes: u64, gpus_per_node: u64) -> Task {
        Task {
            run_id: run_id.into(),
            shape: Shape { nodes, gpus_per_node },
            longest: Seconds::ZERO,
        }
    }

    #[test]
    fn tasks_are_grouped_by_shape_and_stay_in_order() {
        let tasks = [("a", 1, 4), ("b", 1, 1), ("c", 2, 4), ("d", 1, 4), ("e", 1, 1), ("f", 1, 1)];
        let made = arrays(tasks.map(|(id, n, g)| task(id, n, g)).to_vec(), 2);
        let found: Vec<_> = made
            .iter()
            .map(|a| (a.shape.nodes, a.shape.gpus_per_node, a.run_ids().join("")))
            .collect();
        let expected = [(1, 1, "be"), (1, 1, "f"), (1, 4, "ad"), (2, 4, "c")];
        assert_eq!(found, expected.map(|(n, g, ids)| (n, g, ids.to_owned())));
        assert!(arrays(Vec::new(), 2).is_empty());
    }

    #[test]
    fn names_of_folders_and_arrays_differ() {
        // digest computed with sha256sum
        assert_eq!(name("/shared/ada/runs", 3), "wattlaw-5353b021-3");
        assert_ne!(name("/shared/ada/runs2", 3), name("/shared/ada/runs", 3));
    }
}
