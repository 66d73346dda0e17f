//! No circle of imports among the modules of a crate.
//!
//! Among the children of a module, each taken with all that is below it, references run one way. What a child takes from a
//! module above it is left out, since a parent's types serve its children. A name that a module re-exports counts as of the
//! module that defines it. Code under `#[cfg(test)]` is left out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::running::root;

/// A path of modules and perhaps an item, from the root of a crate.
type Names = Vec<String>;

/// Sources of a crate by module.
type Sources = BTreeMap<Names, String>;

/// A reference from one module to another, and how the source writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Reference {
    from: Names,
    to: Names,
    written: String,
}

#[test]
fn no_crate_has_a_circle_of_imports() {
    let mut crates = 0;
    let mut circles = Vec::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let mut sources = Sources::new();
        read(&folder.join("src"), &[], &mut sources);
        crates += usize::from(!sources.is_empty());
        circles
            .extend(circles_of(&sources).into_iter().map(|c| format!("{}: {c}", folder.display())));
    }
    assert!(crates >= 6, "only {crates} crates were found");
    assert!(circles.is_empty(), "circles of imports:\n{}", circles.join("\n"));
}

fn read(folder: &Path, at: &[String], sources: &mut Sources) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let below = |name: &str| [at, &[name.to_owned()]].concat();
        if path.is_dir() {
            read(&path, &below(&name), sources);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let module = match name.as_str() {
                "lib" | "main" if at.is_empty() => Vec::new(),
                "mod" => at.to_vec(),
                _ => below(&name),
            };
            sources.insert(module, fs::read_to_string(&path).unwrap());
        }
    }
}

/// Every circle, a line each, which names its arrows.
fn circles_of(sources: &Sources) -> Vec<String> {
    let references = references(sources);
    // by the module that two others are below: its children, and the references among them
    let mut levels: BTreeMap<Names, BTreeMap<Names, BTreeMap<Names, &Reference>>> = BTreeMap::new();
    for reference in &references {
        let (from, to) = (&reference.from, &reference.to);
        let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        // to a module above, or from one to what is below it
        if shared == from.len() || shared == to.len() {
            continue;
        }
        levels
            .entry(from[..shared].to_vec())
            .or_default()
            .entry(from[..=shared].to_vec())
            .or_default()
            .entry(to[..=shared].to_vec())
            .or_insert(reference);
    }
    levels.values().filter_map(circle).collect()
}

/// One circle of a graph, where there is one.
fn circle(graph: &BTreeMap<Names, BTreeMap<Names, &Reference>>) -> Option<String> {
    let mut done = BTreeSet::new();
    graph.keys().find_map(|start| search(graph, start, &mut Vec::new(), &mut done))
}

/// Goes on from the end of a way; gives the circle that it closes.
fn search<'a>(
    graph: &'a BTreeMap<Names, BTreeMap<Names, &Reference>>,
    node: &'a Names,
    way: &mut Vec<&'a Names>,
    done: &mut BTreeSet<&'a Names>,
) -> Option<String> {
    if let Some(at) = way.iter().position(|seen| *seen == node) {
        let nodes: Vec<&Names> = way[at..].iter().copied().chain([node]).collect();
        let arrows = nodes.windows(2).map(|pair| {
            let reference = graph[pair[0]][pair[1]];
            let [from, to] = [&reference.from, &reference.to].map(|names| names.join("::"));
            format!("{from} -> {to} (`{}`)", reference.written)
        });
        return Some(arrows.collect::<Vec<_>>().join(", "));
    }
    if done.contains(node) {
        return None;
    }
    way.push(node);
    let found = graph
        .get(node)
        .and_then(|next| next.keys().find_map(|next| search(graph, next, way, done)));
    way.pop();
    done.insert(node);
    found
}

