//! Runs as a run table (schema v1) that [`Dataset::from_csv`](super::Dataset::from_csv) reads back equal.

use crate::base::csv_text;
use crate::base::error::Result;
use crate::base::scope::Covers;
use crate::base::units::{Joules, Seconds};
use crate::data::run::Run;

/// One column: its name, whether it stands even where no run says anything, and a run's cell.
type Column = (&'static str, bool, fn(&Run) -> String);

const COLUMNS: [Column; 41] = [
    ("run_id", true, |r| r.run_id.clone()),
    ("model", false, |r| text(r.model.as_deref())),
    ("family", true, |r| r.family.clone()),
    ("gpu", true, |r| r.gpu.clone()),
    ("gpus", true, |r| r.gpus.to_string()),
    ("gpus_per_node", false, |r| cell(r.gpus_per_node)),
    ("strategy", true, |r| r.strategy.clone()),
    ("dp", false, |r| cell(r.dp)),
    ("tp", false, |r| cell(r.tp)),
    ("pp", false, |r| cell(r.pp)),
    ("tensor_scope", false, |r| cell(r.tensor_scope)),
    ("layers", true, |r| r.layers.to_string()),
    ("hidden_size", true, |r| r.hidden_size.to_string()),
    ("heads", false, |r| cell(r.heads)),
    ("kv_heads", false, |r| cell(r.kv_heads)),
    ("ffn_size", false, |r| cell(r.ffn_size)),
    ("vocab_size", false, |r| cell(r.vocab_size)),
    ("max_seq_len", false, |r| cell(r.max_seq_len)),
    ("seq_len", false, |r| cell(r.seq_len)),
    ("micro_batch", false, |r| cell(r.micro_batch)),
    ("grad_accum", false, |r| cell(r.grad_accum)),
    ("task", false, |r| text(r.task.as_deref())),
    ("precision", false, |r| cell(r.precision)),
    ("checkpointing", false, |r| cell(r.checkpointing)),
    ("attention", false, |r| cell(r.attention)),
    ("tokens", false, |r| cell(r.tokens)),
    ("epochs", false, |r| cell(r.epochs)),
    ("duration_s", false, |r| cell(time(r, false))),
    ("step_time_s", false, |r| cell(time(r, true))),
    ("covers", false, |r| cell((r.covers == Covers::Steps).then_some(r.covers))),
    ("energy_j", false, |r| cell(r.energy.map(Joules::value))),
    // a table in kWh keeps its own figure, which is not rounded twice
    ("energy_kwh", false, |r| cell(r.energy_kwh.filter(|k| r.energy.map(Joules::kwh) != Some(*k)))),
    ("energy_systematic_sd_j", false, |r| cell(r.energy_systematic_sd.map(Joules::value))),
    ("energy_random_sd_j", false, |r| cell(r.energy_random_sd.map(Joules::value))),
    ("scope", true, |r| r.scope.to_string()),
    ("meter", false, |r| text(r.meter.as_deref())),
    ("baseline_duration_s", false, |r| cell(r.baseline_duration.map(Seconds::value))),
    ("memory_proxy", false, |r| cell(r.memory_proxy)),
    ("n_runs", false, |r| cell(r.n_runs)),
    ("peak_memory_gib", false, |r| cell(r.peak_memory_gib)),
    ("outcome", false, |r| text(r.outcome.as_deref())),
];

/// Writes runs as a run table; columns that no run fills are left out.
///
/// # Errors
/// None for runs that a table or a job gave.
pub fn to_csv(runs: &[Run]) -> Result<String> {
    let columns: Vec<Column> = COLUMNS
        .into_iter()
        .filter(|(_, always, cell)| *always || runs.iter().any(|run| !cell(run).is_empty()))
        .collect();
    let header: Vec<&str> = columns.iter().map(|(name, ..)| *name).collect();
    let row = |run: &Run| columns.iter().map(|(.., cell)| cell(run)).collect();
    csv_text::write(&header, runs.iter().map(row))
}

fn cell(value: Option<impl ToString>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}

fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}

