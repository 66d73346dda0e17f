//! Power limits and clocks by the built-in law against tables that others measured: ratios of time and energy, which
//! depend on no efficiency of the accelerator. The tables are not part of the project; without them the tests say that
//! they skip.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;

use crate::roofline::answer;
use wattlaw::base::scope::Covers;
use wattlaw::job::JobSpec;
use wattlaw::job::catalog::Catalog;
use wattlaw::law::roofline::terms::Terms;
use wattlaw::stats::score::median;

/// TDP of the accelerators in the tables, W.
const V100_W: f64 = 250.0;
const A40_W: f64 = 300.0;

/// Clock in MHz at which every stage was measured, and that its other rows are held against: the middle of the table.
const REFERENCE_MHZ: &str = "1140";

/// Time and energy of one pass of one stage at one clock, beside those of the same pass at the reference clock.
#[derive(Debug, Clone)]
struct AtClock {
    share: f64,
    time_s: f64,
    energy_j: f64,
    reference: (f64, f64, f64),
}

/// Time and power of BERT's epoch under a limit, beside those of the same job under the default limit.
#[derive(Debug, Clone)]
struct AtLimit {
    task: String,
    batch: u64,
    limit_w: f64,
    time_s: f64,
    power_w: f64,
    free_time_s: f64,
    free_w: f64,
}

fn rows(name: &str) -> Option<Vec<BTreeMap<String, String>>> {
    let file = format!("{}/../../../shared/data/energy/{name}", env!("CARGO_MANIFEST_DIR"));
    let Ok(mut reader) = csv::Reader::from_path(file) else {
        println!("skipped: the measured table {name} is not beside the project");
        return None;
    };
    Some(reader.deserialize().map(Result::unwrap).collect())
}

/// Perseus' stages on A100: stages 0 to 6 of a model hold the same layers and repeat one measurement, which is taken once.
fn by_clock() -> Option<Vec<AtClock>> {
    let table = rows("pipeline_stage_clock_a100.csv")?;
    let of = |row: &BTreeMap<String, String>| {
        let number = |name: &str| row[name].parse::<f64>().unwrap();
        (number("frequency_mhz") / 1410.0, number("time_s"), number("energy_j"))
    };
    let distinct = table.iter().filter(|row| {
        matches!(row["stage"].as_str(), "0" | "7") && row["frequency_mhz"] != REFERENCE_MHZ
    });
    let found = distinct.map(|row| {
        let same = |other: &&BTreeMap<String, String>| {
            ["model", "stage", "instruction"].iter().all(|name| other[*name] == row[*name])
        };
        let mut curve = table.iter().filter(same);
        let reference = curve.find(|other| other["frequency_mhz"] == REFERENCE_MHZ).unwrap();
        let (share, time_s, energy_j) = of(row);
        AtClock { share, time_s, energy_j, reference: of(reference) }
    });
    Some(found.collect())
}

/// Zeus' BERT fine-tuning, but the rows of the default limit, which the others are measured against.
fn by_limit(name: &str, default_w: f64) -> Option<Vec<AtLimit>> {
    let table = rows(name)?;
    let number = |row: &BTreeMap<String, String>, name: &str| row[name].parse::<f64>().unwrap();
    let same = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| {
        a["task"] == b["task"] && a["batch_size"] == b["batch_size"]
    };
    let limited = table.iter().filter(|row| number(row, "power_limit_w") < default_w);
    let found = limited.map(|row| {
        let free = table
            .iter()
            .find(|other| same(row, other) && number(other, "power_limit_w") == default_w)
            .unwrap();
        AtLimit {
            task: row["task"].clone(),
            batch: row["batch_size"].parse().unwrap(),
            limit_w: number(row, "power_limit_w"),
            time_s: number(row, "epoch_time_s"),
            power_w: number(row, "mean_gpu_power_w"),
            free_time_s: number(free, "epoch_time_s"),
            free_w: number(free, "mean_gpu_power_w"),
        }
    });
    Some(found.collect())
}

/// Median and mean of |error|, as shares.
fn summary(errors: &[f64]) -> [f64; 2] {
    [median(errors), errors.iter().sum::<f64>() / errors.len() as f64]
}

