//! The clock law against tables that others measured: its numbers come out of them, and rows that a fit did not see are
//! met. The tables are not part of the project; without them the tests say that they skip.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;

use wattlaw::calibration::choose;
use wattlaw::job::JobSpec;
use wattlaw::job::catalog::Catalog;
use wattlaw::law::roofline::clock::{CLOCK, ClockLaw};
use wattlaw::predict::{Breakdown, predict};
use wattlaw::stats::nls;
use wattlaw::stats::score::median;

/// Residuals of a logarithm beyond this count less and less: the tables repeat within one to two hundredths.
const NOISE: f64 = 0.02;

/// TDP of the accelerators in the tables, W; the A100 drew up to 481 W, which is the 500 W kind.
const A100_W: f64 = 500.0;
const V100_W: f64 = 250.0;
const A40_W: f64 = 300.0;

/// Clock in MHz at which every stage was measured, and that its other rows are held against: the middle of the table.
const REFERENCE_MHZ: &str = "1140";

/// Time and energy of one pass of one stage at one clock, beside those of the same pass at the reference clock.
#[derive(Debug, Clone)]
struct AtClock {
    model: String,
    last_stage: bool,
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
        AtClock {
            model: row["model"].clone(),
            last_stage: row["stage"] == "7",
            share,
            time_s,
            energy_j,
            reference: of(reference),
        }
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

/// A law, the static shares of the three accelerators, and standard deviations of all seven numbers.
struct Fitted {
    law: ClockLaw,
    static_shares: [f64; 3],
    sds: [f64; 7],
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The law and the static shares, from the parameters as the search moves them.
fn law_of(x: &[f64]) -> (ClockLaw, [f64; 3]) {
    let law = ClockLaw {
        floor: x[0],
        slope: x[1].exp(),
        bound: logistic(x[2]),
        peaks: x[3].exp(),
        ..CLOCK
    };
    (law, [x[4].exp(), x[5].exp(), x[6].exp()])
}

/// Time and power under a limit, from those without one: all of the time is the device's.
fn under(law: &ClockLaw, static_w: f64, row: &AtLimit, default_w: f64) -> (f64, f64) {
    let work_w = (row.free_w - static_w).max(1.0);
    let power = |s: f64| static_w + work_w * law.voltage(s).powi(2) / law.stretch(s);
    let share = ClockLaw::share_at(law.draw_w(row.free_w, row.limit_w, default_w), power);
    (row.free_time_s * law.stretch(share), power(share))
}

/// Time and energy at a clock, from those at the reference clock.
fn at(law: &ClockLaw, static_w: f64, row: &AtClock) -> (f64, f64) {
    let (share, time_s, energy_j) = row.reference;
    let time = time_s * law.stretch(row.share) / law.stretch(share);
    let work =
        (energy_j - static_w * time_s) * (law.voltage(row.share) / law.voltage(share)).powi(2);
    (time, static_w * time + work)
}

/// Fits the law on the rows it is given. Every parameter has a wide prior, so that a table without rows leaves its static
/// share where it was.
fn fitted(clocks: &[AtClock], v100: &[AtLimit], a40: &[AtLimit]) -> Fitted {
    let start = [0.8, 0.3, 1.7, (0.07f64).ln(), (0.15f64).ln(), (0.15f64).ln(), (0.15f64).ln()];
    let wide = [0.2, 1.0, 2.0, 1.0, 0.7, 0.7, 0.7];
    let count = 2 * (clocks.len() + v100.len() + a40.len()) + start.len();
    let robust = |off: f64| nls::cauchy(off / NOISE, 1.0);
    let residuals = |x: &[f64], out: &mut [f64]| {
        let (law, static_shares) = law_of(x);
        let mut out = out.iter_mut();
        let mut say = |value: f64| *out.next().unwrap() = value;
        for row in clocks {
            let (time, energy) = at(&law, static_shares[0] * A100_W, row);
            say(robust((time / row.time_s).ln()));
            say(robust((energy / row.energy_j).ln()));
        }
        for (table, default_w, share) in
            [(v100, V100_W, static_shares[1]), (a40, A40_W, static_shares[2])]
        {
            for row in table {
                let (time, power) = under(&law, share * default_w, row, default_w);
                say(robust((time / row.time_s).ln()));
                say(robust((power / row.power_w).ln()));
            }
        }
        for i in 0..start.len() {
            say((x[i] - start[i]) / wide[i]);
        }
    };
    let found = nls::minimise(count, &start, residuals).unwrap();
    let covariance = found.unscaled_covariance().unwrap();
    let variance = 2.0 * found.cost / (count - start.len()) as f64;
    let (law, static_shares) = law_of(&found.parameters);
    let scales = [
        1.0,
        law.slope,
        law.bound * (1.0 - law.bound),
        law.peaks,
        static_shares[0],
        static_shares[1],
        static_shares[2],
    ];
    let sds = std::array::from_fn(|i| scales[i] * (variance * covariance[(i, i)]).sqrt());
    Fitted { law, static_shares, sds }
}

/// Median and mean of |error|, as shares.
fn summary(errors: &[f64]) -> [f64; 2] {
    [median(errors), errors.iter().sum::<f64>() / errors.len() as f64]
}

/// Median and mean error of times and of powers under a limit.
fn of_limits(found: &Fitted, which: usize, table: &[AtLimit]) -> [Vec<f64>; 2] {
    let default_w = [A100_W, V100_W, A40_W][which];
    let mut off = [Vec::new(), Vec::new()];
    for row in table {
        let (time, power) =
            under(&found.law, found.static_shares[which] * default_w, row, default_w);
        off[0].push((time / row.time_s - 1.0).abs());
        off[1].push((power / row.power_w - 1.0).abs());
    }
    off
}

fn tables() -> Option<(Vec<AtClock>, Vec<AtLimit>, Vec<AtLimit>)> {
    Some((
        by_clock()?,
        by_limit("bert_power_limit_v100.csv", V100_W)?,
        by_limit("bert_power_limit_a40.csv", A40_W)?,
    ))
}

fn split<T: Clone>(rows: &[T], out: impl Fn(&T) -> bool) -> (Vec<T>, Vec<T>) {
    rows.iter().cloned().partition(|row| !out(row))
}

#[test]
fn clock_parameters_equal_the_fit_of_the_tables() {
    let Some((clocks, v100, a40)) = tables() else { return };
    println!("{} rows by clock, {} and {} by limit", clocks.len(), v100.len(), a40.len());
    let all = fitted(&clocks, &v100, &a40);
    for (name, found) in [
        ("all", &all),
        ("A100", &fitted(&clocks, &[], &[])),
        ("V100", &fitted(&[], &v100, &[])),
        ("A40", &fitted(&[], &[], &a40)),
    ] {
        println!(
            "{name}: {:.4?}, static shares {:.3?}, standard deviations {:.4?}",
            found.law, found.static_shares, found.sds
        );
    }
    for (found, shipped) in [
        (all.law.floor, CLOCK.floor),
        (all.law.slope, CLOCK.slope),
        (all.law.bound, CLOCK.bound),
        (all.law.peaks, CLOCK.peaks),
    ] {
        approx::assert_relative_eq!(found, shipped, max_relative = 0.002);
    }
    // what remains at a low clock is what the three keep at any clock, in the mean
    let mean = all.static_shares.iter().sum::<f64>() / 3.0;
    approx::assert_relative_eq!(mean, CLOCK.remains, max_relative = 0.02);
}

#[test]
fn held_out_batch_sizes_and_limits_are_predicted() {
    let Some((clocks, v100, a40)) = tables() else { return };
    let mut sizes: Vec<u64> = v100.iter().chain(&a40).map(|row| row.batch).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let fold = |row: &AtLimit| sizes.binary_search(&row.batch).unwrap() % 4;
    let mut off: [[Vec<f64>; 2]; 2] = Default::default();
    for held in 0..4 {
        let (v100, v100_held) = split(&v100, |row| fold(row) == held);
        let (a40, a40_held) = split(&a40, |row| fold(row) == held);
        let found = fitted(&clocks, &v100, &a40);
        for (i, table) in [v100_held, a40_held].iter().enumerate() {
            for (off, more) in off[i].iter_mut().zip(of_limits(&found, i + 1, table)) {
                off.extend(more);
            }
        }
    }
    for (name, [time, power]) in ["V100", "A40"].into_iter().zip(&off) {
        let (time, power) = (summary(time), summary(power));
        println!("{name}, batch sizes held out: time {time:.3?}, power {power:.3?}");
        assert!(time[1] < 0.08 && power[1] < 0.04);
    }
    let low = |row: &AtLimit| row.limit_w <= 125.0;
    let ((v100, v100_low), (a40, a40_low)) = (split(&v100, low), split(&a40, low));
    let found = fitted(&clocks, &v100, &a40);
    for (i, (name, table)) in [("V100", v100_low), ("A40", a40_low)].into_iter().enumerate() {
        let [time, power] = of_limits(&found, i + 1, &table).map(|off| summary(&off));
        println!("{name}, limits of 125 W and less held out: time {time:.3?}, power {power:.3?}");
        assert!(time[1] < 0.25 && power[1] < 0.05);
    }
}

#[test]
fn held_out_stages_and_models_are_predicted() {
    let Some((clocks, v100, a40)) = tables() else { return };
    for (name, (train, test)) in [
        ("bloom", split(&clocks, |row| row.model == "bloom")),
        ("gpt3-175b", split(&clocks, |row| row.model == "gpt3-175b")),
        ("the last stages", split(&clocks, |row| row.last_stage)),
    ] {
        assert!(!test.is_empty() && !train.is_empty());
        let found = fitted(&train, &v100, &a40);
        let (mut times, mut energies) = (Vec::new(), Vec::new());
        for row in &test {
            let (time, energy) = at(&found.law, found.static_shares[0] * A100_W, row);
            times.push((time / row.time_s - 1.0).abs());
            energies.push((energy / row.energy_j - 1.0).abs());
        }
        let (time, energy) = (summary(&times), summary(&energies));
        println!("A100, {name} held out: time {time:.4?}, energy {energy:.4?}");
        assert!(time[1] < 0.015 && energy[1] < 0.025);
    }
}

#[test]
fn a_held_out_accelerator_is_predicted_roughly() {
    let Some((clocks, v100, a40)) = tables() else { return };
    // its static share is the prior's, 0.15
    for (i, name, table, found) in [
        (1, "V100", &v100, fitted(&clocks, &[], &a40)),
        (2, "A40", &a40, fitted(&clocks, &v100, &[])),
    ] {
        let [time, power] = of_limits(&found, i, table).map(|off| summary(&off));
        println!(
            "{name} held out, static share {:.2}: time {time:.3?}, power {power:.3?}",
            found.static_shares[i]
        );
        assert!(time[0] < 0.1 && power[0] < 0.05);
    }
}

/// Seconds and the accelerator's joules of BERT's epoch on it under a limit, as `predict` answers by the calibration it chooses.
fn answered(catalog: &Catalog, gpu: &str, row: &AtLimit, limit_w: f64) -> (f64, f64) {
    let (seq_len, examples) = if row.task == "squad" { (384, 88_524) } else { (64, 1_280_000) };
    let text = format!(
        "model = {{ name = 'bert-base-uncased' }}
         workload = {{ epochs = 1, examples = {examples}, seq_len = {seq_len}, micro_batch = {}, \
                       precision = 'fp16', task = 'classification' }}
         system = {{ gpu = '{gpu}', power_limit_w = {limit_w:?} }}",
        row.batch
    );
    let job = JobSpec::from_toml(&text).unwrap().resolve(catalog).unwrap();
    let chosen = choose(&job).unwrap().calibration;
    let answer = predict(&job, &chosen, "asked", 0.95).unwrap();
    let Breakdown::Parts { time, energy, .. } = answer.breakdown else {
        panic!("a roofline law answers")
    };
    (time.total_s, energy.total_j - energy.host_j)
}

/// Each limit against the default limit, for BERT as Zeus fine-tuned it: the measured ratios of time and energy are of the
/// accelerator alone, and so are those of the answer. Sequence lengths and precision are not in the table: 384 for SQuAD is
/// customary, 64 for Sentiment140 and half precision are guesses.
#[test]
fn predicted_ratios_of_time_and_energy_are_near_the_measured_ones() {
    let Some((_, v100, a40)) = tables() else { return };
    let catalog = Catalog::built_in().unwrap();
    for (gpu, default_w, table) in [("v100-pcie-16gb", V100_W, &v100), ("a40", A40_W, &a40)] {
        for task in ["squad", "sentiment140"] {
            let mut found = Vec::new();
            for row in table.iter().filter(|row| row.task == task) {
                let free = answered(&catalog, gpu, row, default_w);
                let held = answered(&catalog, gpu, row, row.limit_w);
                let time = row.time_s / row.free_time_s;
                let energy = time * row.power_w / row.free_w;
                let off = |answer: f64, measured: f64| (answer / measured - 1.0).abs();
                found.push((
                    row.limit_w / default_w,
                    off(held.0 / free.0, time),
                    off(held.1 / free.1, energy),
                    free.1 / free.0 / row.free_w,
                ));
            }
            for (name, least) in [("all limits", 0.0), ("half the TDP and more", 0.5)] {
                let rows = || found.iter().filter(|row| row.0 >= least);
                let time = summary(&rows().map(|row| row.1).collect::<Vec<f64>>());
                let energy = summary(&rows().map(|row| row.2).collect::<Vec<f64>>());
                println!(
                    "{gpu}, {task}, {name}, {} rows: ratio of time off by {time:.3?}, of energy by {energy:.3?}; \
                     power without a limit {:.2} of the measured",
                    rows().count(),
                    median(&rows().map(|row| row.3).collect::<Vec<f64>>())
                );
                if task == "squad" && least > 0.0 {
                    assert!(time[1] < 0.1 && energy[1] < 0.1, "{time:?} {energy:?}");
                }
            }
        }
    }
}
