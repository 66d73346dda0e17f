//! Usage errors and failures: one sentence, the right exit code, and no partial output.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::path::Path;

use crate::running::{Ran, root, run, run_in};

/// One sentence on standard error, nothing on standard output, and the exit code.
#[track_caller]
fn refused(ran: &Ran, code: i32, said: &str) {
    assert_eq!(ran.code, code, "{}", ran.stderr);
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    assert!(ran.stderr.starts_with("error: ") && ran.stderr.ends_with('\n'), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains(said), "expected `{said}` in: {}", ran.stderr);
}

/// A record of a run that was assumed to use 95 W.
const RECORD: &str = "fuzz/corpus/record_json/finished.json";

#[test]
fn an_invalid_argument_is_a_usage_error() {
    const BERT: &str = "predict --model bert-base-uncased --gpu t4 --seq-len 128 --micro-batch 8";
    for (line, said) in [
        ("predict", "no model; give a job file, --model NAME"),
        ("predict --model berd-base-uncased --gpu t4", "did you mean `bert-base-uncased`?"),
        ("predict --family berd --layers 2 --hidden-size 64 --gpu t4", "unknown model type `berd`"),
        (&format!("{BERT} --tokens 1M --gpu-s 1"), "unexpected argument '--gpu-s'"),
        (
            "predict --model gpt2 --gpu a101 --tokens 1 --seq-len 1 --micro-batch 1",
            "unknown GPU `a101`",
        ),
        ("predict --model gpt2 --tokens 1 --seq-len 1 --micro-batch 1", "gpu is missing"),
        (BERT, "the amount of training is missing; give one of tokens, steps"),
        (
            &format!("{BERT} --tokens 1M --gpus 2 --strategy fsdq"),
            "unknown strategy `fsdq`; accepted: `single`",
        ),
        (&format!("{BERT} --tokens 1M --gpus 2 --strategy single"), "2 GPUs need one of"),
        (&format!("{BERT} --tokens 1M --strategy fsdp"), "it needs more GPUs"),
        (
            &format!("{BERT} --tokens 1M --gpus 4 --dp 3"),
            "dp × tp × pp is 3 × 1 × 1 = 3, but it must be the GPU count 4",
        ),
        (&format!("{BERT} --tokens 1M --gpus 5 --strategy tp"), "it must divide the 12 heads"),
        (
            &format!("{BERT} --tokens 1M --heads 7"),
            "heads is 7, but it must divide hidden_size 768",
        ),
        (
            &format!("{BERT} --tokens 1M --gpus 0"),
            "gpus is 0, but it must be a whole number from 1",
        ),
        (&format!("{BERT} --tokens 1M --gpus -1"), "--gpus: `-1` is not a whole number"),
        (
            &format!("{BERT} --tokens 1M --layers 2.5"),
            "--layers: `2.5` is not accepted; it must be a whole number",
        ),
        (
            &format!("{BERT} --tokens 0"),
            "--tokens: `0` is not accepted; it must be a whole number from 1",
        ),
        (&format!("{BERT} --tokens -5"), "--tokens: `-5` is not accepted"),
        (&format!("{BERT} --tokens nan"), "--tokens: `nan` is not accepted"),
        (&format!("{BERT} --tokens 9e30"), "--tokens: `9e30` is not accepted"),
        (
            &format!("{BERT} --epochs inf --examples 10"),
            "--epochs: `inf` is not accepted; it must be a number",
        ),
        (&format!("{BERT} --epochs 2"), "examples is missing"),
        (
            &format!("{BERT} --tokens 1M --padding-share nan"),
            "--padding-share: `nan` is not accepted; it must be a number",
        ),
        (
            &format!("{BERT} --tokens 1M --pue inf"),
            "--pue: `inf` is not accepted; it must be a number",
        ),
        (&format!("{BERT} --tokens 1M --precision fp8"), "precision is fp8, but t4 has fp32, fp16"),
        (&format!("{BERT} --tokens 1M --precision fp7"), "--precision: unknown precision `fp7`"),
        (
            &format!("{BERT} --tokens 1M --power-limit 250V"),
            "--power-limit: `250V` is not accepted",
        ),
        (&format!("{BERT} --tokens 1M --power-limit 0W"), "power_limit_w is 0, but it must be"),
        (&format!("{BERT} --tokens 1M --power-limit 300W"), "the TDP of t4 is 70 W"),
        (&format!("{BERT} --tokens 1M --level 1"), "--level: `1` is not a level between 0 and 1"),
        (
            &format!("{BERT} --tokens 1M --level nan"),
            "--level: `nan` is not a level between 0 and 1",
        ),
        (&format!("{BERT} --tokens 1M --lora-targets q"), "--lora-rank"),
        (&format!("{BERT} --tokens 1M --calibration gtp-2026"), "unknown calibration `gtp-2026`"),
        (&format!("{BERT} --tokens 1M --gpu t4"), "cannot be used multiple times"),
        ("cost examples/job.toml --stage 3", "--stage is 3, but the job has 1 stages, 0 to 0"),
        ("fit", "required arguments were not provided: <RUNS>"),
        (
            "fit examples/runs.csv --setting llama",
            "--setting: unknown setting `llama`; accepted: `bert`",
        ),
        (
            "fit examples/runs.csv --law scaling --terms log_C+speed",
            "--terms: unknown column `speed`; known columns: log_C, log_M",
        ),
        ("fit examples/runs.csv --terms log_C+", "--terms: not valid formula"),
        ("fit examples/runs.csv --covariance hc9", "--covariance: unknown covariance `hc9`"),
        ("fit examples/runs.csv --scope moon", "--scope: unknown scope `moon`"),
        ("fit examples/runs.csv --only gpu", "`gpu` is not a condition; example: gpu=T4"),
        ("fit examples/runs.csv --only colour=red", "--only: unknown column `colour`"),
        ("fit examples/runs.csv --name mine", "--out <FILE>"),
        ("fit examples/runs.csv --law quantum", "[possible values: roofline, scaling]"),
        ("audit examples/runs.csv --kind odd", "--kind: unknown finding `odd`; 13 are known"),
        ("validate examples/runs.csv --hold-out moon", "--hold-out: unknown column `moon`"),
        ("validate examples/runs.csv --splits 0", "--splits is 0, but it must be at least 1"),
        (
            "validate examples/runs.csv --test-size 1.5",
            "--test-size is 1.5, but it must lie between 0 and 1",
        ),
        ("validate examples/runs.csv --folds 1", "--folds is 1, but it must be at least 2"),
        ("validate examples/runs.csv --seed -1", "--seed: `-1` is not a whole number"),
        ("efficiency", "required arguments were not provided: <RUNS>"),
        ("plan examples/job.toml --level 1", "--level: `1` is not a level between 0 and 1"),
        ("plan examples/job.toml --deadline 0s", "`0s` is not a positive duration"),
        ("plan examples/job.toml --max-energy 2", "`2` is not an energy"),
        ("plan examples/job.toml --max-carbon 2kWh", "`2kWh` is not a mass"),
        ("plan examples/job.toml --gpus 8..4", "both ends included"),
        (
            "plan examples/job.toml --minimise joy",
            "accepted: `energy`, `time`, `cost`, `carbon`, `gpu-hours`",
        ),
        ("plan examples/job.toml --pareto energy,energy", "two different objectives"),
        ("plan examples/job.toml --keep colour", "unknown choice `colour`"),
        ("compare examples/job.toml --gpus 4,x", "`x`"),
        ("efficiency examples/runs.csv --level 1", "--level: `1` is not a level between 0 and 1"),
        (
            "efficiency examples/runs.csv --level nan",
            "--level: `nan` is not a level between 0 and 1",
        ),
        ("efficiency examples/runs.csv --resamples 0", "--resamples is 0, but it must be from 1"),
        (
            "efficiency examples/runs.csv --resamples 1000001",
            "--resamples is 1000001, but it must be from 1 to 1000000",
        ),
        ("efficiency examples/runs.csv --seed -1", "--seed: `-1` is not a whole number"),
        ("catalog show berd-base-uncased", "did you mean `bert-base-uncased`?"),
        ("catalog colours", "[possible values: gpus, models, systems, regions, types]"),
        ("completions csh", "possible values: bash"),
        ("measure", "required arguments were not provided: <COMMAND>"),
        ("measure train.py", "unexpected argument 'train.py'"),
        ("measure --interval 1h -- true", "--interval: `1h` is not an interval"),
        (
            "measure --interval 1ms -- true",
            "--interval: `1ms` is not an interval between 10ms and 10s",
        ),
        (
            "measure --idle forever -- true",
            "--idle: `forever` is not a duration of at most one day",
        ),
        ("measure --gpus first -- true", "--gpus: `first` is not a GPU"),
        (
            "measure --assume cpu -- true",
            "--assume: `cpu` is not an assumed power; example: cpu=95W",
        ),
        ("measure --assume fan=5W -- true", "--assume: unknown component `fan`"),
        ("measure --assume cpu=5W --assume cpu=6W -- true", "--assume: cpu is assumed twice"),
        ("measure --name a/b -- true", "--name: `a/b` is not a valid name"),
        (
            "measure --window-pattern ( -- true",
            "--window-pattern: `(` is not a valid regular expression",
        ),
        ("measure --window-steps 0 -- true", "--window-steps is 0, but it must be at least 1"),
        ("measure --model gpt22 -- true", "unknown model `gpt22`"),
        ("measure --gpu t44 -- true", "unknown GPU `t44`"),
        ("recover", "required arguments were not provided: <DIR>"),
        ("merge", "required arguments were not provided: <DIR>"),
        ("report", "required arguments were not provided: <RUN>"),
        (&format!("report {RECORD} --pue 0.5"), "pue is 0.5, but it must be from 1 to 10"),
        (&format!("report {RECORD} --intensity -5"), "intensity is -5, but it must be from 0"),
        (&format!("report {RECORD} --scope moon"), "--scope: unknown scope `moon`"),
        (&format!("report {RECORD} --format pdf"), "[possible values: md, json]"),
    ] {
        refused(&run(line), 2, said);
    }
}

