//! Every command that README.md and docs/*.md show is executed, and what they show as its output is what it prints.
//!
//! In a ```` ```console ```` or ```` ```sh ```` block a line that begins with `$ ` is a command (a trailing `\` continues it), and what
//! follows is what it prints: standard error, then standard output. Numbers may differ by one in their last digit. A line
//! `...` stands for any lines; a command without lines below only has to succeed, or to end with the code that a comment
//! `# exit 1` names. Commands run in a copy of the repository's examples, so that what they write stays there.
//!
//! `WATTLAW_WRITE_DOCS=1 cargo test -p wattlaw-cli --test docs` writes the outputs into the files anew; a `...` alone
//! below a command is left as it is.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod running;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use running::{Ran, WATTLAW, root};

/// A command as a document shows it.
#[derive(Debug)]
struct Shown {
    /// Lines of the document, from 0: the first of the command, the first of its output, and the one after.
    lines: (usize, usize, usize),
    command: String,
    output: Vec<String>,
}

/// The commands of a document's console blocks.
fn shown(text: &str) -> Vec<Shown> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found: Vec<Shown> = Vec::new();
    let (mut inside, mut i) = (false, 0);
    let mut open = false;
    while i < lines.len() {
        let line = lines[i];
        if line.trim_start().starts_with("```") {
            inside = !inside && ["```console", "```sh"].contains(&line.trim());
            open = false;
        } else if inside && let Some(first) = line.strip_prefix("$ ") {
            let start = i;
            let mut command = first.to_owned();
            while command.ends_with('\\') {
                i += 1;
                command.pop();
                command += lines[i].trim_start();
            }
            found.push(Shown { lines: (start, i + 1, i + 1), command, output: Vec::new() });
            open = true;
        } else if inside && open {
            let last = found.last_mut().unwrap();
            last.output.push(line.to_owned());
            last.lines.2 = i + 1;
        }
        i += 1;
    }
    found
}

/// The command with the program in place of `cargo run`, or nothing where it is not ours to run.
fn ours(command: &str) -> Option<String> {
    let command = command
        .strip_prefix("cargo run --release -p wattlaw-cli -- ")
        .map_or_else(|| command.to_owned(), |words| format!("wattlaw {words}"));
    command.starts_with("wattlaw ").then_some(command)
}

