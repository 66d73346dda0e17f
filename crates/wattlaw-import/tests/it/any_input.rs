//! Any input of an importer is answered with runs or with one sentence; what the tools' writers write is read back.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fmt::Write;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use wattlaw::job::catalog::Catalog;
use wattlaw_import::{Format, Options};

use crate::logs::{fails, figures, read, read_with};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::built_in().unwrap());

/// The example of each format, with which edits begin.
fn examples() -> Vec<(Format, &'static str, Vec<u8>)> {
    use Format::{
        Alumet, Carbontracker, Codecarbon, Csv, Dcgm, Eco2ai, Energibridge, Jpwr, Lightning,
        Megatron, Mlflow, Mlperf, Nanotron, NvidiaSmi, Perun, Tensorboard, Torchtitan,
        Transformers, Wandb, Zeus,
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/logs");
    [
        (Codecarbon, "emissions.csv"),
        (Zeus, "zeus.csv"),
        (NvidiaSmi, "gpu.csv"),
        (Megatron, "megatron.out"),
        (Mlperf, "mlperf/power/result_0/node_0.txt"),
        (Dcgm, "dcgm.prom"),
        (Carbontracker, "7.ab12_2026-03-01T110000Z_carbontracker.log"),
        (Alumet, "alumet.csv"),
        (Perun, "perun.csv"),
        (Energibridge, "energibridge.csv"),
        (Jpwr, "jpwr/power.csv"),
        (Eco2ai, "emission.csv"),
        (Csv, "meter.csv"),
        (Transformers, "training/trainer_state.json"),
        (Wandb, "training/wandb/history.csv"),
        (Wandb, "training/wandb/system.jsonl"),
        (Tensorboard, "training/tensorboard/events.out.tfevents.1772359200.node1.7.0"),
        (Torchtitan, "training/torchtitan.log"),
        (Nanotron, "training/nanotron.log"),
        (Lightning, "training/metrics.csv"),
        (Mlflow, "training/mlflow/metrics/train_loss"),
        (Mlflow, "training/mlflow/metrics/system/gpu_0_power_usage_watts"),
        (Megatron, "training/megatron.out"),
    ]
    .map(|(format, name)| (format, name, std::fs::read(folder.join(name)).unwrap()))
    .into()
}

fn options(format: Format) -> Options {
    let map = "[columns]\nrun_id = 'who'\nduration_s = 'secs'\nenergy_kwh = 'used kWh'\n";
    let map =
        (format == Format::Csv).then(|| wattlaw::data::dataset::ColumnMap::from_toml(map).unwrap());
    Options { map, interval_s: Some(1.0), gpus_in_turn: Some(2), ..Options::default() }
}

/// Runs with finite, non-negative figures, or an error of one line.
fn answered(format: Format, bytes: &[u8]) -> Result<(), TestCaseError> {
    match read_with(format, options(format), &[("a.log", bytes)]) {
        Ok(log) => {
            for run in &log.measured {
                for x in [
                    run.energy.map(|e| e.value()),
                    run.duration.map(|t| t.value()),
                    run.mean_power.map(|p| p.value()),
                ] {
                    prop_assert!(x.is_none_or(|x| (0.0..f64::INFINITY).contains(&x)), "{run:?}");
                }
            }
            wattlaw_import::check(&log.measured, &CATALOG);
            let _ = wattlaw_import::join(&log.measured);
            wattlaw_import::to_csv(&log.measured).unwrap();
            prop_assert!(log.findings.iter().all(|f| f.times > 0 && !f.text.is_empty()));
        }
        Err(error) => {
            let text = error.to_string();
            prop_assert!(!text.is_empty() && text.lines().count() == 1, "{text}");
        }
    }
    Ok(())
}

const WORDS: [&str; 20] = [
    "-1",
    "1e300",
    "nan",
    "inf",
    "",
    ",",
    ";",
    "\n",
    "\r\n",
    "\"",
    "0",
    "9223372036854775807",
    "1,5",
    "\u{0}",
    "é",
    "[N/A]",
    "{",
    "2024/03/01 12:00:00.000",
    "energy_consumed",
    ":::MLLOG {",
];

fn edits() -> impl Strategy<Value = Vec<(Index, usize, &'static str)>> {
    proptest::collection::vec((any::<Index>(), 0..20_usize, select(&WORDS[..])), 1..4)
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for format in Format::ALL {
            answered(format, &bytes)?;
        }
        let _ = Format::detect(&bytes);
    }

    #[test]
    fn edited_logs_are_answered(edits in edits(), which in any::<Index>()) {
        let examples = examples();
        let (format, _, text) = which.get(&examples);
        let mut bytes = text.clone();
        for (at, cut, word) in &edits {
            let from = at.index(bytes.len() + 1);
            let to = (from + cut).min(bytes.len());
            bytes.splice(from..to, word.bytes());
        }
        answered(*format, &bytes)?;
        for other in Format::ALL {
            answered(other, &bytes)?;
        }
    }

    #[test]
    fn a_log_that_is_cut_off_anywhere_is_answered(at in any::<Index>(), which in any::<Index>()) {
        let examples = examples();
        let (format, _, text) = which.get(&examples);
        answered(*format, &text[..at.index(text.len())])?;
    }

    #[test]
    fn what_codecarbon_writes_is_read_back(
        runs in proptest::collection::vec((1e-9..1e6f64, 1e-3..1e7f64, 1..64_u64, 1.0..3.0f64), 1..8)
    ) {
        let mut text = "run_id,duration,energy_consumed,gpu_count,pue\n".to_owned();
        for (i, (kwh, seconds, gpus, pue)) in runs.iter().enumerate() {
            writeln!(text, "r{i},{seconds},{kwh},{gpus},{pue}").unwrap();
        }
        let log = read(Format::Codecarbon, "emissions.csv", &text).unwrap();
        let expected: Vec<_> = runs.iter().map(|(kwh, s, gpus, pue)| (kwh * 3.6e6 / if *pue > 1.0 { *pue } else { 1.0 }, *s, Some(*gpus))).collect();
        prop_assert_eq!(figures(&log), expected);
    }

    #[test]
    fn what_zeus_writes_is_read_back(windows in proptest::collection::vec((0.0..1e9f64, 0.0..1e9f64, 1e-3..1e6f64), 1..8)) {
        let mut text = "start_time,window_name,elapsed_time,gpu0_energy,gpu1_energy\n".to_owned();
        for (i, (a, b, seconds)) in windows.iter().enumerate() {
            writeln!(text, "{},w{i},{seconds},{a},{b}", i * 2_000_000).unwrap();
        }
        let log = read(Format::Zeus, "zeus.csv", &text).unwrap();
        let expected: Vec<_> = windows.iter().map(|(a, b, s)| (a + b, *s, Some(2))).collect();
        prop_assert_eq!(figures(&log), expected);
    }

    #[test]
    fn what_nvidia_smi_writes_is_integrated(samples in proptest::collection::vec((1..5000_i64, 0..100_000_u64), 2..40)) {
        let mut text = "timestamp, power.draw [W]\n".to_owned();
        let (mut ms, mut joules) = (0, 0.0);
        let mut last: Option<f64> = None;
        let start = 12 * 3_600_000_i64;
        for (step, centiwatts) in &samples {
            let watts = *centiwatts as f64 / 100.0;
            if let Some(before) = last {
                ms += step;
                joules += 0.5 * (before + watts) * (*step as f64 / 1e3);
            }
            last = Some(watts);
            let now = start + ms;
            let (h, m, s) = (now / 3_600_000, now / 60_000 % 60, now / 1000 % 60);
            writeln!(text, "2026/03/01 {h:02}:{m:02}:{s:02}.{:03}, {watts:.2} W", now % 1000).unwrap();
        }
        let one = Options { gpus_in_turn: Some(1), ..Options::default() };
        let log = read_with(Format::NvidiaSmi, one, &[("gpu.csv", text.as_bytes())]).unwrap();
        let (energy, seconds, _) = figures(&log)[0];
        prop_assert!((energy - joules).abs() <= 1e-12 * joules.max(1.0), "{} {}", energy, joules);
        prop_assert!((seconds - ms as f64 / 1e3).abs() < 1e-9);
    }
}

