//! `wattlaw import` as scripts use it: formats found out, jobs, what is written, and every way to be refused.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use crate::running;

use std::fs;

use crate::running::limited::Limited;
use crate::running::{Ran, json, root, run, run_in};
use serde_json::Value;

const LOGS: &str = "examples/logs";

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn every_format_is_found_out_and_may_be_named() {
    for (format, logs) in [
        ("codecarbon", "emissions.csv"),
        ("zeus", "zeus.csv"),
        ("nvidia-smi", "gpu.csv"),
        ("megatron", "megatron.out"),
        ("dcgm", "dcgm.prom"),
        ("carbontracker", "7.ab12_2026-03-01T110000Z_carbontracker.log"),
        ("alumet", "alumet.csv"),
        ("perun", "perun.csv"),
        ("energibridge", "energibridge.csv"),
        ("jpwr", "jpwr/power.csv"),
        ("eco2ai", "emission.csv"),
        ("mlperf", "mlperf/power/result_0/node_0.txt"),
    ] {
        let found = json(&format!("import {LOGS}/{logs} --format json"));
        assert_eq!(found["log_format"], format);
        assert!(number(&found["energy_j"]) > 100.0, "{format}");
        assert_eq!(
            found,
            json(&format!("import {format} {LOGS}/{logs} --format json")),
            "{format}"
        );
        let measured = found["measured"].as_array().unwrap();
        assert!(measured.iter().all(|m| m["energy_j"].is_f64() && m["meter"].is_string()));
    }
}

/// Logs of training have no energy, and with a job they are runs all the same: a law is fitted to their time.
#[test]
fn a_log_without_energy_adds_its_time_to_a_law() {
    let folder = tempfile::tempdir().unwrap();
    let [runs, parent, law] =
        ["runs.csv", "parent.json", "here.json"].map(|name| folder.path().join(name));
    let log = format!("{LOGS}/training/trainer_state.json");
    let found = json(&format!("import {log} --format json"));
    assert_eq!(found["log_format"], "transformers");
    assert_eq!((found["energy_j"].is_null(), number(&found["duration_s"])), (true, 1000.0));
    let (runs, parent, law) = (runs.display(), parent.display(), law.display());
    assert_eq!(run(&format!("import {log} --job {LOGS}/job.toml -o {runs}")).code, 0);
    assert_eq!(json(&format!("audit {runs} --format json"))["runs"], 1);
    // a law of few runs: adding to the built-in one takes ten times as long
    assert_eq!(run(&format!("fit examples/runs.csv --out {parent}")).code, 0);
    let added = run(&format!("calibrate {runs} --parent {parent} --out {law}"));
    assert_eq!(added.code, 0, "{}", added.stderr);
}

#[test]
fn gpus_in_turn_are_told_apart_by_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("gpu.csv");
    let line = |s: u32| {
        format!("2026/03/01 11:00:0{s}.000, 400.00 W\n2026/03/01 11:00:0{s}.100, 200.00 W\n")
    };
    fs::write(&log, format!("timestamp, power.draw [W]\n{}{}", line(0), line(5))).unwrap();
    let log = log.display();
    let refused = run(&format!("import {log}"));
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("such as --gpus-in-turn 8, or 1"), "{}", refused.stderr);
    let found = json(&format!("import {log} --gpus-in-turn 2 --format json"));
    assert_eq!(
        (number(&found["energy_j"]), &found["measured"][0]["gpus"]),
        (3000.0, &Value::from(2))
    );
    assert_eq!(run(&format!("import {log} --gpus-in-turn 0")).code, 2);
}

#[test]
fn a_job_makes_a_run_table_that_laws_read() {
    let folder = tempfile::tempdir().unwrap();
    let (runs, measured) = (folder.path().join("runs.csv"), folder.path().join("measured.csv"));
    let line = format!("import {LOGS}/gpu.csv --job {LOGS}/job.toml -o {}", runs.display());
    assert_eq!(run(&line).code, 0);
    let audit = json(&format!("audit {} --format json", runs.display()));
    assert_eq!(audit["runs"], 1);
    let text = fs::read_to_string(&runs).unwrap();
    assert!(
        text.starts_with("run_id,model,family,layers,") && text.contains("nvidia-smi power.draw"),
        "{text}"
    );
    assert!(text.contains(",10000000,"), "{text}");
    let again = fs::read(&runs).unwrap();
    assert_eq!(run(&line).code, 0);
    assert_eq!(fs::read(&runs).unwrap(), again);

    let without = run(&format!("import {LOGS}/gpu.csv -o {}", measured.display()));
    assert!(without.stderr.contains("use --job to write a run table"), "{}", without.stderr);
    let table = fs::read_to_string(&measured).unwrap();
    assert!(table.starts_with("run_id,start,duration_s,energy_j,"), "{table}");
    let fit = run(&format!("fit {}", measured.display()));
    assert_eq!((fit.code, fit.stderr.contains("column `family` is missing")), (1, true));
}

