//! Tables as CSV, Parquet and Arrow IPC: what the command line takes and writes is the same in each.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::running::limited::Limited;
use crate::running::{Ran, WATTLAW, root, run, run_in};

/// Tables that pyarrow, pandas and Polars wrote.
const GOLDEN: &str = "crates/wattlaw-table/tests/golden";

#[track_caller]
fn done(ran: &Ran) {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

/// A table as CSV, whatever its format: its rows are predicted and printed.
fn printed(folder: &Path, table: &str) -> String {
    let ran = run_in(folder, &format!("predict --jobs {table} --keep run --micro-batch 4"));
    done(&ran);
    ran.stdout
}

#[test]
fn jobs_have_the_same_answers_in_every_format() {
    let expected = printed(&root().join(GOLDEN), "jobs.csv");
    assert_eq!(expected.lines().count(), 1 + 8 + 1, "{expected}");
    for table in ["jobs.parquet", "jobs.arrow", "jobs-polars.arrow", "jobs.feather", "jobs.arrows"]
    {
        assert_eq!(printed(&root().join(GOLDEN), table), expected, "{table}");
    }
    // a row has the answer of the command for its job alone
    let alone = crate::running::json(
        "predict --model gpt2 --gpu a100 --gpus 1 --seq-len 1024 --tokens 1B --padding-share 0.1 \
         --tied-embeddings --micro-batch 4 --format json",
    );
    let energy = alone["energy_j"]["estimate"].as_f64().unwrap().to_string();
    let row = expected.lines().nth(1).unwrap();
    assert!(row.split(',').any(|cell| cell == energy), "{energy} in {row}");
}

#[test]
fn answers_are_written_in_the_format_of_the_suffix() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = root().join("examples/machines.csv").display().to_string();
    let ask = format!("predict --jobs {jobs} --keep name --model gpt2 --tokens 1B --seq-len 1024");
    let csv = run_in(folder.path(), &ask);
    done(&csv);
    for name in ["out.csv", "out.parquet", "out.arrow", "out.feather", "out.arrows"] {
        let ran = run_in(folder.path(), &format!("{ask} -o {name}"));
        done(&ran);
        assert!(
            ran.stdout.is_empty() && ran.stderr.ends_with(&format!("wrote 3 rows to {name}\n"))
        );
        let again = format!("predict --jobs {name} --prefix again_ --model gpt2 --keep");
        // the answers are columns of their own now, and are carried along
        let header = csv.stdout.lines().next().unwrap();
        let kept: Vec<&str> =
            header.split(',').filter(|name| !["gpu", "gpus"].contains(name)).collect();
        let more = "--tokens 1B --seq-len 1024";
        let read = run_in(folder.path(), &format!("{again} {} {more}", kept.join(",")));
        done(&read);
        for (first, second) in csv.stdout.lines().zip(read.stdout.lines()) {
            assert!(second.starts_with(first), "{name}: {second}");
        }
    }
    // a name without a suffix, such as a device's, is CSV
    let device = run_in(folder.path(), &format!("{ask} -o /dev/stdout"));
    done(&device);
    assert_eq!(device.stdout, csv.stdout);
    let names: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 5, "{names:?}");
}

#[test]
fn programs_are_joined_by_a_pipe() {
    let piped = |line: &str| -> Ran {
        let mut shell = Command::new("bash");
        shell.args(["-c", line]).current_dir(root().join(GOLDEN)).finish().into()
    };
    let kept = "run,energy_j,energy_lower_j,energy_upper_j,duration_s,duration_lower_s,duration_upper_s,mean_power_w,\
                mean_power_lower_w,mean_power_upper_w,carbon_g,cost,peak_gib_per_gpu,fits,kind,error";
    let ask = format!("{WATTLAW} predict --micro-batch 4 --jobs");
    let second =
        piped(&format!("{ask} jobs.arrows --keep run -o - | {ask} - --prefix b_ --keep {kept}"));
    done(&second);
    let one = printed(&root().join(GOLDEN), "jobs.csv");
    for (alone, joined) in one.lines().zip(second.stdout.lines()) {
        assert!(joined.starts_with(alone), "{joined}");
    }
    // a file whose end must be read first is no stream
    let parquet = piped(&format!("{ask} - < jobs.parquet"));
    assert_eq!(parquet.code, 1);
    assert!(
        parquet.stderr.starts_with("error: standard input: Parquet cannot be read from a pipe")
    );
}

#[test]
fn run_tables_are_the_same_in_every_format() {
    let of = |command: &str, table: &str| {
        let ran = run(&format!("{command} {table} --format json"));
        done(&ran);
        let mut answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        // the file's own
        answer["data_sha256"].take();
        answer
    };
    for command in ["audit", "validate --splits 2"] {
        let expected = of(command, "examples/runs.csv");
        for name in ["runs.parquet", "runs.arrow"] {
            assert_eq!(of(command, &format!("{GOLDEN}/{name}")), expected, "{command} {name}");
        }
    }
}

