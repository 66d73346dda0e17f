//! Arguments of a command, in a shell script or a file of their own: `--name value` or `--name=value`.
//!
//! Variables that the script itself assigns are put in; arrays of arguments are read where they stand.

use std::collections::BTreeMap;

use super::{Entry, Value};

/// Words that a script for Megatron-LM has.
const SIGNS: [&str; 5] = [
    "--num-layers",
    "--micro-batch-size",
    "--tensor-model-parallel-size",
    "--seq-length",
    "--train-iters",
];

/// Whether a text has arguments of Megatron-LM as words of their own, and not as the keys of a mapping.
pub(super) fn is_likely(text: &str) -> bool {
    let has = |sign: &&&str| {
        text.match_indices(**sign)
            .any(|(at, _)| text[at + sign.len()..].starts_with([' ', '=', '\t', '\n', '\r', '\\']))
    };
    SIGNS.iter().filter(has).count() >= 2
}

/// Most characters of a value, so that variables in variables do not grow without end.
const MAX_VALUE: usize = 1000;

/// A word with the line that it begins in; without a text, the end of a command or of an array's line.
struct Word {
    text: Option<String>,
    line: u64,
}

/// The arguments in their order; an argument that is given twice is last as the program reads it.
pub(super) fn read(text: &str) -> Vec<Entry> {
    let mut variables = BTreeMap::new();
    let mut entries: Vec<Entry> = Vec::new();
    let mut open = false;
    // arguments that stand in a variable's text are arguments where it is assigned
    let all = words(text, 1).into_iter().flat_map(|word| match word.text.as_deref() {
        Some(text) if assignment(text).is_some_and(|(_, value)| value.contains("--")) => {
            words(assignment(text).map_or("", |(_, value)| value), word.line)
        }
        // an array's quoted `"--name value"`
        Some(text) if text.starts_with("--") && text.contains(char::is_whitespace) => {
            words(text, word.line)
        }
        _ => vec![word],
    });
    for Word { text, line } in all {
        let Some(text) = text else {
            open = false;
            continue;
        };
        if let Some(name) = text.strip_prefix("--").filter(|name| !name.is_empty()) {
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, value_of(&expanded(value, &variables))),
                None => (name, Value::Nothing),
            };
            entries.push(Entry { key: name.to_owned(), line, value });
            open = true;
        } else if let Some((name, value)) = assignment(&text) {
            let value = expanded(value, &variables);
            variables.insert(name.to_owned(), value);
        } else if text.ends_with(".py") || text.contains("[@]") || text.contains("[*]") {
            // the program and arrays of arguments are no values
            open = false;
        } else if let Some(last) = entries.last_mut().filter(|_| open) {
            let word = expanded(&text, &variables);
            if word.contains("--") {
                continue;
            }
            last.value = match std::mem::replace(&mut last.value, Value::Nothing) {
                Value::Nothing => value_of(&word),
                Value::Text(first) | Value::Number(first) => Value::Words(vec![first, word]),
                Value::Words(mut all) => {
                    all.push(word);
                    Value::Words(all)
                }
                value @ (Value::Flag(_) | Value::Nested) => value,
            };
        }
    }
    for entry in &mut entries {
        if entry.value == Value::Nothing {
            entry.value = Value::Flag(true);
        }
    }
    entries
}

fn value_of(text: &str) -> Value {
    let is_number = text.parse::<f64>().is_ok_and(f64::is_finite);
    if is_number { Value::Number(text.to_owned()) } else { Value::Text(text.to_owned()) }
}

fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_name = begins && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some((name, value))
}

/// A word with `$NAME`, `${NAME}` and `${NAME:-default}` replaced, and products in `$((…))` computed; others stay.
fn expanded(word: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (taken, value) = one(rest, variables);
        out.push_str(&value);
        rest = &rest[taken..];
        if out.len() > MAX_VALUE {
            break;
        }
    }
    out.push_str(rest);
    out.chars().take(MAX_VALUE).collect()
}

/// The value of what `text`, which begins with `$`, begins with, and its bytes.
fn one(text: &str, variables: &BTreeMap<String, String>) -> (usize, String) {
    let known = |name: &str| variables.get(name).cloned();
    if let Some(inner) = text.strip_prefix("$((")
        && let Some(end) = inner.find("))")
    {
        let factor = |word: &str| {
            let word = word.trim().trim_start_matches('$').trim_matches(['{', '}']);
            word.parse().ok().or_else(|| known(word)?.parse().ok())
        };
        let product: Option<u64> = inner[..end]
            .split('*')
            .map(factor)
            .try_fold(1_u64, |product, of: Option<u64>| product.checked_mul(of?));
        let whole = &text[..end + 5];
        return (whole.len(), product.map_or_else(|| whole.to_owned(), |p| p.to_string()));
    }
    if let Some(inner) = text.strip_prefix("${")
        && let Some(end) = inner.find('}')
    {
        let (name, default) = match inner[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inner[..end], None),
        };
        let whole = &text[..end + 3];
        let value = known(name).or_else(|| default.map(str::to_owned));
        return (whole.len(), value.unwrap_or_else(|| whole.to_owned()));
    }
    let name = text[1..].split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next();
    let name = name.unwrap_or_default();
    let whole = &text[..name.len() + 1];
    (whole.len(), known(name).unwrap_or_else(|| whole.to_owned()))
}

/// The words of a script whose first line is `line`: apart by blanks and parentheses, with quotes and comments as a shell
/// has them.
fn words(text: &str, mut line: u64) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word = None;
    let mut first = line;
    let mut quote = None;
    let mut depth = 0_u32;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let mut added = None;
        match (letter, quote) {
            ('\\', None | Some('"')) => match letters.next() {
                Some('\n') => line += 1,
                Some('\r') | None => {}
                Some(next) => added = Some(next),
            },
            (_, Some(open)) if letter == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(letter);
                if word.is_none() {
                    (word, first) = (Some(String::new()), line);
                }
            }
            (_, Some(_)) => added = Some(letter),
            ('#', None) if word.is_none() => {
                while letters.next_if(|next| *next != '\n').is_some() {}
            }
            // `$((A*B))` is one word, and an array `(…)` many
            ('(', None) if depth > 0 || word.as_deref().is_some_and(|w| w.ends_with('$')) => {
                depth += 1;
                added = Some(letter);
            }
            (')', None) if depth > 0 => {
                depth -= 1;
                added = Some(letter);
            }
            _ if depth == 0 && (letter.is_whitespace() || "();|&<>".contains(letter)) => {
                if let Some(text) = word.take() {
                    words.push(Word { text: Some(text), line: first });
                }
                if letter == '\n' || !letter.is_whitespace() {
                    words.push(Word { text: None, line });
                }
            }
            _ => added = Some(letter),
        }
        if let Some(letter) = added {
            if word.is_none() {
                first = line;
            }
            word.get_or_insert_with(String::new).push(letter);
        }
        line += u64::from(letter == '\n');
    }
    words.extend(word.map(|text| Word { text: Some(text), line: first }));
    words
}
