//! The entries of a file: keys with their values and lines, whatever the file's notation.

mod arguments;
mod json;
mod toml;
mod yaml;

use wattlaw::base::error::{Error, Result};

/// The notation of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notation {
    /// YAML, a mapping at the top.
    Yaml,
    /// JSON, an object at the top.
    Json,
    /// TOML.
    Toml,
    /// Arguments of a command: a shell script, or a file of arguments.
    Arguments,
}

/// A value of an entry.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Null, an empty table, or an argument without a value.
    Nothing,
    /// True or false.
    Flag(bool),
    /// A number, as it is written.
    Number(String),
    /// A text.
    Text(String),
    /// A list of texts and numbers.
    Words(Vec<String>),
    /// A list that holds tables or lists.
    Nested,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// The key; keys of tables within tables are joined with dots.
    pub key: String,
    /// Line of the file, counted from one; 0 where it is unknown.
    pub line: u64,
    /// The value.
    pub value: Value,
}

/// Largest file in bytes; a configuration is far smaller.
const MAX_BYTES: usize = 4 << 20;

/// Deepest nesting of tables and lists.
const MAX_DEPTH: usize = 64;

/// A value with what is below it, as the readers of YAML, JSON and TOML give it.
#[derive(Debug, Clone, PartialEq)]
enum Tree {
    Value(Value),
    List(Vec<Tree>),
    Table(Vec<(String, u64, Tree)>),
}

/// Reads the entries of a file.
///
/// # Errors
/// [`Error::Syntax`] for a text in none of the notations, with its line; [`Error::Data`] for one that is too large.
pub(super) fn read(text: &str) -> Result<(Notation, Vec<Entry>)> {
    if text.len() > MAX_BYTES {
        return Err(Error::Data(
            "the file is larger than 4 MiB, and a configuration is not".into(),
        ));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{') {
        return Ok((Notation::Json, flat(json::read(text)?)));
    }
    if text.starts_with("#!") || arguments::is_likely(text) {
        return Ok((Notation::Arguments, arguments::read(text)));
    }
    if let Ok(tree) = toml::read(text) {
        return Ok((Notation::Toml, flat(tree)));
    }
    Ok((Notation::Yaml, flat(yaml::read(text)?)))
}

/// The entries of a tree.
fn flat(tree: Tree) -> Vec<Entry> {
    let mut entries = Vec::new();
    collect(tree, String::new(), 0, &mut entries);
    entries
}

fn collect(tree: Tree, key: String, line: u64, into: &mut Vec<Entry>) {
    match tree {
        Tree::Value(value) if !key.is_empty() => into.push(Entry { key, line, value }),
        Tree::Value(_) => {}
        Tree::List(items) => {
            let words: Option<Vec<String>> = items.into_iter().map(word).collect();
            let value = words.map_or(Value::Nested, Value::Words);
            into.push(Entry { key, line, value });
        }
        Tree::Table(fields) if fields.is_empty() => {
            into.push(Entry { key, line, value: Value::Nothing });
        }
        Tree::Table(fields) => {
            for (name, line, below) in fields {
                let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                collect(below, key, line, into);
            }
        }
    }
}

/// The text of a value in a list.
fn word(tree: Tree) -> Option<String> {
    match tree {
        Tree::Value(Value::Text(text) | Value::Number(text)) => Some(text),
        Tree::Value(Value::Flag(flag)) => Some(flag.to_string()),
        Tree::Value(Value::Nothing | Value::Words(_) | Value::Nested)
        | Tree::List(_)
        | Tree::Table(_) => None,
    }
}

/// The line of a byte offset, counted from one.
fn line_at(text: &str, offset: usize) -> u64 {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    memchr::memchr_iter(b'\n', before).count() as u64 + 1
}
