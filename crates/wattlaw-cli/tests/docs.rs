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
use std::path::PathBuf;

use running::page::{check, difference, ours, same_line, shown, stage};
use running::root;

fn documents() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md")];
    let pages = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    found.extend(pages.filter(|path| path.extension().is_some_and(|e| e == "md")));
    found.sort();
    found
}

#[test]
fn every_command_shown_does_what_is_shown() {
    let (mut executed, mut skipped, mut wrong) = (0, 0, Vec::new());
    for document in documents() {
        // it needs PyTorch, and is run by tests/tutorial.rs where that is there
        if document.ends_with("docs/tutorial.md") {
            continue;
        }
        let (_folder, repository) = stage();
        let checked = check(&document, &repository);
        executed += checked.executed;
        skipped += checked.skipped;
        wrong.extend(checked.wrong);
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
        "catalog gpus",
        "sweep design examples/space.toml --design optimal --runs 3 --reference-every 2",
        "report fuzz/corpus/record_json/finished.json --intensity 400 --pue 1.2",
        "doctor",
        "doctor examples/logs/gpu.csv",
    ] {
        let answer = running::json(&format!("{command} --format json"));
        let (first, schema) = answer.as_object().unwrap().iter().next().unwrap();
        assert_eq!(first, "schema", "{command}");
        let schema = schema.as_str().unwrap();
        assert!(page.contains(&format!("`{schema}`")), "docs/records.md says nothing of {schema}");
        fields(&answer, &mut found);
    }
    let record = root().join("fuzz/corpus/record_json/finished.json");
    for file in [calibration, of_roofline, record] {
        fields(&serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap(), &mut found);
    }
    let header = fs::read_to_string(root().join("examples/runs.csv")).unwrap();
    let measured = folder.path().join("measured.csv");
    running::run(&format!("import examples/logs/gpu.csv -o {}", measured.display()));
    let plan =
        running::run("sweep design examples/space.toml --design one-factor --reference-every 9")
            .stdout;
    found.extend(plan.lines().next().unwrap().split(',').map(str::to_owned));
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