#[test]
fn a_power_limit_below_what_the_lowest_clock_draws_cannot_be_met() {
    let job = "predict --model gpt2-medium --gpu a100-sxm4-80gb --seq-len 1024 --micro-batch 8 --tokens 50M";
    for limit in ["50W", "0.001W"] {
        refused(&run(&format!("{job} --power-limit {limit}")), 1, "set a higher limit");
    }
}

/// A folder with `name` in it.
fn folder_with(name: &str, content: impl AsRef<[u8]>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), content).unwrap();
    folder
}

#[test]
fn a_wrong_file_could_not_be_done() {
    const FLAGS: &str = "--gpu t4 --tokens 1M --seq-len 8 --micro-batch 1";
    for (name, content, line, said) in [
        ("job.toml", "[model", "predict job.toml", "job.toml: not valid TOML: line 1"),
        (
            "job.toml",
            "[model]\nnmae = 'x'\n",
            "predict job.toml",
            "line 2, column 1: unknown field `nmae`",
        ),
        (
            "job.toml",
            "[workload]\ntokens = -5\n",
            "predict job.toml",
            "line 2, column 10: the count is `-5`",
        ),
        (
            "job.toml",
            "[model]\nname = 'gtp2'\n",
            "predict job.toml",
            "job.toml: unknown model `gtp2`; did you mean `gpt2`?",
        ),
        ("job.toml", "[model]\nname = 'gpt2'\n", "predict job.toml", "job.toml: gpu is missing"),
        ("job.toml", "[model]\nconfig = 'no.json'\n", "predict job.toml", "no.json: no such file"),
        (
            "c.json",
            "{\"model_type\":",
            "predict --config c.json",
            "c.json: not valid JSON: EOF while parsing",
        ),
        ("c.json", "[1]", "predict --config c.json", "the top level is not an object"),
        (
            "c.json",
            "{\"model_type\":\"qwen33\"}",
            "predict --config c.json",
            "c.json: unknown model_type `qwen33`; did you mean `qwen3`?; or give its shape",
        ),
        (
            "c.json",
            "{\"model_type\":\"bert\"}",
            "predict --config c.json",
            "c.json: num_hidden_layers is missing",
        ),
        (
            "c.json",
            "{\"model_type\":\"bert\",\"num_hidden_layers\":-1}",
            "predict --config c.json",
            "num_hidden_layers is -1",
        ),
        (
            "cal.json",
            "{}",
            "predict --model gpt2 --calibration cal.json",
            "cal.json: schema is missing",
        ),
        (
            "cal.json",
            "{\"schema\":\"x\"}",
            "predict --model gpt2 --calibration cal.json",
            "schema is `x`, but this version",
        ),
        (
            "g.toml",
            "[[accelerator]]\nname='x'\n",
            "catalog --catalog g.toml",
            "g.toml: not valid TOML",
        ),
        (
            "m.toml",
            "[columns]\nspeed = 'x'\n",
            "fit r.csv --map m.toml",
            "m.toml: unknown column `speed`",
        ),
        ("x", "", "predict nowhere.toml", "nowhere.toml: no such file"),
        ("x", "", "predict .", ".: is a directory, expected a file"),
        ("x", "", "fit .", ".: no runs found: there are no records"),
        ("x", "", "fit nowhere.csv", "nowhere.csv: no such file"),
    ] {
        let folder = folder_with(name, content);
        let line = if line.contains("--model") || line.contains("--config") {
            format!("{line} {FLAGS}")
        } else {
            line.to_owned()
        };
        refused(&run_in(folder.path(), &line), 1, said);
    }
    let folder = folder_with("job.toml", [0xff, 0xfe, 0x00]);
    refused(&run_in(folder.path(), "predict job.toml"), 1, "not valid UTF-8 (byte 1)");
    refused(
        &run(
            "predict --calibration bert-2026 --model t5-small --gpu h100 --tokens 1M --seq-len 8 --micro-batch 1",
        ),
        1,
        "calibration bert-2026 cannot predict this job: gpu `h100-sxm5-80gb`",
    );
}