#[test]
fn restarts_join_and_a_scope_is_taken_out() {
    let apart = json(&format!("import {LOGS}/emissions.csv --format json"));
    let joined = json(&format!("import {LOGS}/emissions.csv --join --format json"));
    assert_eq!(apart["measured"].as_array().unwrap().len(), 2);
    assert_eq!(joined["measured"].as_array().unwrap().len(), 1);
    assert_eq!(joined["measured"][0]["energy_j"], apart["energy_j"]);
    assert_eq!(
        (number(&joined["duration_s"]), joined["measured"][0]["gpus"].as_u64()),
        (2100.0, Some(2))
    );
    let gpus = json(&format!("import {LOGS}/emissions.csv --join --scope gpu --format json"));
    assert!((number(&gpus["energy_j"]) - 0.42 * 3.6e6 / 1.2).abs() < 1e-6);
    assert_eq!(gpus["measured"][0]["scope"], "gpu");
}

#[track_caller]
fn refused(ran: &Ran, code: i32, said: &str) {
    assert_eq!(ran.code, code, "{}", ran.stderr);
    assert!(
        ran.stdout.is_empty() && ran.stderr.starts_with("error: "),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains(said), "expected `{said}` in: {}", ran.stderr);
}

#[test]
fn what_cannot_be_imported_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let example = |name: &str| root().join(LOGS).join(name).display().to_string();
    file("empty.csv", b"");
    file("binary.log", b"\x7fELF\x00\x01\x02\x03");
    file("utf8.csv", b"duration,energy_consumed\n1,\xff\xfe\n");
    file("wide.csv", b"\xff\xfet\x00i\x00m\x00e\x00");
    file("twice.csv", b"duration,duration,energy_consumed\n1,2,3\n");
    file("other.csv", b"a,b\n1,2\n");
    file("bad.toml", b"[columns]\nspeed = 'x'\n");
    let (zeus, emissions, gpu, job) =
        (example("zeus.csv"), example("emissions.csv"), example("gpu.csv"), example("job.toml"));
    for (line, code, said) in [
        ("import", 2, "[FORMAT] FILES"),
        ("import zeus", 2, "no log file; give the files written by zeus"),
        (&format!("import zeuss {zeus}"), 2, "unknown format `zeuss`; did you mean `zeus`?"),
        ("import absent.csv", 1, "absent.csv: no such file or directory"),
        ("import .", 1, ".: is a directory, expected a file"),
        ("import empty.csv", 1, "empty.csv: unknown log format"),
        ("import codecarbon empty.csv", 1, "empty.csv: the file is empty"),
        ("import binary.log", 1, "binary.log: unknown log format"),
        ("import megatron binary.log", 1, "binary.log: the log has no lines of iterations"),
        (
            "import nvidia-smi binary.log",
            1,
            "binary.log:1: not valid text: the line has a zero byte",
        ),
        (
            "import wide.csv",
            1,
            "wide.csv: not valid text: the file is UTF-16, as written by PowerShell's >",
        ),
        ("import utf8.csv", 1, "utf8.csv:2: not valid text: the text is not UTF-8"),
        ("import twice.csv", 1, "twice.csv:1: column is `duration` twice"),
        ("import other.csv", 1, "other.csv: unknown log format; give the format (codecarbon, "),
        ("import other.csv --map bad.toml", 1, "bad.toml: unknown column `speed`"),
        (
            &format!("import nvidia-smi {zeus}"),
            1,
            "this is a zeus log, but the format given is nvidia-smi",
        ),
        (
            &format!("import {zeus} {emissions}"),
            1,
            "this is a codecarbon log, but the previous file is a zeus log",
        ),
        (
            &format!("import {gpu} {gpu}"),
            2,
            "gpu.csv is given twice; its energy would be counted twice",
        ),
        (&format!("import {gpu} --devices 7"), 1, "unknown device `7`; accepted: `0`, `1`"),
        (
            &format!("import {gpu} --devices 0 --job {job}"),
            1,
            "gpus is 2, but the log covers 1; give the logs of all nodes",
        ),
        (
            &format!("import {gpu} --scope node_ac"),
            2,
            "--scope: `node_ac` cannot be extracted from a log; accepted: gpu",
        ),
        (
            &format!("import {gpu} --interval soon"),
            2,
            "--interval: `soon` is not a sampling interval",
        ),
        (&format!("import {gpu} -o absent/runs.csv"), 1, "directory absent does not exist"),
    ] {
        let ran = run_in(folder.path(), line);
        let last = Ran {
            code: ran.code,
            stdout: ran.stdout.clone(),
            stderr: ran
                .stderr
                .lines()
                .filter(|l| !l.starts_with("note: "))
                .map(|l| format!("{l}\n"))
                .collect(),
        };
        refused(&last, code, said);
    }
}

/// As scripts that leave no trace want it: a stream of any length from a pipe.
#[cfg(target_os = "linux")]
#[test]
fn a_log_may_come_from_a_pipe() {
    let command =
        format!("cat {LOGS}/gpu.csv | {} import /dev/stdin --format json", running::WATTLAW);
    let out = std::process::Command::new("sh").args(["-c", &command]).current_dir(root()).finish();
    let piped: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(
        piped["energy_j"],
        json(&format!("import {LOGS}/gpu.csv --format json"))["energy_j"]
    );
}
