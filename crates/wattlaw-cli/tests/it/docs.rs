//! The pages say what is true: every command that README.md and docs/ show is executed, and what they show as its output is
//! what it prints; the command reference and the tables of job fields are what the program gives; quoted constants are those of
//! the code; links lead somewhere.
//!
//! In a ```` ```console ```` or ```` ```sh ```` block a line that begins with `$ ` is a command (a trailing `\` continues it), and what
//! follows is what it prints: standard error, then standard output. Numbers may differ by one in their last digit. A line
//! `...` stands for any lines; a command without lines below only has to succeed, or to end with the code that a comment
//! `# exit 1` names. Commands run in a copy of the repository's examples, so that what they write stays there.
//!
//! A number that repeats a constant of the code is marked, as in `at most 1,024<!-- const MAX_POINTS --> points`.
//!
//! `WATTLAW_WRITE_DOCS=1 cargo test -p wattlaw-cli --test it docs::` writes the outputs, the command reference, the tables of
//! fields and that of the law's parameters into the files anew; a `...` stays, and the lines around it get their numbers.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use crate::running;

use std::fs;
use std::path::{Path, PathBuf};

use wattlaw::law::roofline::parameter::{PARAMETERS, Parameter, Scale, Spreads};

use crate::running::page::{check, difference, ours, renewed, same_line, shown, stage};
use crate::running::root;

/// Links to files of the repository that are not pages of the site.
const REPOSITORY: &str = "https://github.com/wattlaw/wattlaw/blob/main/";

/// The files below a folder whose name ends so.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn documents() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md")];
    found.extend(files(&root().join("docs"), ".md"));
    found
}