/// The example table with one cell changed.
fn with_cell(column: &str, row: usize, cell: &str) -> String {
    let table = fs::read_to_string(root().join("examples/runs.csv")).unwrap();
    let mut lines: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    let at = lines[0].iter().position(|name| *name == column).unwrap();
    lines[row][at] = cell;
    lines.iter().map(|line| line.join(",") + "\n").collect()
}

#[test]
fn a_wrong_table_is_refused_with_line_and_column_and_nothing_is_written() {
    let table = fs::read_to_string(root().join("examples/runs.csv")).unwrap();
    let lines = |n: usize| table.lines().take(n).map(|l| format!("{l}\n")).collect::<String>();
    let same = |column: &str, value: &str| {
        let mut rows: Vec<Vec<String>> =
            table.lines().map(|l| l.split(',').map(str::to_owned).collect()).collect();
        let at = rows[0].iter().position(|name| name == column).unwrap();
        rows.iter_mut().skip(1).for_each(|row| row[at] = value.to_owned());
        rows.iter().map(|row| row.join(",") + "\n").collect::<String>()
    };
    let cases: Vec<(&str, String, &str)> = vec![
        ("fit", String::new(), "runs.csv: the file is empty"),
        ("fit", lines(1), "runs.csv: the table has a header and no rows"),
        ("fit", lines(2), "too few"),
        ("fit", lines(4), "3 rows are too few"),
        ("validate", lines(4), "1 group with test_size 0.3 leave none to train on"),
        ("validate", lines(2), "1 group"),
        (
            "fit",
            with_cell("energy_j", 3, "-1"),
            "runs.csv:4: column `energy_j` is `-1`, but it must be a positive number",
        ),
        ("fit", with_cell("energy_j", 3, "0"), "runs.csv:4: column `energy_j` is `0`"),
        ("fit", with_cell("energy_j", 3, "NaN"), "runs.csv:4: column `energy_j` is `NaN`"),
        ("fit", with_cell("duration_s", 3, "inf"), "runs.csv:4: column `duration_s` is `inf`"),
        ("fit", with_cell("energy_j", 3, ""), "runs.csv:4: energy_j or energy_kwh is missing"),
        ("validate", with_cell("energy_j", 3, ""), "runs.csv:4: energy_j or energy_kwh is missing"),
        ("fit", with_cell("duration_s", 3, ""), "runs.csv:4: duration_s is missing"),
        ("fit", with_cell("tokens", 3, ""), "runs.csv:4: tokens is missing"),
        (
            "fit",
            with_cell("layers", 3, ""),
            "runs.csv:4: column `layers` is missing; the cell is empty",
        ),
        (
            "fit",
            with_cell("gpus", 3, "2.5"),
            "runs.csv:4: column `gpus` is 2.5, but it must be a whole number",
        ),
        ("fit", with_cell("precision", 3, "fp99"), "runs.csv:4: unknown precision `fp99`"),
        ("fit", with_cell("scope", 3, "moon"), "runs.csv:4: unknown scope `moon`"),
        (
            "fit",
            with_cell("scope", 3, "node_ac"),
            "mixes energies of different scopes (23 of `gpu`, 1 of `node_ac`)",
        ),
        ("fit", with_cell("family", 4, "gpt"), "no single-GPU run of the same configuration"),
        ("fit", table.replace("layers", "depth"), "runs.csv:1: column `layers` is missing"),
        ("fit", table.replacen("run_id", "gpu", 1), "runs.csv:1: column is `gpu` twice"),
        (
            "fit",
            table[..table.len() - 40].to_owned(),
            "runs.csv:25: not valid CSV: the row has 8 cells and the header 16",
        ),
        ("fit", same("energy_j", "100"), "the same in every row, so no law can be fitted"),
        ("validate", same("energy_j", "100"), "the same in every row, so no law can be fitted"),
        ("fit --terms log_C+log_tokens+log_layers+log_hidden_size", table.clone(), "log_"),
        ("fit --terms log_C+family", table.clone(), "`bert` in every row"),
        (
            "fit --setting gpt",
            table.clone(),
            "no run matches the filters --setting, --only, --except, --exclude and --scope",
        ),
        ("fit --only gpu=t4", table.clone(), "no run matches the filters"),
        (
            "fit --exclude runs.csv",
            table.replacen("run_id", "name", 1),
            "runs.csv:1: column `row` or `run_id` is missing",
        ),
        ("efficiency", String::new(), "runs.csv: the file is empty"),
        ("efficiency", with_cell("tokens", 3, "0"), "runs.csv:4: column `tokens` is `0`"),
        (
            "efficiency --except gpus=1",
            table.clone(),
            "runs.csv: none of 16 finished runs on several GPUs has a baseline, which is a finished run on one GPU",
        ),
        ("efficiency --only gpus=1", table.clone(), "of 0 finished runs on several GPUs"),
        (
            "efficiency",
            table.replace("duration_s", "time"),
            "with tokens and time, of the same GPU",
        ),
        (
            "efficiency",
            with_cell("scope", 3, "node_ac"),
            "mixes energies of different scopes (23 of `gpu`, 1 of `node_ac`)",
        ),
        ("validate --hold-out gpu", table.clone(), "leaving one group out needs two groups"),
        ("validate --scheme k-fold --folds 100", table.clone(), "100"),
    ];
    for (command, content, said) in cases {
        let folder = folder_with("runs.csv", content);
        let (verb, flags) = command.split_once(' ').unwrap_or((command, ""));
        // the roofline law leaves out rows whose cost cannot be counted, and says so
        let more = match verb {
            "fit" => "--law scaling --out made.json",
            "validate" => "--law scaling",
            _ => "",
        };
        refused(&run_in(folder.path(), &format!("{verb} runs.csv {flags} {more}")), 1, said);
        only_the_table(folder.path());
    }
    let folder =
        folder_with("runs.csv", table.replacen("baseline", "b\u{0}", 1).replace('\u{0}', "é"));
    let mut bytes = fs::read(folder.path().join("runs.csv")).unwrap();
    let at = bytes.iter().position(|b| *b == 0xc3).unwrap();
    bytes.remove(at);
    fs::write(folder.path().join("runs.csv"), bytes).unwrap();
    refused(
        &run_in(folder.path(), "fit runs.csv"),
        1,
        "runs.csv:2: not valid CSV: the text is not UTF-8",
    );
}

