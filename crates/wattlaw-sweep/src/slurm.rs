//! A sweep on a SLURM cluster, as far as text tells it: job arrays, their scripts, what was submitted, what the queue says.
//!
//! Nothing here runs a command or reads a file. A job array is submitted under a name that no other array has, and the name
//! is written down before: so the queue can be asked for it whatever was interrupted between.

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

/// How many nodes a job takes, and how many GPUs of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// Nodes.
    pub nodes: u64,
    /// GPUs of each.
    pub gpus_per_node: u64,
}

/// A job that is to be submitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its name in the plan.
    pub run_id: String,
    /// What it takes.
    pub shape: Shape,
    /// The longest time that it may take, all that is done beside its job included.
    pub longest: Seconds,
}

/// Tasks of one shape in the plan's order: what one job array runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// What each of its tasks takes.
    pub shape: Shape,
    /// Its tasks, by index.
    pub tasks: Vec<Task>,
}

/// Makes arrays of tasks: one a shape, the smallest first, and no array of more than `most` tasks.
pub fn arrays(mut tasks: Vec<Task>, most: usize) -> Vec<Array> {
    // stable, so that tasks of a shape stay in the plan's order
    tasks.sort_by_key(|task| task.shape);
    tasks
        .chunk_by(|a, b| a.shape == b.shape)
        .flat_map(|of_shape| of_shape.chunks(most.max(1)))
        .map(|tasks| Array { shape: tasks[0].shape, tasks: tasks.to_vec() })
        .collect()
}

impl Array {
    /// The tasks' names by index.
    pub fn run_ids(&self) -> Vec<String> {
        self.tasks.iter().map(|task| task.run_id.clone()).collect()
    }

    /// The longest time that a task of it may take.
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

/// A name that no other array has: after the folder of runs, and the array's number there.
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
        let told: Vec<_> = made
            .iter()
            .map(|a| (a.shape.nodes, a.shape.gpus_per_node, a.run_ids().join("")))
            .collect();
        let expected = [(1, 1, "be"), (1, 1, "f"), (1, 4, "ad"), (2, 4, "c")];
        assert_eq!(told, expected.map(|(n, g, ids)| (n, g, ids.to_owned())));
        assert!(arrays(Vec::new(), 2).is_empty());
    }

    #[test]
    fn a_name_tells_folders_and_arrays_apart() {
        // the digest of sha256sum
        assert_eq!(name("/shared/ada/runs", 3), "wattlaw-5353b021-3");
        assert_ne!(name("/shared/ada/runs2", 3), name("/shared/ada/runs", 3));
    }
}