/// Share of the clock, seconds and joules of a large GPT on an A100 at ever lower limits, without start-up.
fn law_by_clock() -> Vec<(f64, f64, f64)> {
    let text = "model = { family = 'gpt2', layers = 4, hidden_size = 8192, heads = 64 }
         workload = { steps = 1, seq_len = 2048, micro_batch = 4, precision = 'bf16' }
         system = { gpu = 'a100-sxm4-80gb' }";
    let job = JobSpec::from_toml(text).unwrap().resolve(&Catalog::built_in().unwrap()).unwrap();
    let answer = answer(&job);
    let x = Terms { covers: Covers::OneStep, ..Terms::for_job(&job) };
    let limits = (0..200).map(|i| 1e3 * 0.985_f64.powi(i));
    limits
        .map(|power_limit| answer.parts(&Terms { power_limit, ..x.clone() }))
        .take_while(|parts| parts.limit.met)
        .map(|parts| (parts.limit.clock_share, parts.time.total_s, parts.energy.total_j))
        .collect()
}

/// Seconds and joules at a share of the clock, between the limits that give the next ones.
fn interpolated(curve: &[(f64, f64, f64)], share: f64) -> (f64, f64) {
    let at = curve.iter().position(|point| point.0 <= share).unwrap().max(1);
    let ((s0, t0, e0), (s1, t1, e1)) = (curve[at - 1], curve[at]);
    let w = ((share - s0) / (s1 - s0)).clamp(0.0, 1.0);
    (t0 + w * (t1 - t0), e0 + w * (e1 - e0))
}

#[test]
fn time_and_energy_follow_the_clock_as_in_perseus() {
    let Some(clocks) = by_clock() else { return };
    let curve = law_by_clock();
    let mut found: [Vec<f64>; 2] = Default::default();
    for row in clocks.iter().filter(|row| row.share >= 0.5) {
        let (share, time_s, energy_j) = row.reference;
        let (reference_s, reference_j) = interpolated(&curve, share);
        let (seconds, joules) = interpolated(&curve, row.share);
        found[0].push(((seconds / reference_s) / (row.time_s / time_s) - 1.0).abs());
        found[1].push(((joules / reference_j) / (row.energy_j / energy_j) - 1.0).abs());
    }
    let [time, energy] = found.each_ref().map(|off| summary(off));
    println!(
        "{} passes: ratio of time off by {time:.4?}, of energy by {energy:.4?}",
        found[0].len()
    );
    assert!(found[0].len() > 50);
    assert!(time[0] < 0.05 && energy[0] < 0.08, "{time:?} {energy:?}");
}

/// Seconds and joules of BERT's epoch on an accelerator under a limit, by the physics of the built-in law.
fn answered(catalog: &Catalog, gpu: &str, row: &AtLimit, limit_w: f64) -> (f64, f64) {
    let text = format!(
        "model = {{ name = 'bert-base-uncased' }}
         workload = {{ epochs = 1, examples = 88524, seq_len = 384, micro_batch = {}, precision = 'fp32', \
                       task = 'classification', framework = 'accelerate/zeus' }}
         system = {{ gpu = '{gpu}', power_limit_w = {limit_w:?} }}",
        row.batch
    );
    let job = JobSpec::from_toml(&text).unwrap().resolve(catalog).unwrap();
    let parts = answer(&job).parts(&Terms::for_job(&job));
    (parts.time.total_s, parts.energy.total_j)
}

/// Each limit against the default limit, for BERT as Zeus fine-tuned it on SQuAD with sequences of 384 in FP32.
#[test]
fn predicted_ratios_of_time_and_energy_are_near_the_measured_ones() {
    let catalog = Catalog::built_in().unwrap();
    for (gpu, default_w, name) in [
        ("v100-pcie-16gb", V100_W, "bert_power_limit_v100.csv"),
        ("a40", A40_W, "bert_power_limit_a40.csv"),
    ] {
        let Some(table) = by_limit(name, default_w) else { return };
        let mut found = Vec::new();
        for row in table.iter().filter(|row| row.task == "squad") {
            let free = answered(&catalog, gpu, row, default_w);
            let held = answered(&catalog, gpu, row, row.limit_w);
            let time = row.time_s / row.free_time_s;
            let energy = time * row.power_w / row.free_w;
            let off = |answer: f64, measured: f64| (answer / measured - 1.0).abs();
            found.push((
                row.limit_w / default_w,
                off(held.0 / free.0, time),
                off(held.1 / free.1, energy),
            ));
        }
        for (name, least, most) in [("all limits", 0.0, 0.15), ("half the TDP and more", 0.5, 0.08)]
        {
            let rows = || found.iter().filter(|row| row.0 >= least);
            let time = summary(&rows().map(|row| row.1).collect::<Vec<f64>>());
            let energy = summary(&rows().map(|row| row.2).collect::<Vec<f64>>());
            println!(
                "{gpu}, {name}, {} rows: ratio of time off by {time:.3?}, of energy by {energy:.3?}",
                rows().count()
            );
            assert!(rows().count() >= 10);
            assert!(time[0] < most && energy[0] < most, "{time:?} {energy:?}");
        }
    }
}