#[track_caller]
fn only_the_table(folder: &Path) {
    let names: Vec<_> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(names, ["runs.csv"]);
}

#[test]
fn files_are_written_atomically() {
    let table = fs::read(root().join("examples/runs.csv")).unwrap();
    let folder = folder_with("runs.csv", &table);
    refused(
        &run_in(folder.path(), "fit runs.csv --out nowhere/mine.json"),
        1,
        "directory nowhere does not exist",
    );
    refused(&run_in(folder.path(), "fit runs.csv --out ."), 1, "is a directory, expected a file");
    only_the_table(folder.path());

    // an existing file stays when a later fit fails
    assert_eq!(run_in(folder.path(), "fit runs.csv --out mine.json").code, 0);
    let before = fs::read(folder.path().join("mine.json")).unwrap();
    fs::write(folder.path().join("cut.csv"), &table[..table.len() - 40]).unwrap();
    assert_eq!(run_in(folder.path(), "fit cut.csv --out mine.json").code, 1);
    assert_eq!(fs::read(folder.path().join("mine.json")).unwrap(), before);
}

/// The built-in law is the parent unless another is named; a scaling law cannot take runs in.
#[test]
fn runs_are_added_to_a_roofline_law_only() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("here.json");
    let out = out.display();
    let earlier = folder.path().join("earlier.json");
    fs::write(&earlier, r#"{"schema": "wattlaw-calibration/1", "law": {"kind": "roofline"}}"#)
        .unwrap();
    for (parent, code, said) in [
        ("bert-2026", 1, "only a roofline law can be adapted to runs"),
        ("no-such", 2, "unknown calibration `no-such`; accepted: `wattlaw-2026`"),
        ("no-such.json", 1, "no-such.json: no such file"),
        (earlier.to_str().unwrap(), 1, "a roofline law of wattlaw 0.1.0"),
    ] {
        refused(
            &run(&format!("calibrate examples/runs.csv --parent {parent} --out {out}")),
            code,
            said,
        );
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Each row of a roofline law's table has the response of its own scope; a scaling law has one.
#[test]
fn mixed_scopes_are_for_the_roofline_law_only() {
    let folder = tempfile::tempdir().unwrap();
    let table = fs::read_to_string(root().join("examples/runs.csv")).unwrap();
    let header = table.lines().next().unwrap();
    let at = header.split(',').position(|name| name == "scope").unwrap();
    let mixed: Vec<String> = table
        .lines()
        .enumerate()
        .map(|(line, text)| {
            let mut cells: Vec<&str> = text.split(',').collect();
            if line > 0 && line % 2 == 0 {
                cells[at] = "node_ac";
            }
            cells.join(",")
        })
        .collect();
    fs::write(folder.path().join("runs.csv"), mixed.join("\n") + "\n").unwrap();
    let lines = [
        "fit runs.csv --out fitted.json",
        "calibrate runs.csv --parent fitted.json --out added.json",
    ];
    for line in lines {
        let ran = run_in(folder.path(), line);
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
    }
    let said = "mixes energies of different scopes (12 of `gpu`, 12 of `node_ac`)";
    refused(&run_in(folder.path(), "fit runs.csv --law scaling --out scaling.json"), 1, said);

    // and one run is a table
    let one: Vec<&str> = table.lines().take(2).collect();
    fs::write(folder.path().join("one.csv"), one.join("\n") + "\n").unwrap();
    let ran = run_in(folder.path(), "calibrate one.csv --parent fitted.json --out one.json");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("added 1 runs on rtx-4090 to fitted"), "{}", ran.stdout);
    let job = root().join("examples/job.toml");
    let ran = run_in(folder.path(), &format!("predict {} --calibration one.json", job.display()));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn a_scope_that_cannot_be_had_is_refused_in_a_sentence() {
    for (more, code, said) in [
        (
            "--scope facility",
            1,
            "pue is missing; energy of the facility is energy of the nodes times a PUE, 1 or more",
        ),
        (
            "--scope unstated",
            1,
            "an answer needs a stated one: gpu, devices, codecarbon, node_dc, node_ac or facility",
        ),
        (
            "--calibration any-gpu-2026 --scope node_ac",
            1,
            "this calibration's law predicts `codecarbon` only; the built-in law predicts every scope",
        ),
        ("--scope moon", 2, "--scope: unknown scope `moon`"),
        ("--framework torchtune", 2, "--framework: unknown framework `torchtune`"),
    ] {
        refused(&run(&format!("predict examples/job.toml {more}")), code, said);
    }
    let ran = run("predict examples/job.toml --framework torchtune");
    for framework in ["accelerate", "fsdp2", "megatron", "nanotron", "unknown"] {
        assert!(ran.stderr.contains(&format!("`{framework}`")), "{}", ran.stderr);
    }
}

#[test]
fn a_suggestion_without_a_space_or_from_an_impossible_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let job = fs::read_to_string(root().join("examples/space.toml")).unwrap();
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    file("good.toml", &job);
    file("empty.toml", &job.replace("[64, 128]", "[]"));
    file("typo.toml", &job.replace("seq_len", "seq_length"));
    file("cut.toml", &job[..job.len() - 12]);
    file(
        "none.toml",
        &job.replace("hidden_size = [256, 512, 768, 1024]", "hidden_size = 256\nheads = [3, 7]"),
    );
    file("two.toml", &job.replace("\"rtx-4090\"", "[\"rtx-4090\", \"t4\"]"));
    file("damaged.json", "{\"schema\": \"wattlaw-calibration/1\", ");
    file("later.json", "{\"schema\": \"wattlaw-calibration/3\"}");
    const PARENT: &str = "--parent wattlaw-2026 --out plan.csv";
    for (line, code, said) in [
        ("--suggest 5", 2, "--space"),
        ("--space good.toml", 2, "--suggest"),
        ("--suggest 0 --space good.toml", 2, "--suggest is 0, but it must be at least 1"),
        ("--suggest 5 --space good.toml --criterion a", 2, "unknown criterion `a`"),
        ("--suggest 5 --space no.toml", 1, "no.toml: no such file"),
        (
            &format!("--suggest 5 --space empty.toml {PARENT}"),
            1,
            "empty.toml: workload.seq_len is an empty list",
        ),
        (&format!("--suggest 5 --space typo.toml {PARENT}"), 1, "unknown field `seq_length`"),
        (&format!("--suggest 5 --space cut.toml {PARENT}"), 1, "cut.toml: not valid TOML: line"),
        (&format!("--suggest 5 --space none.toml {PARENT}"), 1, "can run: "),
        (
            &format!("--suggest 5 --space two.toml {PARENT}"),
            1,
            "one GPU model at a time, but the space and jobs have rtx-4090, t4",
        ),
        ("--suggest 5 --space good.toml --parent bert-2026", 1, "holds a scaling law"),
        (
            "--suggest 5 --space good.toml --parent damaged.json",
            1,
            "damaged.json: not valid calibration",
        ),
        (
            "--suggest 5 --space good.toml --parent later.json",
            1,
            "this version of wattlaw reads `wattlaw-calibration/2`",
        ),
        ("--suggest 5 --space good.toml --jobs no-job.toml", 1, "no-job.toml: no such file"),
    ] {
        refused(&run_in(folder.path(), &format!("calibrate {line}")), code, said);
    }
    assert!(!folder.path().join("plan.csv").exists());
    let given = "validate examples/runs.csv --law scaling --hold-out gpus --given 5";
    refused(&run(given), 2, "--given applies to the roofline law only");
}

#[test]
fn a_sweep_that_cannot_be_designed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let space = fs::read_to_string(root().join("examples/space.toml")).unwrap();
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    file("good.toml", &space);
    file("empty.toml", &space.replace("[64, 128]", "[]"));
    file("typo.toml", &space.replace("seq_len", "seq_length"));
    file("none.toml", &space.replace("\"rtx-4090\"", "\"rtx-4090\"\nnodes = 3"));
    let thousand = "{ from = 1, to = 1000, step = 1 }";
    let vast = space.replace("steps = 200", &format!("steps = {thousand}"));
    file(
        "vast.toml",
        &vast.replace("[64, 128]", thousand).replace("{ from = 8, to = 32, times = 2 }", thousand),
    );
    file("tied.toml", &format!("together = [[\"gpus\", \"strategy\", \"layers\"]]\n{space}"));
    file("loose.toml", &format!("together = [[\"gpus\", \"vocab_size\"]]\n{space}"));
    let large = "[model]\nfamily = 'gpt2'\nlayers = 400\nhidden_size = 8192\n[workload]\nsteps = 1\nseq_len = 64\n\
                 micro_batch = 1\n[system]\ngpu = 't4'\n";
    file("large.toml", large);
    for (line, code, said) in [
        ("", 2, "the following required arguments were not provided: <SPACE>"),
        ("good.toml --preset study-bert", 2, "cannot be used with"),
        (
            "--preset study-bart",
            2,
            "unknown preset `study-bart`; accepted: `study-bert`, `study-gpt`",
        ),
        ("no.toml", 1, "no.toml: no such file"),
        ("empty.toml", 1, "empty.toml: workload.seq_len is an empty list"),
        ("typo.toml", 1, "typo.toml: not valid space of jobs: unknown field `seq_length`"),
        (
            "none.toml",
            1,
            "none.toml: none of the 1296 examined points of the space can run: 1296 are not valid jobs",
        ),
        ("large.toml", 1, "can run: none fits in memory"),
        ("vast.toml", 1, "a plan has at most 100000 jobs; use --design random"),
        ("tied.toml", 1, "tied.toml: together is 3 of gpus and 3 of strategy and 6 of layers"),
        ("loose.toml", 1, "loose.toml: unknown list in `together` `vocab_size`"),
        ("good.toml --gpu rtx-409", 2, "did you mean `rtx-4090`?"),
        ("good.toml --design best", 2, "unknown design `best`; accepted: `grid`, `one-factor`"),
        (
            "good.toml --runs 5",
            2,
            "--runs applies to the designs latin-hypercube, random and optimal only, but the design is grid",
        ),
        ("good.toml --design random", 2, "design random needs --runs"),
        ("good.toml --design random --runs 0", 2, "--runs is 0, but it must be at least 1"),
        ("good.toml --design latin-hypercube --runs 1297", 1, "the space has only 1296 points"),
        (
            "good.toml --design random --runs 5 --budget 3kWh",
            2,
            "--budget applies to --design optimal only",
        ),
        ("good.toml --law scaling", 2, "--law applies to --design optimal only"),
        ("good.toml --jobs good.toml", 2, "--jobs applies to --design optimal only"),
        ("good.toml --design optimal", 2, "an optimal design needs --runs or --budget"),
        (
            "good.toml --design optimal --budget 3apples",
            2,
            "--budget: the budget is `3apples`, but it must be GPU-hours",
        ),
        (
            "good.toml --design optimal --budget 0.001Wh",
            1,
            "no job fits the budget of 0.000001 kWh: the cheapest job needs",
        ),
        (
            "good.toml --design optimal --runs 5 --calibration bert-2026",
            1,
            "only a roofline law can choose runs",
        ),
        ("good.toml --design optimal --runs 5 --jobs no-job.toml", 1, "no-job.toml: no such file"),
        (
            "good.toml --calibration bart-2026",
            2,
            "unknown calibration `bart-2026`; accepted: `wattlaw-2026`",
        ),
        ("good.toml --blocks 0", 2, "blocks is 0, but it must be a multiple"),
        (
            "good.toml --repeats 2 --blocks 3",
            2,
            "blocks is 3, but it must be a multiple of the 2 repeats",
        ),
        ("good.toml --repeats 1000", 2, "the plan is 720000 jobs, but a plan has at most 100000"),
        ("good.toml --reference good.toml", 2, "--reference-every"),
        ("good.toml --reference-every 0", 2, "reference-every is 0"),
        (
            "good.toml --reference-every 9 --reference large.toml",
            1,
            "large.toml: the reference job needs",
        ),
        ("good.toml --reference-every 9 --reference good.toml", 1, "good.toml: not valid TOML"),
    ] {
        refused(&run_in(folder.path(), &format!("sweep design {line} -o plan.csv")), code, said);
    }
    assert!(!folder.path().join("plan.csv").exists());
    refused(
        &run_in(folder.path(), "sweep design good.toml -o no/plan.csv"),
        1,
        "directory no does not exist",
    );
}