fn references(sources: &Sources) -> BTreeSet<Reference> {
    let written: BTreeMap<&Names, Vec<Written>> =
        sources.iter().map(|(module, source)| (module, paths(&tokens(source)))).collect();
    let modules: BTreeSet<&Names> = sources.keys().collect();
    let mut exported: BTreeMap<(&Names, &str), Names> = BTreeMap::new();
    for (module, paths) in &written {
        for path in paths.iter().filter(|path| path.public) {
            if let (Some(to), Some(name)) = (absolute(module, &path.names, &modules), &path.name) {
                exported.insert((module, name), to);
            }
        }
    }
    let mut found = BTreeSet::new();
    for (module, paths) in &written {
        for path in paths {
            let Some(mut to) = absolute(module, &path.names, &modules) else { continue };
            // a chain of re-exports is as short as this
            for _ in 0..8 {
                let known = (0..=to.len()).rev().find(|n| modules.contains(&to[..*n].to_vec()));
                let Some(known) = known else { break };
                let rest = to.split_off(known);
                match rest.first().and_then(|name| exported.get(&(&to, name.as_str()))) {
                    Some(origin) if *origin != [&to[..], &rest[..1]].concat() => {
                        to = [&origin[..], &rest[1..]].concat();
                    }
                    _ => break,
                }
            }
            if to != **module && modules.contains(&to) {
                let reference =
                    Reference { from: (*module).clone(), to, written: path.names.join("::") };
                found.insert(reference);
            }
        }
    }
    found
}

/// A path from the root of the crate; none for what is of another crate or local.
fn absolute(module: &Names, path: &[String], modules: &BTreeSet<&Names>) -> Option<Names> {
    let ups = path.iter().take_while(|name| *name == "super").count();
    let first = path.first()?.as_str();
    match first {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([module, &path[1..]].concat()),
        "super" => Some([module.get(..module.len().checked_sub(ups)?)?, &path[ups..]].concat()),
        _ => {
            let child = [&module[..], &[first.to_owned()]].concat();
            modules.contains(&child).then(|| [module, path].concat())
        }
    }
}

/// A path as a source writes it.
struct Written {
    names: Names,
    /// What it is called in the module, where it is imported.
    name: Option<String>,
    /// Whether it is re-exported.
    public: bool,
}

/// The paths of `use` statements and of code.
fn paths(tokens: &[String]) -> Vec<Written> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut public = false;
    while at < tokens.len() {
        let word = tokens[at].as_str();
        if tokens[at..]
            .iter()
            .take(7)
            .map(String::as_str)
            .eq(["#", "[", "cfg", "(", "test", ")", "]"])
            && tokens.get(at + 7).is_some_and(|next| next == "mod")
        {
            at = after_block(tokens, at + 9);
        } else if word == "pub" {
            public = true;
            at += 1;
            if tokens.get(at).is_some_and(|next| next == "(") {
                at += tokens[at..].iter().position(|t| t == ")").unwrap() + 1;
            }
            continue;
        } else if word == "use" {
            at = imported(tokens, at + 1, &[], public, &mut found);
        } else if is_name(word) {
            let mut names = vec![word.to_owned()];
            while tokens.get(at + 1).is_some_and(|t| t == "::")
                && tokens.get(at + 2).is_some_and(|t| is_name(t))
            {
                names.push(tokens[at + 2].clone());
                at += 2;
            }
            if names.len() > 1 {
                found.push(Written { names, name: None, public: false });
            }
        }
        public = false;
        at += 1;
    }
    found
}

/// Reads a tree of imports; gives the place behind it.
fn imported(
    tokens: &[String],
    mut at: usize,
    prefix: &[String],
    public: bool,
    found: &mut Vec<Written>,
) -> usize {
    let mut names = prefix.to_vec();
    loop {
        match tokens[at].as_str() {
            "{" => {
                at += 1;
                while tokens[at] != "}" {
                    at = imported(tokens, at, &names, public, found);
                    at += usize::from(tokens[at] == ",");
                }
                return at + 1;
            }
            "*" => {
                found.push(Written { names, name: None, public: false });
                return at + 1;
            }
            "::" => at += 1,
            name if is_name(name) => {
                // `a::{self}` is `a`
                if name != "self" || names.is_empty() {
                    names.push(name.to_owned());
                }
                at += 1;
                if tokens[at] == "::" {
                    continue;
                }
                let mut known = names.last().cloned();
                if tokens[at] == "as" {
                    known = Some(tokens[at + 1].clone());
                    at += 2;
                }
                found.push(Written { names, name: known, public });
                return at;
            }
            _ => return at,
        }
    }
}

