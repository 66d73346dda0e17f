//! Finds errors in a dataset before a law is fitted on it.
//!
//! Each rule detects one known error of measured tables. The rule for stalled steps fits a robust law on the table
//! itself; the other rules use no law. A finding names its row, and `--exclude` accepts findings as the audit writes
//! them.

mod siblings;
mod stalled;

use serde::Serialize;

use crate::base::scope::Scope;
use crate::base::words::words;
use crate::data::dataset::Dataset;
use crate::data::measurement::Measurement;
use crate::job::catalog::Catalog;

/// A kind of error in a row or a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FindingKind {
    /// The row occurs twice.
    Duplicate,
    /// The table mixes energies of different scopes.
    MixedScopes,
    /// The run and its single-GPU baseline did different amounts of work, so their times are not comparable.
    WorkDiffersFromBaseline,
    /// The run and its baseline have different numbers of epochs.
    EpochsDifferFromBaseline,
    /// The row is one run, but its baseline is the mean of several.
    RunsDifferFromBaseline,
    /// The token count is far from that of runs that differ in shape only.
    TokensFarFromSiblings,
    /// The row is the mean of runs with different configurations.
    AveragedUnlikeRuns,
    /// The step took far longer than a robust law predicts: it stalled.
    Stalled,
    /// The token count has a constant part that does not grow with the sequence length, such as an evaluation.
    ConstantTokens,
    /// The mean power is above the power limit of the accelerators.
    PowerAboveLimit,
    /// The mean power is below the idle power of the accelerators.
    PowerBelowIdle,
    /// The run is too short for the meter's update interval.
    ShortWindow,
    /// The row has only one of energy and time.
    HalfRecorded,
}

words!(FindingKind, "finding": Duplicate = "duplicate", MixedScopes = "mixed-scopes",
    WorkDiffersFromBaseline = "work-differs-from-baseline", EpochsDifferFromBaseline = "epochs-differ-from-baseline",
    RunsDifferFromBaseline = "runs-differ-from-baseline", TokensFarFromSiblings = "tokens-far-from-siblings",
    AveragedUnlikeRuns = "averaged-unlike-runs", Stalled = "stalled", ConstantTokens = "constant-tokens",
    PowerAboveLimit = "power-above-limit", PowerBelowIdle = "power-below-idle", ShortWindow = "short-window",
    HalfRecorded = "half-recorded");

/// An error in a dataset, with its location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Line of the table (the header is line 1); absent for a finding about the whole table.
    pub row: Option<u64>,
    /// The run's name; absent for a finding about the whole table.
    pub run_id: Option<String>,
    /// The kind of error.
    pub kind: FindingKind,
    /// A sentence with the numbers.
    pub detail: String,
}

impl Finding {
    fn new(run: &Measurement, kind: FindingKind, detail: String) -> Self {
        Self { row: Some(run.line), run_id: Some(run.run_id.clone()), kind, detail }
    }
}

/// Shortest window in seconds. Power counters update every 100 ms on the best-known GPUs (Zeus's documentation; Yang,
/// Adamek and Armour 2024), so the ends of a window are uncertain by 100 ms. A window of 100 updates keeps this error
/// within 1 %.
const SHORTEST_WINDOW_S: f64 = 10.0;

/// Largest relative difference between equal amounts of work.
const SAME_WORK: f64 = 0.01;

/// Largest plausible power of a host without its accelerators, in watts: CPUs and memory of a large node.
const LARGEST_HOST_W: f64 = 1500.0;

/// Lowest idle power of an accelerator, in watts: a T4 in its lowest power state draws 9 to 10 W (NVML reading).
const LOWEST_IDLE_W: f64 = 8.0;

/// Audits a dataset. Findings about the whole table come first, the others in the order of the table.
pub fn audit(data: &Dataset, catalog: &Catalog) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(mixed_scopes(data));
    findings.extend(duplicates(data));
    findings.extend(siblings::tokens_far_from_siblings(data));
    findings.extend(siblings::constant_tokens(data));
    findings.extend(stalled::steps(data, catalog));
    let baselines = data.baselines();
    for run in &data.runs {
        if let Some(baseline) = baselines.for_run(run).filter(|b| b.line != run.line) {
            findings.extend(against_baseline(run, baseline));
        }
        findings.extend(averaged(run));
        findings.extend(power(run, catalog));
        findings.extend(recorded(run));
    }
    findings.sort_by_key(|f| (f.row, f.kind));
    findings
}

fn mixed_scopes(data: &Dataset) -> Option<Finding> {
    let error = data.scope().err()?;
    Some(Finding {
        row: None,
        run_id: None,
        kind: FindingKind::MixedScopes,
        detail: error.to_string(),
    })
}