/// A folder that looks like the repository to a command: its examples, and the measured tables beside it.
fn stage() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("wattlaw");
    copy(&root().join("examples"), &repository.join("examples"));
    let shared = root().join("../shared");
    if shared.is_dir() {
        std::os::unix::fs::symlink(shared.canonicalize().unwrap(), folder.path().join("shared"))
            .unwrap();
    }
    (folder, repository)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn execute(command: &str, directory: &Path) -> Ran {
    let path = format!(
        "{}:{}",
        Path::new(WATTLAW).parent().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    Command::new("sh")
        .args(["-c", command])
        .env("PATH", path)
        // locks on the machine's meters, which others may hold
        .env("TMPDIR", directory)
        .current_dir(directory)
        .output()
        .unwrap()
        .into()
}

/// A text as numbers and the words between them.
fn pieces(line: &str) -> Vec<&str> {
    let bytes = line.as_bytes();
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let (mut found, mut start, mut i) = (Vec::new(), 0, 0);
    while i < bytes.len() {
        if !digit(i) {
            i += 1;
            continue;
        }
        let first = i;
        while digit(i) || (bytes[i..].first() == Some(&b'.') && digit(i + 1)) {
            i += 1;
        }
        if bytes.get(i) == Some(&b'e')
            && (digit(i + 1) || (bytes.get(i + 1) == Some(&b'-') && digit(i + 2)))
        {
            i += 2;
            while digit(i) {
                i += 1;
            }
        }
        found.extend([line[start..first].trim(), &line[first..i]]);
        start = i;
    }
    found.push(line[start..].trim());
    found
}

/// One in the last digit that is shown.
fn last_digit(shown: &str) -> f64 {
    let (mantissa, exponent) = shown.split_once('e').unwrap_or((shown, "0"));
    let decimals = mantissa.split_once('.').map_or(0, |(_, d)| d.len()) as i32;
    10f64.powi(exponent.parse::<i32>().unwrap_or(0) - decimals)
}

fn same_line(shown: &str, printed: &str) -> bool {
    let (a, b) = (pieces(shown), pieces(printed));
    a.len() == b.len()
        && a.iter().zip(&b).all(|(shown, printed)| {
            // columns may be wider or narrower by a digit
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            words(shown) == words(printed)
                || match (shown.parse::<f64>(), printed.parse::<f64>()) {
                    (Ok(x), Ok(y)) => {
                        (x - y).abs() <= (1.01 * last_digit(shown)).max(1e-9 * x.abs())
                    }
                    _ => false,
                }
        })
}

/// The first shown line that was not printed where it should have been.
fn difference(shown: &[String], printed: &[&str]) -> Option<String> {
    let (mut at, mut skip) = (0, false);
    for line in shown {
        if line.trim() == "..." {
            skip = true;
            continue;
        }
        let place = (at..printed.len()).find(|&i| same_line(line, printed[i]));
        match place {
            Some(i) if skip || i == at => at = i + 1,
            _ => {
                let there = printed.get(at).unwrap_or(&"nothing");
                return Some(format!("shown:   {line}\nprinted: {there}"));
            }
        }
        skip = false;
    }
    (!skip && at < printed.len()).then(|| format!("not shown: {}", printed[at]))
}

fn documents() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md")];
    let pages = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    found.extend(pages.filter(|path| path.extension().is_some_and(|e| e == "md")));
    found.sort();
    found
}

#[test]
fn every_command_shown_does_what_is_shown() {
    let write = std::env::var_os("WATTLAW_WRITE_DOCS").is_some();
    let (mut executed, mut skipped, mut wrong) = (0, 0, Vec::new());
    for document in documents() {
        let name = document.strip_prefix(root()).unwrap().display().to_string();
        let text = fs::read_to_string(&document).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let (folder, repository) = stage();
        let mut rewritten = Vec::new();
        for shown in shown(&text) {
            let place = format!("{name}:{}", shown.lines.0 + 1);
            let Some(command) = ours(&shown.command) else {
                println!("not executed: {place}: {}", shown.command);
                continue;
            };
            if command.contains("../shared") && !folder.path().join("shared").exists() {
                println!("skipped: {place}: the measured tables are not beside the repository");
                skipped += 1;
                continue;
            }
            let ran = execute(&command, &repository);
            executed += 1;
            let expected =
                command.split_once("# exit ").map_or(0, |(_, code)| code.trim().parse().unwrap());
            if ran.code != expected {
                wrong.push(format!("{place}: exit code {}\n{}", ran.code, ran.stderr));
                continue;
            }
            let printed = ran.stderr + &ran.stdout;
            let printed: Vec<&str> = printed.lines().collect();
            let elided = shown.output.iter().any(|line| line.trim() == "...");
            if write && !shown.output.is_empty() && !elided {
                rewritten
                    .push((shown, printed.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>()));
            } else if !shown.output.is_empty()
                && let Some(what) = difference(&shown.output, &printed)
            {
                wrong.push(format!("{place}: $ {command}\n{what}"));
            }
        }
        for (shown, printed) in rewritten.into_iter().rev() {
            lines.splice(shown.lines.1..shown.lines.2, printed);
        }
        if write {
            fs::write(&document, lines.join("\n") + "\n").unwrap();
        }
    }
    println!("{executed} commands of README.md and docs/*.md were executed");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
    assert!(executed >= 10, "only {executed} commands were executed");
    assert!(executed + skipped >= 40, "only {} commands were found", executed + skipped);
}