/// The place of the brace that closes the first block from here on.
fn after_block(tokens: &[String], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.as_str() {
            "{" => depth += 1,
            "}" if depth == 1 => return at,
            "}" => depth -= 1,
            _ => {}
        }
    }
    tokens.len()
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::` and single signs, without comments and literals.
fn tokens(source: &str) -> Vec<String> {
    let chars: Vec<char> = source.chars().collect();
    let starts =
        |at: usize, what: &str| what.chars().eq(chars[at..].iter().copied().take(what.len()));
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        if starts(at, "//") {
            at += chars[at..].iter().take_while(|c| **c != '\n').count();
        } else if starts(at, "/*") {
            at += (at..chars.len()).take_while(|i| !starts(*i, "*/")).count() + 2;
        } else if c == '"' {
            at = after_text(&chars, at + 1, '"');
        } else if c == '\'' {
            // a lifetime or a loop's label has no quote behind its first letter
            let literal = chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'');
            at = if literal { after_text(&chars, at + 1, '\'') } else { at + 1 };
        } else if c.is_alphanumeric() || c == '_' {
            let end =
                at + chars[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
            let word: String = chars[at..end].iter().collect();
            let hashes = chars[end..].iter().take_while(|c| **c == '#').count();
            let raw = matches!(word.as_str(), "r" | "br") && chars.get(end + hashes) == Some(&'"');
            at = end;
            if raw {
                let close = format!("\"{}", "#".repeat(hashes));
                let text = end + hashes + 1;
                at = (text..chars.len()).find(|i| starts(*i, &close)).unwrap_or(chars.len());
                at += close.len();
            } else {
                found.push(word);
            }
        } else if starts(at, "::") {
            found.push("::".to_owned());
            at += 2;
        } else {
            if !c.is_whitespace() {
                found.push(c.to_string());
            }
            at += 1;
        }
    }
    found
}

/// The place behind a literal whose text begins here.
fn after_text(chars: &[char], mut at: usize, quote: char) -> usize {
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn made_up(files: &[(&str, &str)]) -> Vec<String> {
    let names =
        |path: &str| path.split("::").filter(|n| !n.is_empty()).map(str::to_owned).collect();
    circles_of(&files.iter().map(|(at, text)| (names(at), (*text).to_owned())).collect())
}

#[test]
fn a_circle_is_found_and_its_arrows_are_named() {
    let files = [
        ("", "mod cost; mod job;"),
        ("cost", "use crate::{base::Unit, job::Job};"),
        ("job", "fn f() -> crate::cost::Ledger { \"crate::x::y\" }"),
    ];
    assert_eq!(
        made_up(&files),
        ["cost -> job (`crate::job::Job`), job -> cost (`crate::cost::Ledger`)"]
    );
}

#[test]
fn a_circle_of_folders_is_found_where_no_file_is_in_one() {
    let files = [
        ("law::fit", "use crate::stats::gp::Gp;"),
        ("law::terms", "pub struct Terms;"),
        ("stats::gp", ""),
        ("stats::optimal", "use super::super::law::terms::Terms;"),
    ];
    assert_eq!(
        made_up(&files),
        [
            "law::fit -> stats::gp (`crate::stats::gp::Gp`), stats::optimal -> law::terms (`super::super::law::terms::Terms`)"
        ]
    );
}

#[test]
fn a_circle_behind_a_re_export_is_found() {
    let files = [
        ("plan", "mod order; mod budget; pub use order::{Order as Turns};"),
        ("plan::order", "use super::budget::{self, Budget};"),
        ("plan::budget", "use super::Turns;"),
    ];
    assert_eq!(
        made_up(&files),
        [
            "plan::budget -> plan::order (`super::Turns`), plan::order -> plan::budget (`super::budget`)"
        ]
    );
}

#[test]
fn parents_and_children_tests_and_texts_are_no_circle() {
    let files = [
        ("plan", "mod order; pub use order::Order; pub struct Plan(Order);"),
        ("plan::order", "use super::Plan; // crate::space::Space\n pub struct Order;"),
        (
            "space",
            "use crate::plan::Plan; const A: &str = r#\"\"crate\"#; fn f<'a>(x: &'a str) { 'x'; }",
        ),
        ("plan::name", "#[cfg(test)]\nmod tests { use crate::space::Space; fn f() { {} } }"),
    ];
    assert_eq!(made_up(&files), [""; 0]);
}