#[test]
fn every_command_shown_does_what_is_shown() {
    let (mut executed, mut skipped, mut wrong) = (0, 0, Vec::new());
    for document in documents() {
        // it needs PyTorch, and is run by tests/it/tutorial.rs where that is there
        if document.ends_with("docs/tutorials/laptop-sweep.md") {
            continue;
        }
        let (_folder, repository) = stage();
        let checked = check(&document, &repository);
        executed += checked.executed;
        skipped += checked.skipped;
        wrong.extend(checked.wrong);
    }
    println!("{executed} commands of README.md and docs/ were executed");
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
                    ("parts" | "vif", _) => {}
                    ("population", serde_json::Value::Object(by_parameter)) => {
                        by_parameter.values().for_each(|parameter| fields(parameter, found));
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
    let pages = files(&root().join("docs/reference"), ".md");
    let page: String = pages.iter().map(|page| fs::read_to_string(page).unwrap()).collect();
    let folder = tempfile::tempdir().unwrap();
    let calibration = folder.path().join("mine.json");
    let of_roofline = folder.path().join("roofline.json");
    let updated = folder.path().join("updated.json");
    let mut found = std::collections::BTreeSet::new();
    for command in [
        "predict examples/3d-job.toml",
        "predict examples/config-job.toml",
        "predict examples/job.toml --calibration any-gpu-2026",
        "plan examples/job.toml --keep precision --deadline 365d",
        "compare examples/job.toml --gpus 2,4",
        "cost examples/3d-job.toml",
        "job examples/3d-job.toml",
        &format!("fit examples/runs.csv --law scaling --out {}", calibration.display()),
        &format!("fit examples/runs.csv --out {}", of_roofline.display()),
        &format!(
            "calibrate examples/runs.csv --parent {} --out {}",
            of_roofline.display(),
            updated.display()
        ),
        "audit examples/runs.csv",
        "efficiency examples/runs.csv --resamples 100",
        "validate examples/runs.csv --law scaling --ablation log_C",
        "validate examples/runs.csv --law scaling --hold-out row",
        "validate examples/runs.csv --no-discrepancy --splits 1",
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
        assert!(
            page.contains(&format!("`{schema}`")),
            "docs/reference/json.md says nothing of {schema}"
        );
        fields(&answer, &mut found);
    }
    let built_in = root().join("crates/wattlaw/calibrations/wattlaw-2026.json");
    let record = root().join("fuzz/corpus/record_json/finished.json");
    for file in [calibration, of_roofline, updated, built_in, record] {
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
    assert!(absent.is_empty(), "docs/reference says nothing of {absent:?}");
}

#[test]
fn the_command_reference_is_what_the_parser_gives() {
    let page = root().join("docs/reference/commands.md");
    let printed = running::run("man --markdown").stdout;
    if std::env::var_os("WATTLAW_WRITE_DOCS").is_some() {
        fs::write(&page, &printed).unwrap();
    }
    let committed = fs::read_to_string(&page).unwrap_or_default();
    let differs = committed.lines().zip(printed.lines()).find(|(a, b)| a != b);
    assert!(
        committed == printed,
        "{} differs from the parser, first here: {differs:?}\nrewrite it: \
         WATTLAW_WRITE_DOCS=1 cargo test -p wattlaw-cli --test it docs::the_command_reference",
        page.display()
    );
}

/// The tables that `wattlaw man --fields` prints: the comment above each, and the table.
fn tables_of_fields() -> Vec<(String, String)> {
    let printed = running::run("man --fields").stdout;
    let tables = printed.split("<!-- ").skip(1).map(|part| {
        let (mark, table) = part.split_once(" -->\n\n").unwrap();
        (format!("<!-- {mark} -->\n\n"), table.trim_end().to_owned())
    });
    tables.collect()
}

#[test]
fn the_tables_of_fields_are_what_the_list_of_fields_gives() {
    let pages =
        ["job-file.md", "run-table.md"].map(|page| root().join("docs/reference").join(page));
    let tables = tables_of_fields();
    assert_eq!(tables.len(), 5);
    for (mark, table) in &tables {
        let with_mark =
            pages.iter().filter(|page| fs::read_to_string(page).unwrap().contains(mark));
        let page = with_mark.collect::<Vec<_>>();
        assert_eq!(page.len(), 1, "one page has {mark}");
        let text = fs::read_to_string(page[0]).unwrap();
        let (before, after) = text.split_once(mark).unwrap();
        let rows = after.lines().take_while(|line| line.starts_with('|'));
        let committed: String = rows.flat_map(|line| [line, "\n"]).collect();
        if std::env::var_os("WATTLAW_WRITE_DOCS").is_some() {
            let rest = &after[committed.len()..];
            fs::write(page[0], format!("{before}{mark}{table}\n{rest}")).unwrap();
            continue;
        }
        let differs = committed.lines().zip(table.lines()).find(|(a, b)| a != b);
        assert!(
            committed.trim_end() == table,
            "{}, {mark} differs from the list of fields, first here: {differs:?}\nrewrite it: \
             WATTLAW_WRITE_DOCS=1 cargo test -p wattlaw-cli --test it docs::the_tables",
            page[0].display()
        );
    }
}

/// The texts in double quotes between two places of a source.
fn quoted(source: &str, from: &str, to: &str) -> Vec<String> {
    let list = source.split_once(from).unwrap().1.split_once(to).unwrap().0;
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_page_of_run_tables_names_every_column() {
    let folder = root().join("crates/wattlaw/src/data/dataset");
    let page = fs::read_to_string(root().join("docs/reference/run-table.md")).unwrap();
    let source = fs::read_to_string(folder.join("names.rs")).unwrap();
    let mut names = quoted(&source, "const MEASURED:", "];");
    names.extend(quoted(&source, "const ALIASES:", "];"));
    assert!(names.len() > 40, "{names:?}");
    names.retain(|name| !page.contains(&format!("`{name}`")));
    assert!(names.is_empty(), "docs/reference/run-table.md says nothing of {names:?}");
    let maps = files(&root().join("examples/maps"), ".toml");
    let unnamed =
        maps.iter().filter(|map| !page.contains(map.file_name().unwrap().to_str().unwrap()));
    assert_eq!(unnamed.collect::<Vec<_>>(), Vec::<&PathBuf>::new());
}

#[test]
fn man_pages_are_written() {
    let folder = tempfile::tempdir().unwrap();
    running::run(&format!("man --out {}", folder.path().join("man1").display()));
    let pages = files(folder.path(), ".1");
    let named = |name: &str| pages.iter().find(|page| page.ends_with(name));
    let text = fs::read_to_string(named("wattlaw-sweep-design.1").unwrap()).unwrap();
    assert!(text.contains(r"\-\-reference\-every"), "{text}");
    assert!(named("wattlaw.1").is_some() && pages.len() > 15, "{pages:?}");
}

/// The value of a number in the code or on a page, where `1_024` and `1,024`, `2e-3` and `5 %` are numbers.
fn number(text: &str) -> Option<f64> {
    let (text, scale) = match text.trim().strip_suffix('%') {
        Some(share) => (share.trim_end(), 0.01),
        None => (text.trim(), 1.0),
    };
    let plain: String = text.chars().filter(|c| !['_', ','].contains(c)).collect();
    // as in `320.0 * 65_536.0`, `1.0 / 3.0`, `1 << 24`
    let both = |sign: &str| plain.split_once(sign).map(|(a, b)| (number(a), number(b)));
    if let Some((Some(a), Some(b))) = both("*") {
        return Some(a * b * scale);
    }
    if let Some((Some(a), Some(b))) = both("/") {
        return Some(a / b * scale);
    }
    if let Some((Some(a), Some(b))) = both("<<") {
        return Some(a * 2f64.powf(b) * scale);
    }
    plain.parse::<f64>().ok().map(|value| value * scale)
}

/// The values of `const NAME` in the sources; several where several modules have one of that name.
fn constants(sources: &[String], name: &str) -> Vec<f64> {
    let definition = format!("const {name}: ");
    let defined = |source: &String| {
        let after = source.split(&definition).skip(1);
        after
            .filter_map(|rest| number(rest.split_once(" = ")?.1.split_once(';')?.0))
            .collect::<Vec<_>>()
    };
    sources.iter().flat_map(defined).collect()
}

/// The number that stands right before a place of a page, with its `%`.
fn number_before(text: &str) -> Option<f64> {
    let text = text.trim_end();
    let digits = text.strip_suffix('%').unwrap_or(text).trim_end();
    let of_number = |c: char| c.is_ascii_digit() || ['.', ',', '-', 'e', '_'].contains(&c);
    let start = digits.trim_end_matches(of_number).len();
    number(text[start..].trim_start_matches(['-', 'e']))
}

/// The text of each Rust source that is no test.
fn sources() -> Vec<String> {
    let paths = files(&root().join("crates"), ".rs").into_iter();
    let kept = paths.filter(|path| path.components().any(|part| part.as_os_str() == "src"));
    kept.map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn quoted_constants_are_those_of_the_code() {
    let sources = sources();
    let (mut found, mut wrong) = (0, Vec::new());
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for (at, mark) in text.match_indices("<!-- const ") {
            let name = text[at + mark.len()..].split(' ').next().unwrap();
            let quoted = number_before(&text[..at]);
            let values = constants(&sources, name);
            let same =
                |value: &f64| quoted.is_some_and(|q| (q - value).abs() <= 1e-9 * value.abs());
            if values.is_empty() {
                wrong.push(format!("{}: no source has `const {name}`", document.display()));
            } else if !values.iter().any(same) {
                wrong.push(format!("{}: {name} is {values:?}, not {quoted:?}", document.display()));
            }
            found += 1;
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(found >= 20, "only {found} constants are marked");
}

/// The table of the roofline law's parameters, as the page has it.
fn table_of_parameters() -> String {
    let header =
        "| parameter | scale | median | sd | spread among | what |\n|---|---|---|---|---|---|\n";
    let row = |p: &Parameter| {
        let scale = match p.scale {
            Scale::Log => "log",
            Scale::Logit => "logit",
        };
        let Spreads { chip, stack, network, source } = p.spreads;
        let spreads =
            [(chip, "chips"), (stack, "stacks"), (network, "networks"), (source, "sources")];
        let of_levels = spreads.iter().filter(|(spread, _)| *spread > 0.0);
        let spreads: Vec<String> =
            of_levels.map(|(spread, level)| format!("{level} {spread}")).collect();
        let median = if p.median < 0.01 { format!("{:e}", p.median) } else { p.median.to_string() };
        format!(
            "| `{}` | {scale} | {median} | {} | {} | {} |\n",
            p.name,
            p.sd,
            spreads.join(", "),
            p.about
        )
    };
    PARAMETERS.iter().map(row).fold(header.to_owned(), |table, row| table + &row)
}

#[test]
fn the_table_of_parameters_is_that_of_the_code() {
    let page = root().join("docs/concepts/roofline-law.md");
    let text = fs::read_to_string(&page).unwrap();
    let (before, after) = text.split_once("<!-- parameters -->\n\n").unwrap();
    let rows = after.lines().take_while(|line| line.starts_with('|'));
    let committed: String = rows.flat_map(|line| [line, "\n"]).collect();
    let table = table_of_parameters();
    if std::env::var_os("WATTLAW_WRITE_DOCS").is_some() {
        let rest = &after[committed.len()..];
        fs::write(&page, format!("{before}<!-- parameters -->\n\n{table}{rest}")).unwrap();
        return;
    }
    let differs = committed.lines().zip(table.lines()).find(|(a, b)| a != b);
    assert!(
        committed == table,
        "{} differs from the law's parameters, first here: {differs:?}\nrewrite it: \
         WATTLAW_WRITE_DOCS=1 cargo test -p wattlaw-cli --test it docs::the_table_of_parameters",
        page.display()
    );
}

/// The targets of a page's links, outside its code blocks.
fn targets(text: &str) -> Vec<&str> {
    let mut code = false;
    let outside = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    });
    outside
        .flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split(')').next()))
        .collect()
}

#[test]
fn the_architecture_is_that_of_the_tree() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let folders = ["crates", "trainer", "docs", "examples", "fuzz", "benches"];
    let is_path = |code: &&str| code.split_once('/').is_some_and(|(top, _)| folders.contains(&top));
    let paths: Vec<&str> = text.split('`').skip(1).step_by(2).filter(is_path).collect();
    assert!(paths.len() > 50, "{paths:?}");
    let absent: Vec<_> = paths.iter().filter(|path| !root().join(path).exists()).collect();
    assert!(absent.is_empty(), "ARCHITECTURE.md names {absent:?}");

    let picture = fs::read_to_string(root().join("docs/img/rooms.svg")).unwrap();
    let rooms =
        ["crates", "crates/wattlaw/src"].map(|folder| fs::read_dir(root().join(folder)).unwrap());
    for room in rooms.into_iter().flatten().map(Result::unwrap).filter(|room| room.path().is_dir())
    {
        let name = room.file_name().into_string().unwrap();
        assert!(picture.contains(&format!(">{name}</text>")), "docs/img/rooms.py draws no {name}");
        assert!(text.contains(&format!("/{name}/`")), "ARCHITECTURE.md says nothing of {name}");
    }
}

