//! Runs beside their baselines: by hand, against scipy and pandas (golden/bootstrap.py makes golden/bootstrap.json),
//! and against what the study published.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use approx::assert_relative_eq;
use proptest::prelude::*;
use serde_json::Value;
use wattlaw::data::dataset::Dataset;
use wattlaw::data::speedup::{Speedup, Speedups};
use wattlaw::job::parallelism::StrategyKind;
use wattlaw::stats::bootstrap::{Bootstrap, Median};
use wattlaw::stats::split::Groups;

const HEADER: &str = "family,gpu,gpus,strategy,layers,hidden_size,seq_len,micro_batch,tokens,duration_s,energy_j,\
                      scope,meter,checkpointing,outcome\n";

fn compare(rows: &str) -> wattlaw::Result<Speedups> {
    let data = Dataset::from_csv(format!("{HEADER}{rows}").as_bytes(), "runs.csv", None).unwrap();
    Speedups::from_dataset(&data, &Bootstrap::new(0.95, 1000, 1).unwrap())
}

fn alone(median: f64) -> Median {
    Median { median, lower: None, upper: None }
}

#[test]
fn one_pair_by_hand() {
    // twice the tokens in the same time for three times the energy
    let found = compare(
        "gpt,T4,1,,2,64,128,8,1000,10,1000,gpu,,,\n\
         gpt,T4,4,fsdp,2,64,128,8,2000,10,3000,gpu,,,\n",
    )
    .unwrap();
    assert!(found.notes.is_empty(), "{:?}", found.notes);
    let expected = Speedup {
        gpu: "T4".into(),
        family: "gpt".into(),
        strategy: StrategyKind::Fsdp,
        gpus: 4,
        n_pairs: 1,
        throughput_gain: alone(2.0),
        efficiency: alone(0.5),
        energy_per_token_change_pct: Some(alone(50.0)),
    };
    assert_eq!(found.rows, [expected]);
    assert_eq!(
        serde_json::to_string(&found.rows).unwrap(),
        r#"[{"gpu":"T4","family":"gpt","strategy":"fsdp","gpus":4,"n_pairs":1,"#.to_owned()
            + r#""throughput_gain":{"median":2.0,"lower":null,"upper":null},"#
            + r#""efficiency":{"median":0.5,"lower":null,"upper":null},"#
            + r#""energy_per_token_change_pct":{"median":50.0,"lower":null,"upper":null}}]"#
    );
}

#[test]
fn repeated_baselines_count_by_their_median() {
    // 100, 80 and 125 tokens a second; 1, 4 and 2 J a token
    let found = compare(
        "gpt,T4,1,,2,64,128,8,1000,10,1000,gpu,,,\n\
         gpt,T4,2,ddp,2,64,128,8,1000,5,4000,gpu,,,\n\
         gpt,T4,1,,2,64,128,8,800,10,3200,gpu,,,\n\
         gpt,T4,1,,2,64,128,8,1000,8,2000,gpu,,,\n",
    )
    .unwrap();
    assert_eq!(found.rows[0].throughput_gain, alone(2.0));
    assert_eq!(found.rows[0].energy_per_token_change_pct, Some(alone(100.0)));
}

#[test]
fn repeats_of_one_configuration_are_pairs_of_one_family() {
    let found = compare(
        "gpt,T4,1,,2,64,128,8,1000,10,,,,,\n\
         gpt,T4,2,ddp,2,64,128,8,1000,5,,,,,\n\
         gpt,T4,2,ddp,2,64,128,8,1000,10,,,,,\n",
    )
    .unwrap();
    assert_eq!((found.rows[0].n_pairs, found.rows[0].throughput_gain), (2, alone(1.5)));
    assert_eq!(found.rows[0].energy_per_token_change_pct, None);
}

#[test]
fn runs_without_baseline_are_left_out_and_noted() {
    let found = compare(
        "gpt,T4,1,,2,64,128,8,1000,10,50,gpu,,none,\n\
         gpt,T4,2,ddp,2,64,128,16,1000,5,50,gpu,,none,\n\
         gpt,T4,2,ddp,2,64,128,8,1000,5,50,gpu,,full,\n\
         gpt,V100,2,ddp,2,64,128,8,1000,5,50,gpu,,none,\n\
         gpt,T4,2,ddp,2,64,128,8,1000,,50,gpu,,none,\n\
         gpt,T4,4,ddp,2,64,128,8,1000,9,60,gpu,,none,exit 1\n\
         gpt,T4,2,ddp,2,64,128,8,1000,4,50,gpu,gpu:counter cpu:assumed,none,\n",
    )
    .unwrap();
    assert_eq!((found.rows.len(), found.rows[0].n_pairs), (1, 1));
    assert_eq!(found.rows[0].throughput_gain, alone(2.5));
    assert_eq!(
        found.notes,
        [
            "left out: 4 of 5 finished runs on several GPUs, the first, run 3 in line 3, because no single-GPU run has its configuration",
            "left out: 1 of 7 runs as not finished, the first, run 7 in line 7: exit 1",
            "1 of 6 energies are assumed, wholly or in part, and not measured",
        ]
    );
}

