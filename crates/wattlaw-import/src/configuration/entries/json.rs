//! JSON. Its parser gives no lines of keys, so a scan of the text finds them, in the same order.

use serde_json::Value as Json;
use wattlaw::base::error::{Error, Result};

use super::{MAX_DEPTH, Tree, Value};

/// Reads a document whose top is an object.
pub(super) fn read(text: &str) -> Result<Tree> {
    let syntax = |e: serde_json::Error| Error::Syntax { format: "JSON", message: e.to_string() };
    let document: Json = serde_json::from_str(text).map_err(syntax)?;
    Ok(tree(document, &mut Keys { text, at: 0, line: 1 }, 0))
}

fn tree(value: Json, keys: &mut Keys<'_>, depth: usize) -> Tree {
    match value {
        Json::Null => Tree::Value(Value::Nothing),
        Json::Bool(flag) => Tree::Value(Value::Flag(flag)),
        Json::Number(number) => Tree::Value(Value::Number(number.to_string())),
        Json::String(text) => Tree::Value(Value::Text(text)),
        Json::Array(_) if depth >= MAX_DEPTH => Tree::Value(Value::Nested),
        Json::Array(items) => {
            Tree::List(items.into_iter().map(|item| tree(item, keys, depth + 1)).collect())
        }
        Json::Object(_) if depth >= MAX_DEPTH => Tree::Value(Value::Nested),
        Json::Object(fields) => Tree::Table(
            fields
                .into_iter()
                .map(|(name, below)| {
                    let line = keys.line_of(&name);
                    (name, line, tree(below, keys, depth + 1))
                })
                .collect(),
        ),
    }
}

/// The keys of a text, one after another.
struct Keys<'a> {
    text: &'a str,
    at: usize,
    line: u64,
}

impl Keys<'_> {
    /// The line of the next key `name`, or of the last key before it where it is written with escapes.
    fn line_of(&mut self, name: &str) -> u64 {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let quoted = format!("\"{name}\"");
        let found = rest.match_indices(&quoted).find(|(at, _)| {
            rest[at + quoted.len()..].trim_start().starts_with(':') && !rest[..*at].ends_with('\\')
        });
        if let Some((at, _)) = found {
            self.line += rest[..at].matches('\n').count() as u64;
            self.at += at + quoted.len();
        }
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_lines() {
        let text = "{\n\"a\": \"b\",\n\"b\": {\n\"a\": 1}, \"c\": [2]}";
        let Tree::Table(fields) = read(text).unwrap() else { panic!() };
        let lines: Vec<(&str, u64)> =
            fields.iter().map(|(name, line, _)| (name.as_str(), *line)).collect();
        assert_eq!(lines, [("a", 2), ("b", 3), ("c", 4)]);
        let Tree::Table(below) = &fields[1].2 else { panic!() };
        assert_eq!(below[0].1, 4);
    }
}