/// The anchors of a page's headings, as GitHub and the site make them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| {
        if let Some((_, id)) = heading.split_once("{#") {
            return id.trim_end_matches('}').to_owned();
        }
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || ['-', '_', ' '].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

#[test]
fn links_lead_somewhere() {
    let (mut broken, mut outside) = (Vec::new(), 0);
    let others = ["ARCHITECTURE.md", "CONTRIBUTING.md", "STYLE.md", "RELEASING.md"];
    for document in documents().into_iter().chain(others.map(|name| root().join(name))) {
        let text = fs::read_to_string(&document).unwrap();
        for target in targets(&text) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let there = if let Some(file) = file.strip_prefix(REPOSITORY) {
                outside += 1;
                root().join(file).exists()
            } else if file.starts_with("http") {
                true
            } else {
                let path = document.parent().unwrap().join(file);
                let page = if file.is_empty() { &document } else { &path };
                let known = |page| anchors(&fs::read_to_string(page).unwrap_or_default());
                page.exists() && (anchor.is_empty() || known(page).iter().any(|a| a == anchor))
            };
            if !there {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(outside > 5, "only {outside} links to files of the repository");
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
    let folded =
        shown("??? note\n\n    ```console\n    $ wattlaw a\n    out\n      more\n    ```\n");
    assert_eq!((folded[0].indent, folded[0].output.join("|").as_str()), (4, "out|  more"));
}

#[test]
fn numbers_of_pages_and_of_code_are_read() {
    assert_eq!(number_before("at most 1,024"), Some(1024.0));
    assert_eq!(number_before("a step of 5 %"), Some(0.05));
    assert_eq!(number_before("from 0.03"), Some(0.03));
    assert_eq!(number_before("no number"), None);
    let sources = ["const A: f64 = 320.0 * 65_536.0;\npub const B: usize = 1 << 4;".to_owned()];
    assert_eq!(constants(&sources, "A"), [20_971_520.0]);
    assert_eq!(constants(&sources, "B"), [16.0]);
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
    let printed = ["note: of 3 runs", "28 jobs, 40 s", "block  jobs", "1        12"];
    let found = renewed(&lines("...\n104 jobs, 9 s\nblock  jobs\n..."), &printed);
    assert_eq!(found.unwrap(), lines("...\n28 jobs, 40 s\nblock  jobs\n..."));
    assert_eq!(renewed(&lines("...\nenergy 5 J"), &printed), None);
    assert_eq!(renewed(&lines("block  jobs\n..."), &printed), None);
}