fn time(run: &Run, one_step: bool) -> Option<f64> {
    run.duration.filter(|_| (run.covers == Covers::OneStep) == one_step).map(Seconds::value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::scope::Scope;
    use crate::data::dataset::Dataset;
    use crate::job::JobSpec;
    use crate::job::catalog::Catalog;
    use proptest::prelude::*;

    fn read_back(runs: &[Run]) -> Vec<Run> {
        let csv = to_csv(runs).unwrap();
        let mut read = Dataset::from_csv(csv.as_bytes(), "runs.csv", None).unwrap();
        assert!(read.notes.is_empty(), "{:?}", read.notes);
        read.runs.iter_mut().for_each(|r| r.line = 0);
        read.runs
    }

    fn described(strategy: &str, gpus: u64) -> Run {
        let text = format!(
            "[model]\nname = 'gpt2'\n[workload]\nseq_len = 512\nmicro_batch = 4\n\
             [parallelism]\nstrategy = '{strategy}'\n[system]\ngpu = 'NVIDIA A100-SXM4-40GB'\ngpus = {gpus}\n"
        );
        let spec = JobSpec::from_toml(&text).unwrap();
        Run::described("r, \"1\"", &spec, &Catalog::built_in().unwrap()).unwrap()
    }

    #[test]
    fn the_run_of_a_job_says_what_the_job_says() {
        let run = described("fsdp", 4);
        assert_eq!((run.gpu.as_str(), run.gpus, run.dp), ("a100-sxm4-40gb", 4, Some(4)));
        assert_eq!((run.family.as_str(), run.layers, run.hidden_size), ("gpt", 12, 768));
        assert_eq!((run.strategy.as_str(), run.seq_len, run.tokens), ("fsdp", Some(512.0), None));
        assert_eq!(described("tp-mlp", 4).strategy, "tp");
        assert_eq!(described("single", 1).strategy, "baseline");
    }

    #[test]
    fn a_row_is_read_back_as_it_was_and_its_job_is_the_same() {
        for (strategy, gpus) in [("fsdp", 4), ("zero1", 2), ("tp-mlp", 4), ("tp", 4), ("single", 1)]
        {
            let run = Run { tokens: Some(1e6), ..described(strategy, gpus) };
            let back = read_back(std::slice::from_ref(&run));
            assert_eq!(back, std::slice::from_ref(&run));
            let job = back[0].job(&Catalog::built_in().unwrap()).unwrap();
            assert_eq!(job.parallelism.gpus(), gpus);
            assert!(run.tensor_scope.is_none_or(|s| s == job.parallelism.tensor_scope));
        }
    }

    proptest! {
        #[test]
        fn whatever_was_measured_is_read_back(
            joules in proptest::option::of(1e-6..1e15f64),
            kwh in proptest::option::of(1e-9..1e6f64),
            seconds in 1e-6..1e9f64,
            tokens in proptest::option::of(1.0..1e15f64),
            deviation in proptest::option::of(0.0..1e9f64),
            covers in prop_oneof![Just(Covers::Run), Just(Covers::Steps), Just(Covers::OneStep)],
        ) {
            let energy = joules.map(Joules::new).or(kwh.map(Joules::from_kwh));
            let run = Run {
                tokens,
                duration: Some(Seconds::new(seconds)),
                covers,
                energy,
                energy_kwh: kwh.or(energy.map(Joules::kwh)),
                energy_systematic_sd: deviation.map(Joules::new),
                energy_random_sd: Some(Joules::ZERO),
                scope: Scope::Devices,
                meter: Some("gpu:counter cpu:assumed".into()),
                outcome: Some("killed, by \"9\"".into()),
                ..described("ddp", 2)
            };
            prop_assert_eq!(read_back(&[run.clone(), described("ddp", 2)])[0].clone(), run);
        }
    }
}