#[test]
fn few_families_have_an_interval_and_a_note() {
    let family = |layers: u64| {
        format!(
            "gpt,T4,1,,{layers},64,128,8,1000,10,,,,,\ngpt,T4,2,ddp,{layers},64,128,8,1000,{},,,,,\n",
            4 + layers
        )
    };
    let of = |n: u64| compare(&(1..=n).map(family).collect::<String>()).unwrap();
    let (five, six) = (of(5), of(6));
    assert!(
        five.notes[0].starts_with("fewer than 6 configurations: 1 of 1 rows"),
        "{:?}",
        five.notes
    );
    assert!(six.notes.is_empty(), "{:?}", six.notes);
    let gain = five.rows[0].throughput_gain;
    assert!(gain.lower.unwrap() < gain.median && gain.median < gain.upper.unwrap());
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let refused = |rows: &str| compare(rows).unwrap_err().to_string();
    let none = refused("gpt,T4,2,ddp,2,64,128,8,1000,5,50,gpu,,,\n");
    assert!(none.starts_with("runs.csv: none of 1 finished runs on several GPUs has a baseline"));
    let failed = "gpt,T4,1,,2,64,128,8,1000,10,50,gpu,,,exit 1\n\
                  gpt,T4,2,ddp,2,64,128,8,1000,5,50,gpu,,,\n";
    assert!(refused(failed).contains("has a baseline"));
    let mixed = "gpt,T4,1,,2,64,128,8,1000,10,50,gpu,,,\n\
                 gpt,T4,2,ddp,2,64,128,8,1000,5,50,node_ac,,,\n";
    assert!(refused(mixed).contains("mixes energies of different scopes"));
}

proptest! {
    /// N GPUs that do the baseline's work in an Nth of the time for the same energy a token.
    #[test]
    fn perfect_scaling_has_efficiency_1(
        tokens in 1.0..1e12, seconds in 1e-3..1e6, joules in 1e-3..1e9, gpus in 2u64..10_000, more in 0.1..10.0,
    ) {
        let (done, time) = (tokens * more, seconds * more / gpus as f64);
        let found = compare(&format!(
            "gpt,T4,1,,2,64,128,8,{tokens},{seconds},{joules},gpu,,,\n\
             gpt,T4,{gpus},fsdp,2,64,128,8,{done},{time},{},gpu,,,\n", joules * more,
        )).unwrap();
        let row = &found.rows[0];
        prop_assert!((row.throughput_gain.median / gpus as f64 - 1.0).abs() < 1e-12);
        prop_assert!((row.efficiency.median - 1.0).abs() < 1e-12);
        prop_assert!(row.energy_per_token_change_pct.unwrap().median.abs() < 1e-9);
    }

    /// Figures are the same whatever the order of the table, and units cancel.
    #[test]
    fn neither_order_nor_units_matter(
        runs in prop::collection::vec((1u64..5, 1u64..4, 1.0..100.0, 1.0..100.0), 1..30), scale in 0.01..100.0,
    ) {
        let row = |(layers, gpus, seconds, joules): &(u64, u64, f64, f64), by: f64| {
            format!("gpt,T4,{gpus},fsdp,{layers},64,128,8,1000,{},{},gpu,,,\n", seconds * by, joules * by)
        };
        let there: String = runs.iter().map(|r| row(r, 1.0)).collect();
        let back: String = runs.iter().rev().map(|r| row(r, scale)).collect();
        if let (Ok(a), Ok(b)) = (compare(&there), compare(&back)) {
            prop_assert_eq!(a.rows.len(), b.rows.len());
            for (a, b) in a.rows.iter().zip(&b.rows) {
                prop_assert_eq!((a.gpus, a.n_pairs), (b.gpus, b.n_pairs));
                let of = |m: Median| [Some(m.median), m.lower, m.upper].map(|x| x.unwrap_or(0.0));
                for (x, y) in of(a.throughput_gain).iter().zip(of(b.throughput_gain)) {
                    prop_assert!((x - y).abs() <= 1e-12 * x);
                }
            }
        } else {
            prop_assert!(compare(&there).is_err() && compare(&back).is_err());
        }
    }
}

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/bootstrap.json")).unwrap()
}

