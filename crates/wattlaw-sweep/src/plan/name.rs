//! Names of planned jobs: short, descriptive, and unique by their position in the plan.

use wattlaw::job::Job;

/// Short description of a job: `bert-4x256-fsdp2`.
pub fn title(job: &Job) -> String {
    let (a, p) = (&job.architecture, &job.parallelism);
    let degrees = [(p.data.name(), p.dp), ("tp", p.tp), ("cp", p.cp), ("pp", p.pp)];
    let degrees: Vec<String> = degrees
        .iter()
        .filter(|(_, degree)| *degree > 1)
        .map(|(name, degree)| format!("{name}{degree}"))
        .collect();
    let degrees = if degrees.is_empty() { "single".to_owned() } else { degrees.join("-") };
    format!("{}-{}x{}-{degrees}", a.model_type.name(), a.layers, a.hidden_size)
}

/// Name of the job at a position (from 1) of a plan with `total` jobs: `007-bert-4x256-fsdp2`.
pub fn run_id(position: usize, total: usize, job: &Job, reference: bool) -> String {
    let width = total.to_string().len().max(3);
    let role = if reference { "reference-" } else { "" };
    let title = title(job).replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-");
    format!("{position:0width$}-{role}{title}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattlaw::job::JobSpec;
    use wattlaw::job::catalog::Catalog;

    #[test]
    fn a_name_has_position_shape_and_parallelism() {
        let job = |parallelism: &str| {
            let text = format!(
                "model = {{ family = 'gpt_neox', layers = 4, hidden_size = 256 }}
                 workload = {{ steps = 10, seq_len = 64, micro_batch = 8 }}
                 {parallelism}"
            );
            JobSpec::from_toml(&text).unwrap().resolve(&Catalog::built_in().unwrap()).unwrap()
        };
        let single = job("system = { gpu = 't4' }");
        assert_eq!(run_id(7, 720, &single, false), "007-gpt-neox-4x256-single");
        assert_eq!(run_id(7, 10_000, &single, true), "00007-reference-gpt-neox-4x256-single");
        let both =
            job("parallelism = { strategy = 'fsdp', tp = 2 }\nsystem = { gpu = 't4', gpus = 8 }");
        assert_eq!(title(&both), "gpt_neox-4x256-fsdp4-tp2");
    }
}
