//! The commands that a page shows, and what they do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::limited::Limited;
use super::{Ran, WATTLAW, root};

/// Time limit of a command that a page shows: the tutorial trains for minutes.
const LIMIT: Duration = Duration::from_secs(1200);

/// A command as a document shows it.
#[derive(Debug)]
pub struct Shown {
    /// Lines of the document, from 0: the first of the command, the first of its output, and the one after.
    pub lines: (usize, usize, usize),
    pub command: String,
    pub output: Vec<String>,
    /// Spaces before each line, as in a block that is folded on the page.
    pub indent: usize,
}

/// The commands of a document's console blocks.
pub fn shown(text: &str) -> Vec<Shown> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found: Vec<Shown> = Vec::new();
    let (mut inside, mut i) = (false, 0);
    let (mut open, mut indent) = (false, 0);
    while i < lines.len() {
        let line = lines[i].get(indent..).unwrap_or_default();
        if lines[i].trim_start().starts_with("```") {
            inside = !inside && ["```console", "```sh"].contains(&lines[i].trim());
            indent = if inside { lines[i].len() - lines[i].trim_start().len() } else { 0 };
            open = false;
        } else if inside && let Some(first) = line.strip_prefix("$ ") {
            let start = i;
            let mut command = first.to_owned();
            while command.ends_with('\\') {
                i += 1;
                command.pop();
                command += lines[i].trim_start();
            }
            let lines = (start, i + 1, i + 1);
            found.push(Shown { lines, command, output: Vec::new(), indent });
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
pub fn ours(command: &str) -> Option<String> {
    let command = command
        .strip_prefix("cargo run --release -p wattlaw-cli -- ")
        .map_or_else(|| command.to_owned(), |words| format!("wattlaw {words}"));
    command.starts_with("wattlaw ").then_some(command)
}

/// A folder that looks like the repository to a command: its examples, and the measured tables beside it.
pub fn stage() -> (tempfile::TempDir, PathBuf) {
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

pub fn execute(command: &str, directory: &Path) -> Ran {
    // programs of a Python environment are found where one was named
    let path = format!(
        "{}:{}:{}",
        Path::new(WATTLAW).parent().unwrap().display(),
        std::env::var("WATTLAW_TORCH").unwrap_or_default(),
        std::env::var("PATH").unwrap_or_default()
    );
    Command::new("sh")
        .args(["-c", command])
        .env("PATH", path)
        // locks on the machine's meters, which others may hold
        .env("TMPDIR", directory)
        .env("XDG_RUNTIME_DIR", directory)
        .current_dir(directory)
        .finish_within(LIMIT)
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

pub fn same_line(shown: &str, printed: &str) -> bool {
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
pub fn difference(shown: &[String], printed: &[&str]) -> Option<String> {
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

/// What came of a page's commands.
#[derive(Debug, Default)]
pub struct Checked {
    pub executed: usize,
    pub skipped: usize,
    pub wrong: Vec<String>,
}

/// The first word of a line without a digit: what the line tells, whatever its numbers.
fn subject(line: &str) -> Option<&str> {
    line.split_whitespace().find(|word| {
        word.contains(char::is_alphabetic) && !word.contains(|c: char| c.is_ascii_digit())
    })
}

/// What is shown, with the numbers of what was printed: a line after `...` is the first printed one with the same subject.
/// `None` where no line has it.
pub fn renewed(shown: &[String], printed: &[&str]) -> Option<Vec<String>> {
    let (mut at, mut skip) = (0, false);
    let mut lines = Vec::new();
    for line in shown {
        if line.trim() == "..." {
            skip = true;
            lines.push(line.clone());
            continue;
        }
        let last = if skip { printed.len() } else { printed.len().min(at + 1) };
        let place = (at..last).find(|i| subject(printed[*i]) == subject(line))?;
        lines.push(printed[place].to_owned());
        (at, skip) = (place + 1, false);
    }
    Some(lines)
}

/// Executes the commands of a document in a folder that looks like the repository, and compares what they print with what
/// is shown; with `WATTLAW_WRITE_DOCS` writes it into the document instead.
pub fn check(document: &Path, repository: &Path) -> Checked {
    let write = std::env::var_os("WATTLAW_WRITE_DOCS").is_some();
    let mut checked = Checked::default();
    let name = document.strip_prefix(root()).unwrap().display().to_string();
    let text = fs::read_to_string(document).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut rewritten = Vec::new();
    for shown in shown(&text) {
        let place = format!("{name}:{}", shown.lines.0 + 1);
        let Some(command) = ours(&shown.command) else {
            println!("not executed: {place}: {}", shown.command);
            continue;
        };
        if command.contains("../shared") && !repository.parent().unwrap().join("shared").exists() {
            println!("skipped: {place}: the measured tables are not beside the repository");
            checked.skipped += 1;
            continue;
        }
        let ran = execute(&command, repository);
        checked.executed += 1;
        let expected =
            command.split_once("# exit ").map_or(0, |(_, code)| code.trim().parse().unwrap());
        if ran.code != expected {
            checked.wrong.push(format!("{place}: exit code {}\n{}", ran.code, ran.stderr));
            continue;
        }
        let printed = ran.stderr + &ran.stdout;
        let printed: Vec<&str> = printed.lines().collect();
        let elided = shown.output.iter().any(|line| line.trim() == "...");
        let whole = || printed.iter().map(|line| (*line).to_owned()).collect();
        let differs = difference(&shown.output, &printed);
        let new = match (&differs, elided) {
            (None, true) => None,
            (Some(_), true) => renewed(&shown.output, &printed),
            (_, false) => Some(whole()),
        };
        if write
            && !shown.output.is_empty()
            && let Some(new) = new
        {
            let margin = " ".repeat(shown.indent);
            let new = new.iter().map(|line| format!("{margin}{line}").trim_end().to_owned());
            rewritten.push((shown, new.collect::<Vec<_>>()));
        } else if !shown.output.is_empty()
            && let Some(what) = differs
        {
            checked.wrong.push(format!("{place}: $ {command}\n{what}"));
        }
    }
    for (shown, printed) in rewritten.into_iter().rev() {
        lines.splice(shown.lines.1..shown.lines.2, printed);
    }
    if write {
        fs::write(document, lines.join("\n") + "\n").unwrap();
    }
    checked
}
