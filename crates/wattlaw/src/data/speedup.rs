//! Multi-GPU scaling: runs on several GPUs compared with the single-GPU run of the same configuration.
//!
//! Runs are compared by throughput (tokens over time), since a run on several GPUs may train on another number of
//! tokens than its baseline. The throughput gain is S = (T / t) / (T₁ / t₁), and efficiency η = S / N.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::error::{Error, Result};
use crate::data::dataset::Dataset;
use crate::data::measurement::Measurement;
use crate::job::parallelism::StrategyKind;
use crate::stats::bootstrap::{Bootstrap, Median};
use crate::stats::score;
use crate::stats::split::Groups;

/// The scaling of one GPU model, family, strategy and GPU count: medians over runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Speedup {
    /// Accelerator, as the table names it.
    pub gpu: String,
    /// Model type or family.
    pub family: String,
    /// The kind of parallelism with the most communication.
    pub strategy: StrategyKind,
    /// Accelerators.
    pub gpus: u64,
    /// Runs that have a baseline.
    pub n_pairs: usize,
    /// Tokens a second over those of the baseline, S; dimensionless.
    pub throughput_gain: Median,
    /// Gain over the GPU count, η; dimensionless.
    pub efficiency: Median,
    /// Change of the energy per token relative to the baseline, in per cent; absent where no pair of runs has energies.
    pub energy_per_token_change_pct: Option<Median>,
}

/// All runs of a table that have a baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Speedups {
    /// By GPU model, family, strategy and GPU count.
    pub rows: Vec<Speedup>,
    /// What was left out, and warnings.
    pub notes: Vec<String>,
}

/// GPU model, family, strategy and GPU count.
type Key<'a> = (&'a str, &'a str, StrategyKind, u64);

impl Speedups {
    /// Compares each finished run on several GPUs with its baseline: the finished single-GPU runs of the same
    /// configuration. Several baselines count by their median throughput and median energy per token.
    ///
    /// The column `baseline_duration_s` is not used: in the study's table it is that of another batch size in 52 of 486
    /// runs, and the published medians are those of the other 434.
    ///
    /// # Errors
    /// [`Error::Data`] where no run has a baseline, and where energies are of different scopes.
    pub fn from_dataset(data: &Dataset, bootstrap: &Bootstrap) -> Result<Self> {
        let finished = data.filter(|run| run.outcome.is_none());
        let metered = finished.filter(|run| run.energy.is_some());
        if !metered.runs.is_empty() {
            metered.scope()?;
        }
        let baselines = baselines(&finished.runs);
        let mut pairs: BTreeMap<Key<'_>, Vec<Pair>> = BTreeMap::new();
        let (mut unmatched, mut parallel) = (Vec::new(), 0);
        for run in finished.runs.iter().filter(|run| !run.is_baseline()) {
            parallel += 1;
            match Pair::new(run, &baselines) {
                Ok(pair) => {
                    let key = (run.gpu(), run.family(), run.strategy_kind(), run.gpus());
                    pairs.entry(key).or_default().push(pair);
                }
                Err(why) => unmatched.push((run, why)),
            }
        }
        if pairs.is_empty() {
            return Err(Error::Data(format!(
                "{}: none of {parallel} finished runs on several GPUs has a baseline, which is a finished run on \
                 one GPU, with tokens and time, of the same GPU model, shape, sequence length, batch, task and precision",
                data.name
            )));
        }
        let notes = [
            unmatched_note(&unmatched, parallel),
            failed_note(data),
            assumed_note(&metered),
            few_note(&pairs, bootstrap),
        ];
        let rows = pairs.iter().map(|(key, pairs)| row(*key, pairs, bootstrap)).collect();
        Ok(Self { rows, notes: notes.into_iter().flatten().collect() })
    }
}

fn unmatched_note(unmatched: &[(&Measurement, &str)], parallel: usize) -> Option<String> {
    let (run, why) = unmatched.first()?;
    Some(format!(
        "left out: {} of {parallel} finished runs on several GPUs, the first, run {} in line {}, because {why}",
        unmatched.len(),
        run.run_id,
        run.line
    ))
}

fn failed_note(data: &Dataset) -> Option<String> {
    let failed = |run: &&Measurement| run.outcome.is_some();
    let run = data.runs.iter().find(failed)?;
    Some(format!(
        "left out: {} of {} runs as not finished, the first, run {} in line {}: {}",
        data.runs.iter().filter(failed).count(),
        data.runs.len(),
        run.run_id,
        run.line,
        run.outcome.as_deref().unwrap_or_default()
    ))
}