#[test]
fn examples_are_recognised_and_hold_runs() {
    for (format, name, bytes) in examples() {
        if format != Format::Csv {
            assert_eq!(Format::detect(&bytes), Some(format), "{name}");
        }
        let log = read_with(format, options(format), &[(name, &bytes)]).unwrap();
        let measured = |m: &wattlaw_import::Measured| match m.energy {
            Some(energy) => energy.value() > 100.0,
            // a log of training alone
            None => m.steps.is_some_and(|n| n > 10.0) && m.duration.is_some(),
        };
        assert!(log.measured.iter().all(measured), "{name}");
        let Ok(text) = String::from_utf8(bytes) else { continue };
        // line ends and a byte order mark change nothing
        let dos = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        let again = read_with(format, options(format), &[(name, dos.as_bytes())]).unwrap();
        assert_eq!(figures(&again), figures(&log), "{name}");
        let lines = |l: &wattlaw_import::Log| l.findings.iter().map(|f| f.line).collect::<Vec<_>>();
        assert_eq!(lines(&again), lines(&log), "{name}");
        let mut end = dos.into_bytes();
        end.extend(b"\xff\xfe\x00\x01 binary\n");
        let skips_lines = matches!(
            format,
            Format::Megatron
                | Format::Mlperf
                | Format::Dcgm
                | Format::Torchtitan
                | Format::Nanotron
        );
        if !skips_lines {
            let error = read_with(format, options(format), &[(name, &end)]);
            assert!(
                error.is_err() || error.unwrap().findings.iter().any(|f| f.line.is_some()),
                "{name}"
            );
        }
    }
}