/// Rows that are equal except for their names.
fn duplicates(data: &Dataset) -> Vec<Finding> {
    let mut seen = std::collections::BTreeMap::new();
    let mut found = Vec::new();
    for run in &data.runs {
        let nameless = Measurement { line: 0, run_id: String::new(), ..run.clone() };
        let Ok(key) = serde_json::to_string(&nameless) else { continue };
        match seen.get(&key) {
            Some(first) => {
                let detail = format!("every value equals that of line {first}");
                found.push(Finding::new(run, FindingKind::Duplicate, detail));
            }
            None => {
                seen.insert(key, run.line);
            }
        }
    }
    found
}

fn against_baseline(run: &Measurement, baseline: &Measurement) -> Vec<Finding> {
    let mut found = Vec::new();
    if let (Some(tokens), Some(of_baseline)) = (run.tokens, baseline.tokens)
        && (tokens / of_baseline - 1.0).abs() > SAME_WORK
    {
        found.push(Finding::new(
            run,
            FindingKind::WorkDiffersFromBaseline,
            format!(
                "{tokens} tokens are {:.2} times the {of_baseline} of its baseline (run {}); the ratio of their times is not a speedup",
                tokens / of_baseline,
                baseline.run_id
            ),
        ));
    }
    if let (Some(epochs), Some(of_baseline)) = (run.epochs(), baseline.epochs())
        && epochs != of_baseline
    {
        found.push(Finding::new(
            run,
            FindingKind::EpochsDifferFromBaseline,
            format!(
                "{epochs} epochs, but its baseline (run {}) has {of_baseline}",
                baseline.run_id
            ),
        ));
    }
    if let (Some(1), Some(several @ 2..)) = (run.n_runs, baseline.n_runs) {
        found.push(Finding::new(
            run,
            FindingKind::RunsDifferFromBaseline,
            format!("one run, but its baseline (run {}) is the mean of {several}", baseline.run_id),
        ));
    }
    found
}

/// A row that is the mean of runs with different configurations.
fn averaged(run: &Measurement) -> Option<Finding> {
    let mut reasons = Vec::new();
    if let Some(tokens) = run.tokens.filter(|t| t.fract() != 0.0) {
        reasons.push(format!("{tokens} tokens is not a whole number"));
    }
    if let (Some(proxy), Some(batch), Some(seq)) =
        (run.memory_proxy, run.micro_batch(), run.seq_len())
    {
        let own = batch as f64 * seq * (run.hidden_size() * run.layers()) as f64;
        if (proxy / own - 1.0).abs() > 1e-6 {
            reasons.push(format!(
                "the memory proxy {proxy} is {:.3} times batch × sequence × hidden × layers",
                proxy / own
            ));
        }
    }
    (!reasons.is_empty()).then(|| {
        let detail = format!("{}: a mean of different runs", reasons.join("; "));
        Finding::new(run, FindingKind::AveragedUnlikeRuns, detail)
    })
}

fn power(run: &Measurement, catalog: &Catalog) -> Option<Finding> {
    if run.energy_is_assumed() {
        return None;
    }
    let power = (run.energy? / run.duration?).value();
    let accelerator = catalog.accelerator(run.gpu()).ok()?;
    let gpus = run.gpus() as f64;
    let host = if run.scope == Scope::Gpu { 0.0 } else { LARGEST_HOST_W * (gpus / 8.0).ceil() };
    // the error of a sensor is up to 5 % (NVML's documentation)
    let most = 1.05 * accelerator.tdp_w? * gpus + host;
    if power > most {
        let detail = format!(
            "mean power {power:.0} W is above {most:.0} W, the most that {} × {} may draw",
            run.gpus(),
            accelerator.name
        );
        return Some(Finding::new(run, FindingKind::PowerAboveLimit, detail));
    }
    let least = accelerator.idle_w.map_or(LOWEST_IDLE_W, |w| 0.8 * w) * gpus;
    (power < least).then(|| {
        let detail = format!(
            "mean power {power:.0} W is below {least:.0} W, the idle power of {} {}",
            run.gpus(),
            accelerator.name
        );
        Finding::new(run, FindingKind::PowerBelowIdle, detail)
    })
}

fn recorded(run: &Measurement) -> Option<Finding> {
    match (run.energy, run.duration) {
        (Some(_), None) => {
            Some(Finding::new(run, FindingKind::HalfRecorded, "energy without duration".to_owned()))
        }
        (Some(_), Some(duration))
            if duration.value() < SHORTEST_WINDOW_S && !run.energy_is_assumed() =>
        {
            Some(Finding::new(
                run,
                FindingKind::ShortWindow,
                format!(
                    "{} s is too short for a counter that updates every 0.1 s; its error may be {:.0} %",
                    duration.value(),
                    10.0 / duration.value()
                ),
            ))
        }
        _ => None,
    }
}