#[test]
fn tables_that_are_written_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let runs = root().join("examples/runs.csv").display().to_string();
    // findings, by which rows are excluded
    let mut left = Vec::new();
    for name in ["rows.csv", "rows.parquet", "rows.arrow"] {
        done(&run_in(folder.path(), &format!("audit {runs} --out {name}")));
        let ran = run_in(folder.path(), &format!("audit {runs} --exclude {name} --format json"));
        left.push((ran.code, ran.stdout, ran.stderr));
    }
    assert_eq!(left[0], left[1]);
    assert_eq!(left[0], left[2]);
    // a plan of a sweep
    let space = root().join("examples/space.toml").display().to_string();
    let mut plans = Vec::new();
    for name in ["plan.csv", "plan.parquet"] {
        done(&run_in(folder.path(), &format!("sweep design {space} --out {name}")));
        let submit = "--scheduler slurm --out records --dry-run -- train {job}";
        let ran = run_in(folder.path(), &format!("sweep submit {name} {submit}"));
        done(&ran);
        plans.push(ran.stdout);
    }
    assert_eq!(plans[0], plans[1]);
    assert!(fs::read(folder.path().join("plan.parquet")).unwrap().starts_with(b"PAR1"));
}

#[test]
fn what_is_no_table_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(root().join(GOLDEN).join("jobs.parquet")).unwrap();
    fs::write(folder.path().join("cut.parquet"), &whole[..1000]).unwrap();
    fs::write(folder.path().join("empty.csv"), "").unwrap();
    for name in ["noise.parquet", "noise.arrow"] {
        fs::write(folder.path().join(name), b"\x8f\x02\xd1\x00\x7a\xe4\x19\xb3".repeat(9)).unwrap();
    }
    fs::write(folder.path().join("open.csv"), format!("gpu\n\"{}", "x".repeat(3 << 20))).unwrap();
    fs::copy(root().join("examples/runs.csv"), folder.path().join("runs.csv")).unwrap();
    for name in ["refused-zstd.parquet", "refused-list.parquet", "jobs.csv"] {
        fs::copy(root().join(GOLDEN).join(name), folder.path().join(name)).unwrap();
    }
    for (line, code, said) in [
        ("predict --jobs cut.parquet", 1, "cut.parquet: not valid Parquet: "),
        ("audit cut.parquet", 1, "cut.parquet: not valid Parquet: "),
        ("audit noise.parquet", 1, "noise.parquet: not valid Parquet: the file does not begin"),
        ("predict --jobs noise.arrow", 1, "noise.arrow: not valid Arrow IPC: the file does not"),
        ("fit refused-list.parquet", 1, "column `odd` is of type List("),
        ("predict --jobs refused-zstd.parquet", 1, "column `gpu` is compressed by zstd, but"),
        ("predict --jobs empty.csv", 1, "empty.csv: the file is empty"),
        ("predict --jobs open.csv -o out.csv", 1, "a row is longer than 1 MiB"),
        ("predict --jobs absent.parquet", 1, "absent.parquet: no such file or directory"),
        ("predict --jobs .", 1, ".: is a directory, expected a file"),
        ("predict --jobs jobs.csv", 1, "jobs.csv: unknown column `run`; did you mean"),
        ("predict --jobs jobs.csv --keep run --gpus 1", 1, "column `gpus` is also given for all"),
        ("predict --jobs jobs.csv --keep run -o no/out.csv", 1, "directory no does not exist"),
        ("predict --jobs jobs.csv --keep run -o out.xyz", 1, "out.xyz: the suffix is `.xyz`, but"),
        ("audit runs.csv --out out.xyz", 1, "out.xyz: the suffix is `.xyz`, but"),
        ("predict --jobs jobs.csv --threads 0", 2, "--threads is 0"),
        ("predict --jobs jobs.csv job.toml", 2, "cannot be used with"),
        ("predict --jobs jobs.csv --format json", 2, "cannot be used with"),
        ("predict --out out.csv --model gpt2", 2, "--jobs <TABLE>"),
    ] {
        let ran = run_in(folder.path(), line);
        assert_eq!(ran.code, code, "{line}: {}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{line}: {}", ran.stdout);
        assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains(said), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    }
    for name in ["out.csv", "out.xyz"] {
        assert!(!folder.path().join(name).exists(), "{name}");
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..20_000).map(|_| "h100,8\n").collect();
    fs::write(folder.path().join("jobs.csv"), format!("gpu,gpus\n{rows}")).unwrap();
    let shared = "--model gpt2 --tokens 1M --seq-len 128 --micro-batch 1";
    let line = format!("{WATTLAW} predict --jobs jobs.csv {shared} | head -1");
    let ran: Ran =
        Command::new("bash").args(["-c", &line]).current_dir(folder.path()).finish().into();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}