fn assumed_note(metered: &Dataset) -> Option<String> {
    let assumed =
        |run: &&Measurement| run.meter.as_ref().is_some_and(|meter| meter.contains(":assumed"));
    let n = metered.runs.iter().filter(assumed).count();
    let all = metered.runs.len();
    (n > 0)
        .then(|| format!("{n} of {all} energies are assumed, wholly or in part, and not measured"))
}

fn few_note(pairs: &BTreeMap<Key<'_>, Vec<Pair>>, bootstrap: &Bootstrap) -> Option<String> {
    let fewest = bootstrap.min_groups();
    let n = pairs.values().filter(|p| (2..fewest).contains(&groups(*p).count())).count();
    (n > 0).then(|| {
        format!(
            "fewer than {fewest} configurations: {n} of {} rows, whose intervals are narrower than their level asks",
            pairs.len()
        )
    })
}

/// A run relative to its baseline.
struct Pair {
    configuration: String,
    gain: f64,
    energy_change_pct: Option<f64>,
}

impl Pair {
    fn new(
        run: &Measurement,
        baselines: &BTreeMap<String, Baseline>,
    ) -> std::result::Result<Self, &'static str> {
        let throughput = throughput(run).ok_or("tokens or time are missing")?;
        let configuration = configuration(run);
        let baseline =
            baselines.get(&configuration).ok_or("no single-GPU run has its configuration")?;
        let change = |(e, e1): (f64, f64)| 100.0 * (e / e1 - 1.0);
        Ok(Self {
            gain: throughput / baseline.throughput,
            energy_change_pct: energy_per_token(run).zip(baseline.energy_per_token).map(change),
            configuration,
        })
    }
}

/// Medians over the single-GPU runs of one configuration.
struct Baseline {
    /// Tokens a second.
    throughput: f64,
    /// Joules a token.
    energy_per_token: Option<f64>,
}

fn baselines(runs: &[Measurement]) -> BTreeMap<String, Baseline> {
    let mut repeats: BTreeMap<String, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.is_baseline()) {
        let Some(throughput) = throughput(run) else { continue };
        let (throughputs, energies) = repeats.entry(configuration(run)).or_default();
        throughputs.push(throughput);
        energies.extend(energy_per_token(run));
    }
    let baseline = |(throughputs, energies): (Vec<f64>, Vec<f64>)| Baseline {
        throughput: score::median(&throughputs),
        energy_per_token: (!energies.is_empty()).then(|| score::median(&energies)),
    };
    repeats.into_iter().map(|(key, repeats)| (key, baseline(repeats))).collect()
}

/// The configuration of a run without GPU count and strategy: the study's configuration family, and fields that its
/// table lacks.
fn configuration(run: &Measurement) -> String {
    let (model, workload) = (&run.job().model, &run.job().workload);
    let more = (model.kv_heads, model.vocab_size, workload.checkpointing, workload.attention);
    format!("{}|{}|{more:?}", run.config_family(), run.model().unwrap_or_default())
}

fn throughput(run: &Measurement) -> Option<f64> {
    Some(run.tokens? / run.duration?.value())
}

fn energy_per_token(run: &Measurement) -> Option<f64> {
    Some(run.energy?.value() / run.tokens?)
}

fn groups<'a>(pairs: impl IntoIterator<Item = &'a Pair>) -> Groups {
    let labels: Vec<&str> = pairs.into_iter().map(|p| p.configuration.as_str()).collect();
    Groups::from_labels(&labels)
}

fn row((gpu, family, strategy, gpus): Key<'_>, pairs: &[Pair], bootstrap: &Bootstrap) -> Speedup {
    let gains: Vec<f64> = pairs.iter().map(|p| p.gain).collect();
    let (metered, changes): (Vec<&Pair>, Vec<f64>) =
        pairs.iter().filter_map(|p| Some((p, p.energy_change_pct?))).unzip();
    let throughput_gain = bootstrap.median(&gains, &groups(pairs));
    Speedup {
        gpu: gpu.to_owned(),
        family: family.to_owned(),
        strategy,
        gpus,
        n_pairs: pairs.len(),
        throughput_gain,
        efficiency: throughput_gain.divided_by(gpus as f64),
        energy_per_token_change_pct: (!changes.is_empty())
            .then(|| bootstrap.median(&changes, &groups(metered))),
    }
}