#[test]
fn a_stray_quotation_mark_does_not_fill_the_memory() {
    let text = format!("duration,energy_consumed\n1,\"2\n{}", "1,2\n".repeat(5_000_000));
    let error = fails(Format::Codecarbon, "x.csv", &text);
    assert!(error.contains("a quotation mark is not closed"), "{error}");
    let wide = "a,".repeat(100_000);
    assert!(fails(Format::Codecarbon, "x.csv", &wide).contains("at most 4096 are allowed"));
    assert!(fails(Format::NvidiaSmi, "x.csv", &wide).contains("at most 4096 are allowed"));
    assert!(fails(Format::Wandb, "x.csv", &wide).contains("at most 4096 are allowed"));
    let long = "{\"_step\": 1,".to_owned() + &"\"a\": 1,".repeat(300_000);
    for format in [Format::Wandb, Format::Mlflow, Format::Torchtitan, Format::Nanotron] {
        let error = fails(format, "x.log", &long);
        assert!(error.contains("the line is longer than 1 MiB"), "{error}");
    }
}

#[test]
fn invalid_logs_are_refused_with_file_and_line() {
    use Format::{
        Alumet, Carbontracker, Codecarbon, Dcgm, Eco2ai, Energibridge, Jpwr, Megatron, Mlperf,
        Perun, Zeus,
    };
    for format in Format::ALL {
        let error = fails(format, "x.log", "");
        assert!(error.starts_with("x.log: "), "{format}: {error}");
        assert!(fails(format, "x.log", "hello\nworld\n").starts_with("x.log"), "{format}");
        assert!(
            read_with(format, Options::default(), &[("x.log", b"\x7fELF\x02\x01\x01\x00\x00\x00")])
                .is_err(),
            "{format}"
        );
    }
    for (format, text, said) in [
        (
            Codecarbon,
            "duration,energy_consumed\n1,-2\n",
            "x.log:2: column `energy_consumed` is `-2`, but it must be a number from 0 to 1e18",
        ),
        (
            Codecarbon,
            "duration,energy_consumed\n1,1e300\n",
            "x.log:2: column `energy_consumed` is `1e300`, but",
        ),
        (
            Codecarbon,
            "duration,energy_consumed\n1,\"0,5\"\n",
            "x.log:2: column `energy_consumed` is `0,5`, but it must use a decimal point instead of a comma",
        ),
        (
            Codecarbon,
            "duration;energy_consumed\n1;0,5\n",
            "x.log:2: column `energy_consumed` is `0,5`, but it must use a decimal point",
        ),
        (
            Codecarbon,
            "duration,energy_consumed\n1,0,5\n1,2\n",
            "x.log:2: not valid CSV: the row has 3 cells and the header 2; a decimal comma or a row of another tool version",
        ),
        (
            Codecarbon,
            "duration,duration,energy_consumed\n",
            "x.log:1: column is `duration` twice, but column names must be unique",
        ),
        (
            Codecarbon,
            "duration,emissions\n1,2\n",
            "x.log:1: column `energy_consumed` is missing; CodeCarbon writes it in kWh",
        ),
        (Codecarbon, "duration,energy_consumed\n", "x.log: the log has no data rows"),
        (
            Codecarbon,
            "duration,energy_consumed\n1,\n",
            "x.log:2: column `energy_consumed` is missing; the cell is empty",
        ),
        (Zeus, "window_name,elapsed_time\na,1\n", "x.log:1: column `gpu0_energy` is missing"),
        (
            Zeus,
            "{\"measurements\":[{\"power_limit\":1,\"energy\":-1,\"time\":1}]}",
            "x.log: energy is -1, but it must be a positive number",
        ),
        (Zeus, "{\"measurements\":", "x.log: not valid JSON: EOF"),
        (
            Zeus,
            "Time,Power\n2022-07-13 02:07:36,1\n2022-07-13 02:07:35,1\n",
            "x.log:3: the time goes back by 1 s",
        ),
        (
            Megatron,
            " iteration 1/ 2 | elapsed time per iteration (ms): x | energy per GPU (J/iter/GPU): 5 |\n",
            "x.log:1: elapsed time per iteration (ms) is `x`, but it must be a number",
        ),
        (
            Megatron,
            "Total training energy (GPU): -5 MJ\n",
            "x.log:1: Total training energy (GPU) is -5, but it must be positive",
        ),
        (Mlperf, ":::MLLOG {\"time_ms\": 1, \"key\":\n", "x.log:1: not valid MLLOG: EOF"),
        (
            Mlperf,
            ":::MLLOG {\"time_ms\": 1, \"key\": \"power_reading\", \"value\": \"a\"}\n",
            "x.log:1: power_reading is \"a\", but it must be a number, or an object",
        ),
        (
            Mlperf,
            ":::MLLOG {\"time_ms\": -1, \"key\": \"x\"}\n",
            "x.log:1: time_ms is -1, but it must be milliseconds since 1970",
        ),
        (
            Dcgm,
            "DCGM_FI_DEV_POWER_USAGE{gpu=\"0\"\n",
            "x.log:1: the line is `DCGM_FI_DEV_POWER_USAGE{gpu=\"0\"`, but it must be a metric of the form NAME{labels} VALUE",
        ),
        (
            Dcgm,
            "DCGM_FI_DEV_POWER_USAGE{gpu=\"0\"} lots\n",
            "x.log:1: DCGM_FI_DEV_POWER_USAGE is `lots`, but it must be a number",
        ),
        (
            Carbontracker,
            "x - Duration: soon\n",
            "x.log:1: the time is `soon`, but it must be a time such as 0:02:21.90",
        ),
        (
            Carbontracker,
            "multiplied by a PUE coefficient of 0.5 (x)\n",
            "x.log:1: the PUE coefficient is 0.5, but it must be from 1 to 10",
        ),
        (
            Alumet,
            "metric;timestamp;value\nnvml_energy_consumption_mJ;yesterday;1\n",
            "x.log:2: column `timestamp` is `yesterday`, but it must be an RFC 3339 time",
        ),
        (
            Perun,
            "sensor,unit,magnitude,timestep,value\nCUDA:0_POWER,W,lots,0,1\n",
            "x.log:2: column `magnitude` is `lots`, but it must be a factor such as 0.001",
        ),
        (
            Energibridge,
            "Delta,Time,CPU_ENERGY (J)\n0,5000,1\n0,4000,1\n",
            "x.log:3: the time goes back by 1 s",
        ),
        (Jpwr, ",timestamps,pynvml:0\n0,1e300,5\n", "x.log:2: column `timestamps` is `1e300`, but"),
        (
            Eco2ai,
            "duration(s),power_consumption(kWh)\n5,x\n",
            "x.log:2: column `power_consumption(kWh)` is `x`, but it must be a number",
        ),
    ] {
        let error = fails(format, "x.log", text);
        assert!(error.starts_with(said), "{error}\nnot: {said}");
    }
}
