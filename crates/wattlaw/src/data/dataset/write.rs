//! Measurements as a run table (schema 2) that [`Dataset::from_csv`](super::Dataset::from_csv) reads back equal.

use super::map::ABSENT;
use super::names::job_columns;
use crate::base::csv_text;
use crate::base::error::{Error, Result};
use crate::base::scope::Covers;
use crate::base::units::{Joules, Seconds};
use crate::data::measurement::Measurement;
use crate::job::fields::Field;

/// A column of measured values: its name, whether it is written even if empty, and the cell of a run.
type Column = (&'static str, bool, fn(&Measurement) -> String);

const MEASURED: [Column; 17] = [
    ("dataset", false, |m| text(m.dataset.as_deref())),
    ("max_seq_len", false, |m| cell(m.max_seq_len)),
    ("tokens_done", false, tokens_done),
    ("duration_s", false, |m| cell(time(m, false))),
    ("step_time_s", false, |m| cell(time(m, true))),
    ("covers", false, |m| cell((m.covers == Covers::Steps).then_some(m.covers))),
    ("energy_j", false, |m| cell(m.energy.map(Joules::value))),
    // a table in kWh keeps its own number, which is not rounded twice
    ("energy_kwh", false, |m| cell(m.energy_kwh.filter(|k| m.energy.map(Joules::kwh) != Some(*k)))),
    ("energy_systematic_sd_j", false, |m| cell(m.energy_systematic_sd.map(Joules::value))),
    ("energy_random_sd_j", false, |m| cell(m.energy_random_sd.map(Joules::value))),
    ("scope", true, |m| m.scope.to_string()),
    ("meter", false, |m| text(m.meter.as_deref())),
    ("baseline_duration_s", false, |m| cell(m.baseline_duration.map(Seconds::value))),
    ("memory_proxy", false, |m| cell(m.memory_proxy)),
    ("n_runs", false, |m| cell(m.n_runs)),
    ("peak_memory_gib", false, |m| cell(m.peak_memory_gib)),
    ("outcome", false, |m| text(m.outcome.as_deref())),
];

/// Job columns that are written even if empty.
const ALWAYS: [&str; 6] = ["family", "gpu", "gpus", "strategy", "layers", "hidden_size"];

/// Writes measurements as a run table: names, a column for each job field, and the measured values. Empty columns are
/// left out.
///
/// # Errors
/// [`Error::Invalid`] for a text that would not be read back equal: empty, with spaces at its ends, or a word for an
/// empty cell.
pub fn to_csv(runs: &[Measurement]) -> Result<String> {
    let of_job: Vec<&Field> = job_columns()
        .filter(|field| {
            let filled = || runs.iter().any(|run| !job_cell(field, run).is_empty());
            ALWAYS.contains(&field.column) || filled()
        })
        .collect();
    let measured: Vec<Column> = MEASURED
        .into_iter()
        .filter(|(_, always, cell)| *always || runs.iter().any(|run| !cell(run).is_empty()))
        .collect();
    let header: Vec<&str> = std::iter::once("run_id")
        .chain(of_job.iter().map(|field| field.column))
        .chain(measured.iter().map(|(name, ..)| *name))
        .collect();
    let mut rows = Vec::with_capacity(runs.len());
    for run in runs {
        let cells = std::iter::once(run.run_id.clone())
            .chain(of_job.iter().map(|field| job_cell(field, run)))
            .chain(measured.iter().map(|(.., cell)| cell(run)));
        let row: Vec<String> = cells.collect();
        for (column, cell) in header.iter().zip(&row) {
            if cell.trim() != cell || ABSENT.contains(&cell.as_str()) {
                return Err(Error::invalid(
                    *column,
                    format!("`{cell}`"),
                    "text with spaces at its ends, or text for an empty cell, cannot be stored in a run table",
                ));
            }
        }
        rows.push(row);
    }
    csv_text::write(&header, rows.into_iter())
}

/// The cell of a job field; a mean sequence length and median epochs replace the job's own.
fn job_cell(field: &Field, run: &Measurement) -> String {
    let of_run = match field.column {
        "seq_len" => run.mean_seq_len.map(|x| x.to_string()),
        "epochs" => run.median_epochs.map(|x| x.to_string()),
        _ => None,
    };
    of_run.or_else(|| (field.get)(run.job())).unwrap_or_default()
}

/// Trained tokens, where they differ from the job's amount; zero where only the amount is known.
fn tokens_done(run: &Measurement) -> String {
    let planned = run.job().workload.tokens.map(|n| n.get() as f64);
    match (run.tokens, planned) {
        (done, planned) if done == planned => String::new(),
        (Some(done), _) => done.to_string(),
        (None, _) => "0".to_owned(),
    }
}

fn cell(value: Option<impl ToString>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}

fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}