fn bootstrap(case: &Value) -> Bootstrap {
    let whole = |name: &str| case[name].as_u64().unwrap();
    let level = case["level"].as_f64().unwrap();
    Bootstrap::new(level, whole("resamples") as usize, whole("seed") as u32).unwrap()
}

#[track_caller]
fn equal(found: Median, expected: &Value) {
    let of = |name: &str| expected[name].as_f64().unwrap();
    assert_relative_eq!(found.median, of("median"), max_relative = 1e-12);
    assert_relative_eq!(found.lower.unwrap(), of("lower"), max_relative = 1e-12);
    assert_relative_eq!(found.upper.unwrap(), of("upper"), max_relative = 1e-12);
}

#[test]
fn intervals_are_those_of_scipy() {
    for case in golden()["made_up"].as_array().unwrap() {
        let whole = |name: &str| case[name].as_u64().unwrap();
        let values: Vec<f64> =
            (0..whole("n")).map(|i| ((7.3 * i as f64).sin() + 0.01 * i as f64).exp()).collect();
        let labels: Vec<String> =
            (0..whole("n")).map(|i| format!("{:03}", i / whole("per_group"))).collect();
        equal(bootstrap(case).median(&values, &Groups::from_labels(&labels)), case);
    }
}

/// The study's table, or `None` with a line that says so where it is absent.
fn study() -> Option<Dataset> {
    let file = "../../../shared/data/multi_gpu_2026/runs.csv";
    match std::fs::read(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))) {
        Ok(bytes) => Some(Dataset::from_csv(&bytes, "runs.csv", None).unwrap()),
        Err(_) => {
            println!("skipped: the study's table is not beside the project");
            None
        }
    }
}

#[test]
fn the_studys_runs_are_matched_as_pandas_does_and_bounded_as_scipy_does() {
    let Some(data) = study() else { return };
    let golden = &golden()["study"];
    let found = Speedups::from_dataset(&data, &bootstrap(golden)).unwrap();
    let expected = golden["rows"].as_array().unwrap();
    assert_eq!(found.rows.len(), expected.len());
    for (row, expected) in found.rows.iter().zip(expected) {
        assert_eq!(
            (&row.gpu as &str, &row.family as &str, row.strategy.name(), row.gpus, row.n_pairs),
            (
                expected["gpu"].as_str().unwrap(),
                expected["family"].as_str().unwrap(),
                expected["strategy"].as_str().unwrap(),
                expected["gpus"].as_u64().unwrap(),
                expected["n_pairs"].as_u64().unwrap() as usize,
            )
        );
        equal(row.throughput_gain, &expected["throughput_gain"]);
        equal(row.energy_per_token_change_pct.unwrap(), &expected["energy_per_token_change_pct"]);
    }
}

/// Medians that the study's authors publish, in the digits that they give.
#[test]
fn medians_are_those_that_the_study_published() {
    let Some(data) = study() else { return };
    let found = Speedups::from_dataset(&data, &Bootstrap::new(0.95, 1, 1).unwrap()).unwrap();
    for (gpu, family, strategy, gpus, gain, change) in [
        ("NVIDIA A100-SXM4-40GB", "gpt", "fsdp", 2, "1.1307", "+23.60"),
        ("NVIDIA A100-SXM4-40GB", "gpt", "fsdp", 4, "2.0061", "+23.80"),
        ("NVIDIA A100-SXM4-40GB", "gpt", "fsdp", 6, "2.7595", "+25.84"),
        ("NVIDIA GeForce RTX 2080 Ti", "bert", "tp", 2, "0.4253", "+260.7"),
        ("NVIDIA GeForce RTX 2080 Ti", "bert", "tp", 4, "0.4317", "+621.5"),
    ] {
        let row = found
            .rows
            .iter()
            .find(|r| {
                (&*r.gpu, &*r.family, r.strategy.name(), r.gpus) == (gpu, family, strategy, gpus)
            })
            .unwrap();
        let energy = row.energy_per_token_change_pct.unwrap().median;
        let decimals = change.len() - change.find('.').unwrap() - 1;
        assert_eq!(format!("{:.4}", row.throughput_gain.median), gain);
        assert_eq!(format!("{energy:+.decimals$}"), change);
        assert_eq!(row.efficiency.median, row.throughput_gain.median / gpus as f64);
    }
}
