//! What is wrong in a dataset, found before a law is fitted on it.
//!
//! Each rule is a reading of one way in which measured tables are known to mislead. One uses a law, for what cannot be
//! seen without: steps that took far longer than a robust law of their own table. A finding names its row, and `--exclude` takes findings as they are written.

mod siblings;
mod stalled;

use serde::Serialize;

use crate::base::scope::Scope;
use crate::base::words::words;
use crate::data::dataset::Dataset;
use crate::data::measurement::Measurement;
use crate::job::catalog::Catalog;

/// A way in which a row, or a table, misleads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FindingKind {
    /// The row is there twice.
    Duplicate,
    /// The table mixes energies that cover different things.
    MixedScopes,
    /// The run did other work than the single-GPU run it is compared with, so that their times do not compare.
    WorkDiffersFromBaseline,
    /// The run made other passes over the data than its baseline.
    EpochsDifferFromBaseline,
    /// The row is one run, and its baseline the mean of several.
    RunsDifferFromBaseline,
    /// Tokens are far from those of runs that differ in shape only.
    TokensFarFromSiblings,
    /// The row is the mean of runs that were not alike.
    AveragedUnlikeRuns,
    /// The step took far longer than a law that is robust against such steps gives for it: it stalled.
    Stalled,
    /// Tokens hold a constant part that does not grow with the sequence, such as an evaluation.
    ConstantTokens,
    /// Mean power above what the accelerators may draw.
    PowerAboveLimit,
    /// Mean power below what idle accelerators draw.
    PowerBelowIdle,
    /// The run is too short for the meter.
    ShortWindow,
    /// Energy or time is missing where the other is there.
    HalfRecorded,
}

words!(FindingKind, "finding": Duplicate = "duplicate", MixedScopes = "mixed-scopes",
    WorkDiffersFromBaseline = "work-differs-from-baseline", EpochsDifferFromBaseline = "epochs-differ-from-baseline",
    RunsDifferFromBaseline = "runs-differ-from-baseline", TokensFarFromSiblings = "tokens-far-from-siblings",
    AveragedUnlikeRuns = "averaged-unlike-runs", Stalled = "stalled", ConstantTokens = "constant-tokens",
    PowerAboveLimit = "power-above-limit", PowerBelowIdle = "power-below-idle", ShortWindow = "short-window",
    HalfRecorded = "half-recorded");

/// Something that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Line of the table, the header being line 1; absent where it is the whole table.
    pub row: Option<u64>,
    /// The run's name; absent where it is the whole table.
    pub run_id: Option<String>,
    /// What is wrong.
    pub kind: FindingKind,
    /// The sentence, with the figures.
    pub detail: String,
}

impl Finding {
    fn new(run: &Measurement, kind: FindingKind, detail: String) -> Self {
        Self { row: Some(run.line), run_id: Some(run.run_id.clone()), kind, detail }
    }
}

/// Updates of a power counter come each 100 ms on the GPUs that are known best (Zeus's documentation; Yang, Adamek and
/// Armour 2024), so that a window's ends are off by that much: a hundred of them keep the error within 1 %.
const SHORTEST_WINDOW_S: f64 = 10.0;

/// Shares of work may differ by this much without being called different.
const SAME_WORK: f64 = 0.01;

/// Power of a host beside its accelerators that is still plausible: CPUs and memory of a large node, in watts.
const LARGEST_HOST_W: f64 = 1500.0;

/// Power below which no accelerator idles, in watts: a T4 in its lowest state draws 9 to 10 W (NVIDIA's own reading).
const LOWEST_IDLE_W: f64 = 8.0;

/// Looks for what is wrong in a dataset; findings are in the order of the table, those of the whole table first.
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

/// Rows that agree in all but their names.
fn duplicates(data: &Dataset) -> Vec<Finding> {
    let mut seen = std::collections::BTreeMap::new();
    let mut found = Vec::new();
    for run in &data.runs {
        let nameless = Measurement { line: 0, run_id: String::new(), ..run.clone() };
        let Ok(key) = serde_json::to_string(&nameless) else { continue };
        match seen.get(&key) {
            Some(first) => {
                let detail = format!("every value is that of line {first}");
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
                "{tokens} tokens are {:.2} times the {of_baseline} of its baseline (run {}); their times are no speedup",
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
                "{epochs} epochs, and its baseline (run {}) has {of_baseline}",
                baseline.run_id
            ),
        ));
    }
    if let (Some(1), Some(several @ 2..)) = (run.n_runs, baseline.n_runs) {
        found.push(Finding::new(
            run,
            FindingKind::RunsDifferFromBaseline,
            format!("one run, and its baseline (run {}) is the mean of {several}", baseline.run_id),
        ));
    }
    found
}

/// A row that is the mean of runs which were not alike.
fn averaged(run: &Measurement) -> Option<Finding> {
    let mut reasons = Vec::new();
    if let Some(tokens) = run.tokens.filter(|t| t.fract() != 0.0) {
        reasons.push(format!("{tokens} tokens are no whole number"));
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
        let detail = format!("{}: a mean of runs that differ", reasons.join("; "));
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
    // a sensor may be 5 % off (NVML's documentation)
    let most = 1.05 * accelerator.tdp_w * gpus + host;
    if power > most {
        let detail = format!(
            "{power:.0} W are above the {most:.0} W that {} × {} may draw",
            run.gpus(),
            accelerator.name
        );
        return Some(Finding::new(run, FindingKind::PowerAboveLimit, detail));
    }
    let least = accelerator.idle_w.map_or(LOWEST_IDLE_W, |w| 0.8 * w) * gpus;
    (power < least).then(|| {
        let detail = format!(
            "{power:.0} W are below the {least:.0} W that {} idle {} draw",
            run.gpus(),
            accelerator.name
        );
        Finding::new(run, FindingKind::PowerBelowIdle, detail)
    })
}

fn recorded(run: &Measurement) -> Option<Finding> {
    match (run.energy, run.duration) {
        (Some(_), None) => Some(Finding::new(
            run,
            FindingKind::HalfRecorded,
            "there is an energy and no duration".to_owned(),
        )),
        (Some(_), Some(duration))
            if duration.value() < SHORTEST_WINDOW_S && !run.energy_is_assumed() =>
        {
            Some(Finding::new(
                run,
                FindingKind::ShortWindow,
                format!(
                    "{} s are short for a counter that is updated each 0.1 s; its error may be {:.0} %",
                    duration.value(),
                    10.0 / duration.value()
                ),
            ))
        }
        _ => None,
    }
}