#[test]
fn flags_of_the_scaling_law_are_refused_by_the_roofline_law() {
    for (line, said) in [
        (
            "fit examples/runs.csv --law roofline --terms log_C",
            "--terms applies to the scaling law only",
        ),
        (
            "fit examples/runs.csv --law roofline --covariance hc3",
            "--covariance applies to the scaling law only",
        ),
        (
            "validate examples/runs.csv --law roofline --terms log_C",
            "--terms applies to the scaling law only",
        ),
        (
            "validate examples/runs.csv --law roofline --ablation log_C",
            "--ablation applies to the scaling law only",
        ),
    ] {
        refused(&run(line), 2, said);
    }
}

#[test]
fn invalid_records_are_refused() {
    let record = fs::read_to_string(root().join(RECORD)).unwrap();
    let opened = fs::read_to_string(root().join("fuzz/corpus/record_json/opened.json")).unwrap();
    let cases = [
        (String::new(), "run.json: not valid JSON"),
        ("\0\u{1}binary".to_owned(), "run.json: not valid JSON"),
        ("{}".to_owned(), "run.json: schema is missing; a record has wattlaw-record/1"),
        (record[..record.len() / 2].to_owned(), "run.json: not valid JSON"),
        (record.replace("record/1", "record/2"), "schema is wattlaw-record/2"),
        (record.replacen("\"energy_j\": ", "\"energy_j\": -", 1), "energy_j is -"),
        (record.replacen("\"id\"", "\"di\"", 1), "unknown field `di`"),
        (opened, "is not closed: it is being written, or `wattlaw recover` closes it"),
    ];
    for (content, said) in cases {
        let folder = folder_with("run.json", content);
        refused(&run_in(folder.path(), "report run.json"), 1, said);
        refused(&run_in(folder.path(), "merge . --out merged"), 1, said);
        assert!(!folder.path().join("merged").exists());
    }
    let folder = folder_with("run.json", record.replace("\"gpt2\"", "\"gpt22\""));
    refused(
        &run_in(folder.path(), "report run.json --table runs.csv"),
        1,
        "cannot be written to a run table",
    );
    refused(
        &run_in(folder.path(), "report run.json --scope node_ac"),
        1,
        "no energy of scope node_ac",
    );
    refused(&run_in(folder.path(), "report no-such-folder"), 1, "no such file");
    refused(&run_in(folder.path(), "recover no-such-folder"), 1, "no such file");
    refused(&run_in(folder.path(), "measure --job no-such.toml -- true"), 1, "no such file");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
#[cfg(unix)]
fn what_is_no_regular_file_is_written_in_place() {
    use crate::running::WATTLAW;
    use crate::running::limited::Limited;
    use std::os::unix::fs::FileTypeExt;

    let folder = tempfile::tempdir().unwrap();
    let runs = crate::running::root().join("examples/runs.csv");
    let fifo = folder.path().join("fifo");
    let script = format!(
        "mkfifo fifo; cat fifo > read & {WATTLAW} fit {0} --law scaling -o fifo > /dev/null 2>&1; wait; \
         {WATTLAW} fit {0} --law scaling -o /dev/stdout 2> /dev/null | cat > stdout; \
         {WATTLAW} fit {0} --law scaling -o /dev/stdout > file 2> /dev/null; \
         {WATTLAW} fit {0} --law scaling -o /dev/fd/3 3> third > /dev/null 2>&1",
        runs.display()
    )
    .replace(" -o ", " --out ");
    let ran = std::process::Command::new("sh").args(["-c", &script]).current_dir(&folder).finish();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(std::fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo());
    for name in ["read", "stdout", "file", "third"] {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(text.contains("\"schema\""), "{name}: {text}");
        assert_eq!(
            text.contains("R²"),
            ["stdout", "file"].contains(&name),
            "the table stands beside it: {text}"
        );
    }
}

#[test]
#[cfg(unix)]
fn monstrous_files_are_refused_at_once_and_in_little_memory() {
    use crate::running::WATTLAW;
    use crate::running::limited::Limited;
    use std::time::{Duration, Instant};

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let columns: Vec<String> = (0..1_000_000).map(|i| format!("c{i}")).collect();
    fs::write(at("wide.csv"), columns.join(",") + "\n").unwrap();
    fs::write(at("wide-log.csv"), format!("timestamp,emissions,duration,{}\n", columns.join(",")))
        .unwrap();
    fs::write(at("quote.csv"), format!("gpu,gpus\nt4,\"{}", "x\n".repeat(10_000_000))).unwrap();
    fs::write(at("deep.json"), "{\"a\":".repeat(500_000)).unwrap();
    fs::write(at("deep.toml"), format!("a = {}", "[".repeat(3_000_000))).unwrap();
    fs::create_dir(at("record")).unwrap();
    for name in ["line.csv", "line.log", "record/run.json"] {
        // a line of a gigabyte, most of it a hole of zeros
        fs::write(at(name), "{a").unwrap();
        fs::OpenOptions::new().write(true).open(at(name)).unwrap().set_len(1 << 30).unwrap();
    }
    for (line, said) in [
        ("fit wide.csv", "wide.csv:1: the row is longer than 1 MiB"),
        ("audit wide.csv", "wide.csv:1: the row is longer than 1 MiB"),
        ("audit quote.csv", "quote.csv:2: the row is longer than 1 MiB"),
        ("fit line.csv", "line.csv: larger than 64 MiB"),
        ("sweep run line.csv -- true", "line.csv: larger than 64 MiB"),
        ("import wide-log.csv", "a row is longer than 4 MiB"),
        ("import zeus line.log", "line.log: "),
        ("import mlperf line.log", "line.log:1: the line is longer than 1 MiB"),
        ("report record", "record/run.json: a line is longer than 32 MiB"),
        ("predict --config deep.json --gpu t4", "deep.json: not valid JSON: recursion limit"),
        ("job deep.toml", "deep.toml: not valid TOML: line 1 is longer than 1 MiB"),
    ] {
        let begin = Instant::now();
        // virtual memory in KiB; the program itself maps some of it
        let script = format!("ulimit -v 393216; exec {WATTLAW} {line}");
        let ran =
            std::process::Command::new("sh").args(["-c", &script]).current_dir(&folder).finish();
        refused(&ran.into(), 1, said);
        assert!(begin.elapsed() < Duration::from_secs(10), "{line}: {:?}", begin.elapsed());
    }
}