fn time(run: &Measurement, one_step: bool) -> Option<f64> {
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

    fn read_back(runs: &[Measurement]) -> Vec<Measurement> {
        let csv = to_csv(runs).unwrap();
        let mut read = Dataset::from_csv(csv.as_bytes(), "runs.csv", None).unwrap();
        assert!(read.notes.is_empty(), "{:?}", read.notes);
        read.runs.iter_mut().for_each(|r| r.line = 0);
        read.runs
    }

    fn described(strategy: &str, gpus: u64) -> Measurement {
        let text = format!(
            "[model]\nname = 'gpt2'\n[workload]\nseq_len = 512\nmicro_batch = 4\n\
             [parallelism]\nstrategy = '{strategy}'\n[system]\ngpu = 'NVIDIA A100-SXM4-40GB'\ngpus = {gpus}\n"
        );
        let spec = JobSpec::from_toml(&text).unwrap();
        Measurement::described("r, \"1\"", &spec, &Catalog::built_in().unwrap()).unwrap()
    }

    #[test]
    fn a_measurement_of_a_job_has_the_jobs_fields() {
        let run = described("fsdp", 4);
        assert_eq!((run.gpu(), run.gpus()), ("a100-sxm4-40gb", 4));
        assert_eq!(run.job().parallelism.dp, Some(4));
        assert_eq!((run.family(), run.layers(), run.hidden_size()), ("gpt", 12, 768));
        assert_eq!((run.seq_len(), run.tokens), (Some(512.0), None));
        let strategy = |name: &str, gpus| described(name, gpus).strategy().to_string();
        assert_eq!(strategy("fsdp", 4), "fsdp");
        assert_eq!(strategy("tp-mlp", 4), "tp-mlp");
        assert_eq!(strategy("single", 1), "single");
    }

    #[test]
    fn a_row_is_read_back_as_it_was_and_its_job_is_the_same() {
        for (strategy, gpus) in [("fsdp", 4), ("zero1", 2), ("tp-mlp", 4), ("tp", 4), ("single", 1)]
        {
            let run = Measurement { tokens: Some(1e6), ..described(strategy, gpus) };
            let back = read_back(std::slice::from_ref(&run));
            assert_eq!(back, std::slice::from_ref(&run));
            let job = back[0].resolve(&Catalog::built_in().unwrap()).unwrap();
            assert_eq!(job.parallelism.gpus(), gpus);
            assert_eq!(run.strategy(), job.parallelism.strategy());
        }
    }

    proptest! {
        #[test]
        fn any_measurement_is_read_back(
            joules in proptest::option::of(1e-6..1e15f64),
            kwh in proptest::option::of(1e-9..1e6f64),
            seconds in 1e-6..1e9f64,
            tokens in proptest::option::of(1.0..1e15f64),
            deviation in proptest::option::of(0.0..1e9f64),
            covers in prop_oneof![Just(Covers::Run), Just(Covers::Steps), Just(Covers::OneStep)],
        ) {
            let energy = joules.map(Joules::new).or(kwh.map(Joules::from_kwh));
            let run = Measurement {
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
