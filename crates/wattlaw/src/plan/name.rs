//! Names of planned jobs: short, telling, and unique by the place in the plan.

use crate::job::Job;

/// A job in a few words: `bert-4x256-fsdp2`.
pub fn title(job: &Job) -> String {
    let (a, p) = (&job.architecture, &job.parallelism);
    let spread = match p.regime() {
        "baseline" => "single".to_owned(),
        "tp" | "pp" => format!("{}{}", p.regime(), p.gpus()),
        _ => format!("{}{}", p.data, p.gpus()),
    };
    format!("{}-{}x{}-{spread}", a.model_type.name(), a.layers, a.hidden_size)
}

/// The name of a job at a place of a plan, counted from 1, of so many jobs: `007-bert-4x256-fsdp2`.
pub fn run_id(place: usize, of: usize, job: &Job, reference: bool) -> String {
    let width = of.to_string().len().max(3);
    let role = if reference { "reference-" } else { "" };
    let title = title(job).replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-");
    format!("{place:0width$}-{role}{title}")
}