/// The names of all fields of a JSON value, but not of those that are named by data.
fn fields(value: &serde_json::Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (name, value) in map {
                found.insert(name.clone());
                match (name.as_str(), value) {
                    ("parts_gib" | "vif", _) => {}
                    ("machines", serde_json::Value::Object(by_gpu)) => {
                        by_gpu.values().for_each(|machine| fields(machine, found));
                    }
                    _ => fields(value, found),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| fields(item, found)),
        _ => {}
    }
}

#[test]
fn every_field_is_documented() {
    let page = fs::read_to_string(root().join("docs/records.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let calibration = folder.path().join("mine.json");
    let of_roofline = folder.path().join("roofline.json");
    let mut found = std::collections::BTreeSet::new();
    for command in [
        "predict examples/3d-job.toml",
        "predict examples/config-job.toml",
        "predict examples/job.toml --calibration any-gpu-2026",
        "cost examples/3d-job.toml",
        &format!("fit examples/runs.csv --out {}", calibration.display()),
        &format!("fit examples/runs.csv --law roofline --out {}", of_roofline.display()),
        "audit examples/runs.csv",
        "efficiency examples/runs.csv --resamples 100",
        "validate examples/runs.csv --ablation log_C",
        "validate examples/runs.csv --hold-out row",
        "validate examples/runs.csv --law roofline --no-discrepancy --splits 1",
        "import examples/logs/emissions.csv",
        "import examples/logs/alumet.csv",
        "catalog",
        "report fuzz/corpus/record_json/finished.json --intensity 400 --pue 1.2",
        "doctor",
    ] {
        fields(&running::json(&format!("{command} --format json")), &mut found);
    }
    let record = root().join("fuzz/corpus/record_json/finished.json");
    for file in [calibration, of_roofline, record] {
        fields(&serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap(), &mut found);
    }
    let header = fs::read_to_string(root().join("examples/runs.csv")).unwrap();
    let measured = folder.path().join("measured.csv");
    running::run(&format!("import examples/logs/gpu.csv -o {}", measured.display()));
    let columns = fs::read_to_string(measured).unwrap();
    found.extend(columns.lines().next().unwrap().split(',').map(str::to_owned));
    found.extend(header.lines().next().unwrap().split(',').map(str::to_owned));
    assert!(found.len() > 120, "only {} fields", found.len());
    let absent: Vec<_> = found.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(absent.is_empty(), "docs/records.md says nothing of {absent:?}");
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for document in documents().into_iter().chain([root().join("ARCHITECTURE.md")]) {
        let text = fs::read_to_string(&document).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            let local = !target.starts_with("http") && !file.is_empty();
            if local && !document.parent().unwrap().join(file).exists() {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_document_is_read_as_it_is_meant() {
    let text =
        "```console\n$ wattlaw a \\\n    b\nout 1.50 W\n$ ls\n```\n```text\n$ wattlaw c\n```\n";
    let found = shown(text);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].command.as_str(), found[0].lines), ("wattlaw a b", (1, 3, 4)));
    assert_eq!(found[0].output, ["out 1.50 W"]);
    assert_eq!(
        ours("cargo run --release -p wattlaw-cli -- predict x").unwrap(),
        "wattlaw predict x"
    );
    assert!(ours(&found[1].command).is_none());
}

#[test]
fn numbers_may_differ_in_their_last_digit_only() {
    assert!(same_line("energy  1.50 Wh", "energy   1.51 Wh"));
    assert!(!same_line("energy  1.50 Wh", "energy   1.52 Wh"));
    assert!(!same_line("energy  1.50 Wh", "energy   1.50 kWh"));
    assert!(
        same_line("p 1.6e-179 (x)", "p 1.7e-179 (x)") && !same_line("p 1.6e-179", "p 1.6e-178")
    );
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(difference(&lines("a\n...\nd"), &["a", "b", "c", "d"]), None);
    assert_eq!(difference(&lines("a\n..."), &["a", "b"]), None);
    assert!(difference(&lines("a"), &["a", "b"]).is_some());
    assert!(difference(&lines("a\nb"), &["a"]).is_some());
}
