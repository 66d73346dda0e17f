//! Compares token counts of runs that should have the same count.

use std::collections::BTreeMap;

use super::{Finding, FindingKind};
use crate::data::dataset::Dataset;
use crate::data::measurement::Measurement;
use crate::stats::score::median;

/// A run is reported when its tokens differ from the median of its siblings by more than this factor.
const MAX_FACTOR: f64 = 2.0;

/// Fewest siblings for a median.
const MIN_SIBLINGS: usize = 5;

/// Key of runs that train on the same data in the same way, with any model shape and batch size.
fn same_data(run: &Measurement) -> String {
    let count = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    [
        run.gpu().to_owned(),
        run.family().to_owned(),
        run.strategy_kind().to_string(),
        run.gpus().to_string(),
        count(run.max_seq_len),
        run.data_or_task().unwrap_or_default().to_owned(),
    ]
    .join("|")
}

/// Runs whose token count differs from that of their siblings by more than [`MAX_FACTOR`].
pub(super) fn tokens_far_from_siblings(data: &Dataset) -> Vec<Finding> {
    let mut groups: BTreeMap<String, Vec<(&Measurement, f64)>> = BTreeMap::new();
    for run in data.runs.iter().filter(|r| r.max_seq_len.is_some()) {
        if let Some(tokens) = run.tokens {
            groups.entry(same_data(run)).or_default().push((run, tokens));
        }
    }
    let mut found = Vec::new();
    for group in groups.values().filter(|g| g.len() >= MIN_SIBLINGS) {
        let middle = median(&group.iter().map(|(_, t)| *t).collect::<Vec<f64>>());
        for (run, tokens) in group {
            let ratio = tokens / middle;
            if !(1.0 / MAX_FACTOR..=MAX_FACTOR).contains(&ratio) {
                found.push(Finding::new(
                    run,
                    FindingKind::TokensFarFromSiblings,
                    format!(
                        "{tokens} tokens are {ratio:.2} times {middle}, the median of the {} runs on the same data, GPUs and strategy",
                        group.len()
                    ),
                ));
            }
        }
    }
    found
}

/// Single-GPU runs whose tokens are linear in the sequence length with an intercept of at least 5 % of their mean: part
/// of the work does not depend on the sequence length.
pub(super) fn constant_tokens(data: &Dataset) -> Vec<Finding> {
    let mut groups: BTreeMap<String, Vec<(&Measurement, f64, f64)>> = BTreeMap::new();
    for run in data.runs.iter().filter(|r| r.is_baseline()) {
        if let (Some(tokens), Some(seq)) = (run.tokens, run.seq_len()) {
            let batch = run.micro_batch().unwrap_or(0) * run.job().workload.grad_accum.unwrap_or(1);
            let epochs = run.epochs().unwrap_or(0.0);
            let task = run.data_or_task().unwrap_or_default().to_owned();
            let key = format!("{}|{}|{batch}|{epochs}|{task}", run.gpu(), run.family());
            groups.entry(key).or_default().push((run, seq, tokens));
        }
    }
    groups.values().filter_map(|group| constant_part(group)).collect()
}

fn constant_part(group: &[(&Measurement, f64, f64)]) -> Option<Finding> {
    let mut lengths: Vec<u64> = group.iter().map(|(_, s, _)| s.to_bits()).collect();
    lengths.sort_unstable();
    lengths.dedup();
    if lengths.len() < 3 {
        return None;
    }
    let n = group.len() as f64;
    let mean = |of: fn(&(&Measurement, f64, f64)) -> f64| group.iter().map(of).sum::<f64>() / n;
    let (mean_seq, mean_tokens) = (mean(|g| g.1), mean(|g| g.2));
    let covariance: f64 = group.iter().map(|(_, s, t)| (s - mean_seq) * (t - mean_tokens)).sum();
    let variance: f64 = group.iter().map(|(_, s, _)| (s - mean_seq).powi(2)).sum();
    let spread: f64 = group.iter().map(|(_, _, t)| (t - mean_tokens).powi(2)).sum();
    let slope = covariance / variance;
    let constant = mean_tokens - slope * mean_seq;
    let straight = covariance * covariance > 0.999 * variance * spread;
    let (first, _, _) = group.first()?;
    (straight && constant > 0.05 * mean_tokens).then(|| {
        Finding::new(
            first,
            FindingKind::ConstantTokens,
            format!(
                "in {} runs on one {} tokens are {constant:.0} + {slope:.0} × sequence length: the constant part is other \
                 work, such as an evaluation",
                group.len(),
                first.gpu()
            ),
        )
    })
}
