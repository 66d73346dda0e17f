//! Arguments of a command, in a shell script or a file of their own: `--name value` or `--name=value`.
//!
//! Variables that the script itself assigns are put in; arrays of arguments are read where they stand.

use std::collections::BTreeMap;

use super::{Entry, Value};

/// Arguments that a script for Megatron-LM or for a Trainer has.
const SIGNS: [&str; 10] = [
    "--num-layers",
    "--micro-batch-size",
    "--tensor-model-parallel-size",
    "--seq-length",
    "--train-iters",
    "--per_device_train_batch_size",
    "--model_name_or_path",
    "--num_train_epochs",
    "--gradient_accumulation_steps",
    "--output_dir",
];

/// Whether a text has such arguments as words of their own, and not as the keys of a mapping.
pub(super) fn is_likely(text: &str) -> bool {
    let ends = |c: char| c == '=' || c == '\\' || c.is_whitespace();
    let has = |sign: &&&str| {
        text.match_indices(**sign).any(|(at, _)| text[at + sign.len()..].starts_with(ends))
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
                Some('\n') => {
                    line += 1;
                    if quote.is_some() {
                        // arguments in a text keep their lines
                        word.get_or_insert_with(String::new).push('\\');
                        added = Some('\n');
                    }
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, u64, Value)> {
        read(text).into_iter().map(|entry| (entry.key, entry.line, entry.value)).collect()
    }

    fn number(text: &str) -> Value {
        Value::Number(text.to_owned())
    }

    #[test]
    fn arguments_are_read_as_a_shell_has_them() {
        let script = "#!/bin/bash
N=4; M=${N}
ARGS=(
    --layers $N # a comment --no
    --pair 1 'a b'
    \"--quoted 7\"
    --on
)
torchrun --gpus=$(($N*8)) \\
    --default ${X:-3} --open $Y run.py ${ARGS[@]}
";
        assert_eq!(
            found(script),
            [
                ("layers".to_owned(), 4, number("4")),
                ("pair".to_owned(), 5, Value::Words(vec!["1".to_owned(), "a b".to_owned()])),
                ("quoted".to_owned(), 6, number("7")),
                ("on".to_owned(), 7, Value::Flag(true)),
                ("gpus".to_owned(), 9, number("32")),
                ("default".to_owned(), 10, number("3")),
                ("open".to_owned(), 10, Value::Text("$Y".to_owned())),
            ]
        );
    }

    /// Text that a variable holds is read where it is assigned, and not again where it is used.
    #[test]
    fn arguments_in_a_variable_are_read_once() {
        let script = "ARGS=\"\n  --a 1 \\\n  --b\n\"\nrun --c 2 $ARGS\n";
        let keys: Vec<(String, u64)> =
            found(script).into_iter().map(|(key, line, _)| (key, line)).collect();
        assert_eq!(keys, [("a".to_owned(), 2), ("b".to_owned(), 3), ("c".to_owned(), 5)]);
    }

    #[test]
    fn variables_in_variables_do_not_grow_without_end() {
        let mut script = "A0=xxxxxxxxxx\n".to_owned();
        for level in 1..60 {
            let before = format!("$A{}", level - 1);
            script += &format!("A{level}={before}{before}{before}{before}\n");
        }
        script += "run --name $A59";
        assert!(matches!(&found(&script)[0].2, Value::Text(text) if text.len() <= MAX_VALUE));
    }
}
